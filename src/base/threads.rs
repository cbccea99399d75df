//! Work on threads: waiting for it from async code, and whether threads can be had, asked before they are needed. Much of what
//! a run stands on waits for ever for a thread that the system did not give, or ends the process.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::{Builder, JoinHandle};

use super::panic::panicked;
use crate::error::{Error, Result};

/// An error unless so many threads can be started beside those there are, all at once.
///
/// Starts them and lets them end: only that tells, for limits of users, groups and memory meet there. Another process
/// may take them a moment later; what is caught is the limit that is too low from the start.
///
/// # Errors
///
/// [`Error::Threads`], with what the system said.
pub fn can_start(threads: u32) -> Result<()> {
    let (release, held) = sync_channel::<()>(0);
    let held = Arc::new(Mutex::new(held));
    let mut started = Vec::new();
    let mut outcome = Ok(());
    for _ in 0..threads {
        let held = Arc::clone(&held);
        // Until the other end is dropped.
        let wait = move || drop(held.lock().map(|held| held.recv()));
        match Builder::new().name("candist-probe".to_owned()).spawn(wait) {
            Ok(thread) => started.push(thread),
            Err(source) => {
                outcome = Err(Error::Threads { wanted: threads, source });
                break;
            }
        }
    }
    drop(release);
    // Waited for, so that none counts any more when those are started that are asked for. They do nothing that could
    // fail.
    started.into_iter().for_each(|thread| drop(thread.join()));
    outcome
}

/// Does `work` of a stage where it holds no async worker up, on a thread of tokio's for that. A panic in it is an
/// error that names the stage.
///
/// # Errors
///
/// Those of `work`; [`Error::Panicked`]; [`Error::Interrupted`] where the runtime is being shut down before it began.
pub(crate) async fn blocking<T: Send + 'static>(
    stage: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(error.try_into_panic().map_or(Error::Interrupted, |panic| panicked(stage, panic))))
}

/// Waits for the thread of a stage, without holding an async worker up.
///
/// # Errors
///
/// What the thread ended with; [`Error::Panicked`] where it panicked.
pub(crate) async fn join<T: Send + 'static>(stage: &'static str, thread: JoinHandle<Result<T>>) -> Result<T> {
    blocking(stage, move || thread.join().unwrap_or_else(|panic| Err(panicked(stage, panic)))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_can_be_had_and_are_given_back() {
        let count = || std::fs::read_dir("/proc/self/task").unwrap().count();
        let before = count();
        can_start(0).unwrap();
        (0..100).for_each(|_| can_start(8).unwrap());
        assert!(count() < before + 100);
    }
}
