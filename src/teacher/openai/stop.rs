//! The end of asking, for the teachers of one run at one address: nothing is sent from then on. Other runs at the same
//! address go on.
//!
//! Set once and never taken back. Two degrees: what is on its way is waited for, since it may be paid for, or given up,
//! where nobody ever took a connection.

use tokio::sync::watch;

use crate::teacher::AskError;

/// Why nothing is sent any more.
#[derive(Debug, Clone, Default)]
struct End {
    /// What a teacher found out; none if the run was asked to stop.
    reason: Option<String>,
    /// Whether even what is on its way is of no use.
    abandoned: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Stop {
    end: watch::Sender<Option<End>>,
}

impl Stop {
    fn set(&self, end: End) {
        // The first reason is the one that the others follow from.
        self.end.send_if_modified(|now| now.is_none() && now.replace(end).is_none());
    }

    /// The run stops.
    pub(super) fn stop(&self) {
        self.set(End::default());
    }

    /// Nothing can be answered any more.
    pub(super) fn because(&self, reason: &str) {
        self.set(End { reason: Some(reason.to_owned()), abandoned: false });
    }

    /// Nothing can be answered any more, nor will be what is on its way: nobody ever took a connection.
    pub(super) fn abandon(&self, reason: &str) {
        self.set(End { reason: Some(reason.to_owned()), abandoned: true });
    }

    /// What to answer instead of asking; nothing as long as asking goes on.
    pub(super) fn error(&self) -> Option<AskError> {
        self.end.borrow().clone().map(|end| end.reason.map_or(AskError::Cancelled, AskError::Stop))
    }

    async fn wait_for(&self, mut is_it: impl FnMut(&End) -> bool) -> AskError {
        // The sender lives as long as `self`.
        let _ = self.end.subscribe().wait_for(|end| end.as_ref().is_some_and(&mut is_it)).await;
        self.error().unwrap_or(AskError::Cancelled)
    }

    /// Returns once nothing is sent any more.
    pub(super) async fn stopped(&self) -> AskError {
        self.wait_for(|_| true).await
    }

    /// Returns once what is on its way is of no use.
    pub(super) async fn abandoned(&self) -> AskError {
        self.wait_for(|end| end.abandoned).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;

    #[tokio::test]
    async fn the_first_reason_is_the_one_that_all_are_told() {
        let stop = Stop::default();
        assert_eq!(stop.error(), None);
        assert!(stop.stopped().now_or_never().is_none());
        stop.because("no credit");
        stop.stop();
        stop.abandon("nobody there");
        assert_eq!(stop.stopped().await, AskError::Stop("no credit".into()));
        assert!(stop.abandoned().now_or_never().is_none());
        let abandoned = Stop::default();
        abandoned.abandon("nobody there");
        assert_eq!(abandoned.abandoned().await, AskError::Stop("nobody there".into()));
        let stopped = Stop::default();
        stopped.stop();
        assert_eq!(stopped.stopped().await, AskError::Cancelled);
    }
}
