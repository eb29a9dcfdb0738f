//! The data directory: ours alone, and with room.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::statvfs;

use crate::doctor::Check;

/// Below this a backup or an upgrade may not find room; a database of ten thousand clients is some MiB.
const LITTLE_ROOM_MIB: u64 = 256;
/// Below this writes fail soon.
const NO_ROOM_MIB: u64 = 16;
const BYTES_OF_MIB: u64 = 1024 * 1024;
/// What others than the owner and its group may do.
const OTHERS: u32 = 0o007;
/// The same of the group.
const GROUP: u32 = 0o070;

/// Nobody else may look into it. What the group may is warned of: some orchestrators give a volume to one.
pub(super) fn check_modes(directory: &Path) -> Check {
    const NAME: &str = "data directory";
    let shown = directory.display();
    let (mode, entries) = match fs::metadata(directory).and_then(|found| Ok((found, fs::read_dir(directory)?))) {
        Ok((found, entries)) if found.is_dir() => (found.permissions().mode(), entries),
        Ok(_) => return Check::failed(NAME, format!("{shown}: is not a directory")),
        Err(error) => {
            return Check::failed(NAME, format!("{shown}: {error}; name it by --data-dir, or let `serve` make it"));
        }
    };
    let mut open = vec![(directory.to_owned(), mode, "700")];
    // In a directory that is private, nobody gets at a file; it may be moved or copied, though.
    let files = entries.flatten().filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)));
    let files = files.filter(|(_, found)| found.is_file());
    open.extend(files.map(|(path, found)| (path, found.permissions().mode(), "600")));
    for (who, bits) in [("everybody", OTHERS), ("the group", GROUP)] {
        if let Some((path, mode, wanted)) = open.iter().find(|(_, mode, _)| mode & bits != 0) {
            let path = path.display();
            let detail = format!("{path}: is open to {who} ({:03o}); chmod {wanted} {path}", mode & 0o777);
            return if bits == OTHERS { Check::failed(NAME, detail) } else { Check::warning(NAME, detail) };
        }
    }
    Check::good(NAME, format!("{shown}: is private"))
}

/// There is room to write.
pub(super) fn check_room(directory: &Path) -> Check {
    const NAME: &str = "free space";
    let room = match statvfs(directory) {
        Ok(room) => room.f_bavail.saturating_mul(room.f_frsize) / BYTES_OF_MIB,
        Err(error) => return Check::failed(NAME, format!("{}: {error}", directory.display())),
    };
    let detail = format!("{room} MiB are free at {}", directory.display());
    match room {
        0..NO_ROOM_MIB => Check::failed(NAME, format!("{detail}: changes will be refused; make room")),
        NO_ROOM_MIB..LITTLE_ROOM_MIB => Check::warning(NAME, format!("{detail}: make room")),
        _ => Check::good(NAME, detail),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Verdict;

    #[test]
    fn what_is_open_to_others_is_named_with_its_remedy() {
        let kept = tempfile::TempDir::new().expect("a directory");
        let directory = kept.path().join("d");
        assert_eq!(check_modes(&directory).verdict, Verdict::Failed);
        fs::create_dir(&directory).expect("made");
        let file = directory.join("sealing.key");
        fs::write(&file, "x").expect("written");
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
        for (of_directory, of_file, verdict, told) in [
            (0o700, 0o600, Verdict::Good, "is private"),
            (0o755, 0o600, Verdict::Failed, "(755); chmod 700"),
            (0o700, 0o604, Verdict::Failed, "(604); chmod 600"),
            (0o750, 0o600, Verdict::Warning, "open to the group (750)"),
            (0o700, 0o640, Verdict::Warning, "sealing.key: is open to the group (640)"),
        ] {
            set(&directory, of_directory);
            set(&file, of_file);
            let check = check_modes(&directory);
            assert!(check.verdict == verdict && check.detail.contains(told), "{check:?}");
        }
        assert_eq!(check_modes(&file).verdict, Verdict::Failed);
        assert_ne!(check_room(kept.path()).verdict, Verdict::Failed);
    }
}
