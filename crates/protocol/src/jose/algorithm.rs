//! The signature algorithms that we issue and accept (RFC 7518 §3.1, RFC 8037 §3.1, RFC 9864 §2.2).

use std::fmt;

use strum::{EnumCount, EnumString, IntoStaticStr};

/// A signature algorithm. It is the key's property, never the token's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumCount, EnumString, IntoStaticStr)]
#[strum(serialize_all = "UPPERCASE")]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: the default.
    Es256,
    /// RSASSA-PKCS1-v1_5 with SHA-256, keys of 2048 bits and up: the guide's.
    Rs256,
    /// Ed25519. A header also names it `Ed25519` (RFC 9864).
    #[strum(to_string = "EdDSA", serialize = "Ed25519")]
    EdDsa,
}

impl Algorithm {
    /// Every algorithm, the default first.
    pub const ALL: [Self; Self::COUNT] = [Self::Es256, Self::Rs256, Self::EdDsa];

    /// The `alg` that we write.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The algorithm of a registered name.
    pub fn parse(name: &str) -> Option<Self> {
        name.parse().ok()
    }

    /// True if `alg` in a header names this algorithm.
    pub fn is_named(self, alg: &str) -> bool {
        Self::parse(alg) == Some(self)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
