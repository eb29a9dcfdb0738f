//! For tests: a real server on a fixed clock, its callers, and fresh databases.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot be set up has failed")]

mod actor;
mod administrator;
mod browser;
mod certificates;
mod database;
pub mod frames;
mod openapi;
mod registry;
mod rows;
mod server;

pub use actor::{Actor, Answer, Protocol, basic};
pub use administrator::Administrator;
pub use browser::Browser;
pub use certificates::{CertificateFiles, Certified, TestAuthority};
pub use database::{TestDatabase, engine_is_postgres};
pub use openapi::documented_answers;
pub use registry::{MayAsk, NewTestApi, NewTestClient, hash_password};
pub use reqwest::RequestBuilder;
pub use rows::{Rows, load_rows};
pub use server::{Options, START, TestServer};
