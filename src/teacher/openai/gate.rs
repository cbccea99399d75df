//! The gate to one address: how many requests may be in flight, and when none may be sent.
//!
//! The number of requests in flight grows while answers come and is
//! halved when the server is overloaded (AIMD, Chiu & Jain 1989). After a pause one request goes alone and tells whether the others may
//! follow, so a server that goes on refusing is asked once a pause and not once for everyone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Requests in flight before the first answer: enough to begin with, few enough to find out what the server takes.
const START: f64 = 8.0;
/// The share of the most requests in flight with which it goes on then.
const FIRST_SHARE: f64 = 0.25;

#[derive(Debug)]
struct State {
    /// Requests that may be in flight. Whole requests count; fractions grow.
    limit: f64,
    /// Below it the limit grows by one with every answer, above by one with every `limit` answers.
    threshold: f64,
    in_flight: usize,
    /// Counts the pauses: what was sent before one says nothing about the time after it.
    epoch: u64,
    /// After a pause, until an answer comes: one at a time.
    probing: bool,
    paused_until: Option<Instant>,
    ceiling: f64,
    answered: bool,
    closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    floor: f64,
    changed: Notify,
}

impl Gate {
    /// Lets `floor` to `ceiling` requests be in flight.
    pub(super) fn new(floor: usize, ceiling: usize) -> Arc<Self> {
        let (floor, ceiling) = (floor.max(1) as f64, ceiling.max(1) as f64);
        let state = State {
            limit: START.clamp(floor, ceiling),
            threshold: ceiling,
            in_flight: 0,
            epoch: 0,
            probing: false,
            paused_until: None,
            ceiling,
            answered: false,
            closed: false,
        };
        Arc::new(Self { state: Mutex::new(state), floor, changed: Notify::new() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets nobody through from now on.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
    }

    /// Returns once nobody is let through any more.
    pub(super) async fn closed(&self) {
        loop {
            let changed = self.changed.notified();
            if self.lock().closed {
                return;
            }
            changed.await;
        }
    }

    /// Waits for room and until `count` takes the request's share of the limits per minute (else it says when to try again);
    /// `None` once closed. Gives what `count` gave. The request counts as in flight until the pass is dropped.
    pub(super) async fn enter<T>(self: &Arc<Self>, mut count: impl FnMut() -> Result<T, Instant>) -> Option<(Pass, T)> {
        loop {
            let changed = self.changed.notified();
            let again = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                let room = if state.probing { 1.0 } else { state.limit.floor() };
                match state.paused_until.filter(|&until| until > Instant::now()) {
                    Some(until) => Some(until),
                    None if (state.in_flight as f64) >= room => None,
                    // Without waiting in between: what is counted now is sent now.
                    None => match count() {
                        Ok(counted) => {
                            state.in_flight += 1;
                            return Some((Pass { gate: Arc::clone(self), epoch: state.epoch }, counted));
                        }
                        Err(again) => Some(again),
                    },
                }
            };
            match again {
                Some(again) => {
                    tokio::select! {
                        () = sleep_until(again) => {}
                        () = changed => {}
                    }
                }
                None => changed.await,
            }
        }
    }

    /// Lets `more` requests more be in flight.
    pub(super) fn widen(&self, more: usize) {
        let mut state = self.lock();
        state.ceiling += more as f64;
        state.threshold = state.ceiling;
    }

    /// Nothing is sent for `length` from now; what is in flight goes on. Does not slow down what comes after.
    pub(super) fn rest(&self, length: Duration) {
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(Instant::now() + length));
    }
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    epoch: u64,
}

impl Pass {
    /// Whether it was sent after the latest pause.
    pub(super) fn is_current(&self) -> bool {
        self.gate.lock().epoch == self.epoch
    }

