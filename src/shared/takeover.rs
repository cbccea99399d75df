//! The run directory of the next trainer, where the one before was another machine's.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::checkpoints;
use super::database::{Database, with_client};
use super::pieces::{self, Fetched, fetch_file, logs};
use super::runs;
use super::schema;
use super::shipping::LOGS;
use crate::base::durable::replace_file;
use crate::base::failpoint::pass;
use crate::error::{Error, Result};
use crate::store::{AUDITS, CORRECTIONS, FETCHING};

/// Which run's the directory is, and under which lease it was trained.
const NOTE: &str = "shared.json";

/// Brings a run directory to what the trainer before had, where it was another's: an empty one goes on where that one stood. Of one
/// that has its own logs only what people said is brought along, which nobody else knows. Whether it was empty, and is not now.
pub(super) async fn fetch_into(database: &Arc<Database>, run: i64, dir: &Path) -> Result<bool> {
    let mut session = database.session().await?;
    let there = with_client!(session, |client| logs(client, run));
    let find = |file: &str| there.iter().find(|(name, _)| name == file).map(|(_, log)| *log);
    let is_empty = !LOGS.iter().any(|file| dir.join(file).exists());
    // Until all is here it is in a folder of its own: what is in the directory is whole, or fetched again.
    let aside = dir.join(FETCHING);
    if (is_empty || aside.exists()) && !there.is_empty() {
        let _ = std::fs::remove_dir_all(&aside);
        std::fs::create_dir_all(&aside).map_err(Error::run_file("create", &aside))?;
        let files: Vec<&str> = LOGS.into_iter().chain(["manifest.json"]).collect();
        for file in &files {
            if let Some(log) = find(file) {
                fetch_file(&mut session, run, &aside, file, log, &mut Fetched::default()).await?;
                pass("takeover-fetched")?;
            }
        }
        for file in files {
            let (from, to) = (aside.join(file), dir.join(file));
            if from.exists() {
                std::fs::rename(&from, &to).map_err(Error::run_file("move", &to))?;
                pass("takeover-moved")?;
            }
        }
        if let Err(error) = checkpoints::fetch(&mut session, run, dir, &aside).await {
            // It saves time, and that is all.
            tracing::warn!("the student learns again what it knew, for its checkpoint is not to be had: {error}");
        }
        // Empty, so that it is not taken for one that was lost.
        let store = dir.join("store");
        std::fs::create_dir_all(&store).map_err(Error::run_file("create", &store))?;
        pass("takeover-checkpoint")?;
        // Last: as long as it is there, all is fetched again.
        std::fs::remove_dir_all(&aside).map_err(Error::run_file("remove", &aside))?;
        return Ok(true);
    }
    for file in [CORRECTIONS, AUDITS] {
        if let Some(log) = find(file) {
            let mut theirs = Vec::new();
            let mut from = Fetched { size: 0, ..log };
            while from.size < log.size {
                let found = with_client!(session, |client| pieces::next(client, run, file, from));
                if found.is_empty() {
                    break;
                }
                from.size += found.iter().map(|piece| piece.len() as u64).sum::<u64>();
                theirs.extend(found.concat());
            }
            bring_along(&dir.join(file), &theirs)?;
        }
    }
    Ok(false)
}

/// Appends to a log what `theirs` has beyond it.
///
/// # Errors
///
/// Where each has something that the other does not have, and lines mean something by their order: an audit.
fn bring_along(path: &Path, theirs: &[u8]) -> Result<()> {
    let ours = match std::fs::read(path) {
        Ok(ours) => ours,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(Error::run_file("read", path)(source)),
    };
    if ours.starts_with(theirs) {
        return Ok(());
    }
    let news = match theirs.strip_prefix(ours.as_slice()) {
        Some(news) => news.to_vec(),
        None if path.ends_with(AUDITS) => {
            let message = "has an audit that differs from the one in the database: move it, or the run directory, away"
                .to_owned();
            return Err(Error::Unfit { path: path.to_owned(), message });
        }
        None => after_the_same(&ours, theirs).to_vec(),
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::run_file("open", path))?;
    file.write_all(&news).and_then(|()| file.sync_all()).map_err(Error::run_file("write", path))
}

/// What of `theirs` follows the lines that both begin with.
fn after_the_same<'a>(ours: &[u8], theirs: &'a [u8]) -> &'a [u8] {
    let lines = |log: &'_ [u8]| -> Vec<usize> { log.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::len).collect() };
    let mut same = 0;
    for length in lines(theirs) {
        if ours.get(same..same + length) != theirs.get(same..same + length) {
            break;
        }
        same += length;
    }
    theirs.get(same..).unwrap_or_default()
}

/// Notes in a run directory whose it is, so that it is known later whether it is the latest of its run.
pub(super) fn note(dir: &Path, name: &str, epoch: i64) -> Result<()> {
    std::fs::create_dir_all(dir).map_err(Error::run_file("create", dir))?;
    let note = serde_json::to_vec(&Note { name: name.to_owned(), epoch }).unwrap_or_default();
    replace_file(&dir.join(NOTE), &note)
}

/// See [`note`].
#[derive(Serialize, Deserialize)]
struct Note {
    name: String,
    epoch: i64,
}

/// Whether the run `name` of the database at `url` was trained last in `dir`. True also where the database cannot be asked: what is here
/// is what there is then.
pub async fn is_trained_here(url: &str, name: &str, dir: &Path) -> bool {
    let note = std::fs::read(dir.join(NOTE)).ok().and_then(|bytes| serde_json::from_slice::<Note>(&bytes).ok());
    let epoch = async {
        let mut session = Database::at(url)?.session().await?;
        if !with_client!(session, |client| schema::is_there(client)) {
            return Ok(None);
        }
        let found = with_client!(session, |client| runs::list(client, Some(name)));
        Ok::<_, Error>(found.first().map(|run| run.epoch))
    };
    match epoch.await {
        // The database knows nothing of it.
        Ok(None) => true,
        Ok(Some(epoch)) => note.is_some_and(|note| note.name == name && note.epoch == epoch),
        Err(error) => {
            tracing::warn!("{error}; what is here may not be the latest of the run");
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_said_elsewhere_is_brought_along_and_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CORRECTIONS);
        let read = || std::fs::read_to_string(&path).unwrap();
        bring_along(&path, b"a\nb\n").unwrap();
        assert_eq!(read(), "a\nb\n");
        bring_along(&path, b"a\n").unwrap();
        assert_eq!(read(), "a\nb\n");
        bring_along(&path, b"a\nb\nc\n").unwrap();
        assert_eq!(read(), "a\nb\nc\n");
        // What differs is said after ours, in its order, be it what we said once.
        bring_along(&path, b"a\nd\nb\n").unwrap();
        assert_eq!(read(), "a\nb\nc\nd\nb\n");
        let audit = dir.path().join(AUDITS);
        std::fs::write(&audit, "x\n").unwrap();
        assert!(bring_along(&audit, b"y\n").unwrap_err().to_string().contains("differs"));
    }
}
