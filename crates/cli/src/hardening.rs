//! Keeps secrets in memory and in new files from other processes of the same user, and out of core dumps.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Every command holds a secret or a token for a while, so this is done before anything is read.
///
/// A debugger of the same user can no longer attach, and `/proc/PID/mem` and `/proc/PID/environ` belong to root.
pub(crate) fn protect_process() -> io::Result<()> {
    // SQLite makes a database that is configured elsewhere by this mask alone.
    umask(Mode::from_raw_mode(0o077));
    // A sandbox may forbid this one. A process that is not dumpable leaves no core in any case.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    forbid_dumps()
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Elsewhere only the limit of core dumps is known.
#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> io::Result<()> {
    Ok(())
}
