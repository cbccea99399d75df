//! The trainer's logs, as they grow, in the database: for views elsewhere, and for the next trainer.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::checkpoints::{self, Checkpoints};
use super::database::{Database, PgError, Session, with_client};
use super::pieces::{self, Piece};
use super::runs::{Lease, Outdated, fence};
use super::said::Said;
use crate::base::failpoint::pass;
use crate::base::threads::blocking;
use crate::domain::label::LabelSet;
use crate::error::{Error, Result, with_causes};
use crate::store::{ANSWERS, AUDITS, CORRECTIONS, INPUTS, LABELS};

/// What only grows, the labels last: who has a label has its text.
pub(super) const LOGS: [&str; 5] = [CORRECTIONS, AUDITS, ANSWERS, INPUTS, LABELS];
/// What is replaced as a whole.
/// Says which input log and which settings labels are of.
const MANIFEST: &str = "manifest.json";
pub(super) const NOTES: [&str; 3] = [MANIFEST, "failures.jsonl", "status.json"];

/// Between two looks at the files.
const LOOK: Duration = Duration::from_millis(200);
/// Before it is tried again after an error.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// Bytes that are sent together, at most.
const PIECE: usize = 1 << 20;

/// How much of a file the database has.
#[derive(Debug, Clone, Default)]
struct Shipped {
    generation: i64,
    size: u64,
    crc: u32,
    /// Of the file; none before the first look.
    inode: Option<u64>,
}

/// What is shipped.
pub(super) struct Shipping {
    pub(super) lease: Lease,
    /// To read corrections by.
    pub(super) labels: LabelSet,
    /// The run directory.
    pub(super) dir: PathBuf,
    pub(super) said: Said,
}

/// Ships logs and checkpoints until `end` is set, and once more then, the logs first: `all_logs` is told of that. Keeps what people say
/// elsewhere. What goes wrong is tried again, and told once: the run itself does not depend on it.
pub(super) async fn ship(
    database: Arc<Database>,
    mut of: Shipping,
    mut end: watch::Receiver<bool>,
    all_logs: oneshot::Sender<()>,
) -> Result<()> {
    let mut session = database.session().await?;
    let mut shipped = Vec::new();
    for file in LOGS {
        let known = with_client!(session, |client| known(client, of.lease.run, file));
        shipped.push((file, known));
    }
    let mut notes = NOTES.map(|file| (file, Vec::new()));
    let sent = checkpoints::known(&mut session, of.lease.run).await?;
    let mut checkpoints = Checkpoints::of(&of.dir, sent.map(|(name, _)| name));
    let (mut told, mut is_in_place) = (false, false);
    loop {
        // At once at first: the logs of another directory are not to be there any longer than they must.
        let wait = if is_in_place { LOOK } else { Duration::ZERO };
        let is_last = tokio::time::timeout(wait, end.wait_for(|&end| end)).await.is_ok();
        let round = async {
            // A checkpoint counts when the logs are there on which it stands: those of after it was found.
            let looked = checkpoints.look(is_last);
            if !is_in_place {
                of.take_place(&mut session, &mut shipped).await?;
                is_in_place = true;
            }
            of.ship_once(&mut session, &mut shipped, &mut notes).await?;
            looked?;
            if !is_last {
                checkpoints.send(&mut session, of.lease).await?;
            }
            Ok(())
        };
        match round.await {
            Ok(()) => told = false,
            Err(error) if is_last || matches!(error, Error::Gone { .. }) => return Err(error),
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("what is seen of this run elsewhere is not up to date: {}", with_causes(&error));
                }
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
        if is_last {
            // Nobody is there any more where the trainer waits no longer.
            let _ = all_logs.send(());
            while !checkpoints.send(&mut session, of.lease).await? {}
            return Ok(());
        }
    }
}

