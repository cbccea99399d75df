//! The one place where the stages are joined: corpus → intake → asking → logs → student → label log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rust_decimal::Decimal;
use tokio::sync::{Notify, watch};

use super::asking::Asker;
use super::fingerprint;
use super::halt::{Halt, weight};
use super::intake::Intake;
use super::placing::{ask_all, place_all};
use super::plan::Plan;
use super::sinking::Sinking;
use super::status::StatusFile;
use crate::base::failpoint::pass;
use crate::base::panic::{caught, panicked};
use crate::corpus::Corpus;
use crate::distill::{Feed, Follower, Report, certified};
use crate::domain::answer::AnswerRecord;
use crate::domain::input::NewInput;
use crate::domain::progress::{Phase, Progress};
use crate::error::{Error, Result};
use crate::store::{CheckpointFiles, FailureCounts, InputCounts, LocalStore, OwnedRun, RunDir, RunLock, Sink, Store};
use crate::teacher::Teacher;
use crate::teacher::ledger::Ledger;

/// How a run ended that came to the end of its corpus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What was not labelled by a teacher, and what could not be read.
    pub failures: FailureCounts,
    /// Label events that this call added.
    pub new_events: u64,
    /// What was spent so far, by this and earlier calls, at most: requests of unknown outcome count in full.
    pub spent: Decimal,
}

/// Annotates the corpus in the run directory, from where the last run stopped, until it is complete or `stop` is set.
///
/// Ends with [`Error::Interrupted`] after a stop, and with [`Error::TeacherStopped`] when a teacher cannot go on; both leave a
/// run that the same call continues. A cache that turns out damaged is made anew, once.
pub(super) async fn run(
    plan: Arc<Plan>,
    stop: watch::Receiver<bool>,
    open: &watch::Sender<bool>,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    match run_once(&plan, stop.clone(), open, progress).await {
        Err(Error::StoreDamaged { path, message }) if !*stop.borrow() => {
            tracing::warn!("{} was damaged ({message}): made anew from the logs", path.display());
            let dir = plan.config.run.dir.clone();
            blocking("store", move || {
                let _lock = RunLock::take(&dir)?;
                let store = dir.join("store");
                std::fs::remove_dir_all(&store).map_err(Error::run_file("remove the damaged", &store))
            })
            .await?;
            run_once(&plan, stop, open, progress).await
        }
        ended => ended,
    }
}

