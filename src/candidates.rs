//! The candidate set: the ranked labels that one sample may have, merged over its answers.

use crate::label::LabelId;

/// Ranked candidate labels of one sample, likeliest first, each once. May be empty: the teacher named none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CandidateSet(Vec<LabelId>);

impl CandidateSet {
    /// The union of ranked answers, in the order in which a label is first named.
    pub fn merge<'a>(answers: impl IntoIterator<Item = &'a [LabelId]>) -> Self {
        let mut ranked = Vec::new();
        for &label in answers.into_iter().flatten() {
            if !ranked.contains(&label) {
                ranked.push(label);
            }
        }
        Self(ranked)
    }

    /// The labels of several answers to the same question, ranked by votes: an answer gives each label that it names its
    /// weight there, or one vote where it has no weights. Of two with as many, the one ranked higher on average is first.
    pub fn vote<'a>(answers: impl IntoIterator<Item = (&'a [LabelId], &'a [f32])>) -> Self {
        let mut votes: Vec<(LabelId, f64, f64)> = Vec::new();
        for (labels, weights) in answers {
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
        votes.sort_by(|a, b| b.1.total_cmp(&a.1).then(b.2.total_cmp(&a.2)));
        Self(votes.into_iter().map(|(label, ..)| label).collect())
    }

    /// The labels, likeliest first.
    #[must_use]
    pub fn labels(&self) -> &[LabelId] {
        &self.0
    }

    /// The number of candidates.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the teacher named no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_merge_in_order_of_first_mention() {
        let ids = |ids: &[u16]| ids.iter().map(|&id| LabelId(id)).collect::<Vec<_>>();
        let (first, second, third) = (ids(&[3, 1]), ids(&[]), ids(&[1, 7, 3]));
        let merged = CandidateSet::merge([first.as_slice(), &second, &third]);
        assert_eq!(merged.labels(), ids(&[3, 1, 7]));
    }

    #[test]
    fn votes_rank_the_labels_of_several_draws() {
        let ids = |ids: &[u16]| ids.iter().map(|&id| LabelId(id)).collect::<Vec<_>>();
        let (first, second, third) = (ids(&[3, 1]), ids(&[1]), ids(&[7, 3]));
        let none: &[f32] = &[];
        let voted = CandidateSet::vote([(first.as_slice(), none), (&second, none), (&third, none)]);
        // 1 and 3 have two votes, and 1 stands at 1/2 + 1, 3 at 1 + 1/2: the one named first stays first.
        assert_eq!(voted.labels(), ids(&[3, 1, 7]));
        let weighted = CandidateSet::vote([(first.as_slice(), [0.9_f32, 0.1].as_slice()), (&second, &[0.95])]);
        assert_eq!(weighted.labels(), ids(&[1, 3]));
    }
}
