//! The one place where the stages are joined: corpus → resume filter → teacher → store → student → label log.

use std::future::Future;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use futures::StreamExt;
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;

use crate::config::{Combine, Config};
use crate::corpus;
use crate::distill::{self, Feed, Report};
use crate::domain::sample::to_hex;
use crate::error::{Error, Result, panic_message};
use crate::flow::asking::{Annotator, Reply};
use crate::flow::intake::{self, Question};
use crate::flow::progress::{Phase, Progress};
use crate::store::{self, FailureCounts, Manifest, RunLock, Store, StoreHandle};
use crate::student;
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Addresses, Teacher};

/// Samples that get their positions together, at most.
const PLACE_TOGETHER: usize = 256;
/// How long requests in flight may take to come back when the run stops.
const DRAIN: Duration = Duration::from_secs(30);

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// What was not labelled by a teacher, and what could not be read.
    pub failures: FailureCounts,
    /// Label events that this call added.
    pub new_events: u64,
}

/// What one call does besides going on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Options {
    /// Ask again about the texts whose answers name no label, and label all anew with what comes of it.
    pub retry_failures: bool,
}

/// Annotates the corpus in the run directory, from where the last run stopped, until it is complete or `stop` resolves.
///
/// Ends with [`Error::Interrupted`] after `stop`, and with [`Error::TeacherStopped`] when a teacher cannot go on; both
/// leave a run that the same call continues.
pub async fn run(
    config: Config,
    options: Options,
    stop: impl Future<Output = ()> + Send + 'static,
    progress: Arc<Progress>,
) -> Result<Outcome> {
    // ---- the inputs, then the run directory: ours alone, its parts in agreement --------------------------------------------------------
    student::available(&config.student)?;
    let corpus = corpus::open(&config.corpus)?;
    let ledger = Ledger::new(config.run.max_cost);
    let teachers = teacher::open_all(&config, &ledger, &Addresses::default())?;
    let (config, lock, mut manifest, store) = blocking("store", {
        let (teachers, ledger) = (teachers.clone(), Arc::clone(&ledger));
        move || open_run(config, options, &teachers, &ledger)
    })
    .await?;
    for repair in store.repairs() {
        tracing::warn!("{repair}");
    }
    let reader = store.reader();
    let (_, placed, events) = store.counts();
    progress.placed.set(placed);
    progress.add_cost(ledger.sums().recorded);
    progress.placed_before.set(placed);
    progress.events.set(events);
    progress.failed.set(blocking("store", move || reader.failure_counts()).await?.samples);

    // ---- the threads: store, student, corpus -----------------------------------------------------------------------------
    let (store, committer) = store.start()?;
    let (feed, followed) = watch::channel(Feed { placed, ends: manifest.ends.clone(), ..Feed::default() });
    let student = distill::start(&config, store.clone(), followed, Arc::clone(&progress))?;
    let (questions, filter) = intake::start(
        &config.corpus,
        corpus,
        teachers.clone(),
        options.retry_failures,
        store.clone(),
        Arc::clone(&progress),
    )?;

    // ---- asking: many at a time, handed on in corpus order ---------------------------------------------------------------
    let (stop_now, stopped) = watch::channel(false);
    let watcher = tokio::spawn(watch_for_stop(stop, feed.clone(), stop_now.clone(), teachers.clone()));
    let annotator = Annotator::new(teachers.clone(), config.combine, store.clone(), Arc::clone(&progress));
    let answers = ReceiverStream::new(questions)
        .take_until(is_set(stopped.clone()))
        .chain(no_more(config.combine, teachers.clone()))
        .map(|question| annotator.clone().annotate(question))
        .buffered(config.run.window)
        .ready_chunks(PLACE_TOGETHER);
    let asked = place_all(answers, &store, &feed, &progress, &stop_now, &teachers);
    let asked = tokio::select! {
        asked = asked => asked,
        () = drained_too_long(stopped.clone()) => Err(Error::Interrupted),
    };
    let read_to_end = join("corpus reader", filter).await;

    // ---- the end: settle the labels, or stop where nothing is lost ---------------------------------------------------------
    let complete = matches!((&asked, &read_to_end), (Ok(()), Ok(true))) && !*stopped.borrow();
    let placed = feed.borrow().placed;
    let mut noted = Ok(());
    if complete && manifest.ends.last() != Some(&placed) {
        let mut ended = manifest.clone();
        ended.ends.push(placed);
        let (written, dir) = (ended.clone(), config.run.dir.clone());
        // Before the student acts on it: a replay must find the same ends.
        noted = blocking("store", move || written.write(&dir)).await;
        if noted.is_ok() {
            manifest = ended;
        }
    }
    feed.send_modify(|feed| {
        feed.ends.clone_from(&manifest.ends);
        feed.closed = true;
    });
    let settled = join("student", student).await;
    watcher.abort();
    let reader = store.reader().clone();
    drop((store, annotator));
    let committed = join("store", committer).await;
    let balanced = blocking("store", move || ledger.close()).await;
    drop(lock);

    // ---- what to tell: the first cause, not what followed from it --------------------------------------------------------
    let report = first_cause(asked, read_to_end, settled, committed.and(noted).and(balanced));
    progress.set_phase(if matches!(report, Ok(Report { settled: true })) { Phase::Complete } else { Phase::Stopped });
    if !report?.settled {
        return Err(Error::Interrupted);
    }
    let failures = blocking("store", move || reader.failure_counts()).await?;
    let new_events = progress.events.get().saturating_sub(events);
    Ok(Outcome { failures, new_events })
}

