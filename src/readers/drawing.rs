//! A random sample of the labels that an audit is about: those texts whose hash, of the seed and their id, is smallest, in the order of the hash.
//!
//! The hash has nothing to do with text, label or confidence, so each text is drawn with the same chance, and the first of a sample are a
//! random sample too. A larger sample of the same seed begins with the smaller one. Holds no more than the drawn texts.

use std::collections::BinaryHeap;

use crate::base::sorting::unsorted;
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
    let labelled = of.ids(view)?;
    let mut urn = Urn::new(count, smaller);
    view.inputs_within(of.basis.inputs, |input| {
        if let Input::Arrive { sample, .. } = input
            && labelled.first(TextHash::of(&sample.id.0).0).map_err(unsorted)?.is_some()
        {
            urn.offer(lot(seed, &sample.id), || take(sample));
        }
        Ok(())
    })?;
    Ok(urn.drawing())
}

/// Draws from texts that come one after the other.
struct Urn<T> {
    count: usize,
    least: Option<Lot>,
    most: usize,
    /// The largest first.
    drawn: BinaryHeap<Ticket<T>>,
    population: u64,
    due: usize,
}

impl<T> Urn<T> {
    fn new(count: usize, smaller: Option<Smaller>) -> Self {
        let (least, most) = (smaller.map(|smaller| smaller.least), smaller.map_or(usize::MAX, |smaller| smaller.most));
        Self { count, least, most, drawn: BinaryHeap::new(), population: 0, due: 0 }
    }

    fn offer(&mut self, lot: Lot, take: impl FnOnce() -> T) {
        self.population += 1;
        let is_due = Some(lot) <= self.least;
        self.due += usize::from(is_due);
        if self.due > self.most {
            // Counted on, for whoever says so.
            self.drawn.clear();
            return;
        }
        // As good as most of them: not one that would be dropped at once.
        let is_full = self.drawn.len() >= self.count;
        if is_full && !is_due && self.drawn.peek().is_none_or(|last| lot > last.0) {
            return;
        }
        self.drawn.push(Ticket(lot, take()));
        while self.drawn.len() > self.count && self.drawn.peek().is_some_and(|last| Some(last.0) > self.least) {
            self.drawn.pop();
        }
    }

    fn drawing(self) -> Drawing<T> {
        let drawn = self.drawn.into_sorted_vec().into_iter().map(|ticket| ticket.1).collect();
        Drawing { drawn, population: self.population, due: self.due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::SampleId;

    fn lot_of(seed: u64, id: usize) -> Lot {
        lot(seed, &SampleId(format!("ticket-{id:06}")))
    }

    /// Draws `count` of as many ids, in any order.
    fn draw(seed: u64, ids: &[usize], count: usize, smaller: Option<Smaller>) -> Drawing<usize> {
        let mut urn = Urn::new(count, smaller);
        ids.iter().for_each(|id| urn.offer(lot_of(seed, *id), || *id));
        urn.drawing()
    }

    fn all(of: usize) -> Vec<usize> {
        (0..of).collect()
    }

    #[test]
    fn every_text_is_drawn_as_often_and_none_follows_another() {
        let (mut drawn, mut pairs) = ([0; 100], 0);
        for seed in 0..400 {
            let sample = draw(seed, &all(100), 20, None).drawn;
            sample.iter().for_each(|id| drawn[*id] += 1);
            pairs += usize::from(sample.contains(&3) && sample.contains(&4));
        }
        // 80 each, and 400 * 20/100 * 19/99 = 15 pairs, give or take five standard deviations.
        assert!(drawn.iter().all(|count| (40..=120).contains(count)), "{drawn:?}");
        assert!((1..=35).contains(&pairs), "{pairs}");
    }

    #[test]
    fn those_with_the_smallest_lots_are_drawn_in_whatever_order_they_come() {
        let (forth, back): (Vec<usize>, Vec<usize>) = ((0..200).collect(), (0..200).rev().collect());
        let mut by_lot = forth.clone();
        by_lot.sort_by_key(|id| lot_of(5, *id));
        for ids in [&forth, &back] {
            let Drawing { drawn, population, due } = draw(5, ids, 50, None);
            assert_eq!((drawn.as_slice(), population, due), (&by_lot[..50], 200, 0));
        }
        assert_eq!(draw(5, &forth, 500, None).drawn, by_lot);
    }

    #[test]
    fn a_larger_sample_has_all_that_came_since_up_to_the_last_of_the_smaller_one() {
        let before = draw(7, &all(100), 20, None).drawn;
        let least = lot_of(7, *before.last().unwrap());
        let due: Vec<usize> = (0..400).filter(|id| lot_of(7, *id) <= least).collect();
        assert!(before.iter().all(|id| due.contains(id)) && due.len() > 30, "{due:?}");
        // Those that are due are more than were asked for: none is left out, and no other is drawn.
        let larger = draw(7, &all(400), 25, Some(Smaller { least, most: 200 }));
        assert_eq!((larger.drawn.len(), larger.due), (due.len(), due.len()));
        let larger = draw(7, &all(400), 300, Some(Smaller { least, most: 300 }));
        assert!(due.iter().all(|id| larger.drawn.contains(id)) && larger.drawn.len() == 300);
        // More than there may be.
        let refused = draw(7, &all(400), 25, Some(Smaller { least, most: due.len() - 1 }));
        assert_eq!((refused.drawn.len(), refused.due), (0, due.len()));
    }
}
