//! Limits per minute: requests, and tokens of prompt and answer.
//!
//! governor spreads them evenly over the minute; its own wait is not used, because it ignores tokio's clock and lets small
//! requests starve large ones. A sliding window makes sure that no 60 seconds see more than the limit: there a request
//! counts with the most tokens it can take until the reply says how many it took. All who ask the same model with the same
//! key share window and pace, whichever run they belong to; each keeps to its own limit of what all of them send.

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep};

use crate::config::LimitsConfig;
use crate::teacher::Size;
use crate::teacher::peers::{Peers, PerMinute, Ticket};

/// tokio's clock for governor: monotonic, and a test can hold it.
#[derive(Debug, Clone)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        self.start.elapsed().into()
    }
}

/// A minute, and a second for requests that are on their way for different times.
const WINDOW: Duration = Duration::from_secs(61);

/// What was sent in the last [`WINDOW`], oldest first.
#[derive(Debug)]
struct Window {
    /// When, and how many units: 1 a request in the window of requests, its tokens in that of tokens.
    sent: VecDeque<(Instant, u32)>,
    /// The number of the oldest entry. It begins high, since older ones may be added.
    first: u64,
    /// The sum of what is in `sent`.
    units: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { sent: VecDeque::new(), first: 1 << 40, units: 0 }
    }
}

impl Window {
    /// Lets go of what is older than the window.
    fn forget(&mut self, now: Instant) {
        while let Some(&(_, old)) = self.sent.front().filter(|(at, _)| *at + WINDOW <= now) {
            self.units -= u64::from(old);
            self.sent.pop_front();
            self.first += 1;
        }
    }

    /// When `units` more may be counted: now (`Ok`), or not before the oldest entry has left; then it has to be asked
    /// again, for that entry alone may not have made room enough.
    fn fits(&mut self, units: u32, per_minute: u32) -> Result<(), Instant> {
        self.forget(Instant::now());
        match self.sent.front() {
            // What is larger than a minute's share goes alone.
            Some(&(at, _)) if self.units + u64::from(units) > u64::from(per_minute) => Err(at + WINDOW),
            _ => Ok(()),
        }
    }

    /// Counts `units` as sent now; gives the entry's number.
    fn count(&mut self, units: u32) -> u64 {
        let now = Instant::now();
        self.forget(now);
        self.sent.push_back((now, units));
        self.units += u64::from(units);
        self.first + self.sent.len() as u64 - 1
    }

    /// Corrects an entry. One that has left the window in the meantime no longer limits anything: nothing is done.
    fn correct(&mut self, entry: u64, units: u32) {
        let index = entry.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some((_, counted)) = index.and_then(|index| self.sent.get_mut(index)) {
            self.units = self.units + u64::from(units) - u64::from(*counted);
            *counted = units;
        }
    }

    /// Adds what was sent before all that is here: `at` is no later than the oldest entry. Entries keep their numbers.
    fn add_before(&mut self, at: Instant, units: u32) {
        self.sent.push_front((at, units));
        self.units += u64::from(units);
        self.first -= 1;
    }
}

/// Spreads `per_minute` units evenly: providers count shorter times than a minute too, and refuse what comes in bursts.
#[derive(Debug)]
struct Pace {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    per_minute: u32,
    /// Units that may come at once: about those of a second (a 64th of a minute's).
    burst: u32,
}

impl Pace {
    fn new(per_minute: u32) -> Self {
        let burst = (per_minute / 64).max(1);
        let burst_units = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        // A period of nothing is all that is refused, and 60 s / u32::MAX are 13 ns.
        let quota = Quota::with_period(Duration::from_secs(60) / per_minute.max(1))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst_units);
        let clock = TokioClock { start: Instant::now() };
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { limiter, clock, per_minute, burst }
    }

    /// Waits until `units` more keep the pace: piece by piece, for governor never lets more than a burst through at
    /// once. So a request that is larger than the burst pays in full, and whoever calls must let nobody in between.
    async fn keep(&self, units: u32) {
        let mut left = units;
        while let Some(piece) = NonZeroU32::new(left.min(self.burst)) {
            // A piece never exceeds the burst, so the outer result is always Ok.
            match self.limiter.check_n(piece) {
                Ok(Err(not_until)) => {
                    let wait = not_until.earliest_possible().duration_since(self.clock.now());
                    // At least a millisecond: tokio's timer is no finer.
                    sleep(Duration::from_nanos(wait.as_u64()).max(Duration::from_millis(1))).await;
                }
                Ok(Ok(())) | Err(_) => left -= piece.get(),
            }
        }
    }
}

/// Requests and tokens of the last minute.
#[derive(Debug, Default)]
struct Minute {
    requests: Window,
    tokens: Window,
}

