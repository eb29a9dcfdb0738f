//! Rotating the sealing key: every value is sealed again, and everything issued stays valid.

use std::fs;
use std::path::PathBuf;
use std::process::Output;

use countersign_testkit::TestDatabase;
use serde_json::Value;

use crate::issued::Issued;
use crate::process::{Serving, demo_json, fail_to_start, failed_line, read, run};

fn file(database: &TestDatabase, name: &str) -> PathBuf {
    database.directory.path().join("data").join(name)
}

/// The old sealing key, with the name that a rotation gives it.
fn replaced(database: &TestDatabase) -> PathBuf {
    let files = fs::read_dir(file(database, "")).unwrap().map(|entry| entry.unwrap().path());
    let mut replaced = files.filter(|file| file.to_string_lossy().contains("sealing.key.replaced-"));
    let only = replaced.next().unwrap();
    assert_eq!(replaced.next(), None);
    only
}

/// Runs `sealing-key rotate` on a data directory and its database.
fn rotate(database: &TestDatabase, environment: &[(&str, &str)]) -> Output {
    let directory = file(database, "").display().to_string();
    let url = database.url.iter().flat_map(|url| ["--database-url", url]);
    let place = ["--data-dir", &directory].into_iter().chain(url);
    let words = ["sealing-key", "rotate", "--yes"].into_iter().chain(place);
    run(&words.collect::<Vec<_>>(), environment)
}

fn rotated(database: &TestDatabase, environment: &[(&str, &str)]) -> String {
    let done = rotate(database, environment);
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout).unwrap()
}

#[tokio::test]
async fn a_local_key_rotates_twice_and_everything_issued_stays_valid() {
    let database = TestDatabase::fresh();
    let mut issued = Issued::by_first_start(&database).await;
    let first = read(&file(&database, "sealing.key"));
    let line = rotated(&database, &[]);
    assert!(line.contains("values with the key in") && line.contains("sealing.key.replaced-"), "{line}");
    let old = replaced(&database);
    assert_eq!(read(&old), first, "earlier backups need it");
    assert_ne!(read(&file(&database, "sealing.key")), first);
    fs::remove_file(old).unwrap();
    issued.goes_on(&database).await;
    rotated(&database, &[]);
    fs::remove_file(replaced(&database)).unwrap();
    // The session was sealed two keys ago, the refresh token one key ago.
    issued.goes_on(&database).await;
    fs::write(file(&database, "sealing.key"), first).unwrap();
    assert!(fail_to_start(&database, &["--demo"], &[]).contains("does not match this database"));
}

#[tokio::test]
async fn an_interrupted_rotation_is_completed_by_the_next_start_or_the_next_rotation() {
    let database = TestDatabase::fresh();
    let mut issued = Issued::by_first_start(&database).await;
    let (key, next) = (file(&database, "sealing.key"), file(&database, "sealing.key.next"));
    // Before the change: the next key exists, and nothing is sealed with it.
    let made = run(&["sealing-key", "create", &next.display().to_string()], &[]);
    assert!(made.status.success(), "{made:?}");
    let again = failed_line(&run(&["sealing-key", "create", &next.display().to_string()], &[]));
    assert!(again.contains("File exists"), "{again}");
    issued.goes_on(&database).await;
    let second = read(&next);
    rotated(&database, &[]);
    assert_eq!(read(&key), second, "it used the existing next key");
    for finish in [true, false] {
        // After the change: the files have not been renamed.
        fs::rename(&key, &next).unwrap();
        fs::rename(replaced(&database), &key).unwrap();
        if finish {
            assert!(rotated(&database, &[]).contains("An earlier run has already sealed everything"));
        }
        issued.goes_on(&database).await;
        assert_eq!(read(&key), second);
        assert!(!next.exists());
    }
    // Between the two renames.
    fs::rename(&key, &next).unwrap();
    issued.goes_on(&database).await;
    assert_eq!(read(&key), second);
}

