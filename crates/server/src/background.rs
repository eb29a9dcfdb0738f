//! Background tasks. Each is an idempotent `run_once` in its own file.

pub mod clean_up;
pub mod compare_registry;
pub mod flush_uses;
pub mod follow_changes;
pub mod forget_retries;
pub mod heartbeat;
pub(crate) mod lease;
pub mod make_keys;
pub mod reload_certificate;
pub(crate) mod report;
pub mod rotate_keys;
pub mod store_refusals;
pub mod warn_of_expiry;
pub mod watch_database_file;

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};

use crate::http::tls::Tls;
use crate::limits::{
    CERTIFICATE_INTERVAL, CLEAN_UP_INTERVAL, COMPARE_INTERVAL, EXPIRY_INTERVAL, FLUSH_INTERVAL, FOLLOW_INTERVAL,
    HEARTBEAT_INTERVAL, REFUSALS_INTERVAL, RETRIES_INTERVAL, ROTATE_INTERVAL, WATCH_INTERVAL,
};
use crate::state::State;

/// How long tasks in progress may take at shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The running tasks. Dropping this stops new runs.
#[derive(Debug)]
pub struct Tasks {
    repeating: JoinSet<()>,
    /// Each run holds a read lock.
    under_way: Arc<RwLock<()>>,
}

impl Tasks {
    /// Stops new runs and waits for those in progress, but only briefly: an unreachable database must not delay the
    /// shutdown.
    pub async fn stop(mut self) {
        self.repeating.shutdown().await;
        if timeout(STOP_TIMEOUT, self.under_way.write()).await.is_err() {
            tracing::warn!("aborted background tasks at shutdown");
        }
    }
}

/// Starts all tasks.
pub fn start(state: &State, tls: Option<&Arc<Tls>>) -> Tasks {
    let (mut tasks, under_way) = (JoinSet::new(), Arc::default());
    let mut begin = |period, run_once: fn(State) -> BoxFuture<'static, ()>| {
        let state = state.clone();
        tasks.spawn(repeat(interval(period), Arc::clone(&under_way), move || run_once(state.clone())));
    };
    begin(FOLLOW_INTERVAL, |state| async move { follow_changes::run_once(&state).await }.boxed());
    begin(HEARTBEAT_INTERVAL, |state| async move { heartbeat::run_once(&state).await }.boxed());
    begin(FOLLOW_INTERVAL, |state| async move { make_keys::run_once(&state).await }.boxed());
    begin(CLEAN_UP_INTERVAL, |state| async move { clean_up::run_once(&state).await }.boxed());
    begin(RETRIES_INTERVAL, |state| async move { forget_retries::run_once(&state).await }.boxed());
    begin(FLUSH_INTERVAL, |state| async move { flush_uses::run_if_due(&state).await }.boxed());
    begin(REFUSALS_INTERVAL, |state| async move { store_refusals::run_once(&state).await }.boxed());
    begin(EXPIRY_INTERVAL, |state| async move { warn_of_expiry::run_once(&state).await }.boxed());
    begin(ROTATE_INTERVAL, |state| async move { rotate_keys::run_once(&state).await }.boxed());
    begin(WATCH_INTERVAL, |state| async move { watch_database_file::run_once(&state).await }.boxed());
    let compared = state.clone();
    // Not at startup, when everything was just loaded.
    let mut ticks = interval(COMPARE_INTERVAL);
    ticks.reset();
    tasks.spawn(repeat(ticks, under_way.clone(), move || {
        let state = compared.clone();
        async move { compare_registry::run_once(&state).await }
    }));
    if let Some(tls) = tls {
        let (tls, clock) = (tls.clone(), state.clock.clone());
        tasks.spawn(repeat(interval(CERTIFICATE_INTERVAL), under_way.clone(), move || {
            let (tls, clock) = (tls.clone(), clock.clone());
            async move { reload_certificate::run_once(&tls, &clock).await }
        }));
    }
    Tasks { repeating: tasks, under_way }
}

/// Runs a task at each tick. A task that panics is logged and runs again.
async fn repeat<F>(mut ticks: Interval, under_way: Arc<RwLock<()>>, task: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (run, held) = (task(), under_way.clone().read_owned().await);
        let run = async move {
            run.await;
            drop(held);
        };
        if let Err(error) = tokio::spawn(run).await {
            tracing::error!(%error, "a background task failed");
        }
    }
}