/// What is sent to one model with one key, by all who ask it.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Never held across an await.
    minute: Mutex<Minute>,
    /// By what is spread, and units per minute.
    paces: Mutex<HashMap<(&'static str, u32), Arc<Pace>>>,
    /// First come, first served: a large request waits for its tokens before the small ones behind it.
    pub(super) queue: tokio::sync::Mutex<()>,
}

impl Sent {
    fn minute(&self) -> MutexGuard<'_, Minute> {
        self.minute.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self, what: &'static str, per_minute: u32) -> Arc<Pace> {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(paces.entry((what, per_minute)).or_insert_with(|| Arc::new(Pace::new(per_minute))))
    }
}

/// The limits per minute of one teacher.
#[derive(Debug)]
pub(super) struct Limits {
    sent: Arc<Sent>,
    /// None where requests, or tokens, are not limited.
    requests: Option<Arc<Pace>>,
    tokens: Option<Arc<Pace>>,
    /// Other processes that share the limits, and what the model is called there.
    peers: Option<(Arc<dyn Peers>, String)>,
}

/// Where the tokens of a request are counted; nowhere without limits.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Counted {
    entry: Option<u64>,
    /// Among those of all processes, and with how many tokens.
    ticket: Option<(Ticket, u32)>,
}

impl Limits {
    /// The limits of `config` on what is `sent` by all.
    pub(super) fn new(config: &LimitsConfig, sent: Arc<Sent>, peers: Option<(Arc<dyn Peers>, String)>) -> Self {
        Self {
            peers,
            requests: config.requests_per_minute.map(|per_minute| sent.pace("requests", per_minute)),
            tokens: config.tokens_per_minute.map(|per_minute| sent.pace("tokens", per_minute)),
            sent,
        }
    }

    /// Whether there are any.
    pub(super) fn are_set(&self) -> bool {
        self.requests.is_some() || self.tokens.is_some()
    }

