//! A server does not use a lost, empty or foreign database, and a kill during the first start does no harm.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use countersign_server::clock::Clock;
use countersign_testkit::{Actor, TestDatabase, engine_is_postgres};

use crate::process::{Serving, countersign, fail_to_start, failed_line, read, run, serve_arguments, set_mode};
use crate::team::{Team, run as run_line};

const WAYS_OUT: &str = "put the database back, restore a backup with `countersign restore`, or start with an empty \
            database: \
                        countersign serve --new-database";
const USED: &str = "this data directory was used with a database";

fn directory_of(database: &TestDatabase) -> PathBuf {
    database.directory.path().join("data")
}

/// A database's URL, and how messages show it.
fn place(database: &TestDatabase) -> (String, String) {
    match &database.url {
        Some(url) => (url.clone(), countersign_server::DatabaseUrl::parse(url).unwrap().to_string()),
        None => {
            let file = directory_of(database).join("countersign.db").display().to_string();
            (format!("sqlite://{file}?mode=rwc"), file)
        }
    }
}

/// The same directory with another database.
fn move_to(directory: TestDatabase, database: &TestDatabase) -> TestDatabase {
    TestDatabase { directory: directory.directory, url: Some(place(database).0) }
}

/// The message for a missing database.
fn lost(place: &str, missing: &str, used: &str) -> String {
    format!("countersign: {place}: {missing}, but {used}; {WAYS_OUT}")
}

async fn start_again(database: TestDatabase, more: &[&str]) -> Team {
    let serving = Serving::start(&database, more, &[]);
    serving.ready().await;
    Team { serving, database }
}

#[tokio::test]
async fn a_missing_or_empty_database_file_fails_the_start_and_is_not_recreated_on_sqlite() {
    let team = Team::start().await;
    team.ok("client create job");
    let Team { serving, database } = team;
    serving.stop();
    let (file, kept) = (directory_of(&database).join("countersign.db"), database.directory.path().join("kept"));
    let shown = file.display().to_string();
    let operator = read(&directory_of(&database).join("operator.json"));
    std::fs::rename(&file, &kept).unwrap();
    assert_eq!(fail_to_start(&database, &[], &[]), lost(&shown, "there is no such file", USED));
    assert!(!file.exists(), "no file is created in its place");
    std::fs::write(&file, "").unwrap();
    set_mode(&file, 0o600);
    assert_eq!(fail_to_start(&database, &[], &[]), lost(&shown, "is empty", USED));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), 0);
    std::fs::remove_file(&file).unwrap();
    // The previous version stored no ID, so the sealing key shows it.
    let memory = directory_of(&database).join("database.json");
    std::fs::remove_file(&memory).unwrap();
    let used = format!("a sealing key already exists, {}", directory_of(&database).join("sealing.key").display());
    assert_eq!(fail_to_start(&database, &[], &[]), lost(&shown, "there is no such file", &used));
    std::fs::write(&memory, "{}").unwrap();
    set_mode(&memory, 0o600);
    let damaged = format!("countersign: {}: is damaged; delete it if the database is the right one", memory.display());
    assert_eq!(fail_to_start(&database, &[], &[]), damaged);
    std::fs::remove_file(&memory).unwrap();
    std::fs::rename(&kept, &file).unwrap();
    let team = start_again(database, &[]).await;
    team.ok("client show job");
    assert_eq!(read(&team.file("data/operator.json")).len(), operator.len());
    team.serving.stop();
}

#[tokio::test]
async fn an_empty_or_different_database_for_a_used_directory_is_refused() {
    let (first, second) = (TestDatabase::fresh(), TestDatabase::fresh());
    Serving::start(&first, &[], &[]).stop();
    let first = move_to(first, &second);
    let shown = place(&second).1;
    let missing = if engine_is_postgres() { "is empty" } else { "there is no such file" };
    if !engine_is_postgres() {
        std::fs::create_dir(directory_of(&second)).unwrap();
        set_mode(&directory_of(&second), 0o700);
    }
    assert_eq!(fail_to_start(&first, &[], &[]), lost(&shown, missing, USED));
    // Nothing was created in it, so a new directory with its own key can begin there.
    Serving::start(&second, &[], &[]).stop();
    let memory = directory_of(&first).join("database.json").display().to_string();
    let other = format!(
        "countersign: {shown}: belongs to another data directory; set database.url to this directory's database, \
         choose another --data-dir, or delete {memory} if the database is the right one"
    );
    for more in [&[][..], &["--new-database"]] {
        assert_eq!(fail_to_start(&first, more, &[]), other);
    }
}

