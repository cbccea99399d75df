//! The newest checkpoint of the trainer's run directory, brought to the database now and then, a few pieces at a time: the next trainer,
//! on another machine, goes on from it in place of replaying all labels.
//!
//! It counts once its last piece is there, and by then the database has the logs that it stands on: whoever fetches both can use it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::database::{PgError, Session, with_client};
use super::pieces::{self, Fetched, Piece, fetch_file, logs};
use super::runs::{Lease, Outdated, fence};
use crate::base::durable::rename;
use crate::base::threads::blocking;
use crate::error::{Error, Result};
use crate::store::{CheckpointFiles, LABELS};

/// Between two of them; sooner where there are so many bytes of new labels, some 15,000, which the next trainer would take seconds to
/// make again.
const EVERY: Duration = Duration::from_secs(60);
const MUCH: u64 = 4 << 20;
/// But so many times as long as sending one took, at least, which on a way that was cut may be long.
const SPARE: u32 = 20;
const AT_LEAST_EVERY: Duration = Duration::from_secs(15 * 60);
/// Bytes that are sent together: a slow way brings them before the database ends a transaction that waits.
const PIECE: u64 = 256 << 10;
/// How long the logs may wait for them.
const PORTION: Duration = Duration::from_millis(500);
/// Times that a checkpoint is fetched which is replaced meanwhile.
const TRIES: usize = 3;
/// What their names in the database begin with.
const FOLDER: &str = "checkpoints/";

/// See the module.
pub(super) struct Checkpoints {
    files: CheckpointFiles,
    /// What the database has.
    sent: Option<String>,
    /// When the next is due, and where there are many new labels.
    next: Instant,
    soonest: Instant,
    log: PathBuf,
    /// Bytes of it when one was taken up last.
    labels: u64,
    sending: Option<Sending>,
}

struct Sending {
    /// Of its file.
    name: String,
    /// Open, so that it can be read to its end when it is no longer among the files.
    file: File,
    /// Those that the database has; it is to be asked where nothing was sent yet.
    bytes: Option<u64>,
    began: Instant,
}

impl Checkpoints {
    /// Those of the run directory `dir`. `sent` is what the database has of the run.
    pub(super) fn of(dir: &Path, sent: Option<String>) -> Self {
        let (now, log) = (Instant::now(), dir.join(LABELS));
        // What is there now the run has made before.
        let labels = bytes_of(&log);
        // Where there is none yet, whoever looks from elsewhere waits for one.
        let next = if sent.is_some() { now + EVERY } else { now };
        Self { files: CheckpointFiles::of(dir), sent, next, soonest: now, log, labels, sending: None }
    }

    /// Takes up the newest, if one is due: before the logs are shipped that it stands on. `is_last` is at the end, when there will be no
    /// other: then one that is on its way and no longer the newest is given up.
    pub(super) fn look(&mut self, is_last: bool) -> Result<()> {
        let (now, labels) = (Instant::now(), bytes_of(&self.log));
        if !is_last && (self.sending.is_some() || !self.is_due(now, labels)) {
            return Ok(());
        }
        let newest = self.files.newest_published();
        let name = newest.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned);
        let (Some(path), Some(name)) = (newest, name) else { return Ok(()) };
        if self.sent.as_ref() == Some(&name) || self.sending.as_ref().is_some_and(|sending| sending.name == name) {
            return Ok(());
        }
        self.sending = match File::open(&path) {
            Ok(file) => {
                self.labels = labels;
                Some(Sending { name, file, bytes: None, began: Instant::now() })
            }
            // Another has taken its place meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        Ok(())
    }

    /// Whether it is time for the next, with so many bytes of labels.
    fn is_due(&self, now: Instant, labels: u64) -> bool {
        now >= self.next || now >= self.soonest && labels >= self.labels.saturating_add(MUCH)
    }

    /// Sends the next pieces of what was taken up, for as long as the logs may wait. Whether nothing is left of it.
    pub(super) async fn send(&mut self, session: &mut Session, lease: Lease) -> Result<bool> {
        let until = Instant::now() + PORTION;
        while Instant::now() < until {
            let Some(mut sending) = self.sending.take() else { return Ok(true) };
            let name = format!("{FOLDER}{}", sending.name);
            let from = match sending.bytes {
                Some(bytes) => bytes,
                // A name has the hash of what it names: what is there of it is of this one. The last piece comes again.
                None => with_client!(session, |client| begun(client, lease.run, &name)),
            };
            let (read, piece) = blocking("shipping", move || {
                let mut piece = Vec::new();
                let read = sending
                    .file
                    .seek(SeekFrom::Start(from))
                    .and_then(|_| sending.file.by_ref().take(PIECE).read_to_end(&mut piece));
                read.map_err(Error::run_file("read", Path::new(&sending.name)))?;
                Ok((sending, piece))
            })
            .await?;
            sending = read;
            let found = Piece { run: lease.run, file: &name, generation: 0, begins: from, bytes: &piece };
            let put = with_client!(session, |client| put(client, lease, &found));
            put.map_err(|Outdated| Error::gone("trainer"))?;
            if piece.is_empty() {
                let wait = sending.began.elapsed() * SPARE;
                self.soonest = Instant::now() + wait.min(AT_LEAST_EVERY);
                self.next = self.soonest.max(Instant::now() + EVERY);
                self.sent = Some(sending.name);
                return Ok(true);
            }
            sending.bytes = Some(from + piece.len() as u64);
            self.sending = Some(sending);
        }
        Ok(false)
    }
}

