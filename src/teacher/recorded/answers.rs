//! The answers of a recording: read from its file when they are asked for, by an index of its lines.
//!
//! The file may grow meanwhile, or another take its name. A line that is not as it was is an error: what it says was never checked.

use std::fs::File;
use std::io::{self, BufReader};

use super::MAX_LINE_BYTES;
use super::index::{Index, Place};
use super::line::{RecordedAnswer, RecordedLine};
use crate::base::disk::reading;
use crate::base::lines::{Lines, Raw};
use crate::domain::candidates::Opinion;
use crate::domain::label::LabelSet;
use crate::domain::sample::TextHash;

/// Read at once; most lines are shorter.
const BLOCK: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) file: File,
    pub(super) index: Index,
    /// Of the task: what lines name.
    pub(super) labels: LabelSet,
}

impl Answers {
    /// What is said of the text with this id, or else of this text: an id is a person's own word for which text is meant. The
    /// text is for another corpus with the same texts under other ids.
    ///
    /// One answer a text: of several tries the last, of several draws the vote. A line without a key takes the place of an
    /// earlier one with its id. A recording has one draw a text whatever the run that made it had, so the vote is cast here.
    ///
    /// # Errors
    ///
    /// Those of reading, and of a file that is another by now.
    pub(super) fn of(&self, id: &str, text: &str) -> io::Result<Option<RecordedAnswer>> {
        let found = self.of_id(id)?;
        if found.is_some() || !self.index.has_texts() {
            return Ok(found);
        }
        let hash = TextHash::of(text);
        let Some(place) = self.index.by_text(hash)? else { return Ok(None) };
        let line = self.line(place)?;
        let is_of_it = line.text_hash.as_deref().and_then(TextHash::from_hex) == Some(hash);
        if is_of_it { self.of_id(&line.id) } else { Ok(None) }
    }

    fn of_id(&self, id: &str) -> io::Result<Option<RecordedAnswer>> {
        let (mut problem, mut draws): (_, Vec<Draw>) = (None, Vec::with_capacity(1));
        for place in self.index.by_id(id) {
            let mut line = self.line(place?)?;
            if line.id != id {
                continue;
            }
            let (key, attempt) = (line.key.take(), line.attempt);
            let answer = line.answer(&self.labels).map_err(changed)?;
            if draws.is_empty() {
                problem.clone_from(&answer.problem);
            }
            match draws.iter_mut().find(|draw| draw.key == key) {
                Some(draw) if attempt >= draw.attempt => *draw = Draw { key, attempt, answer },
                Some(_) => {}
                None => draws.push(Draw { key, attempt, answer }),
            }
        }
        Ok(together(draws, problem))
    }

    /// The line that stands there.
    fn line(&self, place: Place) -> io::Result<RecordedLine> {
        let from = BufReader::with_capacity(BLOCK, reading(&self.file, place.offset()));
        let mut lines = Lines::within(from, MAX_LINE_BYTES);
        match lines.next_raw()? {
            Some((_, Raw::Bytes(line))) if place.is_of(line) => {
                std::str::from_utf8(line).map_err(changed).and_then(|line| RecordedLine::read(line).map_err(changed))
            }
            _ => Err(changed("a line that was there is there no more")),
        }
    }
}

/// For a line that was sound when the file was read.
fn changed(why: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("it was changed while it was in use ({why})"))
}

/// Of one draw, the try that counts so far.
struct Draw {
    key: Option<String>,
    attempt: u32,
    answer: RecordedAnswer,
}

/// One answer of the draws of a text, in the order in which they come. `problem` is what was wrong with the first line.
fn together(mut draws: Vec<Draw>, problem: Option<crate::domain::answer::Problem>) -> Option<RecordedAnswer> {
    if draws.len() < 2 {
        return draws.pop().map(|draw| draw.answer);
    }
    let answers = draws.iter().map(|Draw { answer, .. }| (answer.labels.as_slice(), answer.weights.as_slice()));
    let voted = Opinion::vote(0, answers);
    // The problem is told only where nobody named a label; then the first draw's stands for all.
    Some(RecordedAnswer { labels: voted.labels, weights: voted.weights, problem })
}
