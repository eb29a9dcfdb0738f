//! `countersign serve`

use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use countersign_server::background::{flush_uses, heartbeat, reload_certificate, store_refusals};
use countersign_server::clock::{Clock, Entropy};
use countersign_server::config::Config;
use countersign_server::exposure::{Exposure, find_in_directory, list_elsewhere};
use countersign_server::start::{Started, Wanted, start};
use countersign_server::tls::Tls;
use countersign_server::{Demo, Front, background, serve};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::args::Serve;
use crate::output::{Failure, Output};
use crate::settings::Settings;
use crate::{logging, settings};

/// Connections to the database are given this long to close in good order.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Starts, serves until SIGTERM or SIGINT, and drains.
pub(crate) fn run(args: &Serve, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let settings = settings::read(&args.settings, environment).map_err(Failure::new)?;
    let runtime = Runtime::new().map_err(Failure::new)?;
    let no_color = environment.iter().any(|(name, value)| name == "NO_COLOR" && !value.is_empty());
    let wanted = Wanted { demo: args.demo, new_operator: args.new_operator };
    runtime.block_on(run_until_stopped(&settings, wanted, no_color, output))
}

async fn run_until_stopped(
    Settings { config, ignored, secret_files, .. }: &Settings,
    wanted: Wanted,
    no_color: bool,
    output: &mut Output,
) -> Result<(), Failure> {
    // Before anything is promised: a signal that comes early ends the start in good order.
    let mut stop_signal = StopSignal::listen().map_err(Failure::new)?;
    // Without a certificate a hangup ends the process, as it does any other.
    let hangup = config.tls.cert.is_some().then(|| signal(SignalKind::hangup()));
    let hangup = hangup.transpose().map_err(Failure::new)?;
    let listen = config.listen;
    let listener = bind("listen", listen, "; choose another with --listen").await?;
    let for_metrics = match config.metrics.listen {
        Some(listen) => Some(bind("metrics.listen", listen, "").await?),
        None => None,
    };
    let address = listener.local_addr().map_err(Failure::new)?;
    let issuer = config.issuer_for(address).map_err(Failure::new)?;
    let starting = start(config, issuer, wanted, Clock::system(), Entropy::System);
    let Started { state, demo, tls, directory } = tokio::select! {
        started = starting => started.map_err(Failure::new)?,
        () = stop_signal.wait() => return Err(Failure::Interrupted),
    };
    // Only now: a start that fails writes one line and nothing else.
    let _log = logging::install(&config.log, no_color);
    if !ignored.is_empty() {
        tracing::warn!(variables = ignored.join(" "), "ignored: Kubernetes sets these for a Service named countersign");
    }
    warn_of_modes(config, secret_files);
    if config.insecure_http && !state.issuer.is_https() {
        tracing::warn!(issuer = %state.issuer, "insecure_http: tokens and secrets cross the network in clear text");
    }
    let mut tasks = background::start(&state, tls.as_ref());
    if let (Some(tls), Some(hangup)) = (&tls, hangup) {
        reload_certificate::warn_of_name(tls);
        tasks.spawn(reload_on(hangup, tls.clone(), state.clock.clone()));
    }
    let front = Front::new(state.clone(), &config.http.hosts, &config.proxy.trusted);
    let (stop, stopped) = oneshot::channel::<()>();
    let http = config.http.clone();
    let serving =
        tokio::spawn(async move { serve::serve(listener, front, &http, tls, async { drop(stopped.await) }).await });
    if let Some(listener) = for_metrics {
        let (front, http) = (Front::of_metrics(state.clone()), config.http.clone());
        tasks.spawn(async move { serve::serve(listener, front, &http, None, pending()).await });
    }
    print_banner(output, state.issuer.as_str(), demo.as_ref());
    // Our own Api, which administrators ask for, is always there.
    if state.registry.current().apis().nth(1).is_none() {
        output.line(
            "Nothing is registered yet. `countersign api create --help` begins; --demo, with a --data-dir of its own, \
             makes something to try.",
        );
    }
    output.line(&format!("Ready: {}", state.issuer));
    state.set_ready();
    tracing::info!(issuer = %state.issuer, %address, "serving");
    stop_signal.wait().await;
    tracing::info!("stopping");
    drop(stop);
    tokio::select! {
        drained = serving => drained.map_err(Failure::new)?,
        () = stop_signal.wait() => tracing::warn!("told twice to stop: requests under way are cut off"),
    }
    tasks.shutdown().await;
    flush_uses::run_once(&state).await;
    store_refusals::run_once(&state).await;
    heartbeat::end(&state).await;
    // A database that is gone must not keep us: what was acknowledged is durable already.
    let _ = timeout(CLOSE_TIMEOUT, state.store.close()).await;
    drop(directory);
    Ok(())
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

/// Reads the certificate anew at each SIGHUP.
async fn reload_on(mut hangup: Signal, tls: Arc<Tls>, clock: Clock) {
    while hangup.recv().await.is_some() {
        reload_certificate::run_once(&tls, &clock).await;
    }
}

fn print_banner(output: &mut Output, issuer: &str, demo: Option<&Demo>) {
    if let Some(Demo { file, renewed, has_own_password }) = demo {
        if let Some(why) = renewed {
            output.line(&format!(
                "demo.json {why}: here are a new client secret and a new password; the old password is ended."
            ));
        }
        let password = if *has_own_password { "the password that you chose" } else { file.password.expose() };
        output.line(&format!("Page:     {issuer}"));
        output.line(&format!("Sign-in:  {} / {password}", file.username));
        output.line("A token, by client credentials:");
        output.line("");
        let (id, secret, endpoint) = (&file.client_id, file.client_secret.expose(), &file.token_endpoint);
        output.line(&format!("curl -u {id}:{secret} -d grant_type=client_credentials {endpoint}"));
        output.line("");
    }
}

/// SIGTERM and SIGINT, caught from now on.
struct StopSignal {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignal {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
