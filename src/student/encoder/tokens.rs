//! From texts to token ids, through the folder's `tokenizer.json`.
//!
//! The tokenizers crate panics on some malformed files, so every call into it is fenced.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use tokenizers::{Tokenizer, TruncationParams};

use super::architecture::{read, wrong};
use crate::error::{Result, panic_message};

/// Bytes of a text that are read, at most: more could not fit any encoder.
const MAX_BYTES: usize = 1 << 16;

/// See the module.
pub(super) struct Tokens {
    tokenizer: Tokenizer,
    /// What stands for a text that cannot be split.
    unknown: Vec<u32>,
    longest: usize,
}

impl Tokens {
    /// Texts are cut at `longest` tokens; all ids must be below `vocabulary`.
    pub(super) fn read(folder: &Path, longest: usize, vocabulary: i64) -> Result<Self> {
        let (path, bytes) = read(folder, "tokenizer.json")?;
        let load = || -> tokenizers::Result<Tokenizer> {
            let mut tokenizer = Tokenizer::from_bytes(&bytes)?;
            tokenizer.with_padding(None);
            tokenizer.with_truncation(Some(TruncationParams { max_length: longest, ..TruncationParams::default() }))?;
            Ok(tokenizer)
        };
        let tokenizer = catch_unwind(AssertUnwindSafe(load))
            .map_err(|panic| wrong(&path, panic_message(panic.as_ref())))?
            .map_err(|error| wrong(&path, error))?;
        let most = tokenizer.get_vocab(true).into_values().max().unwrap_or(0);
        if i64::from(most) >= vocabulary {
            let message = format!(
                "it has the token number {most}, and the model knows {vocabulary}: they do not belong together"
            );
            return Err(wrong(&path, message));
        }
        let mut tokens = Self { tokenizer, unknown: vec![0], longest };
        tokens.unknown = tokens.split("").filter(|ids| !ids.is_empty()).unwrap_or_else(|| vec![0]);
        Ok(tokens)
    }

    /// Ids of `text` with the special tokens around it; at least one.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let mut end = text.len().min(MAX_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.split(text.get(..end).unwrap_or("")).filter(|ids| !ids.is_empty()).unwrap_or_else(|| self.unknown.clone())
    }

    fn split(&self, text: &str) -> Option<Vec<u32>> {
        let encoding = catch_unwind(AssertUnwindSafe(|| self.tokenizer.encode_fast(text, true))).ok()?.ok()?;
        let mut ids = encoding.get_ids().to_vec();
        ids.truncate(self.longest);
        Some(ids)
    }
}
