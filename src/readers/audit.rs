//! The audit: a random sample of final labels for a person to label, and what follows from it.
//!
//! A small sample gives what no amount of unlabelled data can: an unbiased estimate of the accuracy, which of several runs
//! is best, and a confidence from which on labels can be relied on.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::sample::Sample;
use crate::error::Result;
use crate::readers::audited::{Audited, AuditedSets, Calibrated};
use crate::readers::drawing::drawing;
use crate::readers::population::Population;
use crate::readers::statistics::{interval, upper_bound};
use crate::store::RunDir;

/// Shares of the most confident labels whose error is tested, in this order.
const SHARES: u64 = 20;

/// A text for a person to label. The machine's label is left out: it would be agreed with too easily.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ToLabel {
    /// The sample's id.
    pub id: String,
    /// The text.
    pub text: String,
    /// The right label, to be filled in; one of the task's.
    pub gold: Option<String>,
}

/// Draws `count` of the labels of the run in `dir`, each with the same chance, without repetition; of the texts that were there when the
/// corpus last ended. The same seed
/// draws the same, and more of it begin with the same; all of them if there are fewer.
///
/// # Errors
///
/// [`Error::NoRun`](crate::Error::NoRun) where there is no run; [`Error::Unfit`](crate::Error::Unfit) where no label is final yet.
pub fn draw(dir: &Path, count: usize, seed: u64) -> Result<Vec<ToLabel>> {
    let to_label = |sample: Sample| ToLabel { id: sample.id.0, text: sample.text, gold: None };
    // In the order of the draw, which is random too: who labels the first half only has labelled a random sample.
    let view = RunDir::view(dir)?;
    Ok(drawing(&view, &Population::now(&view)?, (count, seed), None, to_label)?.drawn)
}

/// A share of a sample, with the interval that holds the whole corpus' share with probability 95% at least (Clopper and
/// Pearson; a little wide for a sample that is a large part of the corpus).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// Of the sample.
    pub estimate: f64,
    /// Of the interval.
    pub low: f64,
    /// Of the interval.
    pub high: f64,
}

impl Share {
    /// Of a sample of `all`, of which `right` are.
    pub(crate) fn of(right: u64, all: u64) -> Self {
        let (low, high) = interval(right, all, 0.95);
        Self { estimate: right as f64 / all.max(1) as f64, low, high }
    }
}

/// From which confidence on labels can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Threshold {
    /// Labels with at least this confidence have an error of at most epsilon, with probability 1 - delta.
    pub confidence: f64,
    /// The share of all labels that these are.
    pub labels: f64,
    /// Of the audited labels, how many of these there are, and how many are wrong.
    pub audited: u64,
    /// See `audited`.
    pub wrong: u64,
}

/// What is asked of an audit.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct AuditOptions {
    /// The share of wrong labels that is allowed among those relied on; between 0 and 1. Without it 0.05, or of an audit that has ended, what
    /// it ended with.
    pub epsilon: Option<f64>,
    /// The chance that is allowed for there to be more; between 0 and 1. Without it the same.
    pub delta: Option<f64>,
    /// How often a set of labels is to hold the right one; between 0 and 1. Without it, no sets are made.
    pub coverage: Option<f64>,
}

/// Epsilon and delta where nothing is said of them.
pub(crate) const USUAL: (f64, f64) = (0.05, 0.05);

impl AuditOptions {
    /// Epsilon and delta; those that are not asked for are as `usual`.
    pub(crate) fn levels(&self, usual: (f64, f64)) -> (f64, f64) {
        (self.epsilon.unwrap_or(usual.0), self.delta.unwrap_or(usual.1))
    }
}

/// What an audit says of one run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Audit {
    /// Filled-in texts that have a final label here: those that are judged.
    pub audited: u64,
    /// Lines that are not filled in.
    pub unfilled: u64,
    /// Filled-in texts that this run does not have a final label of, or has another text under the id of.
    pub foreign: u64,
    /// Of those that are judged by a file, the texts whose label a person gave. Where they were corrected because they were audited, they are
    /// right by definition, and what follows speaks of the sample alone. 0 of the run's own audit, which nobody corrects.
    pub given: u64,
    /// Of the distilled labels.
    pub accuracy: Share,
    /// Of the teacher's first labels.
    pub teacher_first: Share,
    /// Of the confidences.
    pub calibration: Calibrated,
    /// Where a coverage is asked for.
    pub sets: Option<AuditedSets>,
    /// None where no part of the labels could be shown to be that good.
    pub threshold: Option<Threshold>,
}

