//! Commands on a full disk report it with what to do, and apply nothing partially.

use std::path::Path;

use countersign_testkit::TestDatabase;

use crate::crash::Disk;
use crate::process::{Serving, failed_line, run};

/// Too little space for SQLite's `-shm` file, which takes 8 bytes each time it is created, for a sealing key of 44 bytes, and
/// for a change.
const NO_SHM: u64 = 4;
const NO_KEY: u64 = 42;
const NO_CHANGE: u64 = 3000;
/// Too little space to invalidate everything that was issued.
const NO_END: u64 = 20_000;

#[test]
fn a_command_on_a_full_disk_reports_it_and_can_be_repeated_on_sqlite() {
    let (database, room) = (TestDatabase::fresh(), tempfile::tempdir().unwrap());
    Serving::start(&database, &[], &[]).stop();
    let at = |name: &str| database.directory.path().join(name).display().to_string();
    let (data, backup, drill) = (at("data"), at("backup"), at("drill"));
    let made = run(&["backup", &backup, "--data-dir", &data], &[]);
    assert!(made.status.success(), "{made:?}");
    let disk = Disk::new(database.directory.path(), room.path());
    let environment = disk.environment();

    let serve = ["serve", "--data-dir", &data, "--listen", "127.0.0.1:0"];
    let rotate = ["sealing-key", "rotate", "--yes", "--data-dir", &data];
    let migrate = ["migrate", "--yes", "--to", "postgres://x@127.0.0.1:1/x", "--data-dir", &data];
    let restore = ["restore", &backup, "--yes", "--data-dir", &drill];
    for (line, free, full) in [
        (&serve[..], NO_SHM, "countersign: the disk of the database is full: "),
        (&serve, NO_CHANGE, "countersign: operator: the disk of the database is full: "),
        (&rotate, NO_SHM, "countersign: the disk of the database is full: "),
        (&rotate, NO_KEY, ".next: No space left on device (os error 28); "),
        (&rotate, NO_CHANGE, "countersign: the disk of the database is full: "),
        (&migrate, NO_SHM, "countersign: the source database: the disk of the database is full: "),
        (&restore, NO_SHM, ".restoring: the disk of the database is full: "),
        (&restore, NO_END, "restore: the disk of the database is full: "),
    ] {
        disk.fill(free);
        let said = failed_line(&run(line, &environment));
        assert!(said.contains(full), "{line:?} with {free} bytes: {said}");
        assert!(said.contains("free up space there, or raise the quota"), "{line:?} with {free} bytes: {said}");
    }
    assert!(!Path::new(&drill).join("countersign.db.restoring").exists(), "it would use the remaining space");

    disk.make_room();
    for line in [&rotate[..], &restore] {
        let done = run(line, &environment);
        assert!(done.status.success(), "{line:?}: {done:?}");
    }
    Serving::start(&database, &[], &[]).stop();
}
