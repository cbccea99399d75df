//! Where the lines of a recording stand, by the texts that they answer: 16 bytes a line, 8 more for a text whose hash they have.
//!
//! Hashes are cut, so a line that is found may be another's: whoever reads it looks at what it says. While the file is read it is
//! 24 bytes a line, and some 40 for the moment in which they are put in order.

use std::cmp::Reverse;
use std::num::NonZeroU64;

use xxhash_rust::xxh3::xxh3_64;

use crate::domain::sample::TextHash;

/// Bits of a place that are of the line's checksum; the others are its offset.
const CHECK_BITS: u32 = 24;

/// Where a line begins, and a part of its checksum, by which a file that was changed is found out. In the order of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place(u64);

impl Place {
    /// Of `line`, without its ending, which begins at `offset`; none beyond the first tebibyte.
    pub(super) fn new(offset: u64, line: &[u8]) -> Option<Self> {
        let high = offset.checked_mul(1 << CHECK_BITS)?;
        Some(Self(high | check(line)))
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

/// A line as it is read.
#[derive(Debug)]
struct Noted {
    /// Of the text's id.
    id: u64,
    place: Place,
    /// A part of the hash of the text, where the line has it.
    text: Option<NonZeroU64>,
}

/// Lines as they are read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// Of each teacher that is named, in the order in which they come, and of nobody in particular. There are few.
    of: Vec<(Option<String>, Vec<Noted>)>,
}

impl Reading {
    /// Takes in a line: whose it is, what it answers, and where it stands.
    pub(super) fn take(&mut self, teacher: Option<&str>, id: &str, text: Option<TextHash>, place: Place) {
        let found = self.of.iter().position(|(known, _)| known.as_deref() == teacher).unwrap_or_else(|| {
            self.of.push((teacher.map(str::to_owned), Vec::new()));
            self.of.len() - 1
        });
        if let Some((_, lines)) = self.of.get_mut(found) {
            lines.push(Noted { id: hash(id), place, text: text.and_then(part) });
        }
    }

    /// Those who are named in the file.
    pub(super) fn teachers(&self) -> Vec<&str> {
        self.of.iter().filter_map(|(teacher, _)| teacher.as_deref()).collect()
    }

    /// The lines of the teacher of this name, and of nobody in particular; without a name, all.
    pub(super) fn index(self, chosen: Option<&str>) -> Index {
        let mut lines: Vec<Noted> = Vec::new();
        for (teacher, mut more) in self.of {
            let is_chosen = chosen.is_none() || teacher.is_none() || teacher.as_deref() == chosen;
            if is_chosen && lines.is_empty() {
                lines = more;
            } else if is_chosen {
                lines.append(&mut more);
            }
        }
        lines.sort_unstable_by_key(|line| (line.id, line.place));
        let (mut texts, mut before) = (Vec::new(), None);
        for (number, line) in (0..=u32::MAX).zip(&lines) {
            // A text is known by the first line of its id.
            if before.replace(line.id) != Some(line.id) {
                texts.extend(line.text.map(|text| (text, number)));
            }
        }
        // Of two ids with one text, the later answers for the text.
        texts.sort_unstable_by_key(|(text, number)| {
            (*text, Reverse(lines.get(*number as usize).map(|line| line.place)))
        });
        texts.dedup_by_key(|(text, _)| *text);
        Index {
            texts: texts.into_iter().map(|(text, number)| (upper(text), number)).collect(),
            lines: lines.into_iter().map(|line| (line.id, line.place)).collect(),
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    /// By the hash of the text's id, then in the order of the file.
    lines: Vec<(u64, Place)>,
    /// By a part of the text's hash: the first line of the id that answers for it.
    texts: Vec<(u32, u32)>,
}

impl Index {
    /// The lines of this id, in the order of the file, and perhaps some of others.
    pub(super) fn by_id(&self, id: &str) -> impl Iterator<Item = Place> {
        let hash = hash(id);
        let first = self.lines.partition_point(|(known, _)| *known < hash);
        self.lines.iter().skip(first).take_while(move |(known, _)| *known == hash).map(|(_, place)| *place)
    }

    /// Whether any line has the hash of its text. Hashing a text is dear.
    pub(super) fn has_texts(&self) -> bool {
        !self.texts.is_empty()
    }

    /// The first line of the id that answers for this text, and perhaps some of other texts.
    pub(super) fn by_text(&self, text: TextHash) -> impl Iterator<Item = Place> {
        let hash = part(text).map(upper);
        let first = self.texts.partition_point(|(known, _)| Some(*known) < hash);
        let found = self.texts.iter().skip(first).take_while(move |(known, _)| Some(*known) == hash);
        found.filter_map(|(_, line)| self.lines.get(*line as usize).map(|(_, place)| *place))
    }
}

/// Of an id.
fn hash(id: &str) -> u64 {
    xxh3_64(id.as_bytes())
}

/// The first half of a text's hash; that of no text is zero.
fn part(text: TextHash) -> Option<NonZeroU64> {
    let [bytes @ .., _, _, _, _, _, _, _, _] = text.0;
    NonZeroU64::new(u64::from_be_bytes(bytes))
}

/// What texts are sorted by, cut: the order stays.
fn upper(part: NonZeroU64) -> u32 {
    (part.get() >> 32) as u32
}
