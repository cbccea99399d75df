//! Other processes that ask the same providers with the same keys: what is theirs and ours together.

use std::time::Duration;

use tokio::time::Instant;

/// Limits per minute of one model at one address; none for no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PerMinute {
    pub(crate) requests: Option<u32>,
    pub(crate) tokens: Option<u32>,
}

/// A request that was counted among those of all: to correct its tokens by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket(pub(crate) i64);

/// See the module. Nothing here waits.
pub(crate) trait Peers: std::fmt::Debug + Send + Sync {
    /// Counts a request of at most so many tokens as sent now to the model of `place`, within what all may send; or says when to
    /// look again.
    fn take(&self, place: &str, limits: PerMinute, tokens: u32) -> Result<Ticket, Instant>;

    /// A request took so many tokens less than it was counted with.
    fn correct(&self, ticket: Ticket, fewer: u32);

    /// An address wants nothing more for so long.
    fn pause(&self, address: &str, length: Duration);
}
