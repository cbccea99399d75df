//! What a person should look at next: texts with a label that nobody has corrected and no audit has drawn, in an order that makes the time worth
//! most, or none at all.

use serde::Deserialize;

use super::query::{Query, Sort, order};
use super::rows::{CORRECTED, Table};

/// Rows of a queue that are given, at most.
pub(super) const MOST_ROWS: usize = 200;

/// What comes first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    /// The least sure labels.
    #[default]
    Doubtful,
    /// Any text as likely as any other.
    Random,
    /// Only labels that are not what every teacher named first, the least sure ones first.
    Disagree,
    /// Only texts with the label that is named, the least sure ones first.
    Label,
}

/// What a queue is asked for by.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Wanted {
    pub(super) order: Order,
    pub(super) label: Option<String>,
    /// Rows that are passed over.
    pub(super) offset: usize,
    pub(super) limit: Option<usize>,
    pub(super) seed: u64,
}

impl Wanted {
    /// The part of the queue that is asked for.
    pub(super) fn page<'a>(&self, queue: &'a [u32]) -> &'a [u32] {
        let begin = self.offset.min(queue.len());
        let end = begin.saturating_add(self.limit.unwrap_or(50).min(MOST_ROWS)).min(queue.len());
        queue.get(begin..end).unwrap_or_default()
    }
}

/// The queue: positions, all of them.
///
/// # Errors
///
/// A sentence that says what to do, where the label is missing.
pub(super) fn queue(table: &Table, wanted: &Wanted) -> Result<Vec<u32>, String> {
    let label = wanted.label.clone().filter(|label| !label.is_empty());
    if wanted.order == Order::Label && label.is_none() {
        return Err("name the label: order=label&label=NAME".to_owned());
    }
    let disagree = (wanted.order == Order::Disagree).then_some(true);
    let query = Query { sort: Sort::Confidence, label, disagree, ..Query::default() };
    let mut queue = order(table, &query, None);
    // What is audited is not corrected.
    queue.retain(|&position| {
        table.row(position).is_some_and(|row| row.is_labelled() && !row.has(CORRECTED))
            && !table.sampled.contains(&position)
    });
    if wanted.order == Order::Random {
        // The same seed gives the same order, whatever arrives or is corrected meanwhile.
        queue.sort_by_cached_key(|&position| drawn(wanted.seed, position));
    }
    Ok(queue)
}

fn drawn(seed: u64, position: u32) -> u64 {
    let mut bytes = [0; 12];
    let key = seed.to_le_bytes().into_iter().chain(position.to_le_bytes());
    bytes.iter_mut().zip(key).for_each(|(to, from)| *to = from);
    xxhash_rust::xxh3::xxh3_64(&bytes)
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{arrive, event, names};
    use super::*;
    use crate::domain::event::By;

    #[test]
    fn a_queue_has_what_nobody_corrected_in_its_order() {
        let mut table = Table::new("task".into(), names());
        for position in 0..40 {
            let id = position.to_string();
            table.take_input(&arrive(position, &id, [Some((position % 2) as u16), None]), 0).unwrap();
            if position < 30 {
                table.take_label(&event(position, &id, "x", 1.0 - position as f64 / 100.0), 0).unwrap();
            }
        }
        let mut corrected = event(30, "29", "y", 1.0);
        corrected.by = By::Person;
        table.take_label(&corrected, 0).unwrap();
        table.sampled.insert(7);
        let get = |wanted: &Wanted| queue(&table, wanted).unwrap();
        let doubtful = get(&Wanted::default());
        assert_eq!((doubtful.len(), doubtful[..3].to_vec()), (28, vec![28, 27, 26]));
        let disagree = get(&Wanted { order: Order::Disagree, ..Wanted::default() });
        assert_eq!(
            disagree,
            (0..29).rev().filter(|position| position % 2 == 1 && *position != 7).collect::<Vec<u32>>()
        );
        let random = |seed| get(&Wanted { order: Order::Random, seed, ..Wanted::default() });
        assert_eq!(random(1), random(1));
        assert!(random(1) != random(2) && random(1) != doubtful);
        let mut sorted = random(1);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..29).filter(|position| *position != 7).collect::<Vec<_>>());
        assert!(queue(&table, &Wanted { order: Order::Label, ..Wanted::default() }).is_err());
        let none = Wanted { order: Order::Label, label: Some("y".into()), ..Wanted::default() };
        assert!(get(&none).is_empty());
    }
}
