//! Under what failures of a person's name are counted.

use aws_lc_rs::hmac;
use countersign_protocol::user::name_key;

use crate::keys::mac::to_array;

/// The MAC of a user's name in its one spelling: what is typed as a name may be a password, so it is kept nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameMac(pub [u8; 32]);

impl NameMac {
    /// The MAC by this key, whatever the case of the name.
    pub fn by(key: &hmac::Key, login: &str) -> Self {
        Self(to_array(hmac::sign(key, name_key(login).as_bytes())))
    }

    /// A stored MAC; `None` unless it is 32 bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}
