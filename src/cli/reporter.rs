//! Shows a live run: a display on a terminal, a line now and then elsewhere, an object a second for a program, nothing where
//! it is to be quiet. From the run's counters alone, on a thread of its own: however slow a terminal is, no stage waits
//! for it.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use candist::{Progress, Status};
use serde_json::{Value, json};

use super::frame;
use super::messages::Manner;
use super::pace::Pace;
use super::voice::{Voice, terminal};

/// How often the display is looked at; what did not change is not written.
const LOOK: Duration = Duration::from_millis(250);
/// How often a line is written where there is no terminal: logs are kept.
pub(super) const LINE_EVERY: Duration = Duration::from_secs(10);
/// How often a program is told.
pub(super) const OBJECT_EVERY: Duration = Duration::from_secs(1);

/// Reports until it is dropped; then a last time.
pub(crate) struct Reporter {
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts to report on `progress`, by `voice`.
    pub(crate) fn start(progress: Arc<Progress>, voice: &Voice, manner: Manner) -> Self {
        let mut telling = Telling { voice: voice.clone(), manner, pace: Pace::default(), told: Instant::now() };
        let (end, ended) = mpsc::channel();
        let work = move || {
            loop {
                // The other end is dropped at the end, which wakes it at once.
                let last = !matches!(ended.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
                telling.tell(&progress.snapshot(), last);
                if last {
                    return;
                }
            }
        };
        // Without a thread to show it, the run goes on unseen.
        let thread = std::thread::Builder::new().name("candist-report".to_owned()).spawn(work).ok();
        Self { end: Some(end), thread }
    }
}

// Waits for the thread, so that nothing is shown after what the program says at its end.
impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What is told, and when.
struct Telling {
    voice: Voice,
    manner: Manner,
    pace: Pace,
    /// When a line was written last.
    told: Instant,
}

impl Telling {
    /// Tells how far the run is; `last` says that it has ended.
    fn tell(&mut self, status: &Status, last: bool) {
        self.pace.note(Instant::now(), status);
        if self.manner.json {
            if last || self.is_due(OBJECT_EVERY) {
                self.voice.line(&object(status, self.pace.rate(), self.pace.left(status)).to_string());
            }
        } else if self.manner.quiet {
            // Only what goes wrong is said, and not from here.
        } else if last {
            self.voice.clear();
        } else if let Some((columns, rows)) = terminal() {
            self.voice.show(frame::lines(status, &self.pace, columns, rows), columns);
        } else if self.is_due(LINE_EVERY) {
            tracing::info!("{}", frame::sentence(status, &self.pace));
        }
    }

    fn is_due(&mut self, every: Duration) -> bool {
        let is_due = self.told.elapsed() >= every;
        if is_due {
            self.told = Instant::now();
        }
        is_due
    }
}

/// All that is known of a run, for a program: the counters, and what follows from them.
pub(super) fn object(status: &Status, rate: Option<f64>, left: Option<Duration>) -> Value {
    let mut object = serde_json::to_value(status).unwrap_or_default();
    let round = |number: f64| (number * 10.0).round() / 10.0;
    if let Some(fields) = object.as_object_mut() {
        fields.insert("type".to_owned(), json!("progress"));
        fields.insert("behind".to_owned(), json!(status.behind()));
        fields.insert("texts_per_s".to_owned(), json!(rate.map(round)));
        fields.insert("left_s".to_owned(), json!(left.map(|left| round(left.as_secs_f64()))));
        fields.insert("projected_cost".to_owned(), json!(status.projected().map(|cost| cost.round_dp(6).normalize())));
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_told_all_numbers_and_what_follows_from_them() {
        let status = Status { placed: 7, consumed: 3, ..Progress::default().snapshot() };
        let object = object(&status, Some(1.26), Some(Duration::from_millis(1500)));
        assert_eq!(object["type"], "progress");
        assert_eq!(object["phase"], "annotating");
        assert_eq!((object["placed"].as_u64(), object["behind"].as_u64()), (Some(7), Some(4)));
        assert_eq!((object["texts_per_s"].as_f64(), object["left_s"].as_f64()), (Some(1.3), Some(1.5)));
        assert!(object["total"].is_null() && object["projected_cost"].is_null());
    }
}
