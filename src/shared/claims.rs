//! What workers do to the database: claim questions, settle them, give them back. Statements and their meaning; when they are
//! sent is for `worker`.

use rust_decimal::Decimal;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::database::PgError;
use super::process::Process;
use crate::domain::answer::AnswerKey;

/// How long a heartbeat may be missing before who should send it counts as gone: a condition of `seen`. Not in the first moments of a
/// database that was away: then all are late, and what they hold is on its way here.
pub(super) const IS_MISSING: &str =
    "(seen < now() - interval '15 seconds' AND pg_postmaster_start_time() < now() - interval '20 seconds')";

/// A question that was claimed.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) seq: i64,
    pub(super) key: AnswerKey,
    pub(super) attempt: u32,
    pub(super) draw: u32,
    pub(super) id: String,
    pub(super) text: String,
}

/// How a question ended.
#[derive(Debug)]
pub(super) enum Ending {
    /// The line of the answer.
    Answered(String),
    /// It cannot be answered now: why.
    Failed(String),
    /// Not asked: somebody else may.
    Returned,
}

/// A question that ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) seq: i64,
    pub(super) key: AnswerKey,
    pub(super) attempt: u32,
    pub(super) ending: Ending,
}

/// Enters a worker; gives its number. Those that were killed on this machine are given up at once.
pub(super) async fn enter(client: &mut Client, process: &Process) -> Result<i64, PgError> {
    let there = client
        .query_typed(
            "SELECT id, process FROM workers WHERE NOT gone AND machine = $1",
            &[(&process.machine, Type::TEXT)],
        )
        .await?;
    let ended = |row: &&Row| process.has_ended(&process.machine, row.get(1));
    let ended: Vec<i64> = there.iter().filter(ended).map(|row| row.get(0)).collect();
    if !ended.is_empty() {
        client
            .execute_typed(
                "UPDATE workers SET seen = '-infinity' WHERE id = ANY ($1) AND NOT gone",
                &[(&ended, Type::INT8_ARRAY)],
            )
            .await?;
        free_lost(client, false).await?;
    }
    let row = client
        .query_typed_one(
            "INSERT INTO workers (name, machine, process) VALUES ($1, $2, $3) RETURNING id",
            &[(&process.name, Type::TEXT), (&process.machine, Type::TEXT), (&process.number, Type::INT8)],
        )
        .await?;
    Ok(row.get(0))
}

/// Says that a worker is there; false where it was given up, and is to enter anew. Frees what workers hold that are not.
pub(super) async fn beat(client: &mut Client, worker: i64) -> Result<bool, PgError> {
    let beaten = client
        .execute_typed("UPDATE workers SET seen = now() WHERE id = $1 AND NOT gone", &[(&worker, Type::INT8)])
        .await?;
    free_lost(client, false).await?;
    Ok(beaten == 1)
}

/// Gives up the workers whose heartbeat is missing: what they hold of a budget counts as spent, their questions are free; `also_earlier`
/// those of workers that were given up before, for which all questions are looked at.
pub(super) async fn free_lost(client: &mut Client, also_earlier: bool) -> Result<(), PgError> {
    let lost = format!(
        "WITH lost AS (
             SELECT id FROM workers WHERE NOT gone AND (seen = '-infinity' OR {IS_MISSING}) FOR NO KEY UPDATE SKIP LOCKED
         )
         UPDATE workers w SET gone = true FROM lost WHERE w.id = lost.id RETURNING w.id, w.name"
    );
    let transaction = client.transaction().await?;
    let rows = transaction.query_typed(&lost, &[]).await?;
    let workers: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
    if !workers.is_empty() {
        // By run, in their order, as all who lock several do.
        transaction
            .query_typed(
                "SELECT id FROM runs WHERE id IN (SELECT run FROM grants WHERE worker = ANY ($1)) ORDER BY id FOR NO KEY UPDATE",
                &[(&workers, Type::INT8_ARRAY)],
            )
            .await?;
        transaction
            .execute_typed(
                "WITH given AS (
                     UPDATE grants g SET lost = greatest(g.amount, 0), amount = 0 WHERE g.worker = ANY ($1) AND g.amount > 0
                     RETURNING g.run, g.lost
                 )
                 UPDATE runs r SET spent_besides = r.spent_besides + s.sum
                 FROM (SELECT run, sum(lost) AS sum FROM given GROUP BY run) s WHERE r.id = s.run AND r.cap IS NOT NULL",
                &[(&workers, Type::INT8_ARRAY)],
            )
            .await?;
    }
    // Of all that are gone: one may have claimed at the moment at which it was given up, which a later look finds.
    if !workers.is_empty() || also_earlier {
        transaction
            .execute_typed("UPDATE questions q SET worker = NULL FROM workers w WHERE q.worker = w.id AND w.gone", &[])
            .await?;
    }
    transaction.commit().await?;
    for row in rows {
        let name: String = row.get(1);
        tracing::warn!("the worker {name} is gone: what it was asked is asked by others");
    }
    Ok(())
}

