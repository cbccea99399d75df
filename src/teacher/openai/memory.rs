//! `dialects.json`: what a run found out about servers, so that the next one need not find it out by refusals. A cache: it
//! may be deleted, and what cannot be read is found out again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::dialect::Dialect;
use crate::base::durable::replace_file;

const FILE: &str = "dialects.json";

/// See the module.
#[derive(Debug)]
pub(super) struct Memory {
    path: PathBuf,
    /// By place: see [`super::address::place`]. Sorted, so that the file changes only where something did.
    dialects: Mutex<BTreeMap<String, Dialect>>,
}

impl Memory {
    /// Reads what the run in `dir` knows.
    pub(super) fn read(dir: &Path) -> Self {
        let path = dir.join(FILE);
        let known = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self { path, dialects: Mutex::new(known.unwrap_or_default()) }
    }

    /// The dialect in which a server was asked for an answer and gave it.
    pub(super) fn recall(&self, place: &str) -> Option<Dialect> {
        self.dialects.lock().unwrap_or_else(PoisonError::into_inner).get(place).copied()
    }

    /// A server answered in this dialect. Called with every answer, and cheap where it is known; on a tokio runtime,
    /// whose blocking threads write the file.
    pub(super) fn note(self: &Arc<Self>, place: &str, dialect: Dialect) {
        let mut dialects = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        if dialects.get(place) != Some(&dialect) {
            dialects.insert(place.to_owned(), dialect);
            let memory = Arc::clone(self);
            // Not waited for: an answer is worth more than this file.
            drop(tokio::task::spawn_blocking(move || memory.write()));
        }
    }

    fn write(&self) {
        // Held while writing, so that the last to write is the one who knows most.
        let dialects = self.dialects.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = serde_json::to_vec_pretty(&*dialects).unwrap_or_default();
        if let Err(error) = replace_file(&self.path, &bytes) {
            tracing::debug!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Output;
    use crate::teacher::openai::dialect::TokenLimit;

    #[tokio::test]
    async fn what_was_found_out_is_there_in_the_next_run_and_damage_is_no_error() {
        let dir = tempfile::tempdir().unwrap();
        let dialect =
            Dialect { output: Output::Text, temperature: false, logprobs: true, token_limit: TokenLimit::None };
        let memory = Arc::new(Memory::read(dir.path()));
        memory.note("a", dialect);
        // Written by another thread.
        while Memory::read(dir.path()).recall("a").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        let again = Memory::read(dir.path());
        assert_eq!((again.recall("a"), again.recall("b")), (Some(dialect), None));
        std::fs::write(dir.path().join(FILE), "{\"a\": {\"output\": \"smoke signals\"}}").unwrap();
        assert_eq!(Memory::read(dir.path()).recall("a"), None);
    }
}
