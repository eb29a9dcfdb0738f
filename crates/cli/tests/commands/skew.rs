//! Two versions on one database, as during a rolling upgrade: the version of the previous schema, and this one.

use std::process::{Command, Stdio};
use std::time::Duration;

use countersign_server::OperatorFile;
use countersign_testkit::{Actor, TestDatabase};
use serde_json::json;

use crate::issued::Issued;
use crate::process::{Serving, demo_json, failed_line, run, serve_arguments};
use crate::proxies::free_address;

/// The variable that contains the path of the older binary.
const OLDER: &str = "COUNTERSIGN_TEST_OLDER_BINARY";

/// The older version on this database, listening on this address, or on a free port.
#[expect(clippy::disallowed_methods, reason = "the test's caller sets the binary")]
fn older(database: &TestDatabase, listen: &str) -> Command {
    let mut command = Command::new(std::env::var(OLDER).unwrap());
    command.args(serve_arguments(database)).args(["--demo", "--listen", listen]).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The operator, with a token from this node.
struct Operator {
    node: Actor,
    token: String,
}

impl Operator {
    async fn at(node: &Serving, database: &TestDatabase, issuer: &str) -> Self {
        let file = std::fs::read(database.directory.path().join("data/operator.json")).unwrap();
        let file: OperatorFile = serde_json::from_slice(&file).unwrap();
        let node = node.actor(&file.client_id, file.client_secret.expose());
        let form = [("grant_type", "client_credentials"), ("resource", &format!("{issuer}/admin"))];
        let token = node.token(&form).await.text("access_token");
        Self { node, token }
    }

    /// Creates a client with the entitlements of the demo's. Returns its secret.
    async fn make_client(&self, id: &str) -> String {
        let post = self.node.request("POST", "/admin/v1/clients").bearer_auth(&self.token);
        let made = self.node.send(post.json(&json!({ "client_id": id, "secret": {} }))).await;
        assert_eq!(made.status, 201, "{made}");
        let path = format!("/admin/v1/clients/{id}/entitlements/oauthclient");
        let put = self.node.request("PUT", &path).bearer_auth(&self.token);
        let allowed = json!({ "scopes": ["all"], "grants": ["client_credentials"] });
        assert_eq!(self.node.send(put.json(&allowed)).await.status, 200);
        made.json()["secret"]["client_secret"].as_str().unwrap().to_owned()
    }

    async fn delete_client(&self, id: &str) {
        let delete = self.node.request("DELETE", &format!("/admin/v1/clients/{id}")).bearer_auth(&self.token);
        assert_eq!(self.node.send(delete).await.status, 204);
    }
}

/// Polls every 20 ms for up to a second.
async fn within_a_second(what: &str, ask: impl AsyncFn() -> bool) {
    for _ in 0..50 {
        if ask().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(ask().await, "not within a second: {what}");
}

#[tokio::test]
#[ignore = "needs the binary of another version: cargo xtask skew"]
async fn two_versions_serve_one_database_and_the_older_one_is_replaced_without_loss() {
    let database = TestDatabase::fresh();
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: database.url.clone() };
    let old = Serving::spawn(&mut older(&database, "127.0.0.1:0"));
    old.ready().await;
    let mut issued = Issued::by(&old, demo_json(&database)).await;

    // The new version migrates the database while the old one is running.
    let (address, issuer) = (free_address(), old.issuer.clone());
    let key = database.directory.path().join("data/sealing.key").display().to_string();
    let environment = [
        ("COUNTERSIGN_SEALING_KEY_FILE", key.as_str()),
        ("COUNTERSIGN_ISSUER", issuer.as_str()),
        ("COUNTERSIGN_PLAYGROUND_ENABLED", "true"),
    ];
    let new = Serving::start(&second, &["--listen", &address.to_string()], &environment).at(address);
    new.ready().await;
    for _ in 0..3 {
        issued.is_good_at(&new).await;
        issued.is_good_at(&old).await;
    }
    for (here, there) in [(&old, &new), (&new, &old)] {
        let operator = Operator::at(here, &database, &issuer).await;
        let secret = operator.make_client("passing").await;
        let (made, elsewhere) = (here.actor("passing", &secret), there.actor("passing", &secret));
        within_a_second("a new client is known", async || {
            elsewhere.token(&[("grant_type", "client_credentials")]).await.status == 200
        })
        .await;
        let token = elsewhere.client_credentials("all").await.text("access_token");
        assert_eq!(there.actor("", "").call("GET", "/resource/whoami", &token).await.status, 200);
        assert_eq!(made.revoke(&token).await.status, 200);
        within_a_second("a token is ended", async || {
            there.actor("", "").call("GET", "/resource/whoami", &token).await.status == 401
        })
        .await;
        operator.delete_client("passing").await;
        within_a_second("a deleted client is refused", async || {
            elsewhere.token(&[("grant_type", "client_credentials")]).await.status == 401
        })
        .await;
    }

    // New features wait until every node has the new version.
    let next = database.directory.path().join("next").display().to_string();
    assert!(run(&["sealing-key", "create", &next], &[]).status.success());
    let url = database.url.clone().unwrap();
    let rotate = ["sealing-key", "rotate", "--yes", "--database-url", &url];
    let both = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str()), ("COUNTERSIGN_SEALING_KEY_NEXT_FILE", next.as_str())];
    let refused = failed_line(&run(&rotate, &both));
    assert!(refused.contains("2 of the servers on this database do not have the new key"), "{refused}");

    // The old version is stopped, and only the new one can follow.
    let place = old.address().to_string();
    old.stop();
    issued.is_good_at(&new).await;
    let refused = failed_line(&older(&database, &place).output().unwrap());
    assert!(refused.contains("newer version"), "{refused}");
    let replaced = Serving::start(&database, &["--demo", "--listen", &place], &[]);
    replaced.ready().await;
    for node in [&replaced, &new] {
        issued.is_good_at(node).await;
    }
    let directory = database.directory.path().join("data").display().to_string();
    let audit = run(&["audit", "verify", "--data-dir", &directory], &[]);
    assert!(audit.status.success(), "{audit:?}");
    new.stop();
    replaced.stop();
}
