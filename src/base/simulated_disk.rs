//! A disk for tests that forgets what was not synced.
//!
//! A power cut loses every unsynced byte, or leaves zeros or garbage in its place; and an unsynced name or renaming, from any
//! one of them on. A kill loses nothing that was written, but the last write may be there in part.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rand::{Rng, RngCore};
use rand_chacha::ChaCha8Rng;

use super::disk::{Disk, DiskFile};
use super::random::rng;

/// See the module. Clones are the same disk.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedDisk(Arc<Mutex<State>>);

/// A file of it.
#[derive(Debug)]
pub(crate) struct SimulatedFile {
    disk: SimulatedDisk,
    number: usize,
}

#[derive(Debug, Clone)]
struct State {
    files: Vec<Content>,
    /// As programs see them.
    names: BTreeMap<PathBuf, usize>,
    /// As they are on the platter.
    synced_names: BTreeMap<PathBuf, usize>,
    /// What is not on the platter yet, in order.
    unsynced: Vec<Naming>,
    /// Steps until everything stops.
    left: u64,
    rng: ChaCha8Rng,
}

#[derive(Debug, Clone, Default)]
struct Content {
    now: Vec<u8>,
    synced: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Naming {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
}

impl Naming {
    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Create(path, _) | Self::Rename(_, path) => path.parent(),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, file) => drop(names.insert(path.clone(), *file)),
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
        }
    }
}

impl Content {
    /// What is left of it after a power cut.
    fn torn(&self, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let kept = self.now.iter().zip(&self.synced).take_while(|(now, synced)| now == synced).count();
        // The length may not have got there either.
        if rng.random_bool(0.2) {
            return self.synced.clone();
        }
        let whole = rng.random_range(kept..=self.now.len());
        let mut content = self.now[..whole].to_vec();
        let torn = rng.random_range(whole..=self.now.len()) - whole;
        let mut tail = vec![0; torn];
        match rng.random_range(0..3) {
            0 => tail.clear(),
            1 => {}
            _ => rng.fill_bytes(&mut tail),
        }
        content.extend(tail);
        content
    }
}

impl SimulatedDisk {
    /// An empty one, whose accidents follow from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            files: Vec::new(),
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            unsynced: Vec::new(),
            left: u64::MAX,
            rng: rng(seed, "simulated disk", &[]),
        })))
    }

    /// Whatever would change it fails after so many steps more.
    pub(crate) fn stop_after(&self, steps: u64) {
        self.state().left = steps;
    }

    /// The disk as the next process finds it after a kill.
    pub(crate) fn after_kill(&self) -> Self {
        let mut state = self.state().clone();
        state.left = u64::MAX;
        Self(Arc::new(Mutex::new(state)))
    }

    /// The disk as it is found when the power is back.
    pub(crate) fn after_power_cut(&self) -> Self {
        let mut state = self.state().clone();
        state.left = u64::MAX;
        let State { files, names, synced_names, unsynced, rng, .. } = &mut state;
        for content in files {
            content.now = content.torn(rng);
            content.synced.clone_from(&content.now);
        }
        let survive = rng.random_range(0..=unsynced.len());
        unsynced.iter().take(survive).for_each(|naming| naming.apply(synced_names));
        names.clone_from(synced_names);
        unsynced.clear();
        Self(Arc::new(Mutex::new(state)))
    }

    /// Flips a bit of the file at `path`, on the platter.
    pub(crate) fn flip_bit(&self, path: &Path, at: usize) {
        let mut state = self.state();
        let number = state.names[path];
        let content = &mut state.files[number];
        content.now[at] ^= 1;
        content.synced.clone_from(&content.now);
    }

    /// What is in the file at `path`.
    pub(crate) fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let state = self.state();
        state.names.get(path).and_then(|&number| state.files.get(number)).map(|content| content.now.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, if it can still be changed. Reading changes nothing, so no accident can come of it.
    fn step(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if state.left == 0 {
            return Err(io::Error::other("the disk stopped"));
        }
        state.left -= 1;
        Ok(state)
    }

    fn file(&self, number: usize) -> SimulatedFile {
        SimulatedFile { disk: self.clone(), number }
    }
}

impl State {
    fn find(&self, path: &Path) -> io::Result<usize> {
        self.names.get(path).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn name(&mut self, naming: Naming) {
        naming.apply(&mut self.names);
        self.unsynced.push(naming);
    }

    fn new_file(&mut self, path: &Path) -> usize {
        let number = self.files.len();
        self.files.push(Content::default());
        self.name(Naming::Create(path.to_owned(), number));
        number
    }
}

impl Disk for SimulatedDisk {
    type File = SimulatedFile;

