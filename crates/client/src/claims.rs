//! The claims of a token, without verification.

use countersign_protocol::jose::jws::UnverifiedJwt;
use serde_json::{Map, Value};

use crate::error::ClientError;

/// Unverified claims. Anyone could have written them, so only display them, and never base a decision on them.
#[derive(Clone, Debug, PartialEq)]
pub struct UnverifiedClaims(Map<String, Value>);

/// Decodes the claims of a JWT, without verifying anything.
pub fn claims(token: &str) -> Result<UnverifiedClaims, ClientError> {
    let jwt = UnverifiedJwt::parse(token).map_err(ClientError::NotAJwt)?;
    Ok(UnverifiedClaims(jwt.claims().clone()))
}

impl UnverifiedClaims {
    /// Returns the unverified claims.
    pub fn as_unverified(&self) -> &Map<String, Value> {
        &self.0
    }

    /// Returns the unverified claims.
    pub fn into_unverified(self) -> Map<String, Value> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use countersign_protocol::jose::base64url;

    use super::*;

    #[test]
    fn claims_are_parsed_from_any_jwt_and_nothing_else() {
        let token = format!("{}.{}.AAAA", base64url(br#"{"alg":"HS256"}"#), base64url(br#"{"sub":"x","n":1}"#));
        let claims = claims(&token).expect("a JWT");
        assert_eq!(claims.as_unverified()["sub"], "x");
        assert_eq!(Value::Object(claims.into_unverified()).to_string(), r#"{"sub":"x","n":1}"#);
        for bad in ["", "x", "a.b.c", "cs_refresh_x", &token[1..]] {
            assert!(matches!(super::claims(bad), Err(ClientError::NotAJwt(_))), "{bad}");
        }
    }
}
