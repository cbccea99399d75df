//! What `requests.jsonl` says: what was spent at most, and which requests count for the limits per minute.
//!
//! The file is a balance and what happened since. Everything spent after the balance is either the cost of a request that
//! ended or the worst case of one that did not, so their sum is never too little, whichever answers reached the store.
//!
//! No I/O and no clock: the scribe keeps one as it writes, and reading a file replays it, so both come to the same.

use std::collections::{HashMap, VecDeque};

use rust_decimal::Decimal;

use super::entry::Entry;

/// Requests older than this count for no limit: a minute, and a second for those that are on their way.
pub(crate) const WINDOW_MS: u64 = 61_000;
/// The lines with the balance.
const BALANCES: usize = 2;
/// Line numbers that are told.
const TOLD: usize = 5;

/// A request that counts for limits per minute.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Recent {
    /// In the file; they only grow, so the list is sorted by it.
    number: u64,
    /// Milliseconds since 1970, by the wall clock of the process that sent it.
    at: u64,
    /// Where it went, as a name of a limit: see [`Entry::Send`].
    to: String,
    /// At most, until its end says how many it took.
    tokens: u32,
}

/// See the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Book {
    /// What the answers in the store cost when the balance was drawn.
    recorded: Decimal,
    /// What was spent then, at most.
    spent: Decimal,
    /// The most that any request may have cost.
    worst: Decimal,
    /// Costs of what ended since.
    ended: Decimal,
    /// Worst cases of what ended since at an unknown cost.
    unknown: Decimal,
    /// Worst cases of requests that have not ended.
    open: HashMap<u64, Decimal>,
    /// In the order of the file. Some may be older than the window by now: `last_minute` leaves those out.
    recent: VecDeque<Recent>,
    /// One more than the highest number so far.
    next: u64,
    /// Lines that cannot be read, by number.
    damaged: Vec<u64>,
}

/// The balance of a file is lost.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoBalance;

impl Book {
    /// A book of answers that cost `recorded`, of which nothing else is known.
    pub(super) fn new(recorded: Decimal) -> Self {
        Self { recorded, spent: recorded, ..Self::default() }
    }

    /// Reads a file. What follows the last line feed was never finished, so nothing was sent or told on the strength of it.
    pub(super) fn read(file: &[u8]) -> Result<Self, NoBalance> {
        let mut book = Self::default();
        let mut balances = 0;
        let whole = file.iter().rposition(|&byte| byte == b'\n').and_then(|end| file.get(..end)).unwrap_or_default();
        for (number, line) in (1..).zip(whole.split(|&byte| byte == b'\n')) {
            let at_head = number as usize <= BALANCES;
            match Entry::open(line) {
                Some(Entry::Balance { recorded, spent, worst }) if at_head => {
                    (book.recorded, book.spent, book.worst) = (recorded, spent, worst);
                    balances += 1;
                }
                // One balance is enough, and costs nothing when the other is damaged.
                None if at_head => {}
                Some(entry) => book.note(&entry),
                None => book.damaged.push(number),
            }
        }
        if balances == 0 { Err(NoBalance) } else { Ok(book) }
    }

    /// Takes in what happened.
    pub(super) fn note(&mut self, entry: &Entry) {
        match entry {
            Entry::Balance { .. } => {}
            Entry::Send { number, at, to, tokens, worst } => {
                self.next = self.next.max(number + 1);
                self.worst = self.worst.max(*worst);
                self.open.insert(*number, *worst);
                if let Some(to) = to {
                    self.recent.push_back(Recent { number: *number, at: *at, to: to.clone(), tokens: *tokens });
                    self.forget_before(at.saturating_sub(WINDOW_MS));
                }
            }
            Entry::End { number, cost, tokens } => {
                let worst = self.open.remove(number).unwrap_or_default();
                match cost {
                    Some(cost) => self.spend(*cost),
                    None => self.unknown = self.unknown.saturating_add(worst),
                }
                let place = self.recent.binary_search_by_key(number, |recent| recent.number);
                if let (Some(tokens), Some(recent)) = (tokens, place.ok().and_then(|at| self.recent.get_mut(at))) {
                    recent.tokens = *tokens;
                }
            }
            Entry::Spend { cost } => self.spend(*cost),
        }
    }

