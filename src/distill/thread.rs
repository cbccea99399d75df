//! The student's thread: follows the store, sample by sample, until it is told that no more come.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::watch;

use super::checkpoints::Checkpoints;
use super::distiller::{Distiller, Parts};
use crate::config::{Config, DistillConfig, StudentConfig};
use crate::domain::sample::Position;
use crate::error::{Error, Result, panic_message};
use crate::flow::progress::{Phase, Progress};
use crate::store::StoreHandle;

/// What the student follows: how far the store is, and what is to be done about it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Feed {
    /// Samples that have a position.
    pub(crate) placed: Position,
    /// Where the corpus ended, each time it did.
    pub(crate) ends: Vec<Position>,
    /// No more samples come.
    pub(crate) closed: bool,
    /// Stop at the next place where nothing is lost by it.
    pub(crate) stop: bool,
}

/// How far the student came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Report {
    /// Whether all labels are final up to the last corpus end.
    pub(crate) settled: bool,
}

struct Follower {
    student: StudentConfig,
    distill: DistillConfig,
    labels: usize,
    dir: PathBuf,
    every: std::time::Duration,
    store: StoreHandle,
    feed: watch::Receiver<Feed>,
    progress: Arc<Progress>,
}

/// Starts the student's thread. It has ended when the handle joins; `feed` is gone from then on.
pub(crate) fn start(
    config: &Config,
    store: StoreHandle,
    feed: watch::Receiver<Feed>,
    progress: Arc<Progress>,
) -> Result<JoinHandle<Result<Report>>> {
    let follower = Follower {
        student: config.student.clone(),
        distill: config.distill.clone(),
        labels: config.task.labels.len(),
        dir: config.run.dir.clone(),
        every: config.run.checkpoint_every,
        store,
        feed,
        progress,
    };
    let run = move || {
        catch_unwind(AssertUnwindSafe(|| follower.run()))
            .unwrap_or_else(|panic| Err(Error::Panicked { stage: "student", message: panic_message(panic.as_ref()) }))
    };
    std::thread::Builder::new().name("candist-student".to_owned()).spawn(run).map_err(|source| Error::RunFile {
        action: "start the student's thread of",
        path: config.run.dir.clone(),
        source,
    })
}

impl Follower {
    fn run(mut self) -> Result<Report> {
        let watched = self.feed.clone();
        let parts = Parts {
            dir: self.dir.clone(),
            checkpoints: Checkpoints::new(&self.dir, self.every, &self.student, &self.distill, self.labels)?,
            student: self.student.clone(),
            distill: self.distill.clone(),
            labels: self.labels,
            store: self.store.clone(),
            progress: Arc::clone(&self.progress),
            stopping: Box::new(move || watched.borrow().stop),
        };
        let (mut distiller, unusable) = Distiller::resume(parts)?;
        if let Some(error) = unusable {
            tracing::warn!("{error}; labels are replayed from the stored answers");
        }
        match self.follow(&mut distiller) {
            Err(Error::Interrupted) => Ok(Report { settled: false }),
            other => other,
        }
    }

    fn follow(&mut self, distiller: &mut Distiller) -> Result<Report> {
        loop {
            let feed = self.feed.borrow_and_update().clone();
            self.catch_up(distiller, &feed)?;
            distiller.flush()?;
            if feed.stop {
                // What was consumed since the last training step is consumed again; nothing else is repeated.
                distiller.checkpoint()?;
                return Ok(Report { settled: false });
            }
            if feed.closed {
                let settled = feed.ends.last() == Some(&distiller.finished());
                if !settled {
                    distiller.checkpoint()?;
                }
                return Ok(Report { settled });
            }
            // An error means that the sender is gone: the pipeline failed and says why itself.
            futures::executor::block_on(self.feed.changed()).map_err(|_| Error::Interrupted)?;
        }
    }

    fn catch_up(&self, distiller: &mut Distiller, feed: &Feed) -> Result<()> {
        loop {
            let at = distiller.consumed();
            if feed.ends.contains(&at) && distiller.finished() < at {
                distiller.finish()?;
                self.progress.set_phase(Phase::Annotating);
            }
            if at >= feed.placed || self.feed.borrow().stop {
                return Ok(());
            }
            distiller.consume(feed.placed)?;
        }
    }
}
