//! Project Wycheproof's test vectors: signatures and keys that have fooled other verifiers.

use std::collections::BTreeMap;

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::{Jwk, KeyMaterial};
use countersign_protocol::jose::key::VerifyingKey;
use wycheproof::TestResult::{self, Acceptable, Invalid, Valid};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify};

/// The number of vectors that were accepted (`true`) and refused (`false`) here, by expected result.
#[derive(Default)]
struct Verdicts(BTreeMap<(&'static str, bool), usize>);

impl Verdicts {
    /// Verifies one vector. `name` identifies it.
    fn judge(&mut self, key: &VerifyingKey, message: &[u8], signature: &[u8], expected: TestResult, name: &str) {
        let accepted = key.verifies(message, signature);
        let word = match expected {
            Valid => "valid",
            Invalid => "invalid",
            Acceptable => "acceptable",
        };
        assert!(
            expected == Acceptable || accepted == (expected == Valid),
            "{name}: {word}, but accepted is {accepted}"
        );
        *self.0.entry((word, accepted)).or_default() += 1;
    }

    fn assert(&self, expected: &[(&'static str, bool, usize)]) {
        let found: Vec<_> = self.0.iter().map(|((word, accepted), count)| (*word, *accepted, *count)).collect();
        assert_eq!(found, expected);
    }
}

/// The key of a group as a JWK, parsed like a key of a JWK Set.
fn from_jwk(group: &serde_json::Value, member: &str) -> Option<VerifyingKey> {
    let members = group[member].as_object()?;
    Some(VerifyingKey::from_jwk(&Jwk::parse(members).expect("a public key")).expect("a usable key"))
}

fn groups(json: &str) -> Vec<serde_json::Value> {
    let set: serde_json::Value = serde_json::from_str(json).expect("JSON");
    set["testGroups"].as_array().expect("groups").clone()
}

/// Pads or trims a big-endian number to 32 bytes.
fn to_32_bytes(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let significant = &number[zeros..];
    [&vec![0; 32 - significant.len()], significant].concat()
}

#[test]
fn es256_accepts_only_valid_signatures() {
    let name = ecdsa::TestName::EcdsaSecp256r1Sha256P1363;
    let (set, raw) = (ecdsa::TestSet::load(name).expect("vectors"), groups(name.json_data()));
    let (mut verdicts, mut jwks) = (Verdicts::default(), 0);
    for (group, raw) in set.test_groups.iter().zip(&raw) {
        let key = VerifyingKey::from_jwk(&from_numbers(&raw["publicKey"])).expect("a usable key");
        let jwk = from_jwk(raw, "publicKeyJwk");
        jwks += usize::from(jwk.is_some());
        for test in &group.tests {
            let name = format!("test {}: {}", test.tc_id, test.comment);
            verdicts.judge(jwk.as_ref().unwrap_or(&key), &test.msg, &test.sig, test.result, &name);
        }
    }
    assert_eq!(jwks, 103, "groups with a JWK");
    verdicts.assert(&[("invalid", false, 89), ("valid", true, 173)]);
}

#[test]
fn eddsa_accepts_only_valid_signatures() {
    let name = eddsa::TestName::Ed25519;
    let (set, raw) = (eddsa::TestSet::load(name).expect("vectors"), groups(name.json_data()));
    let mut verdicts = Verdicts::default();
    for (group, raw) in set.test_groups.iter().zip(&raw) {
        let key = from_jwk(raw, "publicKeyJwk").expect("a JWK");
        for test in &group.tests {
            let name = format!("test {}: {}", test.tc_id, test.comment);
            verdicts.judge(&key, &test.msg, &test.sig, test.result, &name);
        }
    }
    verdicts.assert(&[("invalid", false, 63), ("valid", true, 88)]);
}

/// The one acceptable vector of each size has no NULL after the hash's identifier. RFC 8017 §9.2 note 1 allows a verifier to
/// accept that, but RFC 7518 §3.3 does not require it, so it is refused.
#[test]
fn rs256_accepts_only_valid_signatures() {
    use rsa_pkcs1_verify::TestName::{Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256};
    let mut verdicts = Verdicts::default();
    for name in [Rsa2048Sha256, Rsa3072Sha256, Rsa4096Sha256, Rsa8192Sha256] {
        let (set, raw) = (rsa_pkcs1_verify::TestSet::load(name).expect("vectors"), groups(name.json_data()));
        for (group, raw) in set.test_groups.iter().zip(&raw) {
            let key = from_jwk(raw, "keyJwk").expect("a JWK");
            for test in &group.tests {
                let name = format!("{name:?}, test {}: {}", test.tc_id, test.comment);
                verdicts.judge(&key, &test.msg, &test.sig, test.result, &name);
            }
        }
    }
    verdicts.assert(&[("acceptable", false, 4), ("invalid", false, 999), ("valid", true, 31)]);
}

/// A signature with another hash, encoding or scheme, and a key that would fit.
#[test]
fn a_valid_signature_of_another_algorithm_is_refused() {
    use rsa_pkcs1_verify::TestName::Rsa2048Sha512;
    use wycheproof::rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32;
    for (name, json) in [
        ("ES256 with SHA-512", ecdsa::TestName::EcdsaSecp256r1Sha512P1363.json_data()),
        ("ES256 in DER", ecdsa::TestName::EcdsaSecp256r1Sha256.json_data()),
        ("RS512", Rsa2048Sha512.json_data()),
        ("PS256", RsaPss2048Sha256Mgf1SaltLen32.json_data()),
    ] {
        let mut tried = 0;
        for group in groups(json) {
            let key = VerifyingKey::from_jwk(&from_numbers(&group["publicKey"])).expect("a usable key");
            for test in group["tests"].as_array().expect("tests").iter().filter(|test| test["result"] == "valid") {
                assert!(!key.verifies(&from_hex(&test["msg"]), &from_hex(&test["sig"])), "{name}: {test}");
                tried += 1;
            }
        }
        assert!(tried > 5, "{name}: {tried} valid signatures");
    }
}

#[test]
fn a_jwk_for_another_rsa_algorithm_is_refused() {
    use rsa_pkcs1_verify::TestName::Rsa2048Sha512;
    use wycheproof::rsa_pss_verify::TestName::RsaPss2048Sha256Mgf1SaltLen32;
    for (json, member, alg) in [
        (Rsa2048Sha512.json_data(), "keyJwk", "RS512"),
        (RsaPss2048Sha256Mgf1SaltLen32.json_data(), "publicKeyJwk", "PS256"),
    ] {
        let group = groups(json).swap_remove(0);
        let members = group[member].as_object().expect("a JWK");
        assert_eq!((members["alg"].as_str(), Jwk::parse(members).is_none()), (Some(alg), true));
    }
}

fn from_numbers(key: &serde_json::Value) -> Jwk {
    if key["wx"].is_string() {
        let (x, y) = (to_32_bytes(&from_hex(&key["wx"])), to_32_bytes(&from_hex(&key["wy"])));
        return Jwk::new(Algorithm::Es256, KeyMaterial::P256 { x, y });
    }
    let number = |name: &str| from_hex(&key[name]).into_iter().skip_while(|byte| *byte == 0).collect();
    Jwk::new(Algorithm::Rs256, KeyMaterial::Rsa { n: number("modulus"), e: number("publicExponent") })
}

fn from_hex(text: &serde_json::Value) -> Vec<u8> {
    let text = text.as_str().expect("hexadecimal");
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal")).collect()
}
