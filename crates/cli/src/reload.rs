//! What SIGHUP does: the log level and the certificate are read again, and nothing ends.

use std::sync::Arc;

use countersign_server::background::reload_certificate;
use countersign_server::clock::Clock;
use countersign_server::http::tls::Tls;
use tokio::signal::unix::Signal;

use crate::args::SettingsArgs;
use crate::logging::LogLevelSwitch;
use crate::settings;

/// What can change while the server runs, and where it is read.
pub(crate) struct Reload {
    /// The flags that it was started with.
    pub(crate) flags: Arc<SettingsArgs>,
    /// The environment that it was started with.
    pub(crate) environment: Arc<[(String, String)]>,
    /// The log level.
    pub(crate) level: LogLevelSwitch,
    /// The certificate, if there is one.
    pub(crate) tls: Option<Arc<Tls>>,
    /// The time, by which a certificate is judged.
    pub(crate) clock: Clock,
}

impl Reload {
    /// Reads all of it at each SIGHUP.
    pub(crate) async fn run(self, mut hangup: Signal) {
        while hangup.recv().await.is_some() {
            self.reload_level().await;
            if let Some(tls) = &self.tls {
                reload_certificate::run_once(tls, &self.clock).await;
            }
        }
    }

    /// Takes the log level of the configuration as it is now; one that is wrong anywhere changes nothing.
    async fn reload_level(&self) {
        let (flags, environment) = (self.flags.clone(), self.environment.clone());
        // A file may lie on a network; a task that waits for it must not hold others.
        let read = tokio::task::spawn_blocking(move || settings::read(&flags, &environment)).await;
        match read {
            Ok(Ok(settings)) => {
                let level = settings.config.log.level;
                let tell = || tracing::info!(?level, "the log level was read again; other keys are read at a start");
                // Told at the more talkative of the two levels.
                let is_told_before = tracing::enabled!(tracing::Level::INFO);
                if is_told_before {
                    tell();
                }
                self.level.set(level);
                if !is_told_before {
                    tell();
                }
            }
            Ok(Err(error)) => tracing::error!(%error, "the configuration cannot be used: the log level stays as it is"),
            Err(error) => tracing::error!(%error, "the configuration could not be read again"),
        }
    }
}
