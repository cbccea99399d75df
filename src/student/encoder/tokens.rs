//! From texts to token ids, through the folder's `tokenizer.json`. The file is anyone's: what guards against it is in
//! `base/tokenizer`.

use std::path::Path;

use super::architecture::{read, wrong};
use crate::base::text::prefix;
use crate::base::tokenizer::FencedTokenizer;
use crate::error::Result;

/// Bytes of a text that are read for each token that is: many more than a token has. The rest could not matter, and a
/// tokenizer splits all that it is given before it cuts.
const BYTES_PER_TOKEN: usize = 128;
/// Bytes of a text that are read, at most.
const MAX_BYTES: usize = 1 << 16;

/// See the module.
pub(super) struct Tokens {
    tokenizer: FencedTokenizer,
    /// What stands for a text that cannot be split: the ids of an empty one. A text is never without tokens, for its
    /// first one is what is read.
    unknown: Vec<u32>,
    /// Tokens of a text, at most, those included that stand around it.
    longest: usize,
}

impl Tokens {
    /// Texts are cut at `longest` tokens; all ids must be below `vocabulary`, for the embeddings have no others.
    ///
    /// # Errors
    ///
    /// [`Error::Model`](crate::error::Error::Model) for a file that cannot be read, cannot be used, or is of another
    /// model.
    pub(super) fn read(folder: &Path, longest: usize, vocabulary: i64) -> Result<Self> {
        let (path, bytes) = read(folder, "tokenizer.json")?;
        let refused = |message: String| wrong(&path, message);
        let mut tokenizer = FencedTokenizer::from_bytes(&bytes).map_err(refused)?;
        tokenizer.truncate(longest).map_err(refused)?;
        let most = tokenizer.highest();
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

    /// Ids of `text` with the special tokens around it; at least one, `longest` at most.
    pub(super) fn encode(&self, text: &str) -> Vec<u32> {
        let most = self.longest.saturating_mul(BYTES_PER_TOKEN).min(MAX_BYTES);
        self.split(prefix(text, most)).filter(|ids| !ids.is_empty()).unwrap_or_else(|| self.unknown.clone())
    }

    /// Cut once more, for a tokenizer may add tokens that it does not count.
    fn split(&self, text: &str) -> Option<Vec<u32>> {
        let mut ids = self.tokenizer.ids(text, true)?;
        ids.truncate(self.longest);
        Some(ids)
    }
}
