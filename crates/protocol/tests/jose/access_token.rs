//! The validation of access tokens, claim by claim.

use std::sync::Arc;

use countersign_protocol::UnixTime;
use countersign_protocol::access_token::{Examination, Expected, KeySource, TokenFault, check, examine};
use countersign_protocol::claims::Claims;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jwk::KeyId;
use countersign_protocol::jose::jws::{JwsError, encode_header};
use countersign_protocol::jose::key::VerifyingKey;
use countersign_protocol::revocation::Ended;
use serde_json::{Value, json};

use crate::keys::{key, new_key, public, sign};

const NOW: UnixTime = 1_750_000_000;
const ALGORITHM: Algorithm = Algorithm::Es256;

/// A key, and what else the verifier knows.
struct Known {
    key: Arc<VerifyingKey>,
    is_stale: bool,
    ended: Option<Ended>,
}

impl Known {
    fn new() -> Self {
        Self { key: Arc::new(public(key(ALGORITHM))), is_stale: false, ended: None }
    }
}

impl KeySource for Known {
    fn check_current(&self) -> Result<(), TokenFault> {
        if self.is_stale { Err(TokenFault::Stale) } else { Ok(()) }
    }

    fn find_key(&self, key_id: &KeyId) -> Option<Arc<VerifyingKey>> {
        (key_id == self.key.key_id()).then(|| self.key.clone())
    }

    fn check_alive(&self, _: &Claims) -> Result<(), Ended> {
        self.ended.clone().map_or(Ok(()), Err)
    }
}

