//! Secrets, which are never printed, and the format of our generated ones, which secret scanners can recognize.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde::{Deserialize, Deserializer};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// The prefix of our client secrets.
pub const CLIENT_SECRET_PREFIX: &str = "cs_secret_";
/// The prefix of our refresh tokens.
pub const REFRESH_TOKEN_PREFIX: &str = "cs_refresh_";

const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 256 bits need 43 digits in base 62.
const BODY_DIGITS: usize = 43;
/// A CRC32 needs 6 digits in base 62.
const CHECKSUM_DIGITS: usize = 6;

/// A secret in memory: redacted in `Debug`, without `Display`, wiped on drop.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Self(Zeroizing::new(value.into()))
    }

    /// Creates a secret: `prefix`, `random` as 43 base62 digits, and the CRC32 of both as 6 digits.
    pub fn from_random(prefix: &str, random: &[u8; 32]) -> Self {
        let mut text = String::with_capacity(prefix.len() + BODY_DIGITS + CHECKSUM_DIGITS);
        text.push_str(prefix);
        push_base62(&mut text, random, BODY_DIGITS);
        let checksum = crc32fast::hash(text.as_bytes()).to_be_bytes();
        push_base62(&mut text, &checksum, CHECKSUM_DIGITS);
        Self::new(text)
    }

    /// Returns the secret itself, only to send, hash or compare it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Returns its SHA-256, which is what is stored.
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// True if the text has the prefix, length, alphabet and checksum of a generated secret.
    pub fn is_well_formed(prefix: &str, text: &str) -> bool {
        #[cfg(test)]
        work::count(work::CHECKSUMS);
        let Some(rest) = text.strip_prefix(prefix) else {
            return false;
        };
        if rest.len() != BODY_DIGITS + CHECKSUM_DIGITS || !rest.bytes().all(|b| BASE62.contains(&b)) {
            return false;
        }
        let (covered, checksum) = text.split_at(text.len() - CHECKSUM_DIGITS);
        let mut expected = String::new();
        push_base62(&mut expected, &crc32fast::hash(covered.as_bytes()).to_be_bytes(), CHECKSUM_DIGITS);
        checksum == expected
    }
}

/// Deserializes a string. There is no `Serialize`.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(********)")
    }
}

/// The SHA-256 of a secret with 256 random bits, which needs no key stretching.
#[derive(Clone, Copy)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// Hashes a presented secret.
    pub fn of(secret: &str) -> Self {
        #[cfg(test)]
        work::count(work::HASHES);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret.as_bytes()).as_ref());
        Self(bytes)
    }

    /// Wraps a hash.
    pub const fn from_array(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Parses a stored hash. Returns `None` unless it has 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Compares in constant time, word by word. A request is compared with ten hashes, and comparing bytes would take
    /// seven times as long.
    pub fn matches(&self, other: &Self) -> bool {
        #[cfg(test)]
        work::count(work::COMPARISONS);
        words(&self.0).ct_eq(&words(&other.0)).into()
    }
}

fn words(hash: &[u8; 32]) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(hash.as_chunks().0) {
        *word = u64::from_ne_bytes(*bytes);
    }
    words
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretHash(********)")
    }
}

/// Appends big-endian `bytes` as exactly `digits` base62 digits.
fn push_base62(text: &mut String, bytes: &[u8], digits: usize) {
    let mut number = Zeroizing::new(bytes.to_vec());
    let mut reversed = Zeroizing::new(Vec::with_capacity(digits));
    for _ in 0..digits {
        let mut remainder = 0u32;
        for byte in number.iter_mut() {
            let value = remainder << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 62).unwrap_or(u8::MAX);
            remainder = value % 62;
        }
        reversed.push(BASE62[remainder as usize]);
    }
    text.extend(reversed.iter().rev().map(|digit| char::from(*digit)));
}

/// Counts the work on this thread, so that a test can show that two refusals take the same time.
#[cfg(test)]
pub(crate) mod work {
    use std::cell::Cell;

    pub(crate) const HASHES: usize = 0;
    pub(crate) const COMPARISONS: usize = 1;
    pub(crate) const CHECKSUMS: usize = 2;

    thread_local! {
        static DONE: Cell<[usize; 3]> = const { Cell::new([0; 3]) };
    }

    pub(crate) fn count(kind: usize) {
        let mut done = DONE.get();
        done[kind] += 1;
        DONE.set(done);
    }

    /// Returns the work since the last call: hashes, comparisons, checksums.
    pub(crate) fn take() -> [usize; 3] {
        DONE.replace([0; 3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_secrets_are_recognized_and_any_typo_is_detected() {
        let secret = Secret::from_random(CLIENT_SECRET_PREFIX, &[0xA7; 32]);
        let text = secret.expose();
        assert_eq!(text.len(), "cs_secret_".len() + 49);
        assert!(Secret::is_well_formed(CLIENT_SECRET_PREFIX, text));
        assert!(!Secret::is_well_formed(REFRESH_TOKEN_PREFIX, text));
        for at in "cs_secret_".len()..text.len() {
            let mut typo = text.to_owned().into_bytes();
            typo[at] = if typo[at] == b'x' { b'y' } else { b'x' };
            let typo = String::from_utf8(typo).expect("ascii");
            assert!(!Secret::is_well_formed(CLIENT_SECRET_PREFIX, &typo), "{typo}");
        }
    }

    #[test]
    fn the_extremes_of_256_bits_fit_in_43_digits() {
        let mut low = String::new();
        push_base62(&mut low, &[0; 32], BODY_DIGITS);
        assert_eq!(low, "0".repeat(43));
        let mut high = String::new();
        push_base62(&mut high, &[0xFF; 32], BODY_DIGITS);
        assert_eq!(high, "yhjskwdA6OZ1AL1YmHWZWm8LLG7HjnuCA2j5rOw8Xp1");
    }

    #[test]
    fn hashes_match_only_when_every_byte_is_the_same() {
        let hash = SecretHash::of("open sesame");
        assert!(hash.matches(&SecretHash::of("open sesame")));
        for at in 0..32 {
            for bit in 0..8 {
                let mut other = *hash.as_bytes();
                other[at] ^= 1 << bit;
                assert!(!hash.matches(&SecretHash::from_array(other)), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn debug_shows_neither_a_secret_nor_its_hash() {
        let secret = Secret::new("open sesame");
        assert_eq!(format!("{secret:?} {:?}", secret.hash()), "Secret(********) SecretHash(********)");
    }
}
