//! Counters of a live run, shared by all stages and read by whoever shows them.
//!
//! Each is atomic by itself and none is in step with another: they are for people, and nothing decides by them.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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

/// The counters.
#[derive(Debug, Default)]
pub struct Progress {
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
    /// Requests to teachers by this process.
    pub asked: Counter,
    /// Samples that the student has taken in.
    pub consumed: Counter,
    /// Label events written, by this and earlier processes.
    pub events: Counter,
    /// Training steps of the student.
    pub steps: Counter,
    /// Pass over the memory that is under way, from 1; 0 before.
    pub pass: Counter,
    /// What answers cost so far, by this and earlier processes, in billionths.
    pub billionths: Counter,
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
        let own = [&self.rows, &self.new_rows, &self.bad_rows, &self.unanswered, &self.billionths];
        own.into_iter().for_each(|counter| counter.set(0));
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

    /// Counts what an answer cost, in the currency of the prices.
    pub(crate) fn add_cost(&self, cost: Decimal) {
        // Only shown: what does not fit is not.
        let billionths =
            cost.checked_mul(Decimal::from(1_000_000_000)).and_then(|billionths| billionths.round().to_u64());
        self.billionths.add(billionths.unwrap_or(0));
    }

    /// What answers cost so far.
    #[must_use]
    pub fn cost(&self) -> Decimal {
        Decimal::from(self.billionths.get()) / Decimal::from(1_000_000_000)
    }

    /// All counters at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Status {
        Status {
            phase: self.phase(),
            rows: self.rows.get(),
            pending: (self.new_rows.get() + self.placed_before.get()).saturating_sub(self.placed.get()),
            bad_rows: self.bad_rows.get(),
            placed: self.placed.get(),
            failed: self.failed.get(),
            asked: self.asked.get(),
            cost: self.cost(),
            consumed: self.consumed.get(),
            events: self.events.get(),
            steps: self.steps.get(),
            pass: self.pass.get(),
        }
    }
}

/// The counters at one moment, as `status.json` has them; see [`Progress`] for their meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the other fields are those of Progress")]
pub struct Status {
    pub phase: Phase,
    pub rows: u64,
    /// Samples that were read and have no position yet.
    pub pending: u64,
    pub bad_rows: u64,
    pub placed: u64,
    pub failed: u64,
    pub asked: u64,
    /// What answers cost so far.
    #[serde(with = "rust_decimal::serde::str")]
    #[schemars(with = "String")]
    pub cost: Decimal,
    pub consumed: u64,
    pub events: u64,
    pub steps: u64,
    #[serde(default)]
    pub pass: u64,
}
