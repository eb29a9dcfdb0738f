//! SIGHUP: reloads the log level and the certificate, without interrupting requests.

use std::sync::Arc;

use countersign_server::background::reload_certificate;
use countersign_server::clock::Clock;
use countersign_server::http::tls::Tls;
use tokio::signal::unix::Signal;

use crate::args::SettingsArgs;
use crate::logging::LogLevelSwitch;
use crate::settings;

/// What to reload, and where to read it from.
pub(crate) struct Reload {
    /// The command-line flags.
    pub(crate) flags: Arc<SettingsArgs>,
    /// The environment at startup.
    pub(crate) environment: Arc<[(String, String)]>,
    /// The log level.
    pub(crate) level: LogLevelSwitch,
    /// The certificate, if TLS is configured.
    pub(crate) tls: Option<Arc<Tls>>,
    /// The clock, to check the certificate's validity.
    pub(crate) clock: Clock,
}

impl Reload {
    /// Reloads at each SIGHUP.
    pub(crate) async fn run(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            self.reload_level().await;
            if let Some(tls) = &self.tls {
                reload_certificate::run_once(tls, &self.clock).await;
            }
        }
    }

    /// Sets the log level from the current configuration. If any key is invalid, nothing changes.
    async fn reload_level(&self) {
        let (flags, environment) = (self.flags.clone(), self.environment.clone());
        // The file may be on a network mount. A task that waits for it must not block others.
        let read = tokio::task::spawn_blocking(move || settings::read(&flags, &environment)).await;
        match read {
            Ok(Ok(settings)) => {
                let level = settings.config.log.level;
                let tell = || tracing::info!(?level, "reloaded the log level; other keys need a restart");
                // Log this at the more verbose of the two levels.
                let is_told_before = tracing::enabled!(tracing::Level::INFO);
                if is_told_before {
                    tell();
                }
                self.level.set(level);
                if !is_told_before {
                    tell();
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "the configuration is invalid: keeping the current log level"),
            Err(error) => tracing::error!(%error, "failed to reload the configuration"),
        }
    }
}
