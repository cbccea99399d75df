//! Calibration without labels: the temperature and the mix with the class prior that make the teacher's candidates
//! likeliest, i.e. maximise mean_i log sum_c p~_i(c) L_i(c), p~ = (1 - mix) softmax(logits / T) + mix * prior.
//!
//! The sum over c is the probability of the teachers' answer if the label is drawn by p~. A student that is sure of
//! labels that teachers do not name makes their answers unlikely, and is cooled; temperature scaling as usual (Guo et
//! al. 2017, arXiv 1706.04599) would need true labels for that. The mix bounds what one sure mistake can cost.
//!
//! Chosen from a grid: 9 x 6 pairs, of which the first of equals is taken. A search in steps would end elsewhere with
//! other last bits.

use serde::{Deserialize, Serialize};

use super::ranks::RankLikelihood;
use super::refinery::Evidence;
use crate::domain::candidates::{CandidateSet, Opinion};

/// Each about 1.4 times the one before: confidences do not notice what lies between.
const TEMPERATURES: [f64; 9] = [0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6, 8.0];
/// None is 0: p~ then is above 0 for every label, so its logarithm is finite.
const MIXES: [f64; 6] = [0.01, 0.05, 0.1, 0.2, 0.4, 0.7];
/// Samples that are enough to choose by; of more, every so many-th.
const MOST_SAMPLES: usize = 4096;

/// How the student's logits become probabilities.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Calibration {
    /// Above 0; larger makes less sure.
    temperature: f64,
    /// Share of the prior, 0 to 1.
    mix: f64,
    /// The labels' shares among the predictions, C values.
    prior: Vec<f64>,
}

impl Calibration {
    /// Before anything is known: logits as they are, and all labels alike.
    pub(super) fn new(labels: usize) -> Self {
        Self { temperature: 1.0, mix: 0.1, prior: vec![1.0 / labels as f64; labels] }
    }

    /// That leaves logits as they are.
    #[cfg(test)]
    pub(super) fn plain(labels: usize) -> Self {
        Self { mix: 0.0, ..Self::new(labels) }
    }

    /// T.
    pub(super) fn temperature(&self) -> f64 {
        self.temperature
    }

    /// C.
    pub(super) fn labels(&self) -> usize {
        self.prior.len()
    }

    /// Whether it is for `labels` labels, with a temperature and a mix that can be computed with.
    pub(super) fn fits(&self, labels: usize) -> bool {
        self.labels() == labels && self.temperature > 0.0 && (0.0..=1.0).contains(&self.mix)
    }

    /// p~ of one row of C logits, which are finite: C probabilities that sum to 1.
    pub(super) fn probabilities(&self, logits: &[f32]) -> Vec<f64> {
        let mut row = softmax(logits, self.temperature);
        row.iter_mut().zip(&self.prior).for_each(|(p, prior)| *p = (1.0 - self.mix) * *p + self.mix * prior);
        row
    }

    /// The best temperature and mix for `evidence`, seen through `likelihood`. As [`Calibration::new`] without
    /// evidence.
    pub(super) fn fit(evidence: &Evidence<'_>, likelihood: &RankLikelihood, labels: usize) -> Self {
        let samples: Vec<_> = evidence.iter().collect();
        let stride = samples.len().div_ceil(MOST_SAMPLES).max(1);
        let samples: Vec<_> = samples.into_iter().step_by(stride).collect();
        if samples.is_empty() {
            return Self::new(labels);
        }
        let prior = class_prior(&samples, labels);
        // sum_c p~ L is linear in p~: student and prior are weighed once each, and mixed afterwards.
        let prior_evidence: Vec<f64> =
            samples.iter().map(|(candidates, _)| weigh(candidates, &prior, likelihood)).collect();
        let mut best = (f64::NEG_INFINITY, 1.0, 0.1);
        for temperature in TEMPERATURES {
            let student_evidence: Vec<f64> = samples
                .iter()
                .map(|(candidates, logits)| weigh(candidates, &softmax(logits, temperature), likelihood))
                .collect();
            for mix in MIXES {
                let mixed = student_evidence
                    .iter()
                    .zip(&prior_evidence)
                    .map(|(student, prior)| ((1.0 - mix) * student + mix * prior).ln());
                let evidence: f64 = mixed.sum();
                if evidence > best.0 {
                    best = (evidence, temperature, mix);
                }
            }
        }
        Self { temperature: best.1, mix: best.2, prior }
    }
}

