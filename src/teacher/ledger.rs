//! The ledger: what requests cost, and the cap they never pass.
//!
//! The worst case of a request is reserved before it is sent. A reply turns the reservation into its true cost; a
//! request whose outcome stays unknown counts as spent in full. What may have been spent is on disk before it is
//! (`spend.json`, a mark raised in steps), so that a kill cannot make the ledger forget.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::base::durable::replace_file;
use crate::config::Price;
use crate::domain::answer::Usage;
use crate::error::{Error, Result};

const FILE: &str = "spend.json";
/// The mark is raised by so many requests' worst cases at a time: a kill may make as many count as spent.
const STEP: u32 = 64;

/// The file: all that is spent, at most.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Spend {
    #[serde(with = "rust_decimal::serde::str")]
    at_most: Decimal,
}

/// Sums in the currency of the prices.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Costs of answers that are stored.
    pub recorded: Decimal,
    /// Requests whose outcome is unknown, at their worst.
    pub unknown: Decimal,
    /// Requests on their way, at their worst.
    pub reserved: Decimal,
}

impl Sums {
    /// All that is spent or may be.
    #[must_use]
    pub fn total(&self) -> Decimal {
        self.recorded.saturating_add(self.unknown).saturating_add(self.reserved)
    }
}

#[derive(Debug, Default)]
struct State {
    sums: Sums,
    /// What `spend.json` has.
    mark: Decimal,
}

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    state: Mutex<State>,
    cap: Option<Decimal>,
    /// Where the mark is kept, once the run directory is ours.
    file: OnceLock<PathBuf>,
    /// One raises the mark at a time.
    raising: tokio::sync::Mutex<()>,
    freed: Notify,
}