/// Judges the run in `dir` by the filled-in sample in `gold`.
///
/// The threshold is found by fixed sequence testing (Angelopoulos et al. 2021, arXiv 2110.01052): the most confident 5%,
/// 10%, ... of all labels, beginning where enough of them were audited for a verdict, are tested one after the other by the
/// exact binomial bound at delta, until one fails. The order does not depend on the gold labels, so the chance that any of
/// the accepted ones is wrong is delta at most. (The promise is that of PAC labels, arXiv 2506.10908, for the labels that
/// are kept.)
///
/// # Errors
///
/// [`Error::NoRun`](crate::Error::NoRun) and [`Error::Unfit`](crate::Error::Unfit) as [`draw`] gives;
/// [`Error::Unfit`](crate::Error::Unfit) where nothing is filled in, or most of it is of another run;
/// [`Error::InputLine`](crate::Error::InputLine) for a line that is no part of a sample, with its place.
pub fn audit(dir: &Path, gold: &Path, options: &AuditOptions) -> Result<Audit> {
    let audited = Audited::read(&RunDir::view(dir)?, gold)?;
    let (judged, all) = (audited.judged(), audited.confidences());
    let (epsilon, delta) = options.levels(USUAL);
    Ok(Audit {
        audited: audited.rows.len() as u64,
        unfilled: audited.unfilled,
        foreign: audited.foreign,
        given: audited.rows.iter().filter(|row| row.is_given).count() as u64,
        accuracy: audited.share_of(|row| row.is_right),
        teacher_first: audited.share_of(|row| row.is_first_right),
        calibration: Calibrated::new(&all, &judged),
        sets: options.coverage.map(|coverage| audited.sets(coverage)),
        threshold: threshold(&test_steps(all), &judged, epsilon, delta),
    })
}

/// A part of the labels that is tested: those with at least this confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestStep {
    /// See above.
    pub confidence: f64,
    /// The share of all labels that these are.
    pub labels: f64,
}

/// The most confident 5%, 10%, ... of all final labels, whose `confidences` fix the order of the tests; labels of the same confidence as
/// the last belong to a part too.
pub(crate) fn test_steps(mut confidences: Vec<f64>) -> Vec<TestStep> {
    confidences.sort_by(|a, b| b.total_cmp(a));
    let all = confidences.len() as u64;
    let places = (1..=SHARES).filter_map(|step| usize::try_from((all * step).div_ceil(SHARES)).ok()?.checked_sub(1));
    let confidences = &confidences;
    let step = |&confidence: &f64| {
        let count = confidences.partition_point(|one| *one >= confidence);
        TestStep { confidence, labels: count as f64 / all as f64 }
    };
    places.filter_map(|place| confidences.get(place)).map(step).collect()
}

/// The lowest confidence of `steps` that stands the test, as [`audit`] says. `judged` are the labels that were audited, each with
/// whether it is right.
pub(crate) fn threshold(steps: &[TestStep], judged: &[(f64, bool)], epsilon: f64, delta: f64) -> Option<Threshold> {
    let mut best = None;
    for &TestStep { confidence, labels } in steps {
        let audited = judged.iter().filter(|(c, _)| *c >= confidence).count() as u64;
        let wrong = judged.iter().filter(|(c, is_right)| *c >= confidence && !is_right).count() as u64;
        // Too few for a verdict, even were all right: known without looking at the gold labels.
        if upper_bound(0, audited, delta) > epsilon {
            continue;
        }
        // The first that fails ends it: that is what makes delta hold for all tests together.
        if upper_bound(wrong, audited, delta) > epsilon {
            break;
        }
        best = Some(Threshold { confidence, labels, audited, wrong });
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::rng;

    /// `count` labels of confidences falling from 1, of which those below `good` are wrong every second time.
    fn judged(count: usize, good: f64) -> Vec<(f64, bool)> {
        (0..count)
            .map(|i| {
                let confidence = 1.0 - i as f64 / count as f64;
                (confidence, confidence >= good || i % 2 == 0)
            })
            .collect()
    }

    #[test]
    fn the_threshold_is_where_labels_stop_being_good() {
        let judged = judged(1000, 0.5);
        let confidences: Vec<f64> = judged.iter().map(|(confidence, _)| *confidence).collect();
        let steps = test_steps(confidences);
        let found = threshold(&steps, &judged, 0.05, 0.05).unwrap();
        assert!((0.4..0.52).contains(&found.confidence), "{found:?}");
        assert!(found.wrong as f64 / found.audited as f64 <= 0.05);
        // Too few to tell; and none good enough.
        assert_eq!(threshold(&steps, &judged[..50], 0.05, 0.05), None);
        assert_eq!(threshold(&steps, &judged.iter().map(|(c, _)| (*c, false)).collect::<Vec<_>>(), 0.05, 0.05), None);
    }

    /// The promise itself: over many audits of labels whose error is known, the threshold is wrong at most delta of the
    /// times.
    #[test]
    fn the_threshold_holds_as_often_as_promised() {
        use rand::Rng;
        let (epsilon, delta, audits) = (0.1, 0.1, 400);
        let confidences: Vec<f64> = (0..2000).map(|i| 1.0 - f64::from(i) / 2000.0).collect();
        // The chance to be wrong grows as confidence falls: the most confident x have an error of x / 4.
        let mut broken = 0;
        let mut found = 0;
        for audit in 0..audits {
            let mut rng = rng(audit, "audits", &[]);
            let judged: Vec<(f64, bool)> = (0..600)
                .map(|_| {
                    let confidence = confidences[rng.random_range(0..confidences.len())];
                    (confidence, rng.random::<f64>() >= (1.0 - confidence) / 2.0)
                })
                .collect();
            if let Some(threshold) = threshold(&test_steps(confidences.clone()), &judged, epsilon, delta) {
                found += 1;
                broken += u32::from((1.0 - threshold.confidence) / 4.0 > epsilon);
            }
        }
        assert!(found > audits / 2, "{found}");
        assert!(f64::from(broken) <= delta * audits as f64 * 1.3, "{broken} of {audits}");
    }
}
