//! Moving to another database: issued tokens stay valid there, and the old database is no longer served.

use std::time::Duration;

use countersign_testkit::TestDatabase;
use serde_json::Value;

use crate::issued::Issued;
use crate::process::{Serving, countersign, fail_to_start, failed_line, run, serve_arguments, set_mode};

/// Runs a command on a data directory and its database.
fn command(database: &TestDatabase, name: &str, more: &[&str]) -> std::process::Output {
    let directory = database.directory.path().join("data").display().to_string();
    let url = database.url.clone();
    let place = ["--data-dir", &directory].into_iter().chain(url.iter().flat_map(|url| ["--database-url", url]));
    run(&std::iter::once(name).chain(place).chain(more.iter().copied()).collect::<Vec<_>>(), &[])
}

/// Moves a database, with `--to` or with a file that contains the URL. Returns the output.
fn migrate(from: &TestDatabase, to: &str) -> Value {
    let done = command(from, "migrate", &["--to", to, "--yes", "--output", "json"]);
    assert!(done.status.success(), "{done:?}");
    serde_json::from_slice(&done.stdout).unwrap()
}

fn rows(done: &Value, table: &str) -> u64 {
    done["tables"].as_array().unwrap().iter().find(|one| one["table"] == table).unwrap()["rows"].as_u64().unwrap()
}

#[tokio::test]
async fn a_database_moves_from_sqlite_to_another_and_back_with_everything_issued() {
    let other = TestDatabase::fresh();
    let mut database = TestDatabase { directory: TestDatabase::fresh().directory, url: None };
    let mut issued = Issued::by_first_start(&database).await;
    let file = |name: &str| format!("sqlite://{}", other.directory.path().join(name).display());
    // On PostgreSQL, in that engine's run.
    let elsewhere = other.url.clone().unwrap_or_else(|| file("there.db"));

    let asked = command(&database, "migrate", &["--to", &elsewhere]);
    let line = String::from_utf8(asked.stderr).unwrap();
    assert!(
        asked.status.code() == Some(2) && line.contains("Cannot ask for confirmation without a terminal; add --yes"),
        "{line}"
    );
    let done = migrate(&database, &elsewhere);
    assert_eq!((rows(&done, "refresh_tokens"), rows(&done, "revocations")), (1, 1), "{done}");
    let refused = failed_line(&command(&database, "serve", &["--listen", "127.0.0.1:0"]));
    assert!(refused.contains("was copied to") && refused.contains("or add --force to serve this one"), "{refused}");
    let doctor = command(&database, "doctor", &[]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains("was copied to"), "{doctor:?}");
    let again = failed_line(&command(&database, "migrate", &["--yes", "--to", &file("again.db")]));
    assert!(again.contains("was already copied to") && again.contains("add --force"), "{again}");
    assert!(!other.directory.path().join("again.db").exists());
    database.url = Some(elsewhere);
    issued.goes_on(&database).await;

    let back = file("back.db");
    let done = migrate(&database, &back);
    assert_eq!(rows(&done, "refresh_tokens"), 3, "{done}");
    assert!(failed_line(&command(&database, "serve", &["--listen", "127.0.0.1:0"])).contains("was copied to"));
    let forced = Serving::start(&database, &["--demo", "--listen", &issued.address, "--force"], &[]);
    forced.ready().await;
    forced.stop();
    database.url = Some(back);
    issued.goes_on(&database).await;
}

#[tokio::test]
async fn only_the_directory_of_a_database_can_move_it() {
    let (database, stranger) = (TestDatabase::fresh(), TestDatabase::fresh());
    Serving::demo(&database).stop();
    Serving::demo(&stranger).stop();
    let url = |of: &TestDatabase| {
        let file = || format!("sqlite://{}", of.directory.path().join("data/countersign.db").display());
        of.url.clone().unwrap_or_else(file)
    };
    let to = format!("sqlite://{}", stranger.directory.path().join("copy.db").display());
    let foreign = TestDatabase { url: Some(url(&database)), ..stranger };
    let refused = failed_line(&command(&foreign, "migrate", &["--to", &to, "--yes"]));
    assert!(refused.contains("belongs to another data directory"), "{refused}");
    let data = foreign.directory.path().join("data");
    std::fs::remove_file(data.join("database.json")).unwrap();
    let refused = failed_line(&command(&foreign, "migrate", &["--to", &to, "--yes"]));
    assert!(refused.contains("this is not the sealing key of the source database"), "{refused}");
    assert!(!foreign.directory.path().join("copy.db").exists());
    // It is not marked.
    Serving::demo(&database).stop();
}

