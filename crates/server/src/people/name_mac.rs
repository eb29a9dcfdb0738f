//! The keys under which failures of user names are counted.

use aws_lc_rs::hmac;
use countersign_protocol::user::name_key;

use crate::keys::mac::to_array;

/// The MAC of a normalized user name. The name itself is not stored, because users sometimes enter a password there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameMac(pub [u8; 32]);

impl NameMac {
    /// Computes the MAC with this key, ignoring case.
    pub fn by(key: &hmac::Key, login: &str) -> Self {
        Self(to_array(hmac::sign(key, name_key(login).as_bytes())))
    }

    /// Parses a stored MAC. Returns `None` unless it has 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// Returns the bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
