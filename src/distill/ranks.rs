//! The rank likelihood: how likely a teacher lists the true label first, second, ..., or not at all.
//!
//! For a set of s candidates (1, 2, 3, or 4 and more) with the true label c at rank r:
//! `L(c) = rho[s][r]` if c is listed, `rho[s][out] / (C - s)` if it is not; `sum_r rho[s][r] + rho[s][out] = 1`.
//! In sets of 4 and more, the fourth rank and those after it share one probability.
//!
//! Ten numbers in all (1 + 2 + 3 + 4 ranks), which a few hundred samples are enough for; one for each label would not
//! be.

use serde::{Deserialize, Serialize};

/// Set sizes told apart: 1, 2, 3, 4 and more. So also the most ranks that are told apart.
const SIZES: usize = 4;
/// What the prior gives to "not listed".
const PRIOR_OUT: f64 = 0.1;

/// The table rho for one set size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Ranks {
    /// By rank, the likeliest first; as many as the size, 4 at most. Never rises, for a teacher that ranks is not to
    /// be believed to mean it the other way round.
    listed: Vec<f64>,
    /// That none of them is the label, all others together.
    out: f64,
}

/// The rank likelihood, of one teacher or of all together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct RankLikelihood {
    by_size: Vec<Ranks>,
}

/// rho for one answer: one value per candidate, and one for all other labels together. They sum to 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Likelihood {
    pub(super) listed: Vec<f64>,
    pub(super) out: f64,
}

impl Likelihood {
    /// L of each other label, if there are `others` of them: nothing tells them apart, so all have the same.
    pub(super) fn each_of(&self, others: usize) -> f64 {
        if others > 0 { self.out / others as f64 } else { 0.0 }
    }
}

impl RankLikelihood {
    /// Before anything is known: every rank half as likely as the one before, and one in ten true labels not listed.
    pub(super) fn prior() -> Self {
        Self { by_size: (1..=SIZES).map(Ranks::prior).collect() }
    }

    /// The prior, but for `out`, the share of true labels that are not listed.
    pub(super) fn with_out(out: f64) -> Self {
        let mut ranks = Self::prior();
        for size in &mut ranks.by_size {
            size.listed.iter_mut().for_each(|p| *p *= (1.0 - out) / (1.0 - size.out));
            size.out = out;
        }
        ranks
    }

    /// rho for a set of `size` candidates. An empty set says nothing: the label is outside.
    pub(super) fn of(&self, size: usize) -> Likelihood {
        let Some(ranks) = size.min(SIZES).checked_sub(1).and_then(|bucket| self.by_size.get(bucket)) else {
            return Likelihood { listed: Vec::new(), out: 1.0 };
        };
        let last = ranks.listed.len();
        let listed = (1..=size)
            .map(|rank| {
                let p = ranks.listed.get(rank.min(last) - 1).copied().unwrap_or_default();
                // The last probability is shared evenly by all ranks from there on, so the sum stays 1.
                if rank >= last { p / (size - last + 1) as f64 } else { p }
            })
            .collect();
        Likelihood { listed, out: ranks.out }
    }

    /// Learned from `counts`. `self`, the prior, weighs as much as all of them: a student that learned a teacher's habits
    /// finds it too reliable. A size that was never seen keeps its prior. Every value stays above 0, so logarithms are
    /// finite.
    pub(super) fn fit(&self, counts: &RankCounts) -> Self {
        let mut fitted = self.clone();
        for (ranks, counted) in fitted.by_size.iter_mut().zip(&counts.by_size) {
            let seen = counted.listed.iter().sum::<f64>() + counted.out;
            if seen > 0.0 {
                ranks.listed.iter_mut().zip(&counted.listed).for_each(|(p, count)| *p = (*p + count / seen) / 2.0);
                ranks.out = (ranks.out + counted.out / seen) / 2.0;
                // Pooling keeps the sum, and with it that of the whole table.
                make_monotone(&mut ranks.listed);
            }
        }
        fitted
    }
}

/// Where the true labels were, added up over samples: a share at each rank, and one outside. Labels are not known, so
/// a sample counts at all ranks in parts.
#[derive(Debug, Clone)]
pub(super) struct RankCounts {
    by_size: Vec<Ranks>,
}