/// Takes the run directory for this task and these settings.
fn open_run(
    config: Config,
    options: Options,
    teachers: &[Arc<dyn Teacher>],
    ledger: &Ledger,
) -> Result<(Config, RunLock, Manifest, Store)> {
    let dir = &config.run.dir;
    std::fs::create_dir_all(dir).map_err(Error::run_file("create", dir))?;
    let lock = RunLock::take(dir)?;
    let wanted = manifest_of(&config, teachers)?;
    let manifest = match Manifest::read(dir)? {
        Some(found) => match found.difference(&wanted) {
            Some(difference) => return Err(Error::OtherTask { path: dir.clone(), difference }),
            None if found.labelling == wanted.labelling => found,
            None => {
                tracing::warn!(
                    "teachers, student or distillation changed: labels are written anew from the stored answers"
                );
                start_new_labels(&config)?;
                wanted.write(dir)?;
                wanted
            }
        },
        None => {
            wanted.write(dir)?;
            wanted
        }
    };
    let mut store = Store::open(dir, &config.task.labels)?;
    if options.retry_failures && store.reader().failure_counts()?.samples > 0 {
        drop(store);
        tracing::info!("asking again about the texts that failed; labels are written anew with what comes of it");
        start_new_labels(&config)?;
        store = Store::open(dir, &config.task.labels)?;
    }
    store.forget_passing_failures()?;
    ledger.take_up(dir, store.totals().cost)?;
    Ok((config, lock, manifest, store))
}

/// Moves the label log aside, and all that was derived for it.
fn start_new_labels(config: &Config) -> Result<()> {
    // Answers that only the store still has are put back into the journal first.
    for repair in Store::open(&config.run.dir, &config.task.labels)?.repairs() {
        tracing::warn!("{repair}");
    }
    if let Some(moved) = store::start_new_labels(&config.run.dir)? {
        tracing::info!("the old label log is {}", moved.display());
    }
    Ok(())
}

pub(crate) fn manifest_of(config: &Config, teachers: &[Arc<dyn Teacher>]) -> Result<Manifest> {
    let mut identities: Vec<String> = teachers.iter().map(|teacher| teacher.identity()).collect();
    if config.combine != Combine::Union {
        identities.push(format!("combine:{:?}", config.combine));
    }
    let student = student::identity(&config.student)? + &serde_json::to_string(&config.distill).unwrap_or_default();
    let parts: Vec<&[u8]> =
        std::iter::once(student.as_bytes()).chain(identities.iter().map(String::as_bytes)).collect();
    let labels = config.task.labels.iter().map(|label| label.name.clone()).collect();
    Ok(Manifest::new(config.task.name.clone(), labels, to_hex(crate::domain::sample::short_hash(&parts))))
}

