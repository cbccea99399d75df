//! What teachers' own rankings say of a text, taken at their word: L_0 of `posterior.rs`.

use super::ranks::Likelihood;
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::label::LabelId;

/// No share is less: its logarithm is taken.
const LEAST: f64 = 1e-12;

/// ln L_0: of the labels that answers name, each, and of all others alike.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rankings {
    /// The labels that answers name, each once, in the order in which they come there.
    pub(super) named: Vec<(LabelId, f64)>,
    /// Of each other label.
    pub(super) others: f64,
}

impl Rankings {
    /// The mean of what the rankings give to the labels, each weighed by what `weight` says of who gave it; and each with the
    /// likelihoods that `rho` gives to its ranks. Without candidates, nothing: 0 for all.
    pub(super) fn of(
        candidates: &CandidateSet,
        labels: usize,
        weight: impl Fn(u16) -> f64,
        rho: impl Fn(&Opinion) -> Likelihood,
    ) -> Self {
        if candidates.is_empty() {
            return Self { named: Vec::new(), others: 0.0 };
        }
        let opinions = candidates.opinions();
        let all: f64 = opinions.iter().map(|opinion| weight(opinion.teacher)).sum();
        let mut others = 0.0;
        let mut named: Vec<(LabelId, f64)> = Vec::new();
        for opinion in opinions {
            // Where nobody else answered, the weakest is heard.
            let voice = if all > 0.0 { weight(opinion.teacher) / all } else { 1.0 / opinions.len() as f64 };
            let rho = rho(opinion);
            // However seldom a teacher seems right, what it names first is likelier than what it does not name.
            let most = rho.listed.first().map_or(1.0, |first| first / 2.0);
            // With all labels listed, nobody reads what the others have.
            let each = rho.each_of(labels.saturating_sub(opinion.labels.len())).min(most).max(LEAST);
            // A label that is named for the first time was one of the others to those before.
            for label in &opinion.labels {
                if !named.iter().any(|(known, _)| known == label) {
                    named.push((*label, others));
                }
            }
            others += voice * each;
            for (label, share) in &mut named {
                let rank = opinion.labels.iter().position(|listed| listed == label);
                *share += voice * rank.and_then(|rank| rho.listed.get(rank)).unwrap_or(&each);
            }
        }
        named.iter_mut().for_each(|(_, share)| *share = share.max(LEAST).ln());
        Self { named, others: others.max(LEAST).ln() }
    }

    /// Adds `weight` times ln L_0 to `row`, by label, up to a constant.
    pub(super) fn weigh(&self, weight: f64, row: &mut [f64]) {
        for (label, ln) in &self.named {
            row.get_mut(label.index()).into_iter().for_each(|slot| *slot += weight * (ln - self.others));
        }
    }

    /// Of the labels that answers name the likeliest by it, the first of equals by number.
    pub(super) fn first(&self) -> Option<LabelId> {
        let most = self.named.iter().map(|(_, ln)| *ln).fold(f64::NEG_INFINITY, f64::max);
        self.named.iter().filter(|(_, ln)| *ln >= most).map(|(label, _)| *label).min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::ranks::RankLikelihood;
    use super::super::refinery::tests::sets;
    use super::*;

    fn of(said: &[&[u16]], labels: usize, weight: impl Fn(u16) -> f64) -> Vec<f64> {
        let prior = RankLikelihood::prior();
        let rankings = Rankings::of(&sets(said), labels, weight, |opinion| prior.of(opinion.labels.len()));
        let mut row = vec![rankings.others; labels];
        rankings.weigh(1.0, &mut row);
        row.into_iter().map(f64::exp).collect()
    }

    #[test]
    fn the_mean_of_the_rankings_by_hand() {
        // 0.6, 0.3 and 0.1 / 2 for two of four labels; 0.9 and 0.1 / 3 for one.
        let close = |found: Vec<f64>, expected: [f64; 4]| {
            assert!(found.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-12), "{found:?} {expected:?}");
        };
        let (first, second) = ([0.3, 0.05, 0.6, 0.05], [0.1 / 3.0, 0.9, 0.1 / 3.0, 0.1 / 3.0]);
        close(of(&[&[2, 0]], 4, |_| 1.0), first);
        let mixed = |share: f64| std::array::from_fn(|label| share * first[label] + (1.0 - share) * second[label]);
        close(of(&[&[2, 0], &[1]], 4, |_| 1.0), mixed(0.5));
        // Heard three times as much, and the other way round.
        close(of(&[&[2, 0], &[1]], 4, |teacher| [3.0, 1.0][usize::from(teacher)]), mixed(0.75));
        // Nobody is heard: then all who answered are.
        close(of(&[&[2, 0], &[1]], 4, |_| 0.0), mixed(0.5));
    }

    #[test]
    fn the_first_label_is_the_likeliest_and_of_equals_the_first_by_number() {
        let first = |said: &[&[u16]]| {
            let prior = RankLikelihood::prior();
            Rankings::of(&sets(said), 5, |_| 1.0, |opinion| prior.of(opinion.labels.len())).first()
        };
        assert_eq!(first(&[&[3, 1], &[1], &[4]]), Some(LabelId(1)));
        assert_eq!(first(&[&[4], &[2]]), Some(LabelId(2)));
        assert_eq!(first(&[]), None);
    }
}
