//! A sample: one text to be labelled, and the names it goes by. No I/O.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The user's name for a sample: the corpus' id field, or the hash of the text where there is none.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SampleId(pub String);

impl From<&str> for SampleId {
    fn from(id: &str) -> Self {
        Self(id.to_owned())
    }
}

impl fmt::Display for SampleId {
    /// For people: on one line, whatever is in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| {
            if character.is_control() { write!(f, "{}", character.escape_default()) } else { write!(f, "{character}") }
        })
    }
}

/// BLAKE3 of a text, cut to 128 bits: tells equal texts apart from different ones, byte for byte. Written to the
/// store and to answers, so it never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TextHash(pub [u8; 16]);

impl TextHash {
    /// The hash of `text`.
    #[must_use]
    pub fn of(text: &str) -> Self {
        Self(short_hash(&[text.as_bytes()]))
    }

    /// Lower-case hexadecimal, 32 characters.
    #[must_use]
    pub fn to_hex(self) -> String {
        to_hex(self.0)
    }

    /// Reads what [`TextHash::to_hex`] wrote, or the same in capitals; `None` for anything else.
    #[must_use]
    pub fn from_hex(hex: &str) -> Option<Self> {
        from_hex(hex).map(Self)
    }
}

/// One text to be labelled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// The user's name for it; unique in a run.
    pub id: SampleId,
    /// The text, as read: not trimmed, not normalised. The hash, the prompt and the student see these bytes.
    pub text: String,
}

impl Sample {
    /// A text by its user's name for it.
    #[must_use]
    pub fn new(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { id: SampleId(id.into()), text: text.into() }
    }

    /// A text without a name: it goes by its hash, so equal texts are one sample.
    #[must_use]
    pub fn unnamed(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { id: SampleId(TextHash::of(&text).to_hex()), text }
    }
}

/// The order in which a sample reached the store: 0, 1, 2, ... without a gap. Labels depend on it (folds, memory,
/// blocks), so it never changes.
pub(crate) type Position = u64;

/// BLAKE3 over `parts`, each preceded by its length in 8 bytes, little-endian (so that no two lists of parts
/// collide), cut to 128 bits.
#[must_use]
pub(crate) fn short_hash(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut short = [0; 16];
    hasher.finalize_xof().fill(&mut short);
    short
}

/// Lower-case hexadecimal of 16 bytes.
#[must_use]
pub(crate) fn to_hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

/// Reads what [`to_hex`] wrote.
#[must_use]
pub(crate) fn from_hex(hex: &str) -> Option<[u8; 16]> {
    if hex.len() != 32 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(hex, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(short_hash(&[b"ab", b"c"]), short_hash(&[b"a", b"bc"]));
        assert_ne!(short_hash(&[b"a"]), short_hash(&[b"a", b""]));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for wrong in ["", "+0000000000000000000000000000000", "g0000000000000000000000000000000"] {
            assert_eq!(TextHash::from_hex(wrong), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn hex_round_trips(bytes: [u8; 16]) {
            prop_assert_eq!(from_hex(&to_hex(bytes)), Some(bytes));
        }
    }
}
