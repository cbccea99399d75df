//! The rank likelihood: how likely a teacher lists the true label first, second, ..., or not at all.
//!
//! For a set of s candidates (1, 2, 3, or 4 and more) with the true label c at rank r:
//! `L(c) = rho[s][r]` if c is listed, `rho[s][out] / (C - s)` if it is not; `sum_r rho[s][r] + rho[s][out] = 1`.
//! In sets of 4 and more, the fourth rank and those after it share one probability.

use serde::{Deserialize, Serialize};

use crate::label::LabelId;

/// Set sizes told apart: 1, 2, 3, 4 and more.
const SIZES: usize = 4;
/// What the prior gives to "not listed".
const PRIOR_OUT: f64 = 0.1;
const EM_ROUNDS: usize = 20;

/// The table rho for one set size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ranks {
    /// By rank, the likeliest first.
    listed: Vec<f64>,
    out: f64,
}

/// The rank likelihood.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RankLikelihood {
    by_size: Vec<Ranks>,
}

/// L of one sample's labels: one value per candidate, and one for every other label.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Likelihood {
    pub(super) listed: Vec<f64>,
    pub(super) each_other: f64,
}

impl RankLikelihood {
    /// Before anything is known: every rank half as likely as the one before, and one in ten true labels not listed.
    pub(super) fn prior() -> Self {
        let ranks = |size: usize| {
            let halves: Vec<f64> =
                (0..size).map(|rank| 0.5_f64.powi(i32::try_from(rank).unwrap_or(i32::MAX))).collect();
            let sum: f64 = halves.iter().sum();
            Ranks { listed: halves.iter().map(|half| half / sum * (1.0 - PRIOR_OUT)).collect(), out: PRIOR_OUT }
        };
        Self { by_size: (1..=SIZES).map(ranks).collect() }
    }

    /// L for a set of `size` candidates among `labels` labels. An empty set says nothing: all labels alike.
    pub(super) fn of(&self, size: usize, labels: usize) -> Likelihood {
        let others = labels.saturating_sub(size) as f64;
        let Some(ranks) = size.min(SIZES).checked_sub(1).and_then(|bucket| self.by_size.get(bucket)) else {
            return Likelihood { listed: Vec::new(), each_other: 1.0 / others.max(1.0) };
        };
        let last = ranks.listed.len();
        let listed = (1..=size)
            .map(|rank| {
                let p = ranks.listed.get(rank.min(last) - 1).copied().unwrap_or_default();
                if rank >= last { p / (size - last + 1) as f64 } else { p }
            })
            .collect();
        Likelihood { listed, each_other: if others > 0.0 { ranks.out / others } else { 0.0 } }
    }

    /// EM: each sample's true label is shared among the ranks by `p(c) L(c)`, then rho is what the shares add up to. The
    /// prior counts as many samples as there are: a student that learned a teacher's habits finds it too reliable.
    ///
    /// `samples` gives, for each, the student's calibrated probability of its candidates by rank, and of all labels.
    pub(super) fn fit(samples: &[(Vec<f64>, f64)], labels: usize) -> Self {
        let prior = Self::prior();
        let mut current = prior.clone();
        let mut sizes = [0.0; SIZES];
        for (listed, _) in samples {
            if let Some(count) = listed.len().min(SIZES).checked_sub(1).and_then(|bucket| sizes.get_mut(bucket)) {
                *count += 1.0;
            }
        }
        for _ in 0..EM_ROUNDS {
            let mut next = prior.clone();
            for (ranks, count) in next.by_size.iter_mut().zip(sizes) {
                ranks.listed.iter_mut().for_each(|p| *p *= count);
                ranks.out *= count;
            }
            for (listed, all) in samples {
                current.share(listed, *all, labels, &mut next);
            }
            for (ranks, old) in next.by_size.iter_mut().zip(&current.by_size) {
                ranks.normalise(old);
            }
            current = next;
        }
        current
    }

    /// The E step of one sample: adds its shares to `counts`.
    fn share(&self, listed: &[f64], all: f64, labels: usize, counts: &mut Self) {
        let likelihood = self.of(listed.len(), labels);
        let joint: Vec<f64> = listed.iter().zip(&likelihood.listed).map(|(p, l)| p * l).collect();
        let out = (all - listed.iter().sum::<f64>()).max(0.0) * likelihood.each_other;
        let sum = joint.iter().sum::<f64>() + out;
        let bucket = listed.len().min(SIZES).checked_sub(1);
        let Some(ranks) = bucket.and_then(|bucket| counts.by_size.get_mut(bucket)) else { return };
        if sum <= 0.0 {
            return;
        }
        let last = ranks.listed.len() - 1;
        for (rank, joint) in joint.iter().enumerate() {
            if let Some(count) = ranks.listed.get_mut(rank.min(last)) {
                *count += joint / sum;
            }
        }
        ranks.out += out / sum;
    }
}

