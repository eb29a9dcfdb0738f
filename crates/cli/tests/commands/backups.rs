//! A backup of a running server, and what is and is not valid after a restore.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use countersign_server::clock::Clock;
use countersign_testkit::TestDatabase;
use serde_json::{Value, json};

use crate::process::{Serving, countersign, demo_json, read};
use crate::team::{Done, Team, run};

/// The number of kills of a restore, spread over its duration.
const KILLS: u32 = 8;

/// `--data-dir` of a database, and its URL if it is PostgreSQL.
fn place(database: &TestDatabase) -> String {
    let directory = database.directory.path().join("data").display().to_string();
    let url = database.url.as_ref().map(|url| format!(" --database-url \"{url}\"")).unwrap_or_default();
    format!("--data-dir {directory}{url}")
}

/// The names in a directory, with their modes.
fn list(directory: &Path) -> Vec<(String, u32)> {
    let entry = |entry: std::fs::DirEntry| {
        (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().permissions().mode() & 0o777)
    };
    let mut all: Vec<_> = std::fs::read_dir(directory).unwrap().map(|found| entry(found.unwrap())).collect();
    all.sort();
    all
}

fn parse(done: &Done) -> Value {
    assert_eq!(done.code, Some(0), "{done:?}");
    serde_json::from_str(&done.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_invalidates_everything_issued_but_not_secrets_and_passwords() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    serving.ready().await;
    let (address, demo) = (serving.address().to_string(), demo_json(&database));
    let password = demo["password"].as_str().unwrap();
    let service = serving.demo_service(&demo);
    let token = service.client_credentials("all").await.text("access_token");
    let set = service.password("demo", password).await;
    let stop = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn({
        let (service, stop) = (serving.demo_service(&demo), stop.clone());
        async move {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                let token = service.client_credentials("all").await.text("access_token");
                assert_eq!(service.revoke(&token).await.status, 200);
                written += 1;
            }
            written
        }
    });
    let backup = |name: &str| database.directory.path().join(name).display().to_string();
    let before = list(&database.directory.path().join("data"));
    let mut manifest = json!(null);
    for name in ["first", "second", "third"] {
        manifest = parse(&run(&format!("backup {} {} --output json", backup(name), place(&database)), &[], ""));
    }
    assert_eq!(list(&database.directory.path().join("data")), before, "nothing was written there");
    stop.store(true, Ordering::Relaxed);
    assert!(writing.await.unwrap() > 0);
    let mut expected =
        vec!["backup.json", "countersign.db", "countersign.toml", "demo.json", "operator.json", "sealing.key"];
    expected.retain(|name| *name != "countersign.db" || database.url.is_none());
    let expected: Vec<_> = expected.into_iter().map(|name| (name.to_owned(), 0o600)).collect();
    assert_eq!(list(Path::new(&backup("third"))), expected);
    assert_eq!(std::fs::metadata(backup("third")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(!Path::new(&backup("third.new")).exists());
    assert_eq!(service.introspect(&token).await.json()["active"], true);
    serving.stop();

    let other = TestDatabase { directory: TestDatabase::fresh().directory, url: database.url.clone() };
    let restored = run(&format!("restore {} {} --yes --output json", backup("third"), place(&other)), &[], "");
    let change = parse(&restored)["change"].as_i64().unwrap();
    // On PostgreSQL, this restores not the backup but the current database.
    let apart = change - 1_000_000 - manifest["change"].as_i64().unwrap();
    assert!(apart == 0 || database.url.is_some(), "{apart}");
    assert!(list(&other.directory.path().join("data")).iter().all(|(_, mode)| *mode == 0o600));
    let serving = Serving::start(&other, &["--demo", "--listen", &address], &[]);
    serving.ready().await;
    let service = serving.demo_service(&demo);
    for old in [&token, &set.text("access_token"), &set.text("refresh_token")] {
        assert_eq!(service.introspect(old).await.body, r#"{"active":false}"#);
    }
    assert_eq!(service.refresh(&set.text("refresh_token")).await.refusal(), (400, "invalid_grant".to_owned()));
    let new = service.client_credentials("all").await.text("access_token");
    assert_eq!(service.introspect(&new).await.json()["active"], true);
    assert_eq!(service.password("demo", password).await.status, 200);
    let team = Team { serving, database: other };
    let audited = team.json("audit list");
    let record = audited.as_array().unwrap().iter().rfind(|record| record["action"] == "restore").unwrap();
    assert_eq!(record["after"]["change"], change);
    assert!(team.ok("audit verify").contains("is intact"));
    let states = team.json("key list");
    assert!(
        states.as_array().unwrap().iter().filter(|key| key["state"] != "retired").all(|key| key["state"] == "active")
    );
    team.serving.stop();
}

#[tokio::test]
async fn a_backup_is_only_written_to_its_own_directory() {
    let team = Team::start().await;
    let place = place(&team.database);
    let refused = |target: &str, why: &str| {
        let path = team.file(target).display().to_string();
        let line = run(&format!("backup {path} {place}"), &[], "").failed(target, 1);
        assert!(line.contains(&path) && line.contains(why), "{line}");
    };
    refused("data", "is the data directory");
    refused("data/inside", "or inside it");
    refused("data/../data", "is the data directory");
    std::fs::create_dir(team.file("full")).unwrap();
    std::fs::write(team.file("full/x"), "x").unwrap();
    refused("full", "is not empty");
    refused("full/x", "is not a directory");
    let parent = run(&format!("backup {}/none/x {place}", team.file("full").display()), &[], "").failed("no parent", 1);
    assert!(parent.contains("No such file"), "{parent}");
    std::fs::create_dir(team.file("cut.new")).unwrap();
    let cut = run(&format!("backup {} {place}", team.file("cut").display()), &[], "").failed("in the way", 1);
    assert!(cut.contains("cut.new") && cut.contains("interrupted"), "{cut}");
    // An empty directory becomes the backup, no matter who created it.
    std::fs::create_dir(team.file("empty")).unwrap();
    let said = run(&format!("backup {} {place}", team.file("empty").display()), &[], "");
    assert!(said.code == Some(0) && said.stdout.contains("contains the sealing key"), "{said:?}");
    assert_eq!(said.stdout.contains("pg_dump --format=custom"), team.database.url.is_some());
    assert_eq!(std::fs::metadata(team.file("empty")).unwrap().permissions().mode() & 0o777, 0o700);
    refused("empty", "is not empty");
    // What could not be restored is detected now, and no backup is left.
    let key = team.file("data/sealing.key");
    let mine = std::fs::read_to_string(&key).unwrap();
    std::fs::write(&key, "A".repeat(43) + "\n").unwrap();
    let foreign = run(&format!("backup {} {place}", team.file("b").display()), &[], "").failed("a foreign key", 1);
    assert!(foreign.contains("does not match the database"), "{foreign}");
    std::fs::remove_file(&key).unwrap();
    let none = run(&format!("backup {} {place}", team.file("b").display()), &[], "").failed("no key", 1);
    assert!(none.contains("missing sealing key"), "{none}");
    assert!(!team.file("b").exists() && !team.file("b.new").exists());
    std::fs::write(&key, mine).unwrap();
    team.serving.stop();
}

#[tokio::test]
async fn a_restore_overwrites_no_files_and_no_running_server() {
    let team = Team::start().await;
    let job = team.create_billing();
    let place = place(&team.database);
    let backup = team.file("backup").display().to_string();
    run(&format!("backup {backup} {place}"), &[], "");
    let restore = |from: &str, more: &str| run(&format!("restore {from} {place} --yes {more}"), &[], "");
    let failed = |from: &str, more: &str, why: &str| {
        let line = restore(from, more).failed(from, 1);
        assert!(line.contains(why), "{line}");
    };
    failed(&team.file("data").display().to_string(), "--replace", "is not a backup");
    failed("/nowhere", "--replace", "is not a backup");
    let into_itself = place.replace(&team.file("data").display().to_string(), &backup);
    for deeper in ["", "/deeper"] {
        let into_itself = into_itself.replace(&backup, &format!("{backup}{deeper}"));
        let itself = run(&format!("restore {backup} {into_itself} --replace --yes"), &[], "");
        assert!(itself.failed("itself", 1).contains("the data directory is inside the backup"));
    }
    if team.database.url.is_none() {
        let cut = team.file("cut").display().to_string();
        run(&format!("backup {cut} {place}"), &[], "");
        let database = std::fs::read(team.file("cut/countersign.db")).unwrap();
        std::fs::write(team.file("cut/countersign.db"), &database[..database.len() / 2]).unwrap();
        let line = run(&format!("restore {cut} --data-dir {} --yes", team.file("from-cut").display()), &[], "");
        assert!(line.failed("cut", 1).contains("cut/countersign.db: failed to read the database in the backup"));
    }
    failed(&backup, "", "already exists; --replace");
    failed(&backup, "--replace", "another countersign process is using this data directory");
    let other = match team.database.url {
        None => "--database-url postgres://127.0.0.1:1/x",
        Some(_) => "--database-url sqlite:///nowhere.db",
    };
    let line = run(&format!("restore {backup} --data-dir {} --yes {other}", team.file("new").display()), &[], "");
    assert!(line.failed("another engine", 1).contains("use the same engine"));
    let token = job.client_credentials("invoices:read").await.text("access_token");
    let address = team.serving.address().to_string();
    team.ok("client create later");
    let Team { serving, database } = team;
    serving.stop();
    let said = restore(&backup, "--replace");
    assert!(said.code == Some(0) && said.stdout.contains("Earlier access tokens"), "{said:?}");
    let kept: Vec<&str> = said.stdout.lines().filter_map(|line| line.strip_prefix("Previous file: ")).collect();
    assert_eq!(kept.len(), if database.url.is_none() { 3 } else { 2 }, "{kept:?}");
    assert!(kept.iter().all(|path| path.ends_with(".before-restore") && Path::new(path).exists()));
    failed(&backup, "--replace", "was left by an earlier restore");
    let names = list(&database.directory.path().join("data"));
    assert!(!names.iter().any(|(name, _)| name.contains("restoring") || name.ends_with(".new")), "{names:?}");
    let serving = Serving::start(&database, &["--listen", &address], &[]);
    serving.ready().await;
    let team = Team { serving, database };
    assert_eq!(job.introspect(&token).await.body, r#"{"active":false}"#);
    assert_eq!(job.client_credentials("invoices:read").await.status, 200);
    if team.database.url.is_none() {
        team.fail(3, "client show later");
    }
    team.serving.stop();
}

#[tokio::test]
async fn a_restore_that_is_killed_at_any_moment_can_be_repeated() {
    let team = Team::start().await;
    team.ok("client create job");
    let (backup, place) = (team.file("backup").display().to_string(), place(&team.database));
    run(&format!("backup {backup} {place}"), &[], "");
    let Team { serving, mut database } = team;
    serving.stop();
    let data = database.directory.path().join("data");
    let restore = format!("restore {backup} {place} --yes --replace");
    let kept = || {
        let all = list(&data).into_iter().map(|(name, _)| data.join(name));
        all.filter(|path| path.display().to_string().contains(".before-restore")).collect::<Vec<_>>()
    };
    let clock = Clock::system();
    assert_eq!(run(&restore, &[], "").code, Some(0));
    let needed = Duration::from_millis(clock.monotonic_ms().unsigned_abs());
    for round in 0..KILLS {
        kept().iter().for_each(|path| std::fs::remove_file(path).unwrap());
        let words: Vec<&str> = restore.split(' ').map(|word| word.trim_matches('"')).collect();
        let mut child = countersign(&words).spawn().unwrap();
        std::thread::sleep(needed.mul_f64(f64::from(round + 1) / f64::from(KILLS + 1)));
        child.kill().unwrap();
        child.wait().unwrap();
        let mut done = run(&restore, &[], "");
        if done.code != Some(0) {
            assert!(done.stderr.contains("may have been interrupted; move it out of the way first"), "{done:?}");
            kept().iter().for_each(|path| std::fs::remove_file(path).unwrap());
            done = run(&restore, &[], "");
        }
        assert_eq!(done.code, Some(0), "{done:?}");
        let serving = Serving::start(&database, &[], &[]);
        serving.ready().await;
        let team = Team { serving, database };
        team.ok("client show job");
        assert!(team.ok("audit verify").contains("is intact"));
        team.serving.stop();
        database = team.database;
    }
}

#[tokio::test]
async fn a_backup_of_a_newer_version_or_an_incomplete_one_changes_nothing() {
    let team = Team::start().await;
    let (backup, place) = (team.file("backup").display().to_string(), place(&team.database));
    run(&format!("backup {backup} {place}"), &[], "");
    team.serving.stop();
    let file = Path::new(&backup).join("countersign.db");
    team.database.tamper(
        &file,
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
         SELECT 9999, 'later', installed_on, success, checksum, 0 FROM _sqlx_migrations WHERE version = 1",
    );
    let before = list(&team.database.directory.path().join("data"));
    let restore = format!("restore {backup} {place} --yes --replace");
    let newer = run(&restore, &[], "").failed("newer", 1);
    assert!(newer.contains("migrated by a newer version of Countersign (migration 9999)"), "{newer}");
    assert_eq!(list(&team.database.directory.path().join("data")), before);
    team.database.tamper(&file, "DELETE FROM _sqlx_migrations WHERE version = 9999");
    let damaged =
        "operator.json: is damaged; use another backup, or delete this file from it and let `serve --new-operator`";
    for (name, why) in
        [("sealing.key", "not a sealing key"), ("backup.json", "is not a backup"), ("operator.json", damaged)]
    {
        let (path, text) = (Path::new(&backup).join(name), read(&Path::new(&backup).join(name)));
        std::fs::write(&path, &text[..text.len() / 2]).unwrap();
        let short = run(&restore, &[], "").failed(name, 1);
        assert!(short.contains(why), "{short}");
        std::fs::write(&path, text).unwrap();
    }
    if team.database.url.is_none() {
        // The backup must be complete, to the last page.
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() - 4096]).unwrap();
        assert!(run(&restore, &[], "").failed("page", 1).contains("failed to read the database in the backup"));
        std::fs::write(&file, whole).unwrap();
    }
    assert_eq!(list(&team.database.directory.path().join("data")), before);
    assert_eq!(run(&restore, &[], "").code, Some(0));
}
