//! The sections of the configuration. Each part of the server receives only its own.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use url::{Host, Url};

use crate::config::ConfigError;

/// Database connections.
#[derive(Clone, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Database {
    /// Database URL, such as `postgres://…`. Defaults to SQLite in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Maximum PostgreSQL connections for reads. Two more connections follow changes and write heartbeats.
    pub max_read_connections: u32,
    /// Maximum PostgreSQL connections for writes.
    pub max_write_connections: u32,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, max_read_connections: 8, max_write_connections: 8 }
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Database(********)")
    }
}

/// The in-memory registry of APIs, clients and keys.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Registry {
    /// Maximum age in seconds of the last successful read from the database. If it is older, the server returns 503.
    pub max_age_s: i64,
}

impl Default for Registry {
    fn default() -> Self {
        Self { max_age_s: 10 }
    }
}

/// Signing keys.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Seconds for which a key signs tokens before its successor takes over.
    pub rotate_after_s: i64,
}

impl Default for Keys {
    fn default() -> Self {
        Self { rotate_after_s: 30 * 86_400 }
    }
}

/// Connections and requests.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Http {
    /// Additional host names of this server. The server returns 421 if `Host` is neither the issuer's host nor one of
    /// these. It always accepts IP addresses and health checks.
    #[serde(deserialize_with = "host_names")]
    pub hosts: Vec<String>,
    /// Origins whose pages may call the token, introspection and revocation endpoints from a browser (CORS). Key sets and
    /// metadata are readable from every page.
    #[serde(deserialize_with = "origins")]
    pub cors_origins: Vec<String>,
    /// Maximum open connections. At the limit, the server closes an idle or slow connection to make room for each new one.
    /// If none is idle, new connections wait.
    pub max_connections: usize,
    /// Maximum open connections from one address, or from one IPv6 /64. The server closes further ones immediately. Defaults
    /// to an eighth of `http.max_connections`, at least one. Trusted proxies (`proxy.trusted`) are exempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections_per_address: Option<usize>,
    /// Maximum requests in flight. The server returns 503 for further ones. Administrative changes, administrative reads and
    /// calls from the pages have separate limits of 64 each. Health checks are always accepted.
    pub max_in_flight: usize,
    /// Milliseconds that a request may wait for its turn. If the queue has not emptied within 100 ms, the server returns 503
    /// for requests that have waited longer, and for new requests that would. Eight requests per processor may always wait.
    /// Set to 0 to disable this limit.
    pub queue_target_ms: u32,
    /// Seconds after SIGTERM during which the server still accepts connections and serves requests. `/readyz` returns 503,
    /// so that load balancers send requests elsewhere. Set it higher than the time that they take to notice.
    pub drain_s: u64,
    /// Seconds that requests in flight have to finish at shutdown.
    pub shutdown_s: u64,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            max_connections: 10_000,
            max_connections_per_address: None,
            max_in_flight: 1024,
            queue_target_ms: 4,
            drain_s: 3,
            shutdown_s: 10,
        }
    }
}

impl Http {
    /// The limit of open connections per address.
    pub(crate) fn most_per_address(&self) -> usize {
        self.max_connections_per_address.unwrap_or_else(|| (self.max_connections / 8).max(1))
    }
}

/// Parses host names as browsers send them: in lower case, and in Punycode if they are not ASCII.
fn host_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let name = |text: &String| match Host::parse(text) {
        Ok(Host::Domain(name)) if name.bytes().all(is_of_name) => Ok(name),
        Ok(Host::Ipv4(_) | Host::Ipv6(_)) => {
            let words = "is an IP address, which the server always accepts; remove it";
            Err(D::Error::custom(format!("`{text}` {words}")))
        }
        _ => Err(D::Error::custom(format!("`{text}` is not a host name; use only the name, such as auth.internal"))),
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(name).collect()
}

/// Parses origins as browsers send them (RFC 6454 §6.2).
fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origin = |text: &String| {
        let parsed = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
        let origin = parsed.map(|url| (url.origin().ascii_serialization(), url));
        // Nothing but the origin: a browser sends no path either.
        let is_whole = |(origin, url): &(String, Url)| url.as_str() == format!("{origin}/");
        origin.filter(is_whole).map(|(origin, _)| origin).ok_or_else(|| {
            D::Error::custom(format!("`{text}` is not an origin; write it without a path, such as https://app.example"))
        })
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(origin).collect()
}

/// The TLS certificate and its private key. Without them, the server uses plain HTTP.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// PEM file with the server's certificate, followed by its chain. The server reloads it when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// PEM file with the certificate's private key, unencrypted. The server reloads it when it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

impl Tls {
    /// Returns both files or neither. One without the other is an error that names the missing key.
    pub fn files(&self) -> Result<Option<(&Path, &Path)>, ConfigError> {
        let given = |key, file: &Option<PathBuf>| match file {
            Some(file) if file.as_os_str().is_empty() => Err(ConfigError::new(key, "must not be empty")),
            _ => Ok(()),
        };
        given("tls.cert", &self.cert)?;
        given("tls.key", &self.key)?;
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => Ok(Some((cert, key))),
            (Some(_), None) => Err(ConfigError::new("tls.key", "is missing: a certificate (tls.cert) needs its key")),
            (None, Some(_)) => Err(ConfigError::new("tls.cert", "is missing: a key (tls.key) needs its certificate")),
            (None, None) => Ok(None),
        }
    }
}

/// Metrics and health checks.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Metrics {
    /// Additional address and port that serves `/metrics`, `/livez`, `/readyz` and `/healthz`. The `[http]` limits do not
    /// apply; it accepts up to 64 connections. If unset, `listen` serves the metrics, but only if it is a loopback address
    /// and no proxy is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
}

/// Trusted proxies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Networks whose `X-Forwarded-For` and `X-Request-Id` headers are trusted, such as `10.0.0.0/8`.
    #[serde(deserialize_with = "networks")]
    #[schemars(with = "Vec<String>")]
    pub trusted: Vec<IpNet>,
}

/// Parses networks. A single address is a network of one.
fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let network = |text: &String| {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        let refused = |_| D::Error::custom(format!("`{text}` is neither an address nor a network such as 10.0.0.0/8"));
        text.parse::<IpNet>().or_else(|_| alone()).map_err(refused)
    };
    Vec::<String>::deserialize(deserializer)?.iter().map(network).collect()
}

/// The log on stderr.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// Format of log lines: `text` for people, `json` for machines.
    pub format: LogFormat,
    /// Lowest level to log: `error`, `warn`, `info`, `debug` or `trace`.
    pub level: LogLevel,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: LogLevel::Info }
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The lowest level to log.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// The playground: its pages, its API, and the demonstration resources.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct Playground {
    /// Whether the server offers the playground. Defaults to true only with `--demo`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
}
