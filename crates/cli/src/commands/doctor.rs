//! `countersign doctor`

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use countersign_client::{Bounds, HttpTransport, Transport, TransportError};
use countersign_protocol::UnixTime;
use countersign_server::clock::Clock;
use countersign_server::config::Config;
use countersign_server::operations::check::Check;
use countersign_server::operations::check::Verdict;
use countersign_server::operations::doctor::{Findings, compare_clocks, examine};
use countersign_server::{OPERATOR_FILE, OperatorFile};
use http::header::DATE;
use http::{Request, Response};
use serde_json::{Value, json};
use tokio::runtime::Builder;
use zeroize::Zeroizing;

use crate::args::{Format, SettingsArgs};
use crate::commands::administration::read_authorities;
use crate::moment::parse_http_date;
use crate::output::{Failure, Output};
use crate::settings::{self, Settings};

/// The timeout for the server's responses. A healthy server responds immediately.
const BOUNDS: Bounds =
    Bounds { connect: Duration::from_secs(5), whole: Duration::from_secs(10), answer_bytes: 1024 * 1024 };
const METADATA: &str = "/.well-known/oauth-authorization-server";

#[derive(Debug, clap::Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    settings: SettingsArgs,
    /// For https, trust only the certificate authorities in this PEM file
    #[arg(long, value_name = "PEM")]
    ca_file: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// Prints one line per check, and fails if a check fails.
pub(crate) fn run(args: &Doctor, environment: &[(String, String)], output: &mut Output) -> Result<(), Failure> {
    let authorities = read_authorities(args.ca_file.as_deref(), environment)?;
    let checks = match settings::read(&args.settings, environment) {
        Err(error) => vec![Check::failed("configuration", error)],
        Ok(settings) => {
            let good = match settings.origins.len() {
                0 => "uses only defaults".to_owned(),
                1 => "valid, 1 key is set".to_owned(),
                set => format!("valid, {set} keys are set"),
            };
            let runtime = Builder::new_current_thread().enable_all().build().map_err(Failure::new)?;
            let examining = examine_all(&settings, authorities.as_deref());
            [vec![Check::good("configuration", good)], runtime.block_on(examining)].concat()
        }
    };
    show(&checks, args.output, output);
    match checks.iter().filter(|check| check.verdict == Verdict::Failed).count() {
        0 => Ok(()),
        1 => Err(Failure::new("1 check failed")),
        failed => Err(Failure::new(format!("{failed} checks failed"))),
    }
}

async fn examine_all(Settings { config, secret_files, .. }: &Settings, authorities: Option<&[u8]>) -> Vec<Check> {
    let now = Clock::system().now();
    let Findings { mut checks, is_running } = examine(config, secret_files, now).await;
    let file = match std::fs::read(config.data_dir.join(OPERATOR_FILE)).map(|text| serde_json::from_slice(&text)) {
        Ok(Err(_)) => {
            let detail = format!("{OPERATOR_FILE}: is not valid; replace it with `serve --new-operator`");
            checks.push(Check::failed("operator", detail));
            None
        }
        Ok(Ok(file)) => Some(file),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => None,
        Err(error) => {
            checks.push(Check::failed("operator", format!("{OPERATOR_FILE}: {error}")));
            None
        }
    };
    match find_address(file, config, is_running) {
        None => {
            checks.push(Check::good("reachability", "not checked: there is no operator.json, and no server is running"))
        }
        Some(issuer) => checks.extend(ask(&issuer, is_running, authorities, now).await),
    }
    checks
}

/// Returns the issuer in `operator.json`. Without that file, returns the configured issuer if the server is
/// running.
fn find_address(file: Option<OperatorFile>, config: &Config, is_running: bool) -> Option<String> {
    let configured = || is_running.then(|| config.issuer_for(config.listen).ok()).flatten();
    file.map(|file| file.issuer).or_else(|| configured().map(|issuer| issuer.to_string()))
}