#[tokio::test]
async fn a_new_database_is_only_created_with_the_flag_and_operator_json_is_kept() {
    let team = Team::start().await;
    team.ok("client create old");
    let Team { serving, database } = team;
    let issuer = serving.issuer.clone();
    serving.stop();
    let file = directory_of(&database).join("operator.json");
    // Members that the server does not know are kept.
    let operator = read(&file).replace("\"\n}", "\",\n  \"note\": {\n    \"by\": \"ops\"\n  }\n}");
    std::fs::write(&file, &operator).unwrap();
    let before = read(&directory_of(&database).join("database.json"));
    let second = TestDatabase::fresh();
    let moved = if engine_is_postgres() {
        move_to(database, &second)
    } else {
        std::fs::remove_file(directory_of(&database).join("countersign.db")).unwrap();
        database
    };
    let listen = issuer.strip_prefix("http://").unwrap();
    let team = start_again(moved, &["--new-database", "--listen", listen]).await;
    assert_eq!(read(&team.file("data/operator.json")), operator, "it is not overwritten");
    assert_ne!(read(&team.file("data/database.json")), before);
    team.fail(3, "client show old");
    team.ok("client create new");
    let Team { serving, mut database } = team;
    serving.stop();
    // It does nothing if the key opens the database, and is no longer needed. The file follows the issuer.
    for more in [&["--new-database"][..], &[]] {
        let team = start_again(database, more).await;
        team.ok("client show new");
        let now = read(&team.file("data/operator.json"));
        assert_eq!(now.replace(&team.serving.issuer, &issuer), operator);
        team.serving.stop();
        database = team.database;
    }
    // --new-operator creates another secret.
    let team = start_again(database, &["--new-operator"]).await;
    let renewed = read(&team.file("data/operator.json"));
    assert!(renewed.contains("\"by\": \"ops\""), "{renewed}");
    assert_ne!(renewed.replace(&team.serving.issuer, &issuer), operator);
    team.serving.stop();
}

#[tokio::test]
async fn an_existing_key_creates_a_database_once_and_opens_it_from_any_new_directory() {
    let (first, second) = (TestDatabase::fresh(), TestDatabase::fresh());
    let key = first.directory.path().join("provided.key").display().to_string();
    std::fs::write(&key, "A".repeat(43) + "\n").unwrap();
    set_mode(Path::new(&key), 0o600);
    let environment = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str())];
    let missing = if engine_is_postgres() { "is empty" } else { "there is no such file" };
    let line = lost(&place(&first).1, missing, &format!("a sealing key already exists, {key}"));
    assert_eq!(fail_to_start(&first, &[], &environment), line);
    Serving::start(&first, &["--new-database"], &environment).stop();
    Serving::start(&first, &[], &environment).stop();
    let pod = move_to(second, &first);
    Serving::start(&pod, &[], &environment).stop();
    let remembered = |database: &TestDatabase| read(&directory_of(database).join("database.json"));
    assert_eq!(remembered(&pod), remembered(&first));
    assert!(!directory_of(&pod).join("operator.json").exists(), "the operator is the first node's");
    Serving::start(&pod, &[], &environment).stop();
}

