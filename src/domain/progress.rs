//! Counters of a live run, shared by all stages and read by whoever shows them; [`Status`] is all of them at one moment.
//!
//! Each is atomic by itself and none is in step with another: they are for people, and nothing decides by them.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::status::{NewLabel, Pause, Status};

/// What a run is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Reading, asking, labelling.
    Annotating,
    /// Passes over the memory after the end of the corpus.
    Settling,
    /// Everything is done.
    Complete,
    /// Ended before it was complete.
    Stopped,
}

impl Phase {
    /// Whether nothing more comes.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Complete | Self::Stopped)
    }
}

const PHASES: [Phase; 4] = [Phase::Annotating, Phase::Settling, Phase::Complete, Phase::Stopped];

/// A counter. Relaxed: nothing else is made visible by it.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts `more`.
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts one less, never below 0.
    pub(crate) fn take_one(&self) {
        let less = |count: u64| Some(count.saturating_sub(1));
        // With a count for every value, it cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    /// Starts again from `value`.
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One more of something, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted<'a>(&'a Counter);

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.take_one();
    }
}

/// Labels that are shown as the newest ones.
pub(crate) const NEWEST: usize = 3;

/// What a run is about; it does not change while it goes on.
#[derive(Debug, Default)]
pub(crate) struct About {
    /// Names of the task's labels, in their order.
    pub(crate) labels: Vec<String>,
    /// Passes over the memory at the corpus' end, at most, as configured; 0 where the memory's size says it.
    pub(crate) max_passes: u32,
    /// What it may cost.
    pub(crate) max_cost: Option<Decimal>,
}

/// What is no counter.
#[derive(Debug, Default)]
struct Shown {
    /// When this process began.
    began: Option<Instant>,
    /// Until when nothing is sent, and why.
    pause: Option<(Instant, String)>,
    /// The last is the newest; labels by their number.
    newest: Vec<(NewLabel, u16)>,
    /// Why confidences are no probabilities.
    calibration_doubt: Option<String>,
}

/// The counters.
#[derive(Debug, Default)]
pub struct Progress {
    /// Rows of the corpus as they were counted beside the run; 0 as long as that is not known.
    pub total: Counter,
    /// Rows read from the corpus by this process, blank lines apart.
    pub rows: Counter,
    /// Of those, rows that are not known yet: passed on to be answered.
    pub new_rows: Counter,
    /// Rows that cannot be used.
    pub bad_rows: Counter,
    /// Samples that had a position before this process began.
    pub placed_before: Counter,
    /// Samples that have a position: answered or failed, by this and earlier processes.
    pub placed: Counter,
    /// Of those, samples that no teacher named a label for.
    pub failed: Counter,
    /// Samples that a teacher could not be made to answer, by this process.
    pub unanswered: Counter,
    /// New samples whose question has ended in this process, with an answer or without: they are placed as soon as those
    /// before them are.
    pub answered: Counter,
    /// Questions put to teachers by this process, second tries included.
    pub asked: Counter,
    /// Requests that were sent and not answered yet.
    pub in_flight: Counter,
    /// Requests that had to be sent again, by this process.
    pub retries: Counter,
    /// Samples that the student has taken in.
    pub consumed: Counter,
    /// Label events written, by this and earlier processes.
    pub events: Counter,
    /// Training steps of the student.
    pub steps: Counter,
    /// Pass over the memory that is under way, from 1; 0 before.
    pub pass: Counter,
    /// Passes that there are at most, over the memory as it is; 0 before.
    pub passes: Counter,
    /// What answers cost so far, by this and earlier processes, in billionths.
    pub billionths: Counter,
    /// Of that, by earlier processes.
    pub billionths_before: Counter,
    /// What requests of unknown outcome may have cost on top, in billionths.
    pub unknown_billionths: Counter,
    about: OnceLock<About>,
    shown: Mutex<Shown>,
    /// Its place in `PHASES`.
    phase: AtomicU8,
}

