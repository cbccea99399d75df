//! Whether threads can be had, asked before they are needed: much of what a run stands on waits for ever for a thread that
//! the system did not give, or ends the process.

use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::thread::Builder;

use crate::error::{Error, Result};

/// An error unless so many threads can be started beside those there are, all at once.
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
    // They do nothing that could fail.
    started.into_iter().for_each(|thread| drop(thread.join()));
    outcome
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
