//! Damaged and read-only databases are reported with what to do.

use countersign_testkit::TestDatabase;

use crate::process::{Serving, fail_to_start, failed_line, run};
use crate::team::Team;

const RESTORE: &str = "; stop the server and restore a backup with `countersign restore`";

#[tokio::test]
async fn a_damaged_file_is_reported_with_the_remedy_on_sqlite() {
    let team = Team::start().await;
    let file = team.file("data/countersign.db");
    team.database.tamper(&file, "PRAGMA wal_checkpoint(TRUNCATE)");
    let mut content = std::fs::read(&file).unwrap();
    content[4096..].fill(0xA5);
    std::fs::write(&file, content).unwrap();
    let failed = team.fail(6, "client create job");
    assert!(failed.contains("the database file is damaged; try again shortly"), "{failed}");
    let stranger = team.serving.actor("", "");
    // The node itself reads the file, too, so there may be more than one.
    let metrics = stranger.get("/metrics").await.body;
    assert!(metrics.contains("countersign_database_failures_total{trouble=\"damaged\"} "), "{metrics}");
    let Team { serving, database } = team;
    drop(serving);
    let failed = fail_to_start(&database, &[], &[]);
    assert!(failed.starts_with("countersign: the database file is damaged: ") && failed.ends_with(RESTORE), "{failed}");

    std::fs::write(&file, "not a database ".repeat(1000)).unwrap();
    let failed = fail_to_start(&database, &[], &[]);
    assert_eq!(failed, format!("countersign: the database file is damaged: file is not a database{RESTORE}"));
    let data = database.directory.path().join("data").display().to_string();
    for command in [&["sealing-key", "rotate"][..], &["migrate", "--to", "postgres://x@127.0.0.1:1/x"]] {
        let failed = failed_line(&run(&[command, &["--yes", "--data-dir", &data]].concat(), &[]));
        assert!(failed.ends_with(RESTORE), "{failed}");
    }
    let doctor = run(&["doctor", "--data-dir", &data], &[]);
    assert!(String::from_utf8_lossy(&doctor.stdout).contains(RESTORE), "{doctor:?}");
}

#[tokio::test]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn a_start_on_a_read_only_postgresql_says_what_to_do() {
    let database = TestDatabase::fresh();
    Serving::start(&database, &[], &[]).stop();
    let by_format = "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', \
                     current_database()); END$$";
    database.tamper(std::path::Path::new(""), by_format);
    let failed = fail_to_start(&database, &[], &[]);
    assert!(failed.starts_with("countersign: the database is read-only: "), "{failed}");
    assert!(failed.ends_with("use the primary and turn default_transaction_read_only off"), "{failed}");
}
