//! A part of the index that never changes: a file of sorted entries. In memory there is with which keys its blocks begin, a seventh of a byte
//! an entry, and of a small one the filter of its keys, a byte an entry.
//!
//! ```text
//! blocks                                of the filter and then of the entries, first of answers and then of ids
//! contents                              a byte for the format; of both kinds: how many lines the filter has, how many entries there are,
//!                                       with which key each of their blocks begins
//! CRC-32 of the contents, their length  four bytes and eight
//! ```
//!
//! An entry is its key and a [`Record`]; numbers are little-endian. A look-up of what is there reads two blocks of a large file.

use std::cmp::Ordering;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::blocks::{BLOCK, Block, BlockFile, BlockWriter, FILLED, block, damaged};
use super::file_filter::{FileFilter, FilterAt, FilterWriter};
use super::part::{Counts, Entries, Key, Part};
use super::{AnswerAt, KnownSample};
use crate::base::durable::rename;
use crate::base::failpoint::reach;
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::store::local::flat::{Fields, Record};
use crate::store::local::log::Span;

const KEY: usize = size_of::<Key>();
/// A change of what is in the file, entries included, raises it: the index is made anew then.
const FORMAT: u8 = 2;
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
struct Contents<F> {
    answers: Blocks<F>,
    ids: Blocks<F>,
}

/// The blocks of one kind of entry, and its filter.
#[derive(Debug)]
struct Blocks<F> {
    filter: F,
    /// The number of the first block with entries.
    begin: u64,
    entries: u64,
    /// The first key of each.
    firsts: Vec<Key>,
}

impl Contents<FilterAt> {
    fn counts(&self) -> Counts {
        Counts { answers: self.answers.entries, samples: self.ids.entries }
    }

    /// With checksum and length.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let mut bytes = vec![FORMAT];
        for Blocks { filter, entries, firsts, .. } in [&self.answers, &self.ids] {
            bytes.extend_from_slice(&filter.lines.to_le_bytes());
            bytes.extend_from_slice(&entries.to_le_bytes());
            bytes.extend_from_slice(firsts.as_flattened());
        }
        out.write_all(&bytes)?;
        out.write_all(&crc32fast::hash(&bytes).to_le_bytes())?;
        out.write_all(&(bytes.len() as u64).to_le_bytes())
    }

    /// What stands behind so many bytes of blocks, if they are as many as it says.
    fn read(bytes: &[u8], behind: u64) -> Option<Self> {
        let mut fields = Fields(bytes.strip_prefix(&[FORMAT])?);
        let answers = Blocks::said::<AnswerAt>(&mut fields, 0)?;
        let contents = Self { ids: Blocks::said::<KnownSample>(&mut fields, answers.end())?, answers };
        let is_whole = fields.0.is_empty() && contents.ids.end().checked_mul(BLOCK as u64) == Some(behind);
        is_whole.then_some(contents)
    }
}

impl Blocks<FilterAt> {
    /// Those from the block `at` on, by what the contents say.
    fn said<R: Record>(fields: &mut Fields<'_>, at: u64) -> Option<Self> {
        let filter = FilterAt { begin: at, lines: fields.u64()? };
        let entries = fields.u64()?;
        let blocks = usize::try_from(entries.div_ceil(in_block::<R>() as u64)).ok()?;
        let (firsts, rest) = fields.0.split_at_checked(blocks.checked_mul(KEY)?)?;
        fields.0 = rest;
        Some(Self { filter, begin: filter.end(), entries, firsts: firsts.as_chunks().0.to_vec() })
    }

    /// The number of the block behind them.
    fn end(&self) -> u64 {
        self.begin.saturating_add(self.firsts.len() as u64)
    }

