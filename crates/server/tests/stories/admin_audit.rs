//! The audit log: who changed what, with before and after. Changing it without the sealing key is detected.

use countersign_testkit::{Administrator, TestServer};
use serde_json::{Value, json};

/// Six records: the creation of the operator, and five changes.
async fn with_history(server: &TestServer) -> Administrator {
    let operator = server.operator().await;
    for id in ["a", "b", "c"] {
        assert_eq!(operator.post("/clients", json!({ "client_id": id })).await.status, 201);
    }
    assert_eq!(operator.patch("/clients/a", json!({ "owner": "ops" })).await.status, 200);
    assert_eq!(operator.delete("/clients/b").await.status, 204);
    operator
}

#[tokio::test]
async fn every_change_is_recorded_in_full_and_a_refused_one_is_not() {
    let server = TestServer::start().await;
    let operator = with_history(&server).await;
    assert_eq!(operator.post("/clients", json!({ "client_id": "a" })).await.status, 409);
    let records = operator.list("/audit").await;
    let said: Vec<_> = records.iter().map(|record| (record["sequence"].clone(), record["action"].clone())).collect();
    let expected =
        ["operator.create", "client.create", "client.create", "client.create", "client.update", "client.delete"];
    let expected: Vec<_> = (1..).map(|n| json!(n)).zip(expected.map(|action| json!(action))).collect();
    assert_eq!(said, expected);
    let update = &records[4];
    assert_eq!(
        (&update["actor"], &update["target"], &update["address"]),
        (&json!("operator"), &json!("a"), &json!("127.0.0.1"))
    );
    assert_eq!((&update["before"]["owner"], &update["after"]["owner"]), (&json!(""), &json!("ops")));
    assert_eq!((&records[5]["before"]["client_id"], &records[5]["after"]), (&json!("b"), &Value::Null));
    assert_eq!(update["at"], server.state.now());
    assert!(!update["request_id"].as_str().unwrap().is_empty());
    let page = operator.get("/audit?limit=2&after=3").await.json();
    assert_eq!((&page["items"][0]["sequence"], &page["next"]), (&json!(4), &json!("5")));
}

#[tokio::test]
async fn any_row_that_is_changed_removed_moved_or_added_is_detected() {
    let columns = [
        "at = at + 1",
        "actor = 'eve'",
        "address = '192.0.2.1'",
        "request_id = 'x'",
        "action = 'client.forget'",
        "target = 'z'",
        "before_json = '{}'",
        "after_json = '[]'",
        "sequence = 99",
    ];
    let mut ways: Vec<String> = columns
        .iter()
        .flat_map(|set| [1, 3, 6].map(|row| format!("UPDATE audit SET {set} WHERE sequence = {row}")))
        .collect();
    ways.extend([0, -1].map(|row| {
        format!(
            "INSERT INTO audit SELECT {row}, at, actor, address, request_id, action, target, before_json, after_json, \
             mac \
             FROM audit WHERE sequence = 1"
        )
    }));
    ways.extend((1..=5).map(|row| format!("DELETE FROM audit WHERE sequence = {row}")));
    ways.push(
        "UPDATE audit SET sequence = CASE sequence WHEN 3 THEN -1 ELSE sequence END; \
         UPDATE audit SET sequence = 3 WHERE sequence = 4; UPDATE audit SET sequence = 4 WHERE sequence = -1"
            .to_owned(),
    );
    ways.push(
        "UPDATE audit SET mac = (SELECT mac FROM audit AS other WHERE other.sequence = 2) WHERE sequence = 3"
            .to_owned(),
    );
    ways.push(
        "INSERT INTO audit SELECT 7, at, actor, address, request_id, action, target, before_json, after_json, mac \
         FROM audit WHERE sequence = 6"
            .to_owned(),
    );
    let server = TestServer::start().await;
    let operator = with_history(&server).await;
    let whole = operator.get("/audit/verify").await.json();
    assert_eq!(whole, json!({ "intact": true, "records": 6, "fault": null }));
    server.tamper("CREATE TABLE kept AS SELECT * FROM audit");
    for way in ways {
        server.tamper(&way);
        let verdict = operator.get("/audit/verify").await.json();
        assert_eq!(verdict["intact"], false, "{way}: {verdict}");
        assert!(verdict["fault"].as_str().unwrap().contains("record"), "{way}: {verdict}");
        server.tamper("DELETE FROM audit; INSERT INTO audit SELECT * FROM kept");
        assert_eq!(operator.get("/audit/verify").await.json(), whole, "{way}");
    }
}

#[tokio::test]
async fn a_removed_tail_is_detected_with_a_known_head() {
    let server = TestServer::start().await;
    let operator = with_history(&server).await;
    let head = operator.get("/audit/head").await.text("head");
    let verify = async |head: &str| operator.get(&format!("/audit/verify?head={head}")).await.json();
    assert_eq!(verify(&head).await["intact"], true);
    server.tamper("DELETE FROM audit WHERE sequence = 6");
    assert_eq!(
        operator.get("/audit/verify").await.json()["intact"],
        true,
        "without a known head, a removed tail is not detected"
    );
    let verdict = verify(&head).await;
    assert_eq!(verdict["intact"], false);
    assert!(verdict["fault"].as_str().unwrap().contains("the last records were removed"), "{verdict}");

    // Another record is written in its place after the cut, so the head has a different MAC.
    assert_eq!(operator.post("/clients", json!({ "client_id": "d" })).await.status, 201);
    assert_eq!(operator.get("/audit/verify").await.json()["intact"], true);
    assert_eq!(verify(&head).await["intact"], false);
    for wrong in ["6", "x.y", "6.!", "."] {
        let answer = operator.get(&format!("/audit/verify?head={wrong}")).await;
        assert_eq!(answer.problem().2, "head", "{wrong}: {answer}");
    }
}

#[tokio::test]
async fn a_log_from_another_sealing_key_does_not_verify() {
    let (server, other) = (
        TestServer::start().await,
        TestServer::start_with(countersign_testkit::Options { seed: 7, ..Default::default() }).await,
    );
    let (operator, theirs) = (with_history(&server).await, with_history(&other).await);
    let mac = theirs.list("/audit").await[5]["mac"].as_str().unwrap().to_owned();
    assert_ne!(operator.list("/audit").await[5]["mac"], json!(mac));
    let head = other.operator().await.get("/audit/head").await.text("head");
    assert_eq!(operator.get(&format!("/audit/verify?head={head}")).await.json()["intact"], false);
}
