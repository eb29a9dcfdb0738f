//! The supported signature algorithms (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).

use std::fmt;

use strum::{EnumCount, EnumString, IntoStaticStr};

/// A signature algorithm. It is a property of the key, never of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256, the default.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256 and keys of at least 2048 bits, as in the guide.
    Rs256,
    /// Ed25519. A header also names it `Ed25519` (RFC 9864).
    #[strum(to_string = "EdDSA", serialize = "Ed25519")]
    EdDsa,
}

impl Algorithm {
    /// All algorithms, starting with the default.
    pub const ALL: [Self; Self::COUNT] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// Returns the `alg` of our tokens.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// Returns the algorithm with a registered name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// True if `alg` in a header names this algorithm. EdDSA has the additional name `Ed25519` (RFC 9864).
    pub fn is_named(self, alg: &str) -> bool {
        Self::parse(alg) == Some(self)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
