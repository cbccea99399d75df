//! Messages to the user: on stderr, above the progress bar; stdout is for data alone. What comes from elsewhere (ids,
//! paths, replies) is told without its control characters, line feeds apart.

use std::io::{self, Write};

use candist::internal::OPENING_THREAD;
use indicatif::ProgressBar;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

/// Sets up messages and gives the progress bar they keep clear of. CANDIST_LOG chooses what is said (default: info).
pub(crate) fn start_messages() -> ProgressBar {
    // Not drawn before a length or a style is set.
    let bar = ProgressBar::hidden();
    let filter = EnvFilter::try_from_env("CANDIST_LOG").unwrap_or_else(|_| EnvFilter::new("warn,candist=info"));
    // Setting it twice is impossible here: main calls this once.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(AboveBar(bar.clone()))
        .event_format(Plain)
        .try_init();
    quiet_expected_panics();
    bar
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

/// `candist: message`, with the level where it matters.
struct Plain;

// No time and no module: this is a program that speaks to a person, and logs of it are short.
impl<S, N> FormatEvent<S, N> for Plain
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let level = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        };
        let mut message = String::new();
        context.field_format().format_fields(Writer::new(&mut message), event)?;
        writeln!(writer, "candist: {level}{}", printable(&message))
    }
}

/// Writes to stderr with the bar taken off the screen meanwhile. Everything that is said goes through it, so that no
/// message and no bar cut each other in two.
#[derive(Clone)]
struct AboveBar(ProgressBar);

impl Write for AboveBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A message that cannot be written is lost. Told of it, the subscriber would say so on stderr, by a macro that
        // panics there, and what was paid for would be lost with it.
        let _ = self.0.suspend(|| io::stderr().lock().write_all(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for AboveBar {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
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
