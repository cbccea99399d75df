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

use super::ranks::{Likelihood, RankLikelihood};
use super::refinery::Evidence;
use crate::domain::candidates::{CandidateSet, Opinion};

/// Each about 1.4 times the one before, and twice the one before that: confidences do not notice what lies between.
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

    /// ln p~ of one row of C logits, which are finite: of C probabilities that sum to 1.
    pub(super) fn logarithms(&self, logits: &[f32]) -> impl Iterator<Item = f64> {
        let row = powers(logits, self.temperature);
        let share = (1.0 - self.mix) / row.iter().sum::<f64>();
        row.into_iter().zip(&self.prior).map(move |(p, prior)| (share * p + self.mix * prior).ln())
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
        let mut sums = [[0.0; MIXES.len()]; TEMPERATURES.len()];
        for (candidates, logits) in samples {
            let said: Vec<Said<'_>> =
                candidates.opinions().iter().map(|said| Said::new(said, likelihood, labels)).collect();
            let by_prior = weigh(&said, &prior, 1.0);
            for (sums, by_student) in sums.iter_mut().zip(at_all_temperatures(logits, |p, sum| weigh(&said, p, sum))) {
                for (sum, mix) in sums.iter_mut().zip(MIXES) {
                    *sum += ((1.0 - mix) * by_student + mix * by_prior).ln();
                }
            }
        }
        let mut best = (f64::NEG_INFINITY, 1.0, 0.1);
        for (sums, temperature) in sums.iter().zip(TEMPERATURES) {
            for (evidence, mix) in sums.iter().zip(MIXES) {
                if *evidence > best.0 {
                    best = (*evidence, temperature, mix);
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
        let row = powers(logits, 1.0);
        let all: f64 = row.iter().sum();
        prior.iter_mut().zip(row).for_each(|(sum, p)| *sum += p / all);
    }
    let sum: f64 = prior.iter().sum();
    prior.iter_mut().for_each(|p| *p /= sum);
    prior
}

/// What a teacher's ranking gives to the labels that it names, in its order, and to each other.
struct Said<'a> {
    opinion: &'a Opinion,
    rho: Likelihood,
    other: f64,
}

impl<'a> Said<'a> {
    fn new(opinion: &'a Opinion, likelihood: &RankLikelihood, labels: usize) -> Self {
        let rho = likelihood.of(opinion.labels.len());
        let other = rho.each_of(labels.saturating_sub(opinion.labels.len()));
        Self { opinion, rho, other }
    }
}

/// sum_c p(c) L(c) of p = `row` / `sum`, L being the mean over the teachers' rankings: who stands first in the configuration
/// does not matter. Above zero: L is, for listed labels and with labels left over for the others too.
fn weigh(said: &[Said<'_>], row: &[f64], sum: f64) -> f64 {
    let one = |said: &Said<'_>| {
        let (mut inside, mut joint) = (0.0, 0.0);
        for (label, rho) in said.opinion.labels.iter().zip(&said.rho.listed) {
            let p = row.get(label.index()).copied().unwrap_or_default() / sum;
            inside += p;
            joint += p * rho;
        }
        joint + (1.0 - inside).max(0.0) * said.other
    };
    said.iter().map(one).sum::<f64>() / said.len().max(1) as f64
}

/// exp(logit / temperature), with the largest logit taken off first, so that nothing overflows. In f64.
fn powers(logits: &[f32], temperature: f64) -> Vec<f64> {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    logits.iter().map(|logit| (f64::from(logit - top) / temperature).exp()).collect()
}

/// What `of` makes of exp(logit / temperature) and their sum, at each of [`TEMPERATURES`]. Half the temperature is the square, so
/// that two exponentials a logit are enough.
fn at_all_temperatures(logits: &[f32], of: impl Fn(&[f64], f64) -> f64) -> [f64; TEMPERATURES.len()] {
    let mut found = [0.0; TEMPERATURES.len()];
    // From the hottest down: each one's half is two places before it.
    for last in [TEMPERATURES.len() - 1, TEMPERATURES.len() - 2] {
        let mut row = powers(logits, TEMPERATURES.get(last).copied().unwrap_or(1.0));
        for place in (0..=last).rev().step_by(2) {
            found.get_mut(place).into_iter().for_each(|slot| *slot = of(&row, row.iter().sum()));
            row.iter_mut().for_each(|p| *p *= *p);
        }
    }
    found
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

    fn probabilities(calibration: &Calibration, logits: &[f32]) -> Vec<f64> {
        calibration.logarithms(logits).map(f64::exp).collect()
    }

    #[test]
    fn a_student_that_is_surer_than_right_is_cooled_and_one_that_is_right_is_not() {
        let candidate = set(&[0]);
        let fit = |right| Calibration::fit(&evidence(right, &candidate), &RankLikelihood::prior(), 3);
        let (good, poor) = (fit(100), fit(40));
        let sure = |calibration: &Calibration| probabilities(calibration, &[6.0, 0.0, 0.0])[0];
        assert!(sure(&good) > 0.95, "{good:?}");
        assert!(sure(&poor) < 0.8, "{poor:?}");
    }

    #[test]
    fn probabilities_by_hand() {
        let calibration = Calibration { temperature: 2.0, mix: 0.5, prior: vec![0.25, 0.75] };
        // softmax((2 ln 3, 0) / 2) = (3/4, 1/4); mixed half and half: (1/2, 1/2).
        let p = probabilities(&calibration, &[2.0 * 3.0_f32.ln(), 0.0]);
        assert!((p[0] - 0.5).abs() < 1e-6 && (p[1] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn nothing_seen_nothing_learned() {
        let none = Evidence { candidates: vec![], logits: Rows::new(3, vec![]) };
        assert_eq!(Calibration::fit(&none, &RankLikelihood::prior(), 3), Calibration::new(3));
    }

    #[test]
    fn all_temperatures_at_once_are_each_by_itself() {
        let logits = [1.5, -2.0, 0.25, 7.0];
        let found = at_all_temperatures(&logits, |row, sum| row[0] / sum);
        for (found, temperature) in found.iter().zip(TEMPERATURES) {
            let row = powers(&logits, temperature);
            let alone = row[0] / row.iter().sum::<f64>();
            assert!((found / alone - 1.0).abs() < 1e-12, "{temperature}: {found} {alone}");
        }
    }
}
