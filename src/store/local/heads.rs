//! The offset of each sample's latest event, by the sample's position.
//!
//! Four bytes a sample, by chunks. Those that came to memory last are there, the others in a file without a name: events come in
//! the order of positions, of new samples and of those that are labelled again, so that few chunks are in use at a time. A position that a
//! damaged record makes up asks for one chunk and where the others are, not for all up to it.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::base::scratch::scratch_file;
use crate::base::sorting::unsorted;
use crate::domain::sample::Position;
use crate::error::{Error, Result};

/// Samples of a chunk.
const CHUNK: usize = 1 << 12;
/// Chunks in memory, at most: of a million samples. Two in tests, so that what is looked up there is in files too.
const HELD: usize = if cfg!(test) { 2 } else { 256 };
/// Bytes of a chunk.
const BYTES: usize = size_of::<u32>() * CHUNK;

/// Offsets plus one, 0 being "none".
type Offsets = Box<[u32]>;

/// Where a chunk is.
#[derive(Debug, Default)]
enum Chunk {
    /// No event is of one of its samples.
    #[default]
    Empty,
    Held(Offsets),
    /// At its place in the file.
    Away,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heads {
    chunks: Vec<Chunk>,
    /// The numbers of those in memory, in the order in which they came there.
    held: VecDeque<usize>,
    /// From when a chunk had to go.
    file: Option<File>,
}

/// Looks samples up; of positions that follow each other, at one read a chunk.
pub(super) struct Look<'a> {
    heads: &'a Heads,
    /// The one that was read from the file last.
    read: Option<(usize, Offsets)>,
}

impl Heads {
    pub(super) fn look(&self) -> Look<'_> {
        Look { heads: self, read: None }
    }

    /// Puts the event at `offset` in the place of the sample's latest, and gives the one before.
    ///
    /// # Errors
    ///
    /// [`Error::TooLarge`] for a position or an offset that 32 bits do not hold, [`Error::Temporary`] where the file cannot be made,
    /// read or written.
    pub(super) fn put(&mut self, position: Position, offset: u64) -> Result<Option<u64>> {
        let too_large = |what, most: u32| move || Error::TooLarge { what, most: u64::from(most) };
        let head = u32::try_from(offset).ok().and_then(|offset| offset.checked_add(1));
        let head = head.ok_or_else(too_large("label events", u32::MAX - 1))?;
        let place = u32::try_from(position).ok().filter(|&position| position != u32::MAX);
        let place = place.and_then(|place| usize::try_from(place).ok()).ok_or_else(too_large("samples", u32::MAX))?;
        let chunk = self.hold(place / CHUNK).map_err(unsorted)?;
        let before = chunk.get_mut(place % CHUNK).map(|slot| std::mem::replace(slot, head));
        Ok(before.and_then(|before| before.checked_sub(1)).map(u64::from))
    }

    /// Has the chunk of this number in memory; that which came there first goes where there are enough.
    fn hold(&mut self, number: usize) -> io::Result<&mut Offsets> {
        if self.chunks.len() <= number {
            self.chunks.resize_with(number + 1, Chunk::default);
        }
        let offsets = match self.chunks.get(number) {
            Some(Chunk::Held(_)) => None,
            Some(Chunk::Away) => Some(self.read(number)?),
            Some(Chunk::Empty) | None => Some(vec![0; CHUNK].into()),
        };
        if let Some(offsets) = offsets {
            if self.held.len() >= HELD {
                self.let_go()?;
            }
            if let Some(chunk) = self.chunks.get_mut(number) {
                *chunk = Chunk::Held(offsets);
            }
            self.held.push_back(number);
        }
        match self.chunks.get_mut(number) {
            Some(Chunk::Held(offsets)) => Ok(offsets),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn let_go(&mut self) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(scratch_file()?),
        };
        if let Some(&oldest) = self.held.front()
            && let Some(chunk) = self.chunks.get_mut(oldest)
            && let Chunk::Held(offsets) = &*chunk
        {
            let bytes: Vec<u8> = offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect();
            file.write_all_at(&bytes, begins_at(oldest))?;
            *chunk = Chunk::Away;
            self.held.pop_front();
        }
        Ok(())
    }

    /// A chunk that is in the file.
    fn read(&self, number: usize) -> io::Result<Offsets> {
        let mut bytes = vec![0; BYTES];
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(&mut bytes, begins_at(number))?;
        let (numbers, _) = bytes.as_chunks();
        Ok(numbers.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect())
    }
}

/// The chunk of this number, in the file.
fn begins_at(number: usize) -> u64 {
    number as u64 * BYTES as u64
}

impl Look<'_> {
    /// The offset of the latest event of the sample at `position`.
    ///
    /// # Errors
    ///
    /// [`Error::Temporary`] where the file cannot be read.
    pub(super) fn get(&mut self, position: Position) -> Result<Option<u64>> {
        let Ok(place) = usize::try_from(position) else { return Ok(None) };
        let number = place / CHUNK;
        let offsets = match self.heads.chunks.get(number) {
            Some(Chunk::Held(offsets)) => offsets,
            Some(Chunk::Away) => {
                let read = self.read.take().filter(|(at, _)| *at == number);
                let read = read.map_or_else(|| Ok((number, self.heads.read(number)?)), Ok).map_err(unsorted)?;
                &self.read.insert(read).1
            }
            Some(Chunk::Empty) | None => return Ok(None),
        };
        Ok(offsets.get(place % CHUNK).and_then(|slot| slot.checked_sub(1)).map(u64::from))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn get(heads: &Heads, position: Position) -> Option<u64> {
        heads.look().get(position).unwrap()
    }

    proptest! {
        #[test]
        fn the_last_event_of_each_sample_whatever_the_order_of_positions(
            positions in prop::collection::vec(0..(5 * CHUNK as u64), 1..100)
        ) {
            let (mut heads, mut expected) = (Heads::default(), HashMap::new());
            for (offset, position) in (0..).zip(&positions) {
                prop_assert_eq!(heads.put(*position, offset).unwrap(), expected.insert(*position, offset));
                prop_assert!(heads.held.len() <= HELD);
            }
            let mut look = heads.look();
            for position in positions.iter().copied().chain(0..6 * CHUNK as u64) {
                prop_assert_eq!(look.get(position).unwrap(), expected.get(&position).copied());
            }
        }
    }

    #[test]
    fn what_32_bits_do_not_hold_is_refused_and_asks_for_no_memory() {
        let mut heads = Heads::default();
        let last = u64::from(u32::MAX) - 1;
        assert_eq!(heads.put(last, last).unwrap(), None);
        assert_eq!(get(&heads, last), Some(last));
        assert_eq!(heads.held.len(), 1);
        for (position, offset, what) in [
            (last + 1, 0, "samples"),
            (u64::MAX, 0, "samples"),
            (0, last + 1, "label events"),
            (0, u64::MAX, "label events"),
        ] {
            let refused = heads.put(position, offset).unwrap_err();
            assert!(matches!(refused, Error::TooLarge { what: of, .. } if of == what), "{refused}");
        }
        assert_eq!((get(&heads, last + 1), get(&heads, u64::MAX), get(&heads, 0)), (None, None, None));
    }
}
