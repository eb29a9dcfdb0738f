//! A failing start writes one line with the reason, and damages nothing.

use countersign_testkit::TestDatabase;

use crate::process::{Serving, fail_to_start, failed_line, run, set_mode};

#[tokio::test]
async fn only_one_process_can_use_a_directory() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    let line = fail_to_start(&database, &["--demo"], &[]);
    assert!(line.contains("another countersign process is using this data directory; stop it, or"), "{line}");
    serving.ready().await;
    serving.signal("KILL");
    serving.wait();
    Serving::demo(&database).stop(); // releases the lock
}

#[tokio::test]
async fn without_its_sealing_key_a_database_cannot_be_used() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let key = database.directory.path().join("data/sealing.key");
    let elsewhere = database.directory.path().join("kept-elsewhere");
    std::fs::rename(&key, &elsewhere).unwrap();
    let line = fail_to_start(&database, &[], &[]);
    assert!(line.contains("sealing key of this database is missing"), "{line}");
    assert!(!key.exists(), "no key is created in its place");
    let named = elsewhere.display().to_string();
    Serving::start(&database, &["--demo"], &[("COUNTERSIGN_SEALING_KEY_FILE", &named)]).stop();
    for other in [&b"not a key"[..], &[0xFF; 32]] {
        std::fs::write(&key, other).unwrap();
        set_mode(&key, 0o600);
        assert!(fail_to_start(&database, &[], &[]).contains("not a sealing key"));
    }
    std::fs::write(&key, "A".repeat(43) + "\n").unwrap();
    assert!(fail_to_start(&database, &[], &[]).contains("does not match this database"));
    let missing = [("COUNTERSIGN_SEALING_KEY_FILE", "/nowhere/key")];
    assert!(
        fail_to_start(&database, &[], &missing).contains("/nowhere/key: the sealing key of this database is missing")
    );
    let new = fail_to_start(&TestDatabase::fresh(), &[], &missing);
    assert!(new.contains("/nowhere/key: no such file"), "{new}");
    std::fs::rename(&elsewhere, &key).unwrap();
    Serving::demo(&database).stop();
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_second_node_with_a_different_key_does_not_start() {
    let first = TestDatabase::fresh();
    assert!(first.url.is_some(), "with SQLite, only one process can use a data directory");
    Serving::demo(&first).stop();
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: first.url.clone() };
    let line = fail_to_start(&second, &["--demo"], &[]);
    assert!(line.contains("sealing key"), "{line}");
    assert!(!second.directory.path().join("data/sealing.key").exists());
}

#[tokio::test]
async fn an_unreachable_or_unwritable_location_is_named() {
    let database = TestDatabase::fresh();
    let serving = Serving::demo(&database);
    let taken = serving.address().to_string();
    let other = TestDatabase::fresh();
    let line = fail_to_start(&other, &["--listen", &taken], &[]);
    assert!(line.contains("listen") && line.contains(&taken) && line.contains("in use"), "{line}");
    assert!(line.ends_with("; choose another with --listen"), "{line}");
    let elsewhere = |more: [&str; 2]| failed_line(&run(&["serve", more[0], more[1]], &[]));
    assert!(elsewhere(["--data-dir", "/etc/passwd/x"]).contains("/etc/passwd/x: Not a directory"));
    assert!(elsewhere(["--data-dir", "/etc/passwd"]).contains("/etc/passwd: is not a directory"));
    let directory = other.directory.path().display().to_string();
    let with_database = |url| {
        failed_line(&run(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &directory, "--database-url", url], &[]))
    };
    let unreachable = with_database("postgres://127.0.0.1:1/x");
    assert!(unreachable.contains("database") && unreachable.contains("refused"), "{unreachable}");
    assert!(!unreachable.contains("127.0.0.1:1/x"), "a URL may contain a password");
    let named = with_database("mysql://x");
    assert!(named.contains("database.url"), "{named}");
    let issuer = fail_to_start(&other, &["--issuer", "http://auth.invalid"], &[]);
    assert!(issuer.contains("issuer") && issuer.contains("insecure_http"), "{issuer}");
    serving.stop();
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_not_changed_on_sqlite() {
    let database = TestDatabase::fresh();
    let directory = database.directory.path().join("data");
    std::fs::create_dir(&directory).unwrap();
    let file = directory.join("countersign.db");
    let content = "this is somebody's diary, ".repeat(100);
    std::fs::write(&file, &content).unwrap();
    set_mode(&directory, 0o700);
    set_mode(&file, 0o600);
    let line = fail_to_start(&database, &[], &[]);
    assert!(line.contains("not a database"), "{line}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), content);
}