#[tokio::test]
async fn a_key_in_another_file_is_replaced_by_the_configured_next_file() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let elsewhere = |name: &str| database.directory.path().join(name).display().to_string();
    let (key, next) = (elsewhere("key"), elsewhere("next"));
    fs::rename(file(&database, "sealing.key"), &key).unwrap();
    let old = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str())];
    let line = failed_line(&rotate(&database, &old));
    assert!(line.contains("set COUNTERSIGN_SEALING_KEY_NEXT_FILE to it"), "{line}");
    let both = [old[0], ("COUNTERSIGN_SEALING_KEY_NEXT_FILE", next.as_str())];
    let line = failed_line(&rotate(&database, &both));
    assert!(line.contains("next: no such file (sealing_key_next_file)"), "{line}");
    assert!(run(&["sealing-key", "create", &next], &[]).status.success());
    let serving = Serving::start(&database, &["--demo"], &both);
    serving.ready().await;
    if database.url.is_none() {
        let line = failed_line(&rotate(&database, &both));
        assert!(line.contains("a server is using it; stop it first"), "{line}");
    }
    serving.stop();
    let line = rotated(&database, &both);
    assert!(line.contains("set COUNTERSIGN_SEALING_KEY_FILE to"), "{line}");
    let line = failed_line(&rotate(&database, &both));
    assert!(line.contains("is already the current key"), "{line}");
    let new = [("COUNTERSIGN_SEALING_KEY_FILE", next.as_str())];
    for (environment, said) in
        [(&both[..], "next: is the current key; set sealing_key_file"), (&new, "next: matches the database")]
    {
        let serving = Serving::start(&database, &["--demo"], environment);
        serving.ready().await;
        let demo = demo_json(&database);
        assert_eq!(serving.demo_service(&demo).client_credentials("all").await.status, 200);
        serving.stop();
        let directory = file(&database, "").display().to_string();
        let url = database.url.iter().flat_map(|url| ["--database-url", url]);
        let doctor = ["doctor", "--data-dir", &directory, "--output", "json"].into_iter().chain(url);
        let doctor = run(&doctor.collect::<Vec<_>>(), environment);
        let checks: Value = serde_json::from_slice(&doctor.stdout).unwrap();
        let text = checks.to_string();
        assert!(text.contains(said) && text.contains(" decrypted, "), "{text}");
    }
    assert!(fail_to_start(&database, &["--demo"], &old).contains("does not match this database"));
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn running_servers_with_both_keys_continue_during_a_rotation() {
    let database = TestDatabase::fresh();
    Serving::demo(&database).stop();
    let elsewhere = |name: &str| database.directory.path().join(name).display().to_string();
    let (key, next) = (elsewhere("key"), elsewhere("next"));
    fs::rename(file(&database, "sealing.key"), &key).unwrap();
    assert!(run(&["sealing-key", "create", &next], &[]).status.success());
    let old = [("COUNTERSIGN_SEALING_KEY_FILE", key.as_str())];
    let both = [old[0], ("COUNTERSIGN_SEALING_KEY_NEXT_FILE", next.as_str())];
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: database.url.clone() };
    let first_node = Serving::start(&database, &["--demo"], &both);
    first_node.ready().await;
    let as_first = [("COUNTERSIGN_ISSUER", first_node.issuer.as_str()), ("COUNTERSIGN_PLAYGROUND_ENABLED", "true")];
    let start_second = async |environment: &[(&str, &str)]| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let environment = [environment, &as_first].concat();
        let serving = Serving::start(&second, &["--listen", &address.to_string()], &environment).at(address);
        serving.ready().await;
        serving
    };
    let mut issued = Issued::by(&first_node, demo_json(&database)).await;
    let without = start_second(&old).await;
    let line = failed_line(&rotate(&database, &both));
    assert!(line.contains("1 of the servers on this database do not have the new key"), "{line}");
    issued.is_good_at(&without).await;
    without.stop();
    let second_node = start_second(&both).await;
    rotated(&database, &both);
    for node in [&first_node, &second_node] {
        issued.is_good_at(node).await;
    }
    // What each node seals must open on the other. A second factor sealed with the old key would not.
    second_node.stop();
    let second_node = start_second(&[("COUNTERSIGN_SEALING_KEY_FILE", next.as_str())]).await;
    issued.is_good_at(&second_node).await;
    second_node.stop();
    let directory = file(&database, "").display().to_string();
    let audit = run(&["audit", "verify", "--data-dir", &directory], &[]);
    assert!(audit.status.success(), "{audit:?}");
    first_node.stop();
}

#[tokio::test]
async fn an_unsuitable_next_key_is_refused_and_no_file_is_lost_on_sqlite() {
    let database = TestDatabase { directory: TestDatabase::fresh().directory, url: None };
    let at = |name: &str| database.directory.path().join(name).display().to_string();
    let beside = at("key.new");
    fs::write(&beside, "somebody's").unwrap();
    assert!(run(&["sealing-key", "create", &at("key")], &[]).status.success());
    assert_eq!(read(beside.as_ref()), "somebody's");
    let missing = failed_line(&rotate(&database, &[]));
    assert!(missing.contains("the database is empty"), "{missing}");

    Serving::demo(&database).stop();
    let key = file(&database, "sealing.key");
    let first = read(&key);
    fs::copy(&key, at("copy")).unwrap();
    let copied = failed_line(&rotate(&database, &[("COUNTERSIGN_SEALING_KEY_NEXT_FILE", &at("copy"))]));
    assert!(copied.contains("copy: contains the current key"), "{copied}");
    fs::rename(&key, at("kept elsewhere")).unwrap();
    std::os::unix::fs::symlink(at("kept elsewhere"), &key).unwrap();
    let linked = failed_line(&rotate(&database, &[]));
    assert!(linked.contains("is not a regular file in the data directory"), "{linked}");
    fs::rename(at("kept elsewhere"), &key).unwrap();
    assert!(!file(&database, "sealing.key.next").exists());

    rotated(&database, &[]);
    let back = failed_line(&rotate(&database, &[("COUNTERSIGN_SEALING_KEY_NEXT_FILE", &at("copy"))]));
    assert!(back.contains("copy: contains a key that was replaced earlier"), "{back}");
    assert_eq!(read(&replaced(&database)), first);
    let directory = file(&database, "").display().to_string();
    let to = format!("sqlite://{}", at("moved.db"));
    assert!(run(&["migrate", "--yes", "--to", &to, "--data-dir", &directory], &[]).status.success());
    let moved = failed_line(&rotate(&database, &[]));
    assert!(moved.contains("this database was copied to") && moved.contains("moved.db"), "{moved}");
}
