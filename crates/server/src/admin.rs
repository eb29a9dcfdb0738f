//! The admin API under `/admin/v1`. Like any API, it is protected by its own scopes. Every change is audited in its
//! transaction.

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod apis;
pub mod audit;
pub(crate) mod audit_log;
pub mod change;
pub mod change_error;
pub mod change_queue;
pub(crate) mod characters;
pub(crate) mod clients;
mod edit;
pub(crate) mod entitlements;
pub(crate) mod failed_attempts;
pub mod fields;
pub(crate) mod keys;
pub(crate) mod new_secret;
pub(crate) mod openapi;
pub mod operator;
pub mod own_api;
pub(crate) mod page;
pub mod problem;
pub(crate) mod refusals;
pub(crate) mod revocations;
pub mod rights;
pub(crate) mod scopes;
pub(crate) mod secret_rotation;
pub(crate) mod secrets;
pub(crate) mod sessions;
pub(crate) mod usage;
pub(crate) mod users;
