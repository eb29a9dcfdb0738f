//! Every malformed JWS has a named error.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jws::{JwsError, MAX_JWS_BYTES, UnverifiedJwt};
use countersign_protocol::jose::key::SigningKey;
use countersign_protocol::jose::{base64url, from_base64url};
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::keys::{key, new_key, public, sign};

const HEADER: &str = r#"{"alg":"ES256"}"#;
const PAYLOAD: &str = r#"{"sub":"job"}"#;

fn read(token: &str, key: &SigningKey) -> Result<Value, JwsError> {
    UnverifiedJwt::parse(token)?.verify(&public(key)).map(Value::Object)
}

fn es256() -> &'static SigningKey {
    key(Algorithm::Es256)
}

#[test]
fn tokens_without_three_canonical_parts_are_refused() {
    let good = sign(es256(), HEADER, PAYLOAD);
    assert_eq!(read(&good, es256()), Ok(json!({ "sub": "job" })));
    let parts: Vec<&str> = good.split('.').collect();
    let [h, p, s] = parts[..] else { panic!("three parts") };
    let rows = [
        String::new(),
        ".".to_owned(),
        h.to_owned(),
        format!("{h}.{p}"),
        format!("{h}.{p}.{s}."),
        format!(".{h}.{p}.{s}"),
        format!("{h}..{p}.{s}"),
        format!("{h}.{p}.{s}.{s}"),
        format!("{h}.{p}.{s}.{s}.{s}"),
        format!("{h}=.{p}.{s}"),
        format!("{h}.{p}===.{s}"),
        format!("{h}.{p}.{s}=="),
        format!("{h}.{p}.{s}%3D%3D"),
        format!("{h}.{p}.{}+/", &s[2..]),
        format!(" {good}"),
        format!("{good} "),
        format!("{good}\n"),
        format!("{good}\0"),
        format!("{h}.\n{p}.{s}"),
        format!("{h} .{p}.{s}"),
        format!("Bearer {good}"),
        format!("{h}.{p}.{s}é"),
    ];
    for row in rows {
        assert_eq!(read(&row, es256()), Err(JwsError::Shape), "{row:?}");
    }
}

#[test]
fn the_spare_bits_of_a_last_digit_must_be_zero() {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 64 bytes are 85 digits and a third of one. Of the sixteen spellings of the last digit, one is canonical.
    let good = sign(es256(), HEADER, PAYLOAD);
    let (rest, last) = good.split_at(good.len() - 1);
    let canonical = DIGITS.find(last).unwrap();
    assert_eq!(canonical % 16, 0);
    for spare in 1..16 {
        let other = &DIGITS[canonical + spare..=canonical + spare];
        assert_eq!(read(&format!("{rest}{other}"), es256()), Err(JwsError::Shape), "{other}");
    }
}

#[test]
fn tokens_that_are_too_long_are_not_split() {
    assert_eq!(read(&"a".repeat(MAX_JWS_BYTES), es256()), Err(JwsError::Shape));
    assert_eq!(read(&"a".repeat(MAX_JWS_BYTES + 1), es256()), Err(JwsError::TooLong));
    let long = sign(es256(), HEADER, &json!({ "sub": "x".repeat(MAX_JWS_BYTES) }).to_string());
    assert_eq!(read(&long, es256()), Err(JwsError::TooLong));
}

