//! Sorting more than there is memory for: what does not fit is sorted piece by piece, and the pieces wait in files without a name
//! until they are merged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;

use super::disk::{Reading, reading};
use super::scratch::scratch_file;
use super::table::Table;
use crate::error::Error;

/// Bytes that are sorted in memory; few in tests, so that what is sorted there has pieces.
const HELD: usize = if cfg!(test) { 256 } else { 16 << 20 };
/// Bytes of a piece that are read ahead. A corpus of a thousand million texts makes some fifteen hundred pieces.
const AHEAD: usize = 32 << 10;

/// A record of `parts`, which have `N` bytes together: sorted by the first, then by the next. Numbers are big-endian, to be sorted
/// as such.
pub(crate) fn record<const N: usize>(parts: &[&[u8]]) -> [u8; N] {
    debug_assert_eq!(parts.iter().map(|part| part.len()).sum::<usize>(), N, "a record of other parts");
    let mut record = [0; N];
    let mut rest = record.as_mut_slice();
    for part in parts {
        let Some((place, behind)) = rest.split_at_mut_checked(part.len()) else { break };
        place.copy_from_slice(part);
        rest = behind;
    }
    record
}

/// The `M` bytes of `record` from `at` on, as they were put together.
pub(crate) fn part<const M: usize>(record: &[u8], at: usize) -> [u8; M] {
    debug_assert!(at + M <= record.len(), "a part of another record");
    record.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; M])
}

/// What failed in the folder of temporary files, where records are that there is no memory for.
pub(crate) fn unsorted(source: io::Error) -> Error {
    Error::Temporary { path: std::env::temp_dir(), source }
}

/// Of records that begin with the same `P` bytes the last.
pub(crate) fn last_of_each<const P: usize, const N: usize>(
    records: impl Iterator<Item = io::Result<[u8; N]>>,
) -> impl Iterator<Item = io::Result<[u8; N]>> {
    let mut records = records.peekable();
    let next = move || {
        let record = records.next()?;
        let is_of_one = |record: &[u8; N], next: &[u8; N]| record.first_chunk::<P>() == next.first_chunk();
        let is_last = !matches!((&record, records.peek()), (Ok(record), Some(Ok(next))) if is_of_one(record, next));
        Some(is_last.then_some(record))
    };
    std::iter::from_fn(next).flatten()
}

/// Takes records of `N` bytes in any order.
#[derive(Debug)]
pub(crate) struct Sorter<const N: usize> {
    held: Vec<[u8; N]>,
    /// So many are sorted in memory.
    most: usize,
    spilled: Option<Spilled>,
}

/// Sorted pieces, one after the other in one file.
#[derive(Debug)]
struct Spilled {
    file: File,
    /// Records of each.
    pieces: Vec<u64>,
}

impl<const N: usize> Default for Sorter<N> {
    fn default() -> Self {
        Self::holding(HELD / N)
    }
}

impl<const N: usize> Sorter<N> {
    fn holding(most: usize) -> Self {
        Self { held: Vec::new(), most, spilled: None }
    }

    /// Takes a record.
    ///
    /// # Errors
    ///
    /// Those of the folder for files without a name (TMPDIR).
    pub(crate) fn push(&mut self, record: [u8; N]) -> io::Result<()> {
        if self.held.len() >= self.most {
            self.spill()?;
        }
        if self.held.len() == self.held.capacity() {
            // Twice as many, but never more than are sorted at once.
            self.held.reserve_exact(self.held.len().max(64).min(self.most - self.held.len()));
        }
        self.held.push(record);
        Ok(())
    }

    fn spill(&mut self) -> io::Result<()> {
        let spilled = match &mut self.spilled {
            Some(spilled) => spilled,
            none => none.insert(Spilled { file: scratch_file()?, pieces: Vec::new() }),
        };
        self.held.sort_unstable();
        spilled.file.write_all(self.held.as_flattened())?;
        spilled.pieces.push(self.held.len() as u64);
        self.held.clear();
        Ok(())
    }

    /// All records, to be looked up.
    ///
    /// # Errors
    ///
    /// Those of [`Sorter::push`].
    pub(crate) fn table(self) -> io::Result<Table<N>> {
        self.sorted().and_then(Table::of)
    }

