//! Says what went wrong, once: the same again is counted, and the count said after a while and at the end. A server
//! that is down fails thousands of requests, and a terminal full of the same line hides what else there is.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The same is said again after so long, with how often it came meanwhile.
const AGAIN_AFTER: Duration = Duration::from_secs(30);
/// Different things that are kept apart; servers may put a number of its own into every error.
const KINDS: usize = 64;

#[derive(Debug)]
struct Told {
    /// When it was said last.
    at: Instant,
    /// As it was first said, with what differs from time to time.
    message: String,
    /// Not yet told.
    repeats: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Teller {
    /// Who it speaks for.
    teacher: String,
    told: Mutex<HashMap<String, Told>>,
}

impl Teller {
    pub(super) fn new(teacher: &str) -> Self {
        Self { teacher: teacher.to_owned(), told: Mutex::default() }
    }

    /// Warns of `what`; `more` may differ from time to time, as the length of a wait, and does not make it something
    /// new.
    pub(super) fn warn(&self, what: &str, more: &str) {
        if let Some(message) = self.note(what, more) {
            tracing::warn!("teacher {:?}: {message}", self.teacher);
        }
    }

    /// What to say now, if anything.
    fn note(&self, what: &str, more: &str) -> Option<String> {
        let message = format!("{what}{more}");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        // Forgets those that came once, and those that were said long ago: what was counted of them is not told.
        if told.len() >= KINDS {
            told.retain(|_, told| told.repeats > 0 && told.at.elapsed() < AGAIN_AFTER);
        }
        let Some(before) = told.get_mut(what) else {
            told.insert(what.to_owned(), Told { at: Instant::now(), message: message.clone(), repeats: 0 });
            return Some(message);
        };
        before.repeats += 1;
        let length = before.at.elapsed();
        if length < AGAIN_AFTER {
            return None;
        }
        let repeats = std::mem::take(&mut before.repeats);
        before.at = Instant::now();
        Some(format!("{message} ({repeats} times in the last {} s)", length.as_secs()))
    }

    /// Says what was only counted so far.
    pub(super) fn finish(&self) {
        for rest in self.rest() {
            tracing::warn!("teacher {:?}: {rest}", self.teacher);
        }
    }

    fn rest(&self) -> Vec<String> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = told.drain().filter(|(_, told)| told.repeats > 0);
        rest.map(|(_, told)| format!("{} ({} times more)", told.message, told.repeats)).collect()
    }
}

impl Drop for Teller {
    fn drop(&mut self) {
        self.finish();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_same_is_said_once_and_counted() {
        let teller = Teller::new("t");
        assert_eq!(teller.note("refused", "; waiting 1 s").as_deref(), Some("refused; waiting 1 s"));
        for _ in 0..300 {
            assert_eq!(teller.note("refused", "; waiting 2 s"), None);
        }
        assert_eq!(teller.note("lost", "").as_deref(), Some("lost"));
        tokio::time::sleep(AGAIN_AFTER).await;
        assert_eq!(teller.note("refused", "").as_deref(), Some("refused (301 times in the last 30 s)"));
        assert_eq!(teller.note("refused", ""), None);
        assert_eq!(teller.rest(), ["refused; waiting 1 s (1 times more)"]);
        assert_eq!(teller.rest(), [""; 0]);
    }

    #[test]
    fn errors_that_differ_every_time_do_not_pile_up() {
        let teller = Teller::new("t");
        for number in 0..10_000 {
            assert!(teller.note(&format!("error {number}"), "").is_some());
        }
        assert!(teller.told.lock().unwrap().len() <= KINDS);
    }
}
