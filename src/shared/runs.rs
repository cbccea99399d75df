//! What the trainer does to the database: take and keep its lease, post questions, take what came of them. And what workers see
//! of runs.

use rust_decimal::Decimal;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::claims::IS_MISSING;
use super::database::PgError;
use super::process::Process;
use super::purse::SPENT;
use super::setup::SharedFile;
use crate::domain::answer::AnswerKey;

/// A trainer's lease of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    pub(super) run: i64,
    pub(super) epoch: i64,
}

/// What came of asking for a lease.
#[derive(Debug)]
pub(super) enum Taken {
    Ours(Lease),
    /// Somebody trains the run: who.
    Theirs(String),
}

/// Why a trainer may not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Outdated;

/// Takes the lease of the run `name` where nobody has it, with the next epoch; `setup` is what workers ask by from now on.
pub(super) async fn take(
    client: &mut Client,
    name: &str,
    trainer: &Process,
    setup: &str,
    files: &[SharedFile],
    cap: Option<Decimal>,
) -> Result<Taken, PgError> {
    let transaction = client.transaction().await?;
    let cap = cap.map(|cap| cap.to_string());
    transaction
        .execute_typed(
            "INSERT INTO runs (name, setup) VALUES ($1, $2) ON CONFLICT DO NOTHING",
            &[(&name, Type::TEXT), (&setup, Type::TEXT)],
        )
        .await?;
    let run: i64 =
        transaction.query_typed_one("SELECT id FROM runs WHERE name = $1", &[(&name, Type::TEXT)]).await?.get(0);
    // Looked at without a lock: whoever waits for its turn is in nobody's way, and nobody in its.
    let holder = transaction
        .query_typed_opt(
            &format!(
                "SELECT epoch, seen IS NOT NULL AND NOT {IS_MISSING}, name, machine, process FROM trainers WHERE run = $1"
            ),
            &[(&run, Type::INT8)],
        )
        .await?;
    let before = holder.as_ref().map_or(0, |row| row.get::<_, i64>(0));
    // One that was killed on this machine need not be waited for.
    if let Some(holder) = holder.filter(|row| row.get(1) && !trainer.has_ended(row.get(3), row.get(4))) {
        return Ok(Taken::Theirs(holder.get(2)));
    }
    // Of several who find it free the one takes it that makes the epoch another.
    let taken = transaction
        .query_typed_opt(
            "INSERT INTO trainers AS t (run, epoch, name, machine, process, seen) VALUES ($1, $2 + 1, $3, $4, $5, now())
             ON CONFLICT (run) DO UPDATE SET epoch = excluded.epoch, name = excluded.name, machine = excluded.machine,
                 process = excluded.process, seen = now() WHERE t.epoch = $2
             RETURNING epoch",
            &[
                (&run, Type::INT8),
                (&before, Type::INT8),
                (&trainer.name, Type::TEXT),
                (&trainer.machine, Type::TEXT),
                (&trainer.number, Type::INT8),
            ],
        )
        .await?;
    let Some(taken) = taken else { return Ok(Taken::Theirs("another process".to_owned())) };
    for file in files {
        transaction
            .execute_typed(
                "INSERT INTO files (hash, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                &[(&file.hash.as_slice(), Type::BYTEA), (&file.bytes, Type::BYTEA)],
            )
            .await?;
    }
    transaction
        .execute_typed(
            "UPDATE runs SET setup = $2, cap = $3::text::numeric, stopped = NULL, asked_all = false, complete = false WHERE id = $1",
            &[(&run, Type::INT8), (&setup, Type::TEXT), (&cap, Type::TEXT)],
        )
        .await?;
    // Those of the trainer before: what is still wanted is posted again. What is being asked goes on, for its answer.
    transaction.execute_typed("DELETE FROM waiting WHERE run = $1", &[(&run, Type::INT8)]).await?;
    transaction.execute_typed("DELETE FROM questions WHERE run = $1 AND worker IS NULL", &[(&run, Type::INT8)]).await?;
    transaction.execute_typed("DELETE FROM problems WHERE run = $1", &[(&run, Type::INT8)]).await?;
    transaction.commit().await?;
    Ok(Taken::Ours(Lease { run, epoch: taken.get(0) }))
}

