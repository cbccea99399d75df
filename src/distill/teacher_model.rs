//! What is known of one teacher: how likely it says what it said, for each label that may be true. Learned from the shares
//! that samples' labels have by everything else, as Dawid and Skene (1979) did for annotators.
//!
//! With pi_l how much of all it says is the label l:
//! - Ranked answers of s > 1 labels: c was listed at rank r, and the others are there by their popularity,
//!   `L(c) = rho[s][r] / (pi_c (1 - pi_c)^(s-1))`; or c is missing, `L(c) = rho[s][out] / (1 - pi_c)^s`.
//!   A label that a teacher is fond of says less than one that it rarely names.
//! - Answers of one label l: `L(c) = theta(l | c)`, the confusions, with the same as their prior:
//!   `theta(l | c) = (n(c, l) + S base(l | c)) / (n(c) + S)`, `base(c | c) = rho[1][1]`,
//!   `base(l | c) = rho[1][out] pi_l / (1 - pi_c)`.
//!
//! Confusions are not used for longer answers: there a label learns from its being second that it should be first.
//!
//! Where the first formula comes from: given c, its rank is drawn by rho, and each other label l of the answer with
//! pi_l / (1 - pi_c). Likelihoods are compared between labels c for one answer, so the product of pi over all that it
//! names is left out, which is the same for every c; of a c that it names, 1 / pi_c remains.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use super::ranks::{RankCounts, RankLikelihood};
use crate::domain::candidates::Opinion;

/// S: samples of a class that the prior of its confusions weighs.
const PRIOR_SAMPLES: f64 = 5.0;
/// Shares of a sample below this are not counted: they add up to nothing and would fill the table.
const LEAST_SHARE: f64 = 1e-3;

/// Of more labels than that nothing is kept of what was computed: with these it is 32 MB a teacher.
const MOST_KEPT: usize = 2048;

/// See the module.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct TeacherModel {
    /// rho of this teacher.
    ranks: RankLikelihood,
    /// ln pi, by label.
    popularity: Vec<f64>,
    /// ln (1 - pi), by label.
    unpopularity: Vec<f64>,
    /// n(c, l): by the answer l, then by the true label c. Sparse, for with C labels most of C x C pairs never come.
    /// Sorted maps, so that sums are made and files written in one order.
    confused: BTreeMap<usize, BTreeMap<usize, f64>>,
    /// n(c), the sum of n(c, l) over l: C values.
    confused_from: Vec<f64>,
    #[serde(skip)]
    kept: Kept,
}

/// ln L of answers of one label, by that label and then by the true one, from when it was first asked for: a teacher gives the
/// same few answers again and again. Follows from the rest, so two models that differ in it alone are the same.
#[derive(Debug, Clone, Default)]
struct Kept(Vec<OnceLock<Vec<f64>>>);

impl Kept {
    /// Nothing yet, for a model of `labels` labels.
    fn new(labels: usize) -> Self {
        Self(vec![OnceLock::new(); if labels <= MOST_KEPT { labels } else { 0 }])
    }
}

impl PartialEq for Kept {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What is added up to learn a [`TeacherModel`]. Over one round of EM; parts of samples, not whole ones.
pub(super) struct TeacherCounts {
    ranks: RankCounts,
    confused: BTreeMap<usize, BTreeMap<usize, f64>>,
    confused_from: Vec<f64>,
}

impl TeacherModel {
    /// Knows what the teacher says, and of whether it is right no more than `prior` does. Each label is counted once more
    /// than it was named, so that none is impossible; a longer answer counts as one, in equal parts.
    pub(super) fn new<'a>(opinions: impl Iterator<Item = &'a Opinion>, prior: &RankLikelihood, labels: usize) -> Self {
        let mut named = vec![1.0; labels];
        for opinion in opinions {
            for label in &opinion.labels {
                let share = 1.0 / opinion.labels.len() as f64;
                named.get_mut(label.index()).into_iter().for_each(|count| *count += share);
            }
        }
        let sum: f64 = named.iter().sum();
        Self {
            ranks: prior.clone(),
            popularity: named.iter().map(|count| (count / sum).ln()).collect(),
            // A single label would have all.
            unpopularity: named.iter().map(|count| (1.0 - count / sum).max(1e-9).ln()).collect(),
            confused: BTreeMap::new(),
            confused_from: vec![0.0; labels],
            kept: Kept::new(labels),
        }
    }