async fn run_once(
    plan: &Arc<Plan>,
    stop: watch::Receiver<bool>,
    open: &watch::Sender<bool>,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    // ---- the inputs, then the run directory: ours alone, its parts level with the logs ---------------------------------------
    let config = &plan.config;
    plan.student().available()?;
    let Parts { corpus, teachers, sinks, ledger } = parts(plan, stop.clone()).await?;
    let Taken { owned, store: opened, labelling } = blocking("store", {
        let (plan, stop, teachers) = (Arc::clone(plan), stop.clone(), teachers.clone());
        move || take(&plan, &teachers, &stop)
    })
    .await?;
    let (before, events) = (opened.inputs(), opened.events());
    progress.begin(before.samples, opened.failed(), events);
    open.send_replace(true);
    ledger.take_up(&config.run.dir, opened.totals().cost)?;
    progress.add_cost(ledger.sums().recorded);

    let checkpoints = CheckpointFiles::of(&config.run.dir);
    checkpoints.make()?;

    // ---- the threads: check, store, sinks, student, corpus ---------------------------------------------------------------------
    let halt = Halt::new(teachers.clone());
    let (lock, log) = (owned.lock(), owned.log().to_owned());
    let unneeded = Arc::new(AtomicBool::new(false));
    let (check, checked) = start_check(&opened, &halt, &stop, &unneeded, &lock)?;
    let (store, writer) = opened.start(&config.run.dir, Arc::clone(&lock))?;
    let (feed, followed) = watch::channel(Feed { events: before.events, ..Feed::default() });
    let (ending, stopping) = watch::channel(false);
    let sinking = Sinking {
        log,
        written: store.events.written(),
        stop: stopping,
        halt: Arc::clone(&halt),
        failed: Arc::default(),
        lock: Arc::clone(&lock),
    };
    let sinks = sinking.start(&config.run.dir, sinks)?;
    let student = Follower {
        student: plan.student(),
        distill: config.distill.clone(),
        refinery: plan.refinery(),
        labels: config.task.labels.len(),
        labelling,
        dir: config.run.dir.clone(),
        every: config.run.checkpoint_every,
        store: store.clone(),
        events,
        checkpoints: Arc::new(checkpoints),
        feed: followed,
        progress: Arc::clone(progress),
        lock: Arc::clone(&lock),
    }
    .start()?;
    let (questions, intake) = Intake {
        corpus,
        teachers: teachers.clone(),
        retry_failures: plan.retry_failures,
        store: store.clone(),
        progress: Arc::clone(progress),
        halt: Arc::clone(&halt),
        checked,
        lock: Arc::clone(&lock),
    }
    .start()?;
    let status = StatusFile::start(&config.run.dir, Arc::clone(progress), Arc::clone(&ledger), lock);

    // ---- asking: many at a time; into the input log in corpus order --------------------------------------------------------------
    let watching = Watching { stop, sink_failed: sinking.failed, ending: ending.clone(), feed: feed.clone() };
    let watcher = tokio::spawn(watching.run(Arc::clone(&halt)));
    let answers = Arc::clone(&store.answers);
    let asker = Asker::new(
        &teachers,
        config.combine,
        answers,
        config.task.labels.len(),
        Arc::clone(&halt),
        Arc::clone(progress),
    );
    let replies = ask_all(questions, asker, config.run.window, Arc::clone(&halt));
    let placed = place_all(replies, store.clone(), feed.clone(), Arc::clone(progress), Arc::clone(&halt)).await;
    let read_to_end = join("intake", intake).await;
    // Whoever had to wait for the check has done so.
    unneeded.store(true, Ordering::Relaxed);

    // ---- the end: settle the labels, or stop where nothing is lost ------------------------------------------------------------------
    let complete = matches!((&placed, &read_to_end), (Ok(_), Ok(true))) && !halt.is_halted();
    let (tried, placed) = placed.map_or_else(|error| (Vec::new(), Err(error)), |tried| (tried, Ok(())));
    let ended = if complete { end_corpus(&store, &feed, tried).await } else { Ok(()) };
    feed.send_modify(|feed| feed.closed = true);
    let settled = join("student", student).await;
    watcher.abort();
    let counts = store.inputs.counts();
    drop((store, teachers));
    let written = join("store", writer).await;
    let mut handed_on = Ok(());
    for sink in sinks {
        handed_on = handed_on.and(join("sink", sink).await);
    }
    // Once all is done it is halted like the rest, if it is not through.
    let checked = match join("check of the store", check).await {
        Err(Error::Interrupted) if complete => Ok(()),
        checked => checked,
    };
    let spent = ledger.sums().total();
    let balanced = blocking("store", move || ledger.close()).await;

    // ---- what to tell: the first cause, not what followed from it ---------------------------------------------------------------------
    let errors = [written, handed_on, halt.take_error().map_or(Ok(()), Err), checked, placed, ended, balanced];
    let report = first_cause(errors, read_to_end, settled);
    let result = report.and_then(|report| conclude(report, complete, counts));
    progress.set_phase(if result.is_ok() { Phase::Complete } else { Phase::Stopped });
    status.end();
    result?;
    let failures = FailureCounts {
        samples: progress.failed.get(),
        rows: progress.bad_rows.get(),
        unanswered: progress.unanswered.get(),
    };
    Ok(Outcome { failures, spent, new_events: progress.events.get().saturating_sub(events) })
}

/// What a run stands on besides its directory, opened.
struct Parts {
    corpus: Box<dyn Corpus>,
    teachers: Vec<Arc<dyn Teacher>>,
    sinks: Vec<Box<dyn Sink>>,
    ledger: Arc<Ledger>,
}

/// Opens the parts. A stop does not wait for that: nothing of the directory is held yet.
async fn parts(plan: &Arc<Plan>, mut stop: watch::Receiver<bool>) -> Result<Parts> {
    let opened = blocking("run", {
        let plan = Arc::clone(plan);
        move || {
            let ledger = Ledger::new(plan.config.run.max_cost);
            Ok(Parts { corpus: plan.corpus()?, teachers: plan.teachers(&ledger)?, sinks: plan.sinks(), ledger })
        }
    });
    tokio::select! {
        biased;
        _ = stop.wait_for(|&stop| stop) => Err(Error::Interrupted),
        opened = opened => opened,
    }
}

/// The run directory, taken and open.
struct Taken {
    owned: OwnedRun,
    store: LocalStore,
    labelling: String,
}