    /// Waits for its turn, which lasts as long as what is given back.
    pub(super) async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.sent.queue.lock().await
    }

    /// Waits until a request of this size keeps the pace. By what is expected of it: at its most, a run would send a
    /// fraction of what it may, for answers are mostly far shorter than `max_tokens`. That the limit is kept all the
    /// same is for [`Limits::count`].
    pub(super) async fn pace(&self, size: Size) {
        if let Some(requests) = &self.requests {
            requests.keep(1).await;
        }
        if let Some(tokens) = &self.tokens {
            tokens.keep(size.prompt.saturating_add(size.completion)).await;
        }
    }

    /// Counts a request as sent now, with the most tokens it can take, or says when to try again. To be called at the
    /// moment of sending, by one at a time: nothing is counted unless both windows have room, so there is nothing to
    /// take back.
    pub(super) fn count(&self, size: Size) -> Result<Counted, Instant> {
        if !self.are_set() {
            return Ok(Counted::default());
        }
        let most = size.most();
        let mut minute = self.sent.minute();
        if let Some(requests) = &self.requests {
            minute.requests.fits(1, requests.per_minute)?;
        }
        if let Some(tokens) = &self.tokens {
            minute.tokens.fits(most, tokens.per_minute)?;
        }
        // Last of what may say no: what is taken there is taken.
        let ticket = match &self.peers {
            Some((peers, place)) => Some((peers.take(place, self.per_minute(), most)?, most)),
            None => None,
        };
        minute.requests.count(1);
        Ok(Counted { entry: Some(minute.tokens.count(most)), ticket })
    }

    fn per_minute(&self) -> PerMinute {
        let of = |pace: &Option<Arc<Pace>>| pace.as_ref().map(|pace| pace.per_minute);
        PerMinute { requests: of(&self.requests), tokens: of(&self.tokens) }
    }

    /// The reply says that a request took `total` tokens. What was counted beyond that is free for others from now on.
    pub(super) fn correct(&self, counted: Counted, total: u32) {
        if let Some(entry) = counted.entry {
            self.sent.minute().tokens.correct(entry, total);
        }
        if let (Some((ticket, most)), Some((peers, _))) = (counted.ticket, &self.peers) {
            peers.correct(ticket, most.saturating_sub(total));
        }
    }

    /// Counts what an earlier process sent: how long ago, and how many tokens. Once, before the first request of this
    /// one.
    pub(super) fn count_before(&self, mut earlier: Vec<(Duration, u32)>) {
        let now = Instant::now();
        earlier.sort_unstable();
        let mut minute = self.sent.minute();
        // The youngest first: each goes before all that is there.
        for (age, tokens) in earlier {
            // The clock may have begun later than that; then it leaves a little later.
            let at = now.checked_sub(age).unwrap_or(now);
            minute.requests.add_before(at, 1);
            minute.tokens.add_before(at, tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>) -> Limits {
        share(&Arc::default(), requests_per_minute, tokens_per_minute)
    }

    fn share(sent: &Arc<Sent>, requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>) -> Limits {
        let config = LimitsConfig {
            requests_per_minute,
            tokens_per_minute,
            max_in_flight: 1,
            min_in_flight: 1,
            max_retries: 0,
            give_up_after: Duration::ZERO,
        };
        Limits::new(&config, Arc::clone(sent), None)
    }

    fn of(tokens: u32) -> Size {
        Size { prompt: tokens, prompt_bound: tokens, ..Size::default() }
    }

    async fn send(limits: &Limits, size: Size) -> Counted {
        limits.pace(size).await;
        loop {
            match limits.count(size) {
                Ok(counted) => return counted,
                Err(again) => tokio::time::sleep_until(again).await,
            }
        }
    }

    /// Sends `sizes` one after the other as fast as the limits allow; the time of each, on a held clock.
    async fn times(limits: &Limits, sizes: &[u32]) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for &size in sizes {
            send(limits, of(size)).await;
            times.push(start.elapsed());
        }
        times
    }

    /// The most units that any 60 s window sees.
    fn fullest_window(times: &[Duration], sizes: &[u32]) -> u32 {
        let window = Duration::from_secs(60);
        (0..times.len())
            .map(|first| (first..times.len()).take_while(|&i| times[i] < times[first] + window).map(|i| sizes[i]).sum())
            .max()
            .unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn requests_per_minute_are_used_and_never_exceeded() {
        let sizes = vec![1; 1800];
        let times = times(&limits(Some(600), None), &sizes).await;
        assert!(fullest_window(&times, &sizes) <= 600);
        let minutes = times.last().unwrap().as_secs_f64() / 60.0;
        assert!(1800.0 / minutes >= 0.97 * 600.0, "{minutes} minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_burst_pays_in_full_and_none_starves() {
        let sizes: Vec<u32> = [50, 4_000].repeat(10);
        let times = times(&limits(None, Some(10_000)), &sizes).await;
        assert!(fullest_window(&times, &sizes) <= 10_000);
        assert!(times.is_sorted());
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_that_a_reply_did_not_take_are_given_back() {
        let limits = limits(Some(100_000), Some(100_000));
        // 100 tokens each, but 1,000 at most: uncorrected, a hundred would fill the minute.
        let size = Size { prompt: 90, prompt_bound: 500, completion: 10, completion_bound: 500 };
        let start = Instant::now();
        for _ in 0..3_000 {
            let counted = send(&limits, size).await;
            limits.correct(counted, 100);
        }
        let per_minute = 3_000.0 * 100.0 / (start.elapsed().as_secs_f64() / 60.0);
        assert!((97_000.0..100_000.0).contains(&per_minute), "{per_minute}");
    }

    #[tokio::test(start_paused = true)]
    async fn all_who_ask_one_model_share_the_minute_whatever_limit_each_has() {
        let sent = Arc::default();
        let (all, half) = (share(&sent, Some(60), None), share(&sent, Some(30), None));
        let start = Instant::now();
        let ask = async |limits: &Limits, count: usize| {
            let mut times = Vec::new();
            for _ in 0..count {
                send(limits, of(1)).await;
                times.push(start.elapsed());
            }
            times
        };
        let (a, b, c) = tokio::join!(ask(&all, 60), ask(&all, 60), ask(&half, 10));
        let mut times = [a, b, c].concat();
        times.sort_unstable();
        assert!(fullest_window(&times, &vec![1; times.len()]) <= 60);
    }

    #[tokio::test(start_paused = true)]
    async fn what_an_earlier_process_sent_counts_until_it_is_a_minute_old() {
        let limits = limits(Some(10), None);
        tokio::time::advance(Duration::from_secs(100)).await;
        let (start, counted) = (Instant::now(), limits.count(of(3)).unwrap());
        limits.count_before((0..8).map(|age| (Duration::from_secs(5 * age), 7)).collect());
        limits.correct(counted, 2);
        assert_eq!(limits.sent.minute().tokens.units, 8 * 7 + 2);
        assert!(limits.count(of(1)).is_ok());
        // The oldest of them was sent 35 s ago.
        assert_eq!(limits.count(of(1)).unwrap_err() - start, WINDOW - Duration::from_secs(35));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_window_sees_more_than_the_limit(per_minute in 30..400_u32, sizes in prop::collection::vec(1..30_u32, 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let times = runtime.block_on(times(&limits(None, Some(per_minute)), &sizes));
            prop_assert!(fullest_window(&times, &sizes) <= per_minute);
        }
    }
}
