//! Debian's PgBouncer in front of PostgreSQL, with the configuration of docs/nodes.md.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use countersign_testkit::TestDatabase;
use url::Url;

use crate::process::{Serving, demo_json, failed_line, run, serve_arguments};
use crate::proxies::{Proxy, free_address};

/// The page with the configuration.
const PAGE: &str = include_str!("../../../../docs/nodes.md");

struct PgBouncer(Proxy);

impl PgBouncer {
    /// Starts one in front of this database, with other settings of the pool and of the process.
    fn start(database: &TestDatabase, pool: &str, more: &str) -> Self {
        let url = Url::parse(database.url.as_ref().expect("PostgreSQL")).unwrap();
        let (_, host) = url.query_pairs().find(|(name, _)| name == "host").unwrap();
        let name = url.path().trim_start_matches('/');
        let address = free_address();
        let (_, page) = PAGE.split_once("```ini\n").unwrap();
        let (documented, _) = page.split_once("```").unwrap();
        let line = "countersign = host=10.0.0.5 dbname=countersign pool_mode=session pool_size=40";
        assert!(documented.contains(line), "{documented}");
        let replaced = documented.replace(line, &format!("{name} = host={host} user=postgres {pool}"));
        let text = format!(
            "{replaced}listen_addr = {}\nlisten_port = {}\nunix_socket_dir =\nauth_type = any\n{more}\n",
            address.ip(),
            address.port()
        );
        let directory = database.directory.path();
        let file = directory.join("pgbouncer.ini");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new("/usr/sbin/pgbouncer");
        // It refuses to run as root, and only its own user can connect to PostgreSQL's socket.
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "postgres"]);
        }
        Self(Proxy::start(command.arg(&file), directory, address))
    }

    /// The same database through this PgBouncer.
    fn lead_to(&self, database: TestDatabase) -> TestDatabase {
        let url = Url::parse(database.url.as_ref().unwrap()).unwrap();
        TestDatabase { url: Some(format!("postgres://postgres@{}{}", self.0.address, url.path())), ..database }
    }
}

/// Connects several clients at once, so that the pool then has as many server connections.
fn have_idle_connections(database: &TestDatabase) {
    let sleep = |_| {
        let mut psql = Command::new("psql");
        psql.args([database.url.as_ref().unwrap(), "-qAtc", "SELECT pg_sleep(0.5)"])
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let clients: Vec<Child> = (0..4).map(sleep).collect();
    for mut client in clients {
        assert!(client.wait().unwrap().success());
    }
}

/// The message of a start that fails.
fn refuse(database: &TestDatabase) -> String {
    let arguments = serve_arguments(database);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(["--listen", "127.0.0.1:0"]).collect();
    let line = failed_line(&run(&arguments, &[]));
    let made = |file: &str| Path::new(&database.directory.path().join("data").join(file)).exists();
    assert!(!made("sealing.key") && !made("operator.json"), "nothing was created");
    line
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn behind_pgbouncer_in_session_mode_the_demo_works_and_restarts() {
    let database = TestDatabase::fresh();
    let pooler = PgBouncer::start(&database, "pool_mode=session pool_size=40", "");
    let database = pooler.lead_to(database);
    for _ in 0..2 {
        let serving = Serving::demo(&database);
        serving.ready().await;
        let demo = demo_json(&database);
        let service = serving.demo_service(&demo);
        let password = demo["password"].as_str().unwrap();
        let granted = service.password(demo["username"].as_str().unwrap(), password).await;
        let renewed = service.refresh(&granted.text("refresh_token")).await;
        let token = renewed.text("access_token");
        assert_eq!(service.introspect(&token).await.json()["active"], true);
        assert_eq!(service.revoke(&token).await.status, 200);
        assert_eq!(service.introspect(&token).await.json()["active"], false);
        serving.stop();
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn behind_pgbouncer_in_transaction_or_statement_mode_the_start_is_refused() {
    for (pool, more) in [
        ("pool_mode=transaction", ""),
        ("pool_mode=transaction pool_size=1", ""),
        ("pool_mode=transaction", "server_reset_query_always = 1"),
        ("pool_mode=transaction", "server_round_robin = 1"),
        ("pool_mode=statement", ""),
        ("pool_mode=statement", "server_round_robin = 1"),
    ] {
        let database = TestDatabase::fresh();
        let pooler = PgBouncer::start(&database, pool, more);
        let database = pooler.lead_to(database);
        have_idle_connections(&database);
        let line = refuse(&database);
        assert!(line.contains("set pool_mode = session for this database"), "{pool} {more}: {line}");
        let data = database.directory.path().join("data").display().to_string();
        let url = database.url.as_deref().unwrap();
        let done = run(&["doctor", "--data-dir", &data, "--database-url", url], &[]);
        let said = String::from_utf8(done.stdout).unwrap();
        let told = said.lines().find(|line| line.starts_with("FAIL  database")).unwrap_or_default();
        assert!(told.contains("set pool_mode = session for this database"), "{pool} {more}: {said}");
    }
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn behind_pgbouncer_with_a_pool_of_one_the_error_says_that_it_may_be_too_small() {
    let database = TestDatabase::fresh();
    let pooler = PgBouncer::start(&database, "pool_mode=session pool_size=1", "");
    let line = refuse(&pooler.lead_to(database));
    assert!(line.contains("its pool may be too small"), "{line}");
}