/// Gives every annotated sample its position and tells the student. After an error nothing more is placed (it would
/// leave a gap), but what is in flight still comes back and is stored.
async fn place_all(
    answers: impl futures::Stream<Item = Vec<Result<Reply>>>,
    store: &StoreHandle,
    feed: &watch::Sender<Feed>,
    progress: &Progress,
    stop_now: &watch::Sender<bool>,
    teachers: &[Arc<dyn Teacher>],
) -> Result<()> {
    let mut answers = std::pin::pin!(answers);
    let mut failed = None;
    while let Some(chunk) = answers.next().await {
        let (mut batch, mut claims) = (Vec::with_capacity(chunk.len()), Vec::with_capacity(chunk.len()));
        for answer in chunk {
            match answer {
                Ok(Reply::Unanswered { id, reason }) => {
                    progress.unanswered.add(1);
                    tracing::warn!("{id} is not answered: {reason}");
                    store.unanswered(id, reason).await?;
                }
                Ok(Reply::Annotated(annotated, claim)) if failed.is_none() => {
                    progress.failed.add(u64::from(annotated.failure.is_some()));
                    batch.push(annotated);
                    claims.push(claim);
                }
                Ok(Reply::Annotated(..)) => {}
                Err(error) => {
                    failed.get_or_insert(error);
                    stop_asking(stop_now, teachers);
                }
            }
        }
        if !batch.is_empty() {
            let count = batch.len() as u64;
            let first = store.place(batch).await?;
            progress.placed.set(first + count);
            feed.send_modify(|feed| feed.placed = first + count);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// No question: tells the teachers that none follows. In a cascade only the first knows, the others may still be asked.
fn no_more(combine: Combine, teachers: Vec<Arc<dyn Teacher>>) -> impl futures::Stream<Item = Question> {
    let told = if combine == Combine::Cascade { 1 } else { teachers.len() };
    futures::stream::poll_fn(move |_| {
        teachers.iter().take(told).for_each(|teacher| teacher.no_more());
        std::task::Poll::Ready(None)
    })
}

fn stop_asking(stop_now: &watch::Sender<bool>, teachers: &[Arc<dyn Teacher>]) {
    stop_now.send_replace(true);
    teachers.iter().for_each(|teacher| teacher.stop());
}

/// Stops asking when the user wants it or the student is gone; in the first case the student stops too.
async fn watch_for_stop(
    stop: impl Future<Output = ()>,
    feed: watch::Sender<Feed>,
    stop_now: watch::Sender<bool>,
    teachers: Vec<Arc<dyn Teacher>>,
) {
    tokio::select! {
        () = stop => feed.send_modify(|feed| feed.stop = true),
        () = feed.closed() => {}
    }
    stop_asking(&stop_now, &teachers);
}

async fn is_set(mut flag: watch::Receiver<bool>) {
    // An error means that nobody can set it any more.
    if flag.wait_for(|&set| set).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn drained_too_long(stopped: watch::Receiver<bool>) {
    is_set(stopped).await;
    tokio::time::sleep(DRAIN).await;
}

async fn blocking<T: Send + 'static>(
    stage: &'static str,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::Panicked { stage, message: error.to_string() }))
}

async fn join<T: Send + 'static>(stage: &'static str, thread: JoinHandle<Result<T>>) -> Result<T> {
    blocking(stage, move || {
        thread.join().unwrap_or_else(|panic| Err(Error::Panicked { stage, message: panic_message(panic.as_ref()) }))
    })
    .await
}

/// The report, or the error that caused the others: a stage that is gone or was interrupted says less than the one that
/// failed first.
fn first_cause(
    asked: Result<()>,
    read: Result<bool>,
    settled: Result<Report>,
    committed: Result<()>,
) -> Result<Report> {
    let mut report = Report { settled: false };
    let settled = settled.map(|found| report = found);
    let mut errors: Vec<Error> =
        [committed, settled, asked, read.map(drop)].into_iter().filter_map(Result::err).collect();
    errors.sort_by_key(|error| match error {
        Error::Gone { .. } => 2,
        Error::Interrupted => 1,
        _ => 0,
    });
    errors.into_iter().next().map_or(Ok(report), Err)
}
