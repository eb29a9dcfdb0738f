//! Verifies tokens for an API: the issuer, its keys, and the clock.

use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::access_token::{self, Expected, KeySource, TokenFault};
use countersign_protocol::audience::Audience;
use countersign_protocol::claims::Claims;

/// Verifies access tokens of one issuer.
#[derive(Clone)]
pub struct Verifier {
    issuer: String,
    keys: Arc<dyn KeySource>,
    clock: Arc<dyn Fn() -> UnixTime + Send + Sync>,
}

impl Verifier {
    /// Creates a verifier for tokens of `issuer` that are signed by a key of `keys`, at the time returned by `clock`.
    pub fn new(
        issuer: impl Into<String>,
        keys: Arc<dyn KeySource>,
        clock: impl Fn() -> UnixTime + Send + Sync + 'static,
    ) -> Self {
        Self { issuer: issuer.into(), keys, clock: Arc::new(clock) }
    }

    /// Returns the claims of a token for this audience, or why it is invalid.
    pub fn verify(&self, token: &str, audience: &Audience) -> Result<Claims, TokenFault> {
        let expected = Expected { issuer: &self.issuer, audience: Some(audience.as_str()) };
        access_token::check(token, self.keys.as_ref(), expected, (self.clock)())
    }
}
