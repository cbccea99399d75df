//! Where a ledger gets its money by pieces, of a budget that others spend too.

use futures::future::BoxFuture;
use rust_decimal::Decimal;

use super::Refused;
#[cfg(feature = "shared")]
use crate::error::Result;

/// A budget that several ledgers spend, in pieces. All that a ledger ever got of it, less what it gave back, is its cap.
pub(crate) trait Purse: std::fmt::Debug + Send + Sync {
    /// More money, `wanted.least` at least; `None` where there may be some later: it has been waited for a while.
    ///
    /// # Errors
    ///
    /// Why there will be none.
    fn more(&self, wanted: Wanted) -> BoxFuture<'_, Result<Option<Decimal>, Refused>>;

    /// Takes back all but `held`.
    #[cfg(feature = "shared")]
    fn keep_only(&self, held: Decimal) -> BoxFuture<'_, Result<()>>;
}

/// Money that is wanted of a purse.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "shared"), expect(dead_code, reason = "read by purses, of which there are none then"))]
pub(crate) struct Wanted {
    /// What is missing for the next request.
    pub(crate) least: Decimal,
    /// What that costs, at most.
    pub(crate) request: Decimal,
    /// The cap so far.
    pub(crate) held: Decimal,
    /// Requests are on their way that may cost less than what is set aside for them: then it is too early to say that there
    /// is none.
    pub(crate) may_come_back: bool,
}
