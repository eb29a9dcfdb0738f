//! Checks a server from outside. Nothing written remains, and nothing stays locked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use countersign_protocol::UnixTime;
use countersign_protocol::api::Api;
use countersign_protocol::audience::normalize;
use countersign_protocol::jose::algorithm::Algorithm;
use countersign_store::{Entries, EntryKind, KeyRows, KeyState, MOVED_TO, SEALING_KEY_CHECK, Store, StoreError};

use crate::config::Config;
use crate::http::descriptors;
use crate::http::tls::Tls;
use crate::keys::ring::KeyRing;
use crate::keys::sealing_files::{HeldKeys, KeyFiles};
use crate::keys::sealing_keys::SealingKeys;
use crate::operations::backup::BackupError;
use crate::operations::check::{Check, Verdict};
use crate::operations::data_directory::{is_locked, is_replaced};
use crate::operations::doctor_directory::{check_elsewhere, check_modes, check_room};
use crate::operations::doctor_writes;
use crate::operations::identity::{self, Memory};
use crate::operations::start::StartError;

/// Clocks may differ by this many seconds, which a token's `iat` may be in the future.
pub const CLOCK_TOLERANCE_S: i64 = 10;
/// A rotation may be late by this much before `doctor` warns, for example because a server was down for a day.
const LATE_ROTATION_S: i64 = 86_400;
const DAY_S: i64 = 86_400;

/// The result, and whether a server is using the data directory.
#[derive(Debug)]
pub struct Findings {
    /// All checks, in the order in which a start would fail.
    pub checks: Vec<Check>,
    /// True if the directory is locked.
    pub is_running: bool,
}

/// Checks everything that is on this machine: directory, database, keys, certificate.
///
/// `secret_files` are files with secrets that the configuration was read from, in addition to those that its keys name.
pub async fn examine(config: &Config, secret_files: &[PathBuf], now: UnixTime) -> Findings {
    let directory = &config.data_dir;
    let mut checks = vec![match directory.read_dir() {
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            let detail = format!("{}: {error}; run `doctor` as the server's user", directory.display());
            Check::failed("data directory", detail)
        }
        _ => check_modes(config),
    }];
    checks.extend(check_elsewhere(config, secret_files));
    if directory.read_dir().is_err() {
        return Findings { checks, is_running: false };
    }
    checks.push(check_room(directory));
    checks.push(descriptors::check(config));
    let locked = is_locked(directory);
    checks.push(match &locked {
        Ok(true) => Check::good("server", "is running and holds the lock"),
        Ok(false) => Check::good("server", "is not running"),
        Err(error) => Check::failed("server", error),
    });
    let is_running = locked.unwrap_or(false);
    check_stored(config, is_running, now, &mut checks).await;
    checks.extend(check_certificate(config, now));
    Findings { checks, is_running }
}

/// Checks the database, and the keys and the clock with its help.
async fn check_stored(config: &Config, is_running: bool, now: UnixTime, checks: &mut Vec<Check>) {
    let database = match config.database() {
        Ok(database) => database,
        Err(error) => return checks.push(Check::failed("database", error)),
    };
    let memory = match Memory::read(&config.data_dir) {
        Ok(memory) => memory,
        Err(error) => return checks.push(Check::failed("database", error)),
    };
    if let Some(file) =
        database.sqlite_file().filter(|file| file.metadata().is_ok_and(|found| found.len() == 0) || !file.exists())
    {
        // Like a start does.
        let is_lost =
            matches!(memory, Some(Memory::DatabaseId(_))) || (memory.is_none() && config.sealing_key_path().exists());
        let detail = if is_lost {
            identity::lost(memory.as_ref(), &database, &config.sealing_key_path()).to_string()
        } else {
            format!("{}: is empty; the first `serve` creates it", file.display())
        };
        return checks.push(Check::failed("database", detail));
    }
    if let Some(file) = database.sqlite_file().filter(|_| is_running)
        && is_replaced(&config.data_dir, &file).unwrap_or(false)
    {
        let shown = file.display().to_string();
        return checks.push(Check::failed("database", BackupError::Replaced(shown)));
    }
    let store = match Store::open_read_only(&database, is_running).await {
        Ok(store) => store,
        Err(error) => {
            checks.push(Check::failed("database", error));
            // SQLite cannot even read a file if it may not write next to it.
            if database.sqlite_file().is_some() {
                checks.push(doctor_writes::check(&database, false).await);
            }
            return;
        }
    };
    let (mut check, is_current) = check_database(&store).await;
    if is_current {
        check = match store.find_database_id().await {
            Ok(id) => match identity::check_same(memory.as_ref(), id.as_deref(), &database, &config.data_dir) {
                Ok(()) => check_moved(&store).await.unwrap_or(check),
                Err(error) => Check::failed("database", error),
            },
            Err(error) => Check::failed("database", error),
        };
    }
    let is_failed = check.verdict == Verdict::Failed;
    checks.push(check);
    if !is_failed {
        checks.push(doctor_writes::check(&database, is_running).await);
        checks.extend(check_clock(&store, now).await);
        let (check, key) = check_sealing_key(config, &store).await;
        checks.push(check);
        if let Some(key) = key.filter(|_| is_current) {
            match read_keys_and_apis(&store).await {
                Ok((rows, apis)) => {
                    let in_use = apis.iter().map(|api| api.algorithm);
                    checks.push(check_signing_keys(&rows, in_use, &key, config.keys.rotate_after_s, now));
                    checks.extend(check_audiences(&apis));
                }
                Err(error) => checks.push(Check::failed("signing keys", error)),
            }
        }
    }
    store.close().await;
}

