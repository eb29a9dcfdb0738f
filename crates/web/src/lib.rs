//! What people see: the session of a browser, the account, the guide's demo API and the pages, beside the machine endpoints of
//! `countersign-server`.
//!
//! Start reading at `router.rs`: every route on one screen.

mod account;
mod api;
mod pages;
pub mod playground;
mod refused;
mod router;
mod session;
mod static_files;

pub use playground::demo::Demo;
pub use router::site;
