//! Secrets and keys rotate under load, on two nodes with PostgreSQL. No request is refused, and every token verifies.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign_server::background::follow_changes;
use countersign_testkit::{TestServer, engine_is_postgres};
use serde_json::{Value, json};
use tokio::sync::RwLock;
use tokio::task::JoinSet;

const ROUNDS: usize = 3;
const WORKERS: usize = 4;
/// How long a resource server may cache the key set, in seconds.
const MAX_AGE_S: i64 = 300;

/// The state that the workers share.
struct Load {
    nodes: Vec<TestServer>,
    /// The current secret. It is locked during a request, so that time does not advance in it.
    secret: RwLock<String>,
    /// The key IDs that a resource server has cached, and since when.
    known: RwLock<(i64, BTreeSet<String>)>,
    tokens: RwLock<Vec<String>>,
    asked: AtomicUsize,
    stopped: AtomicBool,
}

impl Load {
    fn now(&self) -> i64 {
        self.nodes[0].state.now()
    }

    /// Repeatedly requests a token from one node and presents it to the other.
    async fn work(self: Arc<Self>) {
        while !self.stopped.load(Ordering::Relaxed) {
            let secret = self.secret.read().await;
            let turn = self.asked.fetch_add(1, Ordering::Relaxed);
            let service = |node: usize| self.nodes[node % self.nodes.len()].actor("demo-service", &secret);
            let issued = service(turn).token(&[("grant_type", "client_credentials")]).await;
            assert_eq!(issued.status, 200, "{issued}");
            let token = issued.text("access_token");
            assert!(self.knows_key_of(&token).await, "a resource server with a key set that may still be cached");
            let seen = service(turn + 1).introspect(&token).await;
            assert_eq!(seen.json()["active"], true, "{seen}");
            self.tokens.write().await.push(token);
        }
    }

    async fn knows_key_of(&self, token: &str) -> bool {
        let mut known = self.known.write().await;
        if known.0 + MAX_AGE_S <= self.now() {
            let set = self.nodes[0].stranger().get("/oauth2/jwks").await.json();
            let ids = set["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap().to_owned());
            *known = (self.now(), ids.collect());
        }
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        known.1.contains(header["kid"].as_str().unwrap())
    }

    /// Rotates a secret and all keys while the workers continue.
    async fn rotate(&self) {
        let operator = self.nodes[0].operator().await;
        let rotation = json!({ "overlap_s": 3600 });
        let rotated = operator.post("/clients/demo-service/secrets/rotate", rotation).await;
        assert_eq!(rotated.status, 201, "{rotated}");
        // The new secret is distributed a second later. By then, every node knows it.
        for node in &self.nodes {
            node.follow().await;
        }
        *self.secret.write().await = rotated.text("client_secret");
        let key = operator.post("/keys/rotate", json!({ "algorithm": "RS256" })).await;
        assert_eq!(key.status, 201, "{key}");
        for _ in 0..10 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _nobody_asks = self.secret.write().await;
            for node in self.nodes.iter().skip(1) {
                node.advance_clock_alone(100);
            }
            self.nodes[0].advance(if self.nodes.len() > 1 { 0 } else { 100 }).await;
            for node in self.nodes.iter().skip(1) {
                node.follow().await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_refused_and_every_token_verifies_while_secrets_and_keys_rotate() {
    let first = TestServer::start().await;
    let secret = first.demo().client_secret.expose().to_owned();
    let mut nodes = vec![first];
    if engine_is_postgres() {
        nodes.push(nodes[0].second_node().await);
    }
    let known = RwLock::new((i64::MIN / 2, BTreeSet::new()));
    let (secret, tokens) = (RwLock::new(secret), RwLock::default());
    let load = Load { nodes, secret, known, tokens, asked: AtomicUsize::new(0), stopped: AtomicBool::new(false) };
    let load = Arc::new(load);
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(load.clone().work());
    }
    let following = load.clone();
    let mut background = JoinSet::new();
    background.spawn(async move {
        loop {
            for node in &following.nodes {
                follow_changes::run_once(&node.state).await;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    for _ in 0..ROUNDS {
        load.rotate().await;
    }
    load.stopped.store(true, Ordering::Relaxed);
    workers.join_all().await;
    background.shutdown().await;
    let tokens = load.tokens.read().await;
    assert!(tokens.len() > 10 * ROUNDS, "{} tokens", tokens.len());
    let kids: BTreeSet<&str> = tokens.iter().map(|token| token.split('.').next().unwrap()).collect();
    assert_eq!(kids.len(), ROUNDS + 1, "each key has signed");
    let secret = load.secret.read().await;
    for token in tokens.iter().step_by(tokens.len() / 50 + 1) {
        for node in &load.nodes {
            let seen = node.actor("demo-service", &secret).introspect(token).await;
            assert_eq!(seen.json()["active"], true, "all were issued within their lifetime: {seen}");
        }
    }
}
