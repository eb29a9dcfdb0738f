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

/// How long to wait for database connections to close cleanly.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How long to wait for a file read after everything else has stopped. A read from an unresponsive mount may never
/// return.
const FILE_TIMEOUT: Duration = Duration::from_millis(500);

/// Starts the server, runs it until SIGTERM or SIGINT, and drains it.
pub(crate) fn run(args: &Serve, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    raise_limit();
    let runtime = Runtime::new().map_err(Failure::new)?;
    let ended = runtime.block_on(run_until_stopped(args, environment, output));
    runtime.shutdown_timeout(FILE_TIMEOUT);
    ended
}

async fn run_until_stopped(args: &Serve, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    // First of all: an early SIGTERM ends the start cleanly, and an early SIGHUP does not end the process.
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
    // Not earlier: a failed start writes one line and nothing else.
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
        _ = stop_signal.wait() => tracing::warn!("received another signal: aborting requests in flight"),
    }
    beside.shutdown().await;
    // Wait for the tasks to finish. Otherwise, they would log errors about the closed database.
    tasks.stop().await;
    flush_uses::run_once(&state).await;
    store_refusals::run_once(&state).await;
    let closing = async {
        heartbeat::end(&state).await;
        state.store.close().await;
    };
    // Do not wait for an unreachable database: everything acknowledged is already durable.
    let _ = timeout(CLOSE_TIMEOUT, closing).await;
    drop(directory);
    Ok(())
}

/// Waits for the signal, and after SIGTERM until load balancers have noticed. Ctrl-C does not wait.
async fn drain(state: &State, drain_s: u64, stop_signal: &mut StopSignal) {
    let stop = stop_signal.wait().await;
    state.set_stopping();
    tracing::info!("stopping");
    if stop == Stop::Terminate {
        stop_signal.wait_at_most(Duration::from_secs(drain_s)).await;
    }
}

/// Logs once what an operator should know about the environment and the configuration.
fn warn_of_settings(settings: &Settings, issuer: &Issuer, tls: Option<&Tls>) {
    let Settings { config, ignored, secret_files, .. } = settings;
    if !ignored.is_empty() {
        tracing::warn!(
            variables = ignored.join(" "),
            "ignored: Kubernetes sets these variables for a Service named countersign"
        );
    }
    warn_of_modes(config, secret_files);
    if let Some(shortage) = find_own_shortage(config) {
        tracing::warn!("{shortage}");
    }
    if config.insecure_http && !issuer.is_https() {
        tracing::warn!(%issuer, "insecure_http: tokens and secrets are sent over the network unencrypted");
    }
    if let Some(tls) = tls {
        reload_certificate::warn_of_name(tls);
    }
}

/// Warns about files that a group can open. Files that everyone can open have already stopped the start.
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
    // Our own API, which administrators use, always exists.
    if state.registry.current().apis().nth(1).is_none() {
        output.line(
            "Nothing is registered yet. See `countersign api create --help`, or use --demo with a new --data-dir \
             to try a demo.",
        );
    }
    output.line(&format!("Ready: {issuer}"));
}
