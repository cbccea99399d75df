//! Which parts one of several processes labels.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// The share `index` of `count`, from 0: as Slurm's and Kubernetes' array jobs count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    index: usize,
    count: usize,
}

impl Share {
    /// All parts.
    pub const ALL: Self = Self { index: 0, count: 1 };

    /// Those of `parts` parts that are in it: one after the other, so that shares one after the other are all of them.
    pub(super) fn of(self, parts: usize) -> Range<usize> {
        let at = |share: usize| usize::try_from(parts as u128 * share as u128 / self.count as u128).unwrap_or(parts);
        at(self.index)..at(self.index + 1)
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once('/').and_then(|(index, count)| Some((index.parse().ok()?, count.parse().ok()?)));
        match numbers {
            Some((index, count)) if index < count => Ok(Self { index, count }),
            Some((index, count)) if index == count && count > 0 => Err(format!(
                "there is no {index} of {count}: they are counted from 0, so the last is {}/{count}",
                count - 1
            )),
            Some((index, count)) => Err(format!("there is no {index} of {count}: it goes from 0/N to N-1/N")),
            None => {
                Err("write I/N: the number of this process, from 0, and how many there are (0/8 to 7/8)".to_owned())
            }
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.index, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_in_one_share() {
        for (parts, count) in [(0, 1), (1, 1), (7, 3), (3, 7), (64, 8), (1000, 999)] {
            let all: Vec<usize> = (0..count).flat_map(|index| Share { index, count }.of(parts)).collect();
            assert_eq!(all, (0..parts).collect::<Vec<_>>());
            let sizes: Vec<usize> = (0..count).map(|index| Share { index, count }.of(parts).len()).collect();
            assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn shares_are_counted_from_0() {
        assert_eq!("3/8".parse(), Ok(Share { index: 3, count: 8 }));
        assert_eq!("3/8".parse::<Share>().unwrap().to_string(), "3/8");
        assert!("8/8".parse::<Share>().unwrap_err().contains("the last is 7/8"));
        for wrong in ["9/8", "0/0", "-1/8", "1", "a/b", "1/2/3", ""] {
            assert!(wrong.parse::<Share>().is_err(), "{wrong}");
        }
    }
}