impl RankCounts {
    pub(super) fn new() -> Self {
        Self { by_size: (1..=SIZES).map(|size| Ranks { listed: vec![0.0; size], out: 0.0 }).collect() }
    }

    /// Adds a sample: the probability of each of its candidates, by rank, of which the rest to 1 is outside. An empty
    /// set says nothing and is not counted.
    pub(super) fn add(&mut self, listed: impl ExactSizeIterator<Item = f64>) {
        let bucket = listed.len().min(SIZES).checked_sub(1);
        let Some(ranks) = bucket.and_then(|bucket| self.by_size.get_mut(bucket)) else { return };
        let (last, mut inside) = (ranks.listed.len() - 1, 0.0);
        for (rank, p) in listed.enumerate() {
            inside += p;
            ranks.listed.get_mut(rank.min(last)).into_iter().for_each(|count| *count += p);
        }
        ranks.out += (1.0 - inside).max(0.0);
    }
}

impl Ranks {
    fn prior(size: usize) -> Self {
        let halves: Vec<f64> = (0..size).map(|rank| 0.5_f64.powi(i32::try_from(rank).unwrap_or(i32::MAX))).collect();
        let sum: f64 = halves.iter().sum();
        Self { listed: halves.iter().map(|half| half / sum * (1.0 - PRIOR_OUT)).collect(), out: PRIOR_OUT }
    }
}

/// The non-increasing sequence nearest in squares: pools adjacent violators (Ayer et al. 1955). In linear time.
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_prior_by_hand() {
        let prior = RankLikelihood::prior();
        assert_eq!(prior.of(1), Likelihood { listed: vec![0.9], out: 0.1 });
        let two = prior.of(2);
        assert!((two.listed[0] - 0.6).abs() < 1e-12 && (two.listed[1] - 0.3).abs() < 1e-12);
        assert_eq!((prior.of(0).each_of(4), prior.of(4).each_of(0)), (0.25, 0.0));
    }

    #[test]
    fn a_prior_with_less_listed_by_hand() {
        let half = RankLikelihood::with_out(0.55);
        assert!((half.of(1).listed[0] - 0.45).abs() < 1e-12 && (half.of(2).listed[1] - 0.15).abs() < 1e-12, "{half:?}");
        assert!(half.by_size.iter().all(|size| (size.out - 0.55).abs() < 1e-12));
    }

    #[test]
    fn learned_by_hand() {
        // Two samples of two candidates: the first is surely right, then the second. Shares (1, 1, 0) / 2, and the prior
        // (0.6, 0.3, 0.1) weighs as much.
        let mut counts = RankCounts::new();
        counts.add([1.0, 0.0].into_iter());
        counts.add([0.0, 1.0].into_iter());
        let fitted = RankLikelihood::prior().fit(&counts);
        let ranks = &fitted.by_size[1];
        assert!((ranks.listed[0] - 0.55).abs() < 1e-9, "{ranks:?}");
        assert!((ranks.listed[1] - 0.40).abs() < 1e-9 && (ranks.out - 0.05).abs() < 1e-9, "{ranks:?}");
        assert_eq!(fitted.by_size[0], RankLikelihood::prior().by_size[0], "nothing seen, nothing learned");
    }

    #[test]
    fn a_teacher_that_is_right_at_the_second_rank_is_believed_only_up_to_a_tie() {
        let mut counts = RankCounts::new();
        counts.add([0.0, 1.0].into_iter());
        let ranks = RankLikelihood::prior().fit(&counts).by_size[1].clone();
        assert!((ranks.listed[0] - ranks.listed[1]).abs() < 1e-12, "{ranks:?}");
    }

    proptest! {
        #[test]
        fn likelihoods_sum_to_one_and_do_not_rise(
            samples in prop::collection::vec(prop::collection::vec(0.0..0.2_f64, 1..7), 0..20),
            size in 1..7_usize,
        ) {
            let mut counts = RankCounts::new();
            samples.into_iter().for_each(|sample| counts.add(sample.into_iter()));
            let likelihood = RankLikelihood::prior().fit(&counts).of(size);
            let sum: f64 = likelihood.listed.iter().sum::<f64>() + likelihood.each_of(9 - size) * (9 - size) as f64;
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
