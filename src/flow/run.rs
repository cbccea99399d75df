//! A run to be embedded: started from a plan, watched, stopped, joined.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;

use super::pipeline::{self, Outcome};
use super::plan::Plan;
use crate::base::panic::panicked;
use crate::domain::event::LabelEvent;
use crate::domain::progress::{Phase, Progress};
use crate::error::{Error, Result, with_causes};
use crate::store::{Follow, Tail};

/// How often a stream of labels that is level with the log looks again.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A run under way, made by [`RunBuilder::start`](crate::RunBuilder::start).
///
/// Dropping it stops the run where nothing is lost, as [`RunHandle::stop`] does, and waits for nothing. The run directory is
/// free for another run when the last thread of this one has ended; until then that one is told [`Error::Busy`].
///
/// The same holds when the tokio runtime is dropped, or shut down, under a run: what is stored is kept, and the next run in
/// the directory comes to the labels that this one would have come to.
#[derive(Debug)]
pub struct RunHandle {
    stop: watch::Sender<bool>,
    /// Whether the run directory is open. Closed when the run has ended, however it did.
    open: watch::Receiver<bool>,
    progress: Arc<Progress>,
    dir: PathBuf,
    /// An async mutex: it is held while the run is waited for, and several may wait.
    task: Mutex<Task>,
}

#[derive(Debug)]
enum Task {
    Running(JoinHandle<Result<Outcome>>),
    /// How it ended; an error as its text, for it was given away.
    Ended(Result<Outcome, String>),
}

/// Starts what is planned on the current runtime. Returns at once: what is wrong with the plan is told by
/// [`RunHandle::join`].
pub(super) fn start(plan: Plan) -> RunHandle {
    let (stop, stopped) = watch::channel(false);
    let (opened, open) = watch::channel(false);
    let progress = Arc::new(Progress::default());
    let dir = plan.config.run.dir.clone();
    let shown = Arc::clone(&progress);
    let task = tokio::spawn(async move {
        let ended = pipeline::run(Arc::new(plan), stopped, &opened, &shown).await;
        // Also where it ended before it had anything to count.
        shown.set_phase(if ended.is_ok() { Phase::Complete } else { Phase::Stopped });
        ended
    });
    RunHandle { stop, open, progress, dir, task: Mutex::new(Task::Running(task)) }
}

impl RunHandle {
    /// How far it is. The counters go on counting while they are looked at.
    #[must_use]
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Stops the run where nothing is lost, at once or within two seconds, whatever it is at: nothing more is asked. What a
    /// teacher was asked before is waited for, and stored; so is the row that a corpus is just giving.
    ///
    /// Returns at once; [`RunHandle::join`] waits for the end.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// A function that does what [`RunHandle::stop`] does, to be called from elsewhere: a signal handler, another task.
    pub fn stopper(&self) -> impl Fn() + Send + Sync + 'static {
        let stop = self.stop.clone();
        move || {
            stop.send_replace(true);
        }
    }

    /// Waits until the run has ended, with all its threads. May be called again: a call that was given up (in a `select!`, by
    /// a time-out) loses nothing.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] after a stop, and [`Error::TeacherStopped`] where a teacher cannot go on, leave a run that can be
    /// started again to go on; so do most others, which say what to do first. [`Error::Panicked`] names the stage that
    /// panicked, or the part of the program's own. An error is given once: a later call gives [`Error::Ended`] with its text.
    pub async fn join(&self) -> Result<Outcome> {
        let mut task = self.task.lock().await;
        let ended = match &mut *task {
            Task::Running(running) => running.await,
            Task::Ended(ended) => return ended.clone().map_err(|message| Error::Ended { message }),
        };
        let outcome = ended.unwrap_or_else(|error| {
            // Else the runtime went away under it.
            Err(error.try_into_panic().map_or(Error::Interrupted, |panic| panicked("run", panic)))
        });
        *task = Task::Ended(outcome.as_ref().copied().map_err(|error| with_causes(error)));
        outcome
    }

    /// The label events from offset `from` on, as they come, until the run has ended. First come those of earlier processes,
    /// where there are any.
    ///
    /// They are read from the label log, so a slow reader holds nothing up, and any number may read. The stream is
    /// independent of the handle, and polled on a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`Error::Labels`] if the log cannot be read.
    #[must_use]
    pub fn labels(&self, from: u64) -> BoxStream<'static, Result<LabelEvent>> {
        let labels = Labels { tail: Tail::new(&self.dir).from(from), open: self.open.clone() };
        futures::stream::unfold(labels, async |mut labels| Some((labels.next().await.transpose()?, labels))).boxed()
    }
}

impl Drop for RunHandle {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Follows the labels of one run.
struct Labels {
    tail: Tail,
    open: watch::Receiver<bool>,
}

impl Labels {
    /// The next event; `None` at the run's end.
    async fn next(&mut self) -> Result<Option<LabelEvent>> {
        // Before the directory is open there may be the log of other settings. A run that never opened it has no labels.
        if self.open.wait_for(|&open| open).await.is_err() {
            return Ok(None);
        }
        loop {
            // Before the look at the log: what was written until then is found by it.
            let ended = self.open.has_changed().is_err();
            match self.tail.poll()? {
                Follow::Event(event, _) => return Ok(Some(*event)),
                Follow::NewLog => {}
                Follow::Waiting if ended => return Ok(None),
                Follow::Waiting => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }
}
