//! The size of a request in tokens: counted with the model's tokenizer, or estimated from bytes and corrected by what the
//! provider counts.
//!
//! Two numbers of each: what is expected, for pace and plans, and a bound, for limits per minute. Money has a bound of
//! its own (`most_prompt_tokens`), which may be loose but never low: what it is too high by comes back with the reply,
//! and what it were too low by would be spent already.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::prompt::Message;
use crate::base::tokenizer::FencedTokenizer;
use crate::domain::answer::Usage;
use crate::teacher::Size;

/// A usual rule of thumb for English.
const BYTES_PER_TOKEN: f64 = 4.0;
/// What chat formats add to each message, at most.
const PER_MESSAGE: u32 = 8;
/// Tokens of an answer before any was seen: a few labels as JSON.
const FIRST_COMPLETION: f64 = 24.0;
/// Answers after which the measured ratio of tokens to bytes is believed.
const BELIEVED_AFTER: u64 = 20;
/// A prompt is not this much larger than one of its length was on average: of one corpus and one prompt, tokens a byte
/// differ by little. For limits per minute alone; money is reserved by what is certain.
const MARGIN: f64 = 1.5;

#[derive(Debug, Default)]
struct Learned {
    /// Answers with a usage; the other fields are sums over them.
    answers: u64,
    bytes: f64,
    prompt_tokens: f64,
    completion_tokens: f64,
}

/// Sizes requests of one teacher.
#[derive(Debug)]
pub(super) struct Sizer {
    tokenizer: Option<FencedTokenizer>,
    /// Of an answer; the request sets it as its limit, so it is a bound.
    max_tokens: u32,
    /// Messages that begin every request, and their tokens and bytes.
    prefix: (usize, u32, usize),
    learned: Mutex<Learned>,
}

