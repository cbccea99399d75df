//! Opening a run: its parts, then its directory, ours alone and level with its logs.
//!
//! In this order, since parts fail more often, and then nothing of the directory has been touched. Both steps read
//! files and may take seconds, so they run on blocking threads.

use std::sync::Arc;

use tokio::sync::watch;

use super::fingerprint;
use super::people::People;
use super::plan::Plan;
use crate::base::threads::blocking;
use crate::corpus::Corpus;
use crate::distill::certified;
use crate::domain::progress::Progress;
use crate::error::{Error, Result};
use crate::store::{CheckpointFiles, LocalStore, OwnedRun, RunDir, Sink, forget_failures};
use crate::teacher::Teacher;
use crate::teacher::ledger::Ledger;

/// What a run stands on besides its directory, opened. Nothing has been sent, and nothing of the directory read but
/// what teachers remember of servers.
pub(super) struct Parts {
    pub(super) corpus: Box<dyn Corpus>,
    pub(super) teachers: Vec<Arc<dyn Teacher>>,
    pub(super) sinks: Vec<Box<dyn Sink>>,
    /// What is in files of theirs.
    pub(super) people: People,
    /// Knows the cap, and not yet what was spent: that is in the directory.
    pub(super) ledger: Arc<Ledger>,
}

/// Opens the parts. A stop does not wait for that: nothing of the directory is held yet. The work goes on then, on its
/// blocking thread, and what it opened is dropped.
pub(super) async fn parts(
    plan: &Arc<Plan>,
    progress: &Arc<Progress>,
    mut stop: watch::Receiver<bool>,
) -> Result<Parts> {
    let opened = blocking("run", {
        let (plan, progress) = (Arc::clone(plan), Arc::clone(progress));
        move || {
            let ledger = Ledger::shown_by(plan.config.run.max_cost, progress);
            let people = People::read(&plan.config.people, &plan.config.task.labels)?;
            Ok(Parts { corpus: plan.corpus()?, teachers: plan.teachers(&ledger)?, sinks: plan.sinks(), people, ledger })
        }
    });
    // A stop that came first is what counts, even where the parts are there already.
    tokio::select! {
        biased;
        _ = stop.wait_for(|&stop| stop) => Err(Error::Interrupted),
        opened = opened => opened,
    }
}

/// The run directory, taken and open.
pub(super) struct Taken {
    pub(super) owned: OwnedRun,
    pub(super) store: LocalStore,
    /// Hash of what labels depend on besides the input log.
    pub(super) labelling: String,
    pub(super) checkpoints: CheckpointFiles,
}

/// Takes the run directory and brings it level with its logs: damage is told and mended, what was cut off is cut back.
/// It is held until the last clone of its lock is gone.
pub(super) async fn take(
    plan: &Arc<Plan>,
    teachers: &[Arc<dyn Teacher>],
    stop: &watch::Receiver<bool>,
) -> Result<Taken> {
    let (plan, teachers, stop) = (Arc::clone(plan), teachers.to_vec(), stop.clone());
    blocking("store", move || {
        let dir = &plan.config.run.dir;
        let identity = fingerprint::identity(&plan, &teachers)?;
        let labelling = identity.labelling.clone();
        let owned = RunDir::own(dir, identity)?;
        // What the directory has to say about itself, then what was mended in its logs.
        for note in owned.notes() {
            tracing::warn!("{note}");
        }
        let checkpoints = CheckpointFiles::of(dir);
        // A checkpoint of these settings vouches for the label log before it, so that need not be read again.
        let store = owned.store(certified(&checkpoints, &labelling), &|| *stop.borrow())?;
        for repair in store.repairs() {
            tracing::warn!("{repair}");
        }
        checkpoints.make()?;
        forget_failures(dir);
        Ok(Taken { owned, store, labelling, checkpoints })
    })
    .await
}