/// Why nothing can be reserved any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl Ledger {
    /// An empty ledger that keeps to `cap`.
    #[must_use]
    pub fn new(cap: Option<Decimal>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            cap,
            file: OnceLock::new(),
            raising: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        })
    }

    /// Takes up what the run directory `dir`, whose stored answers cost `recorded`, has spent.
    pub fn take_up(&self, dir: &Path, recorded: Decimal) -> Result<()> {
        let mark = read_mark(dir)?;
        let unknown = (mark - recorded).max(Decimal::ZERO);
        *self.lock() = State { sums: Sums { recorded, unknown, reserved: Decimal::ZERO }, mark };
        // A ledger is taken up once.
        let _ = self.file.set(dir.join(FILE));
        Ok(())
    }

    /// What the run directory `dir`, whose stored answers cost `recorded`, has spent. Changes nothing.
    pub fn look(dir: &Path, recorded: Decimal) -> Result<Sums> {
        let unknown = (read_mark(dir)? - recorded).max(Decimal::ZERO);
        Ok(Sums { recorded, unknown, reserved: Decimal::ZERO })
    }

    /// The sums at this moment.
    #[must_use]
    pub fn sums(&self) -> Sums {
        self.lock().sums
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves `worst`; waits while others' reservations may still come back smaller.
    pub async fn reserve(self: &Arc<Self>, worst: Decimal) -> Result<Reservation, Refused> {
        loop {
            let freed = self.freed.notified();
            match self.try_reserve(worst) {
                Some(true) => break,
                Some(false) => freed.await,
                None => return Err(self.refusal(worst)),
            }
        }
        let reservation = Reservation { ledger: Arc::clone(self), amount: worst };
        self.raise_mark(worst).await?;
        Ok(reservation)
    }

    /// Whether there was room; `None` if there will be none.
    fn try_reserve(&self, worst: Decimal) -> Option<bool> {
        let mut state = self.lock();
        let fits = |sum: Decimal| self.cap.is_none_or(|cap| sum.saturating_add(worst) <= cap);
        if fits(state.sums.total()) {
            state.sums.reserved += worst;
            return Some(true);
        }
        let may_fit =
            state.sums.reserved > Decimal::ZERO && fits(state.sums.recorded.saturating_add(state.sums.unknown));
        may_fit.then_some(false)
    }

    fn refusal(&self, worst: Decimal) -> Refused {
        let sums = self.sums();
        let spent = (sums.recorded + sums.unknown).normalize();
        let cap = self.cap.unwrap_or_default().normalize();
        Refused(format!(
            "run.max_cost is reached: {spent} of {cap} is spent, and the next request may cost {}. Raise max_cost to go on",
            worst.normalize()
        ))
    }

    fn mark_suffices(&self) -> bool {
        let state = self.lock();
        state.mark >= state.sums.total()
    }

    /// Makes sure that the mark on disk is at least what may be spent by now.
    async fn raise_mark(&self, step: Decimal) -> Result<(), Refused> {
        let Some(file) = self.file.get() else { return Ok(()) };
        if self.mark_suffices() {
            return Ok(());
        }
        let _turn = self.raising.lock().await;
        let mark = {
            let state = self.lock();
            if state.mark >= state.sums.total() {
                return Ok(());
            }
            state.sums.total().saturating_add(step * Decimal::from(STEP))
        };
        let path = file.clone();
        let written = tokio::task::spawn_blocking(move || write_mark(&path, mark)).await;
        match written {
            Ok(Ok(())) => {
                self.lock().mark = mark;
                Ok(())
            }
            Ok(Err(error)) => Err(Refused(error.to_string())),
            Err(error) => Err(Refused(error.to_string())),
        }
    }

    /// Counts the cost of an answer that came in another way than by a reservation. Not on a tokio worker.
    pub fn add(&self, cost: Decimal) -> Result<()> {
        let mark = {
            let mut state = self.lock();
            state.sums.recorded = state.sums.recorded.saturating_add(cost);
            state.mark = state.mark.saturating_add(cost);
            state.mark
        };
        self.file.get().map_or(Ok(()), |file| write_mark(file, mark))
    }

    /// Sets the mark to what is spent in truth, at the end of a run. Not on a tokio worker.
    pub fn close(&self) -> Result<()> {
        let (mark, total) = {
            let state = self.lock();
            (state.mark, state.sums.total())
        };
        match self.file.get() {
            Some(file) if mark != total => write_mark(file, total),
            _ => Ok(()),
        }
    }
}

/// What `dir` says is spent at most.
fn read_mark(dir: &Path) -> Result<Decimal> {
    let path = dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<Spend>(&bytes)
            .map(|spend| spend.at_most)
            .map_err(|error| Error::Spend { path, message: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Decimal::ZERO),
        Err(source) => Err(Error::run_file("read", &path)(source)),
    }
}

fn write_mark(path: &Path, mark: Decimal) -> Result<()> {
    // A decimal in a string: serialising it cannot fail.
    let bytes = serde_json::to_vec(&Spend { at_most: mark.normalize() }).unwrap_or_default();
    replace_file(path, &bytes)
}

/// Money set aside for one request. Dropped unsettled, its outcome is unknown and it counts as spent.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    ledger: Arc<Ledger>,
    amount: Decimal,
}

impl Reservation {
    /// How much was set aside.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// The request cost so much.
    pub fn settle(mut self, cost: Decimal) {
        self.end(cost, Decimal::ZERO);
    }

    /// Nothing was sent, or what was sent is not charged.
    pub fn release(mut self) {
        self.end(Decimal::ZERO, Decimal::ZERO);
    }

    fn end(&mut self, recorded: Decimal, unknown: Decimal) {
        let amount = std::mem::take(&mut self.amount);
        {
            let mut state = self.ledger.lock();
            state.sums.reserved -= amount;
            state.sums.recorded = state.sums.recorded.saturating_add(recorded);
            state.sums.unknown = state.sums.unknown.saturating_add(unknown);
        }
        self.ledger.freed.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if self.amount > Decimal::ZERO {
            let amount = self.amount;
            self.end(Decimal::ZERO, amount);
        }
    }
}