    /// An answer may have cost more than its worst case, so it, too, says what a line that cannot be read may have
    /// been.
    fn spend(&mut self, cost: Decimal) {
        self.ended = self.ended.saturating_add(cost);
        self.worst = self.worst.max(cost);
    }

    /// Forgets what counts for no limit any more. A wall clock may jump: only those at the front that are older go.
    fn forget_before(&mut self, at: u64) {
        while self.recent.front().is_some_and(|recent| recent.at < at) {
            self.recent.pop_front();
        }
    }

    /// What was spent at most, if the answers in the store cost `recorded` now.
    ///
    /// `spent + max(since, recorded - recorded then)`: what the file knows of the time since the balance, or what the
    /// store has more by now, whichever is larger. Not their sum: a request on file and its stored answer are the same
    /// money.
    pub(super) fn total(&self, recorded: Decimal) -> Decimal {
        let open: Decimal = self.open.values().fold(Decimal::ZERO, |sum, worst| sum.saturating_add(*worst));
        // A line that cannot be read may have been any: it counts as the worst.
        let damaged = self.worst.saturating_mul(Decimal::from(self.damaged.len()));
        let since = self.ended.saturating_add(self.unknown).saturating_add(open).saturating_add(damaged);
        // Answers that were stored without being noted here: by a run that kept no book.
        let stored = (recorded - self.recorded).max(Decimal::ZERO);
        self.spent.saturating_add(since.max(stored)).max(recorded)
    }

    /// Draws the balance, with at least `at_least` spent: the process whose requests are open is gone, so nobody will
    /// end them, and they count at their worst from here on. Which requests belong to the last minute stays known.
    pub(super) fn draw(&mut self, recorded: Decimal, at_least: Decimal) {
        self.spent = self.total(recorded).max(at_least);
        self.recorded = recorded;
        (self.ended, self.unknown) = (Decimal::ZERO, Decimal::ZERO);
        self.open.clear();
        self.damaged.clear();
    }

    /// What the file is without what is over and done with. The requests that are open stay so. Reading it gives the
    /// same totals, and the same last minute.
    pub(super) fn compact(&mut self) -> String {
        self.spent = self.spent.saturating_add(self.ended).saturating_add(self.unknown);
        self.recorded = self.recorded.saturating_add(self.ended);
        (self.ended, self.unknown) = (Decimal::ZERO, Decimal::ZERO);
        let balance = Entry::Balance { recorded: self.recorded, spent: self.spent, worst: self.worst }.seal();
        let mut lines = balance.repeat(BALANCES);
        // Requests of the last minute that have ended stand there with a worst case of nothing: they are paid for in
        // the balance, and never end again.
        let mut unlisted = self.open.clone();
        for Recent { number, at, to, tokens } in &self.recent {
            let worst = unlisted.remove(number).unwrap_or_default();
            let send = Entry::Send { number: *number, at: *at, to: Some(to.clone()), tokens: *tokens, worst };
            lines.push_str(&send.seal());
        }
        for (number, worst) in unlisted {
            lines.push_str(&Entry::Send { number, at: 0, to: None, tokens: 0, worst }.seal());
        }
        lines
    }

    /// The number of the next request.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Lines that [`Self::compact`] would write, at most: an open request of the last minute is counted twice.
    pub(super) fn live_lines(&self) -> usize {
        BALANCES + self.recent.len() + self.open.len()
    }

    /// Which lines cannot be read, in words; nothing if all can. By their numbers, from 1.
    pub(super) fn damage(&self) -> Option<String> {
        let (first, rest) = self.damaged.split_at_checked(TOLD).unwrap_or((&self.damaged, &[]));
        let told: Vec<String> = first.iter().map(u64::to_string).collect();
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        (!told.is_empty()).then(|| format!("{}{more}", told.join(", ")))
    }

