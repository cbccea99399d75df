//! How the labels of a run are distributed: the one that holds now of every text, counted.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use crate::base::sorting::{Sorter, last_of_each, part, record, unsorted};
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
/// Where the log is as a run left it when it closed it, the run's own count is taken. Else the log is read, and no more of its
/// events is in memory than is sorted at once.
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
    let (mut sorter, mut number) = (Sorter::<29>::default(), 0_u64);
    loop {
        match tail.poll()? {
            Follow::Event(event, _) => {
                let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
                let label = *names.entry(event.label).or_insert(next);
                let is_doubtful = u8::from(event.confidence < DOUBTFUL);
                let text = TextHash::of(&event.id).0;
                let parts = [&text[..], &number.to_be_bytes(), &label.to_be_bytes(), &[is_doubtful]];
                sorter.push(record(&parts)).map_err(unsorted)?;
                number += 1;
            }
            Follow::NewLog => (sorter, number) = (Sorter::default(), 0),
            Follow::Waiting => break,
        }
    }
    let (mut counts, mut doubtful): (HashMap<u32, u64>, _) = (HashMap::new(), 0);
    for last in last_of_each::<16, 29>(sorter.sorted().map_err(unsorted)?) {
        let last = last.map_err(unsorted)?;
        *counts.entry(u32::from_be_bytes(part(&last, 24))).or_default() += 1;
        let [is_doubtful] = part(&last, 28);
        doubtful += u64::from(is_doubtful);
    }
    let count = |(name, number)| Some((name, *counts.get(&number)?));
    Ok(Distribution::of(doubtful, names.into_iter().filter_map(count).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::LabelEvent;

    #[test]
    fn the_last_label_of_each_text_counts() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(distribution(dir.path()).unwrap(), Distribution::default());
        let events = [("a", "x", 0.9), ("b", "y", 0.3), ("c", "y", 0.5), ("a", "z", 0.4999), ("d", "y", 0.5)];
        let line = |((id, label, confidence), offset): ((&str, &str, f64), u64)| {
            let event = LabelEvent { confidence, ..LabelEvent::plain(offset, id, label) };
            event.to_line()
        };
        let log: String = events.into_iter().zip(0..).map(line).collect();
        std::fs::write(dir.path().join("labels.jsonl"), log).unwrap();
        let labels = vec![("y".to_owned(), 3), ("z".to_owned(), 1)];
        assert_eq!(distribution(dir.path()).unwrap(), Distribution { texts: 4, doubtful: 2, labels });
    }
}
