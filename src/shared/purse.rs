//! Money: of a run's budget each worker holds a piece, and asks for another when it is used up. What all hold and what was spent
//! never passes the cap.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use rust_decimal::Decimal;
use tokio::sync::Mutex;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::database::{PgError, Session, with_client};
use crate::error::Result;
use crate::teacher::ledger::{Purse, Refused, Wanted};

/// A piece is what so many requests cost at most: fewer, and each request asks the database; more, and others go without.
const REQUESTS: i64 = 32;
/// Where others hold what may come back.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What came of asking for money.
#[derive(Debug, PartialEq, Eq)]
enum Granted {
    Amount(Decimal),
    /// Not now: others hold some that they may not need.
    Later,
    /// No more: so much is spent of so much.
    Never {
        spent: Decimal,
        cap: Decimal,
    },
}

/// The budget of one run, for one worker.
pub(super) struct SharedPurse {
    worker: i64,
    run: i64,
    /// Not the one by which answers are settled: who waits for money must not hold them up.
    session: Arc<Mutex<Session>>,
    /// There is no more, until a trainer brings some.
    exhausted: AtomicBool,
}

impl std::fmt::Debug for SharedPurse {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("SharedPurse").field("run", &self.run).finish_non_exhaustive()
    }
}

impl SharedPurse {
    pub(super) fn new(session: Arc<Mutex<Session>>, worker: i64, run: i64) -> Arc<Self> {
        Arc::new(Self { worker, run, session, exhausted: AtomicBool::new(false) })
    }

    /// Whether the last that was asked of it was refused.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    async fn ask(&self, wanted: Wanted) -> Result<Granted> {
        let mut session = self.session.lock().await;
        Ok(with_client!(session, |client| grant(client, self.worker, self.run, wanted)))
    }
}

impl Purse for SharedPurse {
    fn keep_only(&self, held: Decimal) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut session = self.session.lock().await;
            with_client!(session, |client| keep_only(client, self.worker, self.run, held));
            Ok(())
        }
        .boxed()
    }

    fn more(&self, wanted: Wanted) -> BoxFuture<'_, Result<Option<Decimal>, Refused>> {
        async move {
            let granted = self.ask(wanted).await.map_err(|error| Refused(error.to_string()))?;
            self.exhausted.store(matches!(granted, Granted::Never { .. }), Ordering::Relaxed);
            match granted {
                Granted::Amount(amount) => Ok(Some(amount)),
                Granted::Later => {
                    tokio::time::sleep(LOOK_AGAIN).await;
                    Ok(None)
                }
                Granted::Never { spent, cap } => Err(Refused(format!(
                    "run.max_cost is reached: {} of {} is spent by all who ask, and the next request may cost {}. Raise max_cost, \
                     and run the trainer again",
                    spent.normalize(),
                    cap.normalize(),
                    wanted.request.round_dp(6).normalize()
                ))),
            }
        }
        .boxed()
    }
}

/// All that was spent on the run of a row of `runs`: what its workers said, and what is counted for those that were given up.
pub(super) const SPENT: &str =
    "runs.spent_besides + (SELECT coalesce(sum(g.spent), 0) FROM grants g WHERE g.run = runs.id)";

/// Whoever grants or takes back money of a run does so alone.
async fn lock(transaction: &Transaction<'_>, run: i64) -> Result<(), PgError> {
    transaction.query_typed("SELECT FROM runs WHERE id = $1 FOR NO KEY UPDATE", &[(&run, Type::INT8)]).await?;
    Ok(())
}

/// From here on the worker spends on the run.
pub(super) async fn begin(client: &mut Client, worker: i64, run: i64) -> Result<(), PgError> {
    client
        .execute_typed(
            "INSERT INTO grants (run, worker) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[(&run, Type::INT8), (&worker, Type::INT8)],
        )
        .await?;
    Ok(())
}

