//! The state that all requests share.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use countersign_protocol::UnixTime;
use countersign_protocol::issuer::Issuer;
use countersign_protocol::jose::base64url;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_store::{Store, StoreError};
use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::admin::change_queue::ChangeQueue;
use crate::clock::{Clock, Entropy};
use crate::config::{Http, Keys};
use crate::http::admission::Admission;
use crate::http::lifecycle::Lifecycle;
use crate::keys::error::KeyRingError;
use crate::keys::sealing_keys::{MacUse, SealingKeys};
use crate::limits::{ABANDONED_WRITE_TIMEOUT, WRITE_TIMEOUT};
use crate::people::failures::FailedAttempts;
use crate::people::name_mac::NameMac;
use crate::people::password_queue::PasswordQueue;
use crate::registry::live::LiveRegistry;
use crate::usage::metrics::Metrics;
use crate::usage::refusals::Refusals;
use crate::usage::token_limits::TokenLimiter;
use crate::usage::uses::Uses;

/// The parts of a running server. Clones share them.
#[derive(Clone, Debug)]
pub struct State {
    /// The issuer.
    pub issuer: Issuer,
    /// The registry and the revocations.
    pub registry: Arc<LiveRegistry>,
    /// The database.
    pub store: Store,
    /// The time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    pub(crate) passwords: PasswordQueue,
    pub(crate) failed_attempts: Arc<FailedAttempts>,
    /// The limits on concurrent requests.
    pub(crate) admission: Arc<Admission>,
    /// When credentials were last used.
    pub(crate) uses: Arc<Uses>,
    /// The counters of this node.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether `/metrics` is also served on the main listener.
    pub(crate) metrics_beside: bool,
    /// The origins whose pages may call the token endpoint.
    pub(crate) cors_origins: Arc<[HeaderValue]>,
    /// The tokens that limited clients have received.
    pub(crate) token_limits: Arc<TokenLimiter>,
    /// Why requests were refused.
    pub(crate) refusals: Arc<Refusals>,
    /// The queue of changes, which run one at a time.
    pub changing: Arc<ChangeQueue>,
    /// Held by the only call of this node that is testing which rules match a path.
    pub(crate) matching: Arc<Mutex<()>>,
    /// For how many seconds a key signs.
    pub(crate) rotate_keys_after_s: i64,
    /// The ID of this node, used for leases and heartbeats.
    pub(crate) node_id: Arc<str>,
    /// The change number in the last heartbeat.
    pub(crate) told_change: Arc<AtomicI64>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl State {
    /// Creates a state with an empty registry.
    pub fn new(issuer: Issuer, store: Store, registry: LiveRegistry, clock: Clock, entropy: Entropy) -> Self {
        Self {
            issuer,
            registry: Arc::new(registry),
            store,
            uses: Arc::default(),
            refusals: Arc::default(),
            metrics: Arc::default(),
            metrics_beside: false,
            cors_origins: Arc::default(),
            token_limits: Arc::default(),
            changing: Arc::default(),
            matching: Arc::default(),
            rotate_keys_after_s: Keys::default().rotate_after_s,
            node_id: base64url(&entropy.bytes::<12>()).into(),
            told_change: Arc::default(),
            failed_attempts: Arc::default(),
            admission: Arc::new(Admission::new(&Http::default(), clock.clone())),
            clock,
            entropy,
            passwords: PasswordQueue::new(),
            lifecycle: Arc::default(),
        }
    }

    /// Returns the seconds since 1970.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Returns the keys that seal secrets, and all keys derived from them.
    pub fn sealing_keys(&self) -> Arc<SealingKeys> {
        self.registry.sealing_keys()
    }

    /// Returns the ID of this node, also used in its log.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Updates the registry from the database.
    pub async fn follow(&self) -> Result<(), KeyRingError> {
        self.registry.follow(&self.store).await
    }

    /// Writes in a separate task, which continues if the caller disconnects.
    pub async fn write<T: Send + 'static>(
        &self,
        writing: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let place = self.admission.begin_write()?;
        self.write_always(async move {
            let _place = place;
            writing.await
        })
        .await
    }

    /// Like [`State::write`], but never refused because of other writes, so that an attacker cannot delay it with a
    /// flood.
    pub(crate) async fn write_always<T: Send + 'static>(
        &self,
        writing: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let writing = async move {
            // Nobody is waiting for it anymore. It must not hold a connection forever.
            let late = |_| StoreError::Unavailable(DatabaseTrouble::Slow, "a write was aborted".to_owned());
            timeout(ABANDONED_WRITE_TIMEOUT, writing).await.map_err(late)?
        };
        let Ok(joined) = timeout(WRITE_TIMEOUT, tokio::spawn(writing)).await else {
            let what = format!("a write took more than {} s", WRITE_TIMEOUT.as_secs());
            return Err(self.store_failed(&StoreError::Unavailable(DatabaseTrouble::Slow, what)));
        };
        let result = joined.map_err(|error| Refusal::Internal(error.to_string()))?;
        result.map_err(|error| self.store_failed(&error))
    }

    /// Returns the refusal for a failure of the store. A failed statement does not mean that the database is
    /// unreachable. Only the task that follows changes decides that.
    pub fn store_failed(&self, error: &StoreError) -> Refusal {
        let (trouble, reason) = match error {
            // Without a free connection, the only remedy is waiting.
            StoreError::Unavailable(DatabaseTrouble::Slow, reason) if self.registry.check_database().is_err() => {
                (DatabaseTrouble::Lost, reason)
            }
            StoreError::Unavailable(trouble, reason) => (*trouble, reason),
            StoreError::Conflict(reason) => (DatabaseTrouble::Slow, reason),
            other => return Refusal::Internal(other.to_string()),
        };
        self.note_trouble(trouble, reason);
        Refusal::DatabaseUnavailable(trouble)
    }

    /// Counts a database failure, and logs one of each kind per minute.
    pub(crate) fn note_trouble(&self, trouble: DatabaseTrouble, reason: &str) {
        if self.metrics.count_database_failure(trouble, self.clock.monotonic_ms()) {
            tracing::error!(%trouble, reason, "the database is unavailable");
        }
    }

    /// Returns the key under which failures of a user name are counted, ignoring case.
    pub fn name_mac(&self, login: &str) -> NameMac {
        NameMac::by(self.sealing_keys().mac_key(MacUse::Name), login)
    }

    /// Takes all free places for requests until the result is dropped. For stories of overload.
    pub fn take_all_places(&self) -> impl Sized + Send + use<> {
        self.admission.fill()
    }

    /// Takes all free turns of requests until the result is dropped, so that new requests wait.
    pub fn take_all_turns(&self) -> impl Sized + Send + use<> {
        self.admission.take_turns()
    }

    /// True while no administrative change is in progress on this node.
    pub fn is_change_free(&self) -> bool {
        self.changing.is_free()
    }

    /// Marks the server as ready: `/readyz` may return 200.
    pub fn set_ready(&self) {
        self.lifecycle.set_ready();
    }

    /// Counts a correct password, once its user is signed in.
    pub fn count_right_password(&self) {
        self.metrics.count_password("right");
    }

    /// Marks the server as stopping: `/readyz` returns 503, and connections are asked to end.
    pub fn set_stopping(&self) {
        self.lifecycle.set_stopping();
    }
}
