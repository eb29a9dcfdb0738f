//! The authorization server and the resource server, over HTTP.
//!
//! Start reading at `router.rs`, which shows every route on one screen. [`operations::start`] builds the state, and
//! [`http::serve`] serves connections.

pub mod admin;
pub mod background;
pub mod clock;
pub mod config;
pub mod document;
pub mod http;
pub mod keys;
pub mod limits;
pub mod oauth;
pub mod operations;
pub mod people;
pub mod per_thread;
pub mod registry;
mod router;
pub mod state;
pub mod usage;

pub use admin::openapi::DOCUMENT as ADMIN_DOCUMENT;
pub use admin::operator::{FILE as OPERATOR_FILE, OperatorFile};
pub use countersign_store::DatabaseUrl;
pub use countersign_store::install_drivers;
pub use http::front::Front;
pub use operations::demo_file::DemoFile;
pub use router::{Site, machine_routes, machines};
