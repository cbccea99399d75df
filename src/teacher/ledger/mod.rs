//! The ledger: what requests cost, and the cap they never pass; and when they were sent, for the limits per minute.
//!
//! The worst case of a request is reserved before it is sent. A reply turns the reservation into its true cost; a
//! request whose outcome stays unknown counts as spent in full. Both are on file (`requests.jsonl`), the reservation before
//! the request leaves, so that a kill cannot make the ledger forget: what was on its way then counts at its worst.
//!
//! At every moment `recorded + unknown + reserved` is at most the cap, unless a provider charges more for a request
//! than its worst case. A run directory has one ledger at a time, since a run holds its lock; runs in several
//! directories each keep a cap of their own. Amounts are decimals: sums of binary fractions would drift, and a cap is a
//! promise about money.

mod book;
mod entry;
mod purse;
mod scribe;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rust_decimal::Decimal;
use serde::Deserialize;
use tokio::sync::{Notify, oneshot};

use self::book::Book;
pub(crate) use self::purse::{Purse, Wanted};
use self::scribe::{Note, Scribe};
use crate::config::Price;
use crate::domain::answer::Usage;
use crate::domain::progress::Progress;
use crate::error::{Error, Result};

const FILE: &str = "requests.jsonl";
/// The file of earlier versions, which is also how a person can say what was spent.
const OLD_FILE: &str = "spend.json";

/// The old file: all that is spent, at most.
#[derive(Debug, Default, Deserialize)]
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

/// Where requests are written down.
#[derive(Debug, Default)]
enum Desk {
    /// Nowhere: there is no run directory.
    #[default]
    None,
    /// In this folder, once there is something to write.
    Closed { dir: PathBuf, book: Box<Book> },
    /// Somebody writes.
    Open(Scribe),
    /// The run is over.
    Over,
}

/// Requests of the last minute, by where they went: how long ago, and their tokens.
type LastMinute = HashMap<String, Vec<(Duration, u32)>>;

/// See the module.
#[derive(Debug)]
pub struct Ledger {
    sums: Mutex<Sums>,
    /// No sum passes it; none without one. It moves where there is a purse alone.
    cap: Mutex<Option<Decimal>>,
    /// Where more may be had, of a budget that others spend too.
    purse: Option<Arc<dyn Purse>>,
    /// What answers taught of worst cases.
    lessons: Mutex<Lessons>,
    desk: Mutex<Desk>,
    /// Whether there is a file: then everything is written down, so that its sums stay whole.
    kept: AtomicBool,
    /// Of earlier processes.
    last_minute: Mutex<LastMinute>,
    /// Held by who asks the purse.
    fetching: tokio::sync::Mutex<()>,
    /// Told when a reservation ends: who waits for money looks again.
    freed: Notify,
    /// Where teachers count what is shown of them: the ledger is what all of a run have in common.
    progress: Arc<Progress>,
}

/// What came of looking for room under the cap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    Taken,
    /// Others' reservations may come back smaller, or tell what a request costs.
    Later,
    /// There is none, and there will be none.
    None,
}

/// Requests that are on their way under a cap before the first of them told what one costs.
const FIRST: usize = 4;

/// What the answers so far taught of worst cases.
#[derive(Debug)]
struct Lessons {
    /// Whether any request has ended otherwise than for nothing.
    answered: bool,
    /// Reservations that have not ended.
    open: usize,
    /// How many times its worst case a request cost, at most; 1 where servers keep to what they are asked for.
    excess: Decimal,
}

impl Default for Lessons {
    fn default() -> Self {
        Self { answered: false, open: 0, excess: Decimal::ONE }
    }
}

