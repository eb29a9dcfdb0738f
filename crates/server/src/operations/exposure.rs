//! Finds files with secrets that other users of this machine can open.

use std::fmt;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::config::Config;

/// The prefixes of files with secrets in the data directory. They cover `sealing.key`, `operator.json`, `demo.json` and
/// `countersign.db`, SQLite's `-wal` and `-shm`, our temporary files (`.new`, `.restoring`), and what a restore keeps
/// (`.before-restore`).
const SECRET_NAMES: [&str; 4] = ["sealing.", "operator.", "demo.", "countersign."];
/// The permissions of users who are neither the owner nor in the group. On a directory, the execute bit counts too,
/// because it allows opening a file by name.
const OTHERS: u32 = 0o007;
/// The permissions of the group.
const GROUP: u32 = 0o070;
const PERMISSIONS: u32 = 0o777;

/// A file or directory that more users than its owner can access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    path: PathBuf,
    mode: u32,
    /// Who can access it.
    pub reach: Reach,
}

/// The users who can access a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its group. Some orchestrators mount volumes with group access.
    Group,
    /// Every user of the machine.
    Everybody,
}

impl Exposure {
    /// Returns how a path is exposed, or `None` if it is private or cannot be checked.
    pub fn find(path: &Path) -> Option<Self> {
        let mode = fs::metadata(path).ok()?.permissions().mode() & PERMISSIONS;
        let reach = match mode {
            mode if mode & OTHERS != 0 => Reach::Everybody,
            mode if mode & GROUP != 0 => Reach::Group,
            _ => return None,
        };
        Some(Self { path: path.to_owned(), mode, reach })
    }
}

impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, mode, reach } = self;
        let (who, letter) = match reach {
            Reach::Group => ("its group", 'g'),
            Reach::Everybody => ("other users", 'o'),
        };
        let path = path.display();
        write!(f, "{path}: is accessible to {who} (mode {mode:03o}); run: chmod {letter}-rwx {path}")
    }
}

/// Returns the exposures of the data directory and of its files with secrets, those to every user first.
pub fn find_in_directory(config: &Config) -> Vec<Exposure> {
    let mut found: Vec<Exposure> = list_secrets(config).iter().filter_map(|path| Exposure::find(path)).collect();
    found.sort_by_key(|exposure| exposure.reach == Reach::Group);
    found
}

/// Returns the files with secrets that the configuration names outside the data directory. `named` are the files that
/// the configuration itself was read from.
pub fn list_elsewhere(config: &Config, named: &[PathBuf]) -> Vec<PathBuf> {
    let mut files = list_configured(config);
    files.extend_from_slice(named);
    files.retain(|file| !lies_in(file, &config.data_dir));
    files
}

/// Returns the directory and its files with secrets, or nothing if the directory does not exist.
fn list_secrets(config: &Config) -> Vec<PathBuf> {
    let directory = &config.data_dir;
    if !directory.is_dir() {
        return Vec::new();
    }
    let has_secret_name = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        SECRET_NAMES.iter().any(|begin| name.starts_with(begin))
    };
    let entries = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path());
    let configured = list_configured(config).into_iter().filter(|file| lies_in(file, directory));
    let mut files: Vec<PathBuf> = entries.filter(has_secret_name).chain(configured).collect();
    files.sort_unstable();
    files.dedup();
    files.insert(0, directory.clone());
    files
}

/// Returns the files with secrets that the configuration names.
fn list_configured(config: &Config) -> Vec<PathBuf> {
    let database = config.database().ok().and_then(|database| database.sqlite_file());
    [&config.sealing_key_file, &config.sealing_key_next_file, &config.tls.key]
        .into_iter()
        .flatten()
        .cloned()
        .chain(database)
        .collect()
}

fn lies_in(file: &Path, directory: &Path) -> bool {
    let parent = file.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (parent.canonicalize(), directory.canonicalize()) {
        (Ok(parent), Ok(directory)) => parent.starts_with(directory),
        _ => parent == directory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    }

    #[test]
    fn files_that_others_can_open_are_reported_with_a_remedy() {
        let kept = tempfile::TempDir::new().expect("a directory");
        let config = Config { data_dir: kept.path().join("d"), ..Config::default() };
        assert_eq!(find_in_directory(&config), [], "there is no directory yet");
        fs::create_dir(&config.data_dir).expect("made");
        let files = ["sealing.key", "countersign.db-wal", "operator.json.before-restore", "demo.new", "notes.txt"];
        let paths = files.map(|name| config.data_dir.join(name));
        paths.iter().for_each(|path| fs::write(path, "x").expect("written"));
        let reset = || {
            set_mode(&config.data_dir, 0o700);
            paths.iter().for_each(|path| set_mode(path, 0o600));
        };
        reset();
        assert_eq!(find_in_directory(&config), []);
        let rows = [(0o711, Reach::Everybody, "o"), (0o702, Reach::Everybody, "o"), (0o750, Reach::Group, "g")];
        for (mode, reach, letter) in rows {
            set_mode(&config.data_dir, mode);
            let found = find_in_directory(&config);
            let shown = config.data_dir.display();
            assert_eq!((found.len(), found[0].reach), (1, reach));
            assert!(found[0].to_string().ends_with(&format!("(mode {mode:03o}); run: chmod {letter}-rwx {shown}")));
        }
        for path in &paths[..4] {
            reset();
            set_mode(path, 0o640);
            assert_eq!(find_in_directory(&config)[0].reach, Reach::Group, "{path:?}");
            set_mode(path, 0o604);
            assert_eq!(find_in_directory(&config)[0].reach, Reach::Everybody, "{path:?}");
        }
        reset();
        set_mode(&paths[4], 0o644);
        assert_eq!(find_in_directory(&config), [], "it contains none of our files");
        set_mode(&config.data_dir, 0o750);
        set_mode(&paths[0], 0o604);
        let found = find_in_directory(&config);
        assert_eq!((found[0].reach, found[1].reach), (Reach::Everybody, Reach::Group), "the worst is reported first");
    }

    #[test]
    fn a_configured_file_is_reported_with_the_directory_that_contains_it() {
        let kept = tempfile::TempDir::new().expect("a directory");
        let data_dir = kept.path().to_owned();
        set_mode(&data_dir, 0o700);
        let here = data_dir.join("mine.key");
        fs::write(&here, "x").expect("written");
        set_mode(&here, 0o604);
        let config = Config { data_dir, sealing_key_file: Some(here.clone()), ..Config::default() };
        assert_eq!(find_in_directory(&config).len(), 1);
        let elsewhere = PathBuf::from("/run/secrets/database_url");
        assert_eq!(list_elsewhere(&config, std::slice::from_ref(&elsewhere)), [elsewhere]);
    }
}
