//! The refinery: turns a candidate set and the student's out-of-sample prediction into a training target and a label.

use serde_json::Value;

use super::candist::Candist;
use super::cc::Cc;
use super::posterior::Posterior;
use super::renormalise::Renormalise;
use super::single::Single;
use super::uniform::Uniform;
use crate::config::RefineryKind;
use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;
use crate::student::{Loss, Rows};

/// Candidates of samples, and the logits of a student that never saw them: one row each.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Candidates, one set per row of `logits`.
    pub candidates: Vec<&'a CandidateSet>,
    /// Out-of-sample logits, C columns.
    pub logits: Rows,
}

impl Evidence<'_> {
    /// Each sample's candidates and logits, of those samples that have candidates.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&CandidateSet, &[f32])> {
        self.candidates.iter().copied().zip(self.logits.iter()).filter(|(candidates, _)| !candidates.is_empty())
    }
}

/// How candidates and student become one distribution over the C labels.
pub trait Refinery: Send {
    /// What the student is trained towards: C values as [`Refinery::loss`] reads them, or nothing, and the sample is left
    /// out. `logits` are out of sample; `None` in the warm-up, when a student knows too little to be asked. There is at
    /// least one candidate.
    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>>;

    /// What the label is taken from: a distribution over C labels. Without candidates, the student's own.
    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32>;

    /// What the student is to say of the text even when it is perturbed: a distribution, for refineries that regularise,
    /// of every text. `logits` are out of sample.
    fn steady(&self, _candidates: &CandidateSet, _logits: &[f32]) -> Option<Vec<f32>> {
        None
    }

    /// How the student is trained on the targets.
    fn loss(&self) -> Loss {
        Loss::CrossEntropy
    }

    /// What a student's logits are divided by for calibrated probabilities, as far as this knows.
    fn temperature(&self) -> f64 {
        1.0
    }

