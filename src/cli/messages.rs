//! Messages to the user: on stderr, above the display of a run; stdout is for data alone. What comes from elsewhere (ids,
//! paths, replies) is told without its control characters, line feeds apart.

use std::fmt;

use candist::internal::OPENING_THREAD;
use serde_json::json;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::voice::Voice;

/// How messages are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Manner {
    /// Warnings and errors alone.
    pub(crate) quiet: bool,
    /// As JSON, one object a line.
    pub(crate) json: bool,
}

/// Sets up messages and gives the voice that tells them. CANDIST_LOG chooses what is said, before anything else.
pub(crate) fn start_messages(manner: Manner) -> Voice {
    let voice = Voice::default();
    let usual = if manner.quiet { "warn" } else { "warn,candist=info" };
    let filter = EnvFilter::try_from_env("CANDIST_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    // Setting it twice is impossible here: main calls this once.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(voice.clone())
        .event_format(Plain { json: manner.json })
        .try_init();
    quiet_expected_panics();
    voice
}

/// Panics while a damaged store is opened are caught and reported as damage: sled panics where its files are not as it
/// left them. Any other panic is printed as always.
fn quiet_expected_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if std::thread::current().name() == Some(OPENING_THREAD) {
            tracing::debug!("while opening the store: {panic}");
        } else {
            loud(panic);
        }
    }));
}

/// `text` without what would steer a terminal: ids, paths and replies come from elsewhere.
pub(super) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_control() && character != '\n' {
            printable.extend(character.escape_default());
        } else {
            printable.push(character);
        }
    }
    printable
}

/// As [`printable`], and on one line: for what is part of a list.
pub(super) fn one_line(text: &str) -> String {
    printable(text).replace('\n', "\\n")
}

/// `candist: message`, with the level where it matters; or an object with both.
struct Plain {
    json: bool,
}

// No time and no module: this is a program that speaks to a person, and logs of it are short.
impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let (name, prefix) = match *event.metadata().level() {
            Level::ERROR => ("error", "error: "),
            Level::WARN => ("warning", "warning: "),
            Level::INFO => ("info", ""),
            _ => ("debug", ""),
        };
        let mut message = String::new();
        context.field_format().format_fields(Writer::new(&mut message), event)?;
        if self.json {
            return writeln!(writer, "{}", json!({"type": "message", "level": name, "message": message}));
        }
        writeln!(writer, "candist: {prefix}{}", printable(&message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jé\tb\nc"), "a\\u{1b}[2Jé\\tb\nc");
        assert_eq!(one_line("a\u{0}b\nc"), "a\\u{0}b\\nc");
    }
}
