//! Checks that the data directory is private and has enough space.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;

use crate::config::Config;
use crate::operations::check::Check;
use crate::operations::exposure::{Exposure, Reach, find_in_directory, list_elsewhere};

/// Below this, a backup or an upgrade may fail. A database of ten thousand clients has a few MiB.
const LITTLE_ROOM_MIB: u64 = 256;
/// Below this, writes fail soon.
const NO_ROOM_MIB: u64 = 16;
const BYTES_OF_MIB: u64 = 1024 * 1024;

/// Checks that no other user can access it.
pub(super) fn check_modes(config: &Config) -> Check {
    const NAME: &str = "data directory";
    let directory = &config.data_dir;
    let shown = directory.display();
    match fs::metadata(directory).and_then(|found| Ok((found.is_dir(), fs::read_dir(directory)?))) {
        Ok((true, _)) => {}
        Ok((false, _)) => return Check::failed(NAME, format!("{shown}: is not a directory")),
        Err(error) => {
            return Check::failed(NAME, format!("{shown}: {error}; set it with --data-dir, or let `serve` create it"));
        }
    }
    match find_in_directory(config).into_iter().next() {
        Some(exposure) if exposure.reach == Reach::Everybody => {
            Check::failed(NAME, format!("{exposure}; the server does not start until then"))
        }
        Some(exposure) => Check::warning(NAME, exposure),
        None => Check::good(NAME, format!("{shown}: is private")),
    }
}

/// Checks files with secrets outside the data directory, whose modes someone else has chosen. Returns `None` if none
/// are configured.
pub(super) fn check_elsewhere(config: &Config, named: &[PathBuf]) -> Option<Check> {
    const NAME: &str = "secret files";
    let files = list_elsewhere(config, named);
    let exposed: Vec<String> =
        files.iter().filter_map(|path| Exposure::find(path)).map(|found| found.to_string()).collect();
    match (files.is_empty(), exposed.is_empty()) {
        (true, _) => None,
        (_, true) => Some(Check::good(NAME, "secret files outside the data directory are private")),
        _ => Some(Check::warning(NAME, exposed.join("; "))),
    }
}

/// Checks that there is space to write.
pub(super) fn check_room(directory: &Path) -> Check {
    const NAME: &str = "free space";
    let room = match statvfs(directory) {
        Ok(room) => room.f_bavail.saturating_mul(room.f_frsize) / BYTES_OF_MIB,
        Err(error) => return Check::failed(NAME, format!("{}: {error}", directory.display())),
    };
    let detail = format!("{room} MiB free at {}", directory.display());
    match room {
        0..NO_ROOM_MIB => Check::failed(NAME, format!("{detail}; free some space before writes fail")),
        NO_ROOM_MIB..LITTLE_ROOM_MIB => Check::warning(NAME, format!("{detail}; free some space")),
        _ => Check::good(NAME, detail),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::operations::check::Verdict;

    #[test]
    fn access_for_others_is_a_failure_and_group_access_a_warning() {
        let kept = tempfile::TempDir::new().expect("a directory");
        let config = Config { data_dir: kept.path().join("d"), ..Config::default() };
        assert_eq!(check_modes(&config).verdict, Verdict::Failed);
        fs::create_dir(&config.data_dir).expect("made");
        let file = config.data_dir.join("sealing.key");
        fs::write(&file, "x").expect("written");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        for (of_directory, of_file, verdict, told) in [
            (0o700, 0o600, Verdict::Good, "is private"),
            (0o755, 0o600, Verdict::Failed, "(mode 755); run: chmod o-rwx"),
            (0o700, 0o604, Verdict::Failed, "(mode 604); run: chmod o-rwx"),
            (0o750, 0o600, Verdict::Warning, "accessible to its group (mode 750)"),
            (0o700, 0o640, Verdict::Warning, "sealing.key: is accessible to its group (mode 640)"),
        ] {
            set(&config.data_dir, of_directory);
            set(&file, of_file);
            let check = check_modes(&config);
            assert!(check.verdict == verdict && check.detail.contains(told), "{check:?}");
        }
        let config = Config { data_dir: file, ..Config::default() };
        assert_eq!(check_modes(&config).verdict, Verdict::Failed);
        assert_ne!(check_room(kept.path()).verdict, Verdict::Failed);
    }
}
