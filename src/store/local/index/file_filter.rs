//! A [filter](crate::base::filter) in blocks of a file. A small one is in memory too; of a large one a look-up reads the block that it
//! needs, for ten million texts have 20 MB of them.

use super::blocks::{BlockFile, BlockWriter, FILLED, block};
use super::part::Key;
use crate::base::filter::{self, Filter, LINE, Line};
use crate::error::{Error, Result};

/// Lines of a filter that is held in memory, at most: half a million keys.
const HELD: u64 = if cfg!(test) { 4 } else { 1 << 13 };
/// Lines of a block.
const IN_BLOCK: u64 = (FILLED / LINE) as u64;

/// A filter as it stands in a file.
#[derive(Debug)]
pub(super) struct FileFilter {
    at: FilterAt,
    held: Option<Filter>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct FilterAt {
    /// The number of its first block.
    pub(super) begin: u64,
    pub(super) lines: u64,
}

impl FilterAt {
    fn blocks(self) -> u64 {
        self.lines.div_ceil(IN_BLOCK)
    }

    /// The number of the block behind it.
    pub(super) fn end(self) -> u64 {
        self.begin.saturating_add(self.blocks())
    }

    /// What it fills its blocks with.
    fn read(self, file: &BlockFile) -> impl Iterator<Item = Result<Vec<Line>>> {
        (self.begin..self.end()).map(|number| Ok(lines(file.read(number, &mut block())?).to_vec()))
    }
}

impl FileFilter {
    /// # Errors
    ///
    /// Those of [`BlockFile::read`].
    pub(super) fn open(at: FilterAt, file: &BlockFile) -> Result<Self> {
        let held = (at.lines <= HELD).then(|| at.read(file).collect::<Result<Vec<_>>>()).transpose()?;
        let lines = usize::try_from(at.lines).unwrap_or(usize::MAX);
        Ok(Self { at, held: held.map(|blocks| blocks.into_iter().flatten().take(lines).collect()) })
    }

    /// Whether `key` is one of them, or perhaps it is not.
    ///
    /// # Errors
    ///
    /// Those of [`BlockFile::read`].
    pub(super) fn may_have(&self, file: &BlockFile, key: &Key) -> Result<bool> {
        if let Some(held) = &self.held {
            return Ok(held.may_have(key));
        }
        let line = filter::line_of(key, self.at.lines);
        let mut block = block();
        let lines = lines(file.read(self.at.begin + line / IN_BLOCK, &mut block)?);
        Ok(lines.get(place(line)).is_none_or(|line| filter::may_have(line, key)))
    }

    /// What is wrong with it: a look-up reads little of it.
    pub(super) fn damage(&self, file: &BlockFile) -> impl Iterator<Item = Error> {
        self.at.read(file).filter_map(Result::err)
    }
}

fn lines(filled: &[u8; FILLED]) -> &[Line] {
    filled.as_chunks().0
}

/// The place of a line in its block.
fn place(line: u64) -> usize {
    usize::try_from(line % IN_BLOCK).unwrap_or(usize::MAX)
}

/// Writes a filter while its keys come, which must rise: no more of it than a block is in memory.
pub(super) struct FilterWriter {
    at: FilterAt,
    /// Blocks before the one that the keys are in now.
    written: u64,
    lines: [Line; IN_BLOCK as usize],
}

impl FilterWriter {
    /// Of so many keys, about. Takes room for it in the file.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`].
    pub(super) fn new(keys: u64, out: &mut BlockWriter<'_>) -> Result<Self> {
        let at = FilterAt { begin: out.next(), lines: filter::lines(keys) };
        out.leave(at.blocks())?;
        Ok(Self { at, written: 0, lines: [[0; LINE]; IN_BLOCK as usize] })
    }

    /// # Errors
    ///
    /// [`Error::RunFile`].
    pub(super) fn add(&mut self, key: &Key, out: &BlockWriter<'_>) -> Result<()> {
        let line = filter::line_of(key, self.at.lines);
        self.write_until(line / IN_BLOCK, out)?;
        if let Some(line) = self.lines.get_mut(place(line)) {
            filter::add(line, key);
        }
        Ok(())
    }

    /// Where it stands, all of it.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`].
    pub(super) fn end(mut self, out: &BlockWriter<'_>) -> Result<FilterAt> {
        self.write_until(self.at.blocks(), out)?;
        Ok(self.at)
    }

    fn write_until(&mut self, block: u64, out: &BlockWriter<'_>) -> Result<()> {
        while self.written < block {
            out.put_at(self.at.begin + self.written, self.lines.as_flattened())?;
            self.lines.fill([0; LINE]);
            self.written += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::short_hash;

    fn key(number: u32) -> Key {
        short_hash(&[&number.to_le_bytes()])
    }

    fn sorted(keys: u32) -> Vec<Key> {
        let mut keys: Vec<_> = (0..keys).map(key).collect();
        keys.sort_unstable();
        keys
    }

    fn written(keys: &[Key], path: &std::path::Path) -> Result<FilterAt> {
        let file = std::fs::File::create(path).unwrap();
        let mut out = BlockWriter::new(path, file);
        (0..3).try_for_each(|_| out.put(&mut vec![1; FILLED]))?;
        let mut writer = FilterWriter::new(keys.len() as u64, &mut out)?;
        keys.iter().try_for_each(|key| writer.add(key, &out))?;
        writer.end(&out)
    }

    #[test]
    fn what_was_written_is_there_and_little_else_in_memory_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        for (count, is_held) in [(0, true), (100, true), (1000, false), (10_000, false)] {
            let at = written(&sorted(count), &path).unwrap();
            let file = BlockFile { path: path.clone(), file: std::fs::File::open(&path).unwrap() };
            let filter = FileFilter::open(at, &file).unwrap();
            assert_eq!(filter.held.is_some(), is_held, "{count}");
            let has = |number| filter.may_have(&file, &key(number)).unwrap();
            assert!((0..count).all(has));
            let wrong = (10_000..20_000).filter(|number| has(*number)).count();
            assert!(wrong < 1000 || count == 0, "{wrong} of 10,000, with {count}");
            assert_eq!(filter.damage(&file).count(), 0);
        }
    }

    #[test]
    fn a_look_up_in_a_changed_block_is_damage_and_no_answer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keys");
        let at = written(&sorted(10_000), &path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[4 * 4096 + 100] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let file = BlockFile { path: path.clone(), file: std::fs::File::open(&path).unwrap() };
        let filter = FileFilter::open(at, &file).unwrap();
        let (mut sound, mut damaged) = (0, 0);
        for asked in (0..10_000).map(|number| filter.may_have(&file, &key(number))) {
            match asked {
                Ok(has) => sound += u32::from(has),
                Err(Error::StoreDamaged { .. }) => damaged += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(sound + damaged, 10_000);
        assert!((3000..5000).contains(&damaged), "one block of three: {damaged}");
        assert_eq!(filter.damage(&file).count(), 1);
    }
}
