//! The terms and rules of the OAuth 2 RFCs, as pure functions and plain values.
//!
//! Nothing here does I/O, reads a clock or generates random numbers. Callers pass in `now` and random bytes. Every way
//! a request can be refused is a variant of [`refusal::Refusal`].

pub mod access_token;
pub mod api;
pub mod audience;
pub mod claims;
pub mod client;
pub mod client_authentication;
pub mod form;
pub mod grant;
pub mod grant_type;
pub mod ids;
pub mod introspection;
pub mod issuer;
pub mod jose;
pub mod metadata;
pub mod path_rule;
pub mod refresh_token;
pub mod refusal;
pub mod removal;
pub mod revocation;
pub mod right;
pub mod scope;
pub mod scope_token;
pub mod secret;
pub mod status;
pub mod token_request;
pub mod totp;
pub mod user;

/// Seconds since 1970-01-01T00:00:00Z, without leap seconds (RFC 7519 §2, NumericDate as an integer).
pub type UnixTime = i64;
