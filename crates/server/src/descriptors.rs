//! Whether this process may open as many files and sockets as its connections need.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Http};
use crate::doctor::Check;
use crate::limits::MAX_OPERATOR_CONNECTIONS;

/// Descriptors besides those of connections: the listeners, the database's files or sockets, the lock, the log, the
/// runtime's own, and a certificate that is read again; with room to spare.
const OTHERS: usize = 100;

/// Raises the soft limit to the hard one: shells and service managers set the soft one low for programs that use `select`.
pub fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where the hard limit is infinite, some systems refuse that as a soft one; then it stays as it is.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// What is wrong if this many descriptors are too few, and what to do; `None` if they suffice.
fn find_shortage(config: &Config, limit: Option<u64>) -> Option<String> {
    let (needed, most) = (needed(config), config.http.max_connections);
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "at most {limit} files and sockets may be open at once, but {most} connections (http.max_connections) need \
         {needed}, so fewer are held; raise the limit (LimitNOFILE= of systemd, --ulimit nofile= of docker, ulimit -n), or \
         lower http.max_connections"
    ))
}

/// The bounds of connections, lowered to what this process may open: otherwise idle connections would not give way when
/// descriptors run short.
pub fn fit_connections(config: &Config) -> Http {
    let mut http = config.http.clone();
    if let Some(limit) = getrlimit(Resource::Nofile).current {
        let room = limit.saturating_add(http.max_connections as u64).saturating_sub(needed(config)).max(1);
        http.max_connections = http.max_connections.min(usize::try_from(room).unwrap_or(usize::MAX));
    }
    http
}

/// The shortage of this process as it is.
pub fn find_own_shortage(config: &Config) -> Option<String> {
    find_shortage(config, getrlimit(Resource::Nofile).current)
}

/// What `serve` would say if it were started as `doctor` was.
pub(crate) fn check(config: &Config) -> Check {
    const NAME: &str = "descriptors";
    let limit = getrlimit(Resource::Nofile).maximum;
    match find_shortage(config, limit) {
        Some(shortage) => Check::warning(NAME, shortage),
        None => {
            let shown = limit.map_or_else(|| "any number".to_owned(), |limit| limit.to_string());
            Check::good(NAME, format!("{shown} may be open, as started from here; {} are needed", needed(config)))
        }
    }
}

fn needed(config: &Config) -> u64 {
    let operators = if config.metrics.listen.is_some() { MAX_OPERATOR_CONNECTIONS } else { 0 };
    u64::try_from(config.http.max_connections + operators + OTHERS).unwrap_or(u64::MAX)
}