impl Progress {
    /// What the run is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        PHASES.get(usize::from(self.phase.load(Ordering::Relaxed))).copied().unwrap_or(Phase::Stopped)
    }

    /// Starts from what earlier processes left: `placed` samples, of which no teacher named a label for `failed`, and
    /// `events` label events. Cost begins at 0 too: whoever begins adds what is on record.
    pub(crate) fn begin(&self, placed: u64, failed: u64, events: u64) {
        // Those of this process: a run that begins once more, with caches made anew, counts anew.
        let own = [&self.rows, &self.new_rows, &self.bad_rows, &self.answered, &self.unanswered, &self.billionths];
        own.into_iter().for_each(|counter| counter.set(0));
        self.shown().began = Some(Instant::now());
        self.set_phase(Phase::Annotating);
        self.failed.set(failed);
        self.placed.set(placed);
        self.placed_before.set(placed);
        self.events.set(events);
    }

    /// Says what the run is doing now.
    pub(crate) fn set_phase(&self, phase: Phase) {
        let number = PHASES.iter().position(|&other| other == phase).and_then(|place| u8::try_from(place).ok());
        self.phase.store(number.unwrap_or_default(), Ordering::Relaxed);
    }

    /// Says what the run is about. Once: a run that begins once more is about the same.
    pub(crate) fn describe(&self, about: About) {
        let _ = self.about.set(about);
    }

    fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request is on its way, until what this gives is dropped.
    pub(crate) fn fly(&self) -> Counted<'_> {
        self.in_flight.add(1);
        Counted(&self.in_flight)
    }

    /// Nothing is sent for `length`, for this reason. Of several pauses, the one that ends last counts.
    pub(crate) fn pause(&self, length: Duration, why: impl FnOnce() -> String) {
        let until = Instant::now() + length;
        let mut shown = self.shown();
        if shown.pause.as_ref().is_none_or(|(other, _)| *other < until) {
            shown.pause = Some((until, why()));
        }
    }

    /// A label was given: `label` by its number, the rest as it is shown.
    pub(crate) fn labelled(&self, newest: impl IntoIterator<Item = (NewLabel, u16)>) {
        let mut shown = self.shown();
        shown.newest.extend(newest);
        let old = shown.newest.len().saturating_sub(NEWEST);
        shown.newest.drain(..old);
    }

    /// Why the labels' confidences are no probabilities, as far as the refinery knows by now.
    pub(crate) fn doubt_calibration(&self, why: Option<&str>) {
        let mut shown = self.shown();
        // Told anew at every step, and seldom another.
        if shown.calibration_doubt.as_deref() != why {
            shown.calibration_doubt = why.map(str::to_owned);
        }
    }

    /// Counts what an answer cost, in the currency of the prices.
    pub(crate) fn add_cost(&self, cost: Decimal) {
        self.billionths.add(billionths(cost));
    }

    /// What was recorded before this process asked anything.
    pub(crate) fn begin_cost(&self, cost: Decimal) {
        self.billionths_before.set(billionths(cost));
        self.add_cost(cost);
    }

    /// Sets what requests of unknown outcome may have cost.
    pub(crate) fn set_unknown_cost(&self, cost: Decimal) {
        self.unknown_billionths.set(billionths(cost));
    }

    /// What answers cost so far.
    #[must_use]
    pub fn cost(&self) -> Decimal {
        amount(self.billionths.get())
    }

    /// All counters at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Status {
        let open = self.new_rows.get().saturating_sub(self.answered.get());
        let (rows, placed, bad_rows, unanswered) =
            (self.rows.get(), self.placed.get(), self.bad_rows.get(), self.unanswered.get());
        let about = self.about.get();
        let shown = self.shown();
        Status {
            phase: self.phase(),
            total: Some(self.total.get()).filter(|&total| total > 0),
            // Rows that are known are passed over at the start, which takes a while: those that have a position are done
            // all the same.
            done: rows.saturating_sub(open).max(placed + bad_rows + unanswered),
            rows,
            pending: (self.new_rows.get() + self.placed_before.get()).saturating_sub(placed),
            bad_rows,
            placed,
            failed: self.failed.get(),
            unanswered,
            answered: self.answered.get(),
            asked: self.asked.get(),
            in_flight: self.in_flight.get(),
            retries: self.retries.get(),
            pause: shown.pause.as_ref().and_then(|(until, why)| {
                let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                Some(Pause { seconds: tenths(left), why: why.clone() })
            }),
            cost: self.cost(),
            spent: amount(self.billionths.get().saturating_add(self.unknown_billionths.get())),
            spent_before: amount(self.billionths_before.get()),
            max_cost: about.and_then(|about| about.max_cost),
            consumed: self.consumed.get(),
            events: self.events.get(),
            steps: self.steps.get(),
            pass: self.pass.get(),
            max_passes: match self.passes.get() {
                0 => about.map_or(0, |about| u64::from(about.max_passes)),
                passes => passes,
            },
            elapsed_s: shown.began.map_or(0.0, |began| tenths(began.elapsed())),
            newest: shown.newest.iter().rev().map(|(newest, label)| named(newest, *label, about)).collect(),
            calibration_doubt: shown.calibration_doubt.clone(),
        }
    }
}

