//! `status.json`: how far a live run is, for `candist status`. A cache: losing one costs nothing, so errors are passed
//! over.
//!
//! Written beside the file and moved into its place, so that who reads it never sees half of one; not synced, for after
//! a power cut nobody runs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::domain::progress::Progress;
use crate::store::RunLock;
use crate::teacher::ledger::Ledger;

const FILE: &str = "status.json";
/// Often enough for an eye, seldom enough for a disk.
const EVERY: Duration = Duration::from_millis(250);

/// Writes the file now and then, and once more at the end.
pub(super) struct StatusFile {
    /// Dropped to end it: nothing is ever sent.
    end: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl StatusFile {
    /// Starts the thread "candist-status". It ends with [`StatusFile::end`], or when this is dropped, and holds the
    /// lock until then.
    pub(super) fn start(dir: &Path, progress: Arc<Progress>, ledger: Arc<Ledger>, lock: Arc<RunLock>) -> Self {
        let (end, ended) = mpsc::channel();
        let dir = dir.to_owned();
        let work = move || {
            let _lock = lock;
            // At once: who looks at a run that has begun is to see it.
            write(&progress, &ledger, &dir);
            loop {
                let last = !matches!(ended.recv_timeout(EVERY), Err(RecvTimeoutError::Timeout));
                write(&progress, &ledger, &dir);
                if last {
                    return;
                }
            }
        };
        // Without a thread that writes it, the run goes on unseen.
        let thread = std::thread::Builder::new().name("candist-status".to_owned()).spawn(work).ok();
        Self { end: Some(end), thread }
    }

    /// Has the file written a last time, with how the run ended, and waits for that.
    pub(super) fn end(mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Writes the counters as they are. The cost is the ledger's, which counts what is on its way at its worst.
fn write(progress: &Progress, ledger: &Ledger, dir: &Path) {
    let (path, new): (PathBuf, PathBuf) = (dir.join(FILE), dir.join("status.json.new"));
    let sums = ledger.sums();
    progress.set_unknown_cost(sums.unknown);
    let mut status = progress.snapshot();
    status.cost = sums.total();
    let bytes = serde_json::to_vec(&status).unwrap_or_default();
    if std::fs::write(&new, bytes).is_ok() {
        let _ = std::fs::rename(&new, &path);
    }
}
