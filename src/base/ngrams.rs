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
    let words = words(text);
    let mut ids: Vec<u32> = Vec::new();
    let mut push = |bytes: &[u8], seed: u64| {
        // The remainder of a u32's number of buckets fits a u32.
        ids.push(u32::try_from(xxh3_64_with_seed(bytes, seed) % u64::from(buckets.max(1))).unwrap_or(0));
        ids.len() < MAX_NGRAMS
    };
    // Word by word, so that what is cut off is the end of a text and not one kind of n-gram.
    let mut before = String::new();
    'words: for word in &words {
        if !push(word.as_bytes(), WORD) {
            break;
        }
        if !before.is_empty() && !push(format!("{before} {word}").as_bytes(), PAIR) {
            break;
        }
        before.clone_from(word);
        let marked = format!("<{word}>");
        let starts: Vec<usize> = marked.char_indices().map(|(at, _)| at).chain([marked.len()]).collect();
        for length in CHARS {
            for window in starts.windows(length + 1) {
                let (Some(&from), Some(&to)) = (window.first(), window.last()) else { continue };
                let Some(part) = marked.as_bytes().get(from..to) else { continue };
                if !push(part, PART) {
                    break 'words;
                }
            }
        }
    }
    weigh(ids)
}

/// Each id once, by its count, divided by the length of the vector of counts. Sorted, so sums over a text are always
/// made in one order.
fn weigh(mut ids: Vec<u32>) -> Ngrams {
    ids.sort_unstable();
    let mut bag = Ngrams::default();
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
fn words(text: &str) -> Vec<String> {
    let mut normalized = NormalizedString::from(prefix(text, MAX_BYTES));
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

    #[test]
    fn case_accents_and_spacing_do_not_matter_words_and_their_order_do() {
        let encode = |text| super::ngrams(text, 1 << 18);
        assert_eq!(encode("Où est ma CARTE ?"), encode("ou  est\tma carte?"));
        assert_ne!(encode("card lost"), encode("lost card"));
        assert_eq!(words("Don't panic, 東京!"), ["don", "'", "t", "panic", ",", "東", "京", "!"]);
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

    #[test]
    fn a_very_long_text_is_read_up_to_a_bound() {
        let long = "word".repeat(1 << 20);
        assert!(ngrams(&long, 1 << 18).ids.len() <= MAX_NGRAMS);
    }
}
