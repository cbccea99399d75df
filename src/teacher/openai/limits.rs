//! Limits of an endpoint: requests in flight, requests per minute, tokens per minute, and pauses it asks for.
//!
//! governor counts; waiting is ours, because its own wait ignores tokio's clock and lets small requests starve large
//! ones. Everyone waits in one queue, first come first served.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep, sleep_until};

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

/// At most `per_minute` units in any 60 seconds: governor spreads them evenly, the window makes sure (a bucket alone lets
/// a request larger than itself slip over the limit).
#[derive(Debug)]
struct Meter {
    limiter: RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Nanos>>,
    clock: TokioClock,
    per_minute: u32,
    burst: u32,
    window: tokio::sync::Mutex<Window>,
}

/// What was sent in the last [`WINDOW`], oldest first.
#[derive(Debug, Default)]
struct Window {
    sent: VecDeque<(Instant, u32)>,
    units: u64,
}

impl Window {
    /// Counts `units` as sent now, unless they do not fit; then says when to try again.
    fn count(&mut self, units: u32, per_minute: u32) -> Result<(), Instant> {
        let now = Instant::now();
        while let Some(&(at, old)) = self.sent.front() {
            if at + WINDOW > now {
                // What is larger than a minute's share goes alone.
                if self.units + u64::from(units) > u64::from(per_minute) {
                    return Err(at + WINDOW);
                }
                break;
            }
            self.units -= u64::from(old);
            self.sent.pop_front();
        }
        self.sent.push_back((now, units));
        self.units += u64::from(units);
        Ok(())
    }
}

impl Meter {
    fn new(per_minute: u32) -> Self {
        let burst = (per_minute / 64).max(1);
        let burst_units = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::with_period(Duration::from_secs(60) / per_minute.max(1))
            .unwrap_or(Quota::per_second(NonZeroU32::MIN))
            .allow_burst(burst_units);
        let clock = TokioClock { start: Instant::now() };
        Self {
            limiter: RateLimiter::direct_with_clock(quota, clock.clone()),
            clock,
            per_minute,
            burst,
            window: tokio::sync::Mutex::default(),
        }
    }

    /// Waits until `units` are available and takes them. Callers take turns.
    async fn take(&self, units: u32) {
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
        let mut window = self.window.lock().await;
        while let Err(again) = window.count(units, self.per_minute) {
            sleep_until(again).await;
        }
    }
}

/// All limits of one endpoint.
#[derive(Debug)]
pub(super) struct Limits {
    in_flight: Semaphore,
    queue: tokio::sync::Mutex<()>,
    requests: Option<Meter>,
    tokens: Option<Meter>,
    paused_until: Mutex<Option<Instant>>,
}

impl Limits {
    pub(super) fn new(in_flight: usize, requests_per_minute: Option<u32>, tokens_per_minute: Option<u32>) -> Self {
        Self {
            in_flight: Semaphore::new(in_flight),
            queue: tokio::sync::Mutex::new(()),
            requests: requests_per_minute.map(Meter::new),
            tokens: tokens_per_minute.map(Meter::new),
            paused_until: Mutex::new(None),
        }
    }

    /// Admits nothing from now on.
    pub(super) fn close(&self) {
        self.in_flight.close();
    }

    /// Waits until a request of `tokens` may be sent; it counts as in flight until the permit is dropped. `None` once
    /// closed.
    pub(super) async fn admit(&self, tokens: u32) -> Option<SemaphorePermit<'_>> {
        let permit = self.in_flight.acquire().await.ok()?;
        let _turn = self.queue.lock().await;
        self.wait_out_pause().await;
        if let Some(requests) = &self.requests {
            requests.take(1).await;
        }
        if let Some(meter) = &self.tokens {
            meter.take(tokens).await;
        }
        // The endpoint may have asked for a pause while this request waited for its share.
        self.wait_out_pause().await;
        (!self.in_flight.is_closed()).then_some(permit)
    }

    /// Nothing is sent to the endpoint for `length` from now.
    pub(super) fn pause(&self, length: Duration) {
        let until = Instant::now() + length;
        let mut paused = self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
        *paused = paused.max(Some(until));
    }

    async fn wait_out_pause(&self) {
        loop {
            let until = *self.paused_until.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sends `sizes` one after the other as fast as the limits allow; the time of each, on a held clock.
    async fn times(limits: &Limits, sizes: &[u32]) -> Vec<Duration> {
        let start = Instant::now();
        let mut times = Vec::new();
        for &size in sizes {
            drop(limits.admit(size).await);
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
        let limits = Limits::new(8, Some(600), None);
        let sizes = vec![1; 1800];
        let times = times(&limits, &sizes).await;
        assert!(fullest_window(&times, &sizes) <= 600);
        let minutes = times.last().unwrap().as_secs_f64() / 60.0;
        assert!(1800.0 / minutes >= 0.97 * 600.0, "{minutes} minutes");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_larger_than_the_burst_pays_in_full() {
        let limits = Limits::new(8, None, Some(10_000));
        let sizes: Vec<u32> = [50, 4_000].repeat(10);
        let times = times(&limits, &sizes).await;
        assert!(fullest_window(&times, &sizes) <= 10_000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_back_and_the_longest_counts() {
        let limits = Limits::new(8, None, None);
        let start = Instant::now();
        limits.pause(Duration::from_secs(8));
        limits.pause(Duration::from_secs(1));
        drop(limits.admit(1).await);
        assert!(start.elapsed() >= Duration::from_secs(8));
        assert!(start.elapsed() < Duration::from_secs(9));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn no_window_sees_more_than_the_limit(per_minute in 30..400_u32, sizes in prop::collection::vec(1..30_u32, 1..80)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let times = runtime.block_on(async {
                let limits = Limits::new(1, None, Some(per_minute));
                times(&limits, &sizes).await
            });
            prop_assert!(fullest_window(&times, &sizes) <= per_minute);
        }
    }
}