/// Holds the lease until the transaction ends; an error where it is another's.
pub(super) async fn fence(transaction: &Transaction<'_>, lease: Lease) -> Result<Result<(), Outdated>, PgError> {
    let held = transaction
        .query_typed_opt(
            "SELECT FROM trainers WHERE run = $1 AND epoch = $2 FOR SHARE",
            &[(&lease.run, Type::INT8), (&lease.epoch, Type::INT8)],
        )
        .await?;
    Ok(held.map(|_| ()).ok_or(Outdated))
}

/// Who asks for a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// Why nothing may be asked.
    pub(super) stopped: Option<String>,
    /// All that was spent on the run, at most, but for what is granted.
    pub(super) spent: Decimal,
    /// Workers that ask for the run, and whose heartbeat is not missing.
    pub(super) workers: i64,
    /// Teachers that none of them can ask, with a reason of one.
    pub(super) unasked: Vec<(String, String)>,
}

/// Says that the trainer is there, and how asking stands.
pub(super) async fn beat(client: &mut Client, lease: Lease) -> Result<Result<Standing, Outdated>, PgError> {
    let beaten = client
        .execute_typed(
            "UPDATE trainers SET seen = now() WHERE run = $1 AND epoch = $2",
            &[(&lease.run, Type::INT8), (&lease.epoch, Type::INT8)],
        )
        .await?;
    if beaten == 0 {
        return Ok(Err(Outdated));
    }
    super::claims::free_lost(client, true).await?;
    let row = client
        .query_typed_one(
            &format!(
                "SELECT stopped, ({SPENT})::text,
                     (SELECT count(*) FROM workers w JOIN grants g ON g.worker = w.id WHERE g.run = $1 AND NOT w.gone)
                 FROM runs WHERE id = $1"
            ),
            &[(&lease.run, Type::INT8)],
        )
        .await?;
    let workers: i64 = row.get(2);
    let unasked = client
        .query_typed(
            "SELECT p.teacher, min(p.reason) FROM problems p JOIN workers w ON w.id = p.worker
             WHERE p.run = $1 GROUP BY p.teacher
             HAVING count(*) FILTER (WHERE NOT w.gone) >= $2",
            &[(&lease.run, Type::INT8), (&workers, Type::INT8)],
        )
        .await?;
    Ok(Ok(Standing {
        stopped: row.get(0),
        spent: row.get::<_, String>(1).parse().unwrap_or_default(),
        workers,
        unasked: unasked.iter().map(|row| (row.get(0), row.get(1))).collect(),
    }))
}

/// A question as it is posted.
#[derive(Debug, Clone)]
pub(super) struct Posted {
    pub(super) teacher: String,
    pub(super) key: AnswerKey,
    pub(super) attempt: u32,
    pub(super) draw: u32,
    pub(super) id: String,
    pub(super) text: String,
}

/// What came of a question.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) key: AnswerKey,
    pub(super) attempt: u32,
    /// The line of the answer, and whether this run paid for it.
    pub(super) answer: Option<(String, bool)>,
    /// Why there is none.
    pub(super) failure: Option<String>,
}