#[tokio::test]
async fn migrate_refuses_a_running_server_a_used_target_and_a_missing_source() {
    let database = TestDatabase::fresh();
    let file = |name: &str| format!("sqlite://{}", database.directory.path().join(name).display());
    let failed = |more: &[&str]| failed_line(&command(&database, "migrate", &[more, &["--yes"]].concat()));
    assert!(failed(&["--to", &file("a.db")]).contains("the database is empty"));
    let serving = Serving::demo(&database);
    serving.ready().await;
    let living = failed(&["--to", &file("b.db")]);
    assert!(living.contains("another countersign process is using this data directory"), "{living}");
    serving.stop();
    let used = TestDatabase { directory: TestDatabase::fresh().directory, url: None };
    Serving::demo(&used).stop();
    let used = format!("sqlite://{}", used.directory.path().join("data/countersign.db").display());
    assert!(failed(&["--to", &used]).contains("is not empty"));
    let itself = database.url.clone().unwrap_or_else(|| file("data/countersign.db"));
    assert!(failed(&["--to", &itself]).contains("names the source database"));
    let typo = command(&database, "migrate", &["--to", "mysql://x", "--yes"]);
    assert_eq!(typo.status.code(), Some(2), "{typo:?}");
    let unreachable = failed(&["--to", "postgres://nobody:secret@127.0.0.1:1/x"]);
    assert!(unreachable.contains("the target database: ") && !unreachable.contains("secret"), "{unreachable}");
    let serving = Serving::demo(&database);
    serving.ready().await;
    serving.stop();
}

#[tokio::test]
async fn a_failed_copy_names_the_table_and_keeps_the_mark_of_an_earlier_one() {
    let (database, others) = (TestDatabase::fresh(), [TestDatabase::fresh(), TestDatabase::fresh()]);
    Serving::demo(&database).stop();
    let [first, second] = others.each_ref().map(|other| {
        let file = || format!("sqlite://{}", other.directory.path().join("there.db").display());
        other.url.clone().unwrap_or_else(file)
    });
    migrate(&database, &first);
    // A target with every table, which refuses some rows.
    Serving::start(&TestDatabase { directory: TestDatabase::fresh().directory, url: Some(second.clone()) }, &[], &[])
        .stop();
    let file = others[1].directory.path().join("there.db");
    for table in ["clients", "users", "signing_keys", "audit"] {
        others[1].tamper(&file, &format!("DELETE FROM {table}"));
    }
    let refuse = if others[1].url.is_some() {
        "ALTER TABLE audit ADD CHECK (false)"
    } else {
        "CREATE TRIGGER refuse BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'refused'); END"
    };
    others[1].tamper(&file, refuse);
    let failed = failed_line(&command(&database, "migrate", &["--yes", "--force", "--to", &second]));
    assert!(failed.contains("nothing was copied: table audit in the target database: "), "{failed}");
    let refused = failed_line(&command(&database, "serve", &["--listen", "127.0.0.1:0"]));
    assert!(refused.contains("was copied to"), "{refused}");
}

#[tokio::test]
async fn a_server_that_starts_during_a_copy_acknowledges_nothing() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let file = |name: &str| database.directory.path().join(name);
    let source = file("data/countersign.db");
    let rows = "INSERT INTO refusals WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150000) \
                SELECT 'r' || i, 1, 'token', NULL, '::1', 'e', 'x', 'y', '{}' FROM n";
    database.tamper(&source, rows);
    // A node with another data directory and the same sealing key.
    let url = database.url.clone().unwrap_or_else(|| format!("sqlite://{}", source.display()));
    let node = TestDatabase { directory: TestDatabase::fresh().directory, url: Some(url) };
    let directory = node.directory.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o700);
    std::fs::copy(file("data/sealing.key"), directory.join("sealing.key")).unwrap();
    let arguments = serve_arguments(&database);
    let place = arguments.iter().skip(1).map(String::as_str);
    let to = format!("sqlite://{}", file("copy.db").display());
    let arguments: Vec<&str> = std::iter::once("migrate").chain(place).chain(["--yes", "--to", &to]).collect();
    let copying = countersign(&arguments).spawn().unwrap();
    while !file("copy.db-wal").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    std::thread::sleep(Duration::from_millis(300));
    let failed = fail_to_start(&node, &[], &[]);
    // On PostgreSQL, it may wait until the copy is complete.
    let whys = ["did not respond in time", "using this file", "was copied to"];
    assert!(whys.iter().any(|why| failed.contains(why)), "{failed}");
    let copied = copying.wait_with_output().unwrap();
    assert!(copied.status.success(), "{copied:?}");
    assert!(fail_to_start(&node, &[], &[]).contains("was copied to"));
}

#[tokio::test]
async fn an_sqlite_file_has_one_server_and_is_not_copied_meanwhile_on_sqlite() {
    let database = TestDatabase { directory: TestDatabase::fresh().directory, url: None };
    let serving = Serving::demo(&database);
    let source = database.directory.path().join("data/countersign.db").display().to_string();
    let other = TestDatabase { directory: TestDatabase::fresh().directory, url: Some(format!("sqlite://{source}")) };
    let directory = other.directory.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    set_mode(&directory, 0o700);
    std::fs::copy(database.directory.path().join("data/sealing.key"), directory.join("sealing.key")).unwrap();
    let refused = fail_to_start(&other, &[], &[]);
    assert_eq!(
        refused,
        format!(
            "countersign: {source}: another server is using this file; stop it, or use PostgreSQL to run several nodes"
        )
    );
    let to = format!("sqlite://{}", other.directory.path().join("copy.db").display());
    let refused = failed_line(&command(&other, "migrate", &["--yes", "--to", &to]));
    assert!(refused.contains("a program has this file open"), "{refused}");
    serving.stop();
    Serving::start(&other, &[], &[]).stop();
}
