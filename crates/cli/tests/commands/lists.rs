//! Lists for programs and for people: complete, oldest first, and only IDs with `--quiet`.

use countersign_testkit::TestDatabase;
use serde_json::{Value, json};

use crate::process::Serving;
use crate::team::Team;

#[tokio::test]
async fn a_list_has_every_page() {
    let team = Team::start().await;
    let operator = team.serving.actor("operator", &team.operator_secret());
    let audience = format!("{}/admin", team.serving.issuer);
    let form = [("grant_type", "client_credentials"), ("resource", audience.as_str())];
    let token = operator.token(&form).await.text("access_token");
    for number in 0..1001 {
        let body = json!({ "client_id": format!("job-{number:04}") });
        let request = operator.request("POST", "/admin/v1/clients").bearer_auth(&token).json(&body);
        assert_eq!(operator.send(request).await.status, 201);
    }
    let ids: Vec<String> = team.ok("client list --quiet").lines().map(str::to_owned).collect();
    assert_eq!((ids.len(), ids[0].as_str(), ids[1001].as_str()), (1002, "operator", "job-1000"));
    let clients = team.json("client list");
    assert_eq!((clients.as_array().unwrap().len(), &clients[1]["client_id"]), (1002, &json!("job-0000")));
    let numbers = |line: &str| -> Vec<i64> {
        team.json(line).as_array().unwrap().iter().filter_map(|record| record["sequence"].as_i64()).collect()
    };
    assert_eq!(numbers("audit list"), (1..=1002).collect::<Vec<_>>());
    assert_eq!(numbers("audit list --after 3 --limit 2"), [4, 5]);
    assert_eq!(numbers("audit list --after 1 --limit 1001").len(), 1001);
    assert_eq!(numbers("audit list --after 1002"), [0; 0]);
    team.serving.stop();
}

#[tokio::test]
async fn lists_and_objects_are_shown_in_columns() {
    let team = Team::start().await;
    team.create_billing();
    let head = |line: &str| team.ok(line).lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head("api list"), "ID AUDIENCE GRANTS LIFETIME ALGORITHM CREATED");
    assert_eq!(head("client list"), "CLIENT NAME OWNER STATUS APIS CREATED");
    assert_eq!(head("secret list nightly-job"), "ID LABEL CREATED NOT BEFORE EXPIRES LAST USED FROM USES");
    assert_eq!(head("key list"), "ID ALGORITHM STATE SINCE SIGNS FROM ENDS");
    assert_eq!(head("audit list"), "NO AT (UTC) ACTOR ACTION TARGET FROM");
    assert_eq!(
        team.ok("scope list billing"),
        "NAME            DEFAULT  RULES                     DESCRIPTION\n\
         invoices:read   no       GET /invoices(/.*)?       Read invoices\n\
         invoices:write  no       POST,PUT /invoices(/.*)?  -\n"
    );
    let shown = team.ok("client show nightly-job").split_whitespace().collect::<Vec<_>>().join(" ");
    let row = "entitlements billing; scopes: invoices:read; grants: client_credentials; introspect: no";
    assert!(shown.contains(row), "{shown}");
    let empty = team.run("user list");
    assert_eq!((empty.code, empty.stdout.as_str(), empty.stderr.as_str()), (Some(0), "", "No entries.\n"));
    assert_eq!(team.ok("user list --output json"), "[]\n");
    let none = team.run("scope test billing DELETE /invoices/7 --output json");
    assert_eq!((none.code, none.stdout.as_str()), (Some(1), "[]\n"));
    assert_eq!(none.stderr, "countersign: no scope of billing allows DELETE /invoices/7\n");
    assert_eq!(team.ok("scope test billing GET /invoices/7 --quiet"), "invoices:read\n");
    assert!(team.fail(1, "scope test billing GET //x").starts_with("countersign: PATH: "));
    team.serving.stop();
}

#[tokio::test]
async fn the_audit_log_shows_who_did_what_and_verifies_against_its_head() {
    let team = Team::start().await;
    team.create_billing();
    team.ok("client update nightly-job --owner ops@example.com");
    let records = team.json("audit list");
    let actions: Vec<&str> = records.as_array().unwrap().iter().filter_map(|one| one["action"].as_str()).collect();
    let created = ["scope.create", "scope.create", "client.create", "entitlement.put", "client.update"];
    assert_eq!(actions, [&["operator.create", "api.create"][..], &created].concat());
    let last = &records[6];
    assert_eq!((&last["actor"], &last["target"]), (&json!("operator"), &json!("nightly-job")));
    assert_eq!((&last["before"]["owner"], &last["after"]["owner"]), (&json!(""), &json!("ops@example.com")));
    assert!(!records.to_string().contains("cs_secret_"));
    let head = team.ok("audit head");
    assert!(head.starts_with("7."), "{head}");
    assert_eq!(team.ok("audit verify"), "The audit log is intact: 7 records.\n");
    let verdict = json!({ "intact": true, "records": 7, "fault": null });
    assert_eq!(team.json(&format!("audit verify --head {head}")), verdict);
    let later = head.trim().replacen("7.", "8.", 1);
    let cut = team.fail(1, &format!("audit verify --head {later}"));
    assert!(cut.contains("not intact") && cut.contains("the last records were removed"), "{cut}");
    assert!(team.fail(1, "audit verify --head nonsense").starts_with("countersign: --head: "));
    team.serving.stop();
}

#[tokio::test]
async fn a_record_changed_in_the_database_is_detected_on_sqlite() {
    let team = Team::start().await;
    team.ok("client create job --no-secret --owner tamper-me-1@example.com");
    team.ok("client update job --owner somebody@example.com");
    let Team { serving, database } = team;
    serving.stop();
    // Only the audit log contains the old owner, and SQLite has no checksums over its pages.
    let file = database.directory.path().join("data/countersign.db");
    let mut bytes = std::fs::read(&file).unwrap();
    let (from, to) = (b"tamper-me-1@", b"tamper-me-2@");
    let places: Vec<usize> = (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(from)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    std::fs::write(&file, bytes).unwrap();
    let team = start_again(database).await;
    let done = team.run("audit verify --output json");
    let verdict: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((done.code, &verdict["intact"]), (Some(1), &json!(false)), "{done:?}");
    assert_eq!(done.stderr, "countersign: the audit log is not intact: record 2 or the one before it was changed\n");
    team.serving.stop();
}

async fn start_again(database: TestDatabase) -> Team {
    let serving = Serving::start(&database, &[], &[]);
    serving.ready().await;
    Team { serving, database }
}
