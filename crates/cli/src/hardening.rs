//! Protects the secrets in this process's memory and files from other processes, and keeps them out of core dumps.

use std::io;

use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, setrlimit, umask};

/// Forbids core dumps, debuggers, and files that others can open.
///
/// `main` calls this before it reads anything, because every command handles a secret or token. On Linux, the
/// kernel then makes `/proc/PID/mem` and `/proc/PID/environ` accessible only to root.
pub(crate) fn protect_process() -> io::Result<()> {
    // SQLite creates a database outside the data directory with mode 0644 minus this mask.
    umask(Mode::from_raw_mode(0o077));
    // A sandbox may forbid this call. A process that is not dumpable writes no core dump anyway.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    forbid_dumps()
}

#[cfg(target_os = "linux")]
fn forbid_dumps() -> io::Result<()> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// On other systems, only limits core dumps.
#[cfg(not(target_os = "linux"))]
fn forbid_dumps() -> io::Result<()> {
    Ok(())
}
