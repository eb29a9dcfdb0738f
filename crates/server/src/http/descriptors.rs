//! Checks whether this process may open enough files and sockets for its connections.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::{Config, Http};
use crate::limits::MAX_OPERATOR_CONNECTIONS;
use crate::operations::check::Check;

/// File descriptors that are not connections: the listeners, the database's files or sockets, the lock, the log, the
/// runtime's own, and a certificate that is reloaded; with a margin.
const OTHERS: usize = 100;

/// Raises the soft limit to the hard limit. Shells and service managers set a low soft limit for programs that use
/// `select`.
pub fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Some systems refuse an infinite soft limit. Then it stays the same.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Returns what is wrong if there are too few file descriptors, and what to do, or `None` if there are enough.
fn find_shortage(config: &Config, limit: Option<u64>) -> Option<String> {
    let (needed, most, held) = (needed(config), config.http.max_connections, fitting(config, limit));
    let limit = limit.filter(|limit| *limit < needed)?;
    Some(format!(
        "the limit for open files and sockets is {limit}, but {most} connections (http.max_connections) need \
         {needed}, so the server accepts at most {held} connections; raise the limit (LimitNOFILE= in systemd, \
         --ulimit nofile= in \
         docker, ulimit -n), or lower http.max_connections"
    ))
}

/// Returns the connection limits, lowered to what this process may open. Otherwise, idle connections would not be
/// closed when descriptors run short.
pub fn fit_connections(config: &Config) -> Http {
    let max_connections = fitting(config, getrlimit(Resource::Nofile).current);
    Http { max_connections, ..config.http.clone() }
}

/// Returns how many connections fit into this many file descriptors.
fn fitting(config: &Config, limit: Option<u64>) -> usize {
    let most = config.http.max_connections;
    let Some(limit) = limit else { return most };
    let room = limit.saturating_add(most as u64).saturating_sub(needed(config)).max(1);
    most.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// Returns the shortage of this process.
pub fn find_own_shortage(config: &Config) -> Option<String> {
    find_shortage(config, getrlimit(Resource::Nofile).current)
}

/// Returns what `serve` would report if it was started like `doctor`. A running server may have another limit.
pub(crate) fn check(config: &Config) -> Check {
    const NAME: &str = "descriptors";
    const JUDGED: &str = "for servers started from this shell:";
    let limit = getrlimit(Resource::Nofile).maximum;
    match find_shortage(config, limit) {
        Some(shortage) => Check::warning(NAME, format!("{JUDGED} {shortage}")),
        None => {
            let shown = limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
            Check::good(NAME, format!("{JUDGED} the limit is {shown}, and {} are needed", needed(config)))
        }
    }
}

fn needed(config: &Config) -> u64 {
    let operators = if config.metrics.listen.is_some() { MAX_OPERATOR_CONNECTIONS } else { 0 };
    u64::try_from(config.http.max_connections + operators + OTHERS).unwrap_or(u64::MAX)
}
