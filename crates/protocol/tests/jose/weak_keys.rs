//! Keys that are weak, malformed, private, or for another use.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::base64url;
use countersign_protocol::jose::jwk::{Jwk, KeyMaterial};
use countersign_protocol::jose::key::{SigningKey, VerifyingKey};
use serde_json::{Value, json};

use crate::keys::key;

fn reads(members: &Value) -> bool {
    Jwk::parse(members.as_object().expect("an object")).is_some_and(|jwk| VerifyingKey::from_jwk(&jwk).is_ok())
}

/// A random odd number of this many bits.
fn modulus(bits: usize) -> Vec<u8> {
    let mut n = vec![0xb7; bits.div_ceil(8)];
    n[0] = 1 << ((bits - 1) % 8);
    n
}

#[test]
fn an_rsa_key_below_2048_bits_is_refused() {
    let weak = [512, 1024, 2040, 2041, 2047].map(|bits| (bits, false));
    let strong = [2048, 3072, 4096, 8192].map(|bits| (bits, true));
    for (bits, holds) in weak.into_iter().chain(strong) {
        let n = modulus(bits);
        let jwk = json!({ "kty": "RSA", "n": base64url(&n), "e": "AQAB" });
        assert_eq!(reads(&jwk), holds, "{bits}");
        let direct = Jwk::new(Algorithm::Rs256, KeyMaterial::Rsa { n, e: vec![1, 0, 1] });
        assert_eq!(VerifyingKey::from_jwk(&direct).is_ok(), holds, "{bits}");
    }
}

#[test]
fn an_rsa_key_that_could_verify_nothing_or_anything_is_refused_when_parsed() {
    for e in [&[1][..], &[2], &[4], &[1, 0, 0], &[], &[0], &[4, 0, 0, 0, 1]] {
        let jwk = json!({ "kty": "RSA", "n": base64url(&modulus(2048)), "e": base64url(e) });
        assert!(!reads(&jwk), "{e:?}");
    }
    let mut even = modulus(2048);
    even[255] = 2;
    for n in [even, modulus(8193), vec![0; 256], Vec::new()] {
        let direct = Jwk::new(Algorithm::Rs256, KeyMaterial::Rsa { n, e: vec![1, 0, 1] });
        assert!(VerifyingKey::from_jwk(&direct).is_err());
    }
}

#[test]
fn a_key_with_a_malformed_missing_or_private_member_is_refused() {
    for algorithm in Algorithm::ALL {
        let good = key(algorithm).jwk().to_json();
        assert!(reads(&good));
        let with = |name: &str, value: Value| {
            let mut jwk = good.clone();
            jwk[name] = value;
            jwk
        };
        for name in ["kty", "crv", "n", "e", "x", "y"].into_iter().filter(|name| good.get(name).is_some()) {
            let mut without = good.clone();
            without.as_object_mut().unwrap().remove(name);
            assert!(!reads(&without), "{algorithm} without {name}");
            for wrong in [json!(null), json!(7), json!(""), json!("AAAA"), json!("A=="), json!(["AQAB"])] {
                assert!(!reads(&with(name, wrong.clone())), "{algorithm} {name} {wrong}");
            }
        }
        assert!(!reads(&with("d", json!("AQAB"))), "{algorithm} private");
        assert!(!reads(&with("use", json!("enc"))), "{algorithm} for encryption");
        assert!(!reads(&with("alg", json!("PS256"))), "{algorithm} of another algorithm");
    }
    for other in [json!({ "kty": "oct", "k": "AAAA" }), json!({ "kty": "OKP", "crv": "X25519", "x": "AAAA" })] {
        assert!(!reads(&other), "{other}");
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_refused() {
    let mut jwk = key(Algorithm::Es256).jwk().to_json();
    jwk["y"] = jwk["x"].clone();
    assert!(!reads(&jwk));
    let zero = base64url(&[0; 32]);
    assert!(!reads(&json!({ "kty": "EC", "crv": "P-256", "x": zero, "y": zero })));
}

#[test]
fn a_private_key_is_only_parsed_as_its_own_algorithm() {
    for algorithm in Algorithm::ALL {
        let pkcs8 = SigningKey::generate(algorithm).expect("a key");
        for other in Algorithm::ALL {
            assert_eq!(SigningKey::from_pkcs8(other, &pkcs8).is_ok(), other == algorithm, "{algorithm} {other}");
        }
        assert!(SigningKey::from_pkcs8(algorithm, &pkcs8[..pkcs8.len() - 1]).is_err(), "{algorithm}");
        assert!(SigningKey::from_pkcs8(algorithm, &[]).is_err());
    }
}

#[test]
fn a_signing_key_reveals_only_its_public_half() {
    for algorithm in Algorithm::ALL {
        let shown = format!("{:?}", key(algorithm));
        assert_eq!(shown, format!("SigningKey({}, ********)", key(algorithm).jwk().key_id()));
        assert!(key(algorithm).jwk().to_json().get("d").is_none());
    }
}
