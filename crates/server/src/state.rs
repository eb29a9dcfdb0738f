//! What every request can reach.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use countersign_protocol::UnixTime;
use countersign_protocol::issuer::Issuer;
use countersign_protocol::jose::base64url;
use countersign_protocol::refusal::{DatabaseTrouble, Refusal};
use countersign_store::{Store, StoreError};
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
use crate::people::guessing::Guessing;
use crate::people::name_mac::NameMac;
use crate::people::password_queue::PasswordQueue;
use crate::registry::live::LiveRegistry;
use crate::usage::metrics::Metrics;
use crate::usage::refusals::Refusals;
use crate::usage::token_limits::TokenLimiter;
use crate::usage::uses::Uses;

/// The parts of a running server. Cloning shares them.
#[derive(Clone, Debug)]
pub struct State {
    /// Who we are.
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
    pub(crate) guessing: Arc<Guessing>,
    /// Which requests are worked on, and which are told to come back.
    pub(crate) admission: Arc<Admission>,
    /// When credentials were last used.
    pub(crate) uses: Arc<Uses>,
    /// What this node has counted.
    pub(crate) metrics: Arc<Metrics>,
    /// Whether `/metrics` is served beside everything else.
    pub(crate) metrics_beside: bool,
    /// The tokens that limited clients have had.
    pub(crate) token_limits: Arc<TokenLimiter>,
    /// Why requests were refused.
    pub(crate) refusals: Arc<Refusals>,
    /// Through it, one change after the other.
    pub changing: Arc<ChangeQueue>,
    /// Held by the one question which rules match a path that this node works on.
    pub(crate) matching: Arc<Mutex<()>>,
    /// A key signs for this many seconds.
    pub(crate) rotate_keys_after_s: i64,
    /// By which this node holds leases, and the others know it.
    pub(crate) node_id: Arc<str>,
    /// The registry change of which the last heartbeat told.
    pub(crate) told_change: Arc<AtomicI64>,
    pub(crate) lifecycle: Arc<Lifecycle>,
}

impl State {
    /// A state whose registry is still empty.
    pub fn new(issuer: Issuer, store: Store, registry: LiveRegistry, clock: Clock, entropy: Entropy) -> Self {
        Self {
            issuer,
            registry: Arc::new(registry),
            store,
            uses: Arc::default(),
            refusals: Arc::default(),
            metrics: Arc::default(),
            metrics_beside: false,
            token_limits: Arc::default(),
            changing: Arc::default(),
            matching: Arc::default(),
            rotate_keys_after_s: Keys::default().rotate_after_s,
            node_id: base64url(&entropy.bytes::<12>()).into(),
            told_change: Arc::default(),
            guessing: Arc::default(),
            admission: Arc::new(Admission::new(&Http::default(), clock.clone())),
            clock,
            entropy,
            passwords: PasswordQueue::new(),
            lifecycle: Arc::default(),
        }
    }

    /// Seconds since 1970.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// What secrets are sealed with, and all that is derived of it.
    pub fn sealing_keys(&self) -> Arc<SealingKeys> {
        self.registry.sealing_keys()
    }

    /// By which the others know this node, and its log too.
    pub fn node_id(&self) -> &str {
        &self.node_id
    }

    /// Brings the registry up to the database.
    pub async fn follow(&self) -> Result<(), KeyRingError> {
        self.registry.follow(&self.store).await
    }

    /// Writes in a task of its own, which goes on to its end when the caller hangs up.
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

    /// As [`State::write`], however many wait: for what a thief must not be able to hold up by a flood.
    pub(crate) async fn write_always<T: Send + 'static>(
        &self,
        writing: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, Refusal> {
        let writing = async move {
            // Nobody waits for it any more: it must not hold a connection for good.
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

    /// The refusal for a failure of the store. That one statement failed does not mean that the database is lost: only the
    /// task that follows changes says that.
    pub fn store_failed(&self, error: &StoreError) -> Refusal {
        let (trouble, reason) = match error {
            // Without a connection there is nothing to wait for but one.
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

    /// Counts what the database could not do, and logs one of each kind and minute.
    pub(crate) fn note_trouble(&self, trouble: DatabaseTrouble, reason: &str) {
        if self.metrics.count_database_failure(trouble, self.clock.monotonic_ms()) {
            tracing::error!(%trouble, reason, "the database is unavailable");
        }
    }

    /// Under what failures of a person's name are counted, whatever its case.
    pub fn name_mac(&self, login: &str) -> NameMac {
        NameMac::by(self.sealing_keys().mac_key(MacUse::Name), login)
    }

    /// Takes every place for requests that is free, until the result is dropped: what a story of overload begins with.
    pub fn take_all_places(&self) -> impl Sized + Send + use<> {
        self.admission.fill()
    }

    /// Takes every turn of requests that is free, until the result is dropped: those that come wait.
    pub fn take_all_turns(&self) -> impl Sized + Send + use<> {
        self.admission.take_turns()
    }

    /// True while no administrative change is under way on this node.
    pub fn is_change_free(&self) -> bool {
        self.changing.is_free()
    }

    /// Everything that was promised before `/readyz` answers 200 is done.
    pub fn set_ready(&self) {
        self.lifecycle.set_ready();
    }

    /// Counts a password that was right, once its owner is signed in.
    pub fn count_right_password(&self) {
        self.metrics.count_password("right");
    }

    /// From now on `/readyz` answers 503, and connections are told to end.
    pub fn set_stopping(&self) {
        self.lifecycle.set_stopping();
    }
}
