//! What the page's overview counts, kept up as rows change: a row's share is taken out before it changes and put in after.

use super::rows::{CORRECTED, FAILED, FINAL, NO_LABEL, Row};

/// Bins of confidences, each 0.05 wide.
pub(super) const BINS: usize = 20;
/// Parts that a probability of 1 has: a confidence has four decimals.
pub(super) const UNITS: i64 = 10_000;
/// Points of a curve over the stream, at most.
const POINTS: usize = 60;
/// Texts that a point stands for at first.
const FIRST_WIDTH: u64 = 16;

/// Counters over all rows.
#[derive(Debug, Clone)]
pub(super) struct Counts {
    pub(super) labelled: i64,
    pub(super) finals: i64,
    pub(super) corrected: i64,
    pub(super) failed: i64,
    /// Texts by label.
    pub(super) labels: Vec<i64>,
    pub(super) confidences: [i64; BINS],
    /// Of all labels, in parts of [`UNITS`]: whole numbers, so that what is taken out is exactly what was put in.
    pub(super) confidence: i64,
    /// Texts by the number of their candidates; the last counts larger ones too.
    pub(super) sizes: Vec<i64>,
    /// Texts by where their label comes from.
    pub(super) by: Vec<i64>,
    /// For each teacher, texts it named a label for that have one, and of these those whose label is its first.
    pub(super) agreement: Vec<(i64, i64)>,
}

impl Counts {
    /// Of no row.
    pub(super) fn new(labels: usize, teachers: usize) -> Self {
        Self {
            labelled: 0,
            finals: 0,
            corrected: 0,
            failed: 0,
            labels: vec![0; labels],
            confidences: [0; BINS],
            confidence: 0,
            sizes: vec![0; usize::from(u8::MAX) + 1],
            by: Vec::new(),
            agreement: vec![(0, 0); teachers],
        }
    }

    /// Adds `row` `times`: once, or once less. `firsts` are its teachers' first labels.
    pub(super) fn add(&mut self, row: &Row, firsts: &[u16], times: i64) {
        let flag = |flag: u8| if row.flags & flag == 0 { 0 } else { times };
        self.failed += flag(FAILED);
        bump(&mut self.sizes, usize::from(row.size), times);
        if row.label == NO_LABEL {
            return;
        }
        self.labelled += times;
        self.finals += flag(FINAL);
        self.corrected += flag(CORRECTED);
        bump(&mut self.labels, usize::from(row.label), times);
        bump(&mut self.confidences, bin(row.confidence), times);
        self.confidence += units(row.confidence) * times;
        let by = usize::from(row.by);
        if self.by.len() <= by {
            self.by.resize(by + 1, 0);
        }
        bump(&mut self.by, by, times);
        for (first, (answered, agrees)) in firsts.iter().zip(&mut self.agreement) {
            *answered += if *first == NO_LABEL { 0 } else { times };
            *agrees += if *first == row.label { times } else { 0 };
        }
    }
}

fn bump(counts: &mut [i64], at: usize, times: i64) {
    if let Some(count) = counts.get_mut(at) {
        *count += times;
    }
}

/// A confidence by its four decimals, which are all that the log has: 0.15 is 1,500, whatever a float makes of it.
fn units(confidence: f32) -> i64 {
    (confidence * UNITS as f32).round() as i64
}

/// The bin of a confidence: 0.15 is in the one that begins there.
fn bin(confidence: f32) -> usize {
    (usize::try_from(units(confidence)).unwrap_or_default() / (UNITS as usize / BINS)).min(BINS - 1)
}

/// How many labels changed while the first, the second, ... part of the texts got theirs. The parts grow with the stream,
/// so that there are never many.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    width: u64,
    changed: Vec<u64>,
}

impl Default for Changes {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, changed: Vec::new() }
    }
}

