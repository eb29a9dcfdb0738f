//! Keeps the secrets in this process's memory and files away from other processes and out of core dumps.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Forbids core dumps, attaching debuggers, and files that others can open.
///
/// Every command holds a secret or a token at some time, so `main` calls this before it reads anything. On Linux the
/// kernel then gives `/proc/PID/mem` and `/proc/PID/environ` to root.
pub(crate) fn protect_process() -> io::Result<()> {
    // SQLite creates a database outside the data directory with mode 0644 less this mask.
    umask(Mode::from_raw_mode(0o077));
    // A sandbox may forbid this call. A process that is not dumpable leaves no core anyway.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    forbid_dumps()
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Other systems have only the limit of core dumps.
#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> io::Result<()> {
    Ok(())
}
