//! What can go wrong with a request, and for which ones it does.

use std::time::Duration;

use clap::ValueEnum;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// From the time a request arrives, everything is refused for a while.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storm {
    /// So many requests arrive before; the next one starts it.
    pub(crate) after: u64,
    /// How long it takes.
    pub(crate) length: Duration,
    /// The `Retry-After` header's value; none without.
    pub(crate) retry_after: Option<String>,
}

/// Which requests suffer what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    /// Of everything random: faults, latencies and token counts follow from it and the request's number.
    pub(crate) seed: u64,
    /// The probability that a request suffers one.
    pub(crate) rate: f64,
    /// From which one is chosen; all if empty.
    pub(crate) kinds: Vec<Fault>,
}

/// Something that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub(crate) enum Fault {
    /// 429 with `Retry-After: 0.05`.
    TooManyRequests,
    /// 429 without that header.
    TooManyRequestsBare,
    /// 500.
    ServerError,
    /// 503 with a page that is no JSON.
    Unavailable,
    /// 529.
    Overloaded,
    /// 408.
    Timeout408,
    /// The connection closes instead of an answer.
    Reset,
    /// The connection closes after half of the answer.
    TruncatedBody,
    /// The answer, one byte in 50 ms.
    SlowBytes,
    /// 200 with a page that is no JSON.
    WrongJson,
    /// 200 with JSON of another kind.
    NotACompletion,
    /// Labels that no task has.
    WrongLabels,
    /// The content is the empty string.
    EmptyContent,
    /// The content is null, with a refusal.
    Refusal,
    /// Half of the content, with finish_reason `length`.
    CutOff,
    /// The right answer without usage.
    MissingUsage,
    /// 3 MB of content, none of it a label.
    HugeBody,
}

impl Fault {
    /// Each of them.
    pub(crate) const ALL: [Self; 17] = [
        Self::TooManyRequests,
        Self::TooManyRequestsBare,
        Self::ServerError,
        Self::Unavailable,
        Self::Overloaded,
        Self::Timeout408,
        Self::Reset,
        Self::TruncatedBody,
        Self::SlowBytes,
        Self::WrongJson,
        Self::NotACompletion,
        Self::WrongLabels,
        Self::EmptyContent,
        Self::Refusal,
        Self::CutOff,
        Self::MissingUsage,
        Self::HugeBody,
    ];
}

/// A request's draws. All are made for every request, so that one setting does not change what another brings.
#[derive(Debug)]
pub(super) struct Chance {
    fault: f64,
    kind: f64,
    spread: f64,
    tokens: f64,
}

impl Chance {
    /// The draws of the request that arrived as number `number`.
    pub(super) fn of(seed: u64, number: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        Self { fault: rng.random(), kind: rng.random(), spread: rng.random(), tokens: rng.random() }
    }

    /// What the request suffers.
    pub(super) fn fault(&self, faults: &Faults) -> Option<Fault> {
        let kinds = if faults.kinds.is_empty() { &Fault::ALL[..] } else { &faults.kinds };
        let chosen = (self.kind * kinds.len() as f64) as usize;
        kinds.get(chosen).copied().filter(|_| self.fault < faults.rate)
    }

    /// How much longer the request takes, up to `spread`.
    pub(super) fn delay(&self, spread: Duration) -> Duration {
        spread.mul_f64(self.spread)
    }

    /// A number from `low` to `high`.
    pub(super) fn tokens(&self, (low, high): (u64, u64)) -> u64 {
        low + (self.tokens * (high.saturating_sub(low) + 1) as f64) as u64
    }
}
