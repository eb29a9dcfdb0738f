//! The OAuth endpoints: token, introspection, revocation, keys and metadata.

mod asked;
pub mod authenticate;
mod exchange;
pub(crate) mod failed_secrets;
pub(crate) mod form_body;
pub(crate) mod introspect;
pub(crate) mod issue;
pub(crate) mod metadata;
mod presented;
pub(crate) mod refresh;
pub mod refusal;
mod remedy;
pub(crate) mod respond;
pub(crate) mod revoke;
pub(crate) mod token;
