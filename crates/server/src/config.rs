//! The configuration: typed sections with defaults. Errors name the invalid key.

pub mod schema;
mod sections;

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use countersign_protocol::issuer::Issuer;
use countersign_store::{Connections, DatabaseUrl};
use schemars::JsonSchema;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

use crate::limits::MAX_REGISTRY_AGE_S;

pub use sections::{Database, Http, Keys, Log, LogFormat, LogLevel, Metrics, Playground, Proxy, Registry, Tls};

/// The whole configuration.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "Countersign configuration")]
pub struct Config {
    /// Address and port to listen on.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Origin that clients use for this server. Defaults to the listen address, with `https://` if TLS is configured and
    /// `http://` otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Whether to allow an `http` issuer that is not loopback, for containers and test networks.
    pub insecure_http: bool,
    /// Directory for the SQLite database, the sealing key and the lock.
    pub data_dir: PathBuf,
    /// File of the sealing key, if it is not in the data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing_key_file: Option<PathBuf>,
    /// File of the next sealing key during a rotation. The node decrypts with both keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sealing_key_next_file: Option<PathBuf>,
    /// The database.
    pub database: Database,
    /// The registry.
    pub registry: Registry,
    /// The signing keys.
    pub keys: Keys,
    /// Connections and requests.
    pub http: Http,
    /// The TLS certificate and its private key.
    pub tls: Tls,
    /// Metrics and health checks.
    pub metrics: Metrics,
    /// Trusted proxies.
    pub proxy: Proxy,
    /// The log.
    pub log: Log,
    /// The playground.
    pub playground: Playground,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            issuer: None,
            insecure_http: false,
            data_dir: PathBuf::from("./countersign-data"),
            sealing_key_file: None,
            sealing_key_next_file: None,
            database: Database::default(),
            registry: Registry::default(),
            keys: Keys::default(),
            http: Http::default(),
            tls: Tls::default(),
            metrics: Metrics::default(),
            proxy: Proxy::default(),
            log: Log::default(),
            playground: Playground::default(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    parse_listen(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

/// Parses an address and port. The error for an incomplete one suggests a complete one.
pub fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let Config { listen, .. } = Config::default();
        let port = || text.rsplit(':').next()?.parse().ok();
        let nearest = match text.parse() {
            Ok(ip) => SocketAddr::new(ip, listen.port()),
            Err(_) => SocketAddr::new(listen.ip(), port().unwrap_or(listen.port())),
        };
        format!("`{text}` is not an address and a port; write it as {nearest}")
    })
}

/// The file name of the sealing key in the data directory.
pub(crate) const SEALING_KEY_FILE: &str = "sealing.key";
/// The file name of the next sealing key in the data directory.
pub(crate) const NEXT_SEALING_KEY_FILE: &str = "sealing.key.next";

/// A key with an invalid value.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{key}: {reason}")]
pub struct ConfigError {
    /// The key.
    pub key: String,
    /// What is wrong with the value.
    pub reason: String,
}

impl ConfigError {
    /// Creates an error for a key.
    pub fn new(key: &str, reason: impl ToString) -> Self {
        Self { key: key.to_owned(), reason: reason.to_string() }
    }
}

