//! Halting: one place that says that no more is asked, and keeps why. Whoever finds a reason says so at once; it does not
//! wait its turn in the corpus' order.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::base::panic::caught;
use crate::error::Error;
use crate::teacher::Teacher;

/// See the module. Shared by all that work on a run.
pub(crate) struct Halt {
    /// Never goes back to false.
    halted: watch::Sender<bool>,
    /// The weightiest that was told so far; of equals the first.
    error: Mutex<Option<Error>>,
    /// Told once, by whoever halts first.
    teachers: Vec<Arc<dyn Teacher>>,
}

impl Halt {
    /// Nothing is halted yet. `teachers` are told to send nothing more when it is.
    pub(crate) fn new(teachers: Vec<Arc<dyn Teacher>>) -> Arc<Self> {
        Arc::new(Self { halted: watch::Sender::new(false), error: Mutex::default(), teachers })
    }

    /// Nothing more is asked. What is in flight still comes back and is kept.
    pub(crate) fn halt(&self) {
        // Only once, and in the caller's thread; a teacher of the program's own may panic here.
        if !self.halted.send_replace(true) {
            let told = caught("teacher", || {
                self.teachers.iter().for_each(|teacher| teacher.stop());
                Ok(())
            });
            if let Err(error) = told {
                self.fail(error);
            }
        }
    }

    /// As [`Halt::halt`], because of `error`. The first one is told; those after it mostly follow from it. One that
    /// says more takes its place: see [`weight`].
    pub(crate) fn fail(&self, error: Error) {
        let mut first = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if first.as_ref().is_none_or(|first| weight(first) > weight(&error)) {
            *first = Some(error);
        }
        drop(first);
        self.halt();
    }

    pub(crate) fn is_halted(&self) -> bool {
        *self.halted.borrow()
    }

    /// Returns once nothing more is asked.
    pub(crate) async fn halted(&self) {
        // The sender is this object's own: it cannot be gone.
        let _ = self.halted.subscribe().wait_for(|&halted| halted).await;
    }

    /// Why it was halted, if it was for an error.
    pub(crate) fn take_error(&self) -> Option<Error> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A stage that is gone or was interrupted says less than the one that failed first. The lightest number is told.
pub(crate) fn weight(error: &Error) -> u8 {
    match error {
        Error::Gone { .. } => 2,
        Error::Interrupted => 1,
        _ => 0,
    }
}
