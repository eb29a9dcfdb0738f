//! Whatever is signed verifies, and any modification is refused.

use countersign_protocol::jose::algorithm::Algorithm;
use countersign_protocol::jose::jws::{UnverifiedJwt, encode_header, sign};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};

use crate::keys::{key, public};

/// Any JSON, nested as deeply as a claim may reasonably be.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|halves| Value::from(f64::from(halves) / 2.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn payload() -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::btree_map(any::<String>(), json(), 0..8).prop_map(|members| members.into_iter().collect())
}

fn algorithm() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL.to_vec())
}

fn signed(algorithm: Algorithm, payload: &Map<String, Value>) -> String {
    let bytes = serde_json::to_vec(payload).expect("JSON");
    sign(key(algorithm), &encode_header(key(algorithm), "at+jwt"), &bytes).expect("a signature")
}

fn verifies(token: &str, algorithm: Algorithm) -> bool {
    UnverifiedJwt::parse(token).and_then(|jwt| jwt.verify(&public(key(algorithm)))).is_ok()
}

proptest! {
    #[test]
    fn any_signed_object_is_parsed_unchanged(algorithm in algorithm(), payload in payload()) {
        let token = signed(algorithm, &payload);
        let jwt = UnverifiedJwt::parse(&token).expect("a JWT");
        prop_assert_eq!(jwt.claims(), &payload);
        prop_assert_eq!(jwt.key_id(), Some(key(algorithm).jwk().key_id().clone()));
        prop_assert_eq!(jwt.verify(&public(key(algorithm))), Ok(payload));
    }

    #[test]
    fn a_token_with_one_bit_flipped_is_refused(
        algorithm in algorithm(), payload in payload(), at in any::<Index>(), bit in 0_u32..7,
    ) {
        let mut bytes = signed(algorithm, &payload).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        // A token is ASCII, and the change keeps it so.
        let changed = String::from_utf8(bytes).expect("ASCII");
        prop_assert!(!verifies(&changed, algorithm), "{changed}");
    }

    #[test]
    fn a_token_with_one_character_changed_added_or_removed_is_refused(
        algorithm in algorithm(), payload in payload(), at in any::<Index>(), other in any::<char>(),
    ) {
        let token = signed(algorithm, &payload);
        let at = at.index(token.len());
        let (before, after) = (&token[..at], &token[at + 1..]);
        if !token[at..].starts_with(other) {
            let changed = format!("{before}{other}{after}");
            prop_assert!(!verifies(&changed, algorithm), "{changed}");
        }
        let longer = format!("{before}{other}{}", &token[at..]);
        prop_assert!(!verifies(&longer, algorithm), "{longer}");
        let shorter = format!("{before}{after}");
        prop_assert!(!verifies(&shorter, algorithm), "{shorter}");
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in any::<String>(), parts in "[A-Za-z0-9_.=-]{0,200}") {
        for text in [text, parts] {
            for algorithm in Algorithm::ALL {
                prop_assert!(!verifies(&text, algorithm));
            }
        }
    }

    #[test]
    fn a_token_does_not_verify_with_another_key(
        algorithm in algorithm(), other in algorithm(), payload in payload(),
    ) {
        prop_assert_eq!(verifies(&signed(algorithm, &payload), other), algorithm == other);
    }
}
