//! Logging to stderr, as text or JSON.

use std::fmt::{self, Write};
use std::io::IsTerminal;

use countersign_server::config::{Log, LogFormat, LogLevel};
use tracing::field::Field;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, registry, reload};

use crate::log_buffer::{LogBuffer, LogFlusher};
use crate::plain::is_deceptive;

/// A handle that changes the log level. Clones share the subscriber.
#[derive(Clone)]
pub(crate) struct LogLevelSwitch(reload::Handle<Targets, Registry>);

impl LogLevelSwitch {
    /// Sets the log level.
    pub(crate) fn set(&self, level: LogLevel) {
        if let Err(error) = self.0.reload(targets(level)) {
            tracing::error!(%error, "failed to change the log level");
        }
    }
}

/// Installs the process's log subscriber. Uses color only on a terminal, and never with `NO_COLOR`.
///
/// Keep the flusher until the process exits. Dropping it writes the last lines.
pub(crate) fn install(log: &Log, no_color: bool) -> (LogFlusher, LogLevelSwitch) {
    let colour = std::io::stderr().is_terminal() && !no_color;
    let (filter, switch) = reload::Layer::new(targets(log.level));
    let (buffer, flusher) = LogBuffer::start();
    let lines = layer().with_writer(move || buffer.clone()).with_ansi(colour);
    let lines = match log.format {
        LogFormat::Text if colour => lines.boxed(),
        LogFormat::Text => {
            let field = |writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| match field.name() {
                "message" => write!(OneLine(writer), "{value:?}"),
                name => write!(OneLine(writer), "{name}={value:?}"),
            };
            lines.event_format(PlainLine).fmt_fields(debug_fn(field).delimited(" ")).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed(),
    };
    registry().with(lines.with_filter(filter)).init();
    (flusher, LogLevelSwitch(switch))
}

/// Returns the filter for a level. From libraries, only what an operator must act on is logged, because sqlx logs
/// every idle connection.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    Targets::new().with_default(level.min(Level::WARN)).with_target("countersign", level)
}

/// Formats the same line as the colored formatter, without checking for color at every word.
struct PlainLine;

impl<S: Subscriber + for<'s> LookupSpan<'s>, F: for<'w> FormatFields<'w> + 'static> FormatEvent<S, F> for PlainLine {
    fn format_event(&self, context: &FmtContext<'_, S, F>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        let (level, target) = (event.metadata().level(), event.metadata().target());
        write!(writer, " {level:>5} {target}: ")?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

/// Escapes text from untrusted sources so that it stays on its line.
struct OneLine<W>(W);

impl<W: fmt::Write> fmt::Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
            return self.0.write_str(text);
        }
        text.chars().try_for_each(|char| match char {
            char if is_deceptive(char) => write!(self.0, "{}", char.escape_default()),
            char => self.0.write_char(char),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn untrusted_text_stays_on_its_line() {
        let (mut line, scope) = (String::new(), "a\n2026-11-29 INFO forged\u{1b}[2J\u{9b}\u{202e} é");
        write!(OneLine(&mut line), "scope={scope}").expect("a string takes all");
        assert_eq!(line, "scope=a\\n2026-11-29 INFO forged\\u{1b}[2J\\u{9b}\\u{202e} é");
    }
}
