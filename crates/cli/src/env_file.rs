//! Private files (0600) with a client's credentials, in the format of environment variables.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::output::Failure;

/// The start of each line, in this order.
const NAMES: [&str; 3] = ["COUNTERSIGN_CLIENT_ID=", "COUNTERSIGN_CLIENT_SECRET=", "COUNTERSIGN_ISSUER="];
/// Space to reserve before the secret is created, so that a full disk is noticed in time.
const ROOM_BYTES: usize = 4096;

/// A temporary file next to the target path. If it is dropped before it is complete, nothing remains.
pub(crate) struct EnvFile {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
}

impl EnvFile {
    /// Checks, before the call to the server, that the file can be written for this client without overwriting
    /// another file.
    pub(crate) fn prepare(path: &Path, client_id: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| Failure::new(format!("--env-file: {}: {error}", path.display()));
        check_value("client ID", client_id)?;
        let Some(name) = path.file_name() else {
            return Err(Failure::usage(format!("--env-file: {} is not a file name", path.display())));
        };
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}.new", std::process::id()));
        let temporary = path.with_file_name(hidden);
        let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&temporary).map_err(failed)?;
        let mut prepared = Self { path: path.to_owned(), temporary, file };
        prepared.check_may_be_replaced(client_id)?;
        let room = prepared.file.write_all(&[b'\n'; ROOM_BYTES]).and_then(|()| prepared.file.sync_all());
        room.map_err(failed)?;
        Ok(prepared)
    }

    /// Writes the complete file durably, and replaces an older one. Shells source this file, so a response from a
    /// malicious server must not become a command.
    pub(crate) fn write(mut self, client_id: &str, secret: &str, issuer: &str) -> Result<(), Failure> {
        check_value("client ID", client_id)?;
        check_value("secret", secret)?;
        let mut text = Zeroizing::new(String::with_capacity(ROOM_BYTES));
        for (name, value) in NAMES.into_iter().zip([client_id, secret, issuer]) {
            text.push_str(name);
            text.push_str(value);
            text.push('\n');
        }
        self.replace(&text).map_err(|error| Failure::new(format!("--env-file: {}: {error}", self.path.display())))
    }

    fn replace(&mut self, text: &str) -> io::Result<()> {
        self.file.rewind()?;
        self.file.write_all(text.as_bytes())?;
        self.file.set_len(text.len() as u64)?;
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        let directory = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
    }

    /// Fails unless the existing file is empty or was written by an earlier call for the same client: a regular
    /// file of this user, with nothing else in it.
    fn check_may_be_replaced(&self, client_id: &str) -> Result<(), Failure> {
        let refused = |why: &str| Err(Failure::new(format!("--env-file: {}: {why}", self.path.display())));
        let Ok(known) = fs::symlink_metadata(&self.path) else {
            return Ok(());
        };
        if !known.is_file() {
            return refused("is not a regular file; choose another file");
        }
        if self.file.metadata().map_or(true, |own| own.uid() != known.uid()) {
            return refused("belongs to another user; choose another file");
        }
        let text = Zeroizing::new(fs::read(&self.path).unwrap_or_else(|_| b"?".to_vec()));
        let is_ours = |line: &[u8]| line.is_empty() || NAMES.iter().any(|name| line.starts_with(name.as_bytes()));
        if !text.split(|byte| *byte == b'\n').all(is_ours) {
            return refused("contains something else; choose another file");
        }
        let owner = text.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(NAMES[0].as_bytes()));
        if let Some(other) = owner.filter(|owner| !owner.eq_ignore_ascii_case(client_id.as_bytes())) {
            let other = String::from_utf8_lossy(other);
            return refused(&format!("contains the secret of {other}; choose another file"));
        }
        Ok(())
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        // The temporary file still exists unless it was renamed.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Fails if programs that read such files would disagree about a value: some expand `$` and `#`, some do not.
pub(crate) fn check_value(what: &str, value: &str) -> Result<(), Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@%+=:,/~".contains(&byte);
    if !value.is_empty() && value.bytes().all(is_plain) {
        return Ok(());
    }
    let why = "contains characters that shells and other readers of this file interpret differently";
    Err(Failure::usage(format!("--env-file: the {what} {why}")))
}