impl Changes {
    /// A text that has a label got another, when `labelled` texts had one.
    pub(super) fn note(&mut self, labelled: u64) {
        // The text that makes a part full is in it.
        let place = |width: u64| usize::try_from(labelled.saturating_sub(1) / width).unwrap_or(usize::MAX);
        while place(self.width) >= POINTS {
            self.width *= 2;
            self.changed = self.changed.chunks(2).map(|pair| pair.iter().sum()).collect();
        }
        let place = place(self.width);
        if self.changed.len() <= place {
            self.changed.resize(place + 1, 0);
        }
        if let Some(count) = self.changed.get_mut(place) {
            *count += 1;
        }
    }

    /// Of each part that there is, up to how many labelled texts it goes, and how many labels changed in it.
    pub(super) fn points(&self, labelled: u64) -> Vec<(u64, u64)> {
        let parts =
            usize::try_from(labelled.div_ceil(self.width)).unwrap_or(POINTS).min(POINTS).max(self.changed.len());
        let changed = self.changed.iter().copied().chain(std::iter::repeat(0));
        let end = |part: u64| ((part + 1) * self.width).min(labelled.max(1));
        (0..).zip(changed).take(parts).map(|(part, changed)| (end(part), changed)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidences_fall_into_bins_by_their_decimals() {
        let cases = [(0.0, 0), (0.0499, 0), (0.05, 1), (0.15, 3), (0.35, 7), (0.9499, 18), (0.95, 19), (1.0, 19)];
        for (confidence, expected) in cases {
            assert_eq!(bin(confidence), expected, "{confidence}");
        }
    }

    #[test]
    fn what_is_taken_out_leaves_nothing_behind() {
        let mut counts = Counts::new(3, 2);
        let row = Row { label: 1, confidence: 0.5, flags: FINAL | FAILED, size: 2, by: 1, ..Row::default() };
        counts.add(&row, &[1, NO_LABEL], 1);
        assert_eq!((counts.labelled, counts.finals, counts.failed, counts.corrected), (1, 1, 1, 0));
        assert_eq!((counts.agreement.clone(), counts.by.clone()), (vec![(1, 1), (0, 0)], vec![0, 1]));
        counts.add(&row, &[1, NO_LABEL], -1);
        assert!(counts.labels.iter().chain(&counts.sizes).chain(&counts.confidences).all(|count| *count == 0));
        assert_eq!((counts.agreement, counts.confidence), (vec![(0, 0), (0, 0)], 0));
    }

    #[test]
    fn confidences_add_up_exactly_however_often_they_change() {
        let mut counts = Counts::new(3, 0);
        let row = |confidence| Row { label: 1, confidence, ..Row::default() };
        let confidences = [0.0001_f32, 0.1, 0.3333, 0.7, 0.9999, 1.0];
        for round in 0..100_000 {
            let (before, after) = (confidences[round % 6], confidences[(round + 1) % 6]);
            if round > 0 {
                counts.add(&row(before), &[], -1);
            }
            counts.add(&row(after), &[], 1);
        }
        // After 100,000 rounds the label has the confidence at 100,000 mod 6, and nothing else is left in the sum.
        assert_eq!((counts.labelled, counts.confidence), (1, 9999));
        // A text without a label has no confidence to count.
        counts.add(&Row { confidence: 0.5, ..Row::default() }, &[], 1);
        assert_eq!((counts.labelled, counts.confidence), (1, 9999));
    }

    #[test]
    fn a_curve_over_the_stream_has_few_points_and_loses_nothing() {
        let mut changes = Changes::default();
        for labelled in 1..=10_000 {
            changes.note(labelled);
        }
        let points = changes.points(10_000);
        assert!(points.len() <= POINTS);
        assert_eq!(points.iter().map(|(_, changed)| changed).sum::<u64>(), 10_000);
        assert_eq!(points.last().unwrap().0, 10_000);
        assert_eq!(Changes::default().points(0), []);
        assert_eq!(Changes::default().points(20), [(16, 0), (20, 0)]);
    }
}
