//! When requests arrived and what they took: the quota of a sliding minute, and the fullest minute there was.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// What remains of one limit.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Room {
    pub(super) limit: u64,
    pub(super) remaining: u64,
    /// Until more remains; for a request that is refused, until enough does.
    pub(super) reset: Duration,
}

/// How things stood when a request arrived.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Standing {
    /// For a request over the quota: until it would not be.
    pub(super) wait: Option<Duration>,
    /// Requests and tokens; nothing without a quota.
    pub(super) rooms: Option<(Room, Room)>,
}

/// Requests of the last minute that were let in, each with the tokens of all up to it: how many to wait for is then
/// found without adding them up.
#[derive(Debug, Default)]
struct Window {
    admitted: VecDeque<(Instant, u64)>,
    /// Tokens of all that were ever let in.
    total: u64,
    /// Tokens of those that are older than a minute.
    gone: u64,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<(Instant, u64)>,
    window: Window,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    quota: Option<(u32, u32)>,
    state: Mutex<State>,
}

impl Traffic {
    pub(super) fn new(quota: Option<(u32, u32)>) -> Self {
        Self { quota, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A request arrives. `tokens` is what answering it takes, none if it is refused anyway.
    pub(super) fn arrive(&self, tokens: Option<u64>) -> Standing {
        let mut state = self.lock();
        // Under the lock, so that the times never go back.
        let now = Instant::now();
        let standing = self.quota.map(|quota| state.window.enter(now, quota, tokens)).unwrap_or_default();
        let taken = if standing.wait.is_none() { tokens.unwrap_or(0) } else { 0 };
        state.log.push((now, taken));
        standing
    }

    /// The most requests, and the most tokens, that arrived within a minute.
    pub(super) fn fullest_minute(&self) -> (u64, u64) {
        let log = self.lock().log.clone();
        let (mut first, mut tokens, mut fullest) = (log.iter().enumerate().peekable(), 0, (0, 0));
        for (number, (arrival, taken)) in log.iter().enumerate() {
            tokens += taken;
            while let Some((_, (_, old))) = first.next_if(|(_, (old, _))| arrival.duration_since(*old) >= MINUTE) {
                tokens -= old;
            }
            let from = first.peek().map_or(number, |(from, _)| *from);
            fullest = (fullest.0.max((number - from + 1) as u64), fullest.1.max(tokens));
        }
        fullest
    }
}

impl Window {
    fn enter(&mut self, now: Instant, (requests, tokens): (u32, u32), taken: Option<u64>) -> Standing {
        self.forget(now);
        let (requests, tokens) = (u64::from(requests), u64::from(tokens));
        // What is larger than the quota gets in alone: refusing it for ever would help no test.
        let taken = taken.map(|taken| (taken, taken.min(tokens)));
        let count = self.admitted.len() as u64;
        let mut waits = (None, None);
        if let Some((taken, needed)) = taken {
            if count >= requests {
                waits.0 = Some(self.until(now, |_| true));
            }
            if self.total - self.gone + needed > tokens {
                let enough = self.total + needed - tokens;
                waits.1 = Some(self.until(now, |sum| sum >= enough));
            }
            if waits == (None, None) {
                self.total += taken;
                self.admitted.push_back((now, self.total));
            }
        }
        let next = if self.admitted.is_empty() { Duration::ZERO } else { self.until(now, |_| true) };
        let room = |limit: u64, used: u64, wait: Option<Duration>| Room {
            limit,
            remaining: limit.saturating_sub(used),
            reset: wait.unwrap_or(next),
        };
        let rooms =
            (room(requests, self.admitted.len() as u64, waits.0), room(tokens, self.total - self.gone, waits.1));
        Standing { wait: waits.0.max(waits.1), rooms: Some(rooms) }
    }

    fn forget(&mut self, now: Instant) {
        while let Some((_, sum)) = self.admitted.front().filter(|(old, _)| now.duration_since(*old) >= MINUTE) {
            self.gone = *sum;
            self.admitted.pop_front();
        }
    }

    /// Until the first request is a minute old whose sum of tokens is `enough`.
    fn until(&self, now: Instant, enough: impl Fn(u64) -> bool) -> Duration {
        let place = self.admitted.partition_point(|(_, sum)| !enough(*sum));
        self.admitted.get(place).map_or(MINUTE, |(old, _)| MINUTE.saturating_sub(now.duration_since(*old)))
    }
}
