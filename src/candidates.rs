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
}
