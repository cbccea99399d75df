//! Flat files: records of one size, one after the other, each with a checksum. The number of a record is its place.
//!
//! They are caches of where things stand in the logs. A record that is not as it was written ends the file.
//!
//! Layout: `SIZE` bytes of the record, then the CRC-32 of these, little-endian; no header, no padding. So record `n`
//! begins at byte `n * (SIZE + 4)`, a lookup is one read, and a file can be cut to any number of records. Appends are
//! not synced: a power cut costs records, which are made again from the logs.

use std::io::{BufReader, Read};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::disk::{Disk, DiskFile, Machine, reading};
use crate::base::durable::open_append;
use crate::base::failpoint::reach;
use crate::error::{Error, Result};

/// A record of [`Record::SIZE`] bytes, without its checksum. The file does not say which layout it has: a change of
/// meaning at the same size would not be noticed.
pub(super) trait Record: Sized {
    /// Bytes of a record.
    const SIZE: usize;

    /// Appends exactly [`Record::SIZE`] bytes.
    fn write(&self, bytes: &mut Vec<u8>);

    /// Reads what [`Record::write`] wrote; `None` if it never wrote this.
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Bytes of the checksum behind each record.
const CRC: usize = 4;

/// Reads fixed parts of a record from its front. All numbers are little-endian; `None` where too few bytes are left.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl Fields<'_> {
    pub(super) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (part, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*part)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        self.take().map(u16::from_le_bytes)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.take().map(|[byte]| byte)
    }
}

/// Reads records. Cheap to clone; reads from any thread.
#[derive(Debug)]
pub(super) struct FlatReader<R, D: Disk = Machine> {
    file: Arc<D::File>,
    path: Arc<PathBuf>,
    /// Owns no `R`, so it can be sent and shared whatever `R` is.
    of: PhantomData<fn() -> R>,
}

impl<R, D: Disk> Clone for FlatReader<R, D> {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), path: Arc::clone(&self.path), of: PhantomData }
    }
}

impl<R: Record, D: Disk> FlatReader<R, D> {
    /// The `count` records from `first` on, which must all be there.
    ///
    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where they are not, or are not as they were written: the file is cut or was changed
    /// since it was opened, and is to be made anew.
    pub(super) fn range(&self, first: u64, count: usize) -> Result<Vec<R>> {
        // All of them in one read: a sweep looks up hundreds that lie side by side.
        let size = R::SIZE + CRC;
        let mut bytes = vec![0; count * size];
        self.file
            .read_exact_at(&mut bytes, first * size as u64)
            .map_err(|error| self.damaged(format!("record {first} cannot be read ({error})")))?;
        (first..)
            .zip(bytes.chunks_exact(size))
            .map(|(number, record)| {
                open_record(record).ok_or_else(|| self.damaged(format!("record {number} is not as it was written")))
            })
            .collect()
    }

    /// The record `number`, which must be there.
    pub(super) fn get(&self, number: u64) -> Result<R> {
        let gone = || self.damaged(format!("record {number} is missing"));
        self.range(number, 1)?.pop().ok_or_else(gone)
    }

    fn damaged(&self, message: String) -> Error {
        Error::StoreDamaged { path: self.path.as_ref().clone(), message }
    }
}

/// `None` also for a record of zeros, as a page that never reached the disk reads: the CRC-32 of zeros is not zero.
fn open_record<R: Record>(bytes: &[u8]) -> Option<R> {
    let (record, crc) = bytes.split_last_chunk::<CRC>()?;
    if crc32fast::hash(record) != u32::from_le_bytes(*crc) {
        return None;
    }
    R::read(record)
}

/// A flat file, open for appending. One thread has it; readers of it may be anywhere.
#[derive(Debug)]
pub(super) struct Flat<R, D: Disk = Machine> {
    reader: FlatReader<R, D>,
    /// Records in the file.
    len: u64,
}

