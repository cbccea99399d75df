//! The threads of a run: started in their order, joined in the order in which each can end.
//!
//! A thread ends when the channel that it reads from is closed, so those upstream end first: corpus, then student, then
//! store, then sinks. Each holds the lock of the run directory until its end, so no other run begins beside a thread
//! that still works there.

use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, mpsc, watch};

use super::halt::Halt;
use super::intake::{Intake, Question, ReadTo};
use super::opening::Taken;
use super::plan::Plan;
use super::sinking::Sinking;
use crate::base::panic::caught;
use crate::base::threads::join;
use crate::corpus::Corpus;
use crate::distill::{Feed, Follower, Report};
use crate::domain::progress::Progress;
use crate::error::{Error, Result};
use crate::store::{InputCounts, LocalStore, RunLock, Sink, Store};
use crate::teacher::Teacher;

/// What a run is made of besides its plan and its directory.
pub(super) struct Materials<'a> {
    pub(super) plan: &'a Plan,
    pub(super) corpus: Box<dyn Corpus>,
    pub(super) teachers: Vec<Arc<dyn Teacher>>,
    pub(super) sinks: Vec<Box<dyn Sink>>,
    pub(super) halt: &'a Arc<Halt>,
    pub(super) progress: &'a Arc<Progress>,
    /// Set, or closed, when the run is to end before its end.
    pub(super) stop: &'a watch::Receiver<bool>,
    /// Whether what the run has came from another machine.
    pub(super) came_from_elsewhere: bool,
}

/// The threads under way, and what they are told by.
pub(super) struct Stages {
    pub(super) store: Store,
    /// Tells the student how far the input log goes.
    pub(super) feed: watch::Sender<Feed>,
    /// Whether sinks need not catch up. They take it for that, too, when it is gone.
    ending: watch::Sender<bool>,
    /// Halts asking when the run is to end before its end.
    watcher: tokio::task::JoinHandle<()>,
    /// "candist-check": reads the whole index; see [`start_check`].
    check: JoinHandle<Result<()>>,
    /// "candist-store": the only one who writes logs and index.
    writer: JoinHandle<Result<()>>,
    /// "candist-sink", one for each.
    sinks: Vec<JoinHandle<Result<()>>>,
    /// "candist-student": the only one who trains and labels.
    student: JoinHandle<Result<Report>>,
}

/// What the corpus' thread gives, and itself: it ends with how far the corpus was read.
pub(super) type Reading = (mpsc::Receiver<Question>, JoinHandle<Result<ReadTo>>);

/// How the threads ended.
pub(super) struct Ended {
    /// Events of the input log.
    pub(super) counts: InputCounts,
    pub(super) student: Result<Report>,
    pub(super) writer: Result<()>,
    pub(super) sinks: Result<()>,
    pub(super) check: Result<()>,
}

impl Stages {
    /// Starts check, store, sinks, student and corpus, and gives the questions that come of the corpus. Each thread holds the
    /// lock of the directory until it ends, so where one cannot be started those before it end by themselves, and the directory
    /// is let go of when they have.
    pub(super) fn start(taken: Taken, materials: Materials<'_>) -> Result<(Self, Reading)> {
        let Materials { plan, corpus, teachers, sinks, halt, progress, stop, came_from_elsewhere } = materials;
        let (config, lock, log) = (&plan.config, taken.owned.lock(), taken.owned.log().to_owned());
        // How far the logs went before this run: the student's feed begins there, and so does what counts as new.
        let (before, events) = (taken.store.inputs(), taken.store.events());
        // First, since it reads the index as it was opened; intake waits for it before it calls anything new.
        let (check, checked) = start_check(&taken.store, halt, stop, &lock)?;
        let (store, writer) = taken.store.start(&config.run.dir, Arc::clone(&lock))?;
        let (feed, followed) = watch::channel(Feed { events: before.events, ..Feed::default() });
        // Another channel than `stop`: a sink that failed stops the others as well.
        let (ending, stopping) = watch::channel(false);
        let sink_failed = Arc::new(Notify::new());
        let sinking = Sinking {
            log,
            written: store.events.written(),
            stop: stopping,
            halt: Arc::clone(halt),
            failed: Arc::clone(&sink_failed),
            lock: Arc::clone(&lock),
        };
        let sinks = sinking.start(&config.run.dir, sinks)?;
        let student = Follower {
            student: plan.student(),
            distill: config.distill.clone(),
            refinery: plan.refinery(),
            labels: config.task.labels.len(),
            labelling: taken.labelling,
            dir: config.run.dir.clone(),
            every: config.run.checkpoint_every,
            store: store.clone(),
            events,
            checkpoints: Arc::new(taken.checkpoints),
            feed: followed,
            progress: Arc::clone(progress),
            lock: Arc::clone(&lock),
        }
        .start()?;
        let reading = Intake {
            corpus,
            teachers,
            retry_failures: plan.retry_failures,
            limit: plan.limit,
            store: store.clone(),
            progress: Arc::clone(progress),
            halt: Arc::clone(halt),
            checked,
            // What comes through a pipe goes on after what came before.
            goes_on: came_from_elsewhere && !config.corpus.is_stdin(),
            lock,
        }
        .start()?;
        // Last: it halts what has been started.
        let watching = Watching { stop: stop.clone(), sink_failed, ending: ending.clone(), feed: feed.clone() };
        let watcher = tokio::spawn(watching.run(Arc::clone(halt)));
        let stages = Self { store, feed, ending, watcher, check, writer, sinks, student };
        Ok((stages, reading))
    }

