//! What goes on beside a worker's claiming until all that it asked has come back: heartbeats, limits, pauses. One session for it, which
//! money comes by too.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

use super::claims;
use super::database::{Session, with_client};
use super::quotas::Quotas;
use crate::error::Result;
use crate::teacher::Addresses;

/// Between two heartbeats.
const BEAT: Duration = Duration::from_secs(1);
/// Between two looks at what is wanted: requests come one after the other, and a little later several want something.
const PAUSE: Duration = Duration::from_millis(5);

/// Goes on for as long as it is polled, whatever else waits; says by `given_up` that others took the worker for gone.
pub(super) async fn beside(
    worker: i64,
    session: Arc<Mutex<Session>>,
    quotas: Arc<Quotas>,
    addresses: Addresses,
    given_up: watch::Sender<bool>,
) -> Result<()> {
    let mut beaten: Option<Instant> = None;
    loop {
        {
            let mut session = session.lock().await;
            if beaten.is_none_or(|beaten| beaten.elapsed() >= BEAT) {
                beaten = Some(Instant::now());
                if !with_client!(session, |client| claims::beat(client, worker)) {
                    given_up.send_replace(true);
                }
            }
            quotas.keep(&mut session, &addresses).await?;
        }
        tokio::time::sleep(PAUSE).await;
        quotas.wanted().await;
    }
}
