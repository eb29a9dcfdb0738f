//! The guide's demo: previews a token request, sends it, inspects the token, and uses it to call the demonstration
//! resources.

pub(crate) mod call_resource;
pub(crate) mod claims;
pub mod demo;
pub(crate) mod preview;
pub(crate) mod resource;
pub(crate) mod settings;
pub(crate) mod token_calls;
pub(crate) mod token_set;
pub(crate) mod transport;
