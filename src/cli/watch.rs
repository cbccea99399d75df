//! `candist status --watch`: the display of a live run, from outside, until the run is complete. On a terminal it is drawn
//! again where it changed; else it is a line now and then. A run that has not begun, or was stopped, is waited for.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;
use candist::{Error, RunDir, Status};

use super::completion::{Completion, last_word};
use super::frame;
use super::pace::Pace;
use super::reporter::{LINE_EVERY, OBJECT_EVERY};
use super::screen::Screen;
use super::status::look;
use super::voice::size_of;

/// How often it looks. A look is a read of a small file.
const LOOK: Duration = Duration::from_millis(250);

/// What a look found.
#[derive(Debug, PartialEq)]
enum Found {
    /// A run that has not begun.
    Nothing,
    /// A process at work.
    Live(Box<Status>),
    /// A run that somebody stopped.
    Stopped,
    /// A run that is over.
    Complete,
}

/// Watches until the run in `dir` is complete.
pub(super) fn watch(dir: &Path, json: bool) -> Result<()> {
    let mut watching = Watching::new(dir, json);
    loop {
        let found = watching.find()?;
        let is_complete = found == Found::Complete;
        watching.tell(found)?;
        if is_complete {
            return Ok(());
        }
        std::thread::sleep(LOOK);
    }
}

struct Watching<'a> {
    dir: &'a Path,
    json: bool,
    completion: Completion,
    pace: Pace,
    screen: Screen,
    /// When a line was written last, and the state it told of.
    told: Option<(Instant, std::mem::Discriminant<Found>)>,
}

impl<'a> Watching<'a> {
    fn new(dir: &'a Path, json: bool) -> Self {
        let (completion, pace, screen) = (Completion::of(dir), Pace::default(), Screen::default());
        Self { dir, json, completion, pace, screen, told: None }
    }

    fn find(&mut self) -> Result<Found> {
        let view = match RunDir::view(self.dir) {
            Ok(view) => view,
            Err(Error::NoRun { .. }) => return Ok(Found::Nothing),
            Err(error) => return Err(error.into()),
        };
        Ok(match (view.is_live(), last_word(self.dir)) {
            (true, Some(status)) => Found::Live(Box::new(status)),
            (true, None) => Found::Nothing,
            (false, _) if self.completion.is_reached() => Found::Complete,
            (false, _) => Found::Stopped,
        })
    }

    fn tell(&mut self, found: Found) -> Result<()> {
        let out = &mut io::stdout().lock();
        if let Found::Live(status) = &found {
            self.pace.note(Instant::now(), status);
        }
        if found == Found::Complete {
            self.show(Vec::new(), out)?;
            return look(self.dir)?.print(self.json, out);
        }
        if self.json {
            // What is not there has no status.
            if found != Found::Nothing && self.is_due(&found, OBJECT_EVERY) {
                look(self.dir)?.with_pace(&self.pace).print(true, out)?;
                out.flush()?;
            }
            return Ok(());
        }
        if size_of(io::stdout()).is_some() {
            let lines = self.lines(&found);
            return self.show(lines, out);
        }
        if self.is_due(&found, LINE_EVERY) {
            writeln!(out, "{}", self.sentence(&found))?;
            out.flush()?;
        }
        Ok(())
    }

    /// Whether a line is to be written: a while after the last one, or at once where something else is found.
    fn is_due(&mut self, found: &Found, every: Duration) -> bool {
        let kind = std::mem::discriminant(found);
        let is_due = self.told.is_none_or(|(at, before)| before != kind || at.elapsed() >= every);
        if is_due {
            self.told = Some((Instant::now(), kind));
        }
        is_due
    }

    fn lines(&self, found: &Found) -> Vec<String> {
        let (columns, rows) = size_of(io::stdout()).unwrap_or((super::width::USUAL, 24));
        match found {
            Found::Live(status) => frame::lines(status, &self.pace, columns, rows),
            _ => vec![super::width::cut(&self.sentence(found), columns.saturating_sub(1))],
        }
    }

    fn sentence(&self, found: &Found) -> String {
        match found {
            Found::Live(status) => frame::sentence(status, &self.pace),
            Found::Stopped => format!("stopped; waiting for `candist run` to go on in {}", self.dir.display()),
            Found::Nothing | Found::Complete => format!("waiting for a run in {}", self.dir.display()),
        }
    }

    /// Writes what changed on the terminal.
    fn show(&mut self, lines: Vec<String>, out: &mut dyn Write) -> Result<()> {
        let Some((columns, _)) = size_of(io::stdout()) else { return Ok(()) };
        let changes = if lines.is_empty() { self.screen.erase(columns) } else { self.screen.paint(lines, columns) };
        if !changes.is_empty() {
            out.write_all(changes.as_bytes())?;
            out.flush()?;
        }
        Ok(())
    }
}
