//! What requests to one provider address share, whichever run they belong to.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::openai::Shared;

/// Limits, pauses and knowledge of provider addresses. Runs in one process that are given clones of one keep a provider's
/// limits together: pauses and requests in flight of an address, and limits per minute of one model asked with one key.
///
/// A run that stops, for whatever reason, does not stop the others.
#[derive(Debug, Clone, Default)]
pub struct Addresses {
    shared: Arc<Mutex<Shared>>,
}

impl Addresses {
    pub(super) fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
