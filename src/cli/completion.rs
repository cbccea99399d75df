//! Whether a run is complete, seen from outside: for those who follow one and should end when it does.

use std::path::{Path, PathBuf};

use candist::{FailureKind, Phase, Result, RunDir, RunView, Status};

/// What the latest process said of itself; `None` where there was none, or its word is lost.
pub(super) fn last_word(dir: &Path) -> Option<Status> {
    std::fs::read(dir.join("status.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

/// Whether a run in `dir` is complete, asked again and again.
#[derive(Debug)]
pub(super) struct Completion {
    dir: PathBuf,
    /// What the logs said when they had these lengths: they are read for it, which takes time.
    by_logs: Option<([u64; 2], bool)>,
}

impl Completion {
    /// Nobody has looked yet.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), by_logs: None }
    }

    /// Whether nobody runs, and the last who did came to the end, with an answer or a reason for every text. A run that
    /// was stopped is not complete, nor one of which the next process would ask about texts again.
    pub(super) fn is_reached(&mut self) -> bool {
        let Ok(view) = RunDir::view(&self.dir) else { return false };
        // In this order: who begins after the look is told of by neither.
        let word = last_word(&self.dir);
        if view.is_live() {
            return false;
        }
        match word {
            Some(status) => status.phase == Phase::Complete && status.unanswered == 0,
            None => self.by_logs(&view),
        }
    }

    fn by_logs(&mut self, view: &RunView) -> bool {
        let length = |name: &str| std::fs::metadata(self.dir.join(name)).map_or(0, |file| file.len());
        let lengths = ["inputs.jsonl", "labels.jsonl"].map(length);
        if let Some((_, is_complete)) = self.by_logs.filter(|(before, _)| *before == lengths) {
            return is_complete;
        }
        let is_complete = is_complete_by_logs(view).unwrap_or(false);
        self.by_logs = Some((lengths, is_complete));
        is_complete
    }
}

fn is_complete_by_logs(view: &RunView) -> Result<bool> {
    let (counts, (_, is_final)) = (view.counts()?, view.label_events()?);
    let unanswered = view.noted()?.iter().any(|failure| failure.kind == FailureKind::Unanswered);
    Ok(counts.ended && (is_final || counts.samples == 0) && !unanswered)
}
