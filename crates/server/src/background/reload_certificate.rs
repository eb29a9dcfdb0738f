//! Loads a renewed certificate, and warns about one that expires soon.

use std::sync::Arc;

use crate::clock::Clock;
use crate::http::tls::{Reread, Tls};

/// Reads the certificate's files again. Each change is logged once.
pub async fn run_once(tls: &Arc<Tls>, clock: &Clock) {
    let now = clock.now();
    let reading = tls.clone();
    // The file may be on a network mount. A task that waits for it must not block others.
    match tokio::task::spawn_blocking(move || reading.reread(now)).await {
        Ok(Reread::Same) => {}
        Ok(Reread::Replaced) => {
            tracing::info!(file = tls.shown(), "reloaded the certificate for new connections");
            warn_of_name(tls);
        }
        Ok(Reread::Refused(error)) => {
            tracing::error!(%error, "the new certificate is invalid; keeping the previous one");
        }
        Err(error) => tracing::error!(%error, "failed to reload the certificate"),
    }
    warn_of_end(tls, now);
}

/// Warns if the certificate is not valid for the issuer's host.
pub fn warn_of_name(tls: &Tls) {
    if let Some(host) = tls.unnamed_host() {
        tracing::warn!(file = tls.shown(), host, "the certificate does not name the issuer's host");
    }
}

fn warn_of_end(tls: &Tls, now: i64) {
    match tls.ending_s(now) {
        Some(left_s) if left_s < 0 => tracing::error!(file = tls.shown(), "the certificate has expired"),
        Some(left_s) => tracing::warn!(file = tls.shown(), days = left_s / 86_400, "the certificate expires soon"),
        None => {}
    }
}
