//! The tables, and how they come to be: plain SQL, in steps that a database goes through once.

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{PgError, Session, with_client};
use crate::error::{Error, Result};

/// The steps, oldest first. One that was released is never changed: a new one follows it.
const STEPS: [&str; 2] = [include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// Who changes tables holds it, so that of several who begin at once one does.
const LOCK: i64 = 0x0063_616e_6469_7374;

/// Brings the tables to what this version needs. Does nothing where they are.
pub(super) async fn bring_up(session: &mut Session) -> Result<()> {
    let encoding = with_client!(session, |client| encoding(client));
    if encoding != "UTF8" {
        let message =
            format!("the database's encoding is {encoding}, which does not hold every text: make one with UTF8");
        return Err(Error::Shared { message });
    }
    let found = with_client!(session, |client| migrate(client));
    refuse_newer(found)
}

/// Whether the tables are of this version, for whoever only looks.
pub(super) async fn check(session: &mut Session) -> Result<()> {
    let found = with_client!(session, |client| step(client));
    if found < STEPS.len() {
        let message = "the database's tables are of an older candist: `candist run` or `candist work` of this version brings them on";
        return Err(Error::Shared { message: message.to_owned() });
    }
    refuse_newer(found)
}

fn refuse_newer(found: usize) -> Result<()> {
    if found > STEPS.len() {
        return Err(Error::Shared {
            message: format!(
                "the database's tables are of a newer candist (step {found}, this one knows {}): install that version here",
                STEPS.len()
            ),
        });
    }
    Ok(())
}

async fn step(client: &mut Client) -> Result<usize, PgError> {
    let row = client.query_typed_one("SELECT step FROM candist.version", &[]).await?;
    Ok(usize::try_from(row.get::<_, i32>(0)).unwrap_or_default())
}

async fn encoding(client: &mut Client) -> Result<String, PgError> {
    Ok(client.query_typed_one("SELECT current_setting('server_encoding')", &[]).await?.get(0))
}

/// Whether there are tables at all.
pub(super) async fn is_there(client: &mut Client) -> Result<bool, PgError> {
    Ok(client.query_typed_one("SELECT to_regclass('candist.version') IS NOT NULL", &[]).await?.get(0))
}

/// What tells the database from others.
pub(super) async fn identity(client: &mut Client) -> Result<String, PgError> {
    Ok(client.query_typed_one("SELECT id::text FROM version", &[]).await?.get(0))
}

/// Takes the steps that are missing, in one transaction; gives how many had been taken.
async fn migrate(client: &mut Client) -> Result<usize, PgError> {
    let transaction = client.transaction().await?;
    transaction.query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await?;
    let there = transaction.query_typed_one("SELECT to_regclass('candist.version') IS NOT NULL", &[]).await?.get(0);
    let mut taken = 0;
    if there {
        let row = transaction.query_typed_one("SELECT step FROM candist.version", &[]).await?;
        taken = usize::try_from(row.get::<_, i32>(0)).unwrap_or_default();
    }
    for step in STEPS.iter().skip(taken) {
        transaction.batch_execute(step).await?;
    }
    if taken < STEPS.len() {
        let step = i32::try_from(STEPS.len()).unwrap_or(i32::MAX);
        transaction.execute_typed("UPDATE candist.version SET step = $1", &[(&step, Type::INT4)]).await?;
    }
    transaction.commit().await?;
    Ok(taken)
}
