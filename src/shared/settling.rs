//! What a worker's questions came to goes to the database, many together; permits are given back after that. While the database
//! is away it waits here: no more than what was in flight.

use std::collections::{BTreeMap, HashSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rust_decimal::Decimal;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};

use super::claims::{self, Ended, Ending};
use super::database::{Session, with_client};
use super::import;
use super::worker::WorkProgress;
use crate::error::{Error, Result};
use crate::teacher::Permit;
use crate::teacher::ledger::Ledger;

/// How long a worker that is to end waits for a database that is away.
const PATIENCE: Duration = Duration::from_secs(20);
/// Questions that are settled in one statement, at most.
const TOGETHER: usize = 256;
/// How long the first of them waits for others: next to what a model takes it is nothing, and one statement costs the database hardly more
/// than another that settles fewer.
const LINGER: Duration = Duration::from_millis(10);

/// A question that ended, and what it held on its way.
pub(super) struct Settled {
    pub(super) run: i64,
    pub(super) ended: Ended,
    /// What this worker spends on the run.
    pub(super) ledger: Arc<Ledger>,
    /// Of the request: given back when its answer is kept.
    pub(super) permit: Permit,
    /// Its place among those that are claimed.
    pub(super) room: OwnedSemaphorePermit,
}

/// The questions that a worker holds, by their numbers, and whether what came of some was refused. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Held(Arc<(Mutex<HashSet<i64>>, AtomicBool)>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, HashSet<i64>> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn begin(&self, seq: i64) {
        self.lock().insert(seq);
    }

    fn end(&self, seqs: impl Iterator<Item = i64>) {
        let mut held = self.lock();
        for seq in seqs {
            held.remove(&seq);
        }
    }

    pub(super) fn all(&self) -> Vec<i64> {
        self.lock().iter().copied().collect()
    }

    fn refuse(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Whether the database takes no answers any more: then none are to be paid for.
    pub(super) fn is_refused(&self) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }
}

/// Settles what comes, until nothing comes any more. Where the database refuses it for good, or is away for too long after `ending` was
/// set, answers go into a file, and nothing more is to be claimed.
pub(super) async fn settle_all(
    mut session: Session,
    worker: i64,
    mut settled: mpsc::Receiver<Settled>,
    held: Held,
    progress: Arc<WorkProgress>,
    ending: watch::Receiver<bool>,
) -> Result<()> {
    let mut refused: Option<Error> = None;
    let mut batch = Vec::new();
    while settled.recv_many(&mut batch, TOGETHER).await > 0 {
        if batch.len() < TOGETHER {
            tokio::time::sleep(LINGER).await;
        }
        while batch.len() < TOGETHER
            && let Ok(next) = settled.try_recv()
        {
            batch.push(next);
        }
        let mut runs: BTreeMap<i64, Vec<Settled>> = BTreeMap::new();
        for settled in batch.drain(..) {
            runs.entry(settled.run).or_default().push(settled);
        }
        for (run, settled) in runs {
            if refused.is_none() {
                refused = tokio::select! {
                    done = settle(&mut session, worker, run, &settled, &progress) => done.err(),
                    () = out_of_patience(ending.clone()) => Some(away()),
                };
            }
            if refused.is_some() {
                held.refuse();
                keep(&settled)?;
            } else {
                held.end(settled.iter().map(|settled| settled.ended.seq));
            }
            for Settled { permit, room, .. } in settled {
                drop((permit, room));
            }
        }
    }
    refused.map_or(Ok(()), Err)
}

/// Returns when a worker that is to end has waited long enough for its answers to be taken.
async fn out_of_patience(mut ending: watch::Receiver<bool>) {
    // Gone only where the worker is.
    let _ = ending.wait_for(|&ending| ending).await;
    tokio::time::sleep(PATIENCE).await;
}

fn away() -> Error {
    Error::Shared {
        message: format!(
            "the database is away, and this worker was to end: what it does not have is in {}. When it answers again, `candist \
             import-answers URL {0}` brings it there",
            unsent().display()
        ),
    }
}

async fn settle(
    session: &mut Session,
    worker: i64,
    run: i64,
    settled: &[Settled],
    progress: &WorkProgress,
) -> Result<()> {
    let ended: Vec<&Ended> = settled.iter().map(|settled| &settled.ended).collect();
    // Of each ledger the sum since its begin; a run has one but where its trainer changed meanwhile.
    let spent = settled.iter().map(|settled| spent(&settled.ledger)).max().unwrap_or_default();
    with_client!(session, |client| claims::settle(client, worker, run, &ended, spent));
    progress.spends(run, spent);
    for ended in ended {
        let counter = match ended.ending {
            Ending::Answered(_) => &progress.answered,
            Ending::Failed(_) => &progress.failed,
            Ending::Returned => continue,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// What was spent for good: costs, and requests of unknown outcome.
pub(super) fn spent(ledger: &Ledger) -> Decimal {
    let sums = ledger.sums();
    sums.recorded + sums.unknown
}

/// Appends answers that the database does not take to a file of the working directory, as lines of a journal.
fn keep(settled: &[Settled]) -> Result<()> {
    let lines: Vec<String> = settled
        .iter()
        .filter_map(|settled| match &settled.ended.ending {
            Ending::Answered(line) => import::unsent(line, settled.ended.key),
            Ending::Failed(_) | Ending::Returned => None,
        })
        .collect();
    if lines.is_empty() {
        return Ok(());
    }
    let path = unsent();
    let write = || {
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(&path)?;
        lines.iter().try_for_each(|line| writeln!(file, "{line}"))?;
        file.sync_all()
    };
    write().map_err(Error::run_file("append to", &path))?;
    tracing::warn!(
        "{} answers that the database does not take were added to {1}: `candist import-answers URL {1}` brings them there",
        lines.len(),
        path.display()
    );
    Ok(())
}

/// Where answers are that the database does not take: a file of the working directory.
fn unsent() -> PathBuf {
    PathBuf::from(format!("candist-unsent-{}.jsonl", std::process::id()))
}
