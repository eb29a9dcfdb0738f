//! A guard for APIs. It only lets a request through if it has a valid access token with a scope that allows its path.
//!
//! [`Guard`] is a tower layer around an axum router. It checks the normalized path and passes the same path on, so that
//! guard and router never interpret a path differently. Handlers get the verified token as [`VerifiedToken`].
//!
//! ```
//! use std::sync::Arc;
//!
//! use axum::{Router, routing::get};
//! use countersign_guard::{FixedKeys, Guard, VerifiedToken, Verifier};
//! use countersign_protocol::api::Api;
//! use countersign_protocol::jose::jwk::Jwk;
//! use tower::Layer;
//!
//! fn guarded(api: Arc<Api>, keys: &[Jwk], clock: fn() -> i64) -> countersign_guard::Guarded<Router> {
//!     let keys = Arc::new(FixedKeys::new(keys).expect("keys of 2048 bits and up"));
//!     let verifier = Verifier::new("https://auth.example", keys, clock);
//!     let invoices = Router::new()
//!         .route("/invoices", get(async |VerifiedToken(claims): VerifiedToken| claims.subject.clone()));
//!     Guard::new(verifier, move || Some(api.clone())).layer(invoices)
//! }
//! ```

mod key_source;
mod layer;
mod rejection;
mod verifier;

pub use key_source::FixedKeys;
pub use layer::{Guard, Guarded, VerifiedToken};
pub use rejection::Rejection;
pub use verifier::Verifier;
