//! Guessing: what has failed is counted, so that nobody can try for long and nobody is shut out by what others try.

use aws_lc_rs::hmac;
use countersign_protocol::user::name_key;

use crate::keys::mac::to_array;
use crate::keys::sealing_keys::MacUse;
use crate::oauth::failed_secrets::FailedSecrets;
use crate::people::attempts_under_way::UnderWay;
use crate::state::State;

/// What a node knows of guesses; the rest is in the database.
#[derive(Debug, Default)]
pub(crate) struct Guessing {
    /// Wrong secrets of clients, on this node.
    pub clients: FailedSecrets,
    pub(super) under_way: UnderWay,
}

/// The MAC of a user's name in its one spelling: what is typed as a name may be a password, so it is kept nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct NameMac(pub [u8; 32]);

impl NameMac {
    /// The MAC of a user's name, whatever its case.
    pub fn of(state: &State, login: &str) -> Self {
        Self::by(state.sealing_keys().mac_key(MacUse::Name), login)
    }

    /// The MAC by this key.
    pub(crate) fn by(key: &hmac::Key, login: &str) -> Self {
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
