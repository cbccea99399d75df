//! Checkpoints: files of a student with its distiller's state, the newest of which is taken up after a stop.
//!
//! `student-STEP-OFFSET-CONSUMED-HASH.safetensors`: numbers in twelve digits, so names sort by age, and the beginning
//! of the content's BLAKE3, so a file that was torn or edited does not fit its name.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};

use crate::base::durable::{remove, rename, sync_folder_of};
use crate::base::failpoint::reach;
use crate::error::{Error, Result};

const FOLDER: &str = "checkpoints";
/// One more than is needed: should the newest turn out damaged, little is repeated.
const KEPT: usize = 2;
/// Hexadecimal digits of a file's BLAKE3 in its name.
const HASH: usize = 16;

/// Keeps checkpoints.
pub(crate) trait Checkpoints: Send + Sync {
    /// Where a new one is to be written, durably, before it is published. Always the same place: what a kill left
    /// there is written over.
    fn scratch(&self) -> PathBuf;

    /// Makes what stands at the scratch place the newest checkpoint. `order` is larger for a later one of the same run:
    /// training steps, label events and input events behind it. On disk under its name when this returns; older ones
    /// than the last two are gone.
    fn publish(&self, order: [u64; 3]) -> BoxFuture<'_, Result<()>>;

    /// Files that are as they were published, the newest first.
    fn newest_first(&self) -> BoxFuture<'_, Result<Vec<PathBuf>>>;
}

/// The checkpoints in a run directory.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointFiles {
    folder: PathBuf,
}

impl CheckpointFiles {
    /// Those of the run in `dir`. Makes nothing.
    pub(crate) fn of(dir: &Path) -> Self {
        Self { folder: dir.join(FOLDER) }
    }

    /// Makes the folder.
    pub(crate) fn make(&self) -> Result<()> {
        std::fs::create_dir_all(&self.folder).map_err(Error::run_file("create", &self.folder))
    }

    /// Removes all of them, durably: they are of other settings.
    pub(crate) fn clear(&self) -> Result<()> {
        remove(&self.folder)
    }

    /// All that are named like one, the newest first. An unreadable folder has none: checkpoints only save time.
    fn named(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else { return Vec::new() };
        let mut paths: Vec<PathBuf> =
            entries.flatten().map(|entry| entry.path()).filter(|path| is_named(path)).collect();
        paths.sort();
        paths.reverse();
        paths
    }

    /// Removes all others, where that can be done.
    #[cfg(feature = "shared")]
    pub(crate) fn keep_only(&self, kept: Option<&Path>) {
        for other in self.named().into_iter().filter(|path| Some(path.as_path()) != kept) {
            let _ = std::fs::remove_file(other);
        }
    }

    /// The one that was published last. By name another may be newer, of a label log that is gone.
    #[cfg(feature = "shared")]
    pub(crate) fn newest_published(&self) -> Option<PathBuf> {
        let when = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
        self.named().into_iter().max_by_key(when)
    }

    /// Whether a file is as it was published. Reads all of it.
    pub(crate) fn is_whole(path: &Path) -> bool {
        path.is_file() && hash_of(path).is_ok_and(|hash| hash_in_name(path) == Some(hash.as_str()))
    }

    /// See [`Checkpoints::newest_first`].
    pub(crate) fn whole(&self) -> Vec<PathBuf> {
        let mut paths = self.named();
        paths.retain(|path| Self::is_whole(path));
        paths
    }

    fn damaged(&self) -> Vec<PathBuf> {
        let mut paths = self.named();
        paths.retain(|path| !Self::is_whole(path));
        paths
    }

    fn publish_scratch(&self, [step, offset, consumed]: [u64; 3]) -> Result<()> {
        let scratch = self.scratch();
        reach("checkpoint-written").map_err(Error::run_file("write", &scratch))?;
        let hash = hash_of(&scratch).map_err(Error::run_file("read", &scratch))?;
        let path = self.folder.join(format!("student-{step:012}-{offset:012}-{consumed:012}-{hash}.safetensors"));
        let published = reach("checkpoint-rename")
            .and_then(|()| rename(&scratch, &path))
            .and_then(|()| reach("checkpoint-renamed"));
        published.map_err(Error::run_file("write", &path))?;
        // Only after the new one has its name: at no moment are there fewer than there were. By name another may be newer, of
        // a label log that is gone: it does not push out the one that was just made.
        for old in self.named().into_iter().filter(|other| *other != path).skip(KEPT - 1) {
            reach("checkpoint-prune").map_err(Error::run_file("remove", &old))?;
            std::fs::remove_file(&old).map_err(Error::run_file("remove", &old))?;
        }
        sync_folder_of(&path).map_err(Error::run_file("write", &path))
    }
}

impl Checkpoints for CheckpointFiles {
    fn scratch(&self) -> PathBuf {
        self.folder.join("new")
    }

    fn publish(&self, order: [u64; 3]) -> BoxFuture<'_, Result<()>> {
        ready(self.publish_scratch(order)).boxed()
    }

    fn newest_first(&self) -> BoxFuture<'_, Result<Vec<PathBuf>>> {
        for path in self.damaged() {
            tracing::warn!("{} was changed or damaged: it is not used", path.display());
        }
        ready(Ok(self.whole())).boxed()
    }
}

fn is_named(path: &Path) -> bool {
    hash_in_name(path).is_some()
}

fn hash_in_name(path: &Path) -> Option<&str> {
    let stem = path.file_name()?.to_str()?.strip_prefix("student-")?.strip_suffix(".safetensors")?;
    stem.rsplit_once('-').map(|(_, hash)| hash).filter(|hash| hash.len() == HASH)
}

fn hash_of(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    let mut hash = hasher.finalize().to_hex().to_string();
    hash.truncate(HASH);
    Ok(hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As after labels.jsonl was moved away: what follows it has lower numbers.
    #[test]
    fn the_one_just_made_is_kept_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = CheckpointFiles::of(dir.path());
        files.make().unwrap();
        for step in [100, 200, 1, 2] {
            std::fs::write(files.scratch(), format!("step {step}")).unwrap();
            files.publish_scratch([step, 0, 0]).unwrap();
        }
        let kept: Vec<String> = files.whole().iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(kept, ["step 200", "step 2"]);
    }

    #[test]
    fn the_newest_whole_one_is_first_and_two_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let files = CheckpointFiles::of(dir.path());
        files.make().unwrap();
        for step in [3, 10, 200] {
            std::fs::write(files.scratch(), format!("step {step}")).unwrap();
            files.publish_scratch([step, 0, 0]).unwrap();
        }
        let content = |path: &PathBuf| std::fs::read_to_string(path).unwrap();
        let whole = files.whole();
        assert_eq!(whole.iter().map(content).collect::<Vec<_>>(), ["step 200", "step 10"]);
        std::fs::write(&whole[0], "step 999").unwrap();
        std::fs::write(dir.path().join("checkpoints/student-junk.safetensors"), "").unwrap();
        std::fs::create_dir(dir.path().join("checkpoints/student-9-0123456789abcdef.safetensors")).unwrap();
        assert_eq!(files.whole().iter().map(content).collect::<Vec<_>>(), ["step 10"]);
    }
}
