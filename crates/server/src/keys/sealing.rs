//! The sealing key: what private keys and other secrets are sealed with at rest, and other keys derived from.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::hmac;
use countersign_protocol::jose::{base64url, from_base64url};
use countersign_store::SEALING_KEY_CHECK;
use zeroize::Zeroizing;

/// What the seeds of second factors are sealed under, each for its row.
pub const SECOND_FACTOR: &str = "second factor";
/// What the playground's client secret is sealed under, and for which row.
pub const PLAYGROUND_SECRET: (&str, &str) = ("playground settings", "oauthServiceUserPassword");

/// 256 bits, kept in a file of mode 0600 beside the database or elsewhere.
#[derive(Clone)]
pub struct SealingKey(Zeroizing<[u8; 32]>);

/// What was sealed does not open: another sealing key, or a damaged row.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
#[error("a sealed secret cannot be decrypted with this sealing key")]
pub struct SealError;

impl SealingKey {
    /// A new key from 32 random bytes.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(Zeroizing::new(random))
    }

    /// Reads the file's text: 43 characters of base64url and a line feed.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(from_base64url(text.trim_end())?);
        Some(Self(Zeroizing::new(bytes.as_slice().try_into().ok()?)))
    }

    /// The file's text.
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(base64url(self.0.as_slice()) + "\n")
    }

    /// By which a database knows the key; it tells nothing of it.
    pub fn check(&self) -> String {
        base64url(self.derive(SEALING_KEY_CHECK).as_slice())
    }

    /// A key for one use, by HKDF (RFC 5869) with a label; it tells nothing of the sealing key.
    pub fn derive(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let pseudorandom = Salt::new(HKDF_SHA256, b"countersign").extract(self.0.as_slice());
        let mut key = Zeroizing::new([0; 32]);
        let info = [label.as_bytes()];
        let filled = pseudorandom.expand(&info, HKDF_SHA256).and_then(|material| material.fill(key.as_mut_slice()));
        filled.expect("32 bytes are less than HKDF's limit");
        key
    }

    /// A key for HMAC-SHA256, derived in the same way.
    pub(crate) fn derive_mac_key(&self, label: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.derive(label).as_slice())
    }

    /// Seals under the key of `label`, bound to `name`: what is sealed for one row does not open in another.
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
    fn what_is_sealed_opens_only_under_its_key_its_label_and_its_name() {
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