    /// The server answered.
    pub(super) fn answered(&self) {
        let mut state = self.gate.lock();
        if state.epoch == self.epoch {
            state.probing = false;
        }
        if !state.answered {
            state.answered = true;
            state.limit = state.limit.max(state.threshold * FIRST_SHARE);
        }
        // A limit of which not even half is used has not shown that it is too low.
        if 2.0 * (state.in_flight as f64) >= state.limit {
            let growth = if state.limit < state.threshold { 1.0 } else { 1.0 / state.limit };
            state.limit = (state.limit + growth).min(state.ceiling);
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }

    /// The server wants nothing more for `length`. Halves the number in flight, once for all that were sent before the
    /// pause. Whether this was the one.
    pub(super) fn overloaded(&self, length: Duration) -> bool {
        let mut state = self.gate.lock();
        state.paused_until = state.paused_until.max(Some(Instant::now() + length));
        state.probing = true;
        let first = state.epoch == self.epoch;
        if first {
            state.epoch += 1;
            state.threshold = (state.limit / 2.0).max(self.gate.floor);
            state.limit = state.threshold;
        }
        first
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        self.gate.lock().in_flight -= 1;
        self.gate.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

    async fn enter(gate: &Arc<Gate>) -> Pass {
        gate.enter(|| Ok(())).await.unwrap().0
    }

    /// Requests that the gate lets through at once.
    async fn room(gate: &Arc<Gate>) -> usize {
        let mut passes = Vec::new();
        while let Ok(pass) = tokio::time::timeout(Duration::from_millis(1), enter(gate)).await {
            passes.push(pass);
        }
        passes.len()
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_in_flight_grows_with_answers_and_is_halved_once_per_overload() {
        let gate = Gate::new(2, 64);
        assert_eq!(room(&gate).await, 8);
        for _ in 0..20 {
            let passes: Vec<Pass> = futures::future::join_all((0..room(&gate).await).map(|_| enter(&gate))).await;
            passes.iter().for_each(Pass::answered);
        }
        assert_eq!(room(&gate).await, 64);
        let passes = futures::future::join_all((0..64).map(|_| enter(&gate))).await;
        assert_eq!(passes.iter().filter(|pass| pass.overloaded(Duration::from_secs(8))).count(), 1);
        drop(passes);
        // One goes alone; its answer lets half as many follow.
        sleep(Duration::from_secs(9)).await;
        let probe = enter(&gate).await;
        assert_eq!(room(&gate).await, 0);
        probe.answered();
        drop(probe);
        let room_after = room(&gate).await;
        assert!((32..=33).contains(&room_after), "{room_after}");
        for _ in 0..10 {
            let probe = enter(&gate).await;
            assert!(probe.overloaded(Duration::ZERO));
        }
        enter(&gate).await.answered();
        assert_eq!(room(&gate).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_holds_everyone_back_and_the_longest_counts() {
        let gate = Gate::new(1, 8);
        let start = Instant::now();
        let (first, second) = (enter(&gate).await, enter(&gate).await);
        first.overloaded(Duration::from_secs(8));
        second.overloaded(Duration::from_secs(1));
        drop((first, second));
        drop(enter(&gate).await);
        assert_eq!(start.elapsed().as_secs(), 8);
        gate.rest(Duration::from_secs(5));
        drop(enter(&gate).await);
        assert_eq!(start.elapsed().as_secs(), 13);
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_is_met_with_one_request_a_pause() {
        let gate = Gate::new(1, 100);
        let storm_ends = Instant::now() + Duration::from_secs(600);
        let refused = Arc::new(Mutex::new(0));
        let ask = async || {
            loop {
                let pass = enter(&gate).await;
                sleep(Duration::from_millis(20)).await;
                if Instant::now() >= storm_ends {
                    pass.answered();
                    return;
                }
                *refused.lock().unwrap() += 1;
                pass.overloaded(Duration::from_secs(8));
            }
        };
        futures::future::join_all((0..100).map(|_| ask())).await;
        assert!(*refused.lock().unwrap() <= 8 + 600 / 8, "{refused:?}");
        assert!(storm_ends.elapsed() <= Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_lets_nobody_wait() {
        let gate = Gate::new(1, 1);
        let inside = enter(&gate).await;
        let (waiting, ()) = tokio::join!(gate.enter(|| Ok(())), async { gate.close() });
        assert!(waiting.is_none());
        drop(inside);
        assert!(gate.enter(|| Ok(())).await.is_none());
    }
}