impl<R: Record, D: Disk> Flat<R, D> {
    /// Opens or creates the file at `path` and hands each record to `accept`, in order. What follows the first record that
    /// is not as it was written, or that `accept` does not take, is cut off.
    ///
    /// Costs one pass over the file, at 256 KiB a read.
    pub(super) fn open(disk: &D, path: &Path, accept: impl FnMut(u64, &R) -> bool) -> Result<Self> {
        let failed = |source| Error::run_file("open", path)(source);
        let file = open_append(disk, path).map_err(failed)?;
        let len = read_records(&file, accept).map_err(failed)?;
        file.set_len(len * (R::SIZE + CRC) as u64).map_err(failed)?;
        Ok(Self { reader: FlatReader { file: Arc::new(file), path: Arc::new(path.to_owned()), of: PhantomData }, len })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn reader(&self) -> FlatReader<R, D> {
        self.reader.clone()
    }

    pub(super) fn file(&self) -> &D::File {
        &self.reader.file
    }

    /// Appends records in one write, which is not synced. After an error part of a record may be at the end, and
    /// nothing more is to be appended: it would not stand at its place.
    pub(super) fn append(&mut self, records: &[R]) -> Result<()> {
        let mut bytes = Vec::with_capacity(records.len() * (R::SIZE + CRC));
        for record in records {
            let start = bytes.len();
            record.write(&mut bytes);
            let crc = crc32fast::hash(bytes.get(start..).unwrap_or_default());
            bytes.extend_from_slice(&crc.to_le_bytes());
        }
        let written = reach("flat-append").and_then(|()| self.reader.file.append(&bytes));
        written.map_err(Error::run_file("write", &self.reader.path))?;
        self.len += records.len() as u64;
        Ok(())
    }

    /// Cuts the file to its first `len` records. Readers of the others get an error from then on.
    pub(super) fn truncate(&mut self, len: u64) -> Result<()> {
        if len < self.len {
            let bytes = len * (R::SIZE + CRC) as u64;
            self.reader.file.set_len(bytes).map_err(Error::run_file("mend", &self.reader.path))?;
            self.len = len;
        }
        Ok(())
    }

    pub(super) fn sync(&self) -> Result<()> {
        self.reader.file.sync().map_err(Error::run_file("write", &self.reader.path))
    }
}

/// Hands each record of `file` to `accept`, in order, until one is not as it was written or is not accepted. Gives the number of
/// those before. Changes nothing.
pub(super) fn read_records<R: Record>(
    file: &impl DiskFile,
    mut accept: impl FnMut(u64, &R) -> bool,
) -> std::io::Result<u64> {
    let mut input = BufReader::with_capacity(1 << 18, reading(file, 0));
    let (mut bytes, mut len) = (vec![0; R::SIZE + CRC], 0);
    // One buffer for all; a file that is cut within a record ends before it.
    while read_whole(&mut input, &mut bytes)? {
        match open_record(&bytes) {
            Some(record) if accept(len, &record) => len += 1,
            _ => break,
        }
    }
    Ok(len)
}

/// Fills `buffer`; false at the end of the file, also where only a part of a record is left.
fn read_whole(input: &mut impl Read, buffer: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq)]
    struct Pair(u64, u32);

    impl Record for Pair {
        const SIZE: usize = 12;

        fn write(&self, bytes: &mut Vec<u8>) {
            bytes.extend_from_slice(&self.0.to_le_bytes());
            bytes.extend_from_slice(&self.1.to_le_bytes());
        }

        fn read(bytes: &[u8]) -> Option<Self> {
            let mut fields = Fields(bytes);
            Some(Self(fields.u64()?, fields.u32()?))
        }
    }

    #[test]
    fn records_are_there_after_reopening_up_to_the_first_damage() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pairs");
        let mut flat = Flat::open(&Machine, &path, |_, _: &Pair| true).unwrap();
        flat.append(&[Pair(1, 2), Pair(3, 4)]).unwrap();
        flat.append(&[Pair(5, 6)]).unwrap();
        assert_eq!(flat.reader().range(1, 2).unwrap(), [Pair(3, 4), Pair(5, 6)]);
        let mut bytes = std::fs::read(&path).unwrap();
        assert_eq!(Flat::open(&Machine, &path, |_, _: &Pair| true).unwrap().len(), 3);
        assert_eq!(Flat::open(&Machine, &path, |number, _: &Pair| number < 2).unwrap().len(), 2);
        assert_eq!(Flat::open(&Machine, &path, |_, _: &Pair| true).unwrap().len(), 2);
        // A torn record at the end, then a flipped bit in the second.
        std::fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(Flat::open(&Machine, &path, |_, _: &Pair| true).unwrap().len(), 2);
        bytes[20] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let flat = Flat::open(&Machine, &path, |_, _: &Pair| true).unwrap();
        assert_eq!((flat.len(), flat.reader().get(0).unwrap()), (1, Pair(1, 2)));
        assert!(matches!(flat.reader().get(1), Err(Error::StoreDamaged { .. })));
    }
}
