//! The log: to stderr, for people or for machines.

use std::io::IsTerminal;

use countersign_server::config::{Log, LogFormat, LogLevel};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{fmt, registry};

use crate::log_buffer::{LogBuffer, LogFlusher};

/// Installs the process's log subscriber. Colour only on a terminal, and never with `NO_COLOR`.
///
/// What it returns is kept until the end: dropping it writes the last lines.
pub(crate) fn install(log: &Log, no_color: bool) -> LogFlusher {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let colour = std::io::stderr().is_terminal() && !no_color;
    // Of the libraries only what an operator must act on: sqlx tells of each idle connection.
    let ours = Targets::new().with_default(level.min(Level::WARN)).with_target("countersign", level);
    let (buffer, flusher) = LogBuffer::start();
    let lines = fmt::layer().with_writer(move || buffer.clone()).with_ansi(colour);
    match log.format {
        LogFormat::Text => registry().with(lines.with_filter(ours)).init(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_current_span(false).with_span_list(false);
            registry().with(lines.with_filter(ours)).init();
        }
    }
    flusher
}
