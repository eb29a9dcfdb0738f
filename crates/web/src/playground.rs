//! The guide's demo: a token is previewed, asked for, looked into, and opens the demonstration resources.

pub(crate) mod call_resource;
pub(crate) mod claims;
pub mod demo;
pub(crate) mod preview;
pub(crate) mod resource;
pub(crate) mod settings;
pub(crate) mod token_calls;
pub(crate) mod token_set;
pub(crate) mod transport;