/// Grants a worker a piece of a run's budget, `wanted.least` at least. That there is none, for good, is said of the run from then on.
///
/// What a worker holds is told as a sum since it began, less what it has reported as spent: the same may be sent again. Workers that settle
/// meanwhile move money from what they hold to what they spent, and change no sum of both.
async fn grant(client: &mut Client, worker: i64, run: i64, wanted: Wanted) -> Result<Granted, PgError> {
    let number = |text: Option<String>| text.and_then(|text| text.parse::<Decimal>().ok());
    let transaction = client.transaction().await?;
    lock(&transaction, run).await?;
    // Another statement, which sees what whoever had the lock before granted.
    let row = transaction
        .query_typed_one(
            &format!(
                "SELECT cap::text, ({SPENT})::text,
                     (SELECT coalesce(sum(amount), 0)::text FROM grants WHERE run = $1 AND worker <> $2 AND amount > 0),
                     (SELECT reported::text FROM grants WHERE run = $1 AND worker = $2)
                 FROM runs WHERE id = $1"
            ),
            &[(&run, Type::INT8), (&worker, Type::INT8)],
        )
        .await?;
    let (cap, spent) = (number(row.get(0)), number(row.get(1)).unwrap_or_default());
    let (others, reported) = (number(row.get(2)).unwrap_or_default(), number(row.get(3)).unwrap_or_default());
    let own = (wanted.held - reported).max(Decimal::ZERO);
    let room = cap.map_or(Decimal::MAX, |cap| cap - spent - others - own);
    let preferred = wanted.request.saturating_mul(Decimal::from(REQUESTS)).max(wanted.least);
    let amount = if preferred <= room { preferred } else { wanted.least };
    if amount > room {
        let cap = cap.unwrap_or_default();
        // If all that others hold came back, and nothing that is on its way here did.
        let may_come = wanted.may_come_back || wanted.least <= cap - spent - own;
        let sql = if may_come {
            "UPDATE runs SET wanted = now() WHERE id = $1"
        } else {
            "UPDATE runs SET stopped = 'run.max_cost is reached' WHERE id = $1 AND stopped IS NULL"
        };
        transaction.execute_typed(sql, &[(&run, Type::INT8)]).await?;
        transaction.commit().await?;
        return Ok(if may_come { Granted::Later } else { Granted::Never { spent, cap } });
    }
    let held = (wanted.held + amount).to_string();
    let changed = transaction
        .execute_typed(
            "UPDATE grants g SET amount = $3::text::numeric - g.reported FROM workers w
             WHERE g.run = $1 AND g.worker = $2 AND w.id = $2 AND NOT w.gone",
            &[(&run, Type::INT8), (&worker, Type::INT8), (&held, Type::TEXT)],
        )
        .await?;
    transaction.commit().await?;
    // A worker that was given up gets nothing: it enters anew.
    Ok(if changed == 1 { Granted::Amount(amount) } else { Granted::Later })
}

/// Takes back what a worker does not need: it holds so much, what it has spent included.
async fn keep_only(client: &mut Client, worker: i64, run: i64, held: Decimal) -> Result<(), PgError> {
    let transaction = client.transaction().await?;
    lock(&transaction, run).await?;
    transaction
        .execute_typed(
            "UPDATE grants SET amount = least(amount, $3::text::numeric - reported) WHERE run = $1 AND worker = $2",
            &[(&run, Type::INT8), (&worker, Type::INT8), (&held.to_string(), Type::TEXT)],
        )
        .await?;
    transaction.commit().await
}

/// Whether others may want what a worker does not need just now: somebody found none, or the budget's last twentieth is being granted.
pub(super) async fn is_scarce(client: &mut Client, run: i64) -> Result<bool, PgError> {
    let row = client
        .query_typed_opt(
            &format!(
                "SELECT coalesce(wanted > now() - interval '5 seconds', false) OR coalesce(
                     cap - ({SPENT}) - (SELECT coalesce(sum(amount), 0) FROM grants WHERE run = $1 AND amount > 0) < cap / 20, false)
                 FROM runs WHERE id = $1"
            ),
            &[(&run, Type::INT8)],
        )
        .await?;
    Ok(row.is_some_and(|row| row.get(0)))
}