    /// Learns what the refinery itself has to learn, from samples in memory.
    fn refit(&mut self, _evidence: &Evidence<'_>) {}

    /// What was learned, for a checkpoint.
    fn save(&self) -> Value {
        Value::Null
    }

    /// Takes up what [`Refinery::save`] gave; says why if it cannot.
    fn load(&mut self, _saved: Value) -> Result<(), String> {
        Ok(())
    }
}

/// The configured refinery, knowing nothing yet, for `labels` labels.
#[must_use]
pub fn new_refinery(kind: RefineryKind, labels: usize) -> Box<dyn Refinery> {
    match kind {
        RefineryKind::Posterior => Box::new(Posterior::new(labels)),
        RefineryKind::Candist => Box::new(Candist::new(labels)),
        RefineryKind::Renormalise => Box::new(Renormalise::new(labels)),
        RefineryKind::Cc => Box::new(Cc::new(labels)),
        RefineryKind::Uniform => Box::new(Uniform::new(labels)),
        RefineryKind::Single => Box::new(Single::new(labels)),
    }
}

/// `row` restricted to `candidates` and made to sum to 1; all of `row` if there are no candidates.
pub(super) fn restrict(candidates: &[LabelId], row: &[f32]) -> Vec<f32> {
    if candidates.is_empty() {
        return row.to_vec();
    }
    let mut restricted = vec![0.0; row.len()];
    let listed = || candidates.iter().filter_map(|label| row.get(label.index()).map(|&p| (label.index(), p)));
    let sum: f32 = listed().map(|(_, p)| p).sum();
    for (index, p) in listed() {
        if let Some(slot) = restricted.get_mut(index) {
            // A student that gives all candidates nothing says nothing about which it is.
            *slot = if sum > 0.0 { p / sum } else { 1.0 / candidates.len() as f32 };
        }
    }
    restricted
}

/// The distribution whose logarithms are `row`, up to a constant, to the power of `power`.
pub(super) fn sharpened(row: &[f64], power: f64) -> Vec<f64> {
    let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut p: Vec<f64> = row.iter().map(|l| ((l - top) * power).exp()).collect();
    let sum: f64 = p.iter().sum();
    p.iter_mut().for_each(|p| *p /= sum);
    p
}

/// All candidates alike.
pub(super) fn alike(candidates: &[LabelId], labels: usize) -> Vec<f32> {
    restrict(candidates, &vec![1.0 / labels as f32; labels])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::candidates::Opinion;
    use proptest::prelude::*;

    /// What one teacher said.
    pub(crate) fn set(ids: &[u16]) -> CandidateSet {
        let labels: Vec<LabelId> = ids.iter().map(|&id| LabelId(id)).collect();
        CandidateSet::merge([Opinion::of(0, &labels, &[])])
    }

    /// What several teachers said.
    pub(crate) fn sets(opinions: &[&[u16]]) -> CandidateSet {
        CandidateSet::merge(opinions.iter().zip(0..).map(|(ids, teacher)| {
            let labels: Vec<LabelId> = ids.iter().map(|&id| LabelId(id)).collect();
            Opinion::of(teacher, &labels, &[])
        }))
    }

    const KINDS: [RefineryKind; 6] = [
        RefineryKind::Posterior,
        RefineryKind::Candist,
        RefineryKind::Renormalise,
        RefineryKind::Cc,
        RefineryKind::Uniform,
        RefineryKind::Single,
    ];

    fn is_distribution(row: &[f32]) -> bool {
        row.len() == 5 && row.iter().all(|p| (0.0..=1.0001).contains(p)) && (row.iter().sum::<f32>() - 1.0).abs() < 1e-4
    }

    /// What a refinery gives is a distribution, before and after it learned, and in its fence if it has one.
    fn check(
        kind: RefineryKind,
        refinery: &dyn Refinery,
        candidates: &CandidateSet,
        logits: &[f32],
    ) -> Result<(), TestCaseError> {
        let posterior = refinery.posterior(candidates, logits);
        prop_assert!(is_distribution(&posterior), "{:?} {:?}", kind, posterior);
        let outside = |row: &[f32]| -> f32 {
            (0..5).filter(|&l| !candidates.labels().contains(&LabelId(l))).map(|l| row[usize::from(l)]).sum()
        };
        let fenced = !matches!(kind, RefineryKind::Posterior | RefineryKind::Single | RefineryKind::Candist);
        prop_assert!(candidates.is_empty() || !fenced || outside(&posterior) == 0.0, "{:?}", kind);
        let steady = refinery.steady(candidates, logits);
        prop_assert!(steady.as_ref().is_none_or(|steady| is_distribution(steady)), "{:?} {:?}", kind, steady);
        for logits in [None, Some(logits)] {
            let Some(target) = (!candidates.is_empty()).then(|| refinery.target(candidates, logits)).flatten() else {
                continue;
            };
            prop_assert!(is_distribution(&target) || refinery.loss() == Loss::Candidates, "{:?} {:?}", kind, target);
            let relabels = matches!(kind, RefineryKind::Posterior | RefineryKind::Candist);
            prop_assert!(relabels || outside(&target) == 0.0, "{:?}", kind);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn every_refinery_gives_distributions(
            sets in prop::collection::vec(
                (prop::sample::subsequence(vec![0_u16, 1, 2, 3, 4], 0..=5),
                 prop::sample::subsequence(vec![4_u16, 3, 2, 1, 0], 0..=2),
                 prop::collection::vec(-40.0_f32..40.0, 5)), 1..12),
        ) {
            let samples: Vec<(CandidateSet, Vec<f32>)> =
                sets.iter().map(|(a, b, logits)| (self::sets(&[a, b]), logits.clone())).collect();
            let evidence = Evidence {
                candidates: samples.iter().map(|(set, _)| set).collect(),
                logits: Rows::new(5, samples.iter().flat_map(|(_, logits)| logits.clone()).collect()),
            };
            for kind in KINDS {
                let mut refinery = new_refinery(kind, 5);
                for _ in 0..2 {
                    for (candidates, logits) in &samples {
                        check(kind, refinery.as_ref(), candidates, logits)?;
                    }
                    refinery.refit(&evidence);
                }
            }
        }
    }
}