#[test]
fn a_signed_header_that_is_malformed_or_has_duplicates_is_refused() {
    let rows = [
        r"",
        r"{}",
        r"[]",
        r#""ES256""#,
        r#"{"alg":"ES256""#,
        r#"{"alg":"ES256"} {}"#,
        r#"{"alg":"ES256",}"#,
        r#"{'alg':'ES256'}"#,
        "\u{feff}{\"alg\":\"ES256\"}",
        r#"{"alg":"ES256","alg":"ES256"}"#,
        r#"{"alg":"ES256","alg":"none"}"#,
        r#"{"alg":"none","\u0061lg":"ES256"}"#,
        r#"{"alg":"ES256","kid":"a","kid":"b"}"#,
        r#"{"alg":"ES256","jwk":{"kty":"EC","kty":"oct"}}"#,
        r#"{"typ":"at+jwt"}"#,
        r#"{"Alg":"ES256"}"#,
        r#"{"alg":null}"#,
        r#"{"alg":256}"#,
        r#"{"alg":["ES256"]}"#,
        r#"{"alg":"ES256","kid":1}"#,
        r#"{"alg":"ES256","kid":null}"#,
        r#"{"alg":"ES256","kid":["a"]}"#,
        r#"{"alg":"ES256","typ":7}"#,
        r#"{"alg":"ES256","typ":null}"#,
    ];
    for header in rows {
        assert_eq!(read(&sign(es256(), header, PAYLOAD), es256()), Err(JwsError::Header), "{header}");
    }
    let invalid_utf8 = format!("{}.{}.", base64url(b"{\"alg\":\"\xff\"}"), base64url(b"{}"));
    assert_eq!(read(&invalid_utf8, es256()), Err(JwsError::Header));
}

#[test]
fn a_header_with_crit_is_always_refused() {
    for crit in [r#"["b64"]"#, r#"["exp"]"#, r#"["alg"]"#, "[]", "null", "true", r#""b64""#] {
        let header = format!(r#"{{"alg":"ES256","b64":true,"exp":1,"crit":{crit}}}"#);
        assert_eq!(read(&sign(es256(), &header, PAYLOAD), es256()), Err(JwsError::Critical), "{header}");
    }
}

#[test]
fn a_signed_payload_that_is_not_an_object_or_has_duplicates_is_refused() {
    let rows = [
        "",
        "[]",
        "null",
        "1",
        r#""sub""#,
        r#"{"sub":"job""#,
        r#"{"sub":"job"}{"sub":"root"}"#,
        r#"{"sub":"job","sub":"job"}"#,
        r#"{"sub":"job","su\u0062":"root"}"#,
        r#"{"cnf":{"jkt":"a","jkt":"b"}}"#,
        r#"{"aud":[{"a":1,"a":2}]}"#,
        r#"{"exp":1e999}"#,
        r#"{"exp":NaN}"#,
        r#"{"exp":01}"#,
        "{\"sub\":\"a\nb\"}",
    ];
    for payload in rows {
        assert_eq!(read(&sign(es256(), HEADER, payload), es256()), Err(JwsError::Payload), "{payload}");
    }
}

#[test]
fn the_key_decides_the_algorithm_and_the_token_must_agree() {
    for algorithm in Algorithm::ALL {
        for alg in ["none", "None", "NONE", "", "HS256", "es256", "ES256 ", "ES384", "PS256", "RS512", "Ed448", "dir"] {
            let token = sign(key(algorithm), &json!({ "alg": alg }).to_string(), PAYLOAD);
            assert_eq!(read(&token, key(algorithm)), Err(JwsError::Algorithm), "{algorithm} {alg}");
        }
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            // Signed by another key, and signed by this key under another one's name.
            let foreign = sign(key(other), &json!({ "alg": other.as_str() }).to_string(), PAYLOAD);
            assert_eq!(read(&foreign, key(algorithm)), Err(JwsError::Algorithm), "{algorithm} {other}");
            let renamed = sign(key(algorithm), &json!({ "alg": other.as_str() }).to_string(), PAYLOAD);
            assert_eq!(read(&renamed, key(algorithm)), Err(JwsError::Algorithm), "{algorithm} {other}");
            let mistaken = sign(key(other), &json!({ "alg": algorithm.as_str() }).to_string(), PAYLOAD);
            assert_eq!(read(&mistaken, key(algorithm)), Err(JwsError::Signature), "{algorithm} {other}");
        }
    }
}

