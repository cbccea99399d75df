//! Warnings about lines: each reason is said when it is first met, and counted from then on. A file of a million lines
//! of another format would else be a million warnings.

use std::collections::BTreeMap;

use indicatif::HumanCount;

/// Reasons that are said; the others are only counted, for a file may have as many reasons as lines.
const SAID: usize = 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Folded {
    /// For each reason that was said, the first line with it, and how many more there are.
    said: BTreeMap<String, (u64, u64)>,
    count: u64,
}

impl Folded {
    /// Line `line` cannot be used for this reason.
    pub(super) fn add(&mut self, line: u64, reason: String) {
        self.add_of("", line, reason);
    }

    /// As [`Folded::add`], of the file that is called `of`.
    pub(super) fn add_of(&mut self, of: &str, line: u64, reason: String) {
        self.count += 1;
        if let Some((_, more)) = self.said.get_mut(&reason) {
            *more += 1;
        } else if self.said.len() < SAID {
            let of = if of.is_empty() { String::new() } else { format!("{of}: ") };
            tracing::warn!("{of}line {line} {reason}");
            self.said.insert(reason, (line, 0));
        }
    }

    /// All lines.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// How many are like which of those that were said; nothing where all were said.
    pub(super) fn more(&self) -> String {
        let mut alike: Vec<(u64, u64)> = self.said.values().filter(|(_, more)| *more > 0).copied().collect();
        alike.sort_unstable();
        let told: Vec<String> =
            alike.into_iter().map(|(line, more)| format!("{} more like line {line}", HumanCount(more))).collect();
        if told.is_empty() { String::new() } else { format!(" ({})", told.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alike_is_counted_with_the_first_of_it() {
        let mut folded = Folded::default();
        assert_eq!((folded.count(), folded.more().as_str()), (0, ""));
        for line in 1..=2000 {
            folded.add(line, if line % 2 == 0 { "is even".to_owned() } else { "is odd".to_owned() });
        }
        (0..100).for_each(|line| folded.add(3000 + line, format!("is {line}")));
        assert_eq!(folded.count(), 2100);
        assert_eq!(folded.more(), " (999 more like line 1, 999 more like line 2)");
        assert_eq!(folded.said.len(), SAID);
    }
}
