//! From a text to hashed n-grams: words and pairs of words, and 2 to 5 characters within a word. What the student learns from,
//! and what few-shot examples are compared by.
//!
//! Words carry the meaning, pairs some of the order, parts of words what spelling and endings change. A part is taken
//! of `<word>`, so that a beginning and an end differ from the same letters within. What a hash collides with is left
//! to be: with many more buckets than n-grams it is rare, and costs little.

use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::text::prefix;

/// n-grams of a text that are read, at most: bounds the work on very long ones.
const MAX_NGRAMS: usize = 1 << 14;
/// Bytes of a text that are read, at most: no more could matter, and splitting is not free.
const MAX_BYTES: usize = 1 << 16;
/// Characters of a part, its marks included.
const CHARS: std::ops::RangeInclusive<usize> = 2..=5;
/// Seeds keep the same letters apart as word, pair and part of a word. Another number here, and every student that
/// was trained or exported reads texts otherwise.
const WORD: u64 = 1;
const PAIR: u64 = 2;
const PART: u64 = 3;

/// A bag of n-grams: hashed into buckets, each with its weight.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ngrams {
    /// Buckets, each once, in ascending order.
    pub ids: Vec<u32>,
    /// One weight per bucket; their squares sum to 1.
    pub weights: Vec<f32>,
}

/// The n-grams of `text` in `buckets` buckets, weighted so that their squares sum to 1 (a bag of n-grams of length 1;
/// long and short texts weigh the same). Empty for a text without words. At least one bucket is assumed.
///
/// The same on every machine. Of a very long text only the beginning counts.
#[must_use]
pub fn ngrams(text: &str, buckets: u32) -> Ngrams {
    of_words(&words(text), buckets)
}

fn of_words(words: &Words, buckets: u32) -> Ngrams {
    let buckets = Buckets::of(buckets);
    let mut ids: Vec<u32> = Vec::new();
    let mut push = |bytes: &[u8], seed: u64| {
        ids.push(buckets.of_hash(xxh3_64_with_seed(bytes, seed)));
        ids.len() < MAX_NGRAMS
    };
    // Buffers for all words: most of them are short, and to allocate for each costs more than to hash it.
    let (mut pair, mut starts) = (String::new(), Vec::new());
    let mut before = "";
    // Word by word, so that what is cut off is the end of a text and not one kind of n-gram.
    'words: for marked in words.marked() {
        let word = marked.get(1..marked.len() - 1).unwrap_or("");
        if !push(word.as_bytes(), WORD) {
            break;
        }
        if !before.is_empty() {
            pair.clear();
            pair.push_str(before);
            pair.push(' ');
            pair.push_str(word);
            if !push(pair.as_bytes(), PAIR) {
                break;
            }
        }
        before = word;
        let bytes = marked.as_bytes();
        if marked.is_ascii() {
            for length in CHARS {
                for part in bytes.windows(length) {
                    if !push(part, PART) {
                        break 'words;
                    }
                }
            }
            continue;
        }
        starts.clear();
        starts.extend(marked.char_indices().map(|(at, _)| at).chain([marked.len()]));
        for length in CHARS {
            for window in starts.windows(length + 1) {
                let (Some(&from), Some(&to)) = (window.first(), window.last()) else { continue };
                let Some(part) = bytes.get(from..to) else { continue };
                if !push(part, PART) {
                    break 'words;
                }
            }
        }
    }
    weigh(ids)
}

/// A number of buckets, at least 1. A power of two, as nearly all are, spares a division for each n-gram.
#[derive(Clone, Copy)]
enum Buckets {
    Power { mask: u64 },
    Any(u64),
}

impl Buckets {
    fn of(buckets: u32) -> Self {
        let buckets = u64::from(buckets.max(1));
        if buckets.is_power_of_two() { Self::Power { mask: buckets - 1 } } else { Self::Any(buckets) }
    }

    /// The remainder by a u32, which fits one.
    fn of_hash(self, hash: u64) -> u32 {
        let bucket = match self {
            Self::Power { mask } => hash & mask,
            Self::Any(buckets) => hash % buckets,
        };
        u32::try_from(bucket).unwrap_or(0)
    }
}

