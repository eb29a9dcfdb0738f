//! A server on loopback, whose clock only moves when the test moves it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use countersign_protocol::issuer::Issuer;
use countersign_server::background::{
    clean_up, flush_uses, follow_changes, heartbeat, make_keys, rotate_keys, store_refusals,
};
use countersign_server::clock::{Clock, Entropy};
use countersign_server::config::Config;
use countersign_server::http::serve;
use countersign_server::keys::sealing_rotation::rotate;
use countersign_server::operations::start::{StartError, Started, Wanted, start};
use countersign_server::state::State;
use countersign_server::usage::exposition::render;
use countersign_server::{DemoFile, Front, machines};
use countersign_store::SQLITE_FILE;
use countersign_web::playground::demo::provide;
use countersign_web::site;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::actor::Actor;
use crate::database::{TestDatabase, private_directory};
use crate::openapi::Met;

/// When every story begins: 2030-01-01T00:00:00Z.
pub const START: i64 = 1_893_456_000;

/// The options of a test server.
#[derive(Clone, Debug)]
pub struct Options {
    /// Networks whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<String>,
    /// Additional host names.
    pub hosts: Vec<String>,
    /// Origins whose pages may call the token endpoint.
    pub cors_origins: Vec<String>,
    /// Maximum requests in flight.
    pub max_in_flight: usize,
    /// Maximum open connections.
    pub max_connections: usize,
    /// Maximum open connections per address.
    pub max_connections_per_address: Option<usize>,
    /// Whether it is started with `--demo`.
    pub demo: bool,
    /// The issuer.
    pub issuer: String,
    /// The seed of the random numbers. Two nodes on one database need different ones.
    pub seed: u64,
}

impl Default for Options {
    fn default() -> Self {
        // Every node of a story has the same issuer, whatever its port.
        let issuer = "http://127.0.0.1:8080".to_owned();
        Self {
            trusted_proxies: Vec::new(),
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            max_in_flight: 1024,
            max_connections: 10_000,
            max_connections_per_address: None,
            demo: true,
            issuer,
            seed: 0,
        }
    }
}

/// A running server, with the demo.
#[derive(Debug)]
pub struct TestServer {
    /// The address that it listens on.
    pub address: SocketAddr,
    /// Its state, for what a story cannot do over HTTP.
    pub state: State,
    /// What `--demo` created.
    pub demo: Option<DemoFile>,
    database: Option<TestDatabase>,
    own_directory: Option<TempDir>,
    clock: Arc<AtomicI64>,
    options: Options,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    started: Option<Started>,
    pub(crate) met: Met,
}

impl TestServer {
    /// Starts a server with a fresh database.
    pub async fn start() -> Self {
        Self::start_with(Options::default()).await
    }

