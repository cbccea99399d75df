//! The newest checkpoint of the trainer's run directory, brought to the database now and then, a few pieces at a time: the next trainer,
//! on another machine, goes on from it in place of replaying all labels.
//!
//! It counts once its last piece is there, and by then the database has the logs that it stands on: whoever fetches both can use it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::database::{PgError, Session, with_client};
use super::mirror::{Fetched, fetch_file, logs};
use super::pieces::{self, Piece};
use super::runs::{Lease, Outdated, fence};
use crate::base::threads::blocking;
use crate::error::{Error, Result};
use crate::store::CheckpointFiles;

/// Between two of them, at least.
const EVERY: Duration = Duration::from_secs(60);
/// And so many times as long as sending one took.
const SPARE: u32 = 20;
/// Bytes that are sent together.
const PIECE: usize = 1 << 20;
/// Pieces that are sent between two looks at the logs, which are not to wait.
const PORTION: usize = 8;
/// What their names in the database begin with.
const FOLDER: &str = "checkpoints/";

/// See the module.
pub(super) struct Checkpoints {
    files: CheckpointFiles,
    /// What the database has, or is not to have.
    last: Option<String>,
    next: Instant,
    sending: Option<Sending>,
}

struct Sending {
    /// In the database.
    name: String,
    /// Open, so that it can be read to its end when it is no longer among the files.
    file: File,
    sent: u64,
    crc: crc32fast::Hasher,
    began: Instant,
}

impl Checkpoints {
    /// Those of the run directory `dir`.
    pub(super) fn of(dir: &Path) -> Self {
        Self { files: CheckpointFiles::of(dir), last: None, next: Instant::now() + EVERY, sending: None }
    }

    /// Takes up the newest, if one is due: before the logs are shipped that it stands on. `now` is at the end, when there will be no other.
    pub(super) fn look(&mut self, now: bool) -> Result<()> {
        if self.sending.is_some() || (!now && Instant::now() < self.next) {
            return Ok(());
        }
        let newest = self.files.newest_by_name();
        let name = newest.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).map(str::to_owned);
        let (Some(path), Some(name)) = (newest, name) else { return Ok(()) };
        if self.last.as_ref() == Some(&name) {
            return Ok(());
        }
        self.sending = match File::open(&path) {
            Ok(file) => {
                let (name, crc, began) = (format!("{FOLDER}{name}"), crc32fast::Hasher::new(), Instant::now());
                Some(Sending { name, file, sent: 0, crc, began })
            }
            // Another has taken its place meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        Ok(())
    }

    /// Sends the next pieces of what was taken up. Whether nothing is left of it.
    pub(super) async fn send(&mut self, session: &mut Session, lease: Lease) -> Result<bool> {
        for _ in 0..PORTION {
            let Some(mut sending) = self.sending.take() else { return Ok(true) };
            let (read, piece) = blocking("shipping", move || {
                let mut piece = Vec::new();
                let read = sending.file.by_ref().take(PIECE as u64).read_to_end(&mut piece);
                read.map_err(Error::run_file("read", Path::new(&sending.name)))?;
                Ok((sending, piece))
            })
            .await?;
            sending = read;
            if piece.is_empty() {
                let (name, size, crc) = (&sending.name, sending.sent, sending.crc.finalize());
                with_client!(session, |client| publish(client, lease, name, size, crc)).map_err(|Outdated| gone())?;
                self.last = sending.name.strip_prefix(FOLDER).map(str::to_owned);
                self.next = Instant::now() + EVERY.max(sending.began.elapsed() * SPARE);
                return Ok(true);
            }
            sending.crc.update(&piece);
            with_client!(session, |client| add(client, lease, &sending.name, sending.sent, &piece))
                .map_err(|Outdated| gone())?;
            sending.sent += piece.len() as u64;
            self.sending = Some(sending);
        }
        Ok(false)
    }
}

fn gone() -> Error {
    Error::gone("trainer")
}

/// Fetches the run's checkpoint, if it has one, to where those of the run directory `dir` are; gives its path there.
pub(super) async fn fetch(session: &mut Session, run: i64, dir: &Path) -> Result<Option<PathBuf>> {
    let there = with_client!(session, |client| logs(client, run));
    for (file, log) in there {
        let Some(name) = file.strip_prefix(FOLDER).filter(|name| !name.contains(['/', '\\'])) else { continue };
        let path = dir.join(FOLDER).join(name);
        if path.exists() {
            return Ok(Some(path));
        }
        // Whoever else fetches into the same folder does so beside it.
        let aside = dir.join(format!("fetching-{}", std::process::id()));
        let failed = |path: &Path| Error::run_file("write", path);
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::create_dir_all(aside.join(FOLDER)).map_err(failed(&aside))?;
        std::fs::create_dir_all(dir.join(FOLDER)).map_err(failed(&path))?;
        fetch_file(session, run, &aside, &file, log, &mut Fetched::default()).await?;
        std::fs::rename(aside.join(&file), &path).map_err(failed(&path))?;
        std::fs::remove_dir_all(&aside).map_err(failed(&aside))?;
        return Ok(Some(path));
    }
    Ok(None)
}

/// Adds a piece. The same may be sent again.
async fn add(
    client: &mut Client,
    lease: Lease,
    name: &str,
    begins: u64,
    bytes: &[u8],
) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    pieces::put(&transaction, &Piece { run: lease.run, file: name, generation: 0, begins, bytes }).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Makes the pieces of a name the run's checkpoint; those of others go, also what was sent of one in part.
async fn publish(
    client: &mut Client,
    lease: Lease,
    name: &str,
    size: u64,
    crc: u32,
) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    for table in ["pieces", "logs"] {
        transaction
            .execute_typed(
                &format!("DELETE FROM {table} WHERE run = $1 AND starts_with(file, $2) AND file <> $3"),
                &[(&lease.run, Type::INT8), (&FOLDER, Type::TEXT), (&name, Type::TEXT)],
            )
            .await?;
    }
    transaction
        .execute_typed(
            "INSERT INTO logs (run, file, generation, size, crc) VALUES ($1, $2, 0, $3, $4) ON CONFLICT DO NOTHING",
            &[
                (&lease.run, Type::INT8),
                (&name, Type::TEXT),
                (&i64::try_from(size).unwrap_or(i64::MAX), Type::INT8),
                (&i64::from(crc), Type::INT8),
            ],
        )
        .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}