/// Words, each between the marks of its beginning and end, in one piece of memory.
#[derive(Default)]
struct Words {
    marked: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Words {
    /// The words with their marks.
    fn marked(&self) -> impl Iterator<Item = &str> {
        let starts = [0].into_iter().chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(from, &to)| self.marked.get(from..to).unwrap_or("<>"))
    }

    fn push(&mut self, word: &str) {
        self.begin();
        self.marked.push_str(word);
        self.end();
    }

    fn begin(&mut self) {
        self.marked.push('<');
    }

    fn end(&mut self) {
        self.marked.push('>');
        self.ends.push(self.marked.len());
    }
}

/// Each id once, by its count, divided by the length of the vector of counts. Sorted, so sums over a text are always
/// made in one order.
fn weigh(mut ids: Vec<u32>) -> Ngrams {
    ids.sort_unstable();
    // As many as there are, and no room beyond: tens of thousands of bags are kept for replay.
    let distinct = ids.chunk_by(|a, b| a == b).count();
    let mut bag = Ngrams { ids: Vec::with_capacity(distinct), weights: Vec::with_capacity(distinct) };
    for id in ids {
        match bag.weights.last_mut() {
            Some(count) if bag.ids.last() == Some(&id) => *count += 1.0,
            _ => {
                bag.ids.push(id);
                bag.weights.push(1.0);
            }
        }
    }
    let length = bag.weights.iter().map(|count| count * count).sum::<f32>().sqrt();
    bag.weights.iter_mut().for_each(|count| *count /= length);
    bag
}

/// Words and single punctuation marks, in lower case and without accents, as BERT's basic tokenizer splits them.
fn words(text: &str) -> Words {
    let mut words = Words::default();
    let mut rest = prefix(text, MAX_BYTES);
    // Nothing that is done to a character depends on what is beyond a space. So only those stretches between spaces that are
    // not ASCII go the long way, which costs a hundred times as much a character.
    while !rest.is_empty() {
        let of_ascii = rest.bytes().take_while(u8::is_ascii).count();
        let (plain, beyond) = rest.split_at_checked(of_ascii).unwrap_or((rest, ""));
        // The word in which the first other character stands belongs to it.
        let plain = if beyond.is_empty() { plain.len() } else { plain.rfind(is_space).map_or(0, |space| space + 1) };
        let (plain, beyond) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        ascii_words(plain, &mut words);
        let (other, after) = beyond.split_at_checked(end_of_other(beyond)).unwrap_or((beyond, ""));
        if !other.is_empty() {
            any_words(other).iter().for_each(|word| words.push(word));
        }
        rest = after;
    }
    words
}

