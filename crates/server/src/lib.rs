//! The authorization server and the resource server behind it, over HTTP.
//!
//! Start reading at `router.rs`: every route on one screen. [`operations::start`] builds the state, [`http::serve`] answers connections.

mod admin;
pub mod background;
pub mod clock;
pub mod config;
mod demo;
pub mod http;
pub mod keys;
pub mod limits;
mod oauth;
pub mod operations;
mod pages;
pub mod people;
mod registry;
mod resource;
mod router;
pub mod state;
mod static_files;
mod usage;

pub use admin::openapi::DOCUMENT as ADMIN_DOCUMENT;
pub use admin::operator::{FILE as OPERATOR_FILE, OperatorFile};
pub use countersign_store::DatabaseUrl;
pub use countersign_store::install_drivers;
pub use demo::provide::{Demo, DemoFile};
pub use http::front::Front;
