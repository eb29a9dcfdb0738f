//! For operators: warnings before a secret expires, metrics on a separate address, a new operator.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use countersign_testkit::{Actor, TestDatabase};
use serde_json::Value;

use crate::process::Serving;
use crate::team::Team;

const DAY_S: u64 = 86_400;

#[tokio::test]
async fn at_startup_secrets_that_expire_within_a_week_without_a_successor_are_logged() {
    let team = Team::start().await;
    #[expect(clippy::disallowed_methods, reason = "the server that is asked goes by the system's clock")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    for (client, days) in [("soon", 2), ("later", 9), ("followed", 2)] {
        team.ok(&format!("client create {client} --no-secret"));
        team.json(&format!("secret create {client} --expires {}", now + days * DAY_S));
    }
    team.json("secret create followed");
    let Team { serving, database } = team;
    serving.stop();
    let serving = Serving::start(&database, &[], &[("COUNTERSIGN_LOG_FORMAT", "json")]);
    serving.ready().await;
    // The task runs immediately, concurrently with the first requests.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let log = serving.stop();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let warned: Vec<Value> = lines.filter(|line| line["message"] == "a secret expires soon; rotate it").collect();
    let clients: Vec<&str> = warned.iter().map(|line| line["client_id"].as_str().unwrap()).collect();
    assert_eq!(clients, ["soon"], "{warned:?}");
    assert_eq!((&warned[0]["level"], &warned[0]["is_last"]), (&"WARN".into(), &true.into()));
}

#[tokio::test]
async fn with_metrics_listen_metrics_are_only_served_there() {
    let database = TestDatabase::fresh();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let listen = address.to_string();
    let failed = crate::process::run(
        &["serve", "--listen", "127.0.0.1:0", "--data-dir", &database.directory.path().join("x").display().to_string()],
        &[("COUNTERSIGN_METRICS_LISTEN", listen.as_str())],
    );
    let line = crate::process::failed_line(&failed);
    assert!(line.contains("metrics.listen") && line.contains(&listen) && line.contains("in use"), "{line}");
    drop(listener);
    let serving = Serving::start(&database, &[], &[("COUNTERSIGN_METRICS_LISTEN", &listen)]);
    serving.ready().await;
    let operators = Actor::new(address, "", "");
    let metrics = operators.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    assert!(metrics.body.contains("countersign_registry_fresh 1"), "{metrics}");
    assert_eq!(operators.get("/readyz").await.status, 200);
    assert_eq!(operators.get("/oauth2/jwks").await.status, 404, "nothing else is served there");
    assert_eq!(serving.actor("", "").get("/metrics").await.status, 404);
    serving.stop();
}

#[tokio::test]
async fn a_new_operator_revokes_the_secrets_and_tokens_of_the_old_one() {
    let team = Team::start().await;
    let read = |team: &Team| -> (String, String) {
        let file: Value = serde_json::from_slice(&std::fs::read(team.file("data/operator.json")).unwrap()).unwrap();
        let member = |name: &str| file[name].as_str().unwrap().to_owned();
        (member("issuer"), member("client_secret"))
    };
    let (issuer, old) = read(&team);
    let address = team.serving.address();
    let operator = team.serving.actor("operator", &old);
    let audience = format!("{issuer}/admin");
    let form = [("grant_type", "client_credentials"), ("resource", audience.as_str())];
    let token = operator.token(&form).await.text("access_token");
    assert_eq!(operator.call("GET", "/admin/v1/apis", &token).await.status, 200);
    // If there is another administrator, the first one may be locked out.
    let api = team.json("api show admin-api");
    let scopes = api["scopes"].as_array().unwrap().iter().map(|scope| scope["name"].as_str().unwrap());
    let scopes: String = scopes.map(|scope| format!(" --scope {scope}")).collect();
    team.ok("client create second");
    team.ok(&format!("client allow second admin-api --grant client_credentials{scopes}"));
    team.ok("client update operator --tokens-per-minute 0 --remove-auth-method client_secret_basic --yes");
    team.fail(4, "api list");
    let Team { serving, database } = team;
    serving.stop();
    let serving = Serving::start(&database, &["--new-operator", "--listen", &address.to_string()], &[]);
    serving.ready().await;
    let team = Team { serving, database };
    let (_, new) = read(&team);
    assert_ne!(new, old);
    assert_eq!(operator.call("GET", "/admin/v1/apis", &token).await.status, 401);
    assert_eq!(operator.token(&form).await.status, 401);
    let actions = team.json("audit list");
    assert_eq!(actions.as_array().unwrap().last().unwrap()["action"], "operator.renew");
    team.ok("audit verify");
    team.serving.stop();
}

#[tokio::test]
async fn metrics_accept_any_host_name_and_the_server_accepts_configured_ones() {
    let database = TestDatabase::fresh();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = free.local_addr().unwrap();
    drop(free);
    let listen = metrics.to_string();
    let environment =
        [("COUNTERSIGN_METRICS_LISTEN", listen.as_str()), ("COUNTERSIGN_HTTP_HOSTS", "Countersign.Internal")];
    let serving = Serving::start(&database, &[], &environment);
    let ask = async |address: std::net::SocketAddr, path: &str, host: &str| {
        let stranger = Actor::new(address, "", "");
        stranger.send(stranger.request("GET", path).header("host", host)).await.status
    };
    assert_eq!(ask(metrics, "/metrics", "prometheus-target.internal").await, 200);
    assert_eq!(ask(serving.address(), "/oauth2/jwks", "countersign.internal:8080").await, 200);
    assert_eq!(ask(serving.address(), "/oauth2/jwks", "prometheus-target.internal").await, 421);
    serving.stop();
}
