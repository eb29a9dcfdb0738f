//! JOSE: the building blocks of signed tokens (RFC 7515, 7517, 7518, 7638, 8037).

pub mod algorithm;
pub mod json;
pub mod jwk;
pub mod jws;
pub mod key;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Encodes as base64url without padding (RFC 7515 §2).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Decodes base64url. Refuses padding, other alphabets and non-canonical last digits.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}
