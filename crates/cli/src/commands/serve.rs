//! `countersign serve`

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_protocol::issuer::Issuer;
use countersign_server::background::{flush_uses, heartbeat, reload_certificate, store_refusals};
use countersign_server::clock::{Clock, Entropy};
use countersign_server::config::Config;
use countersign_server::http::descriptors::{find_own_shortage, fit_connections, raise_limit};
use countersign_server::http::serve;
use countersign_server::http::tls::Tls;
use countersign_server::operations::exposure::{Exposure, find_in_directory, list_elsewhere};
use countersign_server::operations::start::{Started, Wanted, start};
use countersign_server::state::State;
use countersign_server::{Front, background};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::args::Serve;
use crate::output::{Failure, Output};
use crate::reload::Reload;
use crate::settings::Settings;
use crate::signals::{Stop, StopSignal};
use crate::{logging, pages, settings};

/// Connections to the database are given this long to close in good order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// A file that is being read when all else has ended is given this long: one on a mount that hangs may never answer.
const FILE_TIMEOUT: Duration = Duration::from_millis(500);

/// Starts, serves until SIGTERM or SIGINT, and drains.
pub(crate) fn run(args: &Serve, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    raise_limit();
    let runtime = Runtime::new().map_err(Failure::new)?;
    let ended = runtime.block_on(run_until_stopped(args, environment, output));
    runtime.shutdown_timeout(FILE_TIMEOUT);
    ended
}

async fn run_until_stopped(args: &Serve, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    // Before anything is promised: a signal that comes early ends the start in good order, and a hangup ends nothing.
    let mut stop_signal = StopSignal::listen().map_err(Failure::new)?;
    let hangup = signal(SignalKind::hangup()).map_err(Failure::new)?;
    let settings = settings::read(&args.settings, environment).map_err(Failure::new)?;
    let config = &settings.config;
    let has_pages = config.playground.enabled.unwrap_or(args.demo);
    pages::check(has_pages || args.demo)?;
    let listener = bind("listen", config.listen, "; choose another with --listen").await?;
    let for_metrics = match config.metrics.listen {
        Some(listen) => Some(bind("metrics.listen", listen, "").await?),
        None => None,
    };
    let address = listener.local_addr().map_err(Failure::new)?;
    let issuer = config.issuer_for(address).map_err(Failure::new)?;
    let Serve { demo, new_operator, new_database, force, .. } = *args;
    let wanted = Wanted { demo, new_operator, new_database, force };
    let starting = async {
        let started = start(config, issuer, wanted, Clock::system(), Entropy::System).await.map_err(Failure::new)?;
        let demo = if demo { pages::provide_demo(&started.state, &started.directory).await? } else { Vec::new() };
        Ok((started, demo))
    };
    let (Started { state, tls, directory }, demo) = tokio::select! {
        started = starting => started?,
        _ = stop_signal.wait() => return Err(Failure::Interrupted),
    };
    // Only now: a start that fails writes one line and nothing else.
    let no_color = environment.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let (_log, level) = logging::install(&config.log, no_color);
    warn_of_settings(&settings, &state.issuer, tls.as_deref());
    let (tasks, mut beside) = (background::start(&state, tls.as_ref()), JoinSet::new());
    let (flags, environment) = (Arc::new(args.settings.clone()), environment.into());
    let reload = Reload { flags, environment, level, tls: tls.clone(), clock: state.clock.clone() };
    beside.spawn(reload.run(hangup));
    let front = Front::new(state.clone(), pages::site(&state, has_pages), &config.http.hosts, &config.proxy.trusted);
    let (stop, stopped) = oneshot::channel::<()>();
    let http = fit_connections(config);
    let serving =
        tokio::spawn(async move { serve::serve(listener, front, &http, tls, async { drop(stopped.await) }).await });
    if let Some(listener) = for_metrics {
        let (front, http) = (Front::of_metrics(state.clone()), config.http.clone());
        beside.spawn(async move { serve::serve(listener, front, &http, None, pending()).await });
    }
    print_banner(output, &state, &demo);
    state.set_ready();
    tracing::info!(issuer = %state.issuer, %address, node = state.node_id(), "serving");
    drain(&state, config.http.drain_s, &mut stop_signal).await;
    drop(stop);
    tokio::select! {
        drained = serving => drained.map_err(Failure::new)?,
        _ = stop_signal.wait() => tracing::warn!("told again to stop: requests under way are cut off"),
    }
    beside.shutdown().await;
    // To its end: a task that met a closed database would report that as an error.
    tasks.stop().await;
    flush_uses::run_once(&state).await;
    store_refusals::run_once(&state).await;
    let closing = async {
        heartbeat::end(&state).await;
        state.store.close().await;
    };
    // A database that is gone must not keep us: what was acknowledged is durable already.
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
    drop(directory);
    Ok(())
}

/// Waits for the signal to stop, and after SIGTERM until balancers have noticed. Ctrl-C does not wait.
async fn drain(state: &State, drain_s: u64, stop_signal: &mut StopSignal) {
    let stop = stop_signal.wait().await;
    state.set_stopping();
    tracing::info!("stopping");
    if stop == Stop::Terminate {
        stop_signal.wait_at_most(Duration::from_secs(drain_s)).await;
    }
}

/// Says once what an operator should know of how it was started.
fn warn_of_settings(settings: &Settings, issuer: &Issuer, tls: Option<&Tls>) {
    let Settings { config, ignored, secret_files, .. } = settings;
    if !ignored.is_empty() {
        tracing::warn!(variables = ignored.join(" "), "ignored: Kubernetes sets these for a Service named countersign");
    }
    warn_of_modes(config, secret_files);
    if let Some(shortage) = find_own_shortage(config) {
        tracing::warn!("{shortage}");
    }
    if config.insecure_http && !issuer.is_https() {
        tracing::warn!(%issuer, "insecure_http: tokens and secrets cross the network in clear text");
    }
    if let Some(tls) = tls {
        reload_certificate::warn_of_name(tls);
    }
}

/// What is open to everybody in the data directory has stopped the start already.
fn warn_of_modes(config: &Config, secret_files: &[PathBuf]) {
    let elsewhere = list_elsewhere(config, secret_files);
    let exposed = elsewhere.iter().filter_map(|path| Exposure::find(path)).chain(find_in_directory(config));
    exposed.for_each(|exposure| tracing::warn!("{exposure}"));
}

async fn bind(key: &str, address: SocketAddr, hint: &str) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| Failure::new(format!("{key}: {address}: {error}{hint}")))
}

fn print_banner(output: &mut Output, state: &State, demo: &[String]) {
    let issuer = &state.issuer;
    for line in demo {
        output.line(line);
    }
    // Our own Api, which administrators ask for, is always there.
    if state.registry.current().apis().nth(1).is_none() {
        output.line(
            "Nothing is registered yet. `countersign api create --help` begins; --demo, with a --data-dir of its own, \
             makes something to try.",
        );
    }
    output.line(&format!("Ready: {issuer}"));
}
