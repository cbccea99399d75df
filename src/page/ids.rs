//! The ids of all texts, by position, and the position of each. Bytes end to end, so that an id costs its length and some
//! twenty bytes; one that is long costs its beginning and a hash.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::domain::sample::TextHash;

/// Bytes of an id that are kept as they are.
const SHORT: usize = 64;
/// Bytes of a longer one that are kept before its hash, which has 16.
const BEGINNING: usize = 48;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ids {
    bytes: Vec<u8>,
    /// Where each ends in `bytes`.
    ends: Vec<u64>,
    /// Positions, by what is kept of their ids.
    table: HashTable<u32>,
    /// Its keys are random: ids are somebody else's.
    hasher: RandomState,
}

/// What is kept of an id.
fn kept(id: &str, long: &mut [u8; SHORT]) -> usize {
    let bytes = id.as_bytes();
    let beginning = bytes.get(..BEGINNING).filter(|_| bytes.len() > SHORT);
    let (beginning, hash) = match beginning {
        Some(beginning) => (beginning, TextHash::of(id).0),
        None => (bytes, [0; 16]),
    };
    let all = beginning.iter().chain(&hash);
    long.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
    if bytes.len() > SHORT { SHORT } else { bytes.len() }
}

fn part<'a>(bytes: &'a [u8], ends: &[u64], position: u32) -> &'a [u8] {
    let at = position as usize;
    let end = |index: usize| ends.get(index).map_or(0, |end| usize::try_from(*end).unwrap_or(usize::MAX));
    let begin = at.checked_sub(1).map_or(0, end);
    bytes.get(begin..end(at)).unwrap_or_default()
}

impl Ids {
    /// Takes the id of the next position. An empty one stands for a text whose line is damaged.
    pub(super) fn push(&mut self, id: &str) {
        let mut buffer = [0; SHORT];
        let length = kept(id, &mut buffer);
        let key = buffer.get(..length).unwrap_or_default();
        let position = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(key);
        self.ends.push(self.bytes.len() as u64);
        if length == 0 {
            return;
        }
        let Self { bytes, ends, table, hasher } = self;
        let hash = hasher.hash_one(key);
        table.insert_unique(hash, position, |&other| hasher.hash_one(part(bytes, ends, other)));
    }

    /// The position of `id`.
    pub(super) fn position(&self, id: &str) -> Option<u32> {
        let mut buffer = [0; SHORT];
        let length = kept(id, &mut buffer);
        let key = buffer.get(..length)?;
        self.table.find(self.hasher.hash_one(key), |&other| self.key(other) == key).copied()
    }

    /// By what `position` is sorted among ids: for a long one, what is kept of it.
    pub(super) fn key(&self, position: u32) -> &[u8] {
        part(&self.bytes, &self.ends, position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_any_length_are_found_and_told_apart() {
        let long = "x".repeat(100);
        let mut names: Vec<String> = (0..1000).map(|number| format!("id-{number}")).collect();
        names.extend([long.clone() + "a", long.clone() + "b", "y".repeat(64), "é".into()]);
        let mut ids = Ids::default();
        names.iter().for_each(|name| ids.push(name));
        ids.push("");
        for (position, name) in (0..).zip(&names) {
            assert_eq!(ids.position(name), Some(position), "{name}");
        }
        assert_eq!((ids.position("id-1000"), ids.position(&long), ids.position("")), (None, None, None));
        assert_eq!((ids.key(7), ids.key(1002).len(), ids.key(5000)), (b"id-7".as_slice(), 64, [].as_slice()));
    }
}
