//! The refinery: turns a candidate set and the student's out-of-sample prediction into a training target and a label.

use serde_json::Value;

use super::posterior::Posterior;
use super::renormalise::Renormalise;
use super::uniform::Uniform;
use crate::config::RefineryKind;
use crate::label::LabelId;
use crate::student::Rows;

/// Candidates of samples, and the logits of a student that never saw them: one row each.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// Ranked candidates, one list per row of `logits`.
    pub candidates: Vec<&'a [LabelId]>,
    /// Out-of-sample logits, C columns.
    pub logits: Rows,
}

impl Evidence<'_> {
    /// Each sample's candidates and logits.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[LabelId], &[f32])> {
        self.candidates.iter().copied().zip(self.logits.iter())
    }
}

/// How candidates and student become one distribution over the C labels.
pub trait Refinery: Send {
    /// What the student is trained towards: a distribution over C labels.
    fn target(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32>;

    /// What the label is taken from: a distribution over C labels. Without candidates, the student's own.
    fn posterior(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32> {
        self.target(candidates, logits)
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
        RefineryKind::Renormalise => Box::new(Renormalise),
        RefineryKind::Uniform => Box::new(Uniform),
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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn ids(ids: &[u16]) -> Vec<LabelId> {
        ids.iter().map(|&id| LabelId(id)).collect()
    }

    proptest! {
        #[test]
        fn every_refinery_gives_distributions(
            candidates in prop::sample::subsequence(vec![0_u16, 1, 2, 3, 4], 0..=5),
            logits in prop::collection::vec(-40.0_f32..40.0, 5),
        ) {
            let candidates = ids(&candidates);
            for kind in [RefineryKind::Posterior, RefineryKind::Renormalise, RefineryKind::Uniform] {
                let refinery = new_refinery(kind, 5);
                for row in [refinery.target(&candidates, &logits), refinery.posterior(&candidates, &logits)] {
                    prop_assert_eq!(row.len(), 5);
                    prop_assert!(row.iter().all(|p| (0.0..=1.0001).contains(p)), "{:?} {:?}", kind, row);
                    prop_assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-4, "{:?} {:?}", kind, row);
                    let outside: f32 = (0..5_u16).filter(|&l| !candidates.contains(&LabelId(l))).map(|l| row[usize::from(l)]).sum();
                    let fenced = kind != RefineryKind::Posterior && !candidates.is_empty();
                    prop_assert!(!fenced || outside == 0.0);
                }
            }
        }
    }
}
