//! Rows of a corpus that is read once more. They come as they came before, so a row mostly stands where the log goes on from the
//! row before it: then one look at the next record tells that it is known. Looked up in the index, each would cost reading
//! a page of it, for ids are hashed there and lie anywhere.

use std::sync::atomic::{AtomicU64, Ordering};

use super::index::{Index, KnownSample};
use super::inputs::InputsReader;
use crate::base::disk::Disk;
use crate::domain::sample::short_hash;
use crate::error::Result;
use crate::store::RowKey;

/// Tells a row from all others by its id and its text.
pub(super) type RowMark = [u8; 16];

impl RowKey {
    pub(super) fn mark(&self) -> RowMark {
        short_hash(&[self.id.0.as_bytes(), &self.text_hash.0])
    }
}

/// Where the next row is looked for first. Any place gives the same answers, at other costs.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    next: AtomicU64,
}

impl InOrder {
    /// What is known of each row. Reads the records once for all of them.
    pub(super) fn known<D: Disk>(
        &self,
        rows: &[RowKey],
        inputs: &InputsReader<D>,
        index: &Index,
    ) -> Result<Vec<Option<KnownSample>>> {
        let first = self.next.load(Ordering::Relaxed);
        let arrived = inputs.marks(first, rows.len())?;
        let stands_at = |position: u64, row: &RowKey| {
            let place = position.checked_sub(first).and_then(|ahead| usize::try_from(ahead).ok());
            place.and_then(|place| arrived.get(place)) == Some(&row.mark())
        };
        let mut next = first;
        let mut known = Vec::with_capacity(rows.len());
        for row in rows {
            let found = if stands_at(next, row) {
                Some(KnownSample { position: next, text_hash: row.text_hash })
            } else {
                index.known(&row.id)?
            };
            // Behind it, wherever that is: rows may be left out, or come in another order.
            next = found.map_or(next, |found| found.position + 1);
            known.push(found);
        }
        self.next.store(next, Ordering::Relaxed);
        Ok(known)
    }
}
