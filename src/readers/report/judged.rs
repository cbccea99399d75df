//! The run's labels beside the right ones, where those are known: shares with their intervals, by teacher, by confidence, by label, and
//! along the stream.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::rows::{CORRECTED, COVERED, NONE, Row, Rows};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Sample, TextHash};
use crate::error::Result;
use crate::readers::audit::Share;
use crate::readers::confusion::{Details, Pairs};
use crate::readers::gold::GoldLabels;
use crate::readers::statistics::Calibration;

/// Bins of a reliability diagram, equally wide.
pub(super) const BINS: usize = 10;
/// Points of a curve along the stream, at most.
const POINTS: usize = 24;
/// Texts that a point stands for, at least.
const LEAST: usize = 25;
/// Texts from which on the interval of a share is computed by the normal approximation (Wilson): there it is the exact one, to three digits,
/// which takes as long as there are texts.
const MANY: u64 = 4000;

/// The right labels, by the hash of their text's id.
#[derive(Debug, Default)]
pub(super) struct Gold {
    path: PathBuf,
    /// With the text, where the label is of that text and not of whatever has its id.
    labels: HashMap<TextHash, (u16, Option<TextHash>)>,
}

impl Gold {
    /// Reads all of them.
    pub(super) fn read(gold: GoldLabels<'_>, labels: &LabelSet) -> Result<Self> {
        let mut read = Self { path: gold.path(), ..Self::default() };
        gold.read(labels, |id, text, label| {
            read.labels.insert(TextHash::of(id), (label.0, text.map(TextHash::of)));
        })?;
        Ok(read)
    }

    /// The right label of `sample`.
    pub(super) fn label(&self, sample: &Sample) -> Option<LabelId> {
        let (label, text) = self.labels.get(&TextHash::of(&sample.id.0))?;
        text.is_none_or(|text| text == TextHash::of(&sample.text)).then_some(LabelId(*label))
    }

    /// How many there are.
    pub(super) fn texts(&self) -> u64 {
        self.labels.len() as u64
    }

    /// Where they are from.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    #[cfg(test)]
    pub(super) fn of(labels: &[(&str, u16)]) -> Self {
        let labels = labels.iter().map(|(id, label)| (TextHash::of(id), (*label, None))).collect();
        Self { path: PathBuf::new(), labels }
    }
}

/// How good labels are.
#[derive(Debug)]
pub(super) struct Judged {
    /// Texts with a right label, and of these, texts with one of the run.
    pub(super) gold: u64,
    pub(super) texts: u64,
    /// Of these, texts whose label a person gave.
    pub(super) corrected: u64,
    /// Whose distilled label is right, whose first candidate is, whose candidates hold the right one.
    pub(super) distilled: Share,
    pub(super) first: Share,
    pub(super) covered: Share,
    /// Share whose first label of the run was right.
    pub(super) earliest: f64,
    /// Of each teacher, how often its first label is right where it named one; `None` where it named none.
    pub(super) teachers: Vec<Option<Share>>,
    /// Of the confidences (ECE, 15 bins).
    pub(super) calibration_error: f64,
    pub(super) reliability: Vec<Bin>,
    pub(super) details: Details,
    /// Along the stream.
    pub(super) curve: Vec<Point>,
}

/// Labels of about the same confidence.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Bin {
    pub(super) texts: u64,
    pub(super) right: u64,
    /// Sum of their confidences.
    pub(super) confidence: f64,
}

/// A part of the stream, in texts that have a right label.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point {
    /// Texts that had come by its end.
    pub(super) texts: u64,
    /// Share whose first label was right, and whose label is.
    pub(super) first: f64,
    pub(super) now: f64,
}

/// A share with its 95% interval.
pub(super) fn share_of(right: u64, all: u64) -> Share {
    if all < MANY {
        return Share::of(right, all);
    }
    // Wilson 1927, with z = 1.96.
    let (n, p, z2) = (all as f64, right as f64 / all as f64, 1.96_f64 * 1.96);
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = (p * (1.0 - p) / n * z2 + z2 * z2 / (4.0 * n * n)).sqrt() / (1.0 + z2 / n);
    Share { estimate: p, low: middle - half, high: middle + half }
}

/// The diagram of confidences and whether they were right.
pub(super) fn reliability(judged: impl IntoIterator<Item = (f64, bool)>) -> Vec<Bin> {
    let mut bins = vec![Bin::default(); BINS];
    for (confidence, is_right) in judged {
        // By the four decimals of the log; the last bin takes 1 too.
        let place = ((confidence * 10_000.0).round() as usize / (10_000 / BINS)).min(BINS - 1);
        if let Some(bin) = bins.get_mut(place) {
            bin.texts += 1;
            bin.right += u64::from(is_right);
            bin.confidence += confidence;
        }
    }
    bins
}

impl Judged {
    /// Of `rows`, where any has a right label. `gold` are all that are known, of other texts too.
    pub(super) fn new(rows: &Rows, gold: &Gold, labels: &LabelSet) -> Self {
        let judged: Vec<&Row> = rows.all().iter().filter(|row| is_judged(row)).collect();
        let texts = judged.len() as u64;
        let share = |is: &dyn Fn(&Row) -> bool| share_of(judged.iter().filter(|row| is(row)).count() as u64, texts);
        let (mut calibration, mut pairs) = (Calibration::default(), Pairs::default());
        for row in &judged {
            calibration.add(confidence(row), row.label == row.gold);
            pairs.add(LabelId(row.gold), LabelId(row.label));
        }
        Self {
            gold: gold.texts(),
            texts,
            corrected: judged.iter().filter(|row| row.has(CORRECTED)).count() as u64,
            distilled: share(&|row| row.label == row.gold),
            first: share(&|row| row.top == row.gold),
            covered: share(&|row| row.has(COVERED)),
            earliest: share(&|row| row.earliest == row.gold).estimate,
            teachers: teachers(rows),
            calibration_error: calibration.error(),
            reliability: reliability(judged.iter().map(|row| (confidence(row), row.label == row.gold))),
            details: pairs.details(labels),
            curve: curve(rows),
        }
    }
}

