//! Which keys there are in a sorted file, nearly: a Bloom filter in blocks of a cache line (Putze, Sanders, Singler, "Cache-, Hash- and
//! Space-Efficient Bloom Filters", 2007). Most look-ups are of texts that are new, and would read a block of each file for nothing; with
//! a byte a key two or three of a hundred still do.

/// A hash: every bit of it tells as much as any other.
type Key = [u8; 16];

/// Bytes of a block, and its bits.
const BLOCK: usize = 64;
const BITS: u64 = 8 * BLOCK as u64;
const BITS_A_KEY: u64 = 8;
/// Bits that a key sets, each told by so many of its own.
const PROBES: u32 = 6;
const WIDTH: u32 = BITS.trailing_zeros();

#[derive(Debug, Default)]
pub(crate) struct Filter(Vec<u8>);

impl Filter {
    /// For so many keys, about.
    pub(crate) fn of(keys: u64) -> Self {
        let blocks = keys.saturating_mul(BITS_A_KEY).div_ceil(BITS);
        Self(vec![0; usize::try_from(blocks).unwrap_or(0) * BLOCK])
    }

    /// What [`Filter::bytes`] gave.
    pub(crate) fn read(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn add(&mut self, key: &Key) {
        for (byte, bit) in self.places(key) {
            if let Some(byte) = self.0.get_mut(byte) {
                *byte |= bit;
            }
        }
    }

    /// Whether `key` was added, or perhaps it was not.
    pub(crate) fn may_have(&self, key: &Key) -> bool {
        self.places(key).into_iter().all(|(byte, bit)| self.0.get(byte).is_none_or(|byte| byte & bit != 0))
    }

    /// Bytes, and the bit of each. Keys are hashes: half of one says which block, the other which bits of it.
    fn places(&self, key: &Key) -> [(usize, u8); PROBES as usize] {
        let (block, bits) = key.split_at(8);
        let [block, bits] = [block, bits].map(|half| u64::from_be_bytes(half.try_into().unwrap_or_default()));
        let blocks = (self.0.len() / BLOCK) as u128;
        let block = usize::try_from((u128::from(block) * blocks) >> 64).unwrap_or(0);
        std::array::from_fn(|probe| {
            let bit = (bits >> (probe as u32 * WIDTH)) % BITS;
            (block * BLOCK + (bit / 8) as usize, 1 << (bit % 8))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::short_hash;

    #[test]
    fn what_was_added_is_there_and_little_else() {
        let key = |number: u32| short_hash(&[&number.to_le_bytes()]);
        let mut filter = Filter::of(10_000);
        (0..10_000).for_each(|number| filter.add(&key(number)));
        let filter = Filter::read(filter.bytes().to_vec());
        assert!((0..10_000).all(|number| filter.may_have(&key(number))));
        let wrong = (10_000..110_000).filter(|number| filter.may_have(&key(*number))).count();
        assert!((500..4000).contains(&wrong), "{wrong} of 100,000");
        assert!(Filter::default().may_have(&key(0)), "what is not known may be there");
    }
}
