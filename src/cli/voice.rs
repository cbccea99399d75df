//! Standard error: messages, and the display of a run under them. One lock for both, so that no message and no display cut
//! each other in two.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use terminal_size::{Height, Width, terminal_size_of};
use tracing_subscriber::fmt::MakeWriter;

use super::screen::Screen;
use super::width::USUAL;

/// See the module. Clones speak with one voice.
#[derive(Debug, Clone, Default)]
pub(crate) struct Voice(Arc<Mutex<Screen>>);

/// Columns and rows of the terminal that standard error is, where it is one that can be drawn on.
pub(super) fn terminal() -> Option<(usize, usize)> {
    size_of(io::stderr())
}

/// As [`terminal`], of another stream.
pub(super) fn size_of(stream: impl std::os::fd::AsFd) -> Option<(usize, usize)> {
    if std::env::var_os("TERM").is_some_and(|kind| kind == "dumb") {
        return None;
    }
    let (Width(columns), Height(rows)) = terminal_size_of(stream)?;
    // A terminal that does not know its size says 0.
    let or = |size: u16, usual| if size == 0 { usual } else { usize::from(size) };
    Some((or(columns, USUAL), or(rows, 24)))
}

/// Columns of the terminal, or of any.
fn columns() -> usize {
    terminal().map_or(USUAL, |(columns, _)| columns)
}

impl Voice {
    fn lock(&self) -> MutexGuard<'_, Screen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows these lines under all messages, on a terminal of so many columns.
    pub(super) fn show(&self, lines: Vec<String>, columns: usize) {
        let mut screen = self.lock();
        write(&screen.paint(lines, columns));
    }

    /// Shows nothing any more.
    pub(crate) fn clear(&self) {
        let mut screen = self.lock();
        write(&screen.erase(columns()));
    }

    /// Writes one line that is no message: JSON.
    pub(super) fn line(&self, line: &str) {
        let _screen = self.lock();
        write(&format!("{line}\n"));
    }
}

/// What cannot be written is lost: told of it, whoever speaks would say so on the same stream, and what was paid for
/// would be lost with it.
fn write(text: &str) {
    if !text.is_empty() {
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

impl Write for Voice {
    /// A message.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut screen = self.lock();
        write(&screen.above(&String::from_utf8_lossy(bytes), columns()));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Voice {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