impl Sizer {
    /// Sizes requests that all begin with `prefix`, which is counted once: it holds all labels and may be most of a
    /// request.
    pub(super) fn new(tokenizer: Option<&Path>, prefix: &[Message<'_>], max_tokens: u32) -> Result<Self, String> {
        let tokenizer = tokenizer.map(load).transpose()?;
        let mut sizer = Self { tokenizer, max_tokens, prefix: (0, 0, 0), learned: Mutex::default() };
        sizer.prefix = (prefix.len(), sizer.count(prefix), bytes(prefix));
        Ok(sizer)
    }

    pub(super) fn is_counted(&self) -> bool {
        self.tokenizer.is_some()
    }

    /// Tokens of `messages` by the tokenizer; 0 without one.
    fn count(&self, messages: &[Message<'_>]) -> u32 {
        let Some(tokenizer) = &self.tokenizer else { return 0 };
        let tokens = |text: &str| {
            // A text that the tokenizer cannot take is counted at its worst, a byte a token.
            tokenizer.ids(text, false).map_or_else(|| tokenizer.most_bytes(text.len()), |ids| ids.len())
        };
        let sum: usize = messages.iter().map(|message| tokens(&message.content)).sum();
        u32::try_from(sum).unwrap_or(u32::MAX).saturating_add(per_message(messages))
    }

    /// The size of a request, by what is known now.
    pub(super) fn size(&self, messages: &[Message<'_>]) -> Size {
        let (prefix_messages, prefix_tokens, prefix_bytes) = self.prefix;
        let rest = messages.get(prefix_messages..).unwrap_or(messages);
        let bytes = prefix_bytes + bytes(rest);
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let ratio = if learned.bytes > 0.0 { learned.prompt_tokens / learned.bytes } else { 1.0 / BYTES_PER_TOKEN };
        let answers = learned.answers as f64;
        // The mean of all answers and one that was guessed, which soon weighs nothing.
        let completion = (FIRST_COMPLETION + learned.completion_tokens) / (answers + 1.0);
        let believed = learned.answers >= BELIEVED_AFTER;
        drop(learned);
        let overhead = per_message(messages);
        let (prompt, prompt_bound) = if self.is_counted() {
            let counted = prefix_tokens.saturating_add(self.count(rest));
            (counted, counted)
        } else {
            // A token of text is a byte at least.
            let worst = to_u32(bytes as f64).saturating_add(overhead);
            let estimate = to_u32(bytes as f64 * ratio);
            let likely = to_u32(f64::from(estimate) * MARGIN).saturating_add(overhead);
            (estimate, if believed { likely.min(worst) } else { worst })
        };
        Size {
            prompt,
            prompt_bound,
            completion: to_u32(completion).min(self.max_tokens),
            completion_bound: self.max_tokens,
        }
    }

    /// The most tokens that `messages` can be: as counted, or a byte each. What it costs to be wrong is money, so
    /// nothing that was learned takes part in it.
    pub(super) fn most_prompt_tokens(&self, messages: &[Message<'_>]) -> u32 {
        if self.is_counted() {
            return self.size(messages).prompt_bound;
        }
        to_u32(bytes(messages) as f64).saturating_add(per_message(messages))
    }

    /// Learns from what the provider counted for a request of `messages`. In the order in which replies come, which
    /// differs from run to run: nothing that a label depends on may be made of it.
    pub(super) fn learn(&self, messages: &[Message<'_>], usage: &Usage) {
        // No more than can be: a provider that counts nonsense must not hold the run up.
        let prompt = usage.prompt_tokens.min(u64::from(self.most_prompt_tokens(messages)));
        let completion = usage.completion_tokens.min(u64::from(self.max_tokens));
        let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.answers += 1;
        learned.bytes += bytes(messages) as f64;
        learned.prompt_tokens += prompt as f64;
        learned.completion_tokens += completion as f64;
    }
}

fn bytes(messages: &[Message<'_>]) -> usize {
    messages.iter().map(|message| message.content.len()).sum()
}

fn per_message(messages: &[Message<'_>]) -> u32 {
    PER_MESSAGE.saturating_mul(u32::try_from(messages.len()).unwrap_or(u32::MAX))
}

fn to_u32(number: f64) -> u32 {
    // Saturates; what is no number counts as nothing.
    number.ceil() as u32
}

fn load(path: &Path) -> Result<FencedTokenizer, String> {
    FencedTokenizer::read(path).map_err(|message| format!("cannot use the tokenizer {}: {message}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<Message<'_>> {
        vec![
            Message { role: "system", content: "x".repeat(392).into() },
            Message { role: "user", content: text.into() },
        ]
    }

    #[test]
    fn an_estimate_is_corrected_by_what_the_provider_counts() {
        let messages = messages("12345678");
        let sizer = Sizer::new(None, &messages[..1], 256).unwrap();
        assert_eq!(
            sizer.size(&messages),
            Size { prompt: 100, prompt_bound: 416, completion: 24, completion_bound: 256 }
        );
        for _ in 0..BELIEVED_AFTER {
            sizer.learn(&messages, &Usage { prompt_tokens: 80, completion_tokens: 6, cached_tokens: 0 });
        }
        assert_eq!(sizer.size(&messages), Size { prompt: 80, prompt_bound: 136, completion: 7, completion_bound: 256 });
    }

    #[test]
    fn nonsense_is_not_learned() {
        let messages = messages("12345678");
        let sizer = Sizer::new(None, &messages[..1], 256).unwrap();
        sizer.learn(&messages, &Usage { prompt_tokens: u64::MAX, completion_tokens: u64::MAX, cached_tokens: 0 });
        let size = sizer.size(&messages);
        assert!(size.prompt <= 416 && size.completion <= 256, "{size:?}");
    }

    #[test]
    fn a_tokenizer_counts_exactly_and_a_bad_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokenizer.json");
        let json = r#"{"version":"1.0","truncation":null,"padding":null,"added_tokens":[],"normalizer":null,
            "pre_tokenizer":{"type":"Whitespace"},"post_processor":null,"decoder":null,
            "model":{"type":"WordLevel","vocab":{"[UNK]":0,"a":1},"unk_token":"[UNK]"}}"#;
        std::fs::write(&path, json).unwrap();
        let messages = messages("a b c d");
        let sizer = Sizer::new(Some(&path), &messages[..1], 9).unwrap();
        // One word, four words, and what the chat format may add to each of the two messages.
        assert_eq!(sizer.size(&messages).prompt, 1 + 4 + 2 * PER_MESSAGE);
        for bad in ["{", r#"{"version":"1.0","model":7}"#] {
            std::fs::write(&path, bad).unwrap();
            assert!(Sizer::new(Some(&path), &messages, 9).unwrap_err().contains("tokenizer.json"));
        }
    }
}