/// Checks the server's health endpoints, its metadata and its clock.
async fn ask(issuer: &str, is_running: bool, authorities: Option<&[u8]>, now: UnixTime) -> Vec<Check> {
    const NAME: &str = "reachability";
    let transport = match authorities {
        Some(pem) => HttpTransport::trusting(pem, BOUNDS),
        None => HttpTransport::with_bounds(BOUNDS),
    };
    let transport = match transport {
        Ok(transport) => transport,
        Err(error) => return vec![Check::failed(NAME, format!("--ca-file: {error}"))],
    };
    let live = match get(&transport, issuer, "/livez").await {
        Ok(live) => live,
        Err(TransportError::Connect(reason)) if !is_running => {
            return vec![Check::warning(NAME, format!("{issuer}: {reason}; no server is running"))];
        }
        Err(error) => return vec![Check::failed(NAME, format!("{issuer}: {error}; clients get the same error"))],
    };
    let mut checks = Vec::new();
    let date = live.headers().get(DATE).and_then(|date| parse_http_date(date.to_str().ok()?));
    checks.extend(date.map(|theirs| compare_clocks("the server", theirs, now)));
    let ready = get(&transport, issuer, "/readyz").await;
    let metadata = get(&transport, issuer, METADATA).await;
    checks.push(match (ready, metadata) {
        (Ok(ready), Ok(metadata)) => judge(issuer, &live, &ready, &metadata),
        (Err(error), _) | (_, Err(error)) => Check::failed(NAME, format!("{issuer}: {error}")),
    });
    checks
}

fn judge(issuer: &str, live: &Response<Vec<u8>>, ready: &Response<Vec<u8>>, metadata: &Response<Vec<u8>>) -> Check {
    const NAME: &str = "reachability";
    if !live.status().is_success() {
        return Check::failed(
            NAME,
            format!("{issuer}/livez: returned {}; check that this is a Countersign server", live.status()),
        );
    }
    if !ready.status().is_success() {
        let why = String::from_utf8_lossy(ready.body()).trim().to_owned();
        return Check::failed(NAME, format!("{issuer}/readyz: returned {}: {why}", ready.status()));
    }
    let said: Value = serde_json::from_slice(metadata.body()).unwrap_or_default();
    match said["issuer"].as_str() {
        Some(theirs) if theirs == issuer => {
            Check::good(NAME, format!("{issuer}: reachable, ready, and its metadata has this issuer"))
        }
        Some(theirs) => Check::failed(
            NAME,
            format!("{issuer}: the metadata has the issuer {theirs}; clients refuse that (RFC 8414 §3.3)"),
        ),
        None => Check::failed(
            NAME,
            format!(
                "{issuer}{METADATA}: returned {} without an issuer; check that requests for this path reach the server",
                metadata.status()
            ),
        ),
    }
}

async fn get(transport: &HttpTransport, issuer: &str, path: &str) -> Result<Response<Vec<u8>>, TransportError> {
    let request = Request::get(format!("{issuer}{path}")).body(Zeroizing::new(Vec::new()));
    transport.send(request.map_err(|error| TransportError::Broken(error.to_string()))?).await
}

fn show(checks: &[Check], format: Format, output: &mut Output) {
    let word = |verdict| match verdict {
        Verdict::Good => "ok",
        Verdict::Warning => "warn",
        Verdict::Failed => "FAIL",
    };
    if format == Format::Json {
        let all = checks.iter().map(|Check { check, verdict, detail }| {
            json!({ "check": check, "result": word(*verdict).to_ascii_lowercase(), "detail": detail })
        });
        return output.json(&Value::Array(all.collect()));
    }
    let width = checks.iter().map(|check| check.check.len()).max().unwrap_or_default();
    for Check { check, verdict, detail } in checks {
        output.line(&format!("{:4}  {check:width$}  {detail}", word(*verdict)));
    }
}
