//! What `doctor` reports for a healthy, an unhealthy and a stopped server, without changing anything.

use std::collections::BTreeMap;
use std::path::Path;

use countersign_testkit::{CertificateFiles, Certified, TestAuthority, TestDatabase, engine_is_postgres};
use serde_json::Value;

use crate::process::{Serving, set_mode};
use crate::team::{Team, run};

/// Each check with its result and detail.
fn examine(database: &TestDatabase, more: &str, code: i32) -> BTreeMap<String, (String, String)> {
    let directory = database.directory.path().join("data").display().to_string();
    let url = database.url.as_ref().map(|url| format!("--database-url \"{url}\"")).unwrap_or_default();
    let done = run(&format!("doctor --data-dir {directory} {url} --output json {more}"), &[], "");
    assert_eq!(done.code, Some(code), "{done:?}");
    let checks: Value = serde_json::from_str(&done.stdout).unwrap();
    let text = |check: &Value, member: &str| check[member].as_str().unwrap().to_owned();
    let checks = checks.as_array().unwrap().iter();
    checks.map(|check| (text(check, "check"), (text(check, "result"), text(check, "detail")))).collect()
}

fn results(checks: &BTreeMap<String, (String, String)>) -> String {
    checks.iter().map(|(check, (result, _))| format!("{check}: {result}")).collect::<Vec<_>>().join(", ")
}

/// Every file with its bytes, except SQLite's log index, where readers mark how far they have read.
fn snapshot(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| !path.to_str().unwrap().ends_with("-shm"));
    files.map(|path| (path.display().to_string(), std::fs::read(&path).unwrap())).collect()
}

#[tokio::test]
async fn doctor_passes_for_a_healthy_server_running_or_not() {
    let team = Team::start().await;
    let Team { serving, database } = team;
    let checks = examine(&database, "", 0);
    let expected = "certificate: ok, clock: ok, configuration: ok, data directory: ok, database: ok, descriptors: ok, \
                free space: ok, \
                    reachability: ok, sealing key: warn, server: ok, signing keys: ok, writes: ok";
    let expected = expected.replace("certificate: ok, ", "");
    assert_eq!(results(&checks), expected, "{checks:?}");
    assert!(checks["server"].1.starts_with("is running"));
    assert!(checks["sealing key"].1.contains("keep a copy elsewhere"), "{checks:?}");
    assert!(checks["reachability"].1.contains(&serving.issuer));
    serving.stop();

    let directory = database.directory.path().join("data");
    let before = snapshot(&directory);
    let checks = examine(&database, "", 0);
    assert_eq!(snapshot(&directory), before, "nothing was written");
    assert!(checks["server"].1.starts_with("is not running"));
    assert_eq!(checks["reachability"].0, "warn", "{checks:?}");
    assert_eq!(checks["database"].0, "ok", "{checks:?}");
    let elsewhere = database.directory.path().join("key");
    std::fs::copy(directory.join("sealing.key"), &elsewhere).unwrap();
    let line = format!("doctor --data-dir {}", directory.display());
    let url = database.url.as_deref().unwrap_or_default();
    let mut environment = vec![("COUNTERSIGN_SEALING_KEY_FILE", elsewhere.to_str().unwrap())];
    environment.extend((!url.is_empty()).then_some(("COUNTERSIGN_DATABASE_URL", url)));
    let done = run(&line, &environment, "");
    assert!(done.stdout.lines().any(|line| line.starts_with("ok    sealing key     ")), "{done:?}");
}

#[tokio::test]
async fn problems_are_reported_with_what_to_do() {
    let team = Team::start().await;
    let Team { serving, database } = team;
    serving.stop();
    let directory = database.directory.path().join("data");
    let failed = |check: &str, why: &str| {
        let checks = examine(&database, "", 1);
        assert!(checks[check].0 == "fail" && checks[check].1.contains(why), "{checks:?}");
    };
    set_mode(&directory, 0o755);
    failed("data directory", "chmod o-rwx");
    set_mode(&directory, 0o700);
    let key = directory.join("sealing.key");
    let mine = std::fs::read(&key).unwrap();
    std::fs::remove_file(&key).unwrap();
    failed("sealing key", "is missing");
    std::fs::write(&key, "A".repeat(43) + "\n").unwrap();
    failed("sealing key", "does not match this database");
    std::fs::write(&key, "nonsense").unwrap();
    failed("sealing key", "not a sealing key");
    std::fs::write(&key, mine).unwrap();
    set_mode(&key, 0o600);
    let operator = directory.join("operator.json");
    let mine = std::fs::read(&operator).unwrap();
    for damaged in ["", "{", "null", "{}"] {
        std::fs::write(&operator, damaged).unwrap();
        failed("operator", "--new-operator");
    }
    std::fs::write(&operator, mine).unwrap();
    if !engine_is_postgres() {
        std::fs::write(directory.join("countersign.db"), "this is somebody's diary, ".repeat(100)).unwrap();
        failed("database", "");
        std::fs::remove_file(directory.join("countersign.db")).unwrap();
        failed("database", "there is no such file, but this data directory was used with a database; put");
        let memory = directory.join("database.json");
        let mine = std::fs::read(&memory).unwrap();
        std::fs::remove_file(&memory).unwrap();
        failed("database", "there is no such file, but a sealing key already exists");
        let kept = directory.join("kept");
        std::fs::rename(&key, &kept).unwrap();
        failed("database", "the first `serve` creates it");
        std::fs::rename(&kept, &key).unwrap();
        std::fs::write(&memory, mine).unwrap();
        std::fs::write(directory.join("countersign.db"), "").unwrap();
        failed("database", "is empty, but this data directory was used with a database; put");
        std::fs::remove_file(directory.join("countersign.db")).unwrap();
        assert!(!directory.join("countersign.db").exists());
    }
    let done = run("doctor --data-dir /nowhere --issuer nonsense", &[], "");
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), "countersign: 1 check failed\n"));
    assert!(done.stdout.starts_with("FAIL  configuration  issuer (--issuer): "), "{done:?}");
    let done = run("doctor --data-dir /nowhere", &[], "");
    assert!(done.code == Some(1) && done.stdout.contains("FAIL  data directory  /nowhere: "), "{done:?}");
    assert!(!Path::new("/nowhere").exists());
}

