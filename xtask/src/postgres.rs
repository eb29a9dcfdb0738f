//! A temporary PostgreSQL for the tests: a directory and a Unix socket.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{apt_install, output};

/// A running server. Dropping it stops it and removes its directory.
pub(crate) struct Postgres {
    directory: PathBuf,
    binaries: PathBuf,
    user: Option<&'static str>,
}

impl Postgres {
    /// Starts a server, after installing PostgreSQL if it is missing and may be installed.
    pub(crate) fn start() -> Result<Self, String> {
        let binaries = match find_binaries() {
            Some(found) => found,
            None => {
                apt_install(&["postgresql"])?;
                find_binaries().ok_or("the package postgresql does not contain initdb")?
            }
        };
        // initdb refuses to run as root.
        let is_root = output(Command::new("id").arg("-u"))?.trim() == "0";
        let user = is_root.then_some("postgres");
        let directory =
            PathBuf::from(output(Command::new("mktemp").args(["-d", "/tmp/countersign-pg.XXXXXX"]))?.trim());
        let postgres = Self { directory, binaries, user };
        if let Some(user) = user {
            output(Command::new("chown").arg(user).arg(&postgres.directory))?;
        }
        postgres.initialise()?;
        Ok(postgres)
    }

    /// The URL, to which a database name is added.
    pub(crate) fn url(&self) -> String {
        format!("postgres:///?host={}&user=postgres", self.directory.display())
    }

    fn initialise(&self) -> Result<(), String> {
        let data = self.directory.join("data").display().to_string();
        let socket = self.directory.display();
        let options = format!(
            "-c listen_addresses='' -c unix_socket_directories={socket} -c fsync=off -c synchronous_commit=off \
             -c full_page_writes=off -c max_connections=500"
        );
        let initdb = ["-D", &data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-N"];
        output(self.command("initdb").args(initdb))?;
        // The output goes to a file, because a server that inherits our pipe would keep us waiting.
        let log = self.directory.join("log").display().to_string();
        let start = ["-D", &data, "-w", "-l", &log, "-o", &options, "start"];
        let started = self.command("pg_ctl").args(start).stdout(Stdio::null()).status();
        match started {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("pg_ctl start: {status}; see its log {log}")),
            Err(error) => Err(format!("pg_ctl start: {error}")),
        }
    }

    fn command(&self, program: &str) -> Command {
        let program = self.binaries.join(program);
        let mut command = match self.user {
            None => Command::new(program),
            Some(user) => {
                let mut command = Command::new("runuser");
                command.args(["-u", user, "--"]).arg(program);
                command
            }
        };
        command.current_dir(&self.directory);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let data = self.directory.join("data").display().to_string();
        let stopped = output(self.command("pg_ctl").args(["-D", &data, "-m", "immediate", "-w", "stop"]));
        if let Err(reason) = stopped {
            eprintln!("{reason}");
        }
        // Leftover files are in /tmp.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn find_binaries() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut found: Vec<PathBuf> = versions.flatten().map(|version| version.path().join("bin")).collect();
    found.retain(|path| Path::new(path).join("initdb").exists());
    found.sort();
    found.pop()
}
