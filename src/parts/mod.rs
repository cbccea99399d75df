//! Labels of many texts, in parts: objects of any number and size are labelled by any number of processes that know nothing of
//! each other.
//!
//! `job` says what there is to do, the same in every process; `share` which of it one of several does; `part` does one; `writer`
//! has the formats; `record` is what is written of a part that is done, and of all of them together. Names stand for content, and
//! nothing is ever written over, so who is killed, or does what another does too, harms nobody.

mod job;
mod part;
mod record;
mod share;
mod writer;

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

pub use self::record::{Manifest, PartRecord};
pub use self::share::Share;
pub use self::writer::PartFormat;

use self::job::Job;
use crate::config::CorpusConfig;
use crate::corpus::Settings;
use crate::error::{Error, Result};
use crate::objects::Place;
use crate::student::{Crew, Predictor};

/// What is labelled, by whom, and where labels go.
#[derive(Debug, Clone)]
pub struct PartsOptions {
    /// The folder of the student, on this machine.
    pub student: PathBuf,
    /// An object, a folder or prefix, or a pattern: a path or a URI.
    pub input: String,
    /// The folder or prefix that gets a folder for this job.
    pub output: String,
    /// How rows are read; its paths are not.
    pub corpus: CorpusConfig,
    /// What its keys are called where they were typed.
    pub settings: Settings,
    /// What labels are written as.
    pub format: PartFormat,
    /// Where the student is less sure, there is no label.
    pub min_confidence: f64,
    /// Which parts are this process'.
    pub share: Share,
}

