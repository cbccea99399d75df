//! What the thread that follows the logs shares with whoever answers: the table, and what there is to know without a look at it.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use tokio::sync::watch;

use super::lines::Lines;
use super::rows::Table;
use super::sampled::positions;
use super::shapes::{RowsChanged, StatusNow};
use crate::domain::label::LabelId;
use crate::store::DrawnAudit;

/// What the thread shares with whoever answers.
#[derive(Debug)]
pub(super) struct Shared {
    /// The run directory.
    pub(super) dir: PathBuf,
    pub(super) table: RwLock<Table>,
    pub(super) pulse: watch::Sender<Pulse>,
}

/// What there is to know without a look at the table.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Pulse {
    pub(super) rows: RowsChanged,
    pub(super) status: Arc<StatusNow>,
}

impl Shared {
    /// The table. Held for a query and no longer: the thread waits.
    pub(super) fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The table to be changed, which is then another version. Held as shortly.
    pub(super) fn change(&self) -> RwLockWriteGuard<'_, Table> {
        let mut table = self.table.write().unwrap_or_else(PoisonError::into_inner);
        table.version += 1;
        table
    }

    /// Takes in what a person just decided of the text at `position` of the log `inputs`, which is kept by now. Where another log was
    /// begun meanwhile, whoever follows the logs does.
    pub(super) fn give(&self, inputs: &Lines, position: u32, label: Option<LabelId>) {
        let mut table = self.change();
        if table.inputs.as_ref().is_some_and(|(now, _)| now.is_same(inputs)) {
            table.give(position, label);
        }
    }

    /// Takes in the sample of `audit`, which is kept by now; without one, that none goes on.
    pub(super) fn sample(&self, audit: Option<&DrawnAudit>) {
        let texts = audit.map(|audit| audit.texts.as_slice()).unwrap_or_default();
        let sampled = positions(&self.table(), texts).0;
        self.change().sampled = sampled;
    }

    /// Why confidences are a ranking and no probabilities, where the run says so.
    pub(super) fn calibration_doubt(&self) -> Option<String> {
        self.pulse.borrow().status.status.as_ref()?.calibration_doubt.clone()
    }

    /// What is known now.
    pub(super) fn pulse(&self) -> Pulse {
        self.pulse.borrow().clone()
    }
}