#[test]
fn an_edwards_key_may_also_be_named_ed25519_and_no_other_key() {
    for algorithm in Algorithm::ALL {
        let token = sign(key(algorithm), r#"{"alg":"Ed25519"}"#, PAYLOAD);
        let expected = match algorithm {
            Algorithm::EdDsa => Ok(json!({ "sub": "job" })),
            _ => Err(JwsError::Algorithm),
        };
        assert_eq!(read(&token, key(algorithm)), expected, "{algorithm}");
    }
}

#[test]
fn a_public_key_used_as_an_hmac_secret_is_refused() {
    for algorithm in Algorithm::ALL {
        let jwk = key(algorithm).jwk().to_json();
        let number = jwk.get("n").or_else(|| jwk.get("x")).and_then(Value::as_str).unwrap();
        for secret in [jwk.to_string().into_bytes(), number.as_bytes().to_vec(), from_base64url(number).unwrap()] {
            let secret = EncodingKey::from_secret(&secret);
            let token = encode(&Header::default(), &json!({ "sub": "job" }), &secret).unwrap();
            assert_eq!(read(&token, key(algorithm)), Err(JwsError::Algorithm), "{algorithm}");
        }
    }
}

#[test]
fn only_a_signature_by_the_key_over_exactly_these_bytes_is_valid() {
    let rs256 = key(Algorithm::Rs256);
    for algorithm in Algorithm::ALL {
        let header = json!({ "alg": algorithm.as_str() }).to_string();
        let good = sign(key(algorithm), &header, PAYLOAD);
        let (signed, signature) = good.rsplit_once('.').unwrap();
        let signature = from_base64url(signature).unwrap();
        let length = signature.len();
        let rows = [
            Vec::new(),
            vec![0; length],
            vec![1; length],
            vec![0xff; length],
            signature[..length - 1].to_vec(),
            signature[1..].to_vec(),
            [&signature[..], &[0]].concat(),
            [&[0], &signature[..]].concat(),
            [&signature[..], &signature[..]].concat(),
            signature.iter().rev().copied().collect(),
            rs256.sign(b"something else").unwrap(),
        ];
        for row in rows {
            let token = format!("{signed}.{}", base64url(&row));
            assert_eq!(read(&token, key(algorithm)), Err(JwsError::Signature), "{algorithm} {row:?}");
        }
        let stranger = sign(&new_key(algorithm), &header, PAYLOAD);
        assert_eq!(read(&stranger, key(algorithm)), Err(JwsError::Signature), "{algorithm}");
        // The same content, encoded differently.
        let spaced = format!("{}.{}", base64url(format!(" {header}").as_bytes()), &good[good.find('.').unwrap() + 1..]);
        assert_eq!(read(&spaced, key(algorithm)), Err(JwsError::Signature), "{algorithm}");
    }
}

#[test]
fn an_ecdsa_signature_in_der_is_refused() {
    let good = sign(es256(), HEADER, PAYLOAD);
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature = from_base64url(signature).unwrap();
    let (r, s) = (integer(&signature[..32]), integer(&signature[32..]));
    let der = [&[0x30, u8::try_from(r.len() + s.len()).unwrap()], &r[..], &s[..]].concat();
    assert_eq!(read(&format!("{signed}.{}", base64url(&der)), es256()), Err(JwsError::Signature));
}

/// A positive INTEGER in DER.
fn integer(bytes: &[u8]) -> Vec<u8> {
    let mut digits: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
    if digits.first().is_some_and(|first| *first >= 0x80) {
        digits.insert(0, 0);
    }
    let length = u8::try_from(digits.len()).expect("a short number");
    [&[2, length], &digits[..]].concat()
}

#[test]
fn keys_and_urls_in_the_header_are_ignored() {
    let attacker = new_key(Algorithm::Es256);
    let brought = |kid: &str| {
        let header = json!({
            "alg": "ES256",
            "kid": kid,
            "jwk": attacker.jwk().to_json(),
            "jku": "https://attacker/keys",
            "x5u": "https://attacker/chain",
            "x5c": ["MIIB"],
            "x5t": "AAAA",
        });
        header.to_string()
    };
    let forged = sign(&attacker, &brought(es256().jwk().key_id().as_str()), PAYLOAD);
    assert_eq!(read(&forged, es256()), Err(JwsError::Signature));
    // They do no harm either: what our key has signed is valid.
    let ours = sign(es256(), &brought("anything"), PAYLOAD);
    assert_eq!(read(&ours, es256()), Ok(json!({ "sub": "job" })));
}
