//! One file per command.

pub(crate) mod administration;
pub(crate) mod api;
pub(crate) mod audit;
pub(crate) mod backup;
pub(crate) mod client;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod doctor;
mod entitled;
mod entitlement;
pub(crate) mod explain;
pub(crate) mod key;
mod list_change;
mod made_secret;
pub(crate) mod migrate;
pub(crate) mod refusal;
pub(crate) mod restore;
pub(crate) mod scope;
pub(crate) mod sealing_key;
pub(crate) mod secret;
pub(crate) mod serve;
pub(crate) mod token;
pub(crate) mod usage;
pub(crate) mod user;
