//! A guard for APIs: a request passes only with a good access token whose scope opens its path.
//!
//! [`Guard`] is a tower layer around an axum router. It judges the path in one normal form and hands the same form on,
//! so that guard and router never read a path differently. Handlers take the verified token as [`VerifiedToken`].

mod key_source;
mod layer;
mod rejection;
mod verifier;

pub use key_source::FixedKeys;
pub use layer::{Guard, Guarded, VerifiedToken};
pub use rejection::Rejection;
pub use verifier::Verifier;
