//! The offset of each sample's latest event, by the sample's position.
//!
//! Four bytes a sample, in memory, by chunks: a vector that grows is there twice while it moves, and a position that a damaged
//! record makes up would ask for all up to it.

use crate::domain::sample::Position;
use crate::error::{Error, Result};

/// Samples of a chunk.
const CHUNK: usize = 1 << 16;

/// See the module. A chunk is empty until there is an event of one of its samples; then it has the offsets plus one, 0 being "none".
#[derive(Debug, Default)]
pub(super) struct Heads(Vec<Vec<u32>>);

impl Heads {
    /// The offset of the latest event of the sample at `position`.
    pub(super) fn get(&self, position: Position) -> Option<u64> {
        let place = usize::try_from(position).ok()?;
        let slot = self.0.get(place / CHUNK)?.get(place % CHUNK)?;
        slot.checked_sub(1).map(u64::from)
    }

    /// Puts the event at `offset` in the place of the sample's latest, and gives the one before.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for a position or an offset that 32 bits do not hold.
    pub(super) fn put(&mut self, position: Position, offset: u64) -> Result<Option<u64>> {
        let too_large = |what, most: u32| move || Error::TooLarge { what, most: u64::from(most) };
        let head = u32::try_from(offset).ok().and_then(|offset| offset.checked_add(1));
        let head = head.ok_or_else(too_large("label events", u32::MAX - 1))?;
        let slot = self.slot(position).ok_or_else(too_large("samples", u32::MAX))?;
        Ok(std::mem::replace(slot, head).checked_sub(1).map(u64::from))
    }

    /// None for a position that 32 bits do not hold.
    fn slot(&mut self, position: Position) -> Option<&mut u32> {
        let place = usize::try_from(u32::try_from(position).ok().filter(|&position| position != u32::MAX)?).ok()?;
        let chunk = place / CHUNK;
        if self.0.len() <= chunk {
            self.0.resize(chunk + 1, Vec::new());
        }
        let chunk = self.0.get_mut(chunk)?;
        if chunk.is_empty() {
            *chunk = vec![0; CHUNK];
        }
        chunk.get_mut(place % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_event_of_each_sample_whatever_the_order_of_positions() {
        let mut heads = Heads::default();
        assert_eq!(heads.get(0), None);
        let far = 5 * CHUNK as u64;
        for (position, offset, before) in
            [(3, 0, None), (far, 1, None), (3, 2, Some(0)), (far - 1, 3, None), (far, 9, Some(1))]
        {
            assert_eq!(heads.put(position, offset).unwrap(), before);
            assert_eq!(heads.get(position), Some(offset));
        }
        let held = [(2, None), (3, Some(2)), (far - 2, None), (far - 1, Some(3)), (far, Some(9)), (10 * far, None)];
        held.into_iter().for_each(|(position, offset)| assert_eq!(heads.get(position), offset, "{position}"));
    }

    #[test]
    fn what_32_bits_do_not_hold_is_refused_and_asks_for_no_memory() {
        let mut heads = Heads::default();
        let last = u64::from(u32::MAX) - 1;
        assert_eq!(heads.put(last, last).unwrap(), None);
        assert_eq!(heads.get(last), Some(last));
        assert_eq!(heads.0.iter().map(Vec::len).sum::<usize>(), CHUNK);
        for (position, offset, what) in [
            (last + 1, 0, "samples"),
            (u64::MAX, 0, "samples"),
            (0, last + 1, "label events"),
            (0, u64::MAX, "label events"),
        ] {
            let refused = heads.put(position, offset).unwrap_err();
            assert!(matches!(refused, Error::TooLarge { what: of, .. } if of == what), "{refused}");
        }
        assert_eq!((heads.get(last + 1), heads.get(0)), (None, None));
    }
}
