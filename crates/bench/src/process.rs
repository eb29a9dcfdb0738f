//! The measured servers: separate processes, on the server's core or on both.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_protocol::jose::algorithm::Algorithm;
use rustix::process::{Pid, Signal, kill_process};

use crate::connection::Connection;
use crate::{Outcome, cores, plan, request, watch};

/// A server that is not ready after this time has failed.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// The interval of the readiness checks.
const READY_INTERVAL: Duration = Duration::from_millis(1);

/// No request is refused for waiting.
const PATIENT: (&str, &str) = ("COUNTERSIGN_HTTP_QUEUE_TARGET_MS", "0");

/// A running server. Dropping it ends the process.
pub(crate) struct Server {
    child: Child,
    /// The address that it listens on.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// Starts `countersign serve` on a data directory, with a JSON log in a file next to it. It refuses no request for waiting,
    /// because `load.rs` always sends as many as it can handle.
    pub(crate) fn countersign(directory: &Path, flags: &[&str]) -> Outcome<Self> {
        Self::serve(directory, flags, &[PATIENT], &[cores::SERVER])
    }

    /// The same on these cores.
    pub(crate) fn countersign_on(directory: &Path, cores: &[usize]) -> Outcome<Self> {
        Self::serve(directory, &[], &[PATIENT], cores)
    }

    /// The same with default settings.
    pub(crate) fn countersign_by_default(directory: &Path) -> Outcome<Self> {
        Self::serve(directory, &[], &[], &[cores::SERVER])
    }

    fn serve(directory: &Path, flags: &[&str], environment: &[(&str, &str)], cores: &[usize]) -> Outcome<Self> {
        let address = free_address()?;
        let log = fs::File::create(directory.with_extension("log"))?;
        let mut command = Command::new(plan::binary()?);
        // Without the caller's COUNTERSIGN_ variables.
        command.env_clear().env("COUNTERSIGN_LOG_FORMAT", "json").envs(environment.iter().copied());
        command.args(["serve", "--listen", &address.to_string(), "--data-dir"]).arg(directory).args(flags);
        Self::spawn(command.stdout(Stdio::piped()).stderr(log), address, cores)
    }

    /// Starts the bare endpoints.
    pub(crate) fn bare(algorithm: Algorithm, payload: &Path, cores: &[usize]) -> Outcome<Self> {
        let address = free_address()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["bare", &address.to_string(), algorithm.as_str()]).arg(payload);
        Self::spawn(&mut command, address, cores)
    }

    /// A child process inherits the cores of the thread that starts it.
    fn spawn(command: &mut Command, address: SocketAddr, cores: &[usize]) -> Outcome<Self> {
        cores::pin(cores)?;
        let child = command.spawn();
        cores::pin(&[cores::GENERATOR])?;
        Ok(Self { child: child?, address })
    }

    /// Its process ID.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its stdout.
    pub(crate) fn stdout(&mut self) -> Outcome<impl std::io::Read + use<>> {
        self.child.stdout.take().ok_or_else(|| "stdout was already taken".into())
    }

    /// Waits until `/readyz` returns 200.
    pub(crate) async fn wait_until_ready(&mut self) -> Outcome<()> {
        let began = watch::now();
        while began.elapsed() < READY_TIMEOUT {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!("the server ended: {status}").into());
            }
            if self.is_ready().await.unwrap_or(false) {
                return Ok(());
            }
            tokio::time::sleep(READY_INTERVAL).await;
        }
        Err("the server is not ready".into())
    }

    async fn is_ready(&self) -> std::io::Result<bool> {
        Ok(Connection::open(self.address).await?.exchange(request::READY).await?.status == 200)
    }

    /// Its memory in use (`VmRSS`), in MiB.
    pub(crate) fn memory_mib(&self) -> Outcome<f64> {
        let text = fs::read_to_string(format!("/proc/{}/status", self.id()))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }

    /// Stops it like an operator, and checks its exit status.
    pub(crate) fn stop(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        if status.success() { Ok(()) } else { Err(format!("the server ended: {status}").into()) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address on loopback where nothing listens.
fn free_address() -> Outcome<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
