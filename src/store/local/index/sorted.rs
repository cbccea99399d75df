//! A part of the index that never changes: a file of sorted entries. In memory there is where its blocks begin, and which keys it has,
//! nearly: 1.2 bytes an entry.
//!
//! ```text
//! blocks of answers, blocks of ids      4096 bytes each: entries, zeros, and the CRC-32 of what stands before it
//! contents                              a byte for the format; of both kinds: the number of the first block, of entries, of blocks, of
//!                                       the filter's bytes; the first key of each block; the filter
//! CRC-32 of the contents, their length  four bytes and eight
//! ```
//!
//! An entry is its key and a [`Record`]; numbers are little-endian. A look-up of what is there reads one block.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::part::{Counts, Entries, Key, Part};
use super::{AnswerAt, KnownSample};
use crate::base::durable::rename;
use crate::base::failpoint::reach;
use crate::base::filter::Filter;
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::store::local::flat::{Fields, Record};
use crate::store::local::log::Span;

const BLOCK: usize = 4096;
/// Bytes of a block that are no checksum.
const FILLED: usize = BLOCK - 4;
const KEY: usize = size_of::<Key>();
/// A change of what is in the file, entries included, raises it: the index is made anew then.
const FORMAT: u8 = 1;
/// Bytes behind the contents.
const END: usize = 4 + 8;

impl Record for AnswerAt {
    const SIZE: usize = 8 + 4 + 4;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.span.offset.to_le_bytes());
        bytes.extend_from_slice(&self.span.len.to_le_bytes());
        bytes.extend_from_slice(&self.attempt.to_le_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let span = Span { offset: fields.u64()?, len: fields.u32()? };
        Some(Self { span, attempt: fields.u32()? })
    }
}

impl Record for KnownSample {
    const SIZE: usize = 8 + 16;

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.position.to_le_bytes());
        bytes.extend_from_slice(&self.text_hash.0);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        Some(Self { position: fields.u64()?, text_hash: TextHash(fields.take()?) })
    }
}

/// What the blocks hold.
#[derive(Debug)]
struct Contents {
    answers: Blocks,
    ids: Blocks,
}

/// Blocks of one kind of entry, side by side.
#[derive(Debug)]
struct Blocks {
    /// The number of the first of them in the file.
    begin: u64,
    entries: u64,
    /// The first key of each.
    firsts: Vec<Key>,
    filter: Filter,
}

impl Contents {
    fn counts(&self) -> Counts {
        Counts { answers: self.answers.entries, samples: self.ids.entries }
    }

    /// With checksum and length. Piece by piece: as one they would be in memory twice, and with many entries they are large.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let (mut crc, mut len) = (crc32fast::Hasher::new(), 0);
        let mut put = |bytes: &[u8]| {
            crc.update(bytes);
            len += bytes.len() as u64;
            out.write_all(bytes)
        };
        put(&[FORMAT])?;
        for Blocks { begin, entries, firsts, filter } in [&self.answers, &self.ids] {
            for number in [*begin, *entries, firsts.len() as u64, filter.bytes().len() as u64] {
                put(&number.to_le_bytes())?;
            }
            put(firsts.as_flattened())?;
            put(filter.bytes())?;
        }
        out.write_all(&crc.finalize().to_le_bytes())?;
        out.write_all(&len.to_le_bytes())
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes.strip_prefix(&[FORMAT])?);
        let mut blocks = || {
            let (begin, entries) = (fields.u64()?, fields.u64()?);
            let [firsts, filter] = [fields.u64()?, fields.u64()?].map(|len| usize::try_from(len).unwrap_or(usize::MAX));
            let (keys, rest) = fields.0.split_at_checked(firsts.checked_mul(KEY)?)?;
            let (filter, rest) = rest.split_at_checked(filter)?;
            fields.0 = rest;
            let filter = Filter::read(filter.to_vec());
            Some(Blocks { begin, entries, firsts: keys.as_chunks().0.to_vec(), filter })
        };
        let contents = Self { answers: blocks()?, ids: blocks()? };
        fields.0.is_empty().then_some(contents)
    }
}

/// How many entries are to be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Of both kinds together: with fewer, some were lost.
    pub(super) least: u64,
    /// About as many keys has the filter room for.
    pub(super) most: Counts,
}

