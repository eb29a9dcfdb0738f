//! A restore drill next to production with the commands of docs/backup.md, and restores that would have damaged production.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use countersign_testkit::{TestDatabase, engine_is_postgres};
use serde_json::Value;
use url::Url;

use crate::process::{Serving, demo_json, failed_line, read};
use crate::proxies::free_address;
use crate::team::{Done, run};

const PAGE: &str = include_str!("../../../../docs/backup.md");
const BACKUP: &str = "/mnt/elsewhere/countersign-2026-11-25";

/// A production server, its backup, and the variables in its shell.
struct Production {
    serving: Serving,
    database: TestDatabase,
    variables: Vec<(&'static str, String)>,
}

impl Production {
    async fn start() -> Self {
        let database = TestDatabase::fresh();
        let serving = Serving::demo(&database);
        serving.ready().await;
        let data = database.directory.path().join("data").display().to_string();
        let mut variables = vec![
            ("COUNTERSIGN_DATA_DIR", data),
            ("COUNTERSIGN_LISTEN", serving.address().to_string()),
            ("COUNTERSIGN_ISSUER", serving.issuer.clone()),
        ];
        variables.extend(database.url.clone().map(|url| ("COUNTERSIGN_DATABASE_URL", url)));
        Self { serving, database, variables }
    }

    /// Runs a command in production's shell.
    fn run(&self, line: &str) -> Done {
        let variables: Vec<(&str, &str)> = self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        run(line, &variables, "")
    }

    fn file(&self, name: &str) -> PathBuf {
        self.database.directory.path().join(name)
    }

    fn back_up(&self) -> String {
        let backup = self.file("backup").display().to_string();
        let done = self.run(&format!("backup {backup}"));
        assert_eq!(done.code, Some(0), "{done:?}");
        if let Some(url) = &self.database.url {
            // As printed, with what the tests' PostgreSQL needs.
            let printed = done.stdout.lines().find(|line| line.contains("pg_dump")).unwrap();
            assert!(printed.contains(&format!("--file={backup}/database.dump '{url}'")), "{printed}");
            assert!(Command::new("sh").args(["-c", printed]).status().unwrap().success());
        }
        backup
    }

    /// The state that only production itself may change.
    fn files(&self) -> [String; 3] {
        ["sealing.key", "operator.json", "database.json"].map(|name| read(&self.file("data").join(name)))
    }