impl Ranks {
    /// Counts to probabilities that do not rise with the rank; `old` if nothing was counted.
    fn normalise(&mut self, old: &Self) {
        let sum = self.listed.iter().sum::<f64>() + self.out;
        if sum <= 0.0 {
            self.clone_from(old);
            return;
        }
        self.listed.iter_mut().for_each(|count| *count /= sum);
        self.out /= sum;
        make_monotone(&mut self.listed);
    }
}

/// The non-increasing sequence nearest in squares: pools adjacent violators.
fn make_monotone(values: &mut [f64]) {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &value in values.iter() {
        let mut pool = (value, 1);
        while let Some(&(mean, count)) = pools.last()
            && mean < pool.0
        {
            pools.pop();
            let total = count + pool.1;
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / total as f64, total);
        }
        pools.push(pool);
    }
    let pooled = pools.into_iter().flat_map(|(mean, count)| std::iter::repeat_n(mean, count));
    values.iter_mut().zip(pooled).for_each(|(value, pooled)| *value = pooled);
}

/// The probabilities of a sample's candidates by rank, and of all labels: what [`RankLikelihood::fit`] reads.
pub(super) fn by_rank(candidates: &[LabelId], p: &[f64]) -> (Vec<f64>, f64) {
    let listed = candidates.iter().map(|label| p.get(label.index()).copied().unwrap_or_default()).collect();
    (listed, p.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_prior_by_hand() {
        let prior = RankLikelihood::prior();
        assert_eq!(prior.of(1, 11), Likelihood { listed: vec![0.9], each_other: 0.1 / 10.0 });
        let two = prior.of(2, 12);
        assert!((two.listed[0] - 0.6).abs() < 1e-12 && (two.listed[1] - 0.3).abs() < 1e-12);
        assert_eq!(prior.of(0, 4), Likelihood { listed: vec![], each_other: 0.25 });
        assert_eq!(prior.of(4, 4).each_other, 0.0);
    }

    #[test]
    fn one_round_of_em_by_hand() {
        // Two samples of two candidates, C = 2. The student is sure of the first, then of the second: shares 1 and 1;
        // prior counts 2 * (0.6, 0.3, 0.1). No rank is out, so rho converges at (1.2 + 1, 0.6 + 1, 0.2) / 4.
        let samples = [(vec![1.0, 0.0], 1.0), (vec![0.0, 1.0], 1.0)];
        let fitted = RankLikelihood::fit(&samples, 2);
        let ranks = &fitted.by_size[1];
        assert!((ranks.listed[0] - 0.55).abs() < 1e-9, "{ranks:?}");
        assert!((ranks.listed[1] - 0.40).abs() < 1e-9 && (ranks.out - 0.05).abs() < 1e-9, "{ranks:?}");
        assert_eq!(fitted.by_size[0], RankLikelihood::prior().by_size[0], "nothing seen, nothing learned");
    }

    #[test]
    fn a_teacher_that_is_right_at_the_second_rank_is_believed_only_up_to_a_tie() {
        let samples = vec![(vec![0.0, 1.0], 1.0); 50];
        let ranks = RankLikelihood::fit(&samples, 5).by_size[1].clone();
        assert!((ranks.listed[0] - ranks.listed[1]).abs() < 1e-12, "{ranks:?}");
    }

    proptest! {
        #[test]
        fn likelihoods_sum_to_one_and_do_not_rise(
            samples in prop::collection::vec((prop::collection::vec(0.0..0.2_f64, 1..7), Just(1.0)), 0..20),
            size in 1..7_usize,
        ) {
            let likelihood = RankLikelihood::fit(&samples, 9).of(size, 9);
            let sum: f64 = likelihood.listed.iter().sum::<f64>() + likelihood.each_other * (9 - size) as f64;
            prop_assert!((sum - 1.0).abs() < 1e-9, "{}", sum);
            prop_assert!(likelihood.listed.iter().take(3).is_sorted_by(|a, b| **a >= **b - 1e-12));
        }

        #[test]
        fn pooling_gives_a_monotone_sequence_with_the_same_sum(values in prop::collection::vec(0.0..1.0_f64, 0..8)) {
            let mut pooled = values.clone();
            make_monotone(&mut pooled);
            prop_assert!(pooled.is_sorted_by(|a, b| *a >= b - 1e-12));
            prop_assert!((pooled.iter().sum::<f64>() - values.iter().sum::<f64>()).abs() < 1e-9);
        }
    }
}
