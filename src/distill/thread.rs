//! The student's thread: follows the input log, event by event, until it is told that no more come.
//!
//! It waits for the log and never the other way round: a slow student delays labels, not answers. What it is told
//! ([`Feed`]) is how far the log goes, so a message that is overwritten before it was read costs nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;

use super::checkpoints::Keeper;
use super::distiller::{Distiller, NewRefinery, Parts};
use super::new_student::NewStudent;
use crate::base::panic::caught;
use crate::config::DistillConfig;
use crate::domain::progress::Progress;
use crate::error::{Error, Result};
use crate::store::{Checkpoints, RunLock, Store};

/// What the student follows: how far the input log goes, and what is to be done about it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Feed {
    /// Events of the input log that are on disk.
    pub(crate) events: u64,
    /// No more events come.
    pub(crate) closed: bool,
    /// Stop at the next boundary.
    pub(crate) stop: bool,
}

/// How far the student came, given also by a thread that was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Events up to and with the end of the corpus up to which labels are final.
    pub(crate) settled: u64,
    /// Whether there was anything to learn from.
    pub(crate) has_candidates: bool,
}

/// What a student's thread is made of. All of it is given up to the thread.
pub(crate) struct Follower {
    pub(crate) student: NewStudent,
    pub(crate) distill: DistillConfig,
    pub(crate) refinery: NewRefinery,
    /// Labels of the task.
    pub(crate) labels: usize,
    /// Hash of what labels depend on besides the input log.
    pub(crate) labelling: String,
    pub(crate) dir: PathBuf,
    /// Work that a kill may make it repeat: the time between two checkpoints.
    pub(crate) every: Duration,
    pub(crate) store: Store,
    /// Label events stored before it begins.
    pub(crate) events: u64,
    pub(crate) checkpoints: Arc<dyn Checkpoints>,
    pub(crate) feed: watch::Receiver<Feed>,
    pub(crate) progress: Arc<Progress>,
    /// Held until the thread ends.
    pub(crate) lock: Arc<RunLock>,
}

impl Follower {
    /// Starts the thread. It has ended when the handle joins; `feed` is gone from then on. A panic in it is an error
    /// that names the student, or the part of the program's own that panicked.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be started. What ends the thread is in the handle.
    pub(crate) fn start(self) -> Result<JoinHandle<Result<Report>>> {
        let run = move || caught("student", || self.run());
        std::thread::Builder::new().name("candist-student".to_owned()).spawn(run).map_err(Error::no_thread)
    }

    fn run(mut self) -> Result<Report> {
        let watched = self.feed.clone();
        let keeper = Keeper::new(
            Arc::clone(&self.checkpoints),
            self.every,
            self.student.clone(),
            self.labelling.clone(),
            &self.distill,
            self.labels,
        );
        let parts = Parts {
            student: self.student.make(&self.distill, self.labels, &self.dir)?,
            refinery: Arc::clone(&self.refinery),
            distill: self.distill.clone(),
            seed: self.student.config.seed,
            labels: self.labels,
            store: self.store.clone(),
            keeper,
            progress: Arc::clone(&self.progress),
            // Whoever fed it may be gone without a word, after a panic: that is a wish to stop too.
            stopping: Box::new(move || watched.borrow().stop || watched.has_changed().is_err()),
        };
        let (mut distiller, unusable) = Distiller::resume(parts, self.events)?;
        if let Some(error) = unusable.first() {
            tracing::warn!("{error}");
        }
        let behind = self.events.saturating_sub(distiller.offset());
        if behind > 0 && distiller.consumed() == 0 {
            tracing::info!("{behind} label events come again from the first text on, and are compared with the log");
        }
        let followed = self.follow(&mut distiller);
        let report = Report { settled: distiller.settled(), has_candidates: distiller.has_candidates() };
        let kept = distiller.finish_checkpoint();
        // What computes goes before the lock does. Handles of the store hold it themselves until they are gone.
        drop(distiller);
        drop(self.lock);
        match followed {
            // A checkpoint that could not be written is told also by a run that was to stop.
            Ok(()) | Err(Error::Interrupted) => kept.map(|()| report),
            Err(error) => Err(error),
        }
    }

    /// Works off what there is, then waits for more. Ends after a stop, or when the feed is closed and all is taken
    /// in.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] after a stop within work, with nothing lost; all others end the run.
    fn follow(&mut self, distiller: &mut Distiller) -> Result<()> {
        loop {
            let feed = *self.feed.borrow_and_update();
            while !self.feed.borrow().stop && (distiller.is_busy() || distiller.consumed() < feed.events) {
                distiller.advance(feed.events)?;
            }
            // Nothing is left to do for now: whoever follows the log shall see all labels that there are.
            distiller.flush()?;
            if self.feed.borrow().stop || (feed.closed && distiller.settled() < feed.events) {
                // What was taken in since the last training step is taken in again; nothing else is repeated.
                return distiller.checkpoint();
            }
            if feed.closed {
                return Ok(());
            }
            futures::executor::block_on(async {
                tokio::select! {
                    // An error means that the sender is gone: the pipeline failed and says why itself.
                    changed = self.feed.changed() => changed.map_err(|_| Error::Interrupted),
                    // There is nothing else to do, and what went wrong is not to be told much later.
                    () = distiller.checkpoint_ended() => distiller.finish_checkpoint(),
                }
            })?;
        }
    }
}
