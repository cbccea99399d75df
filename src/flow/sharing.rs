//! A run that several machines ask for, as far as a run knows of it; nothing where it is one machine's own.

use std::path::Path;
use std::sync::Arc;

use rust_decimal::Decimal;
use tokio::sync::watch;

use super::plan::Plan;
#[cfg(not(feature = "shared"))]
use crate::error::Error;
use crate::error::Result;
#[cfg(feature = "shared")]
use crate::shared::Trainer;
use crate::teacher::Teacher;
use crate::teacher::ledger::Ledger;

/// See the module.
pub(super) struct Sharing {
    #[cfg(feature = "shared")]
    trainer: Option<Trainer>,
}

impl Sharing {
    /// Takes the lease of a run that is shared, and gives what asks in the place of `teachers`.
    #[cfg(feature = "shared")]
    pub(super) async fn begin(
        plan: &Plan,
        teachers: Vec<Arc<dyn Teacher>>,
        ledger: &Arc<Ledger>,
        stop: &watch::Receiver<bool>,
    ) -> Result<(Self, Vec<Arc<dyn Teacher>>)> {
        let Some(shared) = &plan.config.run.shared else { return Ok((Self { trainer: None }, teachers)) };
        let (trainer, teachers) =
            Trainer::begin(&plan.config, shared, teachers, !plan.train_only, ledger, stop.clone()).await?;
        Ok((Self { trainer: Some(trainer) }, teachers))
    }

    #[cfg(not(feature = "shared"))]
    pub(super) async fn begin(
        plan: &Plan,
        teachers: Vec<Arc<dyn Teacher>>,
        _ledger: &Arc<Ledger>,
        _stop: &watch::Receiver<bool>,
    ) -> Result<(Self, Vec<Arc<dyn Teacher>>)> {
        if plan.config.run.shared.is_some() {
            let message =
                "run.shared names a database, and this candist was built without the feature `shared`".to_owned();
            return Err(Error::Shared { message });
        }
        Ok((Self {}, teachers))
    }

    /// Whether what the run directory has was fetched just now.
    pub(super) fn came_from_elsewhere(&self) -> bool {
        #[cfg(feature = "shared")]
        return self.trainer.as_ref().is_some_and(Trainer::came_from_elsewhere);
        #[cfg(not(feature = "shared"))]
        false
    }

    /// The run directory is open, and had spent so much before.
    pub(super) async fn opened(&mut self, dir: &Path, spent: Decimal) -> Result<()> {
        #[cfg(feature = "shared")]
        if let Some(trainer) = &mut self.trainer {
            return trainer.opened(dir, spent).await;
        }
        let _ = (dir, spent);
        Ok(())
    }

    /// Ends it: `complete` where the corpus came to its end.
    pub(super) async fn end(self, complete: bool) -> Result<()> {
        #[cfg(feature = "shared")]
        if let Some(trainer) = self.trainer {
            return trainer.end(complete).await;
        }
        let _ = complete;
        Ok(())
    }
}