    /// Whether it is for `labels` labels.
    pub(super) fn fits(&self, labels: usize) -> bool {
        [&self.popularity, &self.unpopularity, &self.confused_from].iter().all(|values| values.len() == labels)
    }

    /// Learned from `counts` and the prior of rho. Popularity stays: it is of the answers, not of what is right.
    pub(super) fn learn(&mut self, counts: TeacherCounts, prior: &RankLikelihood) {
        self.ranks = prior.fit(&counts.ranks);
        self.confused = counts.confused;
        self.confused_from = counts.confused_from;
        self.kept = Kept::new(self.confused_from.len());
    }

    /// Adds `weight` times ln L to `row`, by label, up to a constant. Finite, whatever the answer, as long as its
    /// weights are.
    pub(super) fn weigh(&self, opinion: &Opinion, weight: f64, row: &mut [f64]) {
        // One label: by confusions, with ranks and popularity as their prior.
        if let [answer] = opinion.labels.as_slice() {
            let mut add = |says: &Vec<f64>| row.iter_mut().zip(says).for_each(|(slot, says)| *slot += weight * says);
            match self.kept.0.get(answer.index()) {
                Some(kept) => add(kept.get_or_init(|| self.confusions(answer.index()))),
                None => add(&self.confusions(answer.index())),
            }
            return;
        }
        let likelihood = self.ranks.of(opinion.labels.len());
        let rarity = |label: usize| self.unpopularity.get(label).copied().unwrap_or_default();
        // Several: first as if every label were missing from the answer, then those that are in it set right.
        let size = opinion.labels.len() as f64;
        for (label, slot) in row.iter_mut().enumerate() {
            *slot += weight * (likelihood.out.ln() - size * rarity(label));
        }
        for (label, listed) in opinion.labels.iter().zip(tilted(&likelihood.listed, &opinion.weights)) {
            let label = label.index();
            if let (Some(slot), Some(popularity)) = (row.get_mut(label), self.popularity.get(label)) {
                *slot += weight * (listed.ln() - popularity + rarity(label) - likelihood.out.ln());
            }
        }
    }

    /// ln L of an answer that is the label `answer` alone, by the true label.
    fn confusions(&self, answer: usize) -> Vec<f64> {
        let likelihood = self.ranks.of(1);
        let (right, wrong) = (likelihood.listed.first().copied().unwrap_or_default(), likelihood.out.ln());
        let popular = self.popularity.get(answer).copied().unwrap_or_default();
        let none = BTreeMap::new();
        let confused = self.confused.get(&answer).unwrap_or(&none);
        let of = |(label, (unpopular, from)): (usize, (&f64, &f64))| {
            let base = if label == answer { right } else { (wrong + popular - unpopular).exp() };
            let counted = confused.get(&label).copied().unwrap_or_default();
            ((counted + PRIOR_SAMPLES * base) / (from + PRIOR_SAMPLES)).ln()
        };
        self.unpopularity.iter().zip(&self.confused_from).enumerate().map(of).collect()
    }
}

/// The likelihoods of the ranks, tilted towards the labels with larger weights; their sum stays. As they are where
/// the answer has no weight for each.
fn tilted(listed: &[f64], weights: &[f32]) -> Vec<f64> {
    if weights.len() != listed.len() {
        return listed.to_vec();
    }
    // By the root of the weights: half of what they say. Models are surer of their words than they are right.
    let joint: Vec<f64> = listed.iter().zip(weights).map(|(p, &weight)| p * f64::from(weight).sqrt()).collect();
    let scale = listed.iter().sum::<f64>() / joint.iter().sum::<f64>();
    joint.into_iter().map(|p| p * scale).collect()
}

impl TeacherCounts {
    pub(super) fn new(labels: usize) -> Self {
        Self { ranks: RankCounts::new(), confused: BTreeMap::new(), confused_from: vec![0.0; labels] }
    }

