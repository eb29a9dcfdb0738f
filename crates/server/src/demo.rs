//! The guide's demo API: every call in one envelope, for who is at the browser.

pub(crate) mod access;
pub(crate) mod account;
pub(crate) mod auth;
pub(crate) mod call_resource;
pub(crate) mod claims;
pub(crate) mod envelope;
pub(crate) mod json_body;
pub(crate) mod openapi;
pub(crate) mod preview;
pub mod provide;
pub(crate) mod second_factor;
pub(crate) mod settings;
mod sign_in;
pub(crate) mod token_calls;
pub(crate) mod token_set;
pub(crate) mod transport;
pub(crate) mod xsrf;
