//! The circuit breaker of one address: tells a server that is down from a request that goes wrong.
//!
//! Failures one after the other, with no answer in between, are the server's and not the requests': then everyone waits,
//! for longer and longer, and one request at a time tries. After too long without any answer the run stops.
//!
//! Without it, a server that is down for a minute would use up every text's tries, and a run would end with a corpus of
//! texts "that could not be answered". Three things are told apart, since they ask for different patience: failures,
//! refusals for now (the server is there and will be back), and a machine of ours that has no room for a connection.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::retry::backoff;

/// Failures in a row that are still the requests' own.
const TOLERATED: u32 = 8;

/// How long a server that never answered is tried.
const FIRST_PATIENCE: Duration = Duration::from_secs(15);

#[derive(Debug, Default)]
struct State {
    /// Failures since the last answer, of all requests together.
    in_a_row: u32,
    /// Waits of everyone since the last answer: the exponent of the next one.
    waits: u32,
    /// When the first of the failures or refusals came that no answer followed.
    since: Option<Instant>,
    /// Since when this machine, not the server, keeps requests back, and how often since.
    starved: Option<(Instant, u32)>,
    /// Ever, by anyone at this address: it survives [`Breaker::begin`].
    answered: bool,
    /// Whether anything ever came back, an error too.
    reached: bool,
}

/// What a failure means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// This request went wrong; it is its own try that is used up.
    Own,
    /// The server is in trouble: everyone waits this long before one tries again.
    Server(Duration),
    /// The server has been in trouble for so long that the run should stop.
    GiveUp(Duration),
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    state: Mutex<State>,
}

impl Breaker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server answered.
    /// All that was held against it is forgotten.
    pub(super) fn answered(&self) {
        *self.lock() = State { answered: true, reached: true, ..State::default() };
    }

    /// The server replied, if with an error: somebody is there.
    pub(super) fn replied(&self) {
        self.lock().reached = true;
    }

    /// Whether anything ever came back from the server.
    pub(super) fn ever_replied(&self) -> bool {
        self.lock().reached
    }

    /// A teacher begins: what was before says nothing about now.
    pub(super) fn begin(&self) {
        let mut state = self.lock();
        *state = State { answered: state.answered, reached: state.reached, ..State::default() };
    }

    /// A request failed, between or after others. `uniform`, in 0..1, spreads the waits.
    ///
    /// To be asked only for requests that were sent after the latest pause: those that were in flight when a server
    /// went down fail together, and are one failure.
    pub(super) fn failed(&self, give_up_after: Duration, uniform: f64) -> Meaning {
        let mut state = self.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        state.in_a_row = state.in_a_row.saturating_add(1);
        // A server that never answered is more likely wrong than in trouble.
        let patience = if state.answered { give_up_after } else { give_up_after.min(FIRST_PATIENCE) };
        if state.in_a_row > TOLERATED && since.elapsed() > patience {
            return Meaning::GiveUp(since.elapsed());
        }
        if state.in_a_row <= TOLERATED {
            return Meaning::Own;
        }
        state.waits += 1;
        // Between half and all of the backoff, never nothing: the next one is the only one that is sent.
        Meaning::Server(backoff(state.waits, 0.5 + uniform / 2.0))
    }

    /// Nobody took the connection, and nobody ever did: for how long that has been so, when it is too long. Most likely
    /// the address is wrong, or the server not started: a person is waiting to be told.
    pub(super) fn unreachable(&self, give_up_after: Duration) -> Option<Duration> {
        let mut state = self.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        Some(since.elapsed()).filter(|length| *length > give_up_after.min(FIRST_PATIENCE))
    }

    /// This machine has no room for another connection, which says nothing about the server: how long everyone waits, or, as
    /// an error, for how long nothing was answered.
    pub(super) fn starved(&self, give_up_after: Duration, uniform: f64) -> Result<Duration, Duration> {
        let mut state = self.lock();
        let (since, waits) = state.starved.get_or_insert_with(|| (Instant::now(), 0));
        *waits += 1;
        if since.elapsed() > give_up_after {
            return Err(since.elapsed());
        }
        Ok(backoff(*waits, 0.5 + uniform / 2.0))
    }

    /// The server refused for now, which says that it is there: how long everyone waits if it did not say itself, longer each
    /// time; or, as an error, for how long it has done nothing else, when that is too long.
    pub(super) fn refused(&self, give_up_after: Duration, uniform: f64) -> Result<Duration, Duration> {
        let mut state = self.lock();
        let since = *state.since.get_or_insert_with(Instant::now);
        // A refusal may say to wait for two minutes.
        if since.elapsed() > give_up_after.max(super::headers::LONGEST_PAUSE) {
            return Err(since.elapsed());
        }
        state.waits += 1;
        Ok(backoff(state.waits, 0.5 + uniform / 2.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(100);

    #[tokio::test(start_paused = true)]
    async fn a_few_failures_are_the_requests_own_and_many_the_servers() {
        let breaker = Breaker::default();
        for _ in 0..TOLERATED {
            assert_eq!(breaker.failed(PATIENCE, 1.0), Meaning::Own);
        }
        assert_eq!(breaker.failed(PATIENCE, 1.0), Meaning::Server(Duration::from_millis(500)));
        assert_eq!(breaker.failed(PATIENCE, 1.0), Meaning::Server(Duration::from_secs(1)));
        breaker.answered();
        assert_eq!(breaker.failed(PATIENCE, 1.0), Meaning::Own);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_answers_nothing_for_too_long_is_given_up() {
        for (answered, patience) in [(true, 100), (false, 15)] {
            let breaker = Breaker::default();
            if answered {
                breaker.answered();
            }
            let mut meanings: Vec<Meaning> = (0..20).map(|_| breaker.failed(PATIENCE, 0.0)).collect();
            tokio::time::sleep(Duration::from_secs(patience)).await;
            meanings.push(breaker.failed(PATIENCE, 0.0));
            assert!(!meanings.iter().any(|meaning| matches!(meaning, Meaning::GiveUp(_))));
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(matches!(breaker.failed(PATIENCE, 0.0), Meaning::GiveUp(_)));
            breaker.answered();
            assert_eq!(breaker.failed(PATIENCE, 0.0), Meaning::Own);
            assert_eq!(breaker.refused(PATIENCE, 1.0), Ok(Duration::from_millis(500)));
            assert_eq!(breaker.refused(PATIENCE, 1.0), Ok(Duration::from_secs(1)));
            tokio::time::sleep(Duration::from_secs(121)).await;
            assert!(breaker.refused(PATIENCE, 0.0).is_err());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_this_machine_lacks_is_not_the_servers_fault() {
        let breaker = Breaker::default();
        assert_eq!(breaker.starved(PATIENCE, 1.0), Ok(Duration::from_millis(500)));
        tokio::time::sleep(Duration::from_secs(99)).await;
        assert_eq!(breaker.starved(PATIENCE, 1.0), Ok(Duration::from_secs(1)));
        assert_eq!(breaker.failed(PATIENCE, 1.0), Meaning::Own);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(breaker.starved(PATIENCE, 1.0).is_err());
        breaker.answered();
        assert!(breaker.starved(PATIENCE, 1.0).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_there_is_given_up_by_the_clock_alone() {
        let breaker = Breaker::default();
        assert_eq!(breaker.unreachable(Duration::from_secs(8)), None);
        tokio::time::sleep(Duration::from_secs(9)).await;
        assert_eq!(breaker.unreachable(Duration::from_secs(8)), Some(Duration::from_secs(9)));
        breaker.begin();
        assert_eq!(breaker.unreachable(Duration::from_secs(8)), None);
    }
}
