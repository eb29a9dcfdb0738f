//! Redacts texts that a caller sent.

use countersign_protocol::secret::{CLIENT_SECRET_PREFIX, REFRESH_TOKEN_PREFIX};

/// The maximum length to keep in bytes, so that long names are not logged in full.
const MAX_BYTES: usize = 300;

/// Redacts a reason, because callers sometimes send a secret where a name belongs.
pub fn without_secrets(reason: &str) -> String {
    let is_secret = |word: &str| [CLIENT_SECRET_PREFIX, REFRESH_TOKEN_PREFIX, "eyJ"].iter().any(|p| word.contains(p));
    if reason.len() <= MAX_BYTES && !is_secret(reason) {
        return reason.to_owned();
    }
    let words = reason.split(' ').map(|word| if is_secret(word) { "********" } else { word });
    let text: String = words.collect::<Vec<_>>().join(" ");
    text.chars().take(MAX_BYTES).collect()
}
