//! Other processes cannot read a server's memory, neither while it runs nor from a core dump.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use countersign_testkit::TestDatabase;
use tempfile::TempDir;

use crate::process::{Serving, read, set_mode};

/// Debian's `nobody`, or any user except root.
const NOBODY: u32 = 65_534;

#[tokio::test]
async fn a_server_dumps_no_core_and_its_files_are_private() {
    let database = TestDatabase::fresh();
    let serving = Serving::start(&database, &[], &[]);
    let process = |file: &str| read(Path::new(&format!("/proc/{}/{file}", serving.id())));
    let limits = process("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let words: Vec<&str> = core.split_whitespace().skip(4).collect();
    assert_eq!(words, ["0", "0", "bytes"], "soft and hard: {core}");
    assert!(process("status").lines().any(|line| line == "Umask:\t0077"), "{}", process("status"));
    serving.stop();
}

/// For a process that is not dumpable, the kernel makes root the owner of its files in `/proc/PID` (proc(5)).
#[test]
fn no_process_of_the_same_user_can_read_the_memory_of_a_server() {
    let directory = TempDir::new().unwrap();
    set_mode(directory.path(), 0o755);
    let data = directory.path().join("data");
    fs::create_dir(&data).unwrap();
    set_mode(&data, 0o700);
    // If only root can enter the directory, no other user can run the binary.
    let binary = directory.path().join("countersign");
    fs::copy(env!("CARGO_BIN_EXE_countersign"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new(&binary);
    command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data).env_clear();
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).current_dir("/");
    if is_root {
        chown(&data, Some(NOBODY), Some(NOBODY)).unwrap();
        command.uid(NOBODY).gid(NOBODY);
    }
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("Ready: ")), "it starts");
    let owner = |file: &str| fs::metadata(format!("/proc/{}/{file}", child.id())).unwrap().uid();
    let owners = ["mem", "environ", "maps", "fd"].map(owner);
    let own_user = fs::metadata(data.join("sealing.key")).unwrap().uid();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_ne!(own_user, 0);
    assert_eq!(owners, [0; 4]);
}

#[tokio::test]
async fn a_database_in_another_directory_is_created_private_whatever_the_umask() {
    let directory = TempDir::new().unwrap();
    set_mode(directory.path(), 0o755);
    let database = directory.path().join("elsewhere.db");
    let url = format!("sqlite://{}?mode=rwc", database.display());
    let data = directory.path().join("data");
    let mut child = Command::new("/bin/sh")
        .env_clear()
        .args(["-c", "umask 0; exec \"$0\" serve --listen 127.0.0.1:0 --database-url \"$1\" --data-dir \"$2\""])
        .args([env!("CARGO_BIN_EXE_countersign"), &url, &data.display().to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("Ready: ")), "it starts");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let modes = (mode(&database), mode(&data), mode(&data.join("lock")));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(modes, (0o600, 0o700, 0o600));
}
