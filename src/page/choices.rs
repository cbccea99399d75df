//! The labels that somebody who audits a text chooses from: the likely ones among others, in an order that says nothing of which is which.
//!
//! Few labels are all there, as the task has them, for every text. Of many there are as many as there are keys, for every text: the label of
//! the run, the next likeliest and what teachers named, and others by chance where these are fewer, for a single candidate would be a
//! suggestion, and their number would tell how sure the run is. The order follows from seed, id and label, so it is the same each time.

use super::shapes::ShownRow;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::short_hash;

/// As many as keys.
const MOST: usize = 9;

/// Those of the text that `row` shows.
pub(super) fn choices(row: &ShownRow, labels: &LabelSet, seed: u64) -> Vec<String> {
    if labels.len() <= MOST {
        return labels.iter().map(|label| label.name.clone()).collect();
    }
    let hash = |what: &[u8]| short_hash(&[b"choices", &seed.to_le_bytes(), row.id.as_bytes(), what]);
    let others = row.others.iter().map(|other| &other.label);
    let mut choices: Vec<String> = Vec::new();
    for label in row.label.iter().chain(others).chain(&row.candidates) {
        if choices.len() < MOST && !choices.contains(label) {
            choices.push(label.clone());
        }
    }
    // More labels than choices: it comes to an end.
    let mut number = 0_u64;
    while choices.len() < MOST {
        let [a, b, ..] = hash(&number.to_le_bytes());
        let place = (usize::from(a) << 8 | usize::from(b)) % labels.len();
        let name = u16::try_from(place).map(|place| labels.name(LabelId(place))).unwrap_or_default();
        if !choices.iter().any(|choice| choice == name) {
            choices.push(name.to_owned());
        }
        number += 1;
    }
    choices.sort_by_cached_key(|choice| hash(choice.as_bytes()));
    choices
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::Other;
    use crate::domain::label::Label;

    fn labels(count: usize) -> LabelSet {
        let label = |number| Label { name: format!("label {number}"), description: None, aliases: Vec::new() };
        LabelSet::new((0..count).map(label).collect()).unwrap()
    }

    fn row(id: &str, label: usize, others: &[usize], candidates: &[usize]) -> ShownRow {
        let name = |number: &usize| format!("label {number}");
        ShownRow {
            position: 0,
            id: id.to_owned(),
            text_hash: String::new(),
            text: String::new(),
            cut: false,
            label: Some(name(&label)),
            confidence: Some(0.9),
            margin: None,
            others: others.iter().map(|other| Other { label: name(other), confidence: 0.1 }).collect(),
            candidates: candidates.iter().map(name).collect(),
            by: None,
            is_final: true,
            revision: 0,
            corrected: false,
            failed: false,
            audited: true,
        }
    }

    #[test]
    fn the_likely_labels_are_among_the_choices_wherever() {
        let (labels, mut places) = (labels(77), [0; MOST]);
        for id in 0..900 {
            let choices = choices(&row(&id.to_string(), 3, &[4], &[3]), &labels, 1);
            assert_eq!(choices.len(), MOST);
            assert!(choices.contains(&"label 4".to_owned()));
            places[choices.iter().position(|choice| choice == "label 3").unwrap()] += 1;
        }
        // Each place as likely as any other: 100, give or take four standard deviations.
        assert!(places.iter().all(|count| (64..136).contains(count)), "{places:?}");
        let of = |seed| choices(&row("x", 3, &[4, 5, 6, 7], &[8, 9, 10, 11, 12]), &labels, seed);
        assert_eq!((of(1).len(), of(1)), (MOST, of(1)));
        assert_ne!(of(1), of(2));
    }

    #[test]
    fn few_labels_are_all_there_in_the_order_of_the_task() {
        let all: Vec<String> = (0..9).map(|number| format!("label {number}")).collect();
        assert_eq!(choices(&row("x", 3, &[], &[]), &labels(9), 1), all);
    }
}
