//! Limits per minute: requests, and tokens of prompt and answer.
//!
//! governor spreads them evenly over the minute; its own wait is not used, because it ignores tokio's clock and lets small
//! requests starve large ones. A sliding window makes sure that no 60 seconds see more than the limit: there a request
//! counts with the most tokens it can take until the reply says how many it took.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::{Instant, sleep};

use crate::config::LimitsConfig;
use crate::teacher::Size;

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
#[derive(Debug, Default)]
struct Window {
    sent: VecDeque<(Instant, u32)>,
    /// Entries that have left.
    gone: u64,
    units: u64,
}

impl Window {
    /// When `units` more may be counted: now (`Ok`) or later.
    fn fits(&mut self, units: u32, per_minute: u32) -> Result<(), Instant> {
        let now = Instant::now();
        while let Some(&(at, old)) = self.sent.front() {
            if at + WINDOW > now {
                // What is larger than a minute's share goes alone.
                let fits = self.units + u64::from(units) <= u64::from(per_minute);
                return if fits { Ok(()) } else { Err(at + WINDOW) };
            }
            self.units -= u64::from(old);
            self.sent.pop_front();
            self.gone += 1;
        }
        Ok(())
    }

    /// Counts `units` as sent now; gives the entry's number.
    fn count(&mut self, units: u32) -> u64 {
        self.sent.push_back((Instant::now(), units));
        self.units += u64::from(units);
        self.gone + self.sent.len() as u64 - 1
    }

    /// Corrects an entry.
    fn correct(&mut self, entry: u64, units: u32) {
        let index = entry.checked_sub(self.gone).and_then(|index| usize::try_from(index).ok());
        if let Some((_, counted)) = index.and_then(|index| self.sent.get_mut(index)) {
            self.units = self.units + u64::from(units) - u64::from(*counted);
            *counted = units;
        }
    }
}

/// At most `per_minute` units in any 60 seconds.
#[derive(Debug)]
struct Meter {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    per_minute: u32,
    burst: u32,
    window: Mutex<Window>,
}

impl Meter {
    fn new(per_minute: u32) -> Self {
        let burst = (per_minute / 64).max(1);
        let burst_units = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_secs(60) / per_minute.max(1))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst_units);
        let clock = TokioClock { start: Instant::now() };
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        Self { limiter, clock, per_minute, burst, window: Mutex::default() }
    }

    /// Waits until `units` more keep the pace.
    async fn pace(&self, units: u32) {
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

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limits per minute of one teacher.
#[derive(Debug)]
pub(super) struct Limits {
    requests: Option<Meter>,
    tokens: Option<Meter>,
}

/// The tokens with which a request is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted(Option<u64>);

impl Limits {
    pub(super) fn new(config: &LimitsConfig) -> Self {
        Self { requests: config.requests_per_minute.map(Meter::new), tokens: config.tokens_per_minute.map(Meter::new) }
    }

    /// Waits until a request of this size keeps the pace.
    pub(super) async fn pace(&self, size: Size) {
        if let Some(requests) = &self.requests {
            requests.pace(1).await;
        }
        if let Some(tokens) = &self.tokens {
            tokens.pace(size.prompt.saturating_add(size.completion)).await;
        }
    }

    /// Counts a request as sent now, with the most tokens it can take, or says when to try again.
    pub(super) fn count(&self, size: Size) -> Result<Counted, Instant> {
        let most = size.prompt_bound.saturating_add(size.completion_bound);
        let mut requests = self.requests.as_ref().map(|meter| (meter.window(), meter.per_minute));
        let mut tokens = self.tokens.as_ref().map(|meter| (meter.window(), meter.per_minute));
        if let Some((window, per_minute)) = &mut requests {
            window.fits(1, *per_minute)?;
        }
        if let Some((window, per_minute)) = &mut tokens {
            window.fits(most, *per_minute)?;
        }
        if let Some((window, _)) = &mut requests {
            window.count(1);
        }
        Ok(Counted(tokens.as_mut().map(|(window, _)| window.count(most))))
    }

    /// The reply says that a request took `total` tokens.
    pub(super) fn correct(&self, counted: Counted, total: u64) {
        if let (Counted(Some(entry)), Some(meter)) = (counted, &self.tokens) {
            meter.window().correct(entry, u32::try_from(total).unwrap_or(u32::MAX));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits(requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>) -> Limits {
        Limits { requests: requests_per_minute.map(Meter::new), tokens: tokens_per_minute.map(Meter::new) }
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