    /// The URL of another database on the same server.
    fn url_of(&self, name: &str) -> String {
        let mut url = Url::parse(self.database.url.as_ref().unwrap()).unwrap();
        url.set_path(name);
        url.to_string()
    }
}

/// The commands of the page for this engine, with this backup, directory, address and PostgreSQL server.
fn documented(production: &Production, backup: &str, drill: &Path, address: &str) -> Vec<Vec<String>> {
    let (_, page) = PAGE.split_once("## Practice a restore").unwrap();
    let (sqlite, postgres) = page.split_once("### Practice on PostgreSQL").unwrap();
    let blocks = if engine_is_postgres() { postgres } else { sqlite };
    let mut text = blocks.replace(BACKUP, backup).replace("/tmp/drill", &drill.display().to_string());
    text = text.replace("127.0.0.1:8181", address);
    if engine_is_postgres() {
        let name = format!(
            "drill_{}",
            Url::parse(production.database.url.as_ref().unwrap()).unwrap().path().trim_start_matches('/')
        );
        for database in ["postgres", "drill"] {
            let url = production.url_of(if database == "drill" { &name } else { database });
            text = text.replace(&format!("postgres://app@db.example/{database}"), &format!("'{url}'"));
        }
        text = text.replace("DATABASE drill", &format!("DATABASE {name}"));
    }
    let blocks = text.split("```sh\n").skip(1).map(|block| block.split_once("```").unwrap().0);
    blocks.map(|block| block.lines().map(str::to_owned).collect()).collect()
}

/// Runs a line of the page in production's shell.
fn shell(production: &Production, line: &str) -> Command {
    let binary = Path::new(env!("CARGO_BIN_EXE_countersign")).parent().unwrap().display().to_string();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {line}")]).env_clear().stdin(Stdio::null());
    command.env("PATH", format!("{binary}:/usr/local/bin:/usr/bin:/bin")).env("COUNTERSIGN_HTTP_DRAIN_S", "0");
    command.envs(production.variables.iter().map(|(name, value)| (*name, value.as_str())));
    command
}

fn succeed(production: &Production, line: &str) -> String {
    let done = shell(production, line).output().unwrap();
    assert!(done.status.success(), "{line}: {done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_drill_with_the_documented_commands_works_and_does_not_touch_production() {
    let production = Production::start().await;
    let demo = demo_json(&production.database);
    let service = production.serving.demo_service(&demo);
    let set = service.password("demo", demo["password"].as_str().unwrap()).await;
    let backup = production.back_up();
    let files = production.files();
    let audited = |records: &str| serde_json::from_str::<Value>(records).unwrap().as_array().unwrap().len();
    let records = audited(&production.run("audit list --output json").stdout);
    let drill = production.file("drill");
    let address = free_address();
    let blocks = documented(&production, &backup, &drill, &address.to_string());
    assert_eq!(blocks.len(), 3);
    let (serve, begin) = blocks[0].split_last().unwrap();
    for line in begin {
        succeed(&production, line);
    }
    let serving = Serving::spawn(&mut shell(&production, serve)).at(address);
    serving.ready().await;
    let copy = serving.demo_service(&demo);
    let token = copy.client_credentials("all").await.text("access_token");
    assert_eq!(copy.introspect(&token).await.json()["active"], true);
    assert_eq!(copy.introspect(&set.text("access_token")).await.body, r#"{"active":false}"#);
    assert_eq!(copy.refresh(&set.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    let said: Vec<String> = blocks[1].iter().map(|line| succeed(&production, line)).collect();
    assert!(said[0].contains(&format!("reachability    http://{address}: reachable")), "{said:?}");
    assert!(said[1].contains("is intact") && said[2].contains("demo-service"), "{said:?}");
    // An administrative command on the copy does not change production.
    let made =
        succeed(&production, &format!("countersign client create only-in-the-copy --data-dir {}", drill.display()));
    assert!(made.contains("only-in-the-copy"));
    serving.stop();
    assert_ne!(read(&drill.join("database.json")), files[2], "the copy has its own identity");
    if engine_is_postgres() {
        // Without the flag.
        let astray =
            shell(&production, &format!("countersign serve --data-dir {} --listen {address}", drill.display()));
        let astray = { astray }.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let line = String::from_utf8(astray.stderr).unwrap();
        assert!(line.contains("belongs to another data directory"), "{line}");
    }
    for line in &blocks[2] {
        succeed(&production, line);
    }
    assert!(!drill.exists());

    assert_eq!(production.files(), files);
    assert_eq!(audited(&production.run("audit list --output json").stdout), records, "nothing was restored");
    assert_eq!(service.introspect(&set.text("access_token")).await.json()["active"], true);
    assert_eq!(service.refresh(&set.text("refresh_token")).await.status, 200);
    assert_eq!(service.introspect(&token).await.body, r#"{"active":false}"#);
    production.serving.stop();
}

#[tokio::test]
async fn a_restore_only_uses_the_database_on_its_command_line() {
    let mut production = Production::start().await;
    let backup = production.back_up();
    let drill = production.file("drill").display().to_string();
    let other = "postgres://app:hunter2@db.example/production?sslmode=require";
    production.variables.retain(|(name, _)| *name != "COUNTERSIGN_DATABASE_URL");
    production.variables.push(("COUNTERSIGN_DATABASE_URL", other.to_owned()));
    let command = format!("countersign restore {backup} --data-dir {drill} --replace --database-url");
    let named = if engine_is_postgres() {
        "postgres://app@db.example/production?sslmode=require".to_owned()
    } else {
        format!("sqlite://{drill}/countersign.db")
    };
    let line = production.run(&format!("restore {backup} --data-dir {drill} --replace --yes")).failed("restore", 2);
    let why = "restore ignores database.url from COUNTERSIGN_DATABASE_URL; pass --database-url";
    let purpose = if engine_is_postgres() {
        "For a drill, use a separate database. To restore to this one and revoke everything issued in it, put its \
         password into PGPASSFILE and run"
    } else {
        "To restore to this database, run"
    };
    assert_eq!(line, format!("countersign: {why}. {purpose}: {command} '{named}'"));
    let config = production.file("production.toml").display().to_string();
    std::fs::write(&config, format!("[database]\nurl = \"{other}\"\n")).unwrap();
    let line =
        run(&format!("restore {backup} --data-dir {drill} --config {config} --yes"), &[], "").failed("config", 2);
    assert!(
        line.contains(&format!("ignores database.url from {config};")) && line.contains(&format!("--config {config}")),
        "{line}"
    );
    if engine_is_postgres() {
        let line = run(&format!("restore {backup} --data-dir {drill} --yes"), &[], "").failed("nothing", 2);
        assert!(line.ends_with("--database-url 'postgres://USER@HOST/NAME'"), "{line}");
    } else {
        // The printed line works unchanged.
        let asked =
            production.run(&format!("restore {backup} --data-dir {drill} --database-url {named}")).failed("asks", 2);
        let question = format!(" UTC to {drill}, with the database {drill}/countersign.db? This revokes");
        assert!(
            asked.contains(&question) && asked.ends_with("Cannot ask for confirmation without a terminal; add --yes"),
            "{asked}"
        );
        let done = production.run(&format!("restore {backup} --data-dir {drill} --database-url {named} --yes"));
        assert!(
            done.code == Some(0) && done.stdout.contains(&format!("contact {},", production.serving.issuer)),
            "{done:?}"
        );
    }
    production.serving.stop();
}

#[tokio::test]
async fn a_database_file_that_a_server_uses_is_not_replaced_on_sqlite() {
    let production = Production::start().await;
    let backup = production.back_up();
    let file = production.file("data/countersign.db").display().to_string();
    let drill = production.file("drill").display().to_string();
    let restore = format!("restore {backup} --data-dir {drill} --database-url sqlite://{file} --yes");
    assert!(run(&restore, &[], "").failed("occupied", 1).contains("countersign.db: already exists"));
    let line = run(&format!("{restore} --replace"), &[], "").failed("open", 1);
    assert!(line.contains(&format!("{file}: a program has this database open")), "{line}");
    assert!(!Path::new(&drill).exists() && !Path::new(&format!("{file}.before-restore")).exists());
    let service = production.serving.demo_service(&demo_json(&production.database));
    let token = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.revoke(&token).await.status, 200);
    production.serving.stop();
    let done = run(&format!("{restore} --replace"), &[], "");
    assert!(done.code == Some(0) && done.stdout.contains(&format!("Previous file: {file}.before-restore")), "{done:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_database_that_a_node_uses_is_not_restored_into_under_any_url() {
    let production = Production::start().await;
    let backup = production.back_up();
    let drill = production.file("drill").display().to_string();
    let url = production.database.url.clone().unwrap();
    let shown = countersign_server::DatabaseUrl::parse(&url).unwrap().to_string();
    let name = Url::parse(&url).unwrap().path().trim_start_matches('/').to_owned();
    let disguised = format!("{}&dbname={name}", production.url_of("harmless"));
    let files = production.files();
    for url in [&url, &disguised] {
        // Within ten seconds, whatever the interval of the heartbeats.
        let restore = ["restore", &backup, "--data-dir", &drill, "--database-url", url, "--yes"];
        let line = failed_line(&crate::process::run(&restore, &[]));
        assert!(line.starts_with(&format!("countersign: {shown}: a server is using this database (node ")), "{line}");
    }
    let service = production.serving.demo_service(&demo_json(&production.database));
    let token = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.introspect(&token).await.json()["active"], true);
    // The dump contains the node's heartbeat, so the restore waits until it is too old.
    production.serving.signal("KILL");
    let asked =
        run(&format!("restore {backup} --data-dir {drill} --database-url \"{disguised}\""), &[], "").failed("asks", 2);
    assert!(asked.contains(&format!("with the database {shown}? This revokes")), "{asked}");
    assert!(!Path::new(&drill).exists());
    assert_eq!(production.files(), files);
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn another_servers_database_and_an_empty_one_are_refused() {
    let production = Production::start().await;
    let backup = production.back_up();
    let drill = production.file("drill").display().to_string();
    let refused = |url: &str| {
        run(&format!("restore {backup} --data-dir {drill} --database-url \"{url}\" --yes"), &[], "").failed(url, 1)
    };
    let other = TestDatabase::fresh();
    let empty = refused(other.url.as_ref().unwrap());
    assert!(empty.contains("is not a Countersign database yet") && empty.contains("pg_restore"), "{empty}");
    Serving::demo(&other).stop();
    let before = read(&other.directory.path().join("data/database.json"));
    let foreign = refused(other.url.as_ref().unwrap());
    assert!(foreign.contains("backup/sealing.key: does not match postgres://"), "{foreign}");
    let missing = refused(&production.url_of("there_is_none"));
    assert!(missing.contains("/there_is_none: ") && missing.contains("does not exist"), "{missing}");
    let serving = Serving::demo(&other);
    serving.ready().await;
    assert_eq!(read(&other.directory.path().join("data/database.json")), before);
    serving.stop();
    production.serving.stop();
}
