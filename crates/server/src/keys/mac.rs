//! The MAC of several values, each with its length, so that different lists of values have different MACs.

use aws_lc_rs::hmac;

/// Returns the HMAC-SHA256 of these parts with this key.
pub(crate) fn mac(key: &hmac::Key, parts: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&part.len().to_be_bytes());
        context.update(part);
    }
    to_array(context.sign())
}

/// The length of an HMAC-SHA256 in bytes.
pub(crate) fn to_array(tag: hmac::Tag) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(tag.as_ref());
    bytes
}
