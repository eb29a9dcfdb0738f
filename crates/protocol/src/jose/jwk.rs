//! JSON Web Keys, sets of them, and thumbprints as key IDs (RFC 7517, 7518 §6, 7638, 8037).

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use crate::jose::algorithm::Algorithm;
use crate::jose::{base64url, from_base64url};

/// A key ID: the SHA-256 thumbprint (RFC 7638) for our keys, any text for others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeyId(String);

impl KeyId {
    /// Takes a key ID from a key or token.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the ID as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The numbers of a public key, big-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyMaterial {
    /// A point on P-256.
    P256 {
        /// 32 bytes.
        x: Vec<u8>,
        /// 32 bytes.
        y: Vec<u8>,
    },
    /// An RSA modulus and exponent, without leading zeros.
    Rsa {
        /// The modulus.
        n: Vec<u8>,
        /// The exponent.
        e: Vec<u8>,
    },
    /// An Ed25519 public key.
    Ed25519 {
        /// 32 bytes.
        x: Vec<u8>,
    },
}

impl KeyMaterial {
    /// Returns the uncompressed point, `04 || X || Y`.
    pub fn from_p256_point(point: &[u8]) -> Option<Self> {
        let rest = point.strip_prefix(&[4]).filter(|rest| rest.len() == 64)?;
        Some(Self::P256 { x: rest[..32].to_vec(), y: rest[32..].to_vec() })
    }

    /// Returns the 32 bytes of an Ed25519 public key.
    pub fn from_ed25519(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 32).then(|| Self::Ed25519 { x: bytes.to_vec() })
    }

    /// Returns the members that a thumbprint covers, in the required order (RFC 7638 §3.2, RFC 8037 §2).
    fn thumbprint_input(&self) -> String {
        match self {
            Self::P256 { x, y } => {
                format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64url(x), base64url(y))
            }
            Self::Rsa { n, e } => format!(r#"{{"e":"{}","kty":"RSA","n":"{}"}}"#, base64url(e), base64url(n)),
            Self::Ed25519 { x } => format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, base64url(x)),
        }
    }
}

/// A public key with its algorithm and ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    algorithm: Algorithm,
    key_id: KeyId,
    material: KeyMaterial,
}

impl Jwk {
    /// Creates one of our keys, whose ID is its thumbprint.
    pub fn new(algorithm: Algorithm, material: KeyMaterial) -> Self {
        let key_id = thumbprint(&material);
        Self { algorithm, key_id, material }
    }

    /// Parses a JWK. Returns `None` unless it is a public signature key of a supported algorithm.
    pub fn parse(members: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| text(name).and_then(from_base64url);
        if members.contains_key("d") || text("use").is_some_and(|usage| usage != "sig") {
            return None;
        }
        let (algorithm, material) = match (text("kty")?, text("crv")) {
            ("EC", Some("P-256")) => {
                let (x, y) = (bytes("x")?, bytes("y")?);
                (Algorithm::Es256, (x.len() == 32 && y.len() == 32).then_some(KeyMaterial::P256 { x, y })?)
            }
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, KeyMaterial::from_ed25519(&bytes("x")?)?),
            ("RSA", _) => (Algorithm::Rs256, KeyMaterial::Rsa { n: unpadded(bytes("n")?)?, e: unpadded(bytes("e")?)? }),
            _ => return None,
        };
        if text("alg").is_some_and(|alg| !algorithm.is_named(alg)) {
            return None;
        }
        let key_id = text("kid").map_or_else(|| thumbprint(&material), KeyId::new);
        Some(Self { algorithm, key_id, material })
    }

    /// Returns its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Returns its ID.
    pub fn key_id(&self) -> &KeyId {
        &self.key_id
    }

    /// Returns its numbers.
    pub fn material(&self) -> &KeyMaterial {
        &self.material
    }

    /// Returns the members to publish.
    pub fn to_json(&self) -> Value {
        let (kid, alg) = (self.key_id.as_str(), self.algorithm.as_str());
        match &self.material {
            KeyMaterial::P256 { x, y } => json!({
                "kty": "EC", "crv": "P-256", "use": "sig", "alg": alg, "kid": kid, "x": base64url(x), "y": base64url(y)
            }),
            KeyMaterial::Rsa { n, e } => json!({
                "kty": "RSA", "use": "sig", "alg": alg, "kid": kid, "n": base64url(n), "e": base64url(e)
            }),
            KeyMaterial::Ed25519 { x } => json!({
                "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": alg, "kid": kid, "x": base64url(x)
            }),
        }
    }
}

/// Returns a JWK Set of these keys (RFC 7517 §5).
pub fn jwk_set<'a>(keys: impl IntoIterator<Item = &'a Jwk>) -> Value {
    json!({ "keys": keys.into_iter().map(Jwk::to_json).collect::<Vec<_>>() })
}

/// Parses a JWK Set without the keys that we cannot use (RFC 7517 §5). Returns `None` if it is not a set.
pub fn parse_jwk_set(members: &Map<String, Value>) -> Option<Vec<Jwk>> {
    let keys = members.get("keys")?.as_array()?;
    Some(keys.iter().filter_map(Value::as_object).filter_map(Jwk::parse).collect())
}

/// Returns the SHA-256 thumbprint (RFC 7638 §3).
fn thumbprint(material: &KeyMaterial) -> KeyId {
    KeyId(base64url(digest(&SHA256, material.thumbprint_input().as_bytes()).as_ref()))
}

/// Parses a number in its shortest form (RFC 7518 §2, Base64urlUInt). Zero is not a key.
fn unpadded(bytes: Vec<u8>) -> Option<Vec<u8>> {
    bytes.first().is_some_and(|first| *first != 0).then_some(bytes)
}
