//! The authorization server and the resource server behind it, over HTTP.
//!
//! Start reading at `router.rs`: every route on one screen. [`start`] builds the state, [`serve`] answers connections.

mod admin;
mod admission;
mod answer;
pub mod background;
pub mod backup;
mod body;
mod caller;
pub mod clock;
pub mod config;
mod data_directory;
mod demo;
pub mod descriptors;
pub mod doctor;
mod expiry;
pub mod exposure;
mod first_key;
mod front;
mod guessing;
mod identity;
mod json_body;
mod key_revocation;
mod key_ring;
mod key_rotation;
mod lifecycle;
pub mod limits;
mod mac;
mod metrics;
mod nodes;
mod oauth;
mod ops;
mod origin;
mod pages;
pub mod passwords;
mod refusals;
mod registry;
mod resource;
pub mod restore;
mod router;
mod sealing;
pub mod serve;
mod source;
pub mod start;
pub mod state;
mod static_files;
pub mod tls;
mod token_limits;
pub mod transfer;
mod uses;

pub use admin::openapi::DOCUMENT as ADMIN_DOCUMENT;
pub use admin::operator::{FILE as OPERATOR_FILE, OperatorFile};
pub use countersign_store::DatabaseUrl;
pub use countersign_store::install_drivers;
pub use demo::provide::{Demo, DemoFile};
pub use front::Front;
