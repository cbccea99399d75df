//! How far the logs of a run went when somebody began to judge by them. They are read so far and no further, so that their hashes name
//! all that a certificate was judged by, also beside a run that goes on.

use std::fs::File;
use std::io::{ErrorKind, Read, Result as Io};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::certificate::LogFacts;
use crate::error::{Error, Result};
use crate::store::{AUDITS, CORRECTIONS};

const LABELS: &str = "labels.jsonl";
const INPUTS: &str = "inputs.jsonl";

/// Bytes of whole lines, by log; 0 where there is none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Basis {
    pub(super) labels: u64,
    pub(super) corrections: u64,
    pub(super) inputs: u64,
}

impl Basis {
    /// Of the run in `dir`, as it is now.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] for a log that cannot be read.
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        let whole = |name: &str| whole(&dir.join(name));
        // In this order: a text that has a label, or was corrected, has arrived before.
        let (labels, corrections) = (whole(LABELS)?, whole(CORRECTIONS)?);
        Ok(Self { labels, corrections, inputs: whole(INPUTS)? })
    }

    /// What is read of the logs in `dir`, with `audits` bytes of audit.jsonl.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] for a log that cannot be read.
    pub(super) fn facts(&self, dir: &Path, audits: u64) -> Result<Vec<LogFacts>> {
        let logs = [(LABELS, self.labels), (CORRECTIONS, self.corrections), (INPUTS, self.inputs), (AUDITS, audits)];
        logs.into_iter().map(|(name, bytes)| facts(dir, name, bytes)).collect()
    }
}

/// Of the first `bytes` of the log.
fn facts(dir: &Path, name: &str, bytes: u64) -> Result<LogFacts> {
    let path = dir.join(name);
    let mut hasher = blake3::Hasher::new();
    if bytes > 0 {
        let read = File::open(&path).and_then(|file| hasher.update_reader(file.take(bytes)).map(drop));
        read.map_err(Error::run_file("read", &path))?;
    }
    Ok(LogFacts { name: name.to_owned(), bytes: hasher.count(), blake3: hasher.finalize().to_hex().to_string() })
}

/// Bytes of the file up to its last line feed, with it.
fn whole(path: &Path) -> Result<u64> {
    match File::open(path).and_then(|file| last_line_feed(&file)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        read => read.map_err(Error::run_file("read", path)),
    }
}

/// Read backwards: it costs as much as an unfinished line.
fn last_line_feed(file: &File) -> Io<u64> {
    let (mut end, mut block) = (file.metadata()?.len(), vec![0; 1 << 16]);
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let size = usize::try_from(end - start).unwrap_or(block.len());
        let Some(part) = block.get_mut(..size) else { break };
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|&byte| byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_counts_up_to_its_last_whole_line() {
        let dir = tempfile::tempdir().unwrap();
        let long = "x".repeat(200_000);
        for (log, bytes) in [("", 0), ("a\n", 2), ("a\nb", 2), (&format!("a\n{long}"), 2), (&long, 0)] {
            std::fs::write(dir.path().join(LABELS), log).unwrap();
            let basis = Basis::of(dir.path()).unwrap();
            assert_eq!((basis.labels, basis.inputs), (bytes, 0));
        }
        std::fs::write(dir.path().join(LABELS), "a\nb\nc").unwrap();
        let basis = Basis::of(dir.path()).unwrap();
        std::fs::write(dir.path().join(LABELS), "a\nb\nc and more\n").unwrap();
        let facts = basis.facts(dir.path(), 0).unwrap();
        let labels = facts.first().unwrap();
        assert_eq!((labels.bytes, labels.blake3.as_str()), (4, blake3::hash(b"a\nb\n").to_hex().as_str()));
        assert_eq!(facts.iter().map(|log| log.bytes).collect::<Vec<_>>(), [4, 0, 0, 0]);
    }
}