/// Posts questions, and gives what is answered already. The same may be posted again and again; then (`late`) those that another
/// run posted first, and nobody has taken, are ours: that run may be gone.
pub(super) async fn post(
    client: &mut Client,
    lease: Lease,
    questions: &[&Posted],
    late: bool,
) -> Result<Result<Vec<Delivered>, Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    let keys: Vec<&[u8]> = questions.iter().map(|question| question.key.0.as_slice()).collect();
    let attempts: Vec<i32> = questions.iter().map(|question| number(question.attempt)).collect();
    let draws: Vec<i32> = questions.iter().map(|question| number(question.draw)).collect();
    let teachers: Vec<&str> = questions.iter().map(|question| question.teacher.as_str()).collect();
    let ids: Vec<&[u8]> = questions.iter().map(|question| question.id.as_bytes()).collect();
    let texts: Vec<&[u8]> = questions.iter().map(|question| question.text.as_bytes()).collect();
    transaction
        .execute_typed(
            "INSERT INTO waiting (run, key, attempt) SELECT $1, k, a FROM unnest($2, $3) AS n (k, a) ORDER BY k, a
             ON CONFLICT DO NOTHING",
            &[(&lease.run, Type::INT8), (&keys, Type::BYTEA_ARRAY), (&attempts, Type::INT4_ARRAY)],
        )
        .await?;
    transaction
        .execute_typed(
            "INSERT INTO questions (run, epoch, teacher, key, attempt, draw, id, text)
             SELECT $1, $8, n.t, n.k, n.a, n.d, n.i, n.x
             FROM unnest($2, $3, $4, $5, $6, $7) WITH ORDINALITY AS n (t, k, a, d, i, x, o)
             WHERE NOT EXISTS (SELECT FROM answers s WHERE s.key = n.k AND s.attempt = n.a)
             ORDER BY n.o
             ON CONFLICT (key, attempt) DO UPDATE
             SET run = $1, epoch = $8, teacher = excluded.teacher, draw = excluded.draw
             WHERE questions.worker IS NULL AND ((questions.run = $1 AND questions.epoch < $8) OR (questions.run <> $1 AND $9))",
            &[
                (&lease.run, Type::INT8),
                (&teachers, Type::TEXT_ARRAY),
                (&keys, Type::BYTEA_ARRAY),
                (&attempts, Type::INT4_ARRAY),
                (&draws, Type::INT4_ARRAY),
                (&ids, Type::BYTEA_ARRAY),
                (&texts, Type::BYTEA_ARRAY),
                (&lease.epoch, Type::INT8),
                (&late, Type::BOOL),
            ],
        )
        .await?;
    let rows = transaction
        .query_typed(
            "WITH known AS (
                 SELECT s.key, s.attempt, s.line, s.run FROM unnest($2, $3) AS n (k, a)
                 JOIN answers s ON s.key = n.k AND s.attempt = n.a
             ), told AS (
                 DELETE FROM waiting w USING known k WHERE w.run = $1 AND w.key = k.key AND w.attempt = k.attempt
             )
             SELECT key, attempt, line, run IS NOT DISTINCT FROM $1, NULL::text FROM known",
            &[(&lease.run, Type::INT8), (&keys, Type::BYTEA_ARRAY), (&attempts, Type::INT4_ARRAY)],
        )
        .await?;
    transaction.commit().await?;
    Ok(Ok(delivered(&rows)))
}

/// Takes what came of questions since the last time. It is given once: what is lost on the way back is posted again.
pub(super) async fn deliveries(client: &mut Client, lease: Lease) -> Result<Vec<Delivered>, PgError> {
    let rows = client
        .query_typed(
            "WITH told AS (
                 DELETE FROM waiting w USING trainers t
                 WHERE w.run = $1 AND w.ready AND t.run = $1 AND t.epoch = $2 RETURNING w.key, w.attempt, w.failure
             )
             SELECT told.key, told.attempt, a.line, a.run IS NOT DISTINCT FROM $1, told.failure
             FROM told LEFT JOIN answers a ON a.key = told.key AND a.attempt = told.attempt",
            &[(&lease.run, Type::INT8), (&lease.epoch, Type::INT8)],
        )
        .await?;
    Ok(delivered(&rows))
}

fn delivered(rows: &[tokio_postgres::Row]) -> Vec<Delivered> {
    let of = |row: &tokio_postgres::Row| {
        let line: Option<String> = row.get(2);
        Some(Delivered {
            key: AnswerKey(row.get::<_, &[u8]>(0).try_into().ok()?),
            attempt: u32::try_from(row.get::<_, i32>(1)).ok()?,
            answer: line.map(|line| (line, row.get(3))),
            failure: row.get(4),
        })
    };
    rows.iter().filter_map(of).collect()
}

/// No question follows those that were posted.
pub(super) async fn asked_all(client: &mut Client, lease: Lease) -> Result<(), PgError> {
    client.execute_typed("UPDATE runs SET asked_all = true WHERE id = $1", &[(&lease.run, Type::INT8)]).await?;
    Ok(())
}

