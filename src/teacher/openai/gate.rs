//! The gate to one address: how many requests may be in flight, and when none may be sent.
//!
//! The number of requests in flight grows while answers come and is halved when the server is overloaded (AIMD: Chiu &
//! Jain, "Analysis of the increase and decrease algorithms for congestion avoidance", 1989), with a fast start below a
//! threshold as TCP has it. After a pause one request goes alone and tells whether the others may follow, so a server
//! that goes on refusing is asked once a pause and not once for everyone.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::stop::Stop;
use crate::teacher::AskError;

/// Requests in flight before the first answer: enough to begin with, few enough to find out what the server takes.
const START: f64 = 8.0;
/// The share of the most requests in flight with which it goes on then.
const FIRST_SHARE: f64 = 0.25;

/// What was learned of the server, and what is in flight. Held under its lock for a few instructions, never across an
/// await.
#[derive(Debug)]
struct State {
    /// Requests that may be in flight. Whole requests count; fractions grow.
    limit: f64,
    /// Below it the limit grows by one with every answer, above by one with every `limit` answers.
    threshold: f64,
    /// Passes that are there, those of before a pause included.
    in_flight: usize,
    /// Counts the pauses: what was sent before one says nothing about the time after it.
    epoch: u64,
    /// After a pause, until an answer comes: one at a time.
    probing: bool,
    /// May lie in the past; then nothing is paused.
    paused_until: Option<Instant>,
    /// The limit never falls below it: the largest `min_in_flight` of all who ever joined.
    floor: f64,
    /// Nor rises above it: the sum of the rooms of those who are seated.
    ceiling: f64,
    /// Whether the server ever answered: from then on the limit is what was found out, and no guess.
    answered: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Gate {
    state: Mutex<State>,
    /// Told after each change that may let somebody through.
    changed: Notify,
}

/// A teacher's share of what may be in flight, as long as it is there. What was learned of the server stays when it
/// goes.
#[derive(Debug)]
pub(super) struct Seat {
    gate: Arc<Gate>,
    room: f64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.ceiling -= self.room;
        let most = state.ceiling.max(state.floor);
        state.threshold = state.threshold.min(most);
        state.limit = state.limit.min(most);
    }
}

impl Gate {
    /// A gate that lets nobody through before somebody joins.
    pub(super) fn new() -> Arc<Self> {
        let state = State {
            limit: 0.0,
            threshold: 0.0,
            in_flight: 0,
            epoch: 0,
            probing: false,
            paused_until: None,
            floor: 1.0,
            ceiling: 0.0,
            answered: false,
        };
        Arc::new(Self { state: Mutex::new(state), changed: Notify::new() })
    }

