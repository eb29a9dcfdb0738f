//! Explanations of refusals, usage, and unused objects on the command line.

use serde_json::json;

use crate::team::{Team, status};

#[tokio::test]
async fn a_refusal_is_explained_by_the_request_id_of_the_response() {
    let team = Team::start().await;
    team.create_billing();
    let wrong = team.serving.actor("nightly-job", "a wrong secret of some length");
    let answer = wrong.token(&[("grant_type", "client_credentials"), ("scope", "invoices:read")]).await;
    let id = answer.header("x-request-id").to_owned();
    let said = team.ok(&format!("explain {id}"));
    for line in [
        "endpoint   token",
        "client     nightly-job",
        "from       127.0.0.1",
        "error      invalid_client",
        "reason     the client has no such secret",
        "fix        use a current secret of this client, or create one: `secret create`",
        "presented  authorization: Basic",
        "           scope: invoices:read",
    ] {
        assert!(said.lines().any(|said| said == line), "{line}: {said}");
    }
    assert!(!said.contains("a wrong secret"), "{said}");
    let told = team.json(&format!("explain {id}"));
    assert_eq!((&told["request_id"], &told["client_id"]), (&json!(id), &json!("nightly-job")));
    assert!(team.fail(3, "explain nothing").contains("nothing"));
    assert!(team.fail(2, "explain").contains("REQUEST_ID"));

    let nobody = team.serving.actor("nobody", "a wrong secret of some length");
    nobody.token(&[("grant_type", "client_credentials")]).await;
    let ids: Vec<String> = team.ok("refusal list --quiet").lines().map(str::to_owned).collect();
    assert!(ids.len() == 2 && ids.contains(&id), "{ids:?}");
    assert_eq!(team.ok("refusal list --client nightly-job --quiet"), format!("{id}\n"));
    assert_eq!(team.json("refusal list --limit 1").as_array().unwrap().len(), 1);
    let head = team.ok("refusal list").lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head, "REQUEST AT (UTC) CLIENT ENDPOINT ERROR REASON");
    assert!(team.fail(1, "refusal list --limit 1001").starts_with("countersign: --limit: "));
    team.serving.stop();
}

#[tokio::test]
async fn uses_are_counted_and_unused_objects_listed() {
    let team = Team::start().await;
    let job = team.create_billing();
    team.create_client("idle");
    for _ in 0..3 {
        job.client_credentials("invoices:read").await;
    }
    let rows = team.json("usage list --client nightly-job");
    let sum: i64 = rows.as_array().unwrap().iter().filter_map(|row| row["tokens"].as_i64()).sum();
    assert_eq!((sum, &rows[0]["api"], &rows[0]["grant"]), (3, &json!("billing"), &json!("client_credentials")));
    assert_eq!(team.json("usage list --client nightly-job --to 2026-01-01T00:00:00Z"), json!([]));
    assert_eq!(team.json("usage list --client nightly-job --from \"in 1d\""), json!([]));
    let head = team.ok("usage list").lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head, "HOUR (UTC) CLIENT SECRET API GRANT TOKENS");
    // Nothing here is older than a second. Everything is older than the next second.
    assert_eq!(team.json("usage unused 30d"), json!([]));
    assert_eq!(team.json("client list --unused 30d"), json!([]));
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    job.client_credentials("invoices:read").await;
    let unused = team.json("usage unused 1s");
    let idle = unused.as_array().unwrap().iter().find(|row| row["client_id"] == "idle").unwrap();
    assert_eq!((&idle["kind"], &idle["last_used_at"]), (&json!("client"), &json!(null)));
    let ids = team.ok("client list --unused 1s --quiet");
    assert!(ids.contains("idle\n") && !ids.contains("nightly-job"), "{ids}");
    let row = team.ok("usage unused 1s");
    assert!(row.lines().any(|row| row.contains("idle") && row.ends_with("never")), "{row}");
    assert!(team.fail(2, "usage unused soon").contains("30d"));
    team.serving.stop();
}

#[tokio::test]
async fn a_clients_limits_can_be_set_and_removed() {
    let team = Team::start().await;
    let job = team.create_billing();
    let client = team.json("client update nightly-job --tokens-per-minute 2 --tokens-per-day 100");
    assert_eq!((&client["tokens_per_minute"], &client["tokens_per_day"]), (&json!(2), &json!(100)));
    // Eight are more than the limit of two minutes, in case a minute ends meanwhile.
    let mut last = 200;
    for _ in 0..8 {
        last = status(&job, "invoices:read").await;
    }
    assert_eq!(last, 429);
    let client = team.json("client update nightly-job --tokens-per-minute none");
    assert_eq!((&client["tokens_per_minute"], &client["tokens_per_day"]), (&json!(null), &json!(100)));
    assert_eq!(status(&job, "invoices:read").await, 200);
    team.ok("client create bounded --tokens-per-day 5");
    assert_eq!(team.json("client show bounded")["tokens_per_day"], json!(5));
    assert!(team.fail(2, "client update nightly-job --tokens-per-day many").contains("none"));
    team.serving.stop();
}

#[tokio::test]
async fn concurrent_first_entitlements_are_both_kept() {
    let team = Team::start().await;
    team.create_billing();
    for round in 0..5 {
        let id = format!("job-{round}");
        team.create_client(&id);
        std::thread::scope(|threads| {
            for scope in ["invoices:read", "invoices:write"] {
                let (team, id) = (&team, &id);
                threads.spawn(move || {
                    team.ok(&format!("client allow {id} billing --scope {scope} --grant client_credentials"))
                });
            }
        });
        let shown = team.json(&format!("client show {id}"));
        assert_eq!(shown["entitlements"][0]["scopes"], json!(["invoices:read", "invoices:write"]));
    }
    team.serving.stop();
}
