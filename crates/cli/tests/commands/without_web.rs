//! A binary without the cargo feature `web` serves machines, and says that it has no pages.

use countersign_testkit::{Actor, TestDatabase};
use serde_json::Value;

use crate::process::{Serving, fail_to_start};

#[tokio::test]
async fn a_binary_without_pages_issues_tokens_but_serves_no_page() {
    let database = TestDatabase::fresh();
    let needed = "built without the web pages (cargo feature `web`); --demo and playground.enabled need them";
    assert!(fail_to_start(&database, &["--demo"], &[]).contains(needed));
    let enabled = [("COUNTERSIGN_PLAYGROUND_ENABLED", "true")];
    assert!(fail_to_start(&database, &[], &enabled).contains(needed));
    let serving = Serving::start(&database, &[], &[]);
    let stranger = Actor::new(serving.address(), "", "");
    for path in ["/", "/login", "/m2m", "/api/getUISettings", "/resource/whoami"] {
        assert_eq!(stranger.get(path).await.status, 404, "{path}");
    }
    let operator = std::fs::read(database.directory.path().join("data/operator.json")).unwrap();
    let operator: Value = serde_json::from_slice(&operator).unwrap();
    let [id, secret] = ["client_id", "client_secret"].map(|key| operator[key].as_str().unwrap());
    let answer = Actor::new(serving.address(), id, secret).token(&[("grant_type", "client_credentials")]).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let log = serving.stop();
    assert!(log.contains("built without the web pages"), "{log}");
}