/// Mean prediction, smoothed by one sample that could be anything.
fn class_prior(samples: &[(&CandidateSet, &[f32])], labels: usize) -> Vec<f64> {
    let mut prior = vec![1.0 / labels as f64; labels];
    for (_, logits) in samples {
        prior.iter_mut().zip(softmax(logits, 1.0)).for_each(|(sum, p)| *sum += p);
    }
    let sum: f64 = prior.iter().sum();
    prior.iter_mut().for_each(|p| *p /= sum);
    prior
}

/// sum_c p(c) L(c), L being the mean over the teachers' rankings: who stands first in the configuration does not matter.
/// Above zero: L is, for listed labels and with labels left over for the others too.
fn weigh(candidates: &CandidateSet, p: &[f64], likelihood: &RankLikelihood) -> f64 {
    let opinions = candidates.opinions();
    opinions.iter().map(|opinion| weigh_one(opinion, p, likelihood)).sum::<f64>() / opinions.len().max(1) as f64
}

/// The same of one teacher's ranking.
fn weigh_one(opinion: &Opinion, p: &[f64], likelihood: &RankLikelihood) -> f64 {
    let rho = likelihood.of(opinion.labels.len());
    let (mut inside, mut joint) = (0.0, 0.0);
    for (label, rho) in opinion.labels.iter().zip(&rho.listed) {
        let p = p.get(label.index()).copied().unwrap_or_default();
        inside += p;
        joint += p * rho;
    }
    joint + (1.0 - inside).max(0.0) * rho.each_of(p.len().saturating_sub(opinion.labels.len()))
}

/// In f64, with the largest logit taken off first, so that nothing overflows.
fn softmax(logits: &[f32], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut row: Vec<f64> = logits.iter().map(|logit| (f64::from(logit - top) / temperature).exp()).collect();
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|p| *p /= sum);
    row
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::set;
    use super::*;
    use crate::student::Rows;

    /// `right` of 100 samples whose candidate the student is sure of, the rest where it is sure of another label.
    fn evidence(right: usize, candidate: &CandidateSet) -> Evidence<'_> {
        let rows = (0..100).flat_map(|i| if i < right { [6.0, 0.0, 0.0] } else { [0.0, 6.0, 0.0] }).collect();
        Evidence { candidates: vec![candidate; 100], logits: Rows::new(3, rows) }
    }

    #[test]
    fn a_student_that_is_surer_than_right_is_cooled_and_one_that_is_right_is_not() {
        let candidate = set(&[0]);
        let fit = |right| Calibration::fit(&evidence(right, &candidate), &RankLikelihood::prior(), 3);
        let (good, poor) = (fit(100), fit(40));
        let sure = |calibration: &Calibration| calibration.probabilities(&[6.0, 0.0, 0.0])[0];
        assert!(sure(&good) > 0.95, "{good:?}");
        assert!(sure(&poor) < 0.8, "{poor:?}");
    }

    #[test]
    fn probabilities_by_hand() {
        let calibration = Calibration { temperature: 2.0, mix: 0.5, prior: vec![0.25, 0.75] };
        // softmax((2 ln 3, 0) / 2) = (3/4, 1/4); mixed half and half: (1/2, 1/2).
        let p = calibration.probabilities(&[2.0 * 3.0_f32.ln(), 0.0]);
        assert!((p[0] - 0.5).abs() < 1e-6 && (p[1] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn nothing_seen_nothing_learned() {
        let none = Evidence { candidates: vec![], logits: Rows::new(3, vec![]) };
        assert_eq!(Calibration::fit(&none, &RankLikelihood::prior(), 3), Calibration::new(3));
    }
}