    /// Waits until all is written that there is to write, and every thread has ended.
    pub(super) async fn end(self) -> Ended {
        self.feed.send_modify(|feed| feed.closed = true);
        // It settles the labels first, if it has been given the end of the corpus.
        let student = join("student", self.student).await;
        let counts = self.store.inputs.counts();
        // The writer ends with the last handle to the store, after all that was handed to it is on disk.
        drop(self.store);
        let writer = join("store", self.writer).await;
        let mut sinks = Ok(());
        for sink in self.sinks {
            sinks = sinks.and(join("sink", sink).await);
        }
        // Until then a stop is for the sinks.
        self.watcher.abort();
        drop(self.ending);
        let check = join("check of the store", self.check).await;
        Ended { counts, student, writer, sinks, check }
    }
}

/// The thread, and a channel that becomes true when nothing is amiss and closes where that was not found out.
type Check = (JoinHandle<Result<()>>, watch::Receiver<bool>);

/// Checks the whole index beside the rest; nothing counts as new before that. Given up where nobody is left who waits
/// for it.
///
/// Opening reads what changed, not every entry, so that a large run begins at once. But an entry that sled lost would
/// make a text look new, and have it asked, and paid, a second time.
fn start_check(
    store: &LocalStore,
    halt: &Arc<Halt>,
    stop: &watch::Receiver<bool>,
    lock: &Arc<RunLock>,
) -> Result<Check> {
    let (done, checked) = watch::channel(false);
    let (check, halt, stop, lock) = (store.check(), Arc::clone(halt), stop.clone(), Arc::clone(lock));
    let run = move || {
        // Looked at often while it reads: a stop must not wait for it.
        let unneeded = || *stop.borrow() || halt.is_halted() || done.is_closed();
        let found = match caught("check of the store", || check(&unneeded)) {
            Ok(()) => {
                done.send_replace(true);
                Ok(())
            }
            // Given up because nobody needs it any more: `done` closes, and intake, if it still waits, ends.
            Err(Error::Interrupted) => Ok(()),
            Err(error) => {
                // It is told when the thread is joined.
                halt.halt();
                Err(error)
            }
        };
        drop(lock);
        found
    };
    let thread = std::thread::Builder::new().name("candist-check".to_owned()).spawn(run).map_err(Error::no_thread)?;
    Ok((thread, checked))
}

/// Stops asking when the user wants it, a sink failed or the student is gone; in the first two cases all others stop too.
struct Watching {
    stop: watch::Receiver<bool>,
    sink_failed: Arc<Notify>,
    ending: watch::Sender<bool>,
    feed: watch::Sender<Feed>,
}

impl Watching {
    async fn run(self, halt: Arc<Halt>) {
        let Self { mut stop, sink_failed, ending, feed } = self;
        let mut told_to_end = pin!(async {
            tokio::select! {
                // Whoever could set it is gone: nobody waits for this run any more.
                _ = stop.wait_for(|&stop| stop) => {}
                () = sink_failed.notified() => {}
            }
        });
        let student_ended = tokio::select! {
            () = &mut told_to_end => false,
            () = feed.closed() => true,
        };
        if student_ended && feed.borrow().closed {
            // All is labelled, and nothing is asked any more: only sinks may still have something to do.
            told_to_end.await;
            ending.send_replace(true);
            return;
        }
        if !student_ended {
            ending.send_replace(true);
            feed.send_modify(|feed| feed.stop = true);
        }
        halt.halt();
    }
}
