//! Random numbers keyed by what they are for. No generator outlives its use, so none has a state to save, and a step
//! that is repeated after a kill draws what it drew before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// A generator for one use: the same for the same `seed`, `purpose` and `steps`, unrelated to any other.
///
/// Its key is BLAKE3 of these. Labels depend on it: another hash, order or generator labels otherwise. Nothing stands
/// between steps and purpose, and need not: steps are counts, and no count spells the beginning of a word.
#[must_use]
pub fn rng(seed: u64, purpose: &str, steps: &[u64]) -> ChaCha8Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    for step in steps {
        hasher.update(&step.to_le_bytes());
    }
    hasher.update(purpose.as_bytes());
    ChaCha8Rng::from_seed(*hasher.finalize().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    #[test]
    fn every_use_has_numbers_of_its_own() {
        let draw = |seed, purpose, steps: &[u64]| rng(seed, purpose, steps).random::<u64>();
        assert_eq!(draw(1, "a", &[2]), draw(1, "a", &[2]));
        let all = [draw(1, "a", &[2]), draw(2, "a", &[2]), draw(1, "b", &[2]), draw(1, "a", &[3]), draw(1, "a", &[])];
        assert!((1..5).all(|i| !all[..i].contains(&all[i])));
    }
}