    /// All records, in the order of their bytes.
    ///
    /// # Errors
    ///
    /// Those of [`Sorter::push`]; and each record may come with an error of reading it.
    pub(crate) fn sorted(mut self) -> io::Result<Sorted<N>> {
        if self.spilled.is_some() {
            self.spill()?;
            self.held = Vec::new();
        }
        let Some(spilled) = self.spilled else {
            self.held.sort_unstable();
            return Ok(Sorted::Held(self.held.into_iter()));
        };
        let file = Arc::new(spilled.file);
        let (mut pieces, mut at) = (Vec::with_capacity(spilled.pieces.len()), 0);
        for records in spilled.pieces {
            let bytes = records * N as u64;
            pieces.push(BufReader::with_capacity(AHEAD, reading(Arc::clone(&file), at)).take(bytes));
            at += bytes;
        }
        let mut merged = Merged { next: BinaryHeap::with_capacity(pieces.len()), pieces };
        (0..merged.pieces.len()).try_for_each(|piece| merged.read(piece))?;
        Ok(Sorted::Merged(merged))
    }
}

/// Records in the order of their bytes.
#[derive(Debug)]
pub(crate) enum Sorted<const N: usize> {
    /// There was memory for all.
    Held(std::vec::IntoIter<[u8; N]>),
    /// There was not.
    Merged(Merged<N>),
}

/// Several sorted pieces at once.
#[derive(Debug)]
pub(crate) struct Merged<const N: usize> {
    /// The first record of each piece that was not given yet, and whose it is.
    next: BinaryHeap<Reverse<([u8; N], usize)>>,
    pieces: Vec<io::Take<BufReader<Reading<Arc<File>>>>>,
}

impl<const N: usize> Merged<N> {
    /// Reads the next record of `piece`, if it has one.
    fn read(&mut self, piece: usize) -> io::Result<()> {
        let Some(from) = self.pieces.get_mut(piece).filter(|from| from.limit() > 0) else { return Ok(()) };
        let mut record = [0; N];
        from.read_exact(&mut record)?;
        self.next.push(Reverse((record, piece)));
        Ok(())
    }
}

impl<const N: usize> Iterator for Sorted<N> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Held(records) => records.next().map(Ok),
            Self::Merged(merged) => {
                let Reverse((record, piece)) = merged.next.pop()?;
                Some(merged.read(piece).map(|()| record))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    fn sorted(records: &[[u8; 3]], most: usize) -> Vec<[u8; 3]> {
        let mut sorter = Sorter::holding(most);
        records.iter().for_each(|record| sorter.push(*record).unwrap());
        sorter.sorted().unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn what_fits_is_on_no_disk_and_what_does_not_is() {
        let mut sorter = Sorter::holding(2);
        for (record, is_spilled) in [([2_u8; 3], false), ([1; 3], false), ([0; 3], true)] {
            sorter.push(record).unwrap();
            assert_eq!(sorter.spilled.is_some(), is_spilled);
        }
        assert_eq!(sorter.held.len(), 1);
    }

    proptest! {
        #[test]
        fn the_last_of_each_is_found_in_whatever_pieces_they_are(
            records in prop::collection::vec((0..9_u8, any::<[u8; 2]>()), 0..200), most in 1..50_usize,
        ) {
            let mut expected = std::collections::BTreeMap::new();
            let mut sorter = Sorter::holding(most);
            for (text, rest) in records {
                sorter.push(record(&[&[text], &rest])).unwrap();
                let last = expected.entry(text).or_insert(rest);
                *last = rest.max(*last);
            }
            let expected: Vec<[u8; 3]> = expected.into_iter().map(|(text, [a, b])| [text, a, b]).collect();
            let found: Vec<[u8; 3]> = last_of_each::<1, 3>(sorter.sorted().unwrap()).map(Result::unwrap).collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn records_come_sorted_with_little_memory_as_with_much(
            records in prop::collection::vec(any::<[u8; 3]>(), 0..200), most in 1..50_usize,
        ) {
            let mut expected = records.clone();
            expected.sort_unstable();
            prop_assert_eq!(&sorted(&records, most), &expected);
            prop_assert_eq!(&sorted(&records, 1000), &expected);
        }
    }
}
