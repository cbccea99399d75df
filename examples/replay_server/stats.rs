//! What the server counts.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::Replay;
use super::completion::Usage;
use super::reply::Told;

/// What the server counted.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Stats {
    /// Requests that were answered with their labels.
    pub(crate) requests: u64,
    /// Of those, requests that had been answered before.
    pub(crate) repeated: u64,
    /// Requests in flight at the same time, at most.
    pub(crate) most_in_flight: u64,
    /// All requests.
    pub(crate) received: u64,
    /// Requests that were refused with 429, for whatever reason.
    pub(crate) refused: u64,
    /// Requests that suffered a fault.
    pub(crate) faults: u64,
    /// The most requests that arrived within a minute, refused ones among them.
    pub(crate) fullest_minute_requests: u64,
    /// The most tokens of requests that arrived within a minute: of all completions, also those that went wrong.
    pub(crate) fullest_minute_tokens: u64,
    /// Prompt tokens that completions told, if they left whole.
    pub(crate) prompt_tokens: u64,
    /// Completion tokens that they told.
    pub(crate) completion_tokens: u64,
    /// Dollars that they told.
    pub(crate) cost: f64,
    /// Most times that one model was answered about one text.
    pub(crate) by_text_max: u64,
}

/// What was sent.
#[derive(Debug, Default)]
pub(super) struct Counted {
    seen: HashMap<(String, String), u64>,
    usage: Usage,
}

/// Requests in flight, now and at most.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    now: AtomicU64,
    most: AtomicU64,
}

/// A request in flight. A guard, since nobody finishes the request of a client that is gone.
pub(super) struct Flight<'a>(&'a InFlight);

impl InFlight {
    pub(super) fn enter(&self) -> Flight<'_> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        Flight(self)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Replay {
    /// A completion is out.
    pub(super) fn count(&self, told: Told) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let usage = told.usage.unwrap_or_default();
        counted.usage.prompt += usage.prompt;
        counted.usage.completion += usage.completion;
        if told.answered {
            *counted.seen.entry((told.model, told.text)).or_default() += 1;
        }
    }

    /// What was counted so far.
    pub(crate) fn stats(&self) -> Stats {
        let (fullest_minute_requests, fullest_minute_tokens) = self.traffic.fullest_minute();
        let counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let requests: u64 = counted.seen.values().sum();
        Stats {
            requests,
            repeated: requests - counted.seen.len() as u64,
            most_in_flight: self.in_flight.most.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            faults: self.faults.load(Ordering::Relaxed),
            fullest_minute_requests,
            fullest_minute_tokens,
            prompt_tokens: counted.usage.prompt,
            completion_tokens: counted.usage.completion,
            cost: if self.behaviour.report_cost { counted.usage.cost() } else { 0.0 },
            by_text_max: counted.seen.values().copied().max().unwrap_or(0),
        }
    }
}
