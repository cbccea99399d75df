//! `candist`: the Distribution Refinery of CanDist (Xia et al., ACL 2025, arXiv 2506.03857, section 3.3).
//!
//! With p the student and s the candidates, q is p renormalised within s. A sample whose likeliest label is a candidate is
//! IN, any other OUT. Of the IN samples with the same likeliest label, the share `SMALL` with the smallest cross-entropy
//! between p and q is taken for right, and trained on q sharpened; the others of IN on q. An OUT sample of which the
//! student is very sure is trained on the student's label; the other OUT samples not at all.
//!
//! The student is regularised as there, without the second language that the paper translates into and back: what it says of
//! a perturbed text (dropout) shall be the target of an IN sample, and of an OUT sample what it says of the text as it is; and
//! pairs of texts are mixed. The distiller lets the weight of that grow.
//!
//! Two departures: p is out of sample here, and the hyper-parameters are the middle of the paper's ranges, for the paper
//! chose them with gold labels.
//!
//! What is learned is one bound a class, at every sweep and pass; until the first, nothing is taken for right, and IN
//! samples are trained on q.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refinery::{Evidence, Refinery, alike, nothing, restrict, usable};
use crate::domain::candidates::CandidateSet;
use crate::student::{argmax, softmax};

/// delta: the share of each class that is taken for right.
const SMALL: f64 = 0.5;
/// gamma: q to the power of 1 / gamma, where it is taken for right.
const SHARPNESS: f32 = 0.85;
/// tau: how sure a student must be of a label that is no candidate.
const SURE: f32 = 0.95;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Candist {
    labels: usize,
    /// By likeliest label: the largest cross-entropy of a sample that is taken for right.
    bounds: BTreeMap<usize, f32>,
}

/// A sample as the student sees it.
struct View {
    p: Vec<f32>,
    q: Vec<f32>,
    /// The column of the largest p.
    best: usize,
    /// Whether that is a candidate.
    is_in: bool,
    /// -sum q ln p, in nats: small where the candidates have nearly all of p, and one of them most of it.
    cross_entropy: f32,
}

impl View {
    fn new(candidates: &CandidateSet, logits: &[f32]) -> Self {
        let p = softmax(logits);
        let q = restrict(candidates.labels(), &p);
        let best = argmax(&p).unwrap_or_default();
        let is_in = candidates.labels().iter().any(|label| label.index() == best);
        let cross_entropy = q.iter().zip(&p).filter(|(q, _)| **q > 0.0).map(|(q, p)| -q * p.max(1e-30).ln()).sum();
        Self { p, q, best, is_in, cross_entropy }
    }
}

impl Candist {
    pub(super) fn new(labels: usize) -> Self {
        Self { labels, bounds: BTreeMap::new() }
    }
}

impl Refinery for Candist {
    fn name(&self) -> &'static str {
        "candist"
    }

    fn identity(&self) -> String {
        "candist 1".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        // In the warm-up all candidates are alike.
        let Some(logits) = logits else { return Some(alike(candidates.labels(), self.labels)) };
        let mut view = View::new(candidates, usable(logits)?);
        if !view.is_in {
            let sure = view.p.get(view.best).is_some_and(|&p| p > SURE);
            return sure.then(|| (0..self.labels).map(|label| f32::from(u8::from(label == view.best))).collect());
        }
        if self.bounds.get(&view.best).is_some_and(|&bound| view.cross_entropy <= bound) {
            view.q.iter_mut().for_each(|q| *q = q.powf(1.0 / SHARPNESS));
            let sum: f32 = view.q.iter().sum();
            view.q.iter_mut().for_each(|q| *q /= sum);
        }
        Some(view.q)
    }

    /// Of an IN sample its target, of an OUT sample what the student says itself.
    fn steady(&self, candidates: &CandidateSet, logits: &[f32]) -> Option<Vec<f32>> {
        let view = View::new(candidates, usable(logits)?);
        if view.is_in { self.target(candidates, Some(logits)) } else { Some(view.p) }
    }

    /// q, or the student's own where it is very sure that no candidate is right.
    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let Some(logits) = usable(logits) else { return nothing(logits) };
        let view = View::new(candidates, logits);
        let sure = view.p.get(view.best).is_some_and(|&p| p > SURE);
        if view.is_in || !sure { view.q } else { view.p }
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        let mut by_label: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        for (candidates, logits) in evidence.iter() {
            let view = View::new(candidates, logits);
            if view.is_in {
                by_label.entry(view.best).or_default().push(view.cross_entropy);
            }
        }
        self.bounds = by_label
            .into_iter()
            .filter_map(|(label, mut losses)| {
                losses.sort_by(f32::total_cmp);
                // The bound is the loss of the last sample that is taken, which so takes itself.
                let small = (SMALL * losses.len() as f64).ceil() as usize;
                Some((label, *losses.get(small.checked_sub(1)?)?))
            })
            .collect();
    }

    fn save(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        *self = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::set;
    use super::*;
    use crate::student::Rows;

    #[test]
    fn by_hand() {
        let refinery = Candist::new(3);
        // In the warm-up all candidates are alike.
        assert_eq!(refinery.target(&set(&[0, 1]), None), Some(vec![0.5, 0.5, 0.0]));
        // IN and not taken for right: p = (4, 1, 3) / 8 within {0, 1}.
        let q = refinery.target(&set(&[0, 1]), Some(&[4.0_f32.ln(), 0.0, 3.0_f32.ln()])).unwrap();
        assert!((q[0] - 0.8).abs() < 1e-6 && (q[1] - 0.2).abs() < 1e-6 && q[2] == 0.0, "{q:?}");
        // OUT: sure, the student's label; not sure, nothing.
        assert_eq!(refinery.target(&set(&[0, 1]), Some(&[0.0, 0.0, 9.0])), Some(vec![0.0, 0.0, 1.0]));
        assert_eq!(refinery.target(&set(&[0, 1]), Some(&[0.0, 0.0, 2.0])), None);
        // Perturbed: IN, the target; OUT, what the student says.
        let steady = |logits: &[f32]| refinery.steady(&set(&[0, 1]), logits).unwrap();
        assert_eq!(steady(&[4.0_f32.ln(), 0.0, 3.0_f32.ln()]), q);
        assert!((steady(&[0.0, 0.0, 2.0_f32.ln()])[2] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn the_half_with_the_smaller_loss_is_sharpened() {
        let mut refinery = Candist::new(3);
        let candidates = set(&[0, 1]);
        // Four samples whose likeliest label is 0; the student is surer of the first two.
        let logits = [[3.0, 0.0, 0.0], [2.5, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.0, 0.0]];
        refinery.refit(&Evidence { candidates: vec![&candidates; 4], logits: Rows::new(3, logits.concat()) });
        let plain = Candist::new(3);
        for (row, sharpened) in logits.iter().zip([true, true, false, false]) {
            let (now, before) = (refinery.target(&candidates, Some(row)), plain.target(&candidates, Some(row)));
            assert_eq!(now.unwrap()[0] > before.unwrap()[0], sharpened, "{row:?}");
        }
        let mut loaded = Candist::new(3);
        loaded.load(serde_json::from_str(&refinery.save().to_string()).unwrap()).unwrap();
        assert_eq!(loaded, refinery);
    }
}