/// What happened, as it happens.
#[derive(Debug)]
pub enum Told<'a> {
    /// The job is known: its folder, its parts, and how many of them are this process'.
    Job(&'a str, usize, usize),
    /// A row has no label, for this reason: the object, the byte after which its lines are counted, and the line or row.
    Unread(&'a str, Option<u64>, u64, String),
    /// A part was labelled.
    Labelled(&'a PartRecord),
}

/// What came of it.
#[derive(Debug)]
pub struct PartsSummary {
    /// The folder of the job.
    pub folder: String,
    /// This process' parts, whether they were labelled now or before.
    pub own: Vec<PartRecord>,
    /// How many of them were labelled now.
    pub labelled: usize,
    /// All parts, once all are there.
    pub manifest: Option<Manifest>,
    /// Parts that are still to come from other processes, where not all are there.
    pub missing: usize,
}

/// Labels the share's parts that are not done, and writes the manifest where it finds that all are. Not to be called on an
/// async worker.
///
/// # Errors
///
/// [`Error::Unfit`] for places that cannot be, nothing to read, an input that was changed meanwhile; [`Error::Object`] where a
/// store does not answer; those of reading rows and of the student. Parts that were done before it stay.
pub fn predict_parts(
    options: &PartsOptions,
    predictor: Predictor,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<PartsSummary> {
    let job = Job::of(options, predictor.precision())?;
    let mut own: Vec<(usize, Option<PartRecord>)> = options.share.of(job.parts()).map(|part| (part, None)).collect();
    tell(Told::Job(job.folder().shown(), job.parts(), own.len()));
    let mut missing = 0;
    let mut labelled = 0;
    // A folder that cannot be looked at is told before anything is labelled.
    let mut manifest = job.records().sizes().and_then(|_| record::manifest(&job))?;
    if manifest.is_none() {
        labelled = label(&job, &mut own, Crew::of(predictor), tell)?;
        (manifest, missing) = record::complete(&job)?;
    }
    let own = match &manifest {
        Some(manifest) => {
            manifest.parts.iter().filter(|part| own.iter().any(|(own, _)| *own == part.part)).cloned().collect()
        }
        None => own.into_iter().filter_map(|(_, record)| record).collect(),
    };
    Ok(PartsSummary { folder: job.folder().shown().to_owned(), own, labelled, manifest, missing })
}

/// Labels `own` parts, several beside each other, and keeps the record of each. Gives how many were not done before.
fn label(
    job: &Job,
    own: &mut [(usize, Option<PartRecord>)],
    crew: Crew,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<usize> {
    let crews = crew.split(own.len());
    let (labelled, has_failed, failed) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None::<Error>));
    let parts = Mutex::new(own.iter_mut());
    let work = |mut crew: Crew| {
        loop {
            let next = parts.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((number, record)) = next.filter(|_| !has_failed.load(Ordering::Relaxed)) else { break };
            match part::done_or_labelled(job, *number, &mut crew, tell) {
                Ok((done, is_new)) => {
                    labelled.fetch_add(usize::from(is_new), Ordering::Relaxed);
                    *record = Some(done);
                }
                Err(error) => {
                    has_failed.store(true, Ordering::Relaxed);
                    failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                }
            }
        }
    };
    let work = &work;
    std::thread::scope(|scope| {
        for crew in crews {
            let started = Builder::new().spawn_scoped(scope, move || work(crew)).map_err(Error::no_thread);
            if let Err(error) = started {
                has_failed.store(true, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    })?;
    let failed = failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    failed.map_or(Ok(labelled.into_inner()), Err)
}

/// The folder at `uri`, as one on this machine: itself, or a copy that is gone when what is given with it is dropped.
///
/// # Errors
///
/// Those of the store; [`Error::RunFile`] where the copy cannot be written.
pub fn local_folder(uri: &str) -> Result<(PathBuf, Option<Copied>)> {
    let place = Place::of(uri)?;
    if let Some(path) = place.local() {
        return Ok((path.to_owned(), None));
    }
    remove_abandoned();
    let copied = Copied::new()?;
    let path = copied.path.clone();
    for listed in place.list()? {
        place.fetch(&listed, &path)?;
    }
    Ok((path, Some(copied)))
}

/// How the name of a copy begins. This machine's start follows: a lock may be seen by no other machine that shares the folder.
const COPY: &str = "candist-student-";
/// A file in it that is locked as long as it is used. Hidden, so no part of the student.
const HELD: &str = ".lock";

/// A folder that is removed when this is dropped.
#[derive(Debug)]
pub struct Copied {
    path: PathBuf,
    /// None where files cannot be locked: then nobody else removes it either.
    held: Option<File>,
}

impl Copied {
    fn new() -> Result<Self> {
        let name = format!("{}-{:016x}", std::process::id(), rand::random::<u64>());
        // Until it is locked it has a name that nobody looks for.
        let new = std::env::temp_dir().join(format!(".candist-{name}"));
        std::fs::create_dir(&new).map_err(Error::run_file("write", &new))?;
        let mut copied = Self { path: new.clone(), held: None };
        let held = File::create(new.join(HELD)).and_then(|held| held.lock().map(|()| held));
        let path = std::env::temp_dir().join(format!("{COPY}{}-{name}", started()));
        std::fs::rename(&new, &path).map_err(Error::run_file("write", &path))?;
        (copied.path, copied.held) = (path, held.ok());
        Ok(copied)
    }
}

impl Drop for Copied {
    /// Held until it is gone.
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
        drop(self.held.take());
    }
}

/// Tells this machine, since it was started, from all others; empty where the system does not say.
fn started() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    id.chars().filter(char::is_ascii_hexdigit).take(8).collect()
}

/// Removes copies of processes that were killed. Which those are, their locks say: numbers of processes mean nothing where several
/// containers share a folder. What cannot be removed is left to others.
fn remove_abandoned() {
    let (Ok(entries), started) = (std::fs::read_dir(std::env::temp_dir()), started()) else { return };
    let ours = format!("{COPY}{started}-");
    let is_ours = |name: &str| !started.is_empty() && name.starts_with(&ours);
    for entry in entries.flatten().filter(|entry| is_ours(&entry.file_name().to_string_lossy())) {
        let path = entry.path().join(HELD);
        let is_file = path.symlink_metadata().is_ok_and(|found| found.is_file());
        let Some(held) = is_file.then(|| File::open(&path).ok()).flatten() else { continue };
        if held.try_lock().is_ok() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_nobody_holds_is_removed_and_no_other() {
        let [mut abandoned, held] = [Copied::new().unwrap(), Copied::new().unwrap()];
        drop(abandoned.held.take());
        remove_abandoned();
        assert_eq!([abandoned.path.exists(), held.path.exists()], [started().is_empty(), true]);
        let path = held.path.clone();
        drop(held);
        assert!(!path.exists());
    }
}