    /// Adds a sample of which this teacher said `opinion` and whose label is c with the probability `shares[c]`.
    pub(super) fn add(&mut self, opinion: &Opinion, shares: &[f64]) {
        let listed = opinion.labels.iter().map(|label| shares.get(label.index()).copied().unwrap_or_default());
        self.ranks.add(listed);
        let [answer] = opinion.labels.as_slice() else { return };
        let confused = self.confused.entry(answer.index()).or_default();
        for (label, (&share, from)) in shares.iter().zip(&mut self.confused_from).enumerate() {
            if share >= LEAST_SHARE {
                *confused.entry(label).or_default() += share;
                *from += share;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::LabelId;

    fn said(labels: &[u16], weights: &[f32]) -> Opinion {
        let labels: Vec<LabelId> = labels.iter().map(|&label| LabelId(label)).collect();
        Opinion::of(0, &labels, weights)
    }

    fn likelihoods(model: &TeacherModel, opinion: &Opinion) -> Vec<f64> {
        let mut row = vec![0.0; model.popularity.len()];
        model.weigh(opinion, 1.0, &mut row);
        row.iter().map(|l| l.exp()).collect()
    }

    #[test]
    fn one_label_by_hand() {
        // Named: 0 twice, 1 once, and each once more: pi = (3, 2, 1) / 6.
        let answers = [said(&[0], &[]), said(&[0], &[]), said(&[1], &[])];
        let mut model = TeacherModel::new(answers.iter(), &RankLikelihood::prior(), 3);
        let l = likelihoods(&model, &answers[0]);
        // base(0|0) = 0.9; base(0|1) = 0.1 * 1/2 / (2/3); base(0|2) = 0.1 * 1/2 / (5/6).
        let expected = [0.9, 0.075, 0.06];
        assert!(l.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-12), "{l:?}");
        // Of two samples answered 0, one is surely 0 and one surely 2: n(0,0) = n(2,0) = 1; rho[1][1] = (0.9 + 0.5) / 2.
        let mut counts = TeacherCounts::new(3);
        counts.add(&answers[0], &[1.0, 0.0, 0.0]);
        counts.add(&answers[1], &[0.0, 0.0, 1.0]);
        model.learn(counts, &RankLikelihood::prior());
        assert_eq!(likelihoods(&model, &answers[0]), likelihoods(&model.clone(), &answers[0]), "the second time too");
        let l = likelihoods(&model, &answers[0]);
        let expected =
            [(1.0 + 5.0 * 0.7) / 6.0, 5.0 * 0.3 * 0.5 / (2.0 / 3.0) / 5.0, (1.0 + 5.0 * 0.3 * 0.5 / (5.0 / 6.0)) / 6.0];
        assert!(l.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-12), "{l:?} {expected:?}");
    }

    #[test]
    fn several_labels_by_hand() {
        // pi = (1/4, 1/4, 1/4, 1/4): nothing was said yet.
        let model = TeacherModel::new(std::iter::empty(), &RankLikelihood::prior(), 4);
        let l = likelihoods(&model, &said(&[2, 0], &[]));
        let expected = [0.3 / (0.25 * 0.75), 0.1 / 0.5625, 0.6 / (0.25 * 0.75), 0.1 / 0.5625];
        assert!(l.iter().zip(expected).all(|(l, e)| (l - e).abs() < 1e-12), "{l:?}");
        // Weights 1 : 4 tilt 0.6 : 0.3 to 0.6 : 0.6, the sum stays.
        let l = likelihoods(&model, &said(&[2, 0], &[0.2, 0.8]));
        assert!((l[0] - 0.45 / (0.25 * 0.75)).abs() < 1e-6 && (l[2] - l[0]).abs() < 1e-6, "{l:?}");
    }

    #[test]
    fn a_favourite_label_says_less_than_a_rare_one() {
        let answers: Vec<Opinion> = (0..90).map(|_| said(&[0], &[])).chain((0..10).map(|_| said(&[1], &[]))).collect();
        let model = TeacherModel::new(answers.iter(), &RankLikelihood::prior(), 3);
        let odds = |answer: u16| {
            let l = likelihoods(&model, &said(&[answer], &[]));
            l[usize::from(answer)] / l[2]
        };
        assert!(odds(1) > 5.0 * odds(0));
    }
}