/// Why nothing can be reserved, or put on file, any more: in words for a person, with what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// An empty ledger that keeps to `cap`.
    #[must_use]
    pub fn new(cap: Option<Decimal>) -> Arc<Self> {
        Self::shown_by(cap, Arc::default())
    }

    /// An empty ledger that keeps to `cap`, of a run that is shown by `progress`.
    #[must_use]
    pub(crate) fn shown_by(cap: Option<Decimal>, progress: Arc<Progress>) -> Arc<Self> {
        Arc::new(Self::with(cap, None, progress))
    }

    /// An empty ledger that spends what it gets from `purse`, and nothing before.
    #[cfg(feature = "shared")]
    #[must_use]
    pub(crate) fn from_purse(purse: Arc<dyn Purse>) -> Arc<Self> {
        Arc::new(Self::with(Some(Decimal::ZERO), Some(purse), Arc::default()))
    }

    fn with(cap: Option<Decimal>, purse: Option<Arc<dyn Purse>>, progress: Arc<Progress>) -> Self {
        Self {
            progress,
            sums: Mutex::default(),
            cap: Mutex::new(cap),
            purse,
            lessons: Mutex::default(),
            desk: Mutex::default(),
            kept: AtomicBool::new(false),
            last_minute: Mutex::default(),
            fetching: tokio::sync::Mutex::default(),
            freed: Notify::new(),
        }
    }

    /// The counters of the run.
    pub(crate) fn progress(&self) -> &Progress {
        &self.progress
    }

    /// Whether there is a cap, so that what a request costs at most must be known.
    pub(crate) fn has_cap(&self) -> bool {
        self.cap().is_some()
    }

    fn cap(&self) -> Option<Decimal> {
        *lock(&self.cap)
    }

    /// Gives back to the purse what is neither spent nor set aside.
    #[cfg(feature = "shared")]
    pub(crate) async fn give_back_spare(&self) -> Result<()> {
        let Some(purse) = &self.purse else { return Ok(()) };
        // As who fetches some: what is held is told by one at a time.
        let _turn = self.fetching.lock().await;
        let held = {
            let sums = lock(&self.sums);
            let mut cap = lock(&self.cap);
            let before = *cap;
            *cap = before.map(|cap| cap.min(sums.total()));
            if *cap == before {
                return Ok(());
            }
            cap.unwrap_or_default()
        };
        purse.keep_only(held).await
    }

    /// All who spend on the run have spent so much: what is not of stored answers counts as of unknown outcome.
    #[cfg(feature = "shared")]
    pub(crate) fn spent_in_all(&self, spent: Decimal) {
        let mut sums = lock(&self.sums);
        sums.unknown = (spent - sums.recorded).max(Decimal::ZERO);
    }

    /// Counts the cost of an answer that others paid for: the file has nothing of it, for stored answers say so themselves.
    #[cfg(feature = "shared")]
    pub(crate) fn count(&self, cost: Decimal) {
        let mut sums = lock(&self.sums);
        sums.recorded = sums.recorded.saturating_add(cost);
    }

    /// Takes up what the run directory `dir`, whose stored answers cost `recorded`, has spent. Writes nothing: that begins
    /// with the first request.
    ///
    /// What the file says beyond `recorded` is `unknown` from here on: requests that a kill cut off, at their worst. To
    /// be called before anything is reserved.
    ///
    /// # Errors
    ///
    /// [`Error::Spend`] where the file is there and its balance cannot be read: going on would forget what was spent.
    /// [`Error::RunFile`] where it cannot be read at all.
    pub fn take_up(&self, dir: &Path, recorded: Decimal) -> Result<()> {
        let at_most = read_old(dir)?;
        let mut book = read_book(dir, recorded, at_most)?;
        // Before the balance is drawn, which closes the requests that are open.
        let minute = book.last_minute(scribe::now_ms()).into_iter();
        *lock(&self.last_minute) = minute
            .map(|(to, sent)| {
                (to, sent.into_iter().map(|(age, tokens)| (Duration::from_millis(age), tokens)).collect())
            })
            .collect();
        book.draw(recorded, at_most.unwrap_or_default());
        let unknown = book.total(recorded) - recorded;
        *lock(&self.sums) = Sums { recorded, unknown, reserved: Decimal::ZERO };
        *lock(&self.desk) = Desk::Closed { dir: dir.to_owned(), book: Box::new(book) };
        self.kept.store(at_most.is_some() || dir.join(FILE).exists(), Ordering::Relaxed);
        Ok(())
    }

    /// What the run directory `dir`, whose stored answers cost `recorded`, has spent. Changes nothing.
    ///
    /// # Errors
    ///
    /// Those of [`Ledger::take_up`].
    pub fn look(dir: &Path, recorded: Decimal) -> Result<Sums> {
        let ledger = Self::new(None);
        ledger.take_up(dir, recorded)?;
        Ok(ledger.sums())
    }

    /// The sums at this moment.
    #[must_use]
    pub fn sums(&self) -> Sums {
        *lock(&self.sums)
    }

    /// Requests to `to` in the last minute before this process began, once: how long ago each was sent, and its tokens.
    pub(crate) fn take_last_minute(&self, to: &str) -> Vec<(Duration, u32)> {
        lock(&self.last_minute).remove(to).unwrap_or_default()
    }

    /// Reserves `worst`; waits while others' reservations may still come back smaller. Where an answer cost more than was
    /// reserved for it (a server that heeds no bound, or adds to the prompt), as many times more is reserved from then on:
    /// only what is on its way at that moment can pass the cap,
    /// and before the first answer that is little ([`FIRST`]).
    ///
    /// # Errors
    ///
    /// [`Refused`] where the cap leaves no room, and would leave none if all that is reserved came back unused.
    pub async fn reserve(self: &Arc<Self>, worst: Decimal) -> Result<Reservation, Refused> {
        loop {
            // Before the look, so that what is freed between look and wait wakes it.
            let freed = self.freed.notified();
            let amount = worst.saturating_mul(lock(&self.lessons).excess);
            match (self.try_reserve(amount), &self.purse) {
                (Room::Taken, _) => {
                    return Ok(Reservation { ledger: Some(Arc::clone(self)), worst, amount, number: None });
                }
                (Room::None, Some(purse)) => self.take_from(purse.as_ref(), amount).await?,
                (Room::Later, _) => freed.await,
                (Room::None, None) => return Err(self.refusal(amount)),
            }
        }
    }

    /// Gets more money, by one at a time: who waited meanwhile mostly finds enough then.
    async fn take_from(&self, purse: &dyn Purse, amount: Decimal) -> Result<(), Refused> {
        let _turn = self.fetching.lock().await;
        let sums = self.sums();
        let held = self.cap().unwrap_or_default();
        let least = sums.total().saturating_add(amount) - held;
        if least <= Decimal::ZERO {
            return Ok(());
        }
        let wanted = Wanted { least, request: amount, held, may_come_back: sums.reserved > Decimal::ZERO };
        if let Some(more) = purse.more(wanted).await? {
            let mut cap = lock(&self.cap);
            *cap = cap.map(|cap| cap.saturating_add(more));
        }
        Ok(())
    }

    /// Looked at and reserved under one lock: no two can take the same room.
    fn try_reserve(&self, worst: Decimal) -> Room {
        let mut sums = lock(&self.sums);
        let mut lessons = lock(&self.lessons);
        let cap = self.cap();
        if cap.is_some() && !worst.is_zero() && !lessons.answered && lessons.open >= FIRST {
            return Room::Later;
        }
        let fits = |sum: Decimal| cap.is_none_or(|cap| sum.saturating_add(worst) <= cap);
        if fits(sums.total()) {
            sums.reserved += worst;
            lessons.open += 1;
            return Room::Taken;
        }
        let may_fit = sums.reserved > Decimal::ZERO && fits(sums.recorded.saturating_add(sums.unknown));
        // With a purse there may be more at once.
        if may_fit && self.purse.is_none() { Room::Later } else { Room::None }
    }

    /// What to tell when the cap is reached.
    fn refusal(&self, worst: Decimal) -> Refused {
        let sums = self.sums();
        let spent = (sums.recorded + sums.unknown).normalize();
        let cap = self.cap().unwrap_or_default().normalize();
        Refused(format!(
            "run.max_cost is reached: {spent} of {cap} is spent, and the next request may cost {}. Raise max_cost to go on",
            worst.round_dp(6).normalize()
        ))
    }

    /// Learns from what a request cost whose worst case was `worst`.
    fn learn(&self, worst: Decimal, cost: Option<Decimal>) {
        let times = cost.filter(|_| self.has_cap()).and_then(|cost| cost.checked_div(worst));
        let mut lessons = lock(&self.lessons);
        lessons.open = lessons.open.saturating_sub(1);
        // One of unknown outcome teaches nothing, and is no reason to go on slowly for ever.
        lessons.answered |= cost != Some(Decimal::ZERO);
        if let Some(times) = times.filter(|times| *times > lessons.excess) {
            if lessons.excess == Decimal::ONE {
                tracing::warn!(
                    "an answer cost {} times what it was to cost at most: the server heeds no max_tokens, adds to the \
                     prompt, or the prices are not right. From now on as much is set aside for each request",
                    times.round_dp(1)
                );
            }
            lessons.excess = times;
        }
    }

    /// Hands a note to the scribe, who begins with the first: a run that asks nobody leaves no file, and what is there
    /// as it was. Whether it is to be written at all. Returns before it is written.
    fn write(&self, note: Note) -> Result<bool> {
        let mut desk = lock(&self.desk);
        if let Desk::Closed { dir, book } = &*desk {
            *desk = Desk::Open(Scribe::start(dir.join(FILE), book.as_ref().clone(), dir.join(OLD_FILE))?);
        }
        match &*desk {
            Desk::Open(scribe) if scribe.hand(note) => Ok(true),
            Desk::Open(_) | Desk::Over => Err(Error::gone("ledger")),
            Desk::None | Desk::Closed { .. } => Ok(false),
        }
    }

    /// Counts the cost of an answer that came in another way than by a reservation. Not on a tokio worker.
    ///
    /// It is on file, durably, when this returns: to be called before the answers are stored, so that a kill in between
    /// counts them once too often and never not at all. The cap is not asked: the money is spent.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be written.
    pub fn add(&self, cost: Decimal) -> Result<()> {
        if cost > Decimal::ZERO {
            let mut sums = lock(&self.sums);
            sums.recorded = sums.recorded.saturating_add(cost);
            drop(sums);
            let (told, written) = std::sync::mpsc::channel();
            let tell = move |outcome| drop(told.send(outcome));
            if self.write(Note::Spend { cost, written: Box::new(tell) })? && !matches!(written.recv(), Ok(Ok(_))) {
                // The scribe says at its end why it stopped.
                return self.close().and(Err(Error::gone("ledger")));
            }
        }
        Ok(())
    }

    /// Waits until all is written, at the end of a run; nothing is written after. Not on a tokio worker.
    ///
    /// # Errors
    ///
    /// What kept the scribe from writing, if anything did.
    pub fn close(&self) -> Result<()> {
        match std::mem::replace(&mut *lock(&self.desk), Desk::Over) {
            Desk::Open(scribe) => scribe.finish(),
            Desk::None | Desk::Closed { .. } | Desk::Over => Ok(()),
        }
    }
}

