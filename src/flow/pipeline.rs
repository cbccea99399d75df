//! The one place where the stages are joined: corpus → intake → asking → logs → student → label log.
//!
//! Nothing returns early between the start of the threads and their end: whatever happens, all are joined, and only
//! then one error is chosen from what each of them says.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rust_decimal::Decimal;
use tokio::sync::watch;

use super::asking::Asker;
use super::correcting::Correcting;
use super::halt::{Halt, weight};
use super::intake::ReadTo;
use super::opening::{Parts, parts, take};
use super::placing::{Log, ask_all, place_all};
use super::plan::Plan;
use super::sharing::Sharing;
use super::stages::{Ended, Materials, Stages};
use super::status::StatusFile;
use super::total::Total;
use crate::base::durable::remove;
use crate::base::failpoint::pass;
use crate::base::threads::{blocking, join};
use crate::config::Config;
use crate::distill::{Feed, Report};
use crate::domain::answer::AnswerRecord;
use crate::domain::input::NewInput;
use crate::domain::progress::{About, Phase, Progress};
use crate::error::{Error, Result};
use crate::store::{FailureCounts, InputCounts, RunLock, Store};

/// How a run ended that came to the end of its corpus, or of the part of it that it was to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What was not labelled by a teacher, and what could not be read.
    pub failures: FailureCounts,
    /// Label events that this call added.
    pub new_events: u64,
    /// What was spent so far, by this and earlier calls, at most: requests of unknown outcome count in full.
    pub spent: Decimal,
    /// Whether it read no further because of a limit: the corpus may have more texts.
    pub limited: bool,
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
                // The first try lets go of the directory; another run may have taken it since.
                let _lock = lock_again(&dir)?;
                let store = dir.join("store");
                remove(&store)?;
                // Empty, not missing: what is made anew then is no repair to be told once more.
                std::fs::create_dir(&store).map_err(Error::run_file("create", &store))
            })
            .await?;
            // Once: what is damaged again at once is no accident, and its error is told.
            run_once(&plan, stop, open, progress).await
        }
        ended => ended,
    }
}

/// The lock of a run of our own that has just ended: a task that was cut off may hold it a moment longer.
fn lock_again(dir: &Path) -> Result<RunLock> {
    let patience = Instant::now() + Duration::from_secs(2);
    loop {
        match RunLock::take(dir) {
            Err(Error::Busy { .. }) if Instant::now() < patience => std::thread::sleep(Duration::from_millis(20)),
            taken => return taken,
        }
    }
}

/// One try of [`run`], from opening to the last join.
async fn run_once(
    plan: &Arc<Plan>,
    stop: watch::Receiver<bool>,
    open: &watch::Sender<bool>,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    // ---- the parts, then the run directory: ours alone, and level with its logs ----------------------------------------------
    // Before anything else: a device that is not there should not cost the time of opening a corpus.
    plan.student().available()?;
    let Parts { corpus, teachers, sinks, people, ledger } = parts(plan, progress, stop.clone()).await?;
    // Where others ask, one process at a time trains: the lease comes before the directory, which is nobody's while it waits.
    let (mut sharing, teachers) = Sharing::begin(plan, teachers, &ledger, &stop).await?;
    let ended =
        run_parts(plan, Parts { corpus, teachers, sinks, people, ledger }, &mut sharing, stop, open, progress).await;
    // Whatever became of it, the next one need not wait. Why the sharing ended goes before what followed from it.
    sharing.end(ended.as_ref().is_ok_and(|outcome| !outcome.limited)).await?;
    ended
}

