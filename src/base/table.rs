//! Sorted records to look up by how they begin: in memory where they are few, else in a file without a name, of which there is in
//! memory where its blocks begin.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use super::disk::DiskFile;
use super::scratch::scratch_file;

/// Bytes of records that are held in memory; few in tests, so that what is looked up there is in files too.
const HELD: usize = if cfg!(test) { 256 } else { 16 << 20 };
/// Bytes of a block, about.
const BLOCK: usize = 4096;

/// Records of `N` bytes, in the order of their bytes.
#[derive(Debug, Default)]
pub(crate) struct Table<const N: usize> {
    /// All of them, or the first of each block of the file.
    held: Vec<[u8; N]>,
    file: Option<File>,
    len: u64,
}

impl<const N: usize> Table<N> {
    /// Records of a block.
    const IN_BLOCK: usize = if BLOCK < N { 1 } else { BLOCK / N };

    /// Of records that come sorted.
    ///
    /// # Errors
    ///
    /// Those of the records, and of the folder for files without a name (TMPDIR).
    pub(crate) fn of(sorted: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Self> {
        Self::holding(HELD / N, sorted)
    }

    /// The same, in a file however few they are.
    ///
    /// # Errors
    ///
    /// Those of [`Table::of`].
    pub(crate) fn on_disk(sorted: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Self> {
        Self::holding(0, sorted)
    }

    fn holding(most: usize, mut sorted: impl Iterator<Item = io::Result<[u8; N]>>) -> io::Result<Self> {
        let mut held = sorted.by_ref().take(most).collect::<io::Result<Vec<_>>>()?;
        let Some(next) = sorted.next().transpose()? else {
            held.shrink_to_fit();
            let len = held.len() as u64;
            return Ok(Self { held, file: None, len });
        };
        let (mut firsts, mut len) = (Vec::new(), 0);
        let mut file = BufWriter::with_capacity(1 << 16, scratch_file()?);
        for record in held.into_iter().chain([next]).map(Ok).chain(sorted) {
            let record = record?;
            if len % Self::IN_BLOCK as u64 == 0 {
                firsts.push(record);
            }
            file.write_all(&record)?;
            len += 1;
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Self { held: firsts, file: Some(file), len })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first record that begins with `prefix`.
    ///
    /// # Errors
    ///
    /// Those of reading it.
    pub(crate) fn first<const P: usize>(&self, prefix: [u8; P]) -> io::Result<Option<[u8; N]>> {
        self.beginning(prefix).next().transpose()
    }

    /// The records that begin with `prefix`, in their order.
    pub(crate) fn beginning<const P: usize>(&self, prefix: [u8; P]) -> Beginning<'_, N, P> {
        let above = self.held.partition_point(|record| record.as_slice() < prefix.as_slice());
        // Of a file, the block before the first that begins behind: what is sought may be in there.
        let next = if self.file.is_some() { above.saturating_sub(1) * Self::IN_BLOCK } else { above };
        Beginning { table: self, prefix, next: next as u64, block: Vec::new().into_iter() }
    }

    /// The records of the block of `file` that begins with that of this number.
    fn block(&self, file: &File, number: u64) -> io::Result<Vec<[u8; N]>> {
        let rest = usize::try_from(self.len - number).unwrap_or(usize::MAX);
        let mut block = vec![[0; N]; rest.min(Self::IN_BLOCK)];
        file.read_exact_at(block.as_flattened_mut(), number * N as u64)?;
        Ok(block)
    }
}

/// Records that begin with the same. Each may come with an error of reading it, after which there is none.
#[derive(Debug)]
pub(crate) struct Beginning<'a, const N: usize, const P: usize> {
    table: &'a Table<N>,
    prefix: [u8; P],
    /// The number of the first record behind `block`.
    next: u64,
    block: std::vec::IntoIter<[u8; N]>,
}

impl<const N: usize, const P: usize> Iterator for Beginning<'_, N, P> {
    type Item = io::Result<[u8; N]>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read() {
                Some(record) if record.as_slice() < self.prefix.as_slice() => {}
                Some(record) if record.starts_with(&self.prefix) => return Some(Ok(record)),
                // Behind all that begin with it, as all further ones are.
                Some(_) => self.end(),
                None => match (&self.table.file, self.next < self.table.len) {
                    (Some(file), true) => match self.table.block(file, self.next) {
                        Ok(block) => {
                            self.next += block.len() as u64;
                            self.block = block.into_iter();
                        }
                        Err(error) => {
                            self.end();
                            return Some(Err(error));
                        }
                    },
                    _ => return None,
                },
            }
        }
    }
}

impl<const N: usize, const P: usize> Beginning<'_, N, P> {
    /// The next record that is in memory.
    fn read(&mut self) -> Option<[u8; N]> {
        if self.table.file.is_some() {
            return self.block.next();
        }
        let record = self.table.held.get(usize::try_from(self.next).ok()?).copied();
        self.next += u64::from(record.is_some());
        record
    }

    fn end(&mut self) {
        (self.next, self.block) = (self.table.len, Vec::new().into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};

    #[test]
    fn what_cannot_be_read_is_told_once() {
        let records = (0..2000_u32).map(|number| Ok(number.to_be_bytes()));
        let table = Table::holding(1, records).unwrap();
        table.file.as_ref().unwrap().set_len(100).unwrap();
        let mut found = table.beginning([0, 0]);
        assert_eq!(found.next().unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(found.next().is_none());
        assert!(table.first([0, 0, 7]).is_err());
    }

    proptest! {
        #[test]
        fn records_are_found_by_how_they_begin_in_memory_and_in_a_file(
            records in prop::collection::vec((0..4_u8, 0..4_u8, any::<u8>()), 0..3000),
            sought in [0..4_u8, 0..4_u8],
            most in 0..3000_usize,
        ) {
            let mut records: Vec<[u8; 3]> = records.into_iter().map(|(a, b, c)| [a, b, c]).collect();
            records.sort_unstable();
            let expected: Vec<[u8; 3]> = records.iter().copied().filter(|record| record.starts_with(&sought)).collect();
            for most in [most, 3000] {
                let table = Table::holding(most, records.iter().copied().map(Ok)).unwrap();
                prop_assert_eq!(table.file.is_some(), records.len() > most);
                prop_assert_eq!(table.is_empty(), records.is_empty());
                let found: Vec<[u8; 3]> = table.beginning(sought).map(Result::unwrap).collect();
                prop_assert_eq!(&found, &expected);
            }
        }
    }
}
