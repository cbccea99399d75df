//! What the routes share, and how they say what went wrong.

use std::sync::Arc;

use axum::http::StatusCode;
use tokio::sync::{Semaphore, watch};

use super::auditing::Auditing;
use super::desk::Desk;
use super::guard::Guard;
use super::metrics::Requests;
use super::query::Orders;
use super::search::Searches;
use super::shared::Shared;
use crate::error::Result;
pub(super) use crate::http::Problem;
use crate::store::DrawnAudit;

/// Streams that are open at once, at most.
pub(super) const STREAMS: usize = 64;
/// Queries that are computed at once, at most: others wait.
pub(super) const QUERIES: usize = 4;

/// Reports that are made at once: each reads the logs from their beginning.
pub(super) const REPORTS: usize = 1;

/// What the routes share.
pub(super) struct App {
    pub(super) shared: Arc<Shared>,
    pub(super) guard: Guard,
    /// What labels mean, by name.
    pub(super) descriptions: Vec<(String, String)>,
    pub(super) desk: Desk,
    pub(super) auditing: Auditing,
    pub(super) orders: Orders,
    pub(super) searches: Searches,
    pub(super) requests: Requests,
    pub(super) streams: Arc<Semaphore>,
    pub(super) queries: Arc<Semaphore>,
    pub(super) reports: Arc<Semaphore>,
    /// True when the server is to end: streams do.
    pub(super) stop: watch::Receiver<bool>,
}

impl App {
    /// The audit that goes on. Blocks.
    pub(super) fn open_audit(&self) -> Result<Option<DrawnAudit>> {
        let labels = self.shared.table().names.labels.clone();
        self.auditing.look(&labels, |audits| audits.open().cloned())
    }

    /// Computes beside the server's own threads, a few at a time: it reads files.
    pub(super) async fn compute<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let gone =
            || Problem(StatusCode::INTERNAL_SERVER_ERROR, "the server failed at this: its log says why".to_owned());
        let turn = Arc::clone(&self.queries).acquire_owned().await.map_err(|_| gone())?;
        let app = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // The work's, not the request's: it goes on when whoever asked has gone.
            let _turn = turn;
            work(&app)
        })
        .await
        .map_err(|_| gone())
    }
}