impl Config {
    /// Checks what can be checked without starting. The error names the first invalid key.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let in_range = |key, value: i64, range: std::ops::RangeInclusive<i64>| {
            let reason = format!("must be from {} to {}", range.start(), range.end());
            if range.contains(&value) { Ok(()) } else { Err(ConfigError::new(key, reason)) }
        };
        let count = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
        in_range("registry.max_age_s", self.registry.max_age_s, 1..=MAX_REGISTRY_AGE_S)?;
        // An hour, because a successor is published long before it signs. More than ten years must be a mistake.
        in_range("keys.rotate_after_s", self.keys.rotate_after_s, 3600..=315_360_000)?;
        in_range("database.max_read_connections", self.database.max_read_connections.into(), 1..=1000)?;
        in_range("database.max_write_connections", self.database.max_write_connections.into(), 1..=1000)?;
        in_range("http.max_connections", count(self.http.max_connections), 1..=1_000_000)?;
        in_range("http.max_connections_per_address", count(self.http.most_per_address()), 1..=1_000_000)?;
        in_range("http.max_in_flight", count(self.http.max_in_flight), 1..=1_000_000)?;
        in_range("http.queue_target_ms", i64::from(self.http.queue_target_ms), 0..=10_000)?;
        in_range("http.drain_s", i64::try_from(self.http.drain_s).unwrap_or(i64::MAX), 0..=3600)?;
        in_range("http.shutdown_s", i64::try_from(self.http.shutdown_s).unwrap_or(i64::MAX), 0..=3600)?;
        if self.data_dir.as_os_str().is_empty() {
            return Err(ConfigError::new("data_dir", "must not be empty"));
        }
        self.database()?;
        self.tls.files()?;
        self.issuer_for(self.listen).map(|_| ())
    }

    /// True if the main listener serves the metrics, because only this machine can reach it.
    pub fn metrics_beside(&self) -> bool {
        self.metrics.listen.is_none() && self.listen.ip().is_loopback() && self.proxy.trusted.is_empty()
    }

    /// The database: the configured one, or SQLite in the data directory.
    pub fn database(&self) -> Result<DatabaseUrl, ConfigError> {
        let parsed = match &self.database.url {
            Some(url) => DatabaseUrl::parse(url),
            None => DatabaseUrl::sqlite_in(&self.data_dir),
        };
        let Database { max_read_connections: read, max_write_connections: write, .. } = self.database;
        let parsed = parsed.map(|database| database.with_connections(Connections { read, write }));
        parsed.map_err(|error| ConfigError::new("database.url", error.to_string().replace("database.url: ", "")))
    }

    /// The path of the sealing key.
    pub(crate) fn sealing_key_path(&self) -> PathBuf {
        self.sealing_key_file.clone().unwrap_or_else(|| self.data_dir.join(SEALING_KEY_FILE))
    }

    /// The path of the next sealing key. `None` if it must be configured and is not.
    pub(crate) fn sealing_key_next_path(&self) -> Option<PathBuf> {
        let in_directory = || self.sealing_key_file.is_none().then(|| self.data_dir.join(NEXT_SEALING_KEY_FILE));
        self.sealing_key_next_file.clone().or_else(in_directory)
    }

    /// True if the data directory contains the sealing key, and the next one during a rotation.
    pub(crate) fn is_sealing_key_in_directory(&self) -> bool {
        self.sealing_key_file.is_none() && self.sealing_key_next_file.is_none()
    }

    /// The default issuer: the listen address, without its scheme's default port.
    pub fn derived_issuer(&self, listen: SocketAddr) -> String {
        let (scheme, port) = if self.tls.cert.is_some() { ("https", ":443") } else { ("http", ":80") };
        let authority = listen.to_string();
        format!("{scheme}://{}", authority.strip_suffix(port).unwrap_or(&authority))
    }

    /// The issuer of a server that listens on this address: `https`, or loopback, unless `insecure_http` is set.
    pub fn issuer_for(&self, listen: SocketAddr) -> Result<Issuer, ConfigError> {
        let given = self.issuer.clone().unwrap_or_else(|| self.derived_issuer(listen));
        let refuse = |reason: String| ConfigError::new("issuer", reason);
        let issuer = Issuer::parse(&given).map_err(|error| refuse(format!("`{given}`: {error}")))?;
        if self.tls.cert.is_some() && !issuer.is_https() {
            return Err(refuse(format!("`{given}` must use https, because tls.cert is set")));
        }
        if issuer.is_https() || self.insecure_http || is_loopback(&issuer) {
            return Ok(issuer);
        }
        let unset = if self.issuer.is_none() { "; set issuer to the URL that clients use for this server" } else { "" };
        let allow = "insecure_http = true in the file, or COUNTERSIGN_INSECURE_HTTP=true, allows it";
        Err(refuse(format!("`{given}` is neither https nor loopback ({allow}){unset}")))
    }
}

