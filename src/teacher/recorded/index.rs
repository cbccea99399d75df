//! Where the lines of a recording stand, by the texts that they answer: 16 bytes a line, and 16 more for a text whose hash they have,
//! on the disk where there are many.
//!
//! Hashes are cut, so a line that is found may be another's: whoever reads it looks at what it says.

use std::io;

use xxhash_rust::xxh3::xxh3_64;

use crate::base::sorting::{Sorter, last_of_each, part, record};
use crate::base::table::Table;
use crate::domain::sample::TextHash;

/// Bits of a place that are of the line's checksum; the others are its offset.
const CHECK_BITS: u32 = 24;

/// Where a line begins, and a part of its checksum, by which a file that was changed is found out. In the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(u64);

impl Place {
    /// Of `line`, without its ending, which begins at `offset`; none beyond the first tebibyte.
    pub(super) fn new(offset: u64, line: &[u8]) -> Option<Self> {
        let high = offset.checked_mul(1 << CHECK_BITS)?;
        Some(Self(high | check(line)))
    }

    /// That of a record of an index.
    fn of(record: [u8; 16]) -> Self {
        Self(u64::from_be_bytes(part(&record, 8)))
    }

    fn bytes(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }

    pub(super) fn offset(self) -> u64 {
        self.0 >> CHECK_BITS
    }

    /// Whether `line` is the one that stood here.
    pub(super) fn is_of(self, line: &[u8]) -> bool {
        self.0 & ((1 << CHECK_BITS) - 1) == check(line)
    }
}

fn check(line: &[u8]) -> u64 {
    u64::from(crc32fast::hash(line)) & ((1 << CHECK_BITS) - 1)
}

/// A line as it is read: the hash of its text's id, its place, a part of the hash of its text or zero, and the number of its teacher.
type Noted = [u8; 28];

/// Lines as they are read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    lines: Sorter<28>,
    /// Who is named, in the order in which they come, and nobody in particular. There are few.
    of: Vec<Option<String>>,
}

impl Reading {
    /// Takes in a line: whose it is, what it answers, and where it stands.
    ///
    /// # Errors
    ///
    /// Those of the folder of temporary files.
    pub(super) fn take(
        &mut self,
        teacher: Option<&str>,
        id: &str,
        text: Option<TextHash>,
        place: Place,
    ) -> io::Result<()> {
        let found = self.of.iter().position(|known| known.as_deref() == teacher).unwrap_or_else(|| {
            self.of.push(teacher.map(str::to_owned));
            self.of.len() - 1
        });
        let teacher = u32::try_from(found).unwrap_or(u32::MAX);
        let text = text.map_or(NO_TEXT, half);
        self.lines.push(record(&[&hash(id), &place.bytes(), &text, &teacher.to_be_bytes()]))
    }

    /// Those who are named in the file.
    pub(super) fn teachers(&self) -> Vec<&str> {
        self.of.iter().filter_map(Option::as_deref).collect()
    }

    /// The lines of the teacher of this name, and of nobody in particular; without a name, all.
    ///
    /// # Errors
    ///
    /// Those of the folder of temporary files.
    pub(super) fn index(self, chosen: Option<&str>) -> io::Result<Index> {
        let Self { lines, of } = self;
        let is_chosen = |line: &Noted| {
            let teacher = of.get(u32::from_be_bytes(part(line, 24)) as usize).and_then(Option::as_deref);
            chosen.is_none() || teacher.is_none() || teacher == chosen
        };
        let (mut texts, mut before) = (Sorter::<16>::default(), None);
        let lines = lines.sorted()?.filter(|line| line.as_ref().is_ok_and(is_chosen) || line.is_err());
        let lines = Table::of(lines.map(|line| {
            let line = line?;
            let (id, place, text): ([u8; 8], [u8; 8], [u8; 8]) = (part(&line, 0), part(&line, 8), part(&line, 16));
            // A text is known by the first line of its id.
            if before.replace(id) != Some(id) && text != NO_TEXT {
                texts.push(record(&[&text, &place]))?;
            }
            Ok(record(&[&id, &place]))
        }))?;
        // Of two ids with one text, the later answers for the text.
        let texts = Table::of(last_of_each::<8, 16>(texts.sorted()?))?;
        Ok(Index { texts, lines })
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    /// The hash of the text's id, and the place.
    lines: Table<16>,
    /// A part of the text's hash, and the place of the first line of the id that answers for it.
    texts: Table<16>,
}

impl Index {
    /// The lines of this id, in the order of the file, and perhaps some of others.
    pub(super) fn by_id(&self, id: &str) -> impl Iterator<Item = io::Result<Place>> {
        self.lines.beginning(hash(id)).map(|line| line.map(Place::of))
    }

    /// Whether any line has the hash of its text. Hashing a text is dear.
    pub(super) fn has_texts(&self) -> bool {
        !self.texts.is_empty()
    }

    /// The first line of the id that answers for this text, or perhaps one of another text.
    pub(super) fn by_text(&self, text: TextHash) -> io::Result<Option<Place>> {
        Ok(self.texts.first(half(text))?.map(Place::of))
    }
}

/// Of an id.
fn hash(id: &str) -> [u8; 8] {
    xxh3_64(id.as_bytes()).to_be_bytes()
}

/// What stands for the hash of no text.
const NO_TEXT: [u8; 8] = [0; 8];

/// The first half of a text's hash.
fn half(text: TextHash) -> [u8; 8] {
    part(&text.0, 0)
}