/// See the module. Reads from any thread.
#[derive(Debug)]
pub(super) struct Sorted {
    path: PathBuf,
    file: File,
    contents: Contents,
}

impl Sorted {
    /// Writes entries, each kind by rising keys, and puts them in place: whole and durable, or not at all.
    ///
    /// # Errors
    ///
    /// Those of the entries; [`Error::StoreDamaged`] where there are too few; [`Error::RunFile`]. Nothing is left of it then.
    pub(super) fn write(
        path: &Path,
        bounds: Bounds,
        answers: Entries<'_, AnswerAt>,
        samples: Entries<'_, KnownSample>,
    ) -> Result<Self> {
        let new = path.with_extension("new");
        Self::write_at(&new, path, bounds, answers, samples).inspect_err(|_| {
            // It may be what fills the disk. Where it is in place already, it stays.
            let _ = std::fs::remove_file(&new);
        })
    }

    fn write_at(
        new: &Path,
        path: &Path,
        Bounds { least, most }: Bounds,
        answers: Entries<'_, AnswerAt>,
        samples: Entries<'_, KnownSample>,
    ) -> Result<Self> {
        let failed = Error::run_file("write", path);
        let create = || File::options().read(true).write(true).create(true).truncate(true).open(new);
        let file = reach("index-write").and_then(|()| create()).map_err(Error::run_file("write", path))?;
        let mut writer = BlockWriter { path, file: BufWriter::with_capacity(1 << 18, file), blocks: 0 };
        let answers = writer.blocks(most.answers, answers)?;
        let contents = Contents { answers, ids: writer.blocks(most.samples, samples)? };
        let entries = contents.counts().all();
        if entries < least {
            return Err(damaged(path, format!("there are {entries} entries for it, of {least}")));
        }
        let put = || {
            contents.write(&mut writer.file)?;
            reach("index-sync")?;
            let file = writer.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_data()?;
            reach("index-rename")?;
            rename(new, path)?;
            reach("index-renamed")?;
            Ok(file)
        };
        let file = put().map_err(failed)?;
        Ok(Self { path: path.to_owned(), file, contents })
    }

    /// # Errors
    ///
    /// [`Error::StoreDamaged`] where it is no such file, [`Error::RunFile`].
    pub(super) fn open(path: &Path) -> Result<Self> {
        // Asked before it is opened: what is no file may never open.
        if !path.is_file() {
            return Err(damaged(path, "it is no file"));
        }
        let open = || {
            let file = File::open(path)?;
            let mut end = [0; END];
            let Some(at) = file.metadata()?.len().checked_sub(END as u64) else { return Ok((file, None)) };
            file.read_exact_at(&mut end, at)?;
            let ([crc @ .., _, _, _, _, _, _, _, _], len) = (end, end.last_chunk().copied().unwrap_or_default());
            let Some(begin) = at.checked_sub(u64::from_le_bytes(len)) else { return Ok((file, None)) };
            let mut contents = vec![0; usize::try_from(at - begin).unwrap_or(0)];
            file.read_exact_at(&mut contents, begin)?;
            let is_whole = crc32fast::hash(&contents) == u32::from_le_bytes(crc);
            Ok((file, is_whole.then_some(contents)))
        };
        let (file, contents) = open().map_err(Error::run_file("open", path))?;
        let contents = contents.and_then(|contents| Contents::read(&contents));
        let contents = contents.ok_or_else(|| damaged(path, "its end is not as it was written"))?;
        Ok(Self { path: path.to_owned(), file, contents })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the block of `blocks` at a place among them. Gives the bytes of its entries.
    fn block<'a, R: Record>(&self, blocks: &Blocks, place: usize, bytes: &'a mut [u8; BLOCK]) -> Result<&'a [u8]> {
        let at = (blocks.begin + place as u64) * BLOCK as u64;
        self.file.read_exact_at(bytes, at).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(&self.path, "it is cut"),
            _ => Error::run_file("read", &self.path)(error),
        })?;
        let (filled, crc) = bytes.split_last_chunk::<4>().unwrap_or((&[], &[0; 4]));
        if crc32fast::hash(filled) != u32::from_le_bytes(*crc) {
            return Err(damaged(&self.path, "a block is not as it was written"));
        }
        let rest = usize::try_from(blocks.entries).unwrap_or(usize::MAX).saturating_sub(place * in_block::<R>());
        Ok(filled.get(..rest.min(in_block::<R>()) * entry_size::<R>()).unwrap_or_default())
    }

    fn find<R: Record>(&self, blocks: &Blocks, key: &Key) -> Result<Option<R>> {
        if !blocks.filter.may_have(key) {
            return Ok(None);
        }
        let above = blocks.firsts.partition_point(|first| first <= key);
        let Some(place) = above.checked_sub(1) else { return Ok(None) };
        let mut bytes = [0; BLOCK];
        let entries = self.block::<R>(blocks, place, &mut bytes)?;
        let (mut from, mut to) = (0, entries.len() / entry_size::<R>());
        while from < to {
            let middle = usize::midpoint(from, to);
            let entry = entries.get(middle * entry_size::<R>()..).and_then(split::<R>);
            let Some((found, record)) = entry else { break };
            match found.cmp(key) {
                Ordering::Less => from = middle + 1,
                Ordering::Equal => return Ok(R::read(record)),
                Ordering::Greater => to = middle,
            }
        }
        Ok(None)
    }

    fn all<'a, R: Record + 'a>(&'a self, blocks: &'a Blocks) -> Entries<'a, R> {
        let unread = || damaged(&self.path, "an entry is not as it was written");
        let read = move |place| {
            let mut bytes = [0; BLOCK];
            let entries = self.block::<R>(blocks, place, &mut bytes)?.chunks_exact(entry_size::<R>());
            let entry = |bytes| split::<R>(bytes).and_then(|(key, record)| Some((key, R::read(record)?)));
            Ok(entries.map(|bytes| entry(bytes).ok_or_else(unread)).collect::<Vec<_>>())
        };
        Box::new((0..blocks.firsts.len()).flat_map(move |place| read(place).unwrap_or_else(|error| vec![Err(error)])))
    }
}

