//! The sealing key. It encrypts private keys and other secrets in the database, and other keys are derived from it.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_store::SEALING_KEY_CHECK;
use zeroize::Zeroizing;

/// The label for sealing seeds of second factors, each for its row.
pub const SECOND_FACTOR: &str = "second factor";
/// The label and the row for sealing the playground's client secret.
pub const PLAYGROUND_SECRET: (&str, &str) = ("playground settings", "oauthServiceUserPassword");

/// 256 bits, stored in a file with mode 0600, next to the database or elsewhere.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// Sealed data cannot be decrypted: the sealing key differs, or the row is damaged.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sealed secret cannot be decrypted with this sealing key")]
pub struct SealError;

impl SealingKey {
    /// Creates a key from 32 random bytes.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Parses the content of the file: 43 characters of base64url and a line feed.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(from_base64url(text.trim_end())?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// Returns the content of the file.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(self.0.as_slice()) + "\n")
    }

    /// Returns a fingerprint, which identifies the key in a database and reveals nothing about it.
    pub fn check(&self) -> String {
        base64url(self.derive(SEALING_KEY_CHECK).as_slice())
    }

    /// Derives a key for one use with HKDF (RFC 5869) and a label. It reveals nothing about the sealing key.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let pseudorandom = Salt::new(HKDF_SHA256, b"countersign").extract(self.0.as_slice());
        let mut key = Zeroizing::new([0; 32]);
        let info = [label.as_bytes()];
        let filled = pseudorandom.expand(&info, HKDF_SHA256).and_then(|material| material.fill(key.as_mut_slice()));
        filled.expect("32 bytes are less than HKDF's limit");
        key
    }

    /// Derives a key for HMAC-SHA256 in the same way.
    pub(crate) fn derive_mac_key(&self, label: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(label).as_slice())
    }

    /// Seals with the key of `label`, bound to `name`. Data sealed for one row cannot be opened in another.
    pub fn seal(&self, label: &str, name: &str, secret: &[u8], nonce: [u8; NONCE_LEN]) -> Result<Vec<u8>, SealError> {
        let mut sealed = secret.to_vec();
        let unique = Nonce::assume_unique_for_key(nonce);
        let key = self.aead(label)?;
        key.seal_in_place_append_tag(unique, Aad::from(name), &mut sealed).map_err(|_| SealError)?;
        Ok([&nonce[..], &sealed].concat())
    }

    /// Opens what [`SealingKey::seal`] sealed.
    pub fn open(&self, label: &str, name: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let (nonce, ciphertext) = sealed.split_at_checked(NONCE_LEN).ok_or(SealError)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SealError)?;
        let mut buffer = Zeroizing::new(ciphertext.to_vec());
        let length = self.aead(label)?.open_in_place(nonce, Aad::from(name), &mut buffer).map_err(|_| SealError)?.len();
        buffer.truncate(length);
        Ok(buffer)
    }

    fn aead(&self, label: &str) -> Result<LessSafeKey, SealError> {
        let key = UnboundKey::new(&AES_256_GCM, self.derive(label).as_slice()).map_err(|_| SealError)?;
        Ok(LessSafeKey::new(key))
    }
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(********)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_only_opens_with_its_key_label_and_name() {
        let key = SealingKey::from_random([1; 32]);
        let sealed = key.seal("signing key", "a", b"secret", [7; NONCE_LEN]).expect("seals");
        assert_eq!(key.open("signing key", "a", &sealed).expect("opens").as_slice(), b"secret");
        assert!(key.open("other", "a", &sealed).is_err());
        assert!(key.open("signing key", "b", &sealed).is_err());
        assert!(SealingKey::from_random([2; 32]).open("signing key", "a", &sealed).is_err());
        assert!(key.open("signing key", "a", &sealed[..NONCE_LEN - 1]).is_err());
        let again = SealingKey::parse(&key.to_text()).expect("parses");
        assert!(again.open("signing key", "a", &sealed).is_ok());
        assert!(SealingKey::parse("short").is_none());
    }
}