/// Checks that the database is intact and of this version. Also returns whether it has all migrations of this version.
async fn check_database(store: &Store) -> (Check, bool) {
    const NAME: &str = "database";
    if let Err(error) = store.check_integrity().await {
        return (Check::failed(NAME, error), false);
    }
    match store.check_migrations().await {
        Ok(migrated) if migrated.missing == 0 => {
            (Check::good(NAME, format!("can be opened, is intact, and has all {} migrations", migrated.there)), true)
        }
        Ok(migrated) => {
            let detail = format!("is of an older version; the next start runs {} migrations", migrated.missing);
            (Check::warning(NAME, detail), false)
        }
        Err(StoreError::Refused(_)) => (Check::failed(NAME, "is not a Countersign database"), false),
        Err(error) => (Check::failed(NAME, error), false),
    }
}

/// Fails if the database was copied elsewhere, where it is in use now.
async fn check_moved(store: &Store) -> Option<Check> {
    match store.find_setting(MOVED_TO).await {
        Ok(elsewhere) => elsewhere.map(|elsewhere| Check::failed("database", StartError::Moved(elsewhere))),
        Err(error) => Some(Check::failed("database", error)),
    }
}

/// Checks PostgreSQL's clock, which belongs to another machine.
async fn check_clock(store: &Store, now: UnixTime) -> Option<Check> {
    match store.read_clock().await {
        Ok(Some(theirs)) => Some(compare_clocks("the database", theirs, now)),
        Ok(None) => None,
        Err(error) => Some(Check::failed("clock", error)),
    }
}

/// Compares this machine's clock with another one.
pub fn compare_clocks(whose: &str, theirs: UnixTime, ours: UnixTime) -> Check {
    let apart = theirs.saturating_sub(ours);
    if apart.abs() <= CLOCK_TOLERANCE_S {
        return Check::good("clock", format!("agrees with {whose}"));
    }
    let order = if apart > 0 { "behind" } else { "ahead of" };
    let detail = format!("this machine is {} s {order} {whose}; synchronize them with NTP", apart.abs());
    Check::failed("clock", detail)
}

/// Checks that the sealing key matches the database, and warns if there is no copy elsewhere.
async fn check_sealing_key(config: &Config, store: &Store) -> (Check, Option<HeldKeys>) {
    const NAME: &str = "sealing key";
    let shown = config.sealing_key_path().display().to_string();
    let files = match KeyFiles::read(config) {
        Ok(KeyFiles { present: None, next: None }) => {
            let detail = format!(
                "{shown}: is missing, and sealed data cannot be decrypted without it; restore it from a backup"
            );
            return (Check::failed(NAME, detail), None);
        }
        Ok(files) => files,
        Err(error) => return (Check::failed(NAME, error), None),
    };
    let held = match store.find_setting(SEALING_KEY_CHECK).await {
        Ok(Some(known)) => files.hold(&known),
        Ok(None) => return (Check::warning(NAME, format!("{shown}: the database has no sealing key yet")), None),
        Err(error) => return (Check::failed(NAME, error), None),
    };
    let Some(held) = held else {
        let detail = format!("{shown}: does not match this database; copy the right sealing key here");
        return (Check::failed(NAME, detail), None);
    };
    let shown = held.in_use.path.display().to_string();
    if Some(&held.in_use.path) == config.sealing_key_next_file.as_ref() {
        let detail =
            format!("{shown}: is the current key; set sealing_key_file to it, and unset sealing_key_next_file");
        return (Check::warning(NAME, detail), Some(held));
    }
    if lies_in(&held.in_use.path, &config.data_dir) {
        let detail = format!(
            "{shown}: matches the database, and is in the data directory; keep a copy elsewhere, or set \
             sealing_key_file to a file elsewhere"
        );
        return (Check::warning(NAME, detail), Some(held));
    }
    (Check::good(NAME, format!("{shown}: matches the database")), Some(held))
}

