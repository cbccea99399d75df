//! Which rows go into a table.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::row::{Held, Row};
use crate::domain::label::LabelId;

/// Which labels are wanted. All must hold; a text without a label has none that is wanted.
#[derive(Debug, Clone, Default)]
pub(super) struct Filter {
    /// At least this confidence.
    pub(super) least: Option<f64>,
    /// At most this confidence.
    pub(super) most: Option<f64>,
    /// One of these labels; any where there are none.
    pub(super) labels: Vec<LabelId>,
}

impl Filter {
    /// Whether it lets everything through, texts without a label too.
    pub(super) fn is_open(&self) -> bool {
        self.least.is_none() && self.most.is_none() && self.labels.is_empty()
    }

    pub(super) fn takes(&self, label: Option<Held>) -> bool {
        let Some(held) = label else { return self.is_open() };
        // As it is written: who filters a table by the same number gets the same rows.
        let confidence = held.confidence();
        self.least.is_none_or(|least| confidence >= least)
            && self.most.is_none_or(|most| confidence <= most)
            && (self.labels.is_empty() || self.labels.contains(&held.label))
    }
}

/// The rows whose labels are least certain. Holds no more rows than it gives.
#[derive(Debug)]
pub(super) struct Doubtful {
    most: usize,
    /// The most certain of them on top.
    rows: BinaryHeap<Doubted>,
    seen: u64,
}

/// A row in the order of certainty; of equal ones that which came first is less certain.
#[derive(Debug)]
struct Doubted {
    confidence: f64,
    /// An audit gives many labels one confidence: then that of the log decides.
    raw: f64,
    number: u64,
    row: Row,
}

impl Doubtful {
    /// The `most` least certain.
    pub(super) fn new(most: usize) -> Self {
        Self { most, rows: BinaryHeap::new(), seen: 0 }
    }

    /// A row without a label is nothing to doubt.
    pub(super) fn take(&mut self, row: Row) {
        let Some(held) = row.label else { return };
        let (confidence, raw) = (held.confidence(), held.raw_confidence());
        self.seen += 1;
        self.rows.push(Doubted { confidence, raw, number: self.seen, row });
        if self.rows.len() > self.most {
            self.rows.pop();
        }
    }

    /// They, the least certain first.
    pub(super) fn into_rows(self) -> impl Iterator<Item = Row> {
        self.rows.into_sorted_vec().into_iter().map(|doubted| doubted.row)
    }
}

impl Ord for Doubted {
    fn cmp(&self, other: &Self) -> Ordering {
        let raw = self.raw.total_cmp(&other.raw);
        self.confidence.total_cmp(&other.confidence).then(raw).then(self.number.cmp(&other.number))
    }
}

impl PartialOrd for Doubted {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Doubted {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Doubted {}

#[cfg(test)]
mod tests {
    use super::super::row::Others;
    use super::*;
    use proptest::prelude::*;

    fn row(id: usize, confidence: f64) -> Row {
        let label =
            Some(Held::new(LabelId(u16::try_from(id % 2).unwrap()), 0, false, confidence, None, Others::new(None)));
        Row { id: id.to_string(), text: None, label, candidates: vec![], fields: vec![] }
    }

    #[test]
    fn filters_hold_together_and_leave_out_what_has_no_label() {
        let label = row(0, 0.7).label;
        let filter = |least, most, labels: &[u16]| Filter {
            least,
            most,
            labels: labels.iter().map(|&label| LabelId(label)).collect(),
        };
        assert!(Filter::default().takes(None) && Filter::default().takes(label));
        assert!(!filter(Some(0.0), None, &[]).takes(None));
        assert!(filter(Some(0.7), Some(0.7), &[1, 0]).takes(label));
        assert!(!filter(Some(0.71), None, &[]).takes(label));
        assert!(!filter(None, Some(0.69), &[]).takes(label));
        assert!(!filter(Some(0.7), Some(0.7), &[1]).takes(label));
    }

    proptest! {
        #[test]
        fn the_least_certain_come_first(confidences in prop::collection::vec(0..20_u32, 0..50), most in 0..60_usize) {
            let rows: Vec<Row> = confidences.iter().enumerate().map(|(id, &c)| row(id, f64::from(c) / 20.0)).collect();
            let mut doubtful = Doubtful::new(most);
            rows.iter().cloned().for_each(|row| doubtful.take(row));
            let found: Vec<String> = doubtful.into_rows().map(|row| row.id).collect();
            let mut expected = rows;
            // A stable sort: of equal ones the first comes first.
            expected.sort_by(|a, b| a.label.unwrap().confidence().total_cmp(&b.label.unwrap().confidence()));
            expected.truncate(most);
            prop_assert_eq!(found, expected.into_iter().map(|row| row.id).collect::<Vec<_>>());
        }
    }
}
