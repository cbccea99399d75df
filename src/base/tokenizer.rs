//! A `tokenizer.json` behind a fence: the file is anyone's, and the crate that reads it trusts it.
//!
//! It panics on some malformed files, and on some texts with others: every call is caught. A normalizer may turn one letter
//! into thousands, and the next one each of those: what can become of a text is worked out before the text is given to it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use serde_json::Value;
use tokenizers::Tokenizer;
use tokenizers::normalizers::{NormalizerWrapper, Replace};
#[cfg(any(feature = "encoder", test))]
use tokenizers::{PostProcessor, TruncationParams};

use super::panic;
use super::regular::read_regular;

/// Bytes that a text may become, at most. Each takes seventeen in memory, for it is kept where it came from: 71 MB
/// for the largest.
const MOST_BYTES: usize = 1 << 22;
/// What every tokenizer can take: letters, figures, accents, another script.
const PROBE: &str = "A probe: a few words, 12.5 \u{e9}\u{4e2d}.";

/// See the module.
#[derive(Debug)]
pub(crate) struct FencedTokenizer {
    /// Used only within [`caught`].
    tokenizer: Tokenizer,
}

impl FencedTokenizer {
    /// Reads a file and tries it on a short text. Without padding and, at first, without truncation.
    ///
    /// # Errors
    ///
    /// Says why, as the rest of a sentence, where the file cannot be read, is no tokenizer, panics, or may make too
    /// much of a short text.
    pub(crate) fn read(path: &Path) -> Result<Self, String> {
        Self::from_bytes(&read_regular(path).map_err(|error| error.to_string())?)
    }

    /// From a file's content.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, String> {
        let load = || -> tokenizers::Result<Tokenizer> {
            let mut tokenizer = Tokenizer::from_bytes(bytes)?;
            tokenizer.with_padding(None);
            tokenizer.with_truncation(None)?;
            Ok(tokenizer)
        };
        let tokenizer = caught(load)?.map_err(|error| error.to_string())?;
        let fenced = Self { tokenizer };
        let most = fenced.most_bytes(PROBE.len());
        if most > MOST_BYTES {
            return Err(format!("its normalizer may turn {} bytes into {most}: use another", PROBE.len()));
        }
        caught(|| fenced.tokenizer.encode_fast(PROBE, true))?.map_err(|error| error.to_string())?;
        Ok(fenced)
    }

    /// Cuts every text at `longest` tokens, those included that stand around a text.
    ///
    /// # Errors
    ///
    /// Says why where not even those fit.
    #[cfg(any(feature = "encoder", test))]
    pub(crate) fn truncate(&mut self, longest: usize) -> Result<(), String> {
        let around = self.tokenizer.get_post_processor().map_or(0, |processor| processor.added_tokens(false));
        if around >= longest {
            return Err(format!("it puts {around} tokens around every text, and {longest} are read"));
        }
        let cut = TruncationParams { max_length: longest, ..TruncationParams::default() };
        self.tokenizer.with_truncation(Some(cut)).map(drop).map_err(|error| error.to_string())
    }

    /// The largest token number, added ones included; a model must have an embedding for it.
    #[cfg(any(feature = "encoder", test))]
    pub(crate) fn highest(&self) -> u32 {
        self.tokenizer.get_vocab(true).into_values().max().unwrap_or(0)
    }

    /// Token ids of `text`, with those that stand around a text if `around`; `None` for a text that it cannot take:
    /// one that may become too large, or at which the crate fails or panics.
    pub(crate) fn ids(&self, text: &str, around: bool) -> Option<Vec<u32>> {
        if self.most_bytes(text.len()) > MOST_BYTES {
            return None;
        }
        let encoding = caught(|| self.tokenizer.encode_fast(text, around)).ok()?.ok()?;
        Some(encoding.get_ids().to_vec())
    }

    /// What a text of so many bytes may become in the normalizer, at most, but for Unicode's own rules, which make of a
    /// letter eleven times as much once. Steps multiply, so they are followed one by one. (A `Precompiled`
    /// normalizer is taken to keep the length, though it can replace a letter by any text.)
    pub(crate) fn most_bytes(&self, bytes: usize) -> usize {
        self.tokenizer.get_normalizer().map_or(bytes, |normalizer| normalized(normalizer, bytes))
    }
}

/// A panic of the crate as an error. The tokenizer has no state that a panic could leave half changed.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic::message(panic.as_ref()))
}

/// Bytes after the step, at most, of so many before. A sequence goes through its steps, however nested.
fn normalized(normalizer: &NormalizerWrapper, bytes: usize) -> usize {
    match normalizer {
        NormalizerWrapper::Sequence(steps) => steps.as_ref().iter().fold(bytes, |bytes, step| normalized(step, bytes)),
        NormalizerWrapper::Replace(replace) => replaced(replace, bytes),
        NormalizerWrapper::Prepend(prepend) => bytes.saturating_add(prepend.prepend.len()),
        // Every byte becomes a letter, those of other scripts one of two bytes.
        NormalizerWrapper::ByteLevel(_) => bytes.saturating_mul(2),
        _ => bytes,
    }
}

