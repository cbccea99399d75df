//! The texts counted: by label, by confidence, by candidates, and beside each teacher's first label.

use std::collections::BTreeMap;

use super::rows::{ALONE, CORRECTED, FAILED, FINAL, NONE, Row, Rows};
use crate::readers::distribution::DOUBTFUL;

/// Bins of confidences, each 0.05 wide.
pub(super) const BINS: usize = 20;
/// Pairs of labels that are told of a teacher, at most.
const PAIRS: usize = 8;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) texts: u64,
    pub(super) labelled: u64,
    pub(super) finals: u64,
    pub(super) corrected: u64,
    /// Texts that no teacher named a label for.
    pub(super) failed: u64,
    /// Texts whose label is the student's alone.
    pub(super) alone: u64,
    /// Texts whose label has a confidence below [`DOUBTFUL`].
    pub(super) doubtful: u64,
    confidence: f64,
    pub(super) confidences: [u64; BINS],
    /// Texts by the number of their candidates.
    pub(super) sizes: Vec<u64>,
    /// Every label of the task, in its order.
    pub(super) labels: Vec<LabelCount>,
    /// In the order of the run.
    pub(super) teachers: Vec<TeacherCount>,
}

/// Texts of one label.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct LabelCount {
    pub(super) texts: u64,
    pub(super) corrected: u64,
    confidence: f64,
}

impl LabelCount {
    /// Mean confidence; `None` where there are no texts.
    pub(super) fn confidence(&self) -> Option<f64> {
        (self.texts > 0).then(|| self.confidence / self.texts as f64)
    }
}

/// A teacher's first labels beside the texts' labels.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct TeacherCount {
    /// Texts that have a label, and that it named one for.
    pub(super) answered: u64,
    /// Of these, texts whose label is its first.
    pub(super) agrees: u64,
    /// The most frequent of the others: its first label, the text's label, texts.
    pub(super) pairs: Vec<(u16, u16, u64)>,
}

impl Counts {
    /// Counts `rows`, of a task with so many labels.
    pub(super) fn of(rows: &Rows, labels: usize, teachers: usize) -> Self {
        let mut counts = Self { labels: vec![LabelCount::default(); labels], ..Self::default() };
        counts.teachers = vec![TeacherCount::default(); teachers];
        let mut pairs: Vec<BTreeMap<(u16, u16), u64>> = vec![BTreeMap::new(); teachers];
        for (_, row, firsts) in rows.with_firsts() {
            counts.add(row);
            let named = firsts.iter().zip(counts.teachers.iter_mut().zip(&mut pairs));
            for (&first, (teacher, pairs)) in named.filter(|(first, _)| **first != NONE && row.is_labelled()) {
                teacher.answered += 1;
                teacher.agrees += u64::from(first == row.label);
                if first != row.label {
                    *pairs.entry((first, row.label)).or_default() += 1;
                }
            }
        }
        for (teacher, pairs) in counts.teachers.iter_mut().zip(pairs) {
            teacher.pairs = pairs.into_iter().map(|((first, label), texts)| (first, label, texts)).collect();
            // Stable: of as many, in the task's order.
            teacher.pairs.sort_by_key(|(.., texts)| std::cmp::Reverse(*texts));
            teacher.pairs.truncate(PAIRS);
        }
        while counts.sizes.last() == Some(&0) {
            counts.sizes.pop();
        }
        counts
    }

    fn add(&mut self, row: &Row) {
        self.texts += 1;
        self.failed += u64::from(row.has(FAILED));
        self.sizes.resize(256, 0);
        bump(&mut self.sizes, row.size.into());
        if !row.is_labelled() {
            return;
        }
        let confidence = f64::from(row.confidence);
        self.labelled += 1;
        self.finals += u64::from(row.has(FINAL));
        self.corrected += u64::from(row.has(CORRECTED));
        self.alone += u64::from(row.has(ALONE));
        self.doubtful += u64::from(confidence < DOUBTFUL);
        self.confidence += confidence;
        // By its four decimals: 0.15 is in the bin that begins there, whatever a float makes of it.
        bump(&mut self.confidences, ((confidence * 10_000.0).round() as usize / (10_000 / BINS)).min(BINS - 1));
        if let Some(label) = self.labels.get_mut(usize::from(row.label)) {
            label.texts += 1;
            label.corrected += u64::from(row.has(CORRECTED));
            label.confidence += confidence;
        }
    }

    /// Mean confidence of the labels.
    pub(super) fn confidence(&self) -> f64 {
        self.confidence / self.labelled.max(1) as f64
    }

    /// The labels' numbers, the most frequent first.
    pub(super) fn by_frequency(&self) -> Vec<u16> {
        let mut labels: Vec<(u16, u64)> = (0..).zip(self.labels.iter().map(|label| label.texts)).collect();
        // Stable: of as many, in the task's order.
        labels.sort_by_key(|(_, texts)| std::cmp::Reverse(*texts));
        labels.into_iter().map(|(label, _)| label).collect()
    }

    /// That of a label.
    pub(super) fn label(&self, label: u16) -> LabelCount {
        self.labels.get(usize::from(label)).copied().unwrap_or_default()
    }
}

fn bump(counts: &mut [u64], at: usize) {
    if let Some(count) = counts.get_mut(at) {
        *count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::four;
    use super::*;

    #[test]
    fn the_counts_by_hand() {
        let counts = Counts::of(&four(), 3, 2);
        assert_eq!((counts.texts, counts.labelled, counts.finals, counts.failed, counts.alone), (4, 4, 1, 1, 1));
        assert_eq!((counts.corrected, counts.doubtful, counts.sizes.clone()), (0, 1, vec![1, 1, 2]));
        assert!((counts.confidence() - (0.9 + 0.5 + 0.7 + 0.3) / 4.0).abs() < 1e-6);
        let bins: Vec<usize> = (0..BINS).filter(|bin| counts.confidences[*bin] > 0).collect();
        assert_eq!(bins, [6, 10, 14, 18]);
        assert_eq!(counts.labels.iter().map(|label| label.texts).collect::<Vec<_>>(), [2, 0, 2]);
        assert_eq!((counts.by_frequency(), counts.label(1).confidence()), (vec![0, 2, 1], None));
        let [one, two] = counts.teachers.as_slice() else { panic!() };
        assert_eq!((one.answered, one.agrees, one.pairs.clone()), (3, 1, vec![(0, 2, 1), (1, 0, 1)]));
        assert_eq!((two.answered, two.agrees, two.pairs.clone()), (2, 0, vec![(0, 2, 1), (1, 0, 1)]));
    }
}
