//! What an audited sample makes of a table: confidences as they are by it, and sets of labels.

use std::path::Path;

use super::TableOptions;
use crate::error::{Error, Result};
use crate::readers::audited::Audited;
use crate::readers::probability::Probability;
use crate::readers::recalibration::Curve;
use crate::store::RunView;

/// See the module.
#[derive(Debug, Clone)]
pub(super) struct Certificate {
    /// Where confidences move.
    pub(super) curve: Curve,
    /// From which probability on a label belongs to a text's set, where sets are asked for.
    pub(super) least: Option<Probability>,
    /// Of the sample: see [`TableSummary`](super::TableSummary).
    pub(super) unfilled: u64,
    /// See `unfilled`.
    pub(super) foreign: u64,
}

impl Certificate {
    /// The one that `options` ask for.
    ///
    /// # Errors
    ///
    /// Those of [`audit`](crate::audit), and [`Error::Unfit`] where the coverage cannot be reached.
    pub(super) fn open(view: &RunView, options: &TableOptions) -> Result<Option<Self>> {
        options.audited.as_deref().map(|gold| Self::read(view, gold, options.coverage)).transpose()
    }

    fn read(view: &RunView, gold: &Path, coverage: Option<f64>) -> Result<Self> {
        let audited = Audited::read(view, gold)?;
        let sets = coverage.map(|coverage| (audited.least_share(coverage), audited.sets(coverage)));
        if let Some(problem) = sets.and_then(|(_, sets)| sets.problem()) {
            let message = format!("gives no label sets: {problem}");
            return Err(Error::Unfit { path: gold.to_owned(), message });
        }
        let least = sets.and_then(|(least, _)| least.ok());
        Ok(Self { curve: audited.curve(), least, unfilled: audited.unfilled, foreign: audited.foreign })
    }
}
