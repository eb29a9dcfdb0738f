//! The log: to stderr, for people or for machines.

use std::io::IsTerminal;

use countersign_server::config::{Log, LogFormat, LogLevel};
use tracing::Level;
use tracing_subscriber::fmt;

/// Installs the process's log subscriber. Colour only on a terminal, and never with `NO_COLOR`.
pub(crate) fn install(log: &Log, no_color: bool) {
    let level = match log.level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let colour = std::io::stderr().is_terminal() && !no_color;
    let builder = fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(colour);
    match log.format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).with_span_list(false).init(),
    }
}