/// As [`run_once`], from the run directory on.
async fn run_parts(
    plan: &Arc<Plan>,
    parts: Parts,
    sharing: &mut Sharing,
    stop: watch::Receiver<bool>,
    open: &watch::Sender<bool>,
    progress: &Arc<Progress>,
) -> Result<Outcome> {
    let config = &plan.config;
    let Parts { corpus, teachers, sinks, people, ledger } = parts;
    let taken = take(plan, &teachers, &stop).await?;
    let (before, events, lock) = (taken.store.inputs(), taken.store.events(), taken.owned.lock());
    progress.describe(about(config));
    progress.begin(before.samples, taken.store.failed(), events);
    // From here on who follows the labels finds the right log.
    open.send_replace(true);
    // Nothing has been sent: the ledger has to know all that was spent before its first reservation.
    ledger.take_up(&config.run.dir, taken.store.totals().cost)?;
    sharing.opened(&config.run.dir, ledger.sums().total()).await?;
    progress.begin_cost(ledger.sums().recorded);

    // ---- the threads: check, store, sinks, student, corpus ---------------------------------------------------------------------
    let halt = Halt::new(teachers.clone());
    let materials = Materials {
        plan,
        corpus,
        teachers: teachers.clone(),
        sinks,
        halt: &halt,
        progress,
        stop: &stop,
        came_from_elsewhere: sharing.came_from_elsewhere(),
    };
    let (stages, (questions, intake)) = Stages::start(taken, materials)?;
    // Stops counting when it is dropped.
    let _total = Total::start(plan, progress);
    let status = StatusFile::start(&config.run.dir, Arc::clone(progress), Arc::clone(&ledger), lock);

    // ---- asking: many at a time; into the input log in corpus order --------------------------------------------------------------
    let (store, feed) = (stages.store.clone(), stages.feed.clone());
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
    let correcting = Correcting::new(&config.run.dir, &config.task.labels, people, store.clone());
    let log = Log::new(store.clone(), feed.clone(), correcting);
    let placed = place_all(replies, log, Arc::clone(progress), Arc::clone(&halt)).await;
    // Ends soon after: nobody takes its questions any more, or there are none left.
    let read = join("intake", intake).await;

    // ---- the end: settle the labels, or stop where nothing is lost ------------------------------------------------------------------
    // A limit is an end like the corpus' own: what comes after it comes to a corpus that grew.
    let complete = matches!((&placed, &read), (Ok(_), Ok(ReadTo::End | ReadTo::Limit))) && !halt.is_halted();
    let limited = matches!(read, Ok(ReadTo::Limit));
    let (tried, placed) = placed.map_or_else(|error| (Vec::new(), Err(error)), |tried| (tried, Ok(())));
    let ended = if complete { end_corpus(&store, &feed, tried).await } else { Ok(()) };
    // The store's thread ends when nobody can hand it anything any more.
    drop((store, feed, teachers));
    let Ended { counts, student, writer, sinks, check } = stages.end().await;
    let spent = ledger.sums().total();
    // After all threads, so that no request is in flight whose end would not be written.
    let balanced = blocking("store", move || ledger.close()).await;

    // ---- what to tell: the first cause, not what followed from it ---------------------------------------------------------------------
    // Of errors that weigh the same, the first in this list is told: a store that failed is the cause of most of the
    // rest.
    let errors = [writer, sinks, halt.take_error().map_or(Ok(()), Err), check, placed, ended, balanced];
    let report = first_cause(errors, read.map(|_| ()), student);
    let result = report.and_then(|report| conclude(report, complete, counts));
    progress.set_phase(if result.is_ok() { Phase::Complete } else { Phase::Stopped });
    status.end();
    result?;
    let failures = FailureCounts {
        samples: progress.failed.get(),
        rows: progress.bad_rows.get(),
        unanswered: progress.unanswered.get(),
    };
    Ok(Outcome { failures, spent, limited, new_events: progress.events.get().saturating_sub(events) })
}

/// What is shown of a configuration beside the counters.
fn about(config: &Config) -> About {
    About {
        labels: config.task.labels.iter().map(|label| label.name.clone()).collect(),
        max_passes: config.distill.max_passes.unwrap_or(0),
        max_cost: config.run.max_cost,
    }
}

/// The corpus' end is an input too: before the student acts on it, it is in the log. What was tried without an answer
/// is kept, now that the run is known to end: see [`super::asking`].
async fn end_corpus(store: &Store, feed: &watch::Sender<Feed>, tried: Vec<AnswerRecord>) -> Result<()> {
    if !tried.is_empty() {
        store.answers.keep(tried).await?;
    }
    let counts = store.inputs.counts();
    // It ended here before, and nothing has come since: the labels are settled up to here.
    if counts.ended == Some(counts.events) {
        return Ok(());
    }
    pass("before-end")?;
    let counts = store.inputs.append(vec![NewInput::End]).await?;
    pass("after-end")?;
    feed.send_modify(|feed| feed.events = counts.events);
    Ok(())
}

/// What a run without an error came to. A run that was stopped after its corpus' end, while its labels were still
/// settling, is interrupted too: the next one settles them.
fn conclude(report: Report, complete: bool, counts: InputCounts) -> Result<()> {
    if !complete || report.settled < counts.events {
        return Err(Error::Interrupted);
    }
    // A student that learned nothing labels nothing: better told than a label log without a line.
    if counts.samples > 0 && !report.has_candidates {
        return Err(Error::NothingUsable { samples: counts.samples });
    }
    Ok(())
}

/// The report, or the error that caused the others.
fn first_cause(
    errors: impl IntoIterator<Item = Result<()>>,
    read: Result<()>,
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
