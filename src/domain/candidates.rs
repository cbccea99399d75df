//! The candidate set: the ranked labels that one sample may have, and who named them. No I/O.
//!
//! Sets are small, a handful of labels, so looking through a list is faster here than any map.

use serde::{Deserialize, Serialize};

use crate::domain::label::LabelId;

/// What one teacher said about a sample.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Opinion {
    /// The teacher, by its place in the configuration, from 0. The input log has names, so it means the same in every
    /// run of a directory.
    pub teacher: u16,
    /// Its labels, likeliest first, each once.
    pub labels: Vec<LabelId>,
    /// One weight per label, above 0 and finite: what it stated, its token probabilities, or votes. They need not sum
    /// to 1. Empty where there are none, never fewer than labels.
    pub weights: Vec<f32>,
}

impl Opinion {
    /// One answer as it stands; a label that is named twice counts where it is named first. Weights are all or
    /// nothing: where one is missing or not above 0, none is kept.
    #[must_use]
    pub fn of(teacher: u16, labels: &[LabelId], weights: &[f32]) -> Self {
        let mut opinion = Self { teacher, ..Self::default() };
        for (rank, &label) in labels.iter().enumerate() {
            if !opinion.labels.contains(&label) {
                opinion.labels.push(label);
                opinion.weights.extend(weights.get(rank));
            }
        }
        // Half of the weights would be worse than none: whoever tilts by them needs one a label.
        if opinion.weights.len() != opinion.labels.len() || !opinion.weights.iter().all(|&weight| weight > 0.0) {
            opinion.weights.clear();
        }
        opinion
    }

    /// Several answers of one teacher to the same question, ranked by votes: an answer gives each label that it names
    /// its weight there, or one vote where it has no weights. Of two with as many, the one ranked higher on average is
    /// first. The weights are the votes an answer, 0 to 1 where the answers' are. (Ranked higher: by the sum of 1 /
    /// rank over the answers that name it.)
    pub fn vote<'a>(teacher: u16, answers: impl IntoIterator<Item = (&'a [LabelId], &'a [f32])>) -> Self {
        let (mut votes, mut draws): (Vec<(LabelId, f64, f64)>, _) = (Vec::new(), 0.0);
        for (labels, weights) in answers {
            draws += 1.0;
            for (rank, &label) in labels.iter().enumerate() {
                let vote = weights.get(rank).map_or(1.0, |&weight| f64::from(weight));
                let standing = 1.0 / (rank + 1) as f64;
                match votes.iter_mut().find(|(other, ..)| *other == label) {
                    Some((_, sum, standings)) => {
                        *sum += vote;
                        *standings += standing;
                    }
                    None => votes.push((label, vote, standing)),
                }
            }
        }
        // A stable sort: what is equal in both stays in the order in which it was first named.
        votes.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2)));
        let (labels, weights): (Vec<_>, Vec<_>) =
            votes.into_iter().map(|(label, votes, _)| (label, (votes / draws) as f32)).unzip();
        Self::of(teacher, &labels, &weights)
    }
}

/// Ranked candidate labels of one sample, likeliest first, each once, with the opinions they come from. May be empty:
/// no teacher named any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandidateSet {
    ranked: Vec<LabelId>,
    opinions: Vec<Opinion>,
    given: Option<LabelId>,
}

impl CandidateSet {
    /// The union of `opinions`, in the order in which a label is first named: all of the first teacher's, then what
    /// the next adds. Opinions that name nothing are left out.
    pub fn merge(opinions: impl IntoIterator<Item = Opinion>) -> Self {
        let opinions: Vec<Opinion> = opinions.into_iter().filter(|opinion| !opinion.labels.is_empty()).collect();
        let mut ranked = Vec::new();
        for &label in opinions.iter().flat_map(|opinion| &opinion.labels) {
            if !ranked.contains(&label) {
                ranked.push(label);
            }
        }
        Self { ranked, opinions, given: None }
    }

    /// The same opinions, and the label that a person gave; `None` where nobody did.
    #[must_use]
    pub fn with_given(self, given: Option<LabelId>) -> Self {
        Self { given, ..self }
    }

    /// The label that a person gave. It is the text's label, whatever teachers and student say: for a refinery it is evidence of
    /// how those err.
    #[must_use]
    pub fn given(&self) -> Option<LabelId> {
        self.given
    }

    /// Whether anybody but the student says something of the sample: a teacher or a person.
    #[must_use]
    pub fn is_evidence(&self) -> bool {
        self.given.is_some() || !self.ranked.is_empty()
    }

    /// The labels, likeliest first.
    #[must_use]
    pub fn labels(&self) -> &[LabelId] {
        &self.ranked
    }

    /// What each teacher said that named a label.
    #[must_use]
    pub fn opinions(&self) -> &[Opinion] {
        &self.opinions
    }

    /// The number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ranked.len()
    }

    /// Whether no teacher named a label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ranked.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[u16]) -> Vec<LabelId> {
        ids.iter().map(|&id| LabelId(id)).collect()
    }

    #[test]
    fn opinions_merge_in_order_of_first_mention() {
        let opinions = [(0, [3, 1].as_slice()), (1, &[]), (2, &[1, 7, 3])];
        let merged = CandidateSet::merge(opinions.map(|(teacher, labels)| Opinion::of(teacher, &ids(labels), &[])));
        assert_eq!(merged.labels(), ids(&[3, 1, 7]));
        assert_eq!(merged.opinions().iter().map(|opinion| opinion.teacher).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn weights_are_kept_only_where_every_label_has_one() {
        assert_eq!(Opinion::of(0, &ids(&[3, 1, 3]), &[0.5, 0.25, 0.2]).weights, [0.5, 0.25]);
        assert!(Opinion::of(0, &ids(&[3, 1]), &[0.5]).weights.is_empty());
        assert!(Opinion::of(0, &ids(&[3, 1]), &[0.5, 0.0]).weights.is_empty());
    }

    #[test]
    fn votes_rank_the_labels_of_several_draws() {
        let (first, second, third) = (ids(&[3, 1]), ids(&[1]), ids(&[7, 3]));
        let none: &[f32] = &[];
        let voted = Opinion::vote(0, [(first.as_slice(), none), (&second, none), (&third, none)]);
        // 1 and 3 have two votes, and 1 stands at 1/2 + 1, 3 at 1 + 1/2: the one named first stays first.
        assert_eq!((voted.labels, voted.weights), (ids(&[3, 1, 7]), vec![2.0 / 3.0, 2.0 / 3.0, 1.0 / 3.0]));
        let weighted = Opinion::vote(0, [(first.as_slice(), [0.9_f32, 0.1].as_slice()), (&second, &[0.95])]);
        assert_eq!(weighted.labels, ids(&[1, 3]));
    }
}