fn is_judged(row: &Row) -> bool {
    row.gold != NONE && row.is_labelled()
}

/// As the log has it: the shortest decimal of an f32, which is short as an f64 only by way of rounding.
fn confidence(row: &Row) -> f64 {
    (f64::from(row.confidence) * 10_000.0).round() / 10_000.0
}

fn teachers(rows: &Rows) -> Vec<Option<Share>> {
    let mut counts: Vec<(u64, u64)> = Vec::new();
    for (_, row, firsts) in rows.with_firsts().filter(|(_, row, _)| is_judged(row)) {
        counts.resize(firsts.len(), (0, 0));
        for (first, (right, all)) in firsts.iter().zip(&mut counts).filter(|(first, _)| **first != NONE) {
            *all += 1;
            *right += u64::from(*first == row.gold);
        }
    }
    counts.into_iter().map(|(right, all)| (all > 0).then(|| share_of(right, all))).collect()
}

/// Parts of as many texts with a right label each; none where there are too few for two.
fn curve(rows: &Rows) -> Vec<Point> {
    let judged: Vec<(u64, &Row)> = (1..).zip(rows.all()).filter(|(_, row)| is_judged(row)).collect();
    let points = (judged.len() / LEAST).min(POINTS);
    if points < 2 {
        return Vec::new();
    }
    let ends = (0..=points).map(|point| point * judged.len() / points).collect::<Vec<_>>();
    let part = |pair: &[usize]| {
        let &[from, to] = pair else { return None };
        let part = judged.get(from..to)?;
        let share = |is: fn(&Row) -> bool| part.iter().filter(|(_, row)| is(row)).count() as f64 / part.len() as f64;
        let (first, now) = (share(|row| row.earliest == row.gold), share(|row| row.label == row.gold));
        Some(Point { texts: part.last()?.0, first, now })
    };
    ends.windows(2).filter_map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{four, labels};
    use super::*;

    #[test]
    fn the_figures_by_hand() {
        let gold = Gold::of(&[("a", 0), ("b", 1), ("c", 0), ("e", 0)]);
        let judged = Judged::new(&four(), &gold, &labels());
        assert_eq!((judged.gold, judged.texts, judged.corrected), (4, 3, 0));
        let near = |share: Share, expected: f64| (share.estimate - expected).abs() < 1e-9;
        assert!(near(judged.distilled, 2.0 / 3.0) && near(judged.first, 1.0 / 3.0) && near(judged.covered, 1.0 / 3.0));
        assert!((judged.earliest - 1.0 / 3.0).abs() < 1e-9);
        assert!(judged.distilled.low < 0.2 && judged.distilled.high > 0.98);
        let [Some(one), Some(two)] = judged.teachers.as_slice() else { panic!("{:?}", judged.teachers) };
        // The second teacher named nothing of c.
        assert!(near(*one, 1.0 / 3.0) && near(*two, 0.0));
        // 0.9 right, 0.5 wrong, 0.7 right.
        assert!((judged.calibration_error - (0.1 + 0.5 + 0.3) / 3.0).abs() < 1e-6, "{}", judged.calibration_error);
        let bins: Vec<(usize, u64, u64)> =
            judged.reliability.iter().enumerate().map(|(at, bin)| (at, bin.texts, bin.right)).collect();
        assert_eq!(bins.iter().filter(|bin| bin.1 > 0).copied().collect::<Vec<_>>(), [(5, 1, 0), (7, 1, 1), (9, 1, 1)]);
        assert_eq!((judged.curve, judged.details.confusions.len()), (vec![], 1));
    }

    #[test]
    fn a_curve_has_parts_of_as_many_texts() {
        let labels = labels();
        let ids: Vec<String> = (0..60).map(|text| text.to_string()).collect();
        let gold = Gold::of(&ids.iter().map(|id| (id.as_str(), 0)).collect::<Vec<_>>());
        let (mut rows, mut people) = (Rows::new(2), super::super::people::People::default());
        for (position, id) in (0..).zip(&ids) {
            use super::super::rows::tests::{arrive, event};
            rows.take_input(&arrive(position, id, [&[0], &[0]]), Some(&gold), &mut people);
            // The first half is wrong at first.
            let first = if position < 30 { "y" } else { "x" };
            rows.take_event(&event(id, first, 0.5, false), &labels);
        }
        ids.iter().for_each(|id| {
            rows.take_event(&super::super::rows::tests::event(id, "x", 0.5, true), &labels);
        });
        let point = |texts, first| Point { texts, first, now: 1.0 };
        assert_eq!(curve(&rows), [point(30, 0.0), point(60, 1.0)]);
    }

    #[test]
    fn an_interval_of_many_is_the_exact_one() {
        let (exact, quick) = (Share::of(4500, 5000), share_of(4500, 5000));
        assert!((exact.low - quick.low).abs() < 5e-4 && (exact.high - quick.high).abs() < 5e-4, "{exact:?} {quick:?}");
        assert_eq!(share_of(9, 10), Share::of(9, 10));
    }
}
