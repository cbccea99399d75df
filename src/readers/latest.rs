//! Which event of the label log holds for each text: the last one with its id.

use std::collections::HashMap;
use std::path::Path;

use crate::domain::event::LabelEvent;
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::readers::corrected::{corrected, with};
use crate::store::{Follow, Tail};

/// Calls `each` with the events that hold now, and their lines, in the order of the log in `dir`. Where a person gave a text
/// another label, which the log does not have yet, the event says so, and its line is as it will be, but for the offset.
///
/// Reads the log twice, so that no more of an event than its offset is kept.
///
/// # Errors
///
/// [`Error::Labels`] if the log cannot be read, and those of `each`, which end it.
pub fn latest<E: From<Error>>(dir: &Path, mut each: impl FnMut(&LabelEvent, &str) -> Result<(), E>) -> Result<(), E> {
    let mut tail = Tail::new(dir);
    // Some 30 bytes a text, whatever the length of its id.
    let mut last: HashMap<TextHash, u64> = HashMap::new();
    loop {
        match tail.poll()? {
            Follow::Event(event, _) => {
                last.insert(TextHash::of(&event.id), event.offset);
            }
            // Its offsets begin anew.
            Follow::NewLog => last.clear(),
            Follow::Waiting => break,
        }
    }
    let corrected = corrected(dir)?;
    // Still the same file where another log has taken its place meanwhile.
    tail.rewind()?;
    while let Follow::Event(event, line) = tail.poll()? {
        let id = TextHash::of(&event.id);
        if last.get(&id) != Some(&event.offset) {
            continue;
        }
        match corrected.get(&event.id).and_then(|label| with(&event, label)) {
            Some(event) => each(&event, event.to_line().trim_end())?,
            None => each(&event, &line)?,
        }
    }
    Ok(())
}

/// That the run in `dir` has no labels, and what to do.
#[must_use]
pub fn no_labels(dir: &Path) -> Error {
    let message = "has no labels yet: `candist run CONFIG` writes them as answers come, and writes labels.jsonl again where \
                   it was lost";
    Error::Unfit { path: dir.to_owned(), message: message.to_owned() }
}

/// Tells final labels that were told before: a text's is told again only when it changed.
#[derive(Debug, Default)]
pub struct Finals(HashMap<TextHash, TextHash>);

impl Finals {
    /// Whether `event` is final and says something new of its text; from then on it does not.
    pub fn is_new(&mut self, event: &LabelEvent) -> bool {
        let label = TextHash::of(&event.label);
        event.is_final && self.0.insert(TextHash::of(&event.id), label) != Some(label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::By;

    fn event(offset: u64, id: &str, label: &str, is_final: bool) -> LabelEvent {
        LabelEvent {
            offset,
            id: id.into(),
            label: label.into(),
            confidence: 0.5,
            margin: None,
            others: None,
            candidates: Vec::new(),
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final,
        }
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
    fn a_final_label_is_new_until_it_was_told_and_when_it_changed() {
        let mut finals = Finals::default();
        for (label, is_final, is_new) in [
            ("a", false, false),
            ("a", true, true),
            ("a", true, false),
            ("b", false, false),
            ("a", true, false),
            ("b", true, true),
            ("a", true, true),
        ] {
            assert_eq!(finals.is_new(&event(0, "id", label, is_final)), is_new, "{label} {is_final}");
        }
        assert!(finals.is_new(&event(0, "another", "a", true)));
    }
}
