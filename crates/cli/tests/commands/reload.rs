//! SIGHUP reloads the log level, with and without TLS, and never ends the process.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::Duration;

use countersign_testkit::{CertificateFiles, TestAuthority, TestDatabase};

use crate::process::{Serving, set_mode};

/// Writes a configuration file with this log section.
fn write_config(database: &TestDatabase, log: &str) -> String {
    let file = database.directory.path().join("countersign.toml");
    std::fs::write(&file, format!("[log]\n{log}\n")).unwrap();
    set_mode(&file, 0o600);
    file.display().to_string()
}

/// Requests a token with a wrong secret, which is logged at level `info` and below.
async fn fail_once(serving: &Serving) -> String {
    let refused = serving.actor("demo-service", "wrong").token(&[("grant_type", "client_credentials")]).await;
    refused.header("x-request-id").to_owned()
}

async fn hang_up(serving: &Serving) {
    serving.signal("HUP");
    tokio::time::sleep(Duration::from_millis(300)).await;
}

#[tokio::test]
async fn sighup_without_tls_reloads_the_log_level_and_an_invalid_file_changes_nothing() {
    let database = TestDatabase::fresh();
    let file = write_config(&database, "level = \"error\"");
    let serving = Serving::start(&database, &["--demo", "--config", &file], &[]);
    serving.ready().await;
    let quiet = fail_once(&serving).await;
    write_config(&database, "level = \"info\"");
    hang_up(&serving).await;
    let told = fail_once(&serving).await;
    write_config(&database, "level = \"loud\"");
    hang_up(&serving).await;
    let still_told = fail_once(&serving).await;
    write_config(&database, "level = \"error\"");
    hang_up(&serving).await;
    let quiet_again = fail_once(&serving).await;
    serving.ready().await;
    let log = serving.stop();
    for (id, expected) in [(&quiet, 0), (&told, 1), (&still_told, 1), (&quiet_again, 0)] {
        assert_eq!(log.lines().filter(|line| line.contains(id.as_str())).count(), expected, "{id}: {log}");
    }
    let confirmed = log.lines().filter(|line| line.contains("reloaded the log level")).count();
    assert_eq!(confirmed, 2, "a lower level is confirmed too: {log}");
    let errors: Vec<&str> = log.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(errors.len(), 1, "{log}");
    assert!(errors[0].contains("log.level") && errors[0].contains("keeping the current log level"), "{log}");
}

#[tokio::test]
async fn sighup_with_tls_reloads_the_certificate_and_the_log_level() {
    let (database, authority) = (TestDatabase::fresh(), TestAuthority::default());
    let files = CertificateFiles::of(&authority.certify("127.0.0.1"));
    let file = write_config(&database, "level = \"info\"");
    let flags = files.flags();
    let flags = [&["--demo", "--config", &file][..], &flags.each_ref().map(String::as_str)].concat();
    let serving = Serving::start(&database, &flags, &[]);
    let second = authority.certify("127.0.0.1");
    files.write(&second);
    hang_up(&serving).await;
    assert_eq!(authority.shown_at(serving.address()).await, second.der());
    let log = serving.stop();
    assert!(log.contains("reloaded the log level") && log.contains("reloaded the certificate"), "{log}");
}

#[tokio::test]
async fn a_hanging_configuration_file_does_not_prevent_shutdown() {
    let database = TestDatabase::fresh();
    let file = write_config(&database, "level = \"info\"");
    let serving = Serving::start(&database, &["--demo", "--config", &file], &[]);
    serving.ready().await;
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").args(["-m", "600", &file]).status().unwrap().success());
    serving.signal("HUP");
    // A pipe can only be opened for non-blocking writes while it is being read. The reader then waits forever.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut opened = None;
    for _ in 0..500 {
        opened = OpenOptions::new().write(true).custom_flags(nonblock).open(&file).ok();
        if opened.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(opened.is_some(), "it reloads the file");
    serving.ready().await;
    serving.signal("TERM");
    let (status, log) = serving.wait_at_most(Duration::from_secs(3));
    assert!(status.success(), "{status} {log}");
}