/// What an earlier version, or a person, says is spent at most. A file that cannot be read is an error: a person who
/// wrote it meant it.
fn read_old(dir: &Path) -> Result<Option<Decimal>> {
    let path = dir.join(OLD_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => serde_json::from_slice::<Spend>(&bytes)
            .map(|spend| Some(spend.at_most))
            .map_err(|error| Error::Spend { path, message: error.to_string() }),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::run_file("read", &path)(source)),
    }
}

/// What the file of `dir` says; says what is damaged.
fn read_book(dir: &Path, recorded: Decimal, at_most: Option<Decimal>) -> Result<Book> {
    let path = dir.join(FILE);
    let file = match std::fs::read(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Book::new(recorded)),
        Err(source) => return Err(Error::run_file("read", &path)(source)),
    };
    let book = match Book::read(&file) {
        Ok(book) => book,
        // Somebody says what was spent: that takes the place of the balance.
        Err(_) if at_most.is_some() => Book::new(recorded),
        Err(_) => {
            return Err(Error::Spend { path, message: "its first two lines, the balance, cannot be read".to_owned() });
        }
    };
    if let Some(lines) = book.damage() {
        tracing::warn!(
            "{}: line(s) {lines} are damaged; each counts as the dearest request of this run. There is nothing to mend; if \
             the provider's bill says that less was spent, raise run.max_cost by the difference",
            path.display()
        );
    }
    Ok(book)
}