#[tokio::test]
async fn equivalent_audiences_are_named() {
    let team = Team::start().await;
    let Team { serving, database } = team;
    serving.stop();
    assert!(!examine(&database, "", 0).contains_key("audiences"));
    for (id, audience) in [("one", "https://billing.example"), ("two", "HTTPS://Billing.example:443/")] {
        let insert = format!(
            "INSERT INTO apis (id, audience, name, grants, access_token_lifetime_s, algorithm, refresh_idle_s, \
             refresh_absolute_s, epoch) SELECT '{id}', '{audience}', '{id}', grants, access_token_lifetime_s, \
             algorithm, refresh_idle_s, refresh_absolute_s, epoch FROM apis LIMIT 1"
        );
        database.tamper(&database.directory.path().join("data/countersign.db"), &insert);
    }
    let (result, detail) = &examine(&database, "", 0)["audiences"];
    assert_eq!(result, "warn");
    let named = "https://billing.example (one) and HTTPS://Billing.example:443/ (two) are equivalent";
    assert!(detail.contains(named), "{detail}");
}

#[tokio::test]
async fn a_running_server_that_does_not_respond_is_a_failure() {
    let database = TestDatabase::fresh();
    let serving = Serving::start(&database, &[], &[]);
    serving.ready().await;
    let file = database.directory.path().join("data/operator.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace(&serving.issuer, "http://127.0.0.1:1")).unwrap();
    let checks = examine(&database, "", 1);
    assert!(checks["reachability"].0 == "fail" && checks["reachability"].1.contains("127.0.0.1:1"), "{checks:?}");
    // The same server under another name does not match its issuer.
    let other = serving.issuer.replace("127.0.0.1", "localhost");
    std::fs::write(&file, text.replace(&serving.issuer, &other)).unwrap();
    let checks = examine(&database, "", 1);
    assert!(checks["reachability"].1.contains("clients refuse that"), "{checks:?}");
    serving.stop();
}

#[tokio::test]
async fn a_killed_servers_database_is_checked_with_its_log() {
    let team = Team::start().await;
    team.ok("client create job");
    let Team { serving, database } = team;
    serving.signal("KILL");
    serving.wait();
    let directory = database.directory.path().join("data");
    let before = snapshot(&directory);
    let checks = examine(&database, "", 0);
    assert!(checks["server"].1.starts_with("is not running"), "{checks:?}");
    assert_eq!(snapshot(&directory), before, "nothing was written");
    let backup = database.directory.path().join("backup").display().to_string();
    let url = database.url.as_ref().map(|url| format!("--database-url \"{url}\"")).unwrap_or_default();
    let done = run(&format!("backup {backup} --data-dir {} {url}", directory.display()), &[], "");
    assert_eq!(done.code, Some(0), "{done:?}");
    assert_eq!(snapshot(&directory), before, "nothing was written");
    Serving::start(&database, &[], &[]).stop();
}

#[tokio::test]
async fn failing_writes_are_reported_with_the_reason_and_what_to_do_on_sqlite() {
    let team = Team::start().await;
    let directory = team.file("data");
    let file = directory.join("countersign.db");
    let writes = |code: i32| examine(&team.database, "", code)["writes"].clone();
    // A program that left its transaction open.
    let forgetful = TestDatabase::hold(&file);
    let (result, detail) = writes(1);
    assert!(result == "fail" && detail.contains("did not respond in time"), "{detail}");
    assert!(detail.ends_with("another program, such as sqlite3, has an open transaction; close it"), "{detail}");
    drop(forgetful);
    assert_eq!(writes(0), ("ok".to_owned(), "a test write succeeded and was rolled back".to_owned()));
    // A file size limit has the same effect as a full disk or a quota.
    let mut limited = std::process::Command::new("sh");
    let binary = env!("CARGO_BIN_EXE_countersign");
    let line = format!("ulimit -f 1; trap '' XFSZ; exec {binary} doctor --data-dir {}", directory.display());
    let done = limited.args(["-c", &line]).env_clear().output().unwrap();
    let said = String::from_utf8(done.stdout).unwrap();
    let line = said.lines().find(|line| line.contains(" writes ")).unwrap();
    assert!(line.starts_with("FAIL") && line.contains("free up space there, or raise the quota"), "{said}");
    // Root can write despite the mode. The server's user cannot.
    let is_root = rustix::process::geteuid().is_root();
    for (path, mode) in [(&file, 0o600), (&directory, 0o700)] {
        set_mode(path, mode & 0o500);
        let (result, detail) = writes(i32::from(!is_root));
        set_mode(path, mode);
        let shown = path.display();
        assert!(detail.starts_with(&format!("{shown}: ")), "{detail}");
        match is_root {
            true => assert_eq!(
                (&*result, detail),
                ("warn", format!("{shown}: only root can write this; run: chmod u+w {shown}"))
            ),
            false => assert!(result == "fail" && detail.contains("with chown and chmod"), "{detail}"),
        }
    }
    team.serving.stop();
    assert!(std::fs::read_dir(&directory).unwrap().all(|entry| !entry.unwrap().path().ends_with(".new")));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_read_only_postgresql_is_reported_with_where_that_is_set() {
    let team = Team::start().await;
    let none = Path::new("");
    for (set, place, remedy) in [
        ("DATABASE %I SET", "database", "then ALTER DATABASE … RESET default_transaction_read_only"),
        ("ROLE postgres IN DATABASE %I SET", "database user", "then ALTER ROLE … IN DATABASE … RESET"),
    ] {
        let alter = |statement: &str, value: &str| {
            let statement = format!("ALTER {statement} default_transaction_read_only{value}");
            let by_format = format!("DO $$BEGIN EXECUTE format('{statement}', current_database()); END$$");
            team.database.tamper(none, &format!("BEGIN READ WRITE; {by_format}; COMMIT"));
        };
        alter(set, " = on");
        let checks = examine(&team.database, "", 1);
        let (result, detail) = &checks["writes"];
        assert!(result == "fail" && detail.starts_with("the database is read-only: "), "{detail}");
        assert!(detail.contains(&format!("is on ({place});")) && detail.contains(remedy), "{detail}");
        assert_eq!(checks["database"].0, "ok", "{checks:?}");
        alter(&set.replace("SET", "RESET"), "");
        assert_eq!(examine(&team.database, "", 0)["writes"].0, "ok");
    }
    assert!(team.ok("audit verify").contains("is intact"), "no row is left");
    team.serving.stop();
}

#[test]
fn completions_exist_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let done = run(&format!("completions {shell}"), &[], "");
        assert!(done.code == Some(0) && done.stdout.contains("doctor") && done.stderr.is_empty(), "{done:?}");
    }
    run("completions csh", &[], "").failed("csh", 2);
}

