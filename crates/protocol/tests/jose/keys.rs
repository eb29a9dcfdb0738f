//! One key per algorithm, created once, and tokens with any header.

use std::sync::LazyLock;

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::base64url;
use countersign_protocol::jose::jws;
use countersign_protocol::jose::key::{SigningKey, VerifyingKey};

static ES256: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::Es256));
static RS256: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::Rs256));
static EDDSA: LazyLock<SigningKey> = LazyLock::new(|| new_key(Algorithm::EdDsa));

/// The key of this algorithm, which all tests share.
pub fn key(algorithm: Algorithm) -> &'static SigningKey {
    match algorithm {
        Algorithm::Es256 => &ES256,
        Algorithm::Rs256 => &RS256,
        Algorithm::EdDsa => &EDDSA,
    }
}

/// Another key.
pub fn new_key(algorithm: Algorithm) -> SigningKey {
    let pkcs8 = SigningKey::generate(algorithm).expect("a key");
    SigningKey::from_pkcs8(algorithm, &pkcs8).expect("the key again")
}

/// The public half.
pub fn public(key: &SigningKey) -> VerifyingKey {
    VerifyingKey::from_jwk(key.jwk()).expect("a public key")
}

/// Signs a payload with any header.
pub fn sign(key: &SigningKey, header: &str, payload: &str) -> String {
    jws::sign(key, &base64url(header.as_bytes()), payload.as_bytes()).expect("a signature")
}
