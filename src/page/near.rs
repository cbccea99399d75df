//! Labelled texts that are like another. Near is what shares words, pairs of words and parts of words: the cosine of two texts'
//! n-grams, which is what the `ngram` student reads of a text, before any weight. So it needs no student, and is the same
//! whichever student there is.
//!
//! No text is held, and to read a million again would take minutes. So each text has a sketch of 16 bytes, whose bits differ the
//! more the less two texts have in common (Charikar 2002, SimHash). All sketches are gone through; those texts whose sketches are
//! nearest are read and compared exactly. In a corpus of no more than [`COMPARED`] texts that is all of them.

use std::cmp::Reverse;
use std::time::{Duration, Instant};

use xxhash_rust::xxh3::xxh3_128;

use super::arrival::text_at;
use super::lines::Lines;
use super::rows::{NOWHERE, Table};
use super::shapes::Near;
use crate::base::ngrams::{Ngrams, ngrams};
use crate::base::text::prefix;

/// Texts that are given.
const GIVEN: usize = 5;
/// Texts that are compared exactly, at most.
const COMPARED: usize = 1000;
/// How long they are compared.
const TIME: Duration = Duration::from_millis(250);
/// Threads that compare, at most.
const THREADS: usize = 4;
/// Bytes of a text that are compared.
const BYTES: usize = 4 << 10;
/// Characters of a near text that are given.
const SHOWN: usize = 300;
/// As an `ngram` student has if nothing else was said.
const BUCKETS: u32 = 1 << 18;
/// Characters of a part of a word in a sketch.
const PART: usize = 4;
/// Bits of a sketch's counters, and so how many words and parts it counts.
const PLANES: usize = 10;
const COUNTED: usize = (1 << PLANES) - 1;

/// Which half of the numbers each of 128 hashes puts most of a text's words and parts into.
pub(super) type Sketch = u128;

/// The sketch of the beginning of `text`.
pub(super) fn sketch(text: &str) -> Sketch {
    let mut counts = Counts::default();
    let lower = prefix(text, BYTES).to_lowercase();
    for word in lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty()) {
        counts.add(word.as_bytes());
        // Endings and misspellings change a word, and few of its parts.
        let starts: Vec<usize> = word.char_indices().map(|(at, _)| at).chain([word.len()]).collect();
        for window in starts.windows(PART + 1).filter(|_| starts.len() > PART + 1) {
            let (Some(&from), Some(&to)) = (window.first(), window.last()) else { continue };
            counts.add(word.as_bytes().get(from..to).unwrap_or_default());
        }
        if counts.added >= COUNTED {
            break;
        }
    }
    counts.majority()
}

/// 128 counters, bit by bit: the first number has the lowest bit of each.
#[derive(Default)]
struct Counts {
    planes: [u128; PLANES],
    added: usize,
}

impl Counts {
    /// Adds each bit of the hash of `feature` to its counter.
    fn add(&mut self, feature: &[u8]) {
        if self.added >= COUNTED {
            return;
        }
        self.added += 1;
        let mut carry = xxh3_128(feature);
        for plane in &mut self.planes {
            (*plane, carry) = (*plane ^ carry, *plane & carry);
            if carry == 0 {
                break;
            }
        }
    }

    /// Which counters are above half of what was added.
    fn majority(&self) -> u128 {
        let half = self.added / 2;
        let (mut above, mut equal) = (0, u128::MAX);
        for (place, plane) in self.planes.iter().enumerate().rev() {
            let bit = if half >> place & 1 == 1 { u128::MAX } else { 0 };
            above |= equal & plane & !bit;
            equal &= !(plane ^ bit);
        }
        above
    }
}

/// Where labelled texts stand whose sketches are nearest to that of the text at `position`, the nearest first.
pub(super) fn candidates(table: &Table, position: u32) -> Vec<u32> {
    let Some(&own) = table.sketches().get(position as usize) else { return Vec::new() };
    let others = || {
        let rows = (0..).zip(table.rows().iter().zip(table.sketches()));
        let is_other = move |place: u32| place != position;
        rows.filter(move |(place, (row, _))| is_other(*place) && row.is_labelled() && row.text_at != NOWHERE)
            .map(move |(place, (_, sketch))| (place, (sketch ^ own).count_ones()))
    };
    // How many there are at each distance tells up to which one all have room.
    let mut counts = [0_usize; 129];
    for (_, distance) in others() {
        counts.get_mut(distance as usize).into_iter().for_each(|count| *count += 1);
    }
    let mut room = COMPARED;
    let whole = counts.iter().take_while(|count| room.checked_sub(**count).map(|left| room = left).is_some()).count();
    let mut found: Vec<(u32, u32)> = Vec::new();
    for (place, distance) in others() {
        // Of the first distance that has not room for all, those that came first.
        if (distance as usize) < whole || (distance as usize == whole && room > 0) {
            room -= usize::from(distance as usize == whole);
            found.push((distance, place));
        }
    }
    found.sort_unstable();
    found.into_iter().map(|(_, place)| place).collect()
}

