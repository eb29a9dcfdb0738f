//! Checks whether the database accepts writes, with a test write that nobody sees, and explains what to do if it does
//! not.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use countersign_protocol::refusal::DatabaseTrouble;
use countersign_store::{DatabaseUrl, ReadOnlyCause, Store, StoreError};

use crate::operations::check::Check;
use crate::operations::data_directory::{DirectoryError, advice, failed};

const NAME: &str = "writes";
/// The size of the test write: more than a change writes, but not so much that it uses up the last space of a running
/// server.
const TRIED_BYTES: usize = 256 * 1024;
const OWNER_WRITES: u32 = 0o200;

/// Tries to write. Only uses SQLite itself if a server has the file open. Otherwise, SQLite would write next to it, and
/// checkpoint the log of a killed server.
pub(super) async fn check(database: &DatabaseUrl, is_running: bool) -> Check {
    let warning = match database.sqlite_file() {
        Some(file) => match try_files(&file) {
            Ok(warning) => warning,
            Err(error) => return Check::failed(NAME, format!("{error}; {}", remedy_of_system(&error))),
        },
        None => None,
    };
    if (is_running || database.sqlite_file().is_none())
        && let Err(why) = try_database(database).await
    {
        return Check::failed(NAME, why);
    }
    match warning {
        Some(warning) => Check::warning(NAME, warning),
        None => Check::good(NAME, "a test write succeeded and was rolled back"),
    }
}

/// Opens each file that SQLite writes, and writes a new one to their directory. Returns what only this user may do.
fn try_files(file: &Path) -> Result<Option<String>, DirectoryError> {
    let directory = file.parent().unwrap_or(Path::new("/"));
    let owner = fs::metadata(directory).map_err(|error| failed(directory, error))?;
    let mut warning = find_closed(directory, &owner, &owner);
    for path in ["", "-wal", "-shm"].map(|end| beside(file, end)) {
        let found = match File::options().append(true).open(&path).and_then(|file| file.metadata()) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(&path, error)),
        };
        warning = warning.or_else(|| find_closed(&path, &found, &owner));
    }
    let scratch = directory.join(format!("doctor.{}.new", std::process::id()));
    let tried = try_room(&scratch);
    tried.map(|()| warning).map_err(|error| failed(directory, error))
}

/// The new file is unlinked before it has content, so that nothing remains, however this ends.
fn try_room(scratch: &Path) -> io::Result<()> {
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(scratch)?;
    fs::remove_file(scratch)?;
    file.write_all(&vec![1; TRIED_BYTES])?;
    file.sync_all()
}

/// Root may write what the server's user may not.
fn find_closed(path: &Path, found: &Metadata, directory: &Metadata) -> Option<String> {
    let shown = path.display();
    if found.permissions().mode() & OWNER_WRITES == 0 {
        return Some(format!("{shown}: only root can write this; run: chmod u+w {shown}"));
    }
    let (uid, wanted) = (found.uid(), directory.uid());
    (uid != wanted).then(|| {
        format!("{shown}: belongs to user {uid}, but its directory to user {wanted}; run: chown {wanted} {shown}")
    })
}

fn remedy_of_system(error: &DirectoryError) -> &'static str {
    let kind = match error {
        DirectoryError::Io { error, .. } => error.kind(),
        _ => ErrorKind::Other,
    };
    match kind {
        // The error already says what to do.
        kind if !advice(kind).is_empty() => "until then, writes fail",
        _ => "until this is fixed, writes fail",
    }
}

/// Returns the database's error, and what to do.
async fn try_database(database: &DatabaseUrl) -> Result<(), String> {
    let store = Store::open_to_try_writing(database).await.map_err(|error| error.to_string())?;
    let tried = store.try_writing().await;
    let told = match &tried {
        Ok(()) => Ok(()),
        Err(error) => Err(format!("{}; {}", without_remedy(error), find_remedy(&store, database, error).await)),
    };
    store.close().await;
    told
}

/// Returns the error's message. The remedy that follows is more precise than its own.
fn without_remedy(error: &StoreError) -> String {
    match error {
        StoreError::Unavailable(trouble, reason) => format!("{trouble}: {reason}"),
        other => other.to_string(),
    }
}

async fn find_remedy(store: &Store, database: &DatabaseUrl, error: &StoreError) -> String {
    let is_sqlite = database.sqlite_file().is_some();
    let remedy = match error {
        StoreError::Unavailable(DatabaseTrouble::ReadOnly, _) => match store.find_read_only_cause().await {
            Ok(Some(ReadOnlyCause::Standby)) => "this is a standby; set database.url to the primary",
            Ok(Some(ReadOnlyCause::Setting(place))) => return remedy_of_setting(&place),
            _ => "make it writable for the server's user",
        },
        StoreError::Unavailable(DatabaseTrouble::Damaged, _) => "stop the server and restore a backup",
        StoreError::Unavailable(DatabaseTrouble::Full, _) => "until then, writes fail",
        StoreError::Unavailable(DatabaseTrouble::Slow, _) | StoreError::Conflict(_) if is_sqlite => {
            "another program, such as sqlite3, has an open transaction; close it"
        }
        StoreError::Unavailable(DatabaseTrouble::Slow, _) | StoreError::Conflict(_) => {
            "another session may hold a lock; see pg_stat_activity and pg_locks"
        }
        _ => "until this is fixed, writes fail",
    };
    remedy.to_owned()
}

/// Some providers set it when the disk is nearly full.
fn remedy_of_setting(place: &str) -> String {
    let how = match place {
        "database" => "ALTER DATABASE … RESET default_transaction_read_only",
        "user" => "ALTER ROLE … RESET default_transaction_read_only",
        "database user" => "ALTER ROLE … IN DATABASE … RESET default_transaction_read_only",
        _ => "turn it off in PostgreSQL or in the options of database.url",
    };
    format!(
        "default_transaction_read_only is on ({place}); find out why (some providers set it when the disk is nearly \
         full), then \
         {how}"
    )
}

fn beside(file: &Path, end: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(end);
    name.into()
}
