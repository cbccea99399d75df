//! What requests to one provider address share, whichever run they belong to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
#[cfg(feature = "shared")]
use std::time::Duration;

use super::openai::Shared;
#[cfg(feature = "shared")]
use super::peers::Peers;

/// Limits, pauses and knowledge of provider addresses. Runs in one process that are given clones of one keep a provider's
/// limits together: pauses and requests in flight of an address, and limits per minute of one model asked with one key.
///
/// A run that stops, for whatever reason, does not stop the others.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    shared: Arc<Mutex<Shared>>,
}

impl Addresses {
    /// Addresses that are asked by other processes too.
    #[cfg(feature = "shared")]
    pub(crate) fn with_peers(peers: Arc<dyn Peers>) -> Self {
        Self { shared: Arc::new(Mutex::new(Shared::with_peers(peers))) }
    }

    /// Others found that an address wants nothing for so long.
    #[cfg(feature = "shared")]
    pub(crate) fn rest(&self, address: &str, length: Duration) {
        self.lock().rest(address, length);
    }

    /// The names of all addresses, as [`Peers::pause`] has them.
    #[cfg(feature = "shared")]
    pub(crate) fn names(&self) -> Vec<String> {
        self.lock().names()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