/// ASCII's white space as BERT has it. Vertical tabs and form feeds are control characters, and are left out.
fn is_space(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

/// How far the stretches between spaces reach that have something beyond ASCII, from the beginning of `text` on: all of
/// them together, for each call of the long way has a price of its own.
fn end_of_other(text: &str) -> usize {
    text.split_inclusive(is_space).take_while(|stretch| !stretch.is_ascii()).map(str::len).sum()
}

/// What [`any_words`] makes of ASCII.
fn ascii_words(text: &str, words: &mut Words) {
    let mut is_within = false;
    for byte in text.bytes() {
        let is_mark = byte.is_ascii_punctuation();
        if (is_mark || is_space(char::from(byte))) && is_within {
            words.end();
            is_within = false;
        }
        if is_mark {
            words.begin();
            words.marked.push(char::from(byte));
            words.end();
        } else if !byte.is_ascii_control() && byte != b' ' {
            if !is_within {
                words.begin();
                is_within = true;
            }
            words.marked.push(char::from(byte.to_ascii_lowercase()));
        }
    }
    if is_within {
        words.end();
    }
}

/// The words of any text. The library keeps for each character where it came from, which is what it costs.
fn any_words(text: &str) -> Vec<String> {
    let mut normalized = NormalizedString::from(text);
    let mut split = || -> tokenizers::Result<Vec<String>> {
        BertNormalizer::new(true, true, Some(true), true).normalize(&mut normalized)?;
        let mut pre_tokenized = PreTokenizedString::from(normalized.clone());
        BertPreTokenizer.pre_tokenize(&mut pre_tokenized)?;
        let splits = pre_tokenized.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        Ok(splits.into_iter().map(|(word, _, _)| word.to_owned()).collect())
    };
    // Neither step has a way to fail today; if one gets it, plain words are the next best.
    split().unwrap_or_else(|_| text.split_whitespace().map(str::to_lowercase).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn plain(text: &str) -> Vec<String> {
        words(text).marked().map(|marked| marked[1..marked.len() - 1].to_owned()).collect()
    }

    #[test]
    fn case_accents_and_spacing_do_not_matter_words_and_their_order_do() {
        let encode = |text| super::ngrams(text, 1 << 18);
        assert_eq!(encode("Où est ma CARTE ?"), encode("ou  est\tma carte?"));
        assert_ne!(encode("card lost"), encode("lost card"));
        assert_eq!(plain("Don't panic, 東京!"), ["don", "'", "t", "panic", ",", "東", "京", "!"]);
    }

    #[test]
    fn the_ngrams_of_a_word_are_counted_by_hand() {
        // <ab>: the word; 2 characters: <a ab b>; 3: <ab ab>; 4: <ab>
        assert_eq!(ngrams("ab", u32::MAX).ids.len(), 1 + 3 + 2 + 1);
        assert_eq!(ngrams("", 16), Ngrams::default());
    }

    proptest! {
        #[test]
        fn ids_are_in_range_and_weights_have_length_one(text in "\\PC{1,60}", buckets in 1..2000_u32) {
            let encoded = ngrams(&text, buckets);
            prop_assert!(encoded.ids.is_sorted_by(|a, b| a < b) && encoded.ids.iter().all(|&id| id < buckets));
            let length: f32 = encoded.weights.iter().map(|w| w * w).sum();
            prop_assert!(encoded.ids.is_empty() || (length - 1.0).abs() < 1e-4);
        }
    }

    /// N-grams as they are told of, one by one.
    fn long_way(text: &str, buckets: u32) -> Ngrams {
        let id =
            |part: &str, seed| u32::try_from(xxh3_64_with_seed(part.as_bytes(), seed) % u64::from(buckets)).unwrap();
        let (mut ids, mut before) = (Vec::new(), None::<String>);
        for word in any_words(text) {
            ids.push(id(&word, WORD));
            ids.extend(before.map(|before| id(&format!("{before} {word}"), PAIR)));
            let marked: Vec<char> = format!("<{word}>").chars().collect();
            for length in CHARS {
                ids.extend(marked.windows(length).map(|part| id(&part.iter().collect::<String>(), PART)));
            }
            before = Some(word);
        }
        ids.truncate(MAX_NGRAMS);
        weigh(ids)
    }

    /// Words of letters, marks, spaces, control characters, accents that stand alone, and whatever else there is.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            4 => "[a-zA-Z0-9]{1,6}",
            2 => "[ \t\n\r]{1,2}",
            2 => "[!-/:-@\\[-`{-~]",
            1 => "[\x00-\x7f]{1,3}",
            1 => "[éÀßİſ’€東😀\u{301}\u{345}\u{200b}\u{a0}\u{2028}\u{fffd}]{1,2}",
            1 => any::<String>(),
        ];
        proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]
        #[test]
        fn the_short_way_reads_every_text_as_the_long_one_does(text in texts(), buckets in 1..200_000_u32) {
            prop_assert_eq!(plain(&text), any_words(&text));
            prop_assert_eq!(ngrams(&text, buckets), long_way(&text, buckets));
            prop_assert_eq!(ngrams(&text, 1 << 17), long_way(&text, 1 << 17));
        }
    }

    #[test]
    fn every_character_is_read_alike_between_others() {
        for character in (0..0x3000).filter_map(char::from_u32) {
            let text = format!("Ab{character}cD {character} e{character}");
            assert_eq!(plain(&text), any_words(&text), "{character:?}");
        }
    }

    #[test]
    fn a_very_long_text_is_read_up_to_a_bound() {
        let long = "word".repeat(1 << 20);
        assert!(ngrams(&long, 1 << 18).ids.len() <= MAX_NGRAMS);
    }
}
