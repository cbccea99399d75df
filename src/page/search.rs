//! Texts that contain something: whatever case it is in, in the text or the id. Read from the input log, since no text is
//! held; what was found is kept, and goes on where the log has grown.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use regex::bytes::{Regex, RegexBuilder};

use super::arrival::Arrival;
use super::lines::Lines;
use super::scan::scan;

/// How long a search may take.
const TIME: Duration = Duration::from_secs(2);
/// Searches that are kept, a bit a text each.
const KEPT: usize = 8;
/// Bytes of what is searched for.
pub(super) const LONGEST: usize = 1000;

/// The positions of some texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, position: u64) {
        let Ok(word) = usize::try_from(position / 64) else { return };
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(word) = self.0.get_mut(word) {
            *word |= 1 << (position % 64);
        }
    }

    /// Whether `position` is among them.
    pub(super) fn has(&self, position: u32) -> bool {
        self.0.get(position as usize / 64).is_some_and(|word| word >> (position % 64) & 1 == 1)
    }
}

/// What a search found.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) bits: Bits,
    /// Up to where the log was searched.
    pub(super) until: u64,
    /// Whether time ran out before that was all of it. The same search goes on from there.
    pub(super) is_partial: bool,
}

#[derive(Debug)]
struct Kept {
    needle: String,
    log: Lines,
    found: Found,
}

/// The searches of late.
#[derive(Debug, Default)]
pub(super) struct Searches(Mutex<Vec<Kept>>);

impl Searches {
    /// The texts in the first `end` bytes of the log `inputs` that contain `needle`, as far as the time goes; the first line,
    /// which is no text, takes no part. `None` where the needle cannot be searched for.
    pub(super) fn find(&self, inputs: &Lines, end: u64, needle: &str) -> Option<Found> {
        let known = self.known(inputs, needle);
        let mut found = known.unwrap_or(Found { bits: Bits::default(), until: 0, is_partial: false });
        if found.until < end {
            search(inputs, end, needle, &mut found)?;
            found.is_partial = found.until < end;
            self.keep(Kept { needle: needle.to_owned(), log: inputs.clone(), found: found.clone() });
        }
        Some(found)
    }

    fn known(&self, inputs: &Lines, needle: &str) -> Option<Found> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|kept| kept.needle == needle && kept.log.is_same(inputs)).map(|kept| kept.found.clone())
    }

    fn keep(&self, new: Kept) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.needle != new.needle);
        kept.insert(0, new);
        kept.truncate(KEPT);
    }
}

fn pattern(text: &str) -> Option<Regex> {
    RegexBuilder::new(&regex::escape(text)).case_insensitive(true).build().ok()
}

/// Goes on from where `found` ends.
fn search(inputs: &Lines, end: u64, needle: &str, found: &mut Found) -> Option<()> {
    // As it stands in the log: character by character, so what contains the needle contains this too. The opposite is
    // not so ("n" is in "\n"), so each line is looked at once more.
    let written = serde_json::to_string(needle).ok()?;
    let in_line = pattern(written.strip_prefix('"')?.strip_suffix('"')?)?;
    let in_text = pattern(needle)?;
    let scanned = scan(
        inputs,
        found.until..end,
        Instant::now() + TIME,
        |bytes, from| in_line.find_at(bytes, from).map(|found| found.start()),
        |line| {
            let arrival = Arrival::parse(line)?;
            let is_in = |text: &str| in_text.is_match(text.as_bytes());
            (is_in(&arrival.text) || is_in(&arrival.id)).then_some(arrival.position)
        },
    );
    scanned.found.into_iter().for_each(|position| found.bits.set(position));
    found.until = scanned.until;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::sealed::seal;
    use std::fs::File;
    use std::io::Write;

    fn arrive(position: u64, text: &str) -> String {
        let id = format!("id-{position}");
        seal(
            &serde_json::json!({"event": "arrive", "position": position, "id": id, "text": text, "asked": []})
                .to_string(),
        )
    }

    #[test]
    fn a_text_is_found_by_what_it_says_in_any_case_and_not_by_how_it_is_written() {
        let texts =
            ["Where is my CARD?", "line\nfeed", "Größe \"ÄÖ\"", "plain", "back\\slash n", "{\"label\":\"label\"}"];
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let lines: Vec<String> = (0..).zip(texts).map(|(position, text)| arrive(position, text)).collect();
        std::fs::write(&path, lines.concat()).unwrap();
        let log = Lines::new(File::open(&path).unwrap());
        let searches = Searches::default();
        for (needle, expected) in [
            ("card", vec![0]),
            ("größe \"äö", vec![2]),
            ("e\nf", vec![1]),
            ("\\slash N", vec![4]),
            ("crc", vec![]),
            ("asked", vec![]),
            (".", vec![]),
            ("id-3", vec![3]),
            ("label", vec![5]),
            ("n", vec![1, 3, 4]),
        ] {
            for _ in 0..2 {
                let found = searches.find(&log, log.length().unwrap(), needle).unwrap();
                assert_eq!((0..6).filter(|&at| found.bits.has(at)).collect::<Vec<_>>(), expected, "{needle:?}");
            }
        }
        // It goes on where the log has grown.
        let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(arrive(6, "another card").as_bytes()).unwrap();
        let found = searches.find(&log, log.length().unwrap(), "card").unwrap();
        assert!(found.bits.has(0) && found.bits.has(6) && !found.bits.has(1) && !found.bits.has(700));
    }
}
