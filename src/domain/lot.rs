//! What a text of an audit's sample is drawn by: a hash of the seed and its id, which has nothing to do with what is said of it. No I/O.

use super::sample::{SampleId, short_hash};

/// The smallest are drawn first. In logs by the order of their texts: it never changes.
pub(crate) type Lot = [u8; 16];

/// The lot of the text with this id.
pub(crate) fn lot(seed: u64, id: &SampleId) -> Lot {
    short_hash(&[b"audit", &seed.to_le_bytes(), id.0.as_bytes()])
}