/// Only shown: what does not fit is 0.
fn billionths(cost: Decimal) -> u64 {
    let billionths = cost.checked_mul(Decimal::from(1_000_000_000)).and_then(|billionths| billionths.round().to_u64());
    billionths.unwrap_or(0)
}

fn amount(billionths: u64) -> Decimal {
    Decimal::from(billionths) / Decimal::from(1_000_000_000)
}

/// Seconds, with one digit after the point.
fn tenths(length: Duration) -> f64 {
    (length.as_secs_f64() * 10.0).round() / 10.0
}

fn named(newest: &NewLabel, label: u16, about: Option<&About>) -> NewLabel {
    let name = about.and_then(|about| about.labels.get(usize::from(label))).cloned();
    NewLabel { label: name.unwrap_or_default(), ..newest.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(id: &str) -> (NewLabel, u16) {
        (NewLabel { id: id.into(), text: id.into(), label: String::new(), confidence: 0.5 }, 1)
    }

    #[test]
    fn the_newest_labels_are_few_and_have_their_names() {
        let progress = Progress::default();
        progress.describe(About { labels: vec!["a".into(), "b".into()], ..About::default() });
        progress.labelled(["1", "2"].map(label));
        progress.labelled(["3", "4"].map(label));
        let newest = progress.snapshot().newest;
        assert_eq!(newest.iter().map(|new| new.id.as_str()).collect::<Vec<_>>(), ["4", "3", "2"]);
        assert!(newest.iter().all(|new| new.label == "b"));
    }

    #[test]
    fn the_longest_pause_is_shown_until_it_is_over() {
        let progress = Progress::default();
        assert_eq!(progress.snapshot().pause, None);
        progress.pause(Duration::ZERO, || "over".into());
        assert_eq!(progress.snapshot().pause, None);
        progress.pause(Duration::from_secs(600), || "long".into());
        progress.pause(Duration::from_secs(60), || "short".into());
        let pause = progress.snapshot().pause.unwrap();
        assert!(pause.why == "long" && pause.seconds > 60.0, "{pause:?}");
    }

    #[test]
    fn what_is_on_its_way_is_not_done_and_what_was_before_is() {
        let progress = Progress::default();
        progress.begin(100, 0, 0);
        assert_eq!(progress.snapshot().done, 100);
        // A hundred known rows, ten new ones of which four are answered, and one that cannot be used.
        progress.rows.add(111);
        progress.new_rows.add(10);
        progress.answered.add(4);
        progress.bad_rows.add(1);
        assert_eq!(progress.snapshot().done, 105);
        let flying = progress.fly();
        assert_eq!(progress.snapshot().in_flight, 1);
        drop(flying);
        assert_eq!(progress.snapshot().in_flight, 0);
    }
}
