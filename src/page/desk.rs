//! Where labels go that people give. The page asks through this trait alone, so it can only be looked at where there is none.

use super::shapes::{Correction, Decided};

/// Takes corrections. Calls may block, and return when what they did is durable. Position, id and label were held against
/// the run's logs before.
pub(crate) trait Desk: Send + Sync {
    /// Gives a text a label.
    ///
    /// # Errors
    ///
    /// Why it cannot be, and what to do.
    fn correct(&self, correction: &Correction) -> Result<(), Refusal>;

    /// Takes back what a person decided of the text with this position and id.
    ///
    /// # Errors
    ///
    /// As for [`Desk::correct`].
    fn take_back(&self, position: u64, id: &str) -> Result<(), Refusal>;

    /// What a person decided of the text.
    fn decided(&self, position: u64, id: &str) -> Option<Decided>;
}

/// Why a correction is not taken, in a sentence that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(dead_code, reason = "what takes corrections says which it is")]
pub(crate) enum Refusal {
    /// It does not fit what is there.
    Unfit(String),
    /// It could not be kept.
    Failed(String),
}
