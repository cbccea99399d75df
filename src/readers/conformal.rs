//! Sets of labels that hold the right one as often as is asked for: split conformal prediction (Vovk et al. 2005) with the score
//! of least ambiguous sets (Sadinle et al. 2019, arXiv 1609.00451), 1 - p of the right label. No I/O.
//!
//! What is promised: over the draw of the audited texts and of one more text of the run, that text's set holds its right label
//! with the probability that was asked for, at least. It is one promise for all texts together, none for those of a label or for
//! those that are hard.

use super::probability::Probability;

/// Why there are no sets.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unreachable {
    /// So many texts must be audited for this coverage, whatever is found.
    TooFew(u64),
    /// The right label is too often none of those that are recorded: this coverage is the most that they reach.
    NotRecorded(f64),
}

/// The probability from which on a label belongs to a text's set. `shares` are the probabilities that the run gave the right
/// labels of the audited texts, `None` where the right label is not among the recorded ones; `coverage` is between 0 and 1.
///
/// # Errors
///
/// See [`Unreachable`].
pub(super) fn least_share(mut shares: Vec<Option<Probability>>, coverage: f64) -> Result<Probability, Unreachable> {
    let count = shares.len() as f64;
    // The score of rank ceil((n + 1) coverage) of n. A product that is whole but for its last binary digits is whole.
    let rank = ((count + 1.0) * coverage - 1e-9).ceil().max(1.0);
    if rank > count {
        return Err(Unreachable::TooFew((coverage / (1.0 - coverage) - 1e-9).ceil() as u64));
    }
    // The lowest scores first: the likeliest, and in the end what is not recorded, whose score is above all others.
    shares.sort_by(|a, b| b.cmp(a));
    let recorded = shares.iter().flatten().count() as f64;
    let found = shares.get(rank as usize - 1).copied().flatten();
    // Rounded down, so that it is reached when it is asked for.
    found.ok_or_else(|| Unreachable::NotRecorded((1e3 * recorded / (count + 1.0)).floor() / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::random::rng;
    use proptest::prelude::{prop_assert, proptest};
    use rand::Rng;

    fn shares(recorded: usize, all: usize) -> Vec<Option<Probability>> {
        (0..all).map(|i| (i < recorded).then(|| Probability::of(1.0 - i as f64 / all as f64))).collect()
    }

    #[test]
    fn the_quantile_is_that_of_a_finite_sample() {
        // 95% takes 19 texts, all of whose sets must hold the right label; then the least likely decides.
        assert_eq!(least_share(shares(18, 18), 0.95), Err(Unreachable::TooFew(19)));
        assert_eq!(least_share(shares(19, 19), 0.95), Ok(Probability::of(1.0 / 19.0)));
        // 99: rank 95 of them.
        assert_eq!(least_share(shares(99, 99), 0.95), Ok(Probability::of(1.0 - 94.0 / 99.0)));
        assert_eq!(least_share(shares(95, 99), 0.95), Ok(Probability::of(1.0 - 94.0 / 99.0)));
        assert_eq!(least_share(shares(94, 99), 0.95), Err(Unreachable::NotRecorded(0.94)));
        assert!(least_share(shares(94, 99), 0.94).is_ok());
        assert_eq!(least_share(shares(0, 99), 0.5), Err(Unreachable::NotRecorded(0.0)));
        assert_eq!(least_share(vec![], 0.9), Err(Unreachable::TooFew(9)));
    }

    proptest! {
        #[test]
        fn what_is_said_to_be_reached_or_enough_is(recorded in 0..300_usize, more in 0..300_usize, coverage in 0.01_f64..0.995) {
            match least_share(shares(recorded, recorded + more), coverage) {
                Ok(_) => {}
                Err(Unreachable::TooFew(needed)) => {
                    prop_assert!(needed > (recorded + more) as u64);
                    prop_assert!(least_share(shares(needed as usize, needed as usize), coverage).is_ok());
                    prop_assert!(least_share(shares(needed as usize - 1, needed as usize - 1), coverage).is_err());
                }
                Err(Unreachable::NotRecorded(reached)) => {
                    prop_assert!(reached < coverage);
                    prop_assert!(reached == 0.0 || least_share(shares(recorded, recorded + more), reached).is_ok());
                }
            }
        }
    }

    /// The promise itself, over draws of the audit and of the next text, whatever the probabilities are worth: here the right
    /// label is one of four, drawn by other probabilities than the run says, and one time in fifty it is none of them.
    #[test]
    fn coverage_holds_over_draws() {
        let draws: Vec<_> = (0..3000_u64).map(|draw| rng(draw, "coverage", &[])).collect();
        for (count, coverage) in [(30, 0.8), (100, 0.9), (200, 0.95)] {
            let mut held = 0_u32;
            for mut rng in draws.iter().cloned() {
                let mut share = || {
                    let said: [f64; 4] = std::array::from_fn(|_| rng.random::<f64>().powi(3));
                    let sum: f64 = said.iter().sum();
                    let likeliest = said.iter().copied().fold(0.0, f64::max);
                    let right = match rng.random::<f64>() {
                        draw if draw < 0.02 => return None,
                        draw if draw < 0.7 => likeliest,
                        _ => said[rng.random_range(0..4)],
                    };
                    Some(Probability::of(right / sum))
                };
                let audited: Vec<_> = (0..count).map(|_| share()).collect();
                let next = share();
                // Without a set, any label may be meant.
                held += u32::from(least_share(audited, coverage).map_or(true, |least| next >= Some(least)));
            }
            let held = f64::from(held) / draws.len() as f64;
            // Three standard errors, and no more above it than the finite sample gives away.
            assert!(held > coverage - 0.022, "{count}: {held} for {coverage}");
            assert!(held < coverage + 1.0 / count as f64 + 0.022, "{count}: {held} for {coverage}");
        }
    }
}