fn lies_in(file: &Path, directory: &Path) -> bool {
    match (file.canonicalize(), directory.canonicalize()) {
        (Ok(file), Ok(directory)) => file.starts_with(directory),
        _ => false,
    }
}

/// Loads the keys and the APIs.
async fn read_keys_and_apis(store: &Store) -> Result<(KeyRows, Vec<Api>), StoreError> {
    let mut load = store.begin_load().await?;
    let mut found = Vec::new();
    let mut fetched = load.fetch_next(EntryKind::Api, "").await?;
    while let Some(page) = fetched {
        let last = page.last().to_owned();
        if let (Entries::Apis(apis), _) = page.read()? {
            found.extend(apis.into_iter().map(|api| api.value));
        }
        fetched = load.fetch_next(EntryKind::Api, &last).await?;
    }
    let keys = load.load_keys().await?;
    load.finish().await?;
    Ok((keys, found))
}

/// Warns of equivalent audiences. They can no longer be created, but may have been created before.
fn check_audiences(apis: &[Api]) -> Option<Check> {
    let mut by_form: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for api in apis {
        by_form.entry(normalize(api.audience.as_str())).or_default().push(format!("{} ({})", api.audience, api.id));
    }
    let equivalent: Vec<String> =
        by_form.into_values().filter(|group| group.len() > 1).map(|group| group.join(" and ")).collect();
    let detail =
        format!("{} are equivalent, so that each works only as written; change or delete one", equivalent.join("; "));
    (!equivalent.is_empty()).then(|| Check::warning("audiences", detail))
}

/// Checks that each key can be decrypted, that each algorithm in use has a signing key, and that none has been in use
/// for too long.
fn check_signing_keys(
    rows: &KeyRows,
    in_use: impl Iterator<Item = Algorithm>,
    held: &HeldKeys,
    rotate_after_s: i64,
    now: UnixTime,
) -> Check {
    const NAME: &str = "signing keys";
    let opened = SealingKeys::build(held, &rows.sealing_keys);
    let ring = match opened.and_then(|keys| KeyRing::build(&rows.keys, &keys, &KeyRing::default())) {
        Ok(ring) => ring,
        Err(error) => return Check::failed(NAME, format!("{error}; restore a backup")),
    };
    let missing = ring.missing(in_use);
    if !missing.is_empty() {
        let missing: Vec<&str> = missing.into_iter().map(Algorithm::as_str).collect();
        let detail = format!("there is none for {}; the next start of a server creates one", missing.join(" and "));
        return Check::failed(NAME, detail);
    }
    let active = rows.keys.iter().filter(|key| key.state == KeyState::Active);
    let oldest = active.clone().map(|key| now - key.state_since).max().unwrap_or_default();
    if oldest > rotate_after_s + LATE_ROTATION_S {
        let detail = format!("one has been signing for {} days; a running server rotates it", oldest / DAY_S);
        return Check::warning(NAME, detail);
    }
    let (opened, signing) = (rows.keys.len(), active.count());
    Check::good(NAME, format!("{opened} decrypted, {signing} in use, the oldest for {} days", oldest / DAY_S))
}

/// Checks that the certificate is usable, valid for the issuer's host, and does not expire soon. Returns `None` without
/// one.
fn check_certificate(config: &Config, now: UnixTime) -> Option<Check> {
    const NAME: &str = "certificate";
    let issuer = match config.issuer_for(config.listen) {
        Ok(issuer) => issuer,
        Err(error) => return Some(Check::failed(NAME, error)),
    };
    let files = match config.tls.files() {
        Ok(files) => files,
        Err(error) => return Some(Check::failed(NAME, error)),
    };
    let tls = match Tls::read(files, &issuer, now) {
        Ok(tls) => tls?,
        Err(error) => return Some(Check::failed(NAME, error)),
    };
    let shown = tls.shown();
    if let Some(host) = tls.unnamed_host() {
        return Some(Check::warning(NAME, format!("{shown}: is not valid for {host}, the issuer's host")));
    }
    Some(match tls.ending_s(now) {
        Some(left_s) => Check::warning(NAME, format!("{shown}: expires in {} days; renew it", left_s / DAY_S)),
        None => Check::good(NAME, format!("{shown}: matches its key, and is valid for more than 14 days")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_by_ten_seconds() {
        assert_eq!(compare_clocks("it", 110, 100).verdict, Verdict::Good);
        assert_eq!(compare_clocks("it", 90, 100).verdict, Verdict::Good);
        let behind = compare_clocks("the server", 111, 100);
        assert_eq!(behind.verdict, Verdict::Failed);
        assert!(behind.detail.starts_with("this machine is 11 s behind the server"), "{behind:?}");
        assert!(compare_clocks("x", 0, 100).detail.contains("100 s ahead of x"));
    }
}