    /// Lets `room` requests more be in flight, and `floor` at least.
    pub(super) fn join(self: &Arc<Self>, floor: usize, room: usize) -> Seat {
        let room = room.max(1) as f64;
        let mut state = self.lock();
        state.floor = state.floor.max(floor as f64);
        state.ceiling += room;
        // More room is worth a fast climb, but what is in flight begins where experience left it.
        state.threshold = state.ceiling;
        if state.answered || state.epoch > 0 {
            state.limit = state.limit.max(state.floor);
        } else {
            state.limit = START.max(state.floor).min(state.ceiling);
        }
        drop(state);
        self.changed.notify_waiters();
        Seat { gate: Arc::clone(self), room }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room and until `count` takes the request's share of the limits per minute (else it says when to try again);
    /// an error once `stop` is set. Gives what `count` gave. The request counts as in flight until the pass is dropped.
    pub(super) async fn enter<T>(
        self: &Arc<Self>,
        stop: &Stop,
        mut count: impl FnMut() -> Result<T, Instant>,
    ) -> Result<(Pass, T), AskError> {
        loop {
            // Made before the look at the state: a change between look and wait then wakes it all the same.
            let changed = self.changed.notified();
            if let Some(error) = stop.error() {
                return Err(error);
            }
            let again = {
                let mut state = self.lock();
                // What was sent before the pause still counts as in flight, so the one that probes waits until those
                // are back.
                let room = if state.probing { 1.0 } else { state.limit.floor() };
                match state.paused_until.filter(|&until| until > Instant::now()) {
                    Some(until) => Some(until),
                    None if (state.in_flight as f64) >= room => None,
                    // Without waiting in between: what is counted now is sent now.
                    None => match count() {
                        Ok(counted) => {
                            state.in_flight += 1;
                            return Ok((Pass { gate: Arc::clone(self), epoch: state.epoch }, counted));
                        }
                        Err(again) => Some(again),
                    },
                }
            };
            let again = async {
                match again {
                    // Full: only a change makes room.
                    Some(again) => sleep_until(again).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = again => {}
                () = changed => {}
                error = stop.stopped() => return Err(error),
            }
        }
    }

    /// Nothing is sent for `length` from now; what is in flight goes on. Does not slow down what comes after: a server
    /// that says in time that its limit is used up is not overloaded.
    pub(super) fn rest(&self, length: Duration) {
        let mut state = self.lock();
        state.paused_until = state.paused_until.max(Some(Instant::now() + length));
    }
}

/// A request in flight. Whoever drops it gives its place back, whatever came of it.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Arc<Gate>,
    epoch: u64,
}

impl Pass {
    /// Whether it was sent after the latest pause. What became of one that was not is part of the event that began the
    /// pause, and must not be held against the server a second time.
    pub(super) fn is_current(&self) -> bool {
        self.gate.lock().epoch == self.epoch
    }

    /// The server answered.
    pub(super) fn answered(&self) {
        let mut state = self.gate.lock();
        // An answer to what was sent before the pause does not end the probing: the server took it before it refused.
        if state.epoch == self.epoch {
            state.probing = false;
        }
        // From the first guess to a good part of what was configured: a run against a large server need not climb from
        // eight.
        if !state.answered {
            state.answered = true;
            state.limit = state.limit.max(state.threshold * FIRST_SHARE);
        }
        // A limit of which not even half is used has not shown that it is too low.
        if 2.0 * (state.in_flight as f64) >= state.limit {
            // One an answer doubles the number each round; 1/limit an answer adds one a round.
            let growth = if state.limit < state.threshold { 1.0 } else { 1.0 / state.limit };
            state.limit = (state.limit + growth).min(state.ceiling);
        }
        drop(state);
        self.gate.changed.notify_waiters();
    }

    /// The server wants nothing more for `length`. Halves the number in flight, once for all that were sent before the
    /// pause. Whether this was the one: others that were in flight with it only make the pause longer.
    pub(super) fn overloaded(&self, length: Duration) -> bool {
        let mut state = self.gate.lock();
        state.paused_until = state.paused_until.max(Some(Instant::now() + length));
        state.probing = true;
        let first = state.epoch == self.epoch;
        if first {
            state.epoch += 1;
            state.threshold = (state.limit / 2.0).max(state.floor);
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
        gate.enter(&Stop::default(), || Ok(())).await.unwrap().0
    }

    fn gate(floor: usize, room: usize) -> (Arc<Gate>, Seat) {
        let gate = Gate::new();
        let seat = gate.join(floor, room);
        (gate, seat)
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
        let (gate, _seat) = gate(2, 64);
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
        let (gate, _seat) = gate(1, 8);
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
        let (gate, _seat) = gate(1, 100);
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
    async fn who_stops_does_not_wait_and_holds_up_nobody_else() {
        let (gate, _seat) = gate(1, 1);
        let inside = enter(&gate).await;
        let stop = Stop::default();
        let (waiting, ()) = tokio::join!(gate.enter(&stop, || Ok(())), async { stop.because("no credit") });
        assert_eq!(waiting.unwrap_err(), AskError::Stop("no credit".into()));
        drop(inside);
        assert!(gate.enter(&stop, || Ok(())).await.is_err());
        drop(enter(&gate).await);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_takes_its_room_along() {
        let (gate, _seat) = gate(1, 4);
        let second = gate.join(1, 2);
        assert_eq!(room(&gate).await, 6);
        drop(second);
        assert_eq!(room(&gate).await, 4);
    }
}
