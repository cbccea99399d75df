//! Answers of a run directory that was not shared, brought into the database.

use std::io::{BufRead, BufReader};
use std::path::Path;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{Database, PgError, with_client};
use super::schema;
use crate::base::sealed;
use crate::base::threads::blocking;
use crate::domain::sample::from_hex;
use crate::error::{Error, Result};
use crate::store::AnswerLine;

/// Answers that are sent together.
const TOGETHER: usize = 1000;

/// What came of an import.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Answers that the database did not have.
    pub new: u64,
    /// Answers that it had.
    pub known: u64,
    /// Lines that are no answers, or damaged.
    pub damaged: u64,
}

/// An answer on its way.
struct Line {
    key: Vec<u8>,
    attempt: i32,
    line: String,
}

/// Brings the answers of `path`, a run directory or its `answers.jsonl`, into the database at `url`. Nobody pays for them again
/// there, and no budget counts them. Once is as good as twice.
///
/// # Errors
///
/// [`Error::Input`] where the journal cannot be read, [`Error::Shared`] where the database cannot be used.
pub async fn import_answers(url: &str, path: &Path) -> Result<Imported> {
    let path = if path.is_dir() { path.join("answers.jsonl") } else { path.to_owned() };
    let database = Database::at(url)?;
    let mut session = database.session().await?;
    schema::bring_up(&mut session).await?;
    let (sender, mut lines) = tokio::sync::mpsc::channel(2);
    let reading = tokio::spawn(blocking("import", move || read(&path, &sender)));
    let mut imported = Imported::default();
    while let Some(part) = lines.recv().await {
        let part: Vec<Line> = part;
        let new = with_client!(session, |client| insert(client, &part));
        imported.new += new;
        imported.known += part.len() as u64 - new;
    }
    imported.damaged = reading.await.map_err(|_| Error::gone("import"))??;
    Ok(imported)
}

/// Reads the journal in parts; gives the lines that are damaged.
fn read(path: &Path, parts: &tokio::sync::mpsc::Sender<Vec<Line>>) -> Result<u64> {
    let wrong = |source| Error::Input { what: "answers", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(wrong)?;
    let (mut part, mut damaged) = (Vec::new(), 0);
    for bytes in BufReader::new(file).split(b'\n') {
        let bytes = bytes.map_err(wrong)?;
        match answer(&bytes) {
            Some(line) => part.push(line),
            None => damaged += 1,
        }
        if part.len() >= TOGETHER && parts.blocking_send(std::mem::take(&mut part)).is_err() {
            return Ok(damaged);
        }
    }
    // Nobody takes it where the database is gone, which is told there.
    let _ = parts.blocking_send(part);
    Ok(damaged)
}

/// The answer of a line, sealed as in a journal or plain as in the file of a worker whose database was lost.
fn answer(bytes: &[u8]) -> Option<Line> {
    if sealed::check(bytes) == Err(sealed::Broken::Changed) {
        return None;
    }
    let line: AnswerLine = serde_json::from_slice(bytes).ok()?;
    let key: [u8; 16] = from_hex(&line.key)?;
    let text = serde_json::to_string(&line).ok()?;
    Some(Line { key: key.to_vec(), attempt: i32::try_from(line.attempt).ok()?, line: text })
}

/// Gives how many are new.
async fn insert(client: &mut Client, part: &[Line]) -> Result<u64, PgError> {
    let keys: Vec<&[u8]> = part.iter().map(|line| line.key.as_slice()).collect();
    let attempts: Vec<i32> = part.iter().map(|line| line.attempt).collect();
    let lines: Vec<&str> = part.iter().map(|line| line.line.as_str()).collect();
    client
        .execute_typed(
            "INSERT INTO answers (key, attempt, line)
             SELECT DISTINCT ON (k, a) k, a, l FROM unnest($1, $2, $3) WITH ORDINALITY AS n (k, a, l, o) ORDER BY k, a, o DESC
             ON CONFLICT DO NOTHING",
            &[(&keys, Type::BYTEA_ARRAY), (&attempts, Type::INT4_ARRAY), (&lines, Type::TEXT_ARRAY)],
        )
        .await
}
