//! How the labels of a run are distributed: the one that holds now of every text, counted.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use crate::domain::sample::TextHash;
use crate::error::Result;
use crate::store::{Follow, LabelTally, RunDir, Tail};

pub use crate::domain::event::DOUBTFUL;

/// How many texts have which label.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Distribution {
    /// Texts with a label.
    pub texts: u64,
    /// Of these, texts whose label has a confidence below [`DOUBTFUL`].
    pub doubtful: u64,
    /// The labels that any text has, and how many; the most frequent first, then by name.
    pub labels: Vec<(String, u64)>,
}

impl Distribution {
    /// Of these labels, in any order.
    fn of(doubtful: u64, mut labels: Vec<(String, u64)>) -> Self {
        labels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        Self { texts: labels.iter().map(|(_, texts)| texts).sum(), doubtful, labels }
    }
}

/// Counts the labels that hold now in the label log of `dir`; none where there is no log.
///
/// Where the log is as a run left it when it closed it, the run's own count is taken. Else the log is read, and some 30 bytes a
/// text are kept for it.
///
/// # Errors
///
/// [`Error::Labels`](crate::Error::Labels) and [`Error::LabelLine`](crate::Error::LabelLine) if the log cannot be read.
pub fn distribution(dir: &Path) -> Result<Distribution> {
    let tally = RunDir::view(dir).ok().and_then(|view| view.label_tally());
    if let Some(LabelTally { doubtful, texts, .. }) = tally {
        return Ok(Distribution::of(doubtful, texts.into_iter().collect()));
    }
    let mut tail = Tail::new(dir);
    let mut names: HashMap<String, u32> = HashMap::new();
    // Of each text, by the hash of its id, its label's number and whether it is doubtful.
    let mut held: HashMap<TextHash, (u32, bool)> = HashMap::new();
    loop {
        match tail.poll()? {
            Follow::Event(event, _) => {
                let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
                let label = *names.entry(event.label).or_insert(next);
                held.insert(TextHash::of(&event.id), (label, event.confidence < DOUBTFUL));
            }
            Follow::NewLog => held.clear(),
            Follow::Waiting => break,
        }
    }
    let mut counts: HashMap<u32, u64> = HashMap::new();
    held.values().for_each(|(label, _)| *counts.entry(*label).or_default() += 1);
    let count = |(name, number)| Some((name, *counts.get(&number)?));
    let doubtful = held.values().filter(|(_, is_doubtful)| *is_doubtful).count() as u64;
    Ok(Distribution::of(doubtful, names.into_iter().filter_map(count).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::{By, LabelEvent};

    #[test]
    fn the_last_label_of_each_text_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(distribution(dir.path()).unwrap(), Distribution::default());
        let events = [("a", "x", 0.9), ("b", "y", 0.3), ("c", "y", 0.5), ("a", "z", 0.4999), ("d", "y", 0.5)];
        let line = |((id, label, confidence), offset): ((&str, &str, f64), u64)| {
            let event = LabelEvent {
                offset,
                id: id.into(),
                label: label.into(),
                confidence,
                margin: None,
                others: None,
                candidates: Vec::new(),
                by: By::Posterior,
                revision: 0,
                student: 0,
                is_final: false,
            };
            event.to_line()
        };
        let log: String = events.into_iter().zip(0..).map(line).collect();
        std::fs::write(dir.path().join("labels.jsonl"), log).unwrap();
        let labels = vec![("y".to_owned(), 3), ("z".to_owned(), 1)];
        assert_eq!(distribution(dir.path()).unwrap(), Distribution { texts: 4, doubtful: 2, labels });
    }
}
