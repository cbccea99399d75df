//! Which keys there are in a sorted file, nearly: a Bloom filter in lines of the processor's cache (Putze, Sanders, Singler, "Cache-,
//! Hash- and Space-Efficient Bloom Filters", 2007). Most look-ups are of texts that are new, and would read a block of each file for
//! nothing; with a byte a key two or three of a hundred still do.
//!
//! A key is in one line, and the lines of rising keys rise. So a filter of keys that come sorted can be written line by line.

/// A hash: every bit of it tells as much as any other.
type Key = [u8; 16];

/// What a look-up reads.
pub(crate) type Line = [u8; LINE];

/// Bytes of a line, and its bits.
pub(crate) const LINE: usize = 64;
const BITS: u64 = 8 * LINE as u64;
const BITS_A_KEY: u64 = 8;
/// Bits that a key sets, each told by so many of its own.
const PROBES: u32 = 6;
const WIDTH: u32 = BITS.trailing_zeros();

/// Lines for so many keys, about.
pub(crate) fn lines(keys: u64) -> u64 {
    keys.saturating_mul(BITS_A_KEY).div_ceil(BITS)
}

/// The number of the key's line, of `lines`. Half of a key says which, the other which bits of it.
pub(crate) fn line_of(key: &Key, lines: u64) -> u64 {
    let half = key.first_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    u64::try_from((u128::from(half) * u128::from(lines)) >> 64).unwrap_or(0)
}

/// Adds a key to its line.
pub(crate) fn add(line: &mut Line, key: &Key) {
    for (byte, bit) in places(key) {
        if let Some(byte) = line.get_mut(byte) {
            *byte |= bit;
        }
    }
}

/// Whether `key`, whose line this is, was added, or perhaps it was not.
pub(crate) fn may_have(line: &Line, key: &Key) -> bool {
    places(key).into_iter().all(|(byte, bit)| line.get(byte).is_none_or(|byte| byte & bit != 0))
}

/// Bytes of a line, and the bit of each.
fn places(key: &Key) -> [(usize, u8); PROBES as usize] {
    let bits = key.last_chunk().map_or(0, |half| u64::from_be_bytes(*half));
    std::array::from_fn(|probe| {
        let bit = (bits >> (probe as u32 * WIDTH)) % BITS;
        ((bit / 8) as usize, 1 << (bit % 8))
    })
}

/// A filter in memory.
#[derive(Debug, Default)]
pub(crate) struct Filter(Vec<Line>);

impl Filter {
    /// For so many keys, about.
    pub(crate) fn of(keys: u64) -> Self {
        Self(vec![[0; LINE]; usize::try_from(lines(keys)).unwrap_or(0)])
    }

    fn place(&self, key: &Key) -> usize {
        usize::try_from(line_of(key, self.0.len() as u64)).unwrap_or(0)
    }

    pub(crate) fn add(&mut self, key: &Key) {
        let place = self.place(key);
        if let Some(line) = self.0.get_mut(place) {
            add(line, key);
        }
    }

    /// Whether `key` was added, or perhaps it was not.
    pub(crate) fn may_have(&self, key: &Key) -> bool {
        self.0.get(self.place(key)).is_none_or(|line| may_have(line, key))
    }
}

impl FromIterator<Line> for Filter {
    fn from_iter<I: IntoIterator<Item = Line>>(lines: I) -> Self {
        Self(lines.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::short_hash;

    fn key(number: u32) -> Key {
        short_hash(&[&number.to_le_bytes()])
    }

    #[test]
    fn what_was_added_is_there_and_little_else() {
        let mut filter = Filter::of(10_000);
        (0..10_000).for_each(|number| filter.add(&key(number)));
        assert!((0..10_000).all(|number| filter.may_have(&key(number))));
        let wrong = (10_000..110_000).filter(|number| filter.may_have(&key(*number))).count();
        assert!((500..4000).contains(&wrong), "{wrong} of 100,000");
        assert!(Filter::default().may_have(&key(0)), "what is not known may be there");
    }

    #[test]
    fn lines_of_rising_keys_rise_and_all_have_some() {
        let mut keys: Vec<_> = (0..10_000).map(key).chain([[0; 16], [u8::MAX; 16]]).collect();
        keys.sort_unstable();
        let lines: Vec<_> = keys.iter().map(|key| line_of(key, 40)).collect();
        assert!(lines.is_sorted());
        assert!((0..40).all(|line| lines.contains(&line)) && lines.iter().all(|line| *line < 40));
    }
}
