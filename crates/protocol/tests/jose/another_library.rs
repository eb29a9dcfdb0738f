//! `jsonwebtoken`, in both directions. It also uses aws-lc, so this tests parsing and serialization.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::{Jwk, jwk_set};
use countersign_protocol::jose::jws::{UnverifiedJwt, encode_header, sign};
use countersign_protocol::jose::key::{SigningKey, VerifyingKey};
use jsonwebtoken::jwk::{JwkSet, ThumbprintHash};
use jsonwebtoken::{DecodingKey, EncodingKey, Header, Validation, decode, decode_header, encode};
use serde_json::{Value, json};

use crate::keys::{key, new_key};

fn theirs(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}

fn claims() -> Value {
    // jsonwebtoken reads the machine's clock, so this token expires in 2100.
    json!({ "iss": "https://issuer", "aud": "https://api", "sub": "job", "exp": 4_102_444_800_i64, "née": "Zoë" })
}

fn validation(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(theirs(algorithm));
    validation.set_issuer(&["https://issuer"]);
    validation.set_audience(&["https://api"]);
    validation
}

#[test]
fn it_verifies_our_tokens_with_our_key_set() {
    let published = jwk_set(Algorithm::ALL.map(|algorithm| key(algorithm).jwk()));
    let published: JwkSet = serde_json::from_value(published).expect("a key set");
    for algorithm in Algorithm::ALL {
        let payload = claims().to_string();
        let token = sign(key(algorithm), &encode_header(key(algorithm), "at+jwt"), payload.as_bytes()).unwrap();
        let header = decode_header(&token).expect("a header");
        assert_eq!((header.typ.as_deref(), header.alg), (Some("at+jwt"), theirs(algorithm)));
        let jwk = published.find(&header.kid.expect("a kid")).expect("the published key");
        let decoding = DecodingKey::from_jwk(jwk).expect("a key");
        let decoded = decode::<Value>(&token, &decoding, &validation(algorithm)).expect("a valid token");
        assert_eq!(decoded.claims, claims());

        let stranger = serde_json::from_value(new_key(algorithm).jwk().to_json()).expect("a key");
        let stranger = DecodingKey::from_jwk(&stranger).expect("a key");
        assert!(decode::<Value>(&token, &stranger, &validation(algorithm)).is_err(), "{algorithm}");
    }
}

#[test]
fn it_verifies_our_tokens_with_a_key_as_pem() {
    for algorithm in Algorithm::ALL {
        let token = sign(key(algorithm), &encode_header(key(algorithm), "at+jwt"), claims().to_string().as_bytes());
        let pem = VerifyingKey::from_jwk(key(algorithm).jwk()).unwrap().to_pem().unwrap();
        let decoding = match algorithm {
            Algorithm::Es256 => DecodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::Rs256 => DecodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::EdDsa => DecodingKey::from_ed_pem(pem.as_bytes()),
        };
        let decoded = decode::<Value>(token.unwrap(), &decoding.expect("a key"), &validation(algorithm));
        assert_eq!(decoded.expect("a valid token").claims, claims());
    }
}

#[test]
fn our_key_ids_match_the_thumbprints_that_it_computes() {
    for algorithm in Algorithm::ALL {
        let jwk: jsonwebtoken::jwk::Jwk = serde_json::from_value(key(algorithm).jwk().to_json()).expect("a key");
        assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), key(algorithm).jwk().key_id().as_str());
    }
}

#[test]
fn we_verify_its_tokens() {
    for algorithm in Algorithm::ALL {
        let pkcs8 = SigningKey::generate(algorithm).expect("a key");
        let header = Header { kid: Some("any".to_owned()), ..Header::new(theirs(algorithm)) };
        let token = encode(&header, &claims(), &encoding_key(algorithm, &pkcs8)).expect("a token");

        let ours = SigningKey::from_pkcs8(algorithm, &pkcs8).expect("the key");
        let jwt = UnverifiedJwt::parse(&token).expect("a JWT");
        assert_eq!(jwt.key_id().map(|id| id.to_string()).as_deref(), Some("any"));
        assert_eq!(jwt.media_type().as_deref(), Some("jwt"));
        let verified = jwt.verify(&VerifyingKey::from_jwk(ours.jwk()).unwrap()).expect("verified claims");
        assert_eq!(Value::Object(verified), claims());

        let stranger = VerifyingKey::from_jwk(key(algorithm).jwk()).unwrap();
        assert!(UnverifiedJwt::parse(&token).unwrap().verify(&stranger).is_err(), "{algorithm}");
    }
}

#[test]
fn we_parse_its_public_keys() {
    // It only exports an Edwards key from the older PKCS #8 without the public half. Ours have it (RFC 8410 §7).
    for algorithm in [Algorithm::Es256, Algorithm::Rs256] {
        let pkcs8 = SigningKey::generate(algorithm).expect("a key");
        let encoding = encoding_key(algorithm, &pkcs8);
        let theirs = jsonwebtoken::jwk::Jwk::from_encoding_key(&encoding, theirs(algorithm)).expect("a key");
        let theirs = serde_json::to_value(theirs).expect("JSON");
        let read = Jwk::parse(theirs.as_object().expect("an object")).expect("a key");
        let ours = SigningKey::from_pkcs8(algorithm, &pkcs8).expect("the key");
        assert_eq!(&read, ours.jwk());
    }
}

/// Its `from_rsa_der` requires PKCS #1 but only fails at the first signature. Its `from_rsa_pem` accepts PKCS #8.
fn encoding_key(algorithm: Algorithm, pkcs8: &[u8]) -> EncodingKey {
    match algorithm {
        Algorithm::Es256 => EncodingKey::from_ec_der(pkcs8),
        Algorithm::EdDsa => EncodingKey::from_ed_der(pkcs8),
        Algorithm::Rs256 => {
            let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(pkcs8));
            EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key")
        }
    }
}
