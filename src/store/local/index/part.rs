//! What every part of the index can be asked, and several of them as one.

use std::fmt::Debug;

use super::{AnswerAt, KnownSample};
use crate::error::Result;

/// Of an answer or, hashed, of an id. Both are hashes, so keys lie evenly.
pub(super) type Key = [u8; 16];

/// Entries by rising keys. After an error there may be more; they are not to be used.
pub(super) type Entries<'a, R> = Box<dyn Iterator<Item = Result<(Key, R)>> + 'a>;

/// How many entries there are of each kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) answers: u64,
    pub(super) samples: u64,
}

impl Counts {
    pub(super) fn all(self) -> u64 {
        self.answers + self.samples
    }
}

impl std::iter::Sum for Counts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, of| Self {
            answers: sum.answers + of.answers,
            samples: sum.samples + of.samples,
        })
    }
}

/// Entries under keys: of a key the one that was put last, as far as this part goes.
pub(super) trait Part: Debug {
    fn counts(&self) -> Counts;

    fn answer(&self, key: &Key) -> Result<Option<AnswerAt>>;

    fn sample(&self, key: &Key) -> Result<Option<KnownSample>>;

    fn answers(&self) -> Entries<'_, AnswerAt>;

    fn samples(&self) -> Entries<'_, KnownSample>;
}

/// The entries of several parts as those of one: of a key that of the first part that has it. Ends with the first error.
pub(super) fn merged<'a, R: 'a>(parts: impl IntoIterator<Item = Entries<'a, R>>) -> Entries<'a, R> {
    let mut parts: Vec<_> = parts.into_iter().map(Iterator::peekable).collect();
    let next = move || {
        if let Some(failed) = parts.iter_mut().find_map(|part| part.next_if(Result::is_err)) {
            parts.clear();
            return Some(failed);
        }
        let key_of = |entry: &Result<(Key, R)>| entry.as_ref().ok().map(|(key, _)| *key);
        let least = parts.iter_mut().filter_map(|part| part.peek().and_then(key_of)).min()?;
        let mut found = None;
        for part in &mut parts {
            found = found.or(part.next_if(|entry| key_of(entry) == Some(least)));
        }
        found
    };
    Box::new(std::iter::from_fn(next))
}
