//! The run directory of the next trainer, where the one before was another machine's.

use std::collections::HashSet;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use super::database::{Database, with_client};
use super::mirror::{Fetched, fetch_file, logs, pieces};
use super::shipping::LOGS;
use crate::error::{Error, Result};
use crate::store::{AUDITS, CORRECTIONS};

/// Brings a run directory to what the trainer before had, where it was another's: an empty one goes on where that one stood. Of one
/// that has its own logs only what people said is brought along, which nobody else knows.
pub(super) async fn fetch_into(database: &Arc<Database>, run: i64, dir: &Path) -> Result<()> {
    let mut session = database.session().await?;
    let there = with_client!(session, |client| logs(client, run));
    let find = |file: &str| there.iter().find(|(name, _)| name == file).map(|(_, log)| *log);
    let is_empty = !LOGS.iter().any(|file| dir.join(file).exists());
    if is_empty && !there.is_empty() {
        std::fs::create_dir_all(dir).map_err(Error::run_file("create", dir))?;
        // The manifest last: until then the directory has no identity, and nothing of it is anybody's.
        for file in LOGS.into_iter().chain(["manifest.json"]) {
            if let Some(log) = find(file) {
                fetch_file(&mut session, run, dir, file, log, &mut Fetched::default()).await?;
            }
        }
        return Ok(());
    }
    for file in [CORRECTIONS, AUDITS] {
        if let Some(log) = find(file) {
            let mut theirs = Vec::new();
            let mut from = Fetched { size: 0, ..log };
            while from.size < log.size {
                let pieces = with_client!(session, |client| pieces(client, run, file, from));
                if pieces.is_empty() {
                    break;
                }
                from.size += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
                theirs.extend(pieces.concat());
            }
            bring_along(&dir.join(file), &theirs)?;
        }
    }
    Ok(())
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
        None => {
            let known: HashSet<&[u8]> = ours.split_inclusive(|&byte| byte == b'\n').collect();
            theirs
                .split_inclusive(|&byte| byte == b'\n')
                .filter(|line| !known.contains(line))
                .flatten()
                .copied()
                .collect()
        }
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path).map_err(Error::run_file("open", path))?;
    file.write_all(&news).and_then(|()| file.sync_all()).map_err(Error::run_file("write", path))
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
        bring_along(&path, b"a\nd\n").unwrap();
        assert_eq!(read(), "a\nb\nc\nd\n");
        let audit = dir.path().join(AUDITS);
        std::fs::write(&audit, "x\n").unwrap();
        assert!(bring_along(&audit, b"y\n").unwrap_err().to_string().contains("differs"));
    }
}