/// A pattern that is text matches at most once for each of its lengths; a regular expression may match nothing,
/// before every byte and at the end.
fn replaced(replace: &Replace, bytes: usize) -> usize {
    let content = replace.content.len();
    // Its pattern is shown only where it is written.
    let pattern = serde_json::to_value(replace).ok();
    let text = pattern.as_ref().and_then(|written| written.get("pattern")?.get("String")).and_then(Value::as_str);
    match text.map(str::len).filter(|&length| length > 0) {
        Some(length) => (bytes / length).saturating_mul(content.max(length)).saturating_add(bytes % length),
        // What matches nothing matches before every byte.
        None => bytes.saturating_add(bytes.saturating_add(1).saturating_mul(content)),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(normalizer: &Value) -> Vec<u8> {
        json!({ "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": normalizer,
            "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
            "model": { "type": "WordLevel", "vocab": { "[UNK]": 0, "a": 1, "b": 2 }, "unk_token": "[UNK]" } })
        .to_string()
        .into_bytes()
    }

    fn replace(pattern: &Value, content: &str) -> Value {
        json!({ "type": "Replace", "pattern": pattern, "content": content })
    }

    fn sequence(steps: &[Value]) -> Value {
        json!({ "type": "Sequence", "normalizers": steps })
    }

    #[test]
    fn a_text_is_split_and_cut() {
        let mut tokenizer = FencedTokenizer::from_bytes(&file(&Value::Null)).unwrap();
        assert_eq!((tokenizer.ids("a b a", true), tokenizer.highest()), (Some(vec![1, 2, 1]), 2));
        tokenizer.truncate(2).unwrap();
        assert_eq!(tokenizer.ids("a b a", true), Some(vec![1, 2]));
        assert!(tokenizer.truncate(0).unwrap_err().contains("around every text"));
    }

    /// Two steps of ten thousand letters each would make gigabytes of a few words.
    #[test]
    fn a_normalizer_that_blows_texts_up_is_refused_before_it_is_tried() {
        let many = "ab ".repeat(3_333);
        for pattern in [json!({ "String": "a" }), json!({ "Regex": "[ab]" }), json!({ "Regex": "" })] {
            let once = replace(&pattern, &many);
            let nested = sequence(&[once.clone(), sequence(&[once.clone(), once.clone()])]);
            let error = FencedTokenizer::from_bytes(&file(&nested)).unwrap_err();
            assert!(error.contains("its normalizer may turn"), "{error}");
            // Once is bearable for a short text, and not for a long one.
            let tokenizer = FencedTokenizer::from_bytes(&file(&once)).unwrap();
            assert!(tokenizer.ids("a", true).unwrap().len() > 3_000);
            assert_eq!(tokenizer.ids(&"a ".repeat(10_000), true), None);
        }
    }

    #[test]
    fn many_steps_that_double_are_refused() {
        let steps = vec![json!({ "type": "ByteLevel" }); 30];
        assert!(FencedTokenizer::from_bytes(&file(&sequence(&steps))).unwrap_err().contains("its normalizer may turn"));
    }

    #[test]
    fn what_can_become_of_a_text_is_never_less_than_what_does() {
        let steps = [
            json!({ "type": "Prepend", "prepend": "ab" }),
            json!({ "type": "ByteLevel" }),
            replace(&json!({ "String": "ab" }), "xyxyx"),
            replace(&json!({ "Regex": "x*" }), "abc"),
            replace(&json!({ "String": "bb" }), ""),
        ];
        for from in 0..steps.len() {
            let tokenizer = FencedTokenizer::from_bytes(&file(&sequence(&steps[from..]))).unwrap();
            for text in ["ab", "abab", "bbb", "aabbxx ab", "\u{e9}ab"] {
                let mut all = tokenizers::NormalizedString::from(text);
                tokenizers::Normalizer::normalize(tokenizer.tokenizer.get_normalizer().unwrap(), &mut all).unwrap();
                assert!(all.get().len() <= tokenizer.most_bytes(text.len()), "{text} {from} {}", all.get());
            }
        }
    }

    #[test]
    fn malformed_files_are_errors() {
        for bad in ["", "{", "{}", r#"{"version":"1.0","model":7}"#, "[1, 2]"] {
            assert!(FencedTokenizer::from_bytes(bad.as_bytes()).is_err(), "{bad}");
        }
        // The crate panics on this one.
        let mut file: Value = serde_json::from_slice(&file(&Value::Null)).unwrap();
        file["decoder"] = json!("a decoder");
        assert!(FencedTokenizer::from_bytes(file.to_string().as_bytes()).is_err());
    }
}
