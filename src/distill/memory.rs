//! The replay memory: a uniform sample of what was consumed, of bounded size (reservoir sampling, Vitter's algorithm R).
//!
//! Which positions are in it follows from the number consumed and the seed alone, so a restarted run finds the same.
//! Each of n samples is in a memory of m with probability m / n, whenever it arrived; so the passes at the end see
//! all of a sorted corpus alike.

use rand::Rng;

use crate::base::random::rng;
use crate::domain::candidates::CandidateSet;
use crate::domain::event::Source;
use crate::domain::sample::{Position, SampleId};
use crate::student::{Encoded, Fold};

/// A sample as training needs it.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) position: Position,
    pub(super) id: SampleId,
    /// How the text begins, to be shown with its label.
    pub(super) shown: Box<str>,
    /// The text as the student reads it; the text itself is not kept.
    pub(super) encoded: Encoded,
    pub(super) candidates: CandidateSet,
    /// The copy that never trains on it.
    pub(super) fold: Fold,
}

impl Item {
    /// Where its label comes from.
    pub(super) fn source(&self) -> Source {
        match (self.candidates.given(), self.candidates.is_empty()) {
            (Some(_), _) => Source::Person,
            (None, true) => Source::Student,
            (None, false) => Source::Refinery,
        }
    }
}

/// Where the sample at `position` goes: a slot to put it in, or nowhere. Position p is drawn a slot from 0..=p, by
/// numbers of its own, and lets go whoever has it.
pub(super) fn slot(seed: u64, position: Position, capacity: usize) -> Option<usize> {
    let capacity = capacity as u64;
    let slot = if position < capacity { position } else { rng(seed, "memory", &[position]).random_range(0..=position) };
    (slot < capacity).then(|| usize::try_from(slot).unwrap_or(usize::MAX))
}

/// The positions in memory after `consumed` samples, by slot. A draw for each position: linear in `consumed`, with
/// nothing read.
pub(super) fn members(seed: u64, consumed: Position, capacity: usize) -> Vec<Position> {
    let mut members: Vec<Position> = Vec::new();
    for position in 0..consumed {
        match slot(seed, position, capacity) {
            Some(slot) if slot < members.len() => {
                if let Some(member) = members.get_mut(slot) {
                    *member = position;
                }
            }
            Some(_) => members.push(position),
            None => {}
        }
    }
    members
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_corpus_is_kept_whole_and_in_order() {
        assert_eq!(members(0, 5, 8), [0, 1, 2, 3, 4]);
        assert_eq!(members(0, 0, 8), [0; 0]);
    }

    #[test]
    fn a_large_one_is_kept_in_equal_shares() {
        // 200 memories of 10 from 100 positions: each half of the corpus has half of the places.
        let late = (0..200).flat_map(|seed| members(seed, 100, 10)).filter(|&position| position >= 50).count();
        assert!((900..1100).contains(&late), "{late} of 2000");
    }
}
