//! How many rows the corpus has, counted beside the run: for who shows how far it is. Nothing waits for it, and where it
//! fails the total stays unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::plan::Plan;
use crate::corpus;
use crate::domain::progress::Progress;

/// Counting that is under way. Dropped, it ends soon, with the row that it is at.
pub(super) struct Total(Arc<AtomicBool>);

impl Total {
    /// Starts the thread "candist-count", unless the corpus is one of the program's own, which is read once only.
    pub(super) fn start(plan: &Arc<Plan>, progress: &Arc<Progress>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        if !plan.has_own_corpus() {
            let (plan, progress, over) = (Arc::clone(plan), Arc::clone(progress), Arc::clone(&over));
            let count = move || {
                let stop = || over.load(Ordering::Relaxed);
                if let Ok(Some(rows)) = corpus::count(&plan.config.corpus, &stop) {
                    // Of a pilot, no more than its texts; rows that cannot be used among them come on top.
                    progress.total.set(plan.limit.map_or(rows, |limit| rows.min(limit)));
                }
            };
            // Without a thread to count, the total stays unknown.
            let _ = std::thread::Builder::new().name("candist-count".to_owned()).spawn(count);
        }
        Self(over)
    }
}

impl Drop for Total {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