impl Shipping {
    /// Where the directory has other logs than the database, all that differ are brought there beside them, and then put in their place
    /// together with the manifest: whoever fetches finds the logs of one directory, whenever this is interrupted.
    async fn take_place(&self, session: &mut Session, shipped: &mut [(&'static str, Shipped)]) -> Result<()> {
        let mut others = Vec::new();
        for (file, known) in shipped.iter_mut().filter(|(_, known)| known.size > 0) {
            let (path, of) = (self.dir.join(*file), known.clone());
            match blocking("shipping", move || next_piece(&path, &of)).await? {
                Some(found) if found.begins == known.size => known.inode = Some(found.inode),
                _ => others.push(*file),
            }
        }
        if others.is_empty() {
            return Ok(());
        }
        let mut news = Vec::new();
        for file in others {
            let generation =
                shipped.iter().find(|(name, _)| *name == file).map_or(0, |(_, known)| known.generation + 1);
            news.push((file, self.bring(session, file, generation).await?));
        }
        pass("logs-brought")?;
        let manifest = tokio::fs::read(self.dir.join(MANIFEST)).await.unwrap_or_default();
        let put = with_client!(session, |client| put_in_place(client, self.lease, &news, &manifest));
        put.map_err(|Outdated| gone())?;
        for (file, known) in shipped.iter_mut() {
            if let Some((_, new)) = news.iter().find(|(name, _)| name == file) {
                *known = new.clone();
            }
        }
        Ok(())
    }

    /// Brings a log to the database as one of a later generation, which counts when it is put in its place. Gives how much there is.
    async fn bring(&self, session: &mut Session, file: &'static str, generation: i64) -> Result<Shipped> {
        let mut new = Shipped { generation, ..Shipped::default() };
        loop {
            let (path, of) = (self.dir.join(file), new.clone());
            let Some(found) = blocking("shipping", move || next_piece(&path, &of)).await? else { return Ok(new) };
            if found.bytes.is_empty() {
                return Ok(new);
            }
            let piece = Piece { run: self.lease.run, file, generation, begins: found.begins, bytes: &found.bytes };
            with_client!(session, |client| put_aside(client, self.lease, &piece)).map_err(|Outdated| gone())?;
            let crc = crc_after(new.crc, &found);
            new = Shipped { size: found.begins + found.bytes.len() as u64, crc, inode: Some(found.inode), ..new };
        }
    }

    async fn ship_once(
        &mut self,
        session: &mut Session,
        shipped: &mut [(&'static str, Shipped)],
        notes: &mut [(&'static str, Vec<u8>)],
    ) -> Result<()> {
        self.said.keep(session, self.lease, &self.labels, &self.dir).await?;
        for (file, shipped) in shipped {
            ship_log(session, self.lease, &self.dir.join(*file), file, shipped).await?;
            if *file == CORRECTIONS {
                self.said.forget(session, self.lease).await?;
            }
        }
        for (file, before) in notes {
            let now = tokio::fs::read(self.dir.join(*file)).await.unwrap_or_default();
            // None there for a moment is nothing to tell.
            if *before != now && !now.is_empty() {
                with_client!(session, |client| replace(client, self.lease, file, &now)).map_err(|Outdated| gone())?;
                *before = now;
            }
        }
        Ok(())
    }
}

/// Another trainer has the lease: its own task says so.
fn gone() -> Error {
    Error::gone("trainer")
}

/// Ships what is new of a log, whole lines.
async fn ship_log(session: &mut Session, lease: Lease, path: &Path, file: &str, shipped: &mut Shipped) -> Result<()> {
    loop {
        let (known, of) = (shipped.clone(), path.to_owned());
        let Some(found) = blocking("shipping", move || next_piece(&of, &known)).await? else { return Ok(()) };
        shipped.inode = Some(found.inode);
        // A log that begins anew is told though nothing may be in it yet.
        let anew = found.begins < shipped.size;
        if found.bytes.is_empty() && !anew {
            return Ok(());
        }
        let generation = shipped.generation + i64::from(anew);
        let crc = crc_after(shipped.crc, &found);
        let to = Piece { run: lease.run, file, generation, begins: found.begins, bytes: &found.bytes };
        with_client!(session, |client| add(client, lease, &to, crc)).map_err(|Outdated| gone())?;
        let size = found.begins + found.bytes.len() as u64;
        *shipped = Shipped { generation, size, crc, inode: Some(found.inode) };
    }
}

/// What was found of a log that the database does not have.
struct Found {
    bytes: Vec<u8>,
    /// Where they begin: at the start where it is another file than was shipped.
    begins: u64,
    inode: u64,
}

/// CRC-32 of a log with what was found of it, `before` being that of what precedes.
fn crc_after(before: u32, found: &Found) -> u32 {
    let before = if found.begins == 0 { 0 } else { before };
    let mut hasher = crc32fast::Hasher::new_with_initial_len(before, found.begins);
    hasher.update(&found.bytes);
    hasher.finalize()
}

/// The next whole lines of a log; none where there is no file.
fn next_piece(path: &Path, shipped: &Shipped) -> Result<Option<Found>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::run_file("read", path)(source)),
    };
    let read = (|| {
        let meta = file.metadata()?;
        // Once it was compared, the inode says whether it is the same: logs only grow.
        let is_same = meta.len() >= shipped.size
            && match shipped.inode {
                Some(inode) => inode == meta.ino(),
                None => crc_of(&mut file, shipped.size)? == shipped.crc,
            };
        let begins = if is_same { shipped.size } else { 0 };
        file.seek(SeekFrom::Start(begins))?;
        let mut bytes = Vec::new();
        file.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
        let whole = match bytes.iter().rposition(|&byte| byte == b'\n') {
            Some(last) => last + 1,
            // A line that is longer than a piece goes in parts.
            None if bytes.len() == PIECE => PIECE,
            None => 0,
        };
        bytes.truncate(whole);
        Ok(Found { bytes, begins, inode: meta.ino() })
    })();
    read.map(Some).map_err(Error::run_file("read", path))
}

/// CRC-32 of the first bytes of a file.
fn crc_of(file: &mut File, size: u64) -> std::io::Result<u32> {
    file.seek(SeekFrom::Start(0))?;
    let mut hasher = crc32fast::Hasher::new();
    let (mut left, mut buffer) = (file.by_ref().take(size), vec![0; PIECE]);
    loop {
        let read = left.read(&mut buffer)?;
        if read == 0 {
            return Ok(hasher.finalize());
        }
        hasher.update(buffer.get(..read).unwrap_or_default());
    }
}

/// What the database has of a log.
async fn known(client: &mut Client, run: i64, file: &str) -> Result<Shipped, PgError> {
    let row = client
        .query_typed_opt(
            "SELECT generation, size, crc FROM logs WHERE run = $1 AND file = $2",
            &[(&run, Type::INT8), (&file, Type::TEXT)],
        )
        .await?;
    Ok(row.map_or_else(Shipped::default, |row| Shipped {
        generation: row.get(0),
        size: u64::try_from(row.get::<_, i64>(1)).unwrap_or_default(),
        crc: u32::try_from(row.get::<_, i64>(2)).unwrap_or_default(),
        inode: None,
    }))
}

/// Adds a piece; pieces of earlier generations go. `crc` is of the log up to its end. The same may be sent again.
async fn add(client: &mut Client, lease: Lease, piece: &Piece<'_>, crc: u32) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let Piece { run, file, generation, bytes, .. } = piece;
    if piece.begins == 0 {
        if piece.file == LABELS {
            checkpoints::forget(&transaction, lease.run).await?;
        }
        transaction
            .execute_typed("DELETE FROM pieces WHERE run = $1 AND file = $2", &[(run, Type::INT8), (file, Type::TEXT)])
            .await?;
    }
    if !piece.bytes.is_empty() {
        pieces::put(&transaction, piece).await?;
    }
    transaction
        .execute_typed(
            "INSERT INTO logs (run, file, generation, size, crc) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (run, file) DO UPDATE SET generation = excluded.generation, size = excluded.size, crc = excluded.crc",
            &[
                (run, Type::INT8),
                (file, Type::TEXT),
                (generation, Type::INT8),
                (&(number(piece.begins) + number(bytes.len() as u64)), Type::INT8),
                (&i64::from(crc), Type::INT8),
            ],
        )
        .await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Puts a piece of a log that does not count yet. What somebody left of the same generation goes with the first.
async fn put_aside(client: &mut Client, lease: Lease, piece: &Piece<'_>) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    if piece.begins == 0 {
        transaction
            .execute_typed(
                "DELETE FROM pieces WHERE run = $1 AND file = $2 AND generation >= $3",
                &[(&piece.run, Type::INT8), (&piece.file, Type::TEXT), (&piece.generation, Type::INT8)],
            )
            .await?;
    }
    pieces::put(&transaction, piece).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Has logs that were put aside count from now on, all together; those before them go.
async fn put_in_place(
    client: &mut Client,
    lease: Lease,
    news: &[(&'static str, Shipped)],
    manifest: &[u8],
) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    for (file, new) in news {
        if *file == LABELS {
            checkpoints::forget(&transaction, lease.run).await?;
        }
        transaction
            .execute_typed(
                "DELETE FROM pieces WHERE run = $1 AND file = $2 AND generation <> $3",
                &[(&lease.run, Type::INT8), (file, Type::TEXT), (&new.generation, Type::INT8)],
            )
            .await?;
        transaction
            .execute_typed(
                "UPDATE logs SET generation = $3, size = $4, crc = $5 WHERE run = $1 AND file = $2",
                &[
                    (&lease.run, Type::INT8),
                    (file, Type::TEXT),
                    (&new.generation, Type::INT8),
                    (&i64::try_from(new.size).unwrap_or(i64::MAX), Type::INT8),
                    (&i64::from(new.crc), Type::INT8),
                ],
            )
            .await?;
    }
    put_note(&transaction, lease, MANIFEST, manifest).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

/// Puts a file that is replaced as a whole: each time another generation.
async fn replace(client: &mut Client, lease: Lease, file: &str, bytes: &[u8]) -> Result<Result<(), Outdated>, PgError> {
    let transaction = client.transaction().await?;
    if let Err(outdated) = fence(&transaction, lease).await? {
        return Ok(Err(outdated));
    }
    put_note(&transaction, lease, file, bytes).await?;
    transaction.commit().await?;
    Ok(Ok(()))
}

async fn put_note(transaction: &Transaction<'_>, lease: Lease, file: &str, bytes: &[u8]) -> Result<(), PgError> {
    let row = transaction
        .query_typed_one(
            "INSERT INTO logs AS l (run, file, generation, size, crc) VALUES ($1, $2, 1, $3, $4)
             ON CONFLICT (run, file) DO UPDATE SET generation = l.generation + 1, size = excluded.size, crc = excluded.crc
             RETURNING generation",
            &[
                (&lease.run, Type::INT8),
                (&file, Type::TEXT),
                (&i64::try_from(bytes.len()).unwrap_or(i64::MAX), Type::INT8),
                (&i64::from(crc32fast::hash(bytes)), Type::INT8),
            ],
        )
        .await?;
    transaction
        .execute_typed(
            "DELETE FROM pieces WHERE run = $1 AND file = $2",
            &[(&lease.run, Type::INT8), (&file, Type::TEXT)],
        )
        .await?;
    pieces::put(transaction, &Piece { run: lease.run, file, generation: row.get(0), begins: 0, bytes }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_of_the_same_file_go_on_and_another_file_begins_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert!(next_piece(&path, &Shipped::default()).unwrap().is_none());
        std::fs::write(&path, "one\ntwo\nthr").unwrap();
        let first = next_piece(&path, &Shipped::default()).unwrap().unwrap();
        assert_eq!((first.bytes.as_slice(), first.begins), (&b"one\ntwo\n"[..], 0));
        // A trainer that begins knows by the sum whether it is the same file.
        let crc = crc32fast::hash(b"one\n");
        let known = Shipped { generation: 3, size: 4, crc, inode: None };
        let next = next_piece(&path, &known).unwrap().unwrap();
        assert_eq!((next.bytes.as_slice(), next.begins), (&b"two\n"[..], 4));
        let other = next_piece(&path, &Shipped { crc: crc + 1, ..known.clone() }).unwrap().unwrap();
        assert_eq!((other.bytes.as_slice(), other.begins), (&b"one\ntwo\n"[..], 0));
        // Later the inode does.
        let known = Shipped { inode: Some(first.inode), ..known };
        assert_eq!(next_piece(&path, &known).unwrap().unwrap().begins, 4);
        std::fs::write(dir.path().join("new"), "").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        let replaced = next_piece(&path, &known).unwrap().unwrap();
        assert_eq!((replaced.bytes.len(), replaced.begins), (0, 0));
    }
}