    /// Starts a server with a fresh database and these options.
    pub async fn start_with(options: Options) -> Self {
        let database = TestDatabase::fresh();
        let clock = Arc::new(AtomicI64::new(START));
        Self::open(database, None, clock, options).await.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn open(
        database: TestDatabase,
        own_directory: Option<TempDir>,
        clock: Arc<AtomicI64>,
        options: Options,
    ) -> Result<Self, StartError> {
        let mut config = Config::default();
        let directory = own_directory.as_ref().unwrap_or(&database.directory);
        config.data_dir = directory.path().to_owned();
        config.database.url = database.url.clone();
        config.http.hosts = options.hosts.clone();
        config.http.cors_origins = options.cors_origins.clone();
        config.http.max_in_flight = options.max_in_flight;
        config.http.max_connections = options.max_connections;
        config.http.max_connections_per_address = options.max_connections_per_address;
        config.proxy.trusted = options.trusted_proxies.iter().map(|net| net.parse().unwrap()).collect();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let issuer = Issuer::parse(&options.issuer).unwrap();
        let entropy = Entropy::Seeded(Arc::new(AtomicU64::new(options.seed)));
        let wanted = Wanted { demo: options.demo, ..Wanted::default() };
        let started = start(&config, issuer, wanted, Clock::Fixed(clock.clone()), entropy).await?;
        let state = started.state.clone();
        let demo = match options.demo {
            true => Some(provide(&state, &started.directory).await.unwrap().file),
            false => None,
        };
        let site = if options.demo { site(&state) } else { machines(&state) };
        let front = Front::new(state.clone(), site, &config.http.hosts, &config.proxy.trusted);
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(async move {
            serve::serve(listener, front, &config.http, None, async { drop(stopped.await) }).await;
        });
        state.set_ready();
        let (database, stop, started) = (Some(database), Some(stop), Some(started));
        let met = Met::default();
        Ok(Self { address, state, demo, database, own_directory, clock, options, stop, serving, started, met })
    }

    /// Starts a second node on the same PostgreSQL database, with its own directory and seed.
    pub async fn second_node(&self) -> Self {
        let first = self.database.as_ref().unwrap();
        let directory = private_directory();
        for file in ["sealing.key", "demo.json"] {
            std::fs::copy(first.directory.path().join(file), directory.path().join(file)).unwrap();
        }
        assert!(first.url.is_some(), "with SQLite, only one process can use a data directory");
        let database = TestDatabase { directory: private_directory(), url: first.url.clone() };
        let options = Options { seed: 1 << 32, ..Options::default() };
        let opened = Self::open(database, Some(directory), self.clock.clone(), options).await;
        opened.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Restarts on the same data, with another seed.
    pub async fn restart(self) -> Self {
        self.restart_after(async |_, _| {}).await
    }

    /// Stops, replaces the sealing key, and starts again.
    pub async fn restart_with_new_sealing_key(self) -> Self {
        let rotating = async |config: Config, clock: Clock| {
            let rotated = rotate(&config, clock, Entropy::System).await;
            rotated.unwrap_or_else(|error| panic!("{error}"));
        };
        self.restart_after(rotating).await
    }

    async fn restart_after(mut self, work: impl AsyncFnOnce(Config, Clock)) -> Self {
        let (database, clock) = (self.database.take().unwrap(), self.clock.clone());
        let options = Options { seed: self.options.seed + (1 << 40), ..self.options.clone() };
        self.stop().await;
        let mut config = Config { data_dir: database.directory.path().to_owned(), ..Config::default() };
        config.database.url = database.url.clone();
        work(config, Clock::Fixed(clock.clone())).await;
        Self::open(database, None, clock, options).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Stops like SIGTERM.
    pub async fn stop(mut self) {
        drop(self.stop.take());
        (&mut self.serving).await.unwrap();
        flush_uses::run_once(&self.state).await;
        store_refusals::run_once(&self.state).await;
        heartbeat::end(&self.state).await;
        self.state.store.close().await;
        drop(self.started.take());
    }

    /// The data directory.
    pub fn directory(&self) -> &std::path::Path {
        self.own_directory.as_ref().unwrap_or_else(|| &self.database.as_ref().unwrap().directory).path()
    }

    /// Runs one statement directly in the database.
    pub fn tamper(&self, statement: &str) {
        self.database.as_ref().unwrap().tamper(&self.directory().join(SQLITE_FILE), statement);
    }

    /// Swaps the PostgreSQL databases of two servers.
    pub fn swap_databases(&self, other: &Self) {
        self.database.as_ref().unwrap().swap(other.database.as_ref().unwrap());
    }

    /// Holds locks in another program's transaction for some seconds, on PostgreSQL. Returns once it has them.
    pub async fn hold(&self, statement: &str, seconds: u32) -> Child {
        self.begin_foreign(&[statement, &format!("SELECT pg_sleep({seconds})")]).await
    }

    /// Makes the next change of these rows deadlock with another program's transaction, on PostgreSQL, and be aborted. That
    /// transaction locks the rows, and then the change counter once another transaction waits for them.
    pub async fn cross(&self, rows: &str) -> Child {
        let wait = "DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted \
             AND transactionid = pg_current_xact_id()::xid) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$";
        let take = "UPDATE change_counter SET change = change WHERE id = 1";
        self.begin_foreign(&["SET deadlock_timeout = '30s'", rows, wait, take]).await
    }

    async fn begin_foreign(&self, steps: &[&str]) -> Child {
        let url = self.database.as_ref().and_then(|database| database.url.as_deref()).unwrap();
        let steps = ["BEGIN"].iter().chain(steps).chain(&["COMMIT"]);
        let mut psql = Command::new("psql");
        psql.args([url, "-q"]).args(steps.flat_map(|step| ["-c", step])).stdout(Stdio::null());
        let child = psql.spawn().unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        child
    }

    /// Advances the clock, and lets the background tasks run once.
    pub async fn advance(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
        self.follow().await;
        clean_up::run_once(&self.state).await;
        rotate_keys::run_once(&self.state).await;
    }

    /// Advances only the clock, as if the background tasks hung.
    pub fn advance_clock_alone(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Reads the changes of other nodes, which normally happens every 250 ms, and creates the keys that are then missing.
    pub async fn follow(&self) {
        follow_changes::run_once(&self.state).await;
        make_keys::run_once(&self.state).await;
    }

    /// Returns the metrics.
    pub fn metrics(&self) -> String {
        render(&self.state)
    }

    /// The contents of `demo.json`.
    pub fn demo(&self) -> &DemoFile {
        self.demo.as_ref().unwrap()
    }

    /// The demo's client, with Basic authentication.
    pub fn demo_service(&self) -> Actor {
        let demo = self.demo();
        self.actor(&demo.client_id, demo.client_secret.expose())
    }

    /// A client with this ID and secret.
    pub fn actor(&self, client_id: &str, client_secret: &str) -> Actor {
        Actor::new(self.address, client_id, client_secret)
    }

    /// A caller without credentials.
    pub fn stranger(&self) -> Actor {
        self.actor("", "")
    }
}