impl Price {
    /// The cost of `usage`.
    #[must_use]
    pub fn of(&self, usage: &Usage) -> Decimal {
        let cached = usage.cached_tokens.min(usage.prompt_tokens);
        let fresh = usage.prompt_tokens - cached;
        let per_million = self.input * Decimal::from(fresh)
            + self.cached_input * Decimal::from(cached)
            + self.output * Decimal::from(usage.completion_tokens);
        per_million / Decimal::from(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::Rng;

    fn dollars(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn open(dir: &Path, cap: &str, recorded: &str) -> Arc<Ledger> {
        let ledger = Ledger::new(Some(dollars(cap)));
        ledger.take_up(dir, dollars(recorded)).unwrap();
        ledger
    }

    #[test]
    fn a_cost_by_hand() {
        let price = Price {
            input: dollars("0.15"),
            cached_input: dollars("0.075"),
            output: dollars("0.6"),
            batch_share: Decimal::ONE,
        };
        let usage = Usage { prompt_tokens: 1_000, completion_tokens: 20, cached_tokens: 400 };
        // 600 * 0.15 + 400 * 0.075 + 20 * 0.6 = 90 + 30 + 12 per million.
        assert_eq!(price.of(&usage), dollars("0.000132"));
    }

    #[tokio::test]
    async fn the_cap_holds_with_answers_of_any_cost_and_nothing_is_left_over() {
        for seed in 0..100 {
            let ledger = Ledger::new(Some(dollars("1.00")));
            let mut rng = crate::base::random::rng(seed, "costs", &[]);
            let costs: Vec<i64> = (0..400).map(|_| rng.random_range(0..=100)).collect();
            let asked = costs.iter().map(|&cost| {
                let ledger = Arc::clone(&ledger);
                async move {
                    let Ok(reservation) = ledger.reserve(dollars("0.0100")).await else { return Decimal::ZERO };
                    tokio::task::yield_now().await;
                    assert!(ledger.sums().total() <= dollars("1.00"));
                    let cost = Decimal::new(cost, 4);
                    reservation.settle(cost);
                    cost
                }
            });
            let spent: Decimal = futures::future::join_all(asked).await.into_iter().sum();
            assert!(spent <= dollars("1.00") && spent > dollars("0.98"), "{spent}");
            assert_eq!(ledger.sums(), Sums { recorded: spent, ..Sums::default() });
        }
    }

    #[tokio::test]
    async fn a_request_of_unknown_outcome_counts_as_spent_also_after_a_kill() {
        let dir = tempfile::tempdir().unwrap();
        let open = |recorded: &str| open(dir.path(), "10", recorded);
        let ledger = open("0");
        drop(ledger.reserve(dollars("0.5")).await.unwrap());
        ledger.reserve(dollars("0.5")).await.unwrap().release();
        ledger.reserve(dollars("0.5")).await.unwrap().settle(dollars("0.25"));
        assert_eq!(ledger.sums().unknown, dollars("0.5"));
        ledger.close().unwrap();
        assert_eq!(open("0.25").sums(), Sums { unknown: dollars("0.5"), ..open("0.25").sums() });
        // Killed with a request on its way, which the store knows nothing of: it counts, and the step of the mark too.
        let killed = open("0.25");
        let _in_flight = killed.reserve(dollars("0.01")).await.unwrap();
        let after = open("0.25").sums();
        assert!(after.unknown >= dollars("0.51") && after.unknown <= dollars("1.16"), "{after:?}");
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_with_the_sums() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = open(dir.path(), "1.00", "0.995");
        let Refused(message) = ledger.reserve(dollars("0.01")).await.unwrap_err();
        assert!(message.contains("0.995 of 1 is spent") && message.contains("Raise max_cost"), "{message}");
    }
}