/// None where it is not there yet.
fn bytes_of(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |log| log.len())
}

/// The name of the checkpoint that the database has of a run, if it has one.
pub(super) async fn known(session: &mut Session, run: i64) -> Result<Option<(String, Fetched)>> {
    let there = with_client!(session, |client| logs(client, run));
    let mut found = there.into_iter().filter_map(|(file, log)| {
        let name = file.strip_prefix(FOLDER)?;
        (!name.contains(['/', '\\'])).then(|| (name.to_owned(), log))
    });
    Ok(found.next())
}

/// Fetches the run's checkpoint, if it has one, to where those of the run directory `dir` are; gives its path there. `aside` is where it
/// is until it is whole.
///
/// # Errors
///
/// [`Error::RunFile`] where it cannot be written, [`Error::Shared`] where the database cannot be asked, or puts another in its place again
/// and again.
pub(super) async fn fetch(session: &mut Session, run: i64, dir: &Path, aside: &Path) -> Result<Option<PathBuf>> {
    // As often as another may take its place meanwhile.
    for _ in 0..TRIES {
        let Some((name, log)) = known(session, run).await? else { return Ok(None) };
        let path = dir.join(FOLDER).join(&name);
        if CheckpointFiles::is_whole(&path) {
            return Ok(Some(path));
        }
        let file = format!("{FOLDER}{name}");
        let (from, failed) = (aside.join(&file), |path: &Path| Error::run_file("write", path));
        for folder in [aside, dir] {
            std::fs::create_dir_all(folder.join(FOLDER)).map_err(failed(folder))?;
        }
        fetch_file(session, run, aside, &file, log, &mut Fetched::default()).await?;
        if CheckpointFiles::is_whole(&from) {
            File::open(&from).and_then(|file| file.sync_all()).map_err(failed(&from))?;
            rename(&from, &path).map_err(failed(&path))?;
            return Ok(Some(path));
        }
        let _ = std::fs::remove_file(&from);
    }
    Err(Error::Shared {
        message: "the student's checkpoint in the database changes faster than it is fetched".to_owned(),
    })
}

/// Removes what the database has of checkpoints of a run: they are of other labels than those that follow.
pub(super) async fn forget(transaction: &Transaction<'_>, run: i64) -> Result<(), PgError> {
    others(transaction, run, "").await
}

/// Puts a piece. The same may be put again. One without bytes is the last: what was put under its name is the run's checkpoint then.
async fn put(client: &mut Client, lease: Lease, piece: &Piece<'_>) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    if piece.bytes.is_empty() {
        others(&transaction, piece.run, piece.file).await?;
        transaction
            .execute_typed(
                // Its name has its hash.
                "INSERT INTO logs (run, file, generation, size, crc) VALUES ($1, $2, $3, $4, 0) ON CONFLICT DO NOTHING",
                &[
                    (&piece.run, Type::INT8),
                    (&piece.file, Type::TEXT),
                    (&piece.generation, Type::INT8),
                    (&i64::try_from(piece.begins).unwrap_or(i64::MAX), Type::INT8),
                ],
            )
            .await?;
    } else {
        pieces::put(&transaction, piece).await?;
    }
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Where the last piece of a file begins that the database has; 0 where it has none.
async fn begun(client: &mut Client, run: i64, name: &str) -> Result<u64, PgError> {
    let row = client
        .query_typed_one(
            "SELECT coalesce(max(begins), 0) FROM pieces WHERE run = $1 AND file = $2",
            &[(&run, Type::INT8), (&name, Type::TEXT)],
        )
        .await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or_default())
}

/// Removes those of other names, also what was sent of one in part.
async fn others(transaction: &Transaction<'_>, run: i64, kept: &str) -> Result<(), PgError> {
    for table in ["pieces", "logs"] {
        transaction
            .execute_typed(
                &format!("DELETE FROM {table} WHERE run = $1 AND starts_with(file, $2) AND file <> $3"),
                &[(&run, Type::INT8), (&FOLDER, Type::TEXT), (&kept, Type::TEXT)],
            )
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_due_after_a_minute_and_sooner_with_many_new_labels_but_not_at_once() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Instant::now());
        std::fs::write(dir.path().join(LABELS), "1234").unwrap();
        let mut checkpoints = Checkpoints::of(dir.path(), None);
        (checkpoints.soonest, checkpoints.next) = (now + Duration::from_secs(5), now + EVERY);
        let is_due = |seconds, labels| checkpoints.is_due(now + Duration::from_secs(seconds), labels);
        assert_eq!(
            [is_due(59, 4 + MUCH - 1), is_due(60, 4), is_due(4, 4 + MUCH), is_due(5, 4 + MUCH)],
            [false, true, false, true]
        );
    }
}