fn good() -> Value {
    json!({
        "iss": "https://issuer",
        "sub": "job",
        "aud": "https://api",
        "client_id": "job",
        "iat": NOW,
        "exp": NOW + 3600,
        "jti": "j1",
        "scope": "read write",
        "auth_time": NOW,
        "unique_name": "job",
        "rev": "7.0",
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().expect("an object").remove(name);
    claims
}

/// Signs as the server does.
fn token(claims: &Value) -> String {
    let header = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{}"}}"#, key(ALGORITHM).jwk().key_id());
    sign(key(ALGORITHM), &header, &claims.to_string())
}

fn judge_text(text: &str, known: &Known) -> Result<Claims, TokenFault> {
    let expected = Expected { issuer: "https://issuer", audience: Some("https://api") };
    let checked = check(text, known, expected, NOW);
    assert_eq!(all_hold(examine(text, known, expected, NOW)), checked.is_ok(), "the examination agrees with the check");
    checked
}

fn all_hold(examined: Result<Examination, TokenFault>) -> bool {
    let all = |examined: Examination| {
        let Examination { signature, issuer, audience, time, revocation } = examined;
        signature.and(issuer).and(audience).and(time).and(revocation).is_ok()
    };
    examined.is_ok_and(all)
}

fn judge(claims: &Value) -> Result<Claims, TokenFault> {
    judge_text(&token(claims), &Known::new())
}

#[test]
fn a_valid_token_is_parsed_completely() {
    let claims = judge(&good()).expect("accepted");
    assert_eq!((claims.issuer.as_str(), claims.subject.as_str()), ("https://issuer", "job"));
    assert_eq!((claims.client_id.as_str(), claims.token_id.as_str()), ("job", "j1"));
    assert_eq!(claims.audiences, ["https://api"]);
    assert_eq!((claims.issued_at, claims.expires_at, claims.auth_time), (NOW, NOW + 3600, Some(NOW)));
    assert_eq!((claims.scope.to_string().as_str(), claims.unique_name.as_deref()), ("read write", Some("job")));
    assert_eq!(claims.revision.map(|revision| revision.to_string()).as_deref(), Some("7.0"));
    assert_eq!(claims.key_id.as_ref(), Some(key(ALGORITHM).jwk().key_id()));
}

#[test]
fn a_missing_or_mistyped_claim_is_named() {
    for name in ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"] {
        assert_eq!(judge(&without(name)).err(), Some(TokenFault::Claim(name)), "without {name}");
    }
    for name in ["scope", "auth_time", "unique_name", "rev"] {
        assert!(judge(&without(name)).is_ok(), "without {name}");
    }
    for name in ["iss", "sub", "aud", "client_id", "jti", "scope", "unique_name", "rev"] {
        for wrong in [json!(null), json!(1), json!(true), json!({}), json!([1])] {
            assert_eq!(judge(&with(name, wrong.clone())).err(), Some(TokenFault::Claim(name)), "{name} {wrong}");
        }
    }
    for name in ["iat", "exp", "nbf", "auth_time"] {
        let text = NOW.to_string();
        for wrong in [json!(null), json!(text), json!(""), json!(true), json!([NOW]), json!({}), json!(1e300)] {
            assert_eq!(judge(&with(name, wrong.clone())).err(), Some(TokenFault::Claim(name)), "{name} {wrong}");
        }
    }
    for wrong in ["1", "-1.0", "1.x", ""] {
        assert_eq!(judge(&with("rev", json!(wrong))).err(), Some(TokenFault::Claim("rev")), "{wrong}");
    }
}

#[test]
fn expiry_has_no_leeway_and_iat_may_be_ten_seconds_ahead() {
    let rows = [
        ("exp", NOW + 1, None),
        ("exp", NOW, Some(TokenFault::Expired)),
        ("exp", NOW - 1, Some(TokenFault::Expired)),
        ("exp", 0, Some(TokenFault::Expired)),
        ("exp", i64::MIN, Some(TokenFault::Expired)),
        ("iat", 0, None),
        ("iat", i64::MIN, None),
        ("iat", NOW + 10, None),
        ("iat", NOW + 11, Some(TokenFault::NotYetValid)),
        ("iat", i64::MAX, Some(TokenFault::NotYetValid)),
        ("nbf", NOW - 1, None),
        ("nbf", NOW + 10, None),
        ("nbf", NOW + 11, Some(TokenFault::NotYetValid)),
        ("nbf", i64::MAX, Some(TokenFault::NotYetValid)),
    ];
    for (name, date, fault) in rows {
        assert_eq!(judge(&with(name, json!(date))).err(), fault, "{name} {date}");
    }
}

#[test]
fn fractions_of_seconds_are_ignored() {
    let rows = [
        ("exp", 1_750_000_001.0, None),
        ("exp", 1_750_000_000.5, Some(TokenFault::Expired)),
        ("iat", 1_750_000_010.5, None),
        ("iat", 1_750_000_011.0, Some(TokenFault::NotYetValid)),
        ("exp", -0.5, Some(TokenFault::Expired)),
    ];
    for (name, date, fault) in rows {
        assert_eq!(judge(&with(name, json!(date))).err(), fault, "{name} {date}");
    }
}

#[test]
fn issuer_and_audience_must_match_exactly() {
    for issuer in ["https://issuer/", "https://ISSUER", "http://issuer", "https://issuer.evil", "", " https://issuer"] {
        assert_eq!(judge(&with("iss", json!(issuer))).err(), Some(TokenFault::Issuer), "{issuer}");
    }
    for audience in [json!("https://api/"), json!("https://API"), json!(""), json!([]), json!(["https://other"])] {
        assert_eq!(judge(&with("aud", audience.clone())).err(), Some(TokenFault::Audience), "{audience}");
    }
    let several = judge(&with("aud", json!(["https://other", "https://api"]))).expect("accepted");
    assert_eq!(several.audiences, ["https://other", "https://api"]);
    assert_eq!(judge(&with("aud", json!(["https://api", 1]))).err(), Some(TokenFault::Claim("aud")));

    let anyone = Expected { issuer: "https://issuer", audience: None };
    let elsewhere = token(&with("aud", json!("https://other")));
    assert!(check(&elsewhere, &Known::new(), anyone, NOW).is_ok());
}

#[test]
fn only_the_media_type_of_access_tokens_is_accepted() {
    let kid = key(ALGORITHM).jwk().key_id();
    let judge_typ = |typ: &str| {
        let header = format!(r#"{{"typ":"{typ}","alg":"ES256","kid":"{kid}"}}"#);
        judge_text(&sign(key(ALGORITHM), &header, &good().to_string()), &Known::new())
    };
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert!(judge_typ(typ).is_ok(), "{typ}");
    }
    for typ in ["JWT", "", "at", "at+jwt ", "at+jwt;v=1", "id+jwt", "application/application/at+jwt", "x/at+jwt"] {
        assert_eq!(judge_typ(typ).err(), Some(TokenFault::MediaType), "{typ}");
    }
    let untyped = format!(r#"{{"alg":"ES256","kid":"{kid}"}}"#);
    let untyped = sign(key(ALGORITHM), &untyped, &good().to_string());
    assert_eq!(judge_text(&untyped, &Known::new()).err(), Some(TokenFault::MediaType));
}

#[test]
fn the_key_must_be_known_by_its_id_and_match_the_signature() {
    let stranger = new_key(ALGORITHM);
    let unknown = sign(&stranger, r#"{"typ":"at+jwt","alg":"ES256","kid":"x"}"#, &good().to_string());
    assert_eq!(judge_text(&unknown, &Known::new()).err(), Some(TokenFault::UnknownKey));
    let unnamed = sign(key(ALGORITHM), r#"{"typ":"at+jwt","alg":"ES256"}"#, &good().to_string());
    assert_eq!(judge_text(&unnamed, &Known::new()).err(), Some(TokenFault::UnknownKey));

    let kid = key(ALGORITHM).jwk().key_id();
    let forged = format!(r#"{{"typ":"at+jwt","alg":"ES256","kid":"{kid}"}}"#);
    let forged = sign(&stranger, &forged, &good().to_string());
    assert_eq!(judge_text(&forged, &Known::new()).err(), Some(TokenFault::Jws(JwsError::Signature)));
    let none = format!(r#"{{"typ":"at+jwt","alg":"none","kid":"{kid}"}}"#);
    let none = sign(key(ALGORITHM), &none, &good().to_string());
    assert_eq!(judge_text(&none, &Known::new()).err(), Some(TokenFault::Jws(JwsError::Algorithm)));
    assert_eq!(judge_text("", &Known::new()).err(), Some(TokenFault::Jws(JwsError::Shape)));
}

#[test]
fn revoked_tokens_are_invalid_and_a_stale_registry_decides_nothing() {
    let text = token(&good());
    let ended = Known { ended: Some(Ended::ClientEpoch), ..Known::new() };
    assert_eq!(judge_text(&text, &ended).err(), Some(TokenFault::Ended(Ended::ClientEpoch)));
    let stale = Known { is_stale: true, ..Known::new() };
    assert_eq!(judge_text(&text, &stale).err(), Some(TokenFault::Stale));
    assert_eq!(judge_text("nonsense", &stale).err(), Some(TokenFault::Stale));
}

#[test]
fn the_servers_own_header_is_accepted() {
    let header = encode_header(key(ALGORITHM), "at+jwt");
    let payload = good().to_string();
    let text = countersign_protocol::jose::jws::sign(key(ALGORITHM), &header, payload.as_bytes()).unwrap();
    assert!(judge_text(&text, &Known::new()).is_ok());
    assert_eq!(text, format!("{}.{}", token(&good()).rsplit_once('.').unwrap().0, text.rsplit_once('.').unwrap().1));
}

#[test]
fn an_examination_runs_each_check_independently() {
    let expected = Expected { issuer: "https://issuer", audience: Some("https://api") };
    let examine = |text: &str, known: &Known| examine(text, known, expected, NOW).expect("a JWT");
    let mut wrong = good();
    wrong["iss"] = json!("https://other");
    wrong["aud"] = json!("https://other");
    wrong["exp"] = json!(NOW);
    let (signed, known) = (token(&wrong), Known { ended: Some(Ended::ClientGone), ..Known::new() });
    let found = examine(&signed, &known);
    assert_eq!((found.signature, found.issuer), (Ok(()), Err(TokenFault::Issuer)));
    assert_eq!((found.audience, found.time), (Err(TokenFault::Audience), Err(TokenFault::Expired)));
    assert_eq!(found.revocation, Err(TokenFault::Ended(Ended::ClientGone)));
    let genuine = token(&good());
    // The signature of another payload. A character changed by hand might have the same value.
    let forged = format!("{}.{}", genuine.rsplit_once('.').unwrap().0, signed.rsplit_once('.').unwrap().1);
    let found = examine(&forged, &Known::new());
    assert_eq!(found.signature, Err(TokenFault::Jws(JwsError::Signature)));
    assert!(found.issuer.and(found.audience).and(found.time).and(found.revocation).is_ok());
}

#[test]
fn a_missing_claim_only_fails_the_checks_that_read_it() {
    let expected = Expected { issuer: "https://issuer", audience: Some("https://api") };
    for (name, failing) in [
        ("iss", &["issuer"][..]),
        // The audience identifies the API whose tokens may have been revoked.
        ("aud", &["audience", "revocation"]),
        ("iat", &["time"]),
        ("exp", &["time"]),
        ("sub", &["revocation"]),
        ("client_id", &["revocation"]),
        ("jti", &["revocation"]),
    ] {
        let text = token(&without(name));
        let Examination { signature, issuer, audience, time, revocation } =
            examine(&text, &Known::new(), expected, NOW).expect("a JWT");
        for (check, found) in [
            ("signature", signature),
            ("issuer", issuer),
            ("audience", audience),
            ("time", time),
            ("revocation", revocation),
        ] {
            let wanted = if failing.contains(&check) { Err(TokenFault::Claim(name)) } else { Ok(()) };
            assert_eq!(found, wanted, "without {name}: {check}");
        }
    }
}
