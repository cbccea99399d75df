//! Labels that people gave from elsewhere: they wait in the database until the trainer has kept them as it keeps those that are given
//! beside it, and the database has its log with them.

use std::path::Path;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{PgError, Session, with_client};
use super::runs::Lease;
use crate::base::threads::blocking;
use crate::domain::label::LabelSet;
use crate::error::Result;
use crate::store::{Correction, keep_corrections};

/// What was kept, and is still in the database, by its numbers there.
#[derive(Debug, Default)]
pub(super) struct Said(Vec<i64>);

impl Said {
    /// Keeps what was said since. A kill before it is forgotten has it said twice, which says the same.
    pub(super) async fn keep(
        &mut self,
        session: &mut Session,
        lease: Lease,
        labels: &LabelSet,
        dir: &Path,
    ) -> Result<()> {
        let lines = with_client!(session, |client| said(client, lease.run, &self.0));
        if lines.is_empty() {
            return Ok(());
        }
        let mut corrections = Vec::new();
        for (_, line) in &lines {
            match Correction::parse(line.as_bytes(), labels) {
                Ok(correction) => corrections.push(correction),
                Err(why) => tracing::warn!("a correction that was given elsewhere cannot be used: {why}"),
            }
        }
        let (labels, dir) = (labels.clone(), dir.to_owned());
        blocking("corrections", move || keep_corrections(&dir, &labels, &corrections)).await?;
        self.0.extend(lines.iter().map(|(seq, _)| *seq));
        Ok(())
    }

    /// Forgets what was kept, once the log that has it is in the database.
    pub(super) async fn forget(&mut self, session: &mut Session, lease: Lease) -> Result<()> {
        if !self.0.is_empty() {
            with_client!(session, |client| forget(client, lease, &self.0));
            self.0.clear();
        }
        Ok(())
    }
}

/// What waits, in its order.
pub(super) async fn pending(client: &mut Client, run: i64) -> Result<Vec<String>, PgError> {
    Ok(said(client, run, &[]).await?.into_iter().map(|(_, line)| line).collect())
}

/// What waits besides what is kept, in its order.
async fn said(client: &mut Client, run: i64, kept: &[i64]) -> Result<Vec<(i64, String)>, PgError> {
    let rows = client
        .query_typed(
            "SELECT seq, line FROM said WHERE run = $1 AND seq <> ALL ($2) ORDER BY seq LIMIT 1000",
            &[(&run, Type::INT8), (&kept, Type::INT8_ARRAY)],
        )
        .await?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
}

/// Of a trainer that another has taken over from nothing is forgotten: what it kept is nobody's.
async fn forget(client: &mut Client, lease: Lease, kept: &[i64]) -> Result<(), PgError> {
    client
        .execute_typed(
            "DELETE FROM said WHERE seq = ANY ($1) AND EXISTS (SELECT FROM trainers WHERE run = $2 AND epoch = $3)",
            &[(&kept, Type::INT8_ARRAY), (&lease.run, Type::INT8), (&lease.epoch, Type::INT8)],
        )
        .await?;
    Ok(())
}