#[tokio::test]
async fn certificate_problems_are_reported() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let serving = Serving::over_tls(&database, &files);
    let ca = database.directory.path().join("ca.pem");
    std::fs::write(&ca, authority.pem()).unwrap();
    let flags = format!("{} --ca-file {}", files.flags().join(" "), ca.display());
    let checks = examine(&database, &flags, 0);
    assert!(checks["certificate"].0 == "ok" && checks["reachability"].0 == "ok", "{checks:?}");
    let checks = examine(&database, &files.flags().join(" "), 1);
    assert!(checks["reachability"].0 == "fail", "the test's authority is not trusted: {checks:?}");
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    for (certified, code, result, told) in [
        (authority.certify_for("127.0.0.1", 0, now + 5 * 86_400 + 60), 0, "warn", "expires in 5 days"),
        (authority.certify("other.example"), 0, "warn", "is not valid for 127.0.0.1"),
        (authority.certify_for("127.0.0.1", 0, now - 60), 1, "fail", "the certificate expired"),
    ] {
        files.write(&certified);
        let checks = examine(&database, &flags, code);
        assert!(checks["certificate"].0 == result && checks["certificate"].1.contains(told), "{checks:?}");
    }
    let (one, other) = (authority.certify("127.0.0.1"), authority.certify("127.0.0.1"));
    files.write(&Certified { cert: one.cert, key: other.key });
    assert!(examine(&database, &flags, 1)["certificate"].1.contains("does not match the first certificate"));
    std::fs::remove_file(files.key()).unwrap();
    assert!(examine(&database, &flags, 1)["certificate"].1.contains("No such file"));
    serving.stop();
}