/// Money set aside for one request. Dropped unsettled, its outcome is unknown and it counts as spent.
#[derive(Debug)]
#[must_use]
pub struct Reservation {
    /// Until the request has ended.
    ledger: Option<Arc<Ledger>>,
    /// What it should cost at most.
    worst: Decimal,
    /// What is set aside for it.
    amount: Decimal,
    /// Its number on file, if it is there.
    number: Option<u64>,
}

impl Reservation {
    /// How much was set aside.
    #[must_use]
    pub fn amount(&self) -> Decimal {
        self.amount
    }

    /// Returns once the request is on file, as sent now. `to` is where it counts for limits per minute, with `tokens` at
    /// most. Without limit and price there is nothing to write, unless there is a file already.
    ///
    /// Where money is at stake the line is durable when this returns; else it has reached the kernel, which outlives a
    /// kill of the process.
    pub(crate) async fn put_on_file(&mut self, to: Option<&str>, tokens: u32) -> Result<(), Refused> {
        let Some(ledger) = &self.ledger else { return Ok(()) };
        if to.is_none() && self.amount == Decimal::ZERO && !ledger.kept.load(Ordering::Relaxed) {
            return Ok(());
        }
        // From the first line on all are written: a file that has some of the requests would say too little.
        ledger.kept.store(true, Ordering::Relaxed);
        let (told, written) = oneshot::channel();
        // Who no longer waits has dropped the reservation; then the line stands for a request of unknown outcome.
        let tell = Box::new(move |outcome| drop(told.send(outcome)));
        let note = Note::Send { to: to.map(str::to_owned), tokens, worst: self.amount, written: tell };
        match ledger.write(note) {
            Ok(false) => return Ok(()),
            Ok(true) => {}
            Err(error) => return Err(Refused(error.to_string())),
        }
        match written.await {
            Ok(Ok(number)) => self.number = Some(number),
            Ok(Err(message)) => return Err(Refused(message)),
            Err(_) => return Err(Refused(format!("{FILE} cannot be written any more"))),
        }
        Ok(())
    }

