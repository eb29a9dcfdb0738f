//! The examples in the RFCs, unchanged.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::{Jwk, parse_jwk_set};
use countersign_protocol::jose::jws::{JwsError, UnverifiedJwt};
use countersign_protocol::jose::key::{SigningKey, VerifyingKey};
use countersign_protocol::jose::{base64url, from_base64url};
use serde_json::{Value, json};

use crate::keys::{key, public};

/// The payload of RFC 7515 A.1, A.2, A.3 and A.5.
const JOE: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn jwk(members: Value) -> Jwk {
    Jwk::parse(members.as_object().expect("an object")).expect("a public key")
}

fn assert_says_joe(token: &str, key: &Jwk) {
    let key = VerifyingKey::from_jwk(key).expect("a key");
    let claims = UnverifiedJwt::parse(token).expect("a JWT").verify(&key).expect("verified claims");
    let expected = json!({ "iss": "joe", "exp": 1_300_819_380, "http://example.com/is_root": true });
    assert_eq!(Value::Object(claims), expected);
    let tampered = token.replacen("eyJpc3MiOiJqb2Ui", "eyJpc3MiOiJqaW0i", 1);
    assert_eq!(UnverifiedJwt::parse(&tampered).expect("a JWT").verify(&key).err(), Some(JwsError::Signature));
}

#[test]
fn rfc_7515_a_2_rs256_verifies() {
    let key = jwk(json!({
        "kty": "RSA",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2l\
              ZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEM\
              a2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2P\
              AcDTW9gb54h4FRWyuXpoQ",
        "e": "AQAB",
    }));
    let signature = "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds\
                     9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZR\
                     mB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs9\
                     8rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
    assert_eq!(key.algorithm(), Algorithm::Rs256);
    assert_says_joe(&format!("eyJhbGciOiJSUzI1NiJ9.{JOE}.{signature}"), &key);
}

#[test]
fn rfc_7515_a_3_es256_verifies() {
    let key = jwk(json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    }));
    let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    assert_eq!(key.algorithm(), Algorithm::Es256);
    assert_says_joe(&format!("eyJhbGciOiJFUzI1NiJ9.{JOE}.{signature}"), &key);
}

#[test]
fn rfc_7515_a_1_hs256_and_a_5_unsecured_are_refused() {
    let mac = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    let hs256 = format!("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{JOE}.{mac}");
    let unsecured = format!("eyJhbGciOiJub25lIn0.{JOE}.");
    for token in [hs256, unsecured] {
        for algorithm in Algorithm::ALL {
            let jwt = UnverifiedJwt::parse(&token).expect("a JWT");
            assert_eq!(jwt.verify(&public(key(algorithm))).err(), Some(JwsError::Algorithm));
        }
    }
}

#[test]
fn rfc_7515_e_an_extension_that_must_be_understood_is_refused() {
    // Its payload is not JSON. Ours is.
    let header = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvb\
                  S9VTkRFRklORUQiOnRydWUNCn0";
    let token = format!("{header}.{JOE}.");
    let verified = UnverifiedJwt::parse(&token).expect("a JWT").verify(&public(key(Algorithm::Es256)));
    assert_eq!(verified.err(), Some(JwsError::Critical));
}

const RSA_2011: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXj\
                        BZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs\
                        8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G\
                        _xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw";

#[test]
fn rfc_7517_a_1_a_key_set_is_parsed_and_its_encryption_key_skipped() {
    let set = json!({ "keys": [
        {
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "use": "enc",
            "kid": "1",
        },
        { "kty": "RSA", "n": RSA_2011, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29" },
    ] });
    let mut keys = parse_jwk_set(set.as_object().unwrap()).expect("a set");
    assert_eq!(keys.len(), 1);
    let rsa = keys.remove(0);
    assert_eq!((rsa.algorithm(), rsa.key_id().as_str()), (Algorithm::Rs256, "2011-04-29"));
    assert!(VerifyingKey::from_jwk(&rsa).is_ok());

    // Without its `use`, the other one is an ordinary key.
    let mut ec = set["keys"][0].clone();
    ec.as_object_mut().unwrap().remove("use");
    assert_eq!(VerifyingKey::from_jwk(&jwk(ec)).unwrap().key_id().as_str(), "1");
}

#[test]
fn rfc_7638_3_1_the_thumbprint_is_the_key_id() {
    let key = jwk(json!({ "kty": "RSA", "n": RSA_2011, "e": "AQAB", "alg": "RS256" }));
    assert_eq!(key.key_id().as_str(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

const ED25519_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// RFC 8037 A.1 as PKCS #8 (RFC 8410 §7): the fixed prefix of an Ed25519 private key, then its 32 bytes.
fn rfc_8037_key() -> SigningKey {
    let prefix = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
    let pkcs8 = [&prefix[..], &from_base64url(ED25519_D).expect("base64url")].concat();
    SigningKey::from_pkcs8(Algorithm::EdDsa, &pkcs8).expect("a key")
}

#[test]
fn rfc_8037_a_1_to_a_3_the_public_key_and_its_thumbprint_are_derived_from_the_private_key() {
    let key = rfc_8037_key();
    assert_eq!(key.jwk().to_json()["x"], ED25519_X);
    assert_eq!(key.jwk().key_id().as_str(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    assert_eq!(&jwk(json!({ "kty": "OKP", "crv": "Ed25519", "x": ED25519_X })), key.jwk());

    let private = json!({ "kty": "OKP", "crv": "Ed25519", "d": ED25519_D, "x": ED25519_X });
    assert_eq!(Jwk::parse(private.as_object().unwrap()), None);
}

#[test]
fn rfc_8037_a_4_and_a_5_the_signature_matches_and_verifies() {
    let input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    let key = rfc_8037_key();
    assert_eq!(base64url(&key.sign(input.as_bytes()).unwrap()), signature);
    assert!(public(&key).verifies(input.as_bytes(), &from_base64url(signature).unwrap()));
    // Its payload is a sentence, so it is not a JWT.
    let jws = format!("{input}.{signature}");
    assert_eq!(UnverifiedJwt::parse(&jws).err(), Some(JwsError::Payload));
}
