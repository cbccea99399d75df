//! The first texts of a corpus, which are all that a pilot is about.
//!
//! What counts is a text of its own: rows that cannot be used and rows that repeat an id do not, a text that is known
//! does. So the same limit means the same texts in every run, whatever is answered already, and a larger one means
//! these and more.

use std::collections::HashSet;

use crate::domain::sample::{SampleId, TextHash};

/// Counts the texts that a reading of the corpus has met, where it is to end after so many.
#[derive(Debug)]
pub(crate) struct First {
    most: Option<u64>,
    /// By the hash of their ids. None is kept without a limit.
    met: HashSet<TextHash>,
}

impl First {
    /// The first `most` texts, or all.
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self { most, met: HashSet::new() }
    }

    /// A usable row of this id was read.
    pub(crate) fn meet(&mut self, id: &SampleId) {
        if self.most.is_some() {
            self.met.insert(TextHash::of(&id.0));
        }
    }

    /// Texts that are still to be met; `None` where there is no limit.
    pub(crate) fn left(&self) -> Option<u64> {
        self.most.map(|most| most.saturating_sub(self.met.len() as u64))
    }

    /// Whether all were met, so that no further row is to be read.
    pub(crate) fn are_met(&self) -> bool {
        self.left() == Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_id_does_not_count_and_without_a_limit_nothing_does() {
        let (mut two, mut all) = (First::new(Some(2)), First::new(None));
        for id in ["a", "a", "a"] {
            two.meet(&SampleId(id.into()));
            all.meet(&SampleId(id.into()));
        }
        assert_eq!((two.left(), two.are_met()), (Some(1), false));
        two.meet(&SampleId("b".into()));
        assert!(two.are_met() && !all.are_met() && all.met.is_empty());
        assert!(First::new(Some(0)).are_met());
    }
}
