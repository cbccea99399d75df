//! Which event of the label log holds for each text: the last one with its id.

use std::path::Path;

use crate::base::sorting::{Sorter, last_of_each, part, record, unsorted};
use crate::domain::event::LabelEvent;
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::readers::corrected::{corrected, with};
use crate::store::{Follow, Tail, changed};

/// Calls `each` with the events that hold now, and their lines, in the order of the log in `dir`. Where a person gave a text
/// another label, which the log does not have yet, the event says so, and its line is as it will be, but for the offset.
///
/// Reads the log twice: after the first time no more of an event than a bit is in memory.
///
/// # Errors
///
/// [`Error::Labels`] if the log cannot be read, [`Error::RunFile`] for the folder of temporary files, and those of `each`, which
/// end it.
pub fn latest<E: From<Error>>(dir: &Path, mut each: impl FnMut(&LabelEvent, &str) -> Result<(), E>) -> Result<(), E> {
    let mut tail = Tail::new(dir);
    let holding = Holding::of(&mut tail, |_| true)?;
    let corrected = corrected(dir)?;
    holding.each(&mut tail, |event, line| match corrected.get(&event.id).and_then(|label| with(event, label)) {
        Some(event) => each(&event, event.to_line().trim_end()),
        None => each(event, line),
    })
}

/// Which events of a label log hold: a bit an event.
#[derive(Debug, Default)]
pub(super) struct Holding {
    bits: Vec<u64>,
    /// Events of the log.
    events: u64,
}

impl Holding {
    /// Those of the log that `tail` reads, to its end: of each text the last event that `counts`.
    ///
    /// # Errors
    ///
    /// As [`latest`].
    pub(super) fn of(tail: &mut Tail, counts: impl Fn(&LabelEvent) -> bool) -> Result<Self> {
        let (mut sorter, mut number) = (Sorter::<24>::default(), 0_u64);
        loop {
            match tail.poll()? {
                Follow::Event(event, _) => {
                    if counts(&event) {
                        let text = TextHash::of(&event.id).0;
                        sorter.push(record(&[&text, &number.to_be_bytes()])).map_err(unsorted)?;
                    }
                    number += 1;
                }
                // Its events are counted anew.
                Follow::NewLog => (sorter, number) = (Sorter::default(), 0),
                Follow::Waiting => break,
            }
        }
        let mut holding = Self { bits: Vec::new(), events: number };
        for last in last_of_each::<16, 24>(sorter.sorted().map_err(unsorted)?) {
            holding.add(u64::from_be_bytes(part(&last.map_err(unsorted)?, 16)));
        }
        Ok(holding)
    }

    /// Calls `each` with these events and their lines. Reads the log that `tail` read once more: also where another has taken its
    /// place meanwhile.
    ///
    /// # Errors
    ///
    /// Those of [`Tail::poll`] and of `each`, and [`Error::Unfit`] where the log has been cut since.
    pub(super) fn each<E: From<Error>>(
        &self,
        tail: &mut Tail,
        mut each: impl FnMut(&LabelEvent, &str) -> Result<(), E>,
    ) -> Result<(), E> {
        tail.rewind()?;
        let mut number = 0;
        while let Follow::Event(event, line) = tail.poll()? {
            if self.has(number) {
                each(&event, &line)?;
            }
            number += 1;
        }
        // A run that goes on after a kill cuts what it writes anew.
        if number < self.events { Err(changed(tail.path()).into()) } else { Ok(()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bits.is_empty()
    }

    fn add(&mut self, number: u64) {
        // The log's lines fit into memory as bits.
        let (word, bit) = ((number / 64) as usize, number % 64);
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.bits.get_mut(word).into_iter().for_each(|word| *word |= 1 << bit);
    }

    fn has(&self, number: u64) -> bool {
        let word = usize::try_from(number / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word >> (number % 64) & 1 == 1)
    }
}

/// That the run in `dir` has no labels, and what to do.
#[must_use]
pub fn no_labels(dir: &Path) -> Error {
    let message = "has no labels yet: `candist run CONFIG` writes them as answers come, and writes labels.jsonl again where \
                   it was lost";
    Error::Unfit { path: dir.to_owned(), message: message.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(offset: u64, id: &str, label: &str, is_final: bool) -> LabelEvent {
        LabelEvent { is_final, ..LabelEvent::plain(offset, id, label) }
    }

    #[test]
    fn the_last_event_of_an_id_holds() {
        let dir = tempfile::tempdir().unwrap();
        let ids = ["a", "b", "a", "c", "b", "a"];
        let log: String = ids.iter().zip(0..).map(|(id, offset)| event(offset, id, "x", false).to_line()).collect();
        // An unfinished line is not there yet.
        std::fs::write(dir.path().join("labels.jsonl"), log + "{\"offset\":6").unwrap();
        let mut offsets = Vec::new();
        latest(dir.path(), |event, line| -> Result<()> {
            assert_eq!(format!("{line}\n"), event.to_line());
            offsets.push(event.offset);
            Ok(())
        })
        .unwrap();
        assert_eq!(offsets, [3, 4, 5]);
    }

    #[test]
    fn a_log_that_was_cut_between_the_two_readings_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let log: String =
            (0..40).map(|offset| event(offset, &format!("{}", offset % 30), "x", false).to_line()).collect();
        std::fs::write(dir.path().join("labels.jsonl"), &log).unwrap();
        let mut tail = Tail::new(dir.path());
        let holding = Holding::of(&mut tail, |_| true).unwrap();
        let mut read = |log: &str| {
            std::fs::write(dir.path().join("labels.jsonl"), log).unwrap();
            let mut offsets = Vec::new();
            let done = holding.each(&mut tail, |event, _| -> Result<()> {
                offsets.push(event.offset);
                Ok(())
            });
            done.map(|()| offsets).map_err(|error| error.to_string())
        };
        // More texts than are sorted at once in a test; and what came since is no part of it.
        assert_eq!(read(&(log.clone() + &event(40, "0", "y", false).to_line())).unwrap(), (10..40).collect::<Vec<_>>());
        assert!(read(&log[..log.len() / 2]).unwrap_err().contains("changed while it was read"));
    }
}