/// True if all addresses of the issuer's host are loopback. A name that does not resolve is not.
pub fn is_loopback(issuer: &Issuer) -> bool {
    let Ok(addresses) = issuer.authority().to_socket_addrs() else {
        return false;
    };
    let mut addresses = addresses.peekable();
    addresses.peek().is_some() && addresses.all(|address| address.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(given: Option<&str>, listen: &str, insecure_http: bool) -> Result<String, ConfigError> {
        let config = Config { issuer: given.map(str::to_owned), insecure_http, ..Config::default() };
        config.issuer_for(listen.parse().expect("an address")).map(|issuer| issuer.to_string())
    }

    #[test]
    fn an_issuer_is_https_or_loopback_unless_insecure_http_is_set() {
        assert_eq!(issuer(None, "127.0.0.1:9", false), Ok("http://127.0.0.1:9".to_owned()));
        assert_eq!(issuer(Some("https://auth.example"), "0.0.0.0:9", false), Ok("https://auth.example".to_owned()));
        assert_eq!(issuer(Some("http://auth.invalid"), "0.0.0.0:9", true), Ok("http://auth.invalid".to_owned()));
        assert!(issuer(Some("http://[::1]:9"), "127.0.0.1:9", false).is_ok());
        assert_eq!(issuer(None, "127.0.0.1:80", false), Ok("http://127.0.0.1".to_owned()));
        assert_eq!(issuer(None, "[::1]:80", false), Ok("http://[::1]".to_owned()));
        assert_eq!(issuer(None, "127.0.0.1:443", false), Ok("http://127.0.0.1:443".to_owned()));
        assert!(issuer(None, "0.0.0.0:9", false).is_err());
        assert!(issuer(Some("http://auth.invalid"), "127.0.0.1:9", false).is_err());
        assert!(issuer(Some("https://auth.example/x"), "127.0.0.1:9", false).is_err());
    }

    #[test]
    fn an_incomplete_address_is_refused_with_a_suggestion() {
        let nearest = |text: &str| parse_listen(text).map_err(|words| words.split(" as ").last().map(str::to_owned));
        assert_eq!(nearest("[::1]:9"), Ok(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 9))));
        for (text, meant) in [
            ("8081", "127.0.0.1:8081"),
            (":8081", "127.0.0.1:8081"),
            ("localhost:8081", "127.0.0.1:8081"),
            ("0.0.0.0", "0.0.0.0:8080"),
            ("::1", "[::1]:8080"),
            ("x", "127.0.0.1:8080"),
        ] {
            assert_eq!(nearest(text), Err(Some(meant.to_owned())), "{text}");
        }
    }

    #[test]
    fn with_a_certificate_the_issuer_is_https() {
        let tls = Tls { cert: Some(PathBuf::from("c")), key: Some(PathBuf::from("k")) };
        let config = Config { tls, ..Config::default() };
        assert_eq!(
            config.issuer_for(config.listen).map(|issuer| issuer.to_string()),
            Ok("https://127.0.0.1:8080".into())
        );
        let config = Config { issuer: Some("http://127.0.0.1:8080".to_owned()), insecure_http: true, ..config };
        assert_eq!(config.validate().map_err(|error| error.key), Err("issuer".to_owned()));
    }

    #[test]
    fn host_names_are_parsed_as_browsers_send_them() {
        let read = |hosts: &str| toml::from_str::<Config>(&format!("[http]\nhosts = [{hosts}]")).map(|c| c.http.hosts);
        let good = read(r#""Auth.Internal", "my_server", "caf\u00e9.example", "localhost", "auth.example.""#);
        let wanted = ["auth.internal", "my_server", "xn--caf-dma.example", "localhost", "auth.example."];
        assert_eq!(good.expect("good"), wanted);
        for bad in
            ["", "10.0.0.1", "::1", "[::1]", "auth.example:8080", "https://auth.example", "*.example", "a b", "a/"]
        {
            let refused = read(&format!("\"{bad}\"")).expect_err(bad);
            assert!(refused.message().starts_with(&format!("`{bad}` is ")), "{refused}");
        }
    }

    #[test]
    fn an_invalid_value_is_refused_with_its_key() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = Config::default();
            change(&mut config);
            config.validate().map_err(|error| error.key)
        };
        assert_eq!(wrong(|_| {}), Ok(()));
        assert_eq!(wrong(|config| config.registry.max_age_s = 0), Err("registry.max_age_s".to_owned()));
        assert_eq!(wrong(|config| config.http.max_in_flight = 0), Err("http.max_in_flight".to_owned()));
        assert_eq!(wrong(|config| config.database.url = Some("mysql://x".to_owned())), Err("database.url".to_owned()));
        assert_eq!(wrong(|config| config.data_dir = PathBuf::new()), Err("data_dir".to_owned()));
        assert_eq!(wrong(|config| config.tls.cert = Some(PathBuf::from("c"))), Err("tls.key".to_owned()));
        assert_eq!(wrong(|config| config.tls.key = Some(PathBuf::from("k"))), Err("tls.cert".to_owned()));
        assert_eq!(wrong(|config| config.tls.key = Some(PathBuf::new())), Err("tls.key".to_owned()));
    }
}