impl Part for Sorted {
    fn counts(&self) -> Counts {
        self.contents.counts()
    }

    fn answer(&self, key: &Key) -> Result<Option<AnswerAt>> {
        self.find(&self.contents.answers, key)
    }

    fn sample(&self, key: &Key) -> Result<Option<KnownSample>> {
        self.find(&self.contents.ids, key)
    }

    fn answers(&self) -> Entries<'_, AnswerAt> {
        self.all(&self.contents.answers)
    }

    fn samples(&self) -> Entries<'_, KnownSample> {
        self.all(&self.contents.ids)
    }
}

const fn entry_size<R: Record>() -> usize {
    KEY + R::SIZE
}

const fn in_block<R: Record>() -> usize {
    FILLED / entry_size::<R>()
}

/// Key and record of the entry that `bytes` begin with.
fn split<R: Record>(bytes: &[u8]) -> Option<(Key, &[u8])> {
    let (key, rest) = bytes.split_first_chunk::<KEY>()?;
    Some((*key, rest.get(..R::SIZE)?))
}

fn damaged(path: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: path.to_owned(), message: message.into() }
}

struct BlockWriter<'a> {
    path: &'a Path,
    file: BufWriter<File>,
    /// That are written.
    blocks: u64,
}

impl BlockWriter<'_> {
    fn blocks<R: Record>(&mut self, most: u64, entries: Entries<'_, R>) -> Result<Blocks> {
        let mut blocks = Blocks { begin: self.blocks, entries: 0, firsts: Vec::new(), filter: Filter::of(most) };
        let mut block = Vec::with_capacity(BLOCK);
        for entry in entries {
            let (key, record) = entry?;
            if block.is_empty() {
                blocks.firsts.push(key);
            }
            blocks.filter.add(&key);
            block.extend_from_slice(&key);
            record.write(&mut block);
            blocks.entries += 1;
            if block.len() + entry_size::<R>() > FILLED {
                self.put(&mut block)?;
            }
        }
        if !block.is_empty() {
            self.put(&mut block)?;
        }
        blocks.firsts.shrink_to_fit();
        Ok(blocks)
    }

    fn put(&mut self, block: &mut Vec<u8>) -> Result<()> {
        block.resize(FILLED, 0);
        let crc = crc32fast::hash(block);
        block.extend_from_slice(&crc.to_le_bytes());
        self.file.write_all(block).map_err(Error::run_file("write", self.path))?;
        self.blocks += 1;
        block.clear();
        Ok(())
    }
}