/// Ends the lease: what nobody has claimed is withdrawn, and the next trainer need not wait.
pub(super) async fn release(client: &mut Client, lease: Lease, complete: bool) -> Result<(), PgError> {
    let transaction = client.transaction().await?;
    if fence(&transaction, lease).await?.is_err() {
        return Ok(());
    }
    transaction.execute_typed("DELETE FROM waiting WHERE run = $1", &[(&lease.run, Type::INT8)]).await?;
    transaction
        .execute_typed("DELETE FROM questions WHERE run = $1 AND worker IS NULL", &[(&lease.run, Type::INT8)])
        .await?;
    transaction
        .execute_typed(
            "UPDATE runs SET complete = $2 WHERE id = $1",
            &[(&lease.run, Type::INT8), (&complete, Type::BOOL)],
        )
        .await?;
    transaction
        .execute_typed(
            "UPDATE trainers SET seen = NULL WHERE run = $1 AND epoch = $2",
            &[(&lease.run, Type::INT8), (&lease.epoch, Type::INT8)],
        )
        .await?;
    transaction.commit().await
}

/// A run as workers see it.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) run: i64,
    pub(super) name: String,
    pub(super) epoch: i64,
    pub(super) asked_all: bool,
    pub(super) stopped: bool,
    /// A trainer is there.
    pub(super) trained: bool,
    pub(super) complete: bool,
}

/// What runs there are, for whoever asked for another: in parentheses, or nothing.
pub(super) fn named(there: &[Open]) -> String {
    let names: Vec<String> = there.iter().map(|run| format!("{:?}", run.name)).collect();
    if names.is_empty() { String::new() } else { format!(" (there is {})", names.join(", ")) }
}

/// All runs, or the one that is named.
pub(super) async fn list(client: &mut Client, name: Option<&str>) -> Result<Vec<Open>, PgError> {
    let rows = client
        .query_typed(
            &format!(
                "SELECT r.id, r.name, t.epoch, r.asked_all, r.stopped IS NOT NULL,
                     seen IS NOT NULL AND NOT {IS_MISSING}, r.complete
                 FROM runs r JOIN trainers t ON t.run = r.id WHERE $1::text IS NULL OR r.name = $1 ORDER BY r.id"
            ),
            &[(&name, Type::TEXT)],
        )
        .await?;
    let of = |row: &tokio_postgres::Row| Open {
        run: row.get(0),
        name: row.get(1),
        epoch: row.get(2),
        asked_all: row.get(3),
        stopped: row.get(4),
        trained: row.get(5),
        complete: row.get(6),
    };
    Ok(rows.iter().map(of).collect())
}

/// What workers ask a run's questions by.
pub(super) async fn setup(client: &mut Client, run: i64) -> Result<String, PgError> {
    Ok(client.query_typed_one("SELECT setup FROM runs WHERE id = $1", &[(&run, Type::INT8)]).await?.get(0))
}

/// The files of these hashes.
pub(super) async fn files(client: &mut Client, hashes: &[[u8; 16]]) -> Result<Vec<SharedFile>, PgError> {
    let hashes: Vec<&[u8]> = hashes.iter().map(<[u8; 16]>::as_slice).collect();
    let rows = client
        .query_typed("SELECT hash, bytes FROM files WHERE hash = ANY ($1)", &[(&hashes, Type::BYTEA_ARRAY)])
        .await?;
    let of = |row: &tokio_postgres::Row| {
        Some(SharedFile { hash: row.get::<_, &[u8]>(0).try_into().ok()?, bytes: row.get(1) })
    };
    Ok(rows.iter().filter_map(of).collect())
}

/// A run directory had spent so much before it was shared: that counts too.
pub(super) async fn spent_before(client: &mut Client, lease: Lease, spent: Decimal) -> Result<(), PgError> {
    client
        .execute_typed(
            &format!("UPDATE runs SET spent_besides = spent_besides + greatest($2::text::numeric - ({SPENT}), 0) WHERE id = $1"),
            &[(&lease.run, Type::INT8), (&spent.to_string(), Type::TEXT)],
        )
        .await?;
    Ok(())
}
