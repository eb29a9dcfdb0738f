//! The part of the server for people: browser sessions, accounts, the guide's demo API and the pages. It is served
//! together with the endpoints of `countersign-server`.
//!
//! Start reading at `router.rs`, which shows every route on one screen.

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