/// What is read of a candidate: its line of the input log, and its label.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) position: u32,
    pub(super) text_at: u64,
    pub(super) label: Option<String>,
}

/// The same with what is needed to read them.
pub(super) fn near(table: &Table, position: u32) -> Vec<Candidate> {
    let read = |position: u32| {
        let row = table.row(position)?;
        Some(Candidate { position, text_at: row.text_at, label: table.label_name(row.label).map(str::to_owned) })
    };
    candidates(table, position).into_iter().filter_map(read).collect()
}

/// Of `candidates`, the likeliest first, those that are nearest to `text`, as far as the time goes.
pub(super) fn nearest(inputs: &Lines, text: &str, candidates: &[Candidate]) -> Vec<Near> {
    let (own, deadline) = (read(text), Instant::now() + TIME);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(THREADS);
    let compare = |from: usize| {
        let mut found: Vec<(f32, Near)> = Vec::new();
        for candidate in candidates.iter().skip(from).step_by(threads) {
            if Instant::now() >= deadline {
                break;
            }
            let Some((id, text)) = text_at(inputs, candidate.text_at) else { continue };
            let similarity = cosine(&own, &read(&text));
            if similarity > 0.0 {
                let (position, label) = (candidate.position.into(), candidate.label.clone());
                let text: String = text.chars().take(SHOWN).collect();
                let similarity = (f64::from(similarity) * 1e4).round() / 1e4;
                found.push((similarity as f32, Near { position, id, text, label, similarity }));
            }
            // No more is held than is given.
            if found.len() > 8 * GIVEN {
                first(&mut found);
            }
        }
        found
    };
    let mut found = std::thread::scope(|scope| {
        // Where no thread can be started, some are not compared.
        let others: Vec<_> = (1..threads)
            .filter_map(|from| std::thread::Builder::new().spawn_scoped(scope, move || compare(from)).ok())
            .collect();
        let mut found = compare(0);
        found.extend(others.into_iter().filter_map(|thread| thread.join().ok()).flatten());
        found
    });
    first(&mut found);
    found.into_iter().map(|(_, near)| near).collect()
}

/// Keeps those that are given, the nearest first, of equals the one that came first.
fn first(found: &mut Vec<(f32, Near)>) {
    found.sort_by(|(a, one), (b, other)| {
        Reverse(a.to_bits()).cmp(&Reverse(b.to_bits())).then(one.position.cmp(&other.position))
    });
    found.truncate(GIVEN);
}

fn read(text: &str) -> Ngrams {
    ngrams(prefix(text, BYTES), BUCKETS)
}

