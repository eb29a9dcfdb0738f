//! Two nodes restart one after the other under load, behind HAProxy and nginx, and no client sees an error.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign_testkit::{Actor, Protocol, TestAuthority, TestDatabase};
use tokio::task::{JoinSet, block_in_place};

use crate::process::{Serving, demo_json};
use crate::proxies::{Proxy, free_address};

const CLIENT_CREDENTIALS: [(&str, &str); 1] = [("grant_type", "client_credentials")];
/// The time that docs/upgrade.md says to wait before the next node is stopped.
const BETWEEN: Duration = Duration::from_secs(2);

/// A node that can be restarted at the same address.
struct Node {
    database: TestDatabase,
    address: SocketAddr,
    environment: Vec<(&'static str, String)>,
    demo: bool,
}

impl Node {
    async fn start(&self) -> Serving {
        let (listen, demo) = (self.address.to_string(), self.demo.then_some("--demo"));
        let arguments: Vec<&str> = ["--listen", &listen].into_iter().chain(demo).collect();
        let environment: Vec<_> = self.environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let serving = block_in_place(|| Serving::start(&self.database, &arguments, &environment)).at(self.address);
        serving.ready().await;
        serving
    }

    /// Restarts it as docs/upgrade.md describes.
    async fn restart(&self, serving: Serving) -> Serving {
        serving.signal("TERM");
        let (status, log) = block_in_place(|| serving.wait());
        assert!(status.success() && !log.contains("cut off"), "{status} {log}");
        assert!(log.contains("issued"), "it received requests: {log}");
        let serving = self.start().await;
        tokio::time::sleep(BETWEEN).await;
        serving
    }
}

/// Two nodes to start. The second one has the first one's sealing key.
fn two_nodes() -> [Node; 2] {
    let first = TestDatabase::fresh();
    let second = TestDatabase { directory: TestDatabase::fresh().directory, url: first.url.clone() };
    assert!(first.url.is_some(), "with SQLite, only one process can use a data directory");
    let sealing_key = first.directory.path().join("data/sealing.key").display().to_string();
    let shared = [
        ("COUNTERSIGN_ISSUER", "https://auth.example.com".to_owned()),
        ("COUNTERSIGN_PROXY_TRUSTED", "127.0.0.1/32".to_owned()),
        ("COUNTERSIGN_HTTP_DRAIN_S", "3".to_owned()),
    ];
    let of_second = shared.clone().into_iter().chain([("COUNTERSIGN_SEALING_KEY_FILE", sealing_key)]).collect();
    [
        Node { database: first, address: free_address(), environment: shared.to_vec(), demo: true },
        Node { database: second, address: free_address(), environment: of_second, demo: false },
    ]
}

/// What the clients of one proxy have observed.
#[derive(Default)]
struct Load {
    stopped: AtomicBool,
    answered: AtomicUsize,
    failures: Mutex<Vec<String>>,
}

impl Load {
    /// Calls `ask` until stopped, with the number of calls so far.
    async fn drive(self: Arc<Self>, mut ask: impl AsyncFnMut() -> Result<(), String>) {
        while !self.stopped.load(Ordering::Relaxed) {
            match ask().await {
                Ok(()) => self.answered.fetch_add(1, Ordering::Relaxed),
                Err(failure) => return self.failures.lock().unwrap().push(failure),
            };
        }
    }

    /// Clients that keep their connection, one that opens a new one each time, and one that refreshes its tokens.
    fn begin(
        self: &Arc<Self>,
        actor: impl Fn() -> Actor + Send + Sync + 'static,
        refresh_token: String,
    ) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        for _ in 0..3 {
            let client = actor();
            clients.spawn(self.clone().drive(async move || ask(&client, &CLIENT_CREDENTIALS).await.map(|_| ())));
        }
        let (client, mut current) = (actor(), refresh_token);
        clients.spawn(self.clone().drive(async move || {
            let form = [("grant_type", "refresh_token"), ("refresh_token", current.as_str())];
            current = ask(&client, &form).await?;
            Ok(())
        }));
        clients.spawn(self.clone().drive(async move || ask(&actor(), &CLIENT_CREDENTIALS).await.map(|_| ())));
        clients
    }
}

/// Requests a token set. Returns its refresh token, if it has one.
async fn ask(client: &Actor, form: &[(&str, &str)]) -> Result<String, String> {
    match client.try_post("/oauth2/token", form).await {
        Some(answer) if answer.status == 200 => {
            Ok(answer.json()["refresh_token"].as_str().unwrap_or_default().to_owned())
        }
        Some(answer) => Err(format!("{form:?}: {answer}")),
        None => Err(format!("{form:?}: no answer")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs PostgreSQL: cargo xtask test"]
async fn two_nodes_restart_under_load_behind_haproxy_and_nginx_and_no_client_sees_an_error() {
    let (nodes, authority) = (two_nodes(), TestAuthority::default());
    let mut serving = vec![nodes[0].start().await, nodes[1].start().await];
    let demo = demo_json(&nodes[0].database);
    let (id, secret) = ("demo-service", demo["client_secret"].as_str().unwrap().to_owned());
    let addresses = [nodes[0].address, nodes[1].address];
    let (directory, certified) = (tempfile::tempdir().unwrap(), authority.certify("127.0.0.1"));
    let proxies = [
        Proxy::haproxy(directory.path(), &certified, addresses),
        Proxy::nginx(directory.path(), &certified, addresses),
    ];
    let loads = [Arc::new(Load::default()), Arc::new(Load::default())];
    let mut clients = Vec::new();
    let authority = Arc::new(authority);
    for (proxy, load) in proxies.iter().zip(&loads) {
        let (address, secret, authority) = (proxy.address, secret.clone(), authority.clone());
        let actor = move || Actor::new(address, id, &secret).over_tls(&authority, Protocol::Http1);
        let set = actor().password("demo", demo["password"].as_str().unwrap()).await;
        clients.push(load.begin(actor, set.text("refresh_token")));
    }
    for node in &nodes {
        let before = loads.each_ref().map(|load| load.answered.load(Ordering::Relaxed));
        // The node that was restarted longest ago.
        let restarted = node.restart(serving.remove(0)).await;
        serving.push(restarted);
        for (load, before) in loads.iter().zip(before) {
            assert!(load.answered.load(Ordering::Relaxed) > before + 100, "requests continue");
        }
    }
    for (load, clients) in loads.iter().zip(clients) {
        load.stopped.store(true, Ordering::Relaxed);
        clients.join_all().await;
        assert_eq!(*load.failures.lock().unwrap(), [] as [String; 0]);
    }
    drop(proxies);
    serving.into_iter().for_each(|node| drop(node.stop()));
}