    fn open(self, file: &BlockFile) -> Result<Blocks<FileFilter>> {
        let Self { filter, begin, entries, firsts } = self;
        Ok(Blocks { filter: FileFilter::open(filter, file)?, begin, entries, firsts })
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
    file: BlockFile,
    contents: Contents<FileFilter>,
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
        let create = || File::options().read(true).write(true).create(true).truncate(true).open(new);
        let file = reach("index-write").and_then(|()| create()).map_err(Error::run_file("write", path))?;
        let mut writer = BlockWriter::new(path, file);
        let answers = written(&mut writer, most.answers, answers)?;
        let contents = Contents { answers, ids: written(&mut writer, most.samples, samples)? };
        let entries = contents.counts().all();
        if entries < least {
            return Err(damaged(path, format!("there are {entries} entries for it, of {least}")));
        }
        let failed = || Error::run_file("write", path);
        let end = || {
            contents.write(&mut writer.file)?;
            reach("index-sync")?;
            let file = writer.file.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_data()?;
            Ok(file)
        };
        let part = Self::of(BlockFile { path: path.to_owned(), file: end().map_err(failed())? }, contents)?;
        let put = || {
            reach("index-rename")?;
            rename(new, path)?;
            reach("index-renamed")
        };
        put().map_err(failed())?;
        Ok(part)
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
            Ok((file, is_whole.then_some((contents, begin))))
        };
        let (file, contents) = open().map_err(Error::run_file("open", path))?;
        if contents.as_ref().is_some_and(|(contents, _)| contents.first() != Some(&FORMAT)) {
            return Err(damaged(path, "another version of candist wrote it"));
        }
        let contents = contents.and_then(|(contents, begin)| Contents::read(&contents, begin));
        let contents = contents.ok_or_else(|| damaged(path, "its end is not as it was written"))?;
        Self::of(BlockFile { path: path.to_owned(), file }, contents)
    }

    fn of(file: BlockFile, Contents { answers, ids }: Contents<FilterAt>) -> Result<Self> {
        let contents = Contents { answers: answers.open(&file)?, ids: ids.open(&file)? };
        Ok(Self { file, contents })
    }

    pub(super) fn path(&self) -> &Path {
        &self.file.path
    }

    fn find<R: Record>(&self, blocks: &Blocks<FileFilter>, key: &Key) -> Result<Option<R>> {
        if !blocks.filter.may_have(&self.file, key)? {
            return Ok(None);
        }
        let above = blocks.firsts.partition_point(|first| first <= key);
        let Some(place) = above.checked_sub(1) else { return Ok(None) };
        let mut block = block();
        let entries = blocks.read::<R>(place, &self.file, &mut block)?;
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

    /// The entries, after what is wrong with their filter.
    fn all<'a, R: Record + 'a>(&'a self, blocks: &'a Blocks<FileFilter>) -> Entries<'a, R> {
        let unread = || self.file.damaged("an entry is not as it was written");
        let read = move |place| {
            let mut block = block();
            let entries = blocks.read::<R>(place, &self.file, &mut block)?.chunks_exact(entry_size::<R>());
            let entry = |bytes| split::<R>(bytes).and_then(|(key, record)| Some((key, R::read(record)?)));
            Ok(entries.map(|bytes| entry(bytes).ok_or_else(unread)).collect::<Vec<_>>())
        };
        let places = 0..blocks.firsts.len();
        let entries = places.flat_map(move |place| read(place).unwrap_or_else(|error| vec![Err(error)]));
        Box::new(blocks.filter.damage(&self.file).map(Err).chain(entries))
    }
}

impl Blocks<FileFilter> {
    /// The bytes of the entries in the block at a place among those with entries.
    fn read<'a, R: Record>(&self, place: usize, file: &BlockFile, block: &'a mut Block) -> Result<&'a [u8]> {
        let filled = file.read(self.begin + place as u64, block)?;
        if !self.firsts.get(place).is_some_and(|first| filled.starts_with(first)) {
            return Err(file.damaged("a block is of another file"));
        }
        let rest = usize::try_from(self.entries).unwrap_or(usize::MAX).saturating_sub(place * in_block::<R>());
        Ok(filled.get(..rest.min(in_block::<R>()) * entry_size::<R>()).unwrap_or_default())
    }
}

impl Part for Sorted {
    fn counts(&self) -> Counts {
        Counts { answers: self.contents.answers.entries, samples: self.contents.ids.entries }
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

/// Writes the entries of one kind, and the filter of their keys, of which there are about `most`.
fn written<R: Record>(out: &mut BlockWriter<'_>, most: u64, entries: Entries<'_, R>) -> Result<Blocks<FilterAt>> {
    let mut filter = FilterWriter::new(most, out)?;
    let (begin, mut firsts, mut count) = (out.next(), Vec::new(), 0);
    let (mut block, mut before) = (Vec::with_capacity(FILLED), None);
    for entry in entries {
        let (key, record) = entry?;
        if before.replace(key).is_some_and(|before| before >= key) {
            return Err(damaged(out.path, "the keys of what it is made of do not rise"));
        }
        if block.is_empty() {
            firsts.push(key);
        }
        filter.add(&key, out)?;
        block.extend_from_slice(&key);
        record.write(&mut block);
        count += 1;
        if block.len() + entry_size::<R>() > FILLED {
            out.put(&mut block)?;
        }
    }
    if !block.is_empty() {
        out.put(&mut block)?;
    }
    firsts.shrink_to_fit();
    Ok(Blocks { filter: filter.end(out)?, begin, entries: count, firsts })
}