/// Of two bags of length one, whose ids ascend.
fn cosine(one: &Ngrams, other: &Ngrams) -> f32 {
    let (mut sum, mut others) = (0.0, other.ids.iter().zip(&other.weights).peekable());
    for (id, weight) in one.ids.iter().zip(&one.weights) {
        while others.next_if(|(other, _)| *other < id).is_some() {}
        if let Some((_, also)) = others.next_if(|(other, _)| *other == id) {
            sum += weight * also;
        }
    }
    sum.min(1.0)
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{event, names};
    use super::*;
    use crate::base::sealed::seal;
    use crate::domain::input::{Input, Outcome};
    use crate::domain::sample::Sample;

    /// A table of texts with labels (every seventh has none), and the log that it is of.
    fn made(texts: &[String]) -> (tempfile::TempDir, Table, Lines) {
        let dir = tempfile::tempdir().unwrap();
        let (mut table, mut log) = (Table::new("task".into(), names()), String::new());
        for (position, text) in (0..).zip(texts) {
            let id = format!("id-{position}");
            let sample = Sample::new(id.as_str(), text.as_str());
            let outcome = Outcome { opinions: Vec::new(), failure: None };
            table.take_input(&Input::Arrive { position, sample, outcome }, log.len() as u64).unwrap();
            if position % 7 != 6 {
                table.take_label(&event(position, &id, ["x", "y"][position as usize % 2], 0.5), 0).unwrap();
            }
            let arrive =
                serde_json::json!({"event": "arrive", "position": position, "id": id, "text": text, "asked": []});
            log += &seal(&arrive.to_string());
        }
        let path = dir.path().join("log");
        std::fs::write(&path, log).unwrap();
        (dir, table, Lines::new(std::fs::File::open(&path).unwrap()))
    }

    fn drawn(number: u64) -> u64 {
        number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    }

    /// Of words that are drawn.
    fn text(number: u64) -> String {
        let words: Vec<String> = (0..12).map(|place| format!("word{}", drawn(number * 100 + place) % 3000)).collect();
        words.join(" ")
    }

    #[test]
    fn of_a_small_corpus_the_nearest_are_the_nearest() {
        let texts: Vec<String> = (0..800).map(|number| format!("my card {}", text(number % 790))).collect();
        let (_dir, table, log) = made(&texts);
        for position in [0_u32, 5, 6, 799] {
            let own = &texts[position as usize];
            let found = nearest(&log, own, &near(&table, position));
            let mut expected: Vec<(f32, u64)> = (0..)
                .zip(&texts)
                .filter(|(other, _)| *other != u64::from(position) && other % 7 != 6)
                .map(|(other, text)| (cosine(&read(own), &read(text)), other))
                .collect();
            expected.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            let similarities: Vec<f64> = found.iter().map(|near| near.similarity).collect();
            assert_eq!(found.len(), GIVEN);
            assert!(similarities.is_sorted_by(|a, b| a >= b));
            for (near, (similarity, other)) in found.iter().zip(&expected) {
                assert!((near.similarity - f64::from(*similarity)).abs() < 1e-4, "{near:?} {other}");
                assert_eq!(near.label.as_deref(), Some(["x", "y"][near.position as usize % 2]));
                assert_eq!(
                    (near.id.as_str(), &near.text),
                    (format!("id-{}", near.position).as_str(), &texts[near.position as usize])
                );
            }
        }
        assert_eq!(nearest(&log, &texts[5], &near(&table, 5))[0].position, 795, "the same text again");
    }

    #[test]
    fn of_a_large_corpus_what_is_like_a_text_is_found_by_its_sketch() {
        let mut texts: Vec<String> = (0..12_000).map(text).collect();
        // One word in twelve is another, and one is misspelt.
        for copy in 0..3 {
            let mut words: Vec<String> = texts[500].split(' ').map(str::to_owned).collect();
            words[copy] = "another".to_owned();
            words[copy + 5].push('s');
            texts[9000 + 7 * copy] = words.join(" ");
        }
        let (_dir, table, log) = made(&texts);
        assert_eq!(candidates(&table, 500).len(), COMPARED);
        let found = nearest(&log, &texts[500], &near(&table, 500));
        let positions: Vec<u64> = found.iter().take(3).map(|near| near.position).collect();
        assert!([9000, 9007, 9014].iter().all(|copy| positions.contains(copy)), "{found:?}");
        assert!(found[2].similarity > found[3].similarity, "{found:?}");
    }

    #[test]
    fn a_text_without_words_or_without_company_has_none() {
        let (_dir, table, log) = made(&["...".to_owned(), "a card".to_owned(), String::new()]);
        assert!(nearest(&log, "...", &near(&table, 0)).is_empty());
        assert!(near(&table, 7).is_empty());
        let (_dir, table, log) = made(&["a card".to_owned()]);
        assert!(nearest(&log, "a card", &near(&table, 0)).is_empty());
    }

    #[test]
    fn sketches_count_as_counters_do() {
        let features: Vec<Vec<u8>> = (0..77_u64).map(|number| number.to_le_bytes().to_vec()).collect();
        let mut counts = Counts::default();
        features.iter().for_each(|feature| counts.add(feature));
        let majority = counts.majority();
        for bit in 0..128 {
            let ones = features.iter().filter(|feature| xxh3_128(feature) >> bit & 1 == 1).count();
            assert_eq!(majority >> bit & 1 == 1, ones > features.len() / 2, "{bit}");
        }
        let long = "word ".repeat(3000);
        assert_eq!(sketch(&long), sketch("word"));
        assert_eq!((sketch(""), sketch("Größe!") == sketch("größe")), (0, true));
    }
}