    fn open_append(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut state = self.step()?;
        let number = state.find(path).unwrap_or_else(|_| state.new_file(path));
        drop(state);
        Ok(self.file(number))
    }

    fn open(&self, path: &Path) -> io::Result<SimulatedFile> {
        let number = self.state().find(path)?;
        Ok(self.file(number))
    }

    fn create(&self, path: &Path) -> io::Result<SimulatedFile> {
        let mut state = self.step()?;
        let number = match state.find(path) {
            Ok(number) => {
                state.files[number].now.clear();
                number
            }
            Err(_) => state.new_file(path),
        };
        drop(state);
        Ok(self.file(number))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.find(from)?;
        state.name(Naming::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let State { synced_names, unsynced, .. } = &mut *state;
        unsynced.retain(|naming| {
            let is_here = naming.folder() == path.parent();
            if is_here {
                naming.apply(synced_names);
            }
            !is_here
        });
        Ok(())
    }

    fn leads_to(&self, path: &Path, file: &SimulatedFile) -> io::Result<bool> {
        Ok(self.state().find(path)? == file.number)
    }
}

impl DiskFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.state().files[self.number].now.len() as u64)
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let step = self.disk.step();
        let is_whole = step.is_ok();
        drop(step);
        let mut state = self.disk.state();
        let written = if is_whole { bytes.len() } else { state.rng.random_range(0..=bytes.len()) };
        state.files[self.number].now.extend_from_slice(&bytes[..written]);
        if is_whole { Ok(()) } else { Err(io::Error::other("the disk stopped")) }
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let state = self.disk.state();
        let content = &state.files[self.number].now;
        let from = content.get(usize::try_from(offset).unwrap_or(usize::MAX)..).unwrap_or_default();
        let read = from.len().min(buffer.len());
        buffer[..read].copy_from_slice(&from[..read]);
        Ok(read)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.step()?;
        state.files[self.number].now.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let content = &mut state.files[self.number];
        content.synced.clone_from(&content.now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &str = "/folder/file";

    /// What a power cut may leave of `work`, over many seeds.
    fn outcomes(work: impl Fn(&SimulatedDisk) -> io::Result<()>) -> Vec<Option<Vec<u8>>> {
        let outcome = |seed| {
            let disk = SimulatedDisk::new(seed);
            work(&disk).unwrap();
            disk.after_power_cut().content(PATH.as_ref())
        };
        (0..200).map(outcome).collect()
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_may_go_or_rot() {
        let synced = outcomes(|disk| {
            let file = disk.open_append(PATH.as_ref())?;
            disk.sync_folder_of(PATH.as_ref())?;
            file.append(b"synced ")?;
            file.sync()?;
            file.append(b"unsynced")
        });
        let contents: Vec<Vec<u8>> = synced.into_iter().flatten().collect();
        assert_eq!(contents.len(), 200);
        assert!(contents.iter().all(|content| content.starts_with(b"synced ") && content.len() <= 15));
        for expected in [&b"synced "[..], b"synced unsynced", b"synced uns\0\0"] {
            assert!(contents.iter().any(|content| content.starts_with(expected)), "{expected:?}");
        }
    }

    #[test]
    fn a_name_or_renaming_that_was_not_synced_may_go() {
        let created = outcomes(|disk| {
            let file = disk.open_append(PATH.as_ref())?;
            file.append(b"all")?;
            file.sync()
        });
        assert!(created.contains(&None) && created.contains(&Some(b"all".to_vec())));
        let renamed = outcomes(|disk| {
            disk.create(PATH.as_ref())?;
            let new = disk.create("/folder/new".as_ref())?;
            new.append(b"new")?;
            new.sync()?;
            disk.sync_folder_of(PATH.as_ref())?;
            disk.rename("/folder/new".as_ref(), PATH.as_ref())
        });
        assert!(renamed.contains(&Some(Vec::new())) && renamed.contains(&Some(b"new".to_vec())));
    }

    #[test]
    fn a_kill_loses_nothing_that_was_written_and_everything_fails_after_the_stop() {
        let disk = SimulatedDisk::new(1);
        let file = disk.open_append(PATH.as_ref()).unwrap();
        disk.stop_after(1);
        file.append(b"whole").unwrap();
        assert!(file.append(b"part").is_err() && file.sync().is_err() && disk.create(PATH.as_ref()).is_err());
        let content = disk.after_kill().content(PATH.as_ref()).unwrap();
        assert!(content.starts_with(b"whole") && b"wholepart".starts_with(content.as_slice()));
    }
}