fn take(plan: &Plan, teachers: &[Arc<dyn Teacher>], stop: &watch::Receiver<bool>) -> Result<Taken> {
    let dir = &plan.config.run.dir;
    let identity = fingerprint::identity(plan, teachers)?;
    let labelling = identity.labelling.clone();
    let owned = RunDir::own(dir, identity)?;
    for note in owned.notes() {
        tracing::warn!("{note}");
    }
    let certified = certified(&CheckpointFiles::of(dir), &labelling);
    let store = owned.store(certified, &|| *stop.borrow())?;
    for repair in store.repairs() {
        tracing::warn!("{repair}");
    }
    Ok(Taken { owned, store, labelling })
}

type Check = (JoinHandle<Result<()>>, watch::Receiver<bool>);

/// Checks the whole index beside the rest, until it is `unneeded`. Nothing counts as new before that.
fn start_check(
    store: &LocalStore,
    halt: &Arc<Halt>,
    stop: &watch::Receiver<bool>,
    unneeded: &Arc<AtomicBool>,
    lock: &Arc<RunLock>,
) -> Result<Check> {
    let (done, checked) = watch::channel(false);
    let (check, halt, stop, lock) = (store.check(), Arc::clone(halt), stop.clone(), Arc::clone(lock));
    let unneeded = Arc::clone(unneeded);
    let run = move || {
        let is_unneeded = || unneeded.load(Ordering::Relaxed);
        let stopping = || *stop.borrow() || halt.is_halted() || is_unneeded();
        let found = match caught("check of the store", || check(&stopping)) {
            Err(Error::Interrupted) if is_unneeded() => Ok(()),
            found => found,
        };
        match &found {
            Ok(()) => drop(done.send_replace(true)),
            // It is told when the thread is joined.
            Err(_) => halt.halt(),
        }
        drop(lock);
        found
    };
    let thread = std::thread::Builder::new()
        .name("candist-check".to_owned())
        .spawn(run)
        .map_err(Error::run_file("start the thread that checks", std::path::Path::new("store")))?;
    Ok((thread, checked))
}

/// The corpus' end is an input too: before the student acts on it, it is in the log. What was tried without an answer is kept.
async fn end_corpus(store: &Store, feed: &watch::Sender<Feed>, tried: Vec<AnswerRecord>) -> Result<()> {
    if !tried.is_empty() {
        store.answers.keep(tried).await?;
    }
    let counts = store.inputs.counts();
    if counts.ended == Some(counts.events) {
        return Ok(());
    }
    pass("before-end")?;
    let counts = store.inputs.append(vec![NewInput::End]).await?;
    pass("after-end")?;
    feed.send_modify(|feed| feed.events = counts.events);
    Ok(())
}

/// Stops asking when the user wants it, a sink failed or the student is gone; in the first two cases all others stop too.
struct Watching {
    stop: watch::Receiver<bool>,
    sink_failed: Arc<Notify>,
    ending: watch::Sender<bool>,
    feed: watch::Sender<Feed>,
}

impl Watching {
    async fn run(mut self, halt: Arc<Halt>) {
        let stopped = tokio::select! {
            // Whoever could set it is gone: nobody waits for this run any more.
            _ = self.stop.wait_for(|&stop| stop) => true,
            () = self.sink_failed.notified() => true,
            () = self.feed.closed() => false,
        };
        if stopped {
            self.ending.send_replace(true);
            self.feed.send_modify(|feed| feed.stop = true);
        }
        halt.halt();
    }
}

/// What a run without an error came to.
fn conclude(report: Report, complete: bool, counts: InputCounts) -> Result<()> {
    if !complete || report.settled < counts.events {
        return Err(Error::Interrupted);
    }
    if counts.samples > 0 && !report.has_candidates {
        return Err(Error::NothingUsable { samples: counts.samples });
    }
    Ok(())
}

pub(super) async fn blocking<T: Send + 'static>(
    stage: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(error.try_into_panic().map_or(Error::Interrupted, |panic| panicked(stage, panic))))
}

async fn join<T: Send + 'static>(stage: &'static str, thread: JoinHandle<Result<T>>) -> Result<T> {
    blocking(stage, move || thread.join().unwrap_or_else(|panic| Err(panicked(stage, panic)))).await
}

/// The report, or the error that caused the others.
fn first_cause(
    errors: impl IntoIterator<Item = Result<()>>,
    read: Result<bool>,
    settled: Result<Report>,
) -> Result<Report> {
    let mut errors: Vec<Error> = errors.into_iter().filter_map(Result::err).collect();
    errors.extend(read.err());
    let report = settled.map_err(|error| errors.push(error));
    errors.sort_by_key(weight);
    match (errors.into_iter().next(), report) {
        (None, Ok(report)) => Ok(report),
        (Some(error), _) => Err(error),
        (None, Err(())) => Err(Error::gone("student")),
    }
}