#[tokio::test]
async fn a_database_of_the_previous_version_gets_an_id_that_its_directory_stores() {
    let team = Team::start().await;
    team.ok("client create job");
    let Team { serving, database } = team;
    serving.stop();
    let memory = directory_of(&database).join("database.json");
    let before = read(&memory);
    std::fs::remove_file(&memory).unwrap();
    let back = "DROP TABLE identity; DELETE FROM _sqlx_migrations WHERE version = 12";
    database.tamper(&directory_of(&database).join("countersign.db"), back);
    let team = start_again(database, &[]).await;
    team.ok("client show job");
    let now = read(&memory);
    assert!(now.starts_with(r#"{"database_id":""#) && now != before, "{now}");
    team.serving.stop();
}

/// The number of kills in one run of the test.
const KILLS: u64 = 12;

#[tokio::test]
async fn a_first_start_that_is_killed_at_any_moment_restarts_without_a_flag() {
    let whole = TestDatabase::fresh();
    let clock = Clock::system();
    Serving::demo(&whole).stop();
    let needed = Duration::from_millis(clock.monotonic_ms().unsigned_abs());
    let mut cut_off = 0;
    for round in 0..KILLS {
        let database = TestDatabase::fresh();
        let mut arguments = serve_arguments(&database);
        arguments.extend(["--demo", "--listen", "127.0.0.1:0"].map(str::to_owned));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = countersign(&arguments).spawn().unwrap();
        let memory = directory_of(&database).join("database.json");
        let has_begun = || std::fs::read_to_string(&memory).is_ok_and(|text| text.contains("first_start"));
        if round == 0 {
            // At least this kill happens during a first start, however slow the machine is.
            while !has_begun() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        } else {
            std::thread::sleep(needed.mul_f64(round as f64 / KILLS as f64).max(Duration::from_millis(5)));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        cut_off += u32::from(has_begun());
        let team = start_again(database, &["--demo"]).await;
        team.ok("client list");
        assert!(read(&team.file("data/database.json")).contains("database_id"));
        team.serving.stop();
    }
    assert!(cut_off > 0, "no kill happened during a first start");
}

/// Polls the readiness check until it returns this status.
async fn wait_for_readiness(team: &Team, status: u16) -> String {
    let stranger = team.serving.actor("", "");
    for _ in 0..300 {
        let answer = stranger.get("/readyz").await;
        if answer.status == status {
            return answer.body;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("/readyz never answers {status}");
}

/// Revokes a token once the server has noticed that it can write again.
async fn revoke_soon(job: &Actor, token: &str) {
    for _ in 0..50 {
        if job.revoke(token).await.status == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("it does not go on");
}

#[tokio::test]
async fn while_its_database_file_is_missing_a_server_is_not_ready_and_writes_nothing_on_sqlite() {
    let team = Team::start().await;
    let job = team.create_billing();
    let (file, kept) = (team.file("data/countersign.db"), team.file("kept"));
    let copied = std::fs::read(&file).unwrap();
    for is_replaced in [false, true] {
        let token = job.client_credentials("invoices:read").await.text("access_token");
        std::fs::rename(&file, &kept).unwrap();
        if is_replaced {
            std::fs::write(&file, &copied).unwrap();
        }
        let refused = job.revoke(&token).await;
        assert_eq!(
            (refused.status, refused.body.contains("database was deleted or replaced")),
            (503, true),
            "{refused}"
        );
        assert_eq!(wait_for_readiness(&team, 503).await, "the database file was deleted or replaced\n");
        assert_eq!(job.revoke(&token).await.status, 503);
        assert_eq!(job.introspect(&token).await.json()["active"], true);
        let refused = team.fail(6, "client create later");
        assert!(refused.contains("the database was deleted or replaced"), "{refused}");
        assert_eq!(job.client_credentials("invoices:read").await.status, 200, "requests without writes still work");
        assert_eq!(file.exists(), is_replaced, "no file is created in its place");
        if is_replaced {
            let (directory, target) = (directory_of(&team.database).display().to_string(), team.file("backup"));
            let backup = run(&["backup", &target.display().to_string(), "--data-dir", &directory], &[]);
            assert!(failed_line(&backup).contains("the running server has a different file open"), "{backup:?}");
            let doctor = run(&["doctor", "--data-dir", &directory], &[]);
            assert!(String::from_utf8_lossy(&doctor.stdout).contains("has a different file open"), "{doctor:?}");
        }
        assert!(!is_replaced || std::fs::read(&file).unwrap() == copied, "it is not touched");
        std::fs::rename(&kept, &file).unwrap();
        wait_for_readiness(&team, 200).await;
        revoke_soon(&job, &token).await;
        assert_eq!(job.introspect(&token).await.body, r#"{"active":false}"#);
    }
    team.ok("client create later");
    let Team { serving, database } = team;
    let log = serving.stop();
    let told = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert_eq!((told("was deleted or replaced; "), told("the database file is back")), (2, 2), "{log}");
    let team = start_again(database, &[]).await;
    team.ok("client show later");
    team.serving.stop();
}

#[tokio::test]
async fn a_server_whose_log_of_the_database_was_deleted_loses_nothing_on_sqlite() {
    let team = Team::start().await;
    let job = team.create_billing();
    team.ok("client create kept");
    std::fs::remove_file(team.file("data/countersign.db-wal")).unwrap();
    let refused = team.fail(6, "client create later");
    assert!(refused.contains("the database was deleted or replaced"), "{refused}");
    assert_eq!(wait_for_readiness(&team, 503).await, "the database file was deleted or replaced\n");
    assert_eq!(job.client_credentials("invoices:read").await.status, 200);
    let Team { serving, database } = team;
    serving.signal("KILL");
    let (_, log) = serving.wait();
    assert!(log.contains("countersign.db-wal: was deleted or replaced; restart the server"), "{log}");
    let team = start_again(database, &[]).await;
    team.ok("client show kept");
    team.ok("client create later");
    team.serving.stop();
}

#[tokio::test]
async fn a_server_whose_disk_is_full_stays_ready_and_issues_tokens_on_sqlite() {
    let database = TestDatabase::fresh();
    let mut shell = Command::new("/bin/sh");
    // Without this, the limit would end the process. On a full disk, it is only an error.
    shell.env_clear().args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\" --listen 127.0.0.1:0"]);
    shell.arg(env!("CARGO_BIN_EXE_countersign")).args(serve_arguments(&database));
    let team = Team { serving: Serving::spawn(&mut shell), database };
    team.serving.ready().await;
    let job = team.create_billing();
    let token = job.client_credentials("invoices:read").await.text("access_token");
    let process = format!("--pid={}", team.serving.id());
    let limit = |size: &str| Command::new("prlimit").args([&process, &format!("--fsize={size}:unlimited")]).status();
    assert!(limit("0").unwrap().success());
    assert_issues_and_writes_nothing(&team, &job, &token).await;
    assert!(limit("unlimited").unwrap().success());
    revoke_soon(&job, &token).await;
    team.serving.stop();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_server_with_a_read_only_database_stays_ready_and_issues_tokens() {
    let team = Team::start().await;
    let job = team.create_billing();
    let token = job.client_credentials("invoices:read").await.text("access_token");
    let none = Path::new("");
    let read_only = "ALTER DATABASE %I SET default_transaction_read_only = on";
    team.database.tamper(none, &format!("DO $$BEGIN EXECUTE format('{read_only}', current_database()); END$$"));
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    team.database.tamper(none, end);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_issues_and_writes_nothing(&team, &job, &token).await;
    team.serving.stop();
}

/// For three seconds, longer than any background task waits.
async fn assert_issues_and_writes_nothing(team: &Team, job: &Actor, token: &str) {
    for _ in 0..30 {
        assert_eq!(job.revoke(token).await.status, 503);
        assert_eq!(team.serving.actor("", "").get("/readyz").await.status, 200);
        assert_eq!(job.client_credentials("invoices:read").await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn a_restored_database_belongs_to_the_directory_it_was_restored_into() {
    let database = TestDatabase::fresh();
    Serving::start(&database, &[], &[]).stop();
    let backup = database.directory.path().join("backup").display().to_string();
    let arguments = |database: &TestDatabase| {
        let url = database.url.as_ref().map(|url| format!(" --database-url \"{url}\"")).unwrap_or_default();
        format!("--data-dir {}{url}", directory_of(database).display())
    };
    let succeed = |line: String| assert_eq!(run_line(&line, &[], "").code, Some(0), "{line}");
    succeed(format!("backup {backup} {}", arguments(&database)));
    let remembered = |database: &TestDatabase| read(&directory_of(database).join("database.json"));
    let before = remembered(&database);
    succeed(format!("restore {backup} {} --replace --yes", arguments(&database)));
    assert_eq!(remembered(&database), before, "the other nodes continue with it");
    Serving::start(&database, &[], &[]).stop();

    let scratch = TestDatabase { directory: TestDatabase::fresh().directory, url: database.url.clone() };
    succeed(format!("restore {backup} {} --yes", arguments(&scratch)));
    assert_ne!(remembered(&scratch), before, "a copy is another database");
    Serving::start(&scratch, &[], &[]).stop();
    if engine_is_postgres() {
        // The restore was into the same database, so only its new directory can continue.
        assert!(fail_to_start(&database, &[], &[]).contains("belongs to another data directory"));
        return;
    }
    Serving::start(&database, &[], &[]).stop();
    let astray = move_to(scratch, &database);
    assert!(fail_to_start(&astray, &[], &[]).contains("belongs to another data directory"));
}