    /// The request cost so much, and took so many tokens if that is known. The line about that may be lost in a kill:
    /// the request then counts at its worst.
    pub fn settle(mut self, cost: Decimal, tokens: Option<u32>) {
        self.end(Some(cost), tokens);
    }

    /// Nothing was sent, or what was sent is not charged.
    pub fn release(mut self) {
        self.end(Some(Decimal::ZERO), None);
    }

    /// Ends it, once: at `cost`, or at its worst where that is not known. Memory first, then the file, then those who
    /// wait for room.
    fn end(&mut self, cost: Option<Decimal>, tokens: Option<u32>) {
        let Some(ledger) = self.ledger.take() else { return };
        ledger.learn(self.worst, cost);
        {
            let mut sums = lock(&ledger.sums);
            sums.reserved -= self.amount;
            match cost {
                Some(cost) => sums.recorded = sums.recorded.saturating_add(cost),
                None => sums.unknown = sums.unknown.saturating_add(self.amount),
            }
        }
        if let Some(number) = self.number {
            // A line that is missing counts at its worst: an error here can hide nothing.
            let _ = ledger.write(Note::End { number, cost, tokens });
        }
        ledger.freed.notify_waiters();
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.end(None, None);
    }
}

impl Price {
    /// The cost of `usage`.
    /// In the currency of the prices, which are for a million tokens. Cached tokens are part of the prompt's, never
    /// more: a provider that says otherwise must not make the rest negative.
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
mod tests;
