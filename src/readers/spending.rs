//! What a run has cost.

use crate::error::Result;
use crate::store::{RunView, ViewCounts};
use crate::teacher::ledger::Ledger;

pub use crate::teacher::ledger::Sums;

/// What the run seen by `view`, in whose logs are `counts`, has spent so far, in the currency of its prices. Changes nothing.
///
/// # Errors
///
/// [`Error::Spend`](crate::Error::Spend) where the record of the requests is damaged, and
/// [`Error::RunFile`](crate::Error::RunFile) where it cannot be read.
pub fn spending(view: &RunView, counts: &ViewCounts) -> Result<Sums> {
    Ledger::look(view.dir(), counts.totals.cost)
}