/// Claims so many questions of a teacher, the oldest first. Those that were answered meanwhile end at once, and are not among
/// what is given.
pub(super) async fn claim(
    client: &mut Client,
    worker: i64,
    (run, epoch): (i64, i64),
    teacher: &str,
    most: i64,
) -> Result<Vec<Question>, PgError> {
    let rows = client
        .query_typed(
            "WITH open AS (
                 SELECT seq FROM questions WHERE run = $1 AND epoch = $5 AND teacher = $2 AND worker IS NULL
                 ORDER BY seq LIMIT $3 FOR UPDATE SKIP LOCKED
             )
             UPDATE questions q SET worker = $4 FROM open
             WHERE q.seq = open.seq AND EXISTS (SELECT FROM workers WHERE id = $4 AND NOT gone)
             RETURNING q.seq, q.key, q.attempt, q.draw, q.id, q.text,
                 EXISTS (SELECT FROM answers a WHERE a.key = q.key AND a.attempt = q.attempt)",
            &[
                (&run, Type::INT8),
                (&teacher, Type::TEXT),
                (&most, Type::INT8),
                (&worker, Type::INT8),
                (&epoch, Type::INT8),
            ],
        )
        .await?;
    let (known, open): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row.get::<_, bool>(6));
    if !known.is_empty() {
        let seqs: Vec<i64> = known.iter().map(|row| row.get(0)).collect();
        client
            .execute_typed(
                "WITH done AS (DELETE FROM questions WHERE seq = ANY ($1) RETURNING key, attempt)
                 UPDATE waiting w SET ready = true FROM done WHERE w.key = done.key AND w.attempt = done.attempt",
                &[(&seqs, Type::INT8_ARRAY)],
            )
            .await?;
    }
    // `RETURNING` keeps no order.
    let mut questions: Vec<Question> = open
        .iter()
        .filter_map(|row| {
            Some(Question {
                seq: row.get(0),
                key: AnswerKey(row.get::<_, &[u8]>(1).try_into().ok()?),
                attempt: u32::try_from(row.get::<_, i32>(2)).ok()?,
                draw: u32::try_from(row.get::<_, i32>(3)).ok()?,
                id: String::from_utf8_lossy(row.get(4)).into_owned(),
                text: String::from_utf8_lossy(row.get(5)).into_owned(),
            })
        })
        .collect();
    questions.sort_unstable_by_key(|question| question.seq);
    Ok(questions)
}

/// Lets go of what a worker holds besides `held`: claims of which it was never told.
pub(super) async fn let_go(client: &mut Client, worker: i64, held: &[i64]) -> Result<(), PgError> {
    client
        .execute_typed(
            "UPDATE questions SET worker = NULL WHERE worker = $1 AND seq <> ALL ($2)",
            &[(&worker, Type::INT8), (&held, Type::INT8_ARRAY)],
        )
        .await?;
    Ok(())
}

