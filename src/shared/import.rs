//! Answers of a run directory that was not shared, brought into the database.

use std::io::{BufRead, BufReader};
use std::path::Path;

use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{Database, PgError, with_client};
use super::schema;
use super::scope::Scope;
use crate::base::sealed;
use crate::base::threads::blocking;
use crate::domain::answer::AnswerKey;
use crate::domain::sample::from_hex;
use crate::error::{Error, Result};
use crate::store::{ANSWERS, AnswerLine, RunDir};

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

/// Brings the answers of `path`, a run directory or the file of a worker whose database was lost, into the database at `url`. Nobody pays for them again
/// there, and no budget counts them. Once is as good as twice.
///
/// # Errors
///
/// [`Error::Input`] where the journal cannot be read, [`Error::Away`] where the database does not answer, [`Error::Shared`] where it
/// cannot be used.
pub async fn import_answers(url: &str, path: &Path) -> Result<Imported> {
    // A journal says nothing of the labels that its answers were read by; the directory does.
    let (path, scope) = match path.is_dir() {
        true => (path.join(ANSWERS), Some(Scope::of(RunDir::view(path)?.labels()))),
        false => (path.to_owned(), None),
    };
    let database = Database::at(url)?;
    let mut session = database.session().await?;
    schema::bring_up(&mut session).await?;
    let (sender, mut lines) = tokio::sync::mpsc::channel(2);
    let reading = tokio::spawn(blocking("import", move || read(&path, scope, &sender)));
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
fn read(path: &Path, scope: Option<Scope>, parts: &tokio::sync::mpsc::Sender<Vec<Line>>) -> Result<u64> {
    let wrong = |source| Error::Input { what: "answers", path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(wrong)?;
    let (mut part, mut damaged) = (Vec::new(), 0);
    for bytes in BufReader::new(file).split(b'\n') {
        let bytes = bytes.map_err(wrong)?;
        match answer(&bytes, scope) {
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

/// The field of an answer's key in the database, in the file of a worker whose database was lost.
const SHARED_KEY: &str = "shared_key";

/// A line of such a file.
pub(super) fn unsent(line: &str, key: AnswerKey) -> Option<String> {
    let mut line: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line).ok()?;
    line.insert(SHARED_KEY.to_owned(), key.to_hex().into());
    serde_json::to_string(&line).ok()
}

/// The answer of a line: sealed, of a journal whose labels are known, or with its key in the database.
fn answer(bytes: &[u8], scope: Option<Scope>) -> Option<Line> {
    let line: AnswerLine = match sealed::check(bytes) {
        Err(sealed::Broken::Changed) => return None,
        // A journal's lines are all sealed: the seal itself was hit.
        Err(sealed::Broken::Unsealed) if scope.is_some() => return None,
        _ => serde_json::from_slice(bytes).ok()?,
    };
    let key = match scope {
        Some(scope) => scope.key(AnswerKey(from_hex(&line.key)?)),
        None => {
            let fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(bytes).ok()?;
            AnswerKey(from_hex(fields.get(SHARED_KEY)?.as_str()?)?)
        }
    };
    let text = serde_json::to_string(&line).ok()?;
    Some(Line { key: key.0.to_vec(), attempt: i32::try_from(line.attempt).ok()?, line: text })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::{Label, LabelSet};

    #[test]
    fn a_line_of_a_journal_needs_its_labels_and_one_that_was_not_sent_has_its_key() {
        let label = |name: &str| Label { name: name.to_owned(), description: None, aliases: Vec::new() };
        let scope = Scope::of(&LabelSet::new(vec![label("a"), label("b")]).unwrap());
        let key = AnswerKey([9; 16]);
        let line = format!(
            r#"{{"id":"1","teacher":"t","labels":["a"],"key":"{}","text_hash":"{}","attempt":1}}"#,
            key.to_hex(),
            key.to_hex()
        );
        let sealed = sealed::seal(&line);
        let expected = scope.key(key);
        assert_eq!(answer(sealed.trim_end().as_bytes(), Some(scope)).unwrap().key, expected.0);
        assert!(answer(sealed.trim_end().as_bytes(), None).is_none());
        assert_eq!(answer(unsent(&line, expected).unwrap().as_bytes(), None).unwrap().key, expected.0);
        let changed = sealed.replace("\"a\"", "\"b\"");
        assert!(answer(changed.trim_end().as_bytes(), Some(scope)).is_none());
        let unsealed = sealed.replace("\"crc\"", "\"crd\"");
        assert!(answer(unsealed.trim_end().as_bytes(), Some(scope)).is_none());
    }
}