    /// The requests of the last minute by where they went: how many milliseconds before `now` each was sent, and its
    /// tokens. What lies in the future counts as sent now.
    pub(super) fn last_minute(&self, now: u64) -> HashMap<String, Vec<(u64, u32)>> {
        let mut minute: HashMap<String, Vec<(u64, u32)>> = HashMap::new();
        for recent in &self.recent {
            let age = now.saturating_sub(recent.at);
            if age < WINDOW_MS {
                minute.entry(recent.to.clone()).or_default().push((age, recent.tokens));
            }
        }
        minute
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn send(number: u64, at: u64, worst: &str) -> Entry {
        Entry::Send { number, at, to: Some("a".into()), tokens: 9, worst: dollars(worst) }
    }

    fn end(number: u64, cost: Option<&str>) -> Entry {
        Entry::End { number, cost: cost.map(dollars), tokens: Some(5) }
    }

    /// A file with a balance of 1, of which the store has 0.75, and these lines.
    fn file(entries: &[Entry]) -> String {
        let mut book = Book { recorded: dollars("0.75"), spent: dollars("1"), ..Book::default() };
        book.compact() + &entries.iter().map(Entry::seal).collect::<String>()
    }

    fn total(file: &str, recorded: &str) -> Decimal {
        Book::read(file.as_bytes()).unwrap().total(dollars(recorded))
    }

    #[test]
    fn every_request_counts_once_whether_its_answer_was_stored_or_not() {
        let file = file(&[send(0, 1, "0.5"), send(1, 1, "0.5"), send(2, 1, "0.5"), end(0, Some("0.1")), end(1, None)]);
        // 1 before, 0.1 for the first, the worst for the others; the store may have the first, and even the third.
        for recorded in ["0.75", "0.85", "0.9"] {
            assert_eq!(total(&file, recorded), dollars("2.1"), "{recorded}");
        }
        // What a run without prices stored is known to the store alone.
        assert_eq!(total(&file, "5"), dollars("5.25"));
        // Answers that are lost were paid all the same.
        assert_eq!(total(&file, "0"), dollars("2.1"));
    }

    #[test]
    fn a_torn_line_is_no_line_and_a_damaged_one_counts_as_the_worst() {
        let whole = file(&[send(0, 1, "0.5"), end(0, Some("0.1")), send(1, 1, "0.25")]);
        assert_eq!(total(&whole[..whole.len() - 3], "0.85"), dollars("1.1"));
        let damaged = whole.replacen("\"cost\":\"0.1\"", "\"cost\":\"0.0\"", 1);
        let book = Book::read(damaged.as_bytes()).unwrap();
        assert_eq!(book.damage().as_deref(), Some("4"));
        assert_eq!(book.total(dollars("0.85")), dollars("1") + dollars("0.5") + dollars("0.25") + dollars("0.5"));
        // One balance makes up for the other; without any, nothing can be said.
        let one = whole.replacen("\"spent\":\"1\"", "\"spent\":\"0\"", 1);
        assert_eq!(total(&one, "0.85"), total(&whole, "0.85"));
        assert_eq!(Book::read(one.replacen("\"spent\":\"1\"", "\"spent\":\"0\"", 1).as_bytes()), Err(NoBalance));
        assert_eq!(Book::read(b""), Err(NoBalance));
    }

    #[test]
    fn compacting_changes_nothing_that_counts() {
        let entries = [send(0, 1_000, "0.5"), send(1, 2_000, "0.5"), end(0, Some("0.1")), send(2, 70_000, "0.125")];
        let mut book = Book::read(file(&entries).as_bytes()).unwrap();
        let total = book.total(dollars("0.85"));
        let mut again = Book::read(book.compact().as_bytes()).unwrap();
        assert_eq!(again.total(dollars("0.85")), total);
        assert_eq!((again.next(), again.last_minute(71_000)), (3, HashMap::from([("a".into(), vec![(1_000, 9)])])));
        again.draw(dollars("0.85"), dollars("0"));
        assert_eq!(Book::read(again.compact().as_bytes()).unwrap().total(dollars("0.85")), total);
    }

    #[test]
    fn a_clock_that_jumps_back_makes_the_future_now() {
        let book = Book::read(file(&[send(0, 100_000, "0"), send(1, 50_000, "0"), end(1, None)]).as_bytes()).unwrap();
        assert_eq!(book.last_minute(60_000), HashMap::from([("a".into(), vec![(0, 9), (10_000, 5)])]));
    }
}
