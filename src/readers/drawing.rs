//! A random sample of the labels that an audit is about: those texts whose hash, of the seed and their id, is smallest, in the order of the hash.
//!
//! The hash has nothing to do with text, label or confidence, so each text is drawn with the same chance, and the first of a sample are a
//! random sample too. A larger sample of the same seed begins with the smaller one. Holds no more than the drawn texts.

use std::collections::{BinaryHeap, HashSet};

use crate::domain::input::Input;
use crate::domain::lot::{Lot, lot};
use crate::domain::sample::{Sample, TextHash};
use crate::error::Result;
use crate::readers::population::Population;
use crate::store::RunView;

/// A sample.
#[derive(Debug)]
pub(crate) struct Drawing<T> {
    /// In drawn order.
    pub(crate) drawn: Vec<T>,
    /// How many labels there are to draw from.
    pub(crate) population: u64,
    /// How many of them a larger sample cannot do without; where they are more than it may have, nothing is drawn.
    pub(crate) due: usize,
}

/// What is kept of a text, with its lot, which alone decides the order.
struct Ticket<T>(Lot, T);

impl<T> PartialEq for Ticket<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Ticket<T> {}
impl<T> PartialOrd for Ticket<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Ticket<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

/// A sample that is made larger.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Smaller {
    /// Its last lot. Every text up to it is drawn, also those that came since: so what is drawn is a random sample of all that there
    /// is now.
    pub(crate) least: Lot,
    /// So many are drawn for that, at most.
    pub(crate) most: usize,
}

/// Draws `count` of the labels of `population`, which is of the run that `view` looks at; all where there are fewer. `take` is what is kept
/// of each.
///
/// # Errors
///
/// Those of [`draw`](crate::draw).
pub(crate) fn drawing<T>(
    view: &RunView,
    of: &Population,
    (count, seed): (usize, u64),
    smaller: Option<Smaller>,
    take: impl Fn(Sample) -> T,
) -> Result<Drawing<T>> {
    let ids = of.ids(view)?;
    let (least, most) = (smaller.map(|smaller| smaller.least), smaller.map_or(usize::MAX, |smaller| smaller.most));
    let (mut drawn, mut population, mut due) = (BinaryHeap::<Ticket<T>>::new(), 0, 0);
    view.inputs_within(of.basis.inputs, |input| {
        let Some(sample) = labelled(input, &ids) else { return Ok(()) };
        population += 1;
        let lot = lot(seed, &sample.id);
        due += usize::from(Some(lot) <= least);
        if due > most {
            // Counted on, for whoever says so.
            drawn.clear();
            return Ok(());
        }
        // As good as most of them: not one that would be dropped at once.
        if drawn.len() >= count && Some(lot) > least && drawn.peek().is_none_or(|last| lot > last.0) {
            return Ok(());
        }
        drawn.push(Ticket(lot, take(sample)));
        while drawn.len() > count && drawn.peek().is_some_and(|last| Some(last.0) > least) {
            drawn.pop();
        }
        Ok(())
    })?;
    let drawn = drawn.into_sorted_vec().into_iter().map(|ticket| ticket.1).collect();
    Ok(Drawing { drawn, population, due })
}

/// The text that arrives with `input`, where it is one of `ids`.
fn labelled(input: Input, ids: &HashSet<TextHash>) -> Option<Sample> {
    match input {
        Input::Arrive { sample, .. } if ids.contains(&TextHash::of(&sample.id.0)) => Some(sample),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::SampleId;

    /// The ids that are drawn first of `count` by `seed`.
    fn first(seed: u64, of: usize, count: usize) -> Vec<usize> {
        let mut ids: Vec<usize> = (0..of).collect();
        ids.sort_by_key(|id| lot(seed, &SampleId(format!("ticket-{id:06}"))));
        ids.truncate(count);
        ids
    }

    #[test]
    fn every_text_is_drawn_as_often_and_none_follows_another() {
        let (mut drawn, mut pairs) = ([0; 100], 0);
        for seed in 0..400 {
            let sample = first(seed, 100, 20);
            sample.iter().for_each(|id| drawn[*id] += 1);
            pairs += usize::from(sample.contains(&3) && sample.contains(&4));
        }
        // 80 each, and 400 * 20/100 * 19/99 = 15 pairs, give or take five standard deviations.
        assert!(drawn.iter().all(|count| (40..=120).contains(count)), "{drawn:?}");
        assert!((1..=35).contains(&pairs), "{pairs}");
        assert_eq!(first(5, 100, 50)[..20], first(5, 100, 20));
    }
}
