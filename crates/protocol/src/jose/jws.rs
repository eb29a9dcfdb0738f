//! Compact JSON Web Signatures (RFC 7515 §7.1), parsed strictly.

use serde_json::{Map, Value};

use crate::jose::json::parse_object;
use crate::jose::jwk::KeyId;
use crate::jose::key::{KeyError, SigningKey, VerifyingKey};
use crate::jose::{base64url, from_base64url};

/// The maximum length of a compact JWS in bytes. A header line cannot contain more.
pub const MAX_JWS_BYTES: usize = 16 * 1024;

/// Why a text is not a JWS that this key has signed.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum JwsError {
    /// It is longer than [`MAX_JWS_BYTES`].
    #[error("longer than {MAX_JWS_BYTES} bytes")]
    TooLong,
    /// It does not have three parts in canonical base64url.
    #[error("must be three parts in canonical base64url")]
    Shape,
    /// The header is not a JSON object without duplicate members and with a string `alg`.
    #[error("the header is malformed")]
    Header,
    /// The header has `crit`, an extension that must be understood. We support none (RFC 7515 §4.1.11).
    #[error("the header has `crit`")]
    Critical,
    /// The payload is not a JSON object without duplicate members.
    #[error("the payload is not a JSON object, or has duplicate members")]
    Payload,
    /// `alg` does not match the key.
    #[error("`alg` does not match the key")]
    Algorithm,
    /// The key has not signed these bytes.
    #[error("the signature does not verify")]
    Signature,
}

/// A JWS that was parsed but not verified. Anyone could have written anything in it.
#[derive(Debug)]
pub struct UnverifiedJwt<'a> {
    signed: &'a str,
    signature: Vec<u8>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

impl<'a> UnverifiedJwt<'a> {
    /// Parses a compact JWS. Never uses the header's own `jwk`, `jku`, `x5u` and `x5c`.
    pub fn parse(text: &'a str) -> Result<Self, JwsError> {
        if text.len() > MAX_JWS_BYTES {
            return Err(JwsError::TooLong);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(JwsError::Shape)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::Shape)?;
        let decode = |part| from_base64url(part).ok_or(JwsError::Shape);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = parse_object(&header).ok_or(JwsError::Header)?;
        if !text_member(&header, "alg") || !optional_text(&header, "kid") || !optional_text(&header, "typ") {
            return Err(JwsError::Header);
        }
        let claims = parse_object(&payload).ok_or(JwsError::Payload)?;
        Ok(Self { signed, signature, header, claims })
    }

    /// Returns the header's `kid`.
    pub fn key_id(&self) -> Option<KeyId> {
        self.header.get("kid").and_then(Value::as_str).map(KeyId::new)
    }

    /// Returns the header's `typ` without `application/`, in lower case (RFC 7515 §4.1.9).
    pub fn media_type(&self) -> Option<String> {
        let typ = self.header.get("typ")?.as_str()?.to_ascii_lowercase();
        Some(typ.strip_prefix("application/").map_or(typ.clone(), str::to_owned))
    }

    /// Returns the unverified header.
    pub fn header(&self) -> &Map<String, Value> {
        &self.header
    }

    /// Returns the unverified claims.
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// Returns the claims, after verifying that `key` has signed them. The key determines the algorithm.
    pub fn verify(self, key: &VerifyingKey) -> Result<Map<String, Value>, JwsError> {
        if self.header.contains_key("crit") {
            return Err(JwsError::Critical);
        }
        let alg = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if !key.algorithm().is_named(alg) {
            return Err(JwsError::Algorithm);
        }
        if !key.verifies(self.signed.as_bytes(), &self.signature) {
            return Err(JwsError::Signature);
        }
        Ok(self.claims)
    }
}

/// Returns the encoded header for a key. It is created once per key and used for every token.
pub fn encode_header(key: &SigningKey, typ: &str) -> String {
    let (alg, kid) = (key.jwk().algorithm(), key.jwk().key_id());
    base64url(format!(r#"{{"typ":"{typ}","alg":"{alg}","kid":"{kid}"}}"#).as_bytes())
}

/// Signs `payload` with a header from [`encode_header`].
pub fn sign(key: &SigningKey, encoded_header: &str, payload: &[u8]) -> Result<String, KeyError> {
    let mut jws = format!("{encoded_header}.{}", base64url(payload));
    let signature = key.sign(jws.as_bytes())?;
    jws.push('.');
    jws.push_str(&base64url(&signature));
    Ok(jws)
}

fn text_member(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).is_some_and(Value::is_string)
}

fn optional_text(object: &Map<String, Value>, name: &str) -> bool {
    object.get(name).is_none_or(Value::is_string)
}
