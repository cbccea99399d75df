//! How far the run is, and when its logs were last written.

use std::path::Path;
use std::time::SystemTime;

use crate::domain::progress::Phase;
use crate::domain::status::Status;
use crate::store::{AUDITS, CORRECTIONS, RunView};

/// The files that are the truth of a run, and its labels.
const LOGS: [&str; 5] = ["answers.jsonl", "inputs.jsonl", "labels.jsonl", CORRECTIONS, AUDITS];

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// A process works on it. With rows of the corpus that are done, and all, where they are counted.
    Running { done: u64, total: Option<u64> },
    /// Every text has its final label.
    Complete,
    /// But for so many texts that the next run asks about.
    Unanswered(u64),
    /// Before the corpus' end. With the rows that are left, where that is known.
    Stopped { left: Option<u64> },
}

impl State {
    /// By what the logs hold (`ended`: the corpus' end is the last that happened; `is_settled`: labels are final) and by what the latest
    /// process said of itself. As `candist status` has it.
    pub(super) fn of(is_live: bool, word: Option<&Status>, ended: bool, is_settled: bool, unanswered: u64) -> Self {
        if is_live {
            let (done, total) = word.map_or((0, None), |status| (status.done, status.total));
            return Self::Running { done, total };
        }
        let settled = is_settled && word.is_none_or(|status| status.phase == Phase::Complete);
        match (ended && settled, unanswered) {
            (true, 0) => Self::Complete,
            (true, unanswered) => Self::Unanswered(unanswered),
            (false, _) => Self::Stopped { left: word.and_then(Status::left).filter(|left| *left > 0) },
        }
    }
}

/// What the latest process said of itself; `None` where there was none, or its word is lost.
pub(super) fn last_word(dir: &Path) -> Option<Status> {
    std::fs::read(dir.join("status.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

/// When the newest log was written: `29 Nov 2026, 12:24 UTC`.
pub(super) fn newest(view: &RunView) -> Option<String> {
    let written = LOGS.iter().filter_map(|log| std::fs::metadata(view.dir().join(log)).ok()?.modified().ok());
    written.max().map(date)
}

fn date(time: SystemTime) -> String {
    // `Sun, 29 Nov 2026 12:24:35 GMT`.
    let text = httpdate::fmt_http_date(time);
    format!("{}, {} UTC", text.get(5..16).unwrap_or_default(), text.get(17..22).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::progress::Progress;
    use std::time::Duration;

    #[test]
    fn a_run_is_as_far_as_its_logs_and_its_last_word_say() {
        let word = |phase| Status { phase, total: Some(10), done: 4, ..Progress::default().snapshot() };
        let (complete, streaming) = (word(Phase::Complete), word(Phase::Annotating));
        assert_eq!(State::of(false, None, true, true, 0), State::Complete);
        assert_eq!(State::of(false, Some(&complete), true, true, 3), State::Unanswered(3));
        assert_eq!(State::of(false, Some(&streaming), true, true, 0), State::Stopped { left: Some(6) });
        assert_eq!(State::of(false, None, true, false, 0), State::Stopped { left: None });
        assert_eq!(State::of(true, Some(&streaming), true, true, 0), State::Running { done: 4, total: Some(10) });
    }

    #[test]
    fn a_date_is_one_for_people() {
        assert_eq!(date(SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_955_075)), "29 Nov 2026, 12:24 UTC");
    }
}