/// Settles what ended of one run, in one transaction: answers are kept, who waits is told, and `spent`, all that the worker has spent on the
/// run since it began, is counted. May be sent again: nothing is counted twice. No row is touched that another worker's settling
/// touches, but of the same question.
pub(super) async fn settle(
    client: &mut Client,
    worker: i64,
    run: i64,
    ended: &[&Ended],
    spent: Decimal,
) -> Result<(), PgError> {
    let (mut answered, mut keys, mut attempts, mut lines) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut failed, mut reasons, mut returned) = (Vec::new(), Vec::new(), Vec::new());
    for Ended { seq, key, attempt, ending } in ended {
        match ending {
            Ending::Answered(line) => {
                answered.push(*seq);
                keys.push(key.0.as_slice());
                attempts.push(i32::try_from(*attempt).unwrap_or(i32::MAX));
                lines.push(line.as_str());
            }
            Ending::Failed(reason) => {
                failed.push(*seq);
                // The database's text holds everything but this.
                reasons.push(reason.replace('\0', " "));
            }
            Ending::Returned => returned.push(*seq),
        }
    }
    let transaction = client.transaction().await?;
    // The question of an answer ends also where it is somebody else's by now: who claims looks for an answer.
    transaction
        .execute_typed(
            "WITH answered AS (SELECT * FROM unnest($3, $4, $5, $6) AS n (seq, key, attempt, line)),
             failed AS (SELECT * FROM unnest($7, $8) AS n (seq, reason)),
             kept AS (
                 INSERT INTO answers (key, attempt, line, run) SELECT key, attempt, line, $1 FROM answered ORDER BY key, attempt
                 ON CONFLICT DO NOTHING
             ), done AS (
                 DELETE FROM questions q USING answered n WHERE q.seq = n.seq
             ), left_open AS (
                 DELETE FROM questions q USING failed n WHERE q.seq = n.seq AND q.worker = $2 RETURNING q.key, q.attempt, n.reason
             ), told_why AS (
                 UPDATE waiting w SET ready = true, failure = n.reason
                 FROM left_open n WHERE w.key = n.key AND w.attempt = n.attempt
             ), free AS (
                 UPDATE questions SET worker = NULL WHERE seq = ANY ($9) AND worker = $2
             )
             UPDATE grants g SET reported = $10::text::numeric, lost = lost - least(lost, $10::text::numeric - reported),
                 amount = amount - greatest($10::text::numeric - reported - lost, 0),
                 spent = spent + greatest($10::text::numeric - reported - lost, 0)
             WHERE run = $1 AND worker = $2 AND reported < $10::text::numeric",
            &[
                (&run, Type::INT8),
                (&worker, Type::INT8),
                (&answered, Type::INT8_ARRAY),
                (&keys, Type::BYTEA_ARRAY),
                (&attempts, Type::INT4_ARRAY),
                (&lines, Type::TEXT_ARRAY),
                (&failed, Type::INT8_ARRAY),
                (&reasons, Type::TEXT_ARRAY),
                (&returned, Type::INT8_ARRAY),
                (&spent.to_string(), Type::TEXT),
            ],
        )
        .await?;
    if !keys.is_empty() {
        // A statement of its own, which sees who began to wait before the question was gone.
        transaction
            .execute_typed(
                "UPDATE waiting w SET ready = true FROM unnest($1, $2) AS n (key, attempt) WHERE w.key = n.key AND w.attempt = n.attempt",
                &[(&keys, Type::BYTEA_ARRAY), (&attempts, Type::INT4_ARRAY)],
            )
            .await?;
    }
    transaction.commit().await
}

/// Says why a worker cannot ask a teacher.
pub(super) async fn complain(
    client: &mut Client,
    worker: i64,
    run: i64,
    teacher: &str,
    reason: &str,
) -> Result<(), PgError> {
    let reason = reason.replace('\0', " ");
    client
        .execute_typed(
            "INSERT INTO problems (run, worker, teacher, reason) VALUES ($1, $2, $3, $4)
             ON CONFLICT (run, worker, teacher) DO UPDATE SET reason = excluded.reason",
            &[(&run, Type::INT8), (&worker, Type::INT8), (&teacher, Type::TEXT), (&reason, Type::TEXT)],
        )
        .await?;
    Ok(())
}

/// A worker ends: what it did not spend of what it was granted is free, and so is what it holds.
pub(super) async fn leave(client: &mut Client, worker: i64) -> Result<(), PgError> {
    let transaction = client.transaction().await?;
    transaction.execute_typed("UPDATE workers SET gone = true WHERE id = $1", &[(&worker, Type::INT8)]).await?;
    transaction
        .query_typed(
            "SELECT id FROM runs WHERE id IN (SELECT run FROM grants WHERE worker = $1) ORDER BY id FOR NO KEY UPDATE",
            &[(&worker, Type::INT8)],
        )
        .await?;
    // One that was given up and is back has told all that it spent: the rest of what was counted for it was not.
    transaction
        .execute_typed(
            "UPDATE runs r SET spent_besides = r.spent_besides - g.lost FROM grants g
             WHERE g.worker = $1 AND g.run = r.id AND g.lost > 0 AND r.cap IS NOT NULL",
            &[(&worker, Type::INT8)],
        )
        .await?;
    transaction
        .execute_typed("UPDATE grants SET amount = 0, lost = 0 WHERE worker = $1", &[(&worker, Type::INT8)])
        .await?;
    transaction.execute_typed("UPDATE questions SET worker = NULL WHERE worker = $1", &[(&worker, Type::INT8)]).await?;
    transaction.commit().await
}
