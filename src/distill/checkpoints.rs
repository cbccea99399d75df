//! Checkpoints: the student's file with the distiller's state in its header, renamed into place, then pointed to.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::refinery::new_refinery;
use crate::config::{DistillConfig, StudentConfig, StudentKind};
use crate::domain::label::LabelId;
use crate::domain::sample::Position;
use crate::error::{Error, Result};
use crate::store::{CheckpointPointer, StoreHandle};
use crate::student::{self, Student};

const FOLDER: &str = "checkpoints";
const FORMAT: u32 = 1;

/// What the distiller knows besides the student's weights, between two training steps.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Samples consumed.
    pub(super) consumed: Position,
    /// Events emitted.
    pub(super) offset: u64,
    /// Training steps done.
    pub(super) step: u64,
    /// The corpus end up to which labels are final; 0 before the first.
    pub(super) finished: Position,
    /// Passes done since the corpus' end.
    pub(super) pass: u32,
    /// Labels in memory before the last pass; empty before the first.
    pub(super) pass_labels: Vec<LabelId>,
}

/// What a checkpoint's header holds; the student's settings make the file usable by itself.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    format: u32,
    state: State,
    refinery: Value,
    student: StudentConfig,
    distill: DistillConfig,
    labels: usize,
}

const KEY: &str = "candist";

fn wrong(path: &Path, message: impl ToString) -> Error {
    Error::Checkpoint { path: path.to_owned(), message: message.to_string() }
}

fn header(path: &Path, notes: &HashMap<String, String>) -> Result<Header> {
    let text = notes.get(KEY).ok_or_else(|| wrong(path, "it is no checkpoint of candist"))?;
    let header: Header = serde_json::from_str(text).map_err(|error| wrong(path, error))?;
    if header.format != FORMAT {
        return Err(Error::Format { path: path.to_owned(), found: header.format, known: FORMAT });
    }
    Ok(header)
}

/// Writes and finds checkpoints of one run.
#[derive(Debug)]
pub(super) struct Checkpoints {
    folder: PathBuf,
    every: Duration,
    last: Instant,
    student: StudentConfig,
    distill: DistillConfig,
    labels: usize,
}

impl Checkpoints {
    pub(super) fn new(
        run_dir: &Path,
        every: Duration,
        student: &StudentConfig,
        distill: &DistillConfig,
        labels: usize,
    ) -> Result<Self> {
        let folder = run_dir.join(FOLDER);
        std::fs::create_dir_all(&folder).map_err(Error::run_file("create", &folder))?;
        Ok(Self { folder, every, last: Instant::now(), student: student.clone(), distill: distill.clone(), labels })
    }

    /// Whether enough work was done since the last one to be worth keeping.
    pub(super) fn is_due(&self) -> bool {
        self.last.elapsed() >= self.every
    }

    /// Keeps `state`; what it stands on is on disk when this returns.
    pub(super) fn save(
        &mut self,
        state: &State,
        refinery: Value,
        student: &dyn Student,
        store: &StoreHandle,
    ) -> Result<()> {
        let name = format!("student-{:012}-{:012}-{:06}.safetensors", state.consumed, state.offset, state.pass);
        let path = self.folder.join(&name);
        let new = path.with_extension("new");
        let header = Header {
            format: FORMAT,
            state: state.clone(),
            refinery,
            student: self.student.clone(),
            distill: self.distill.clone(),
            labels: self.labels,
        };
        let text = serde_json::to_string(&header).map_err(|error| wrong(&path, error))?;
        student.save(&new, HashMap::from([(KEY.to_owned(), text)]))?;
        let hash = hash_file(&new).map_err(Error::run_file("read", &new))?;
        let rename = || {
            std::fs::rename(&new, &path)?;
            std::fs::File::open(&self.folder)?.sync_all()
        };
        rename().map_err(Error::run_file("write", &path))?;
        store.checkpoint(CheckpointPointer {
            file: name.clone(),
            hash,
            position: state.consumed,
            offset: state.offset,
        })?;
        // Only when the new one is pointed to may the old ones go.
        store.barrier()?;
        self.remove_all_but(&name)?;
        self.last = Instant::now();
        Ok(())
    }

    fn remove_all_but(&self, keep: &str) -> Result<()> {
        let entries = std::fs::read_dir(&self.folder).map_err(Error::run_file("read", &self.folder))?;
        for entry in entries.flatten() {
            if entry.file_name() != keep {
                std::fs::remove_file(entry.path()).map_err(Error::run_file("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Loads what `pointer` points to into `student`; gives the state and what the refinery had learned.
    pub(super) fn load(&self, pointer: &CheckpointPointer, student: &mut dyn Student) -> Result<(State, Value)> {
        let path = self.folder.join(&pointer.file);
        if hash_file(&path).map_err(|error| wrong(&path, error))? != pointer.hash {
            return Err(wrong(&path, "it was changed or damaged"));
        }
        let header = header(&path, &student.load(&path)?)?;
        if (header.state.consumed, header.state.offset) != (pointer.position, pointer.offset) {
            return Err(wrong(&path, "it is another one than the store expects"));
        }
        Ok((header.state, header.refinery))
    }
}

fn hash_file(path: &Path) -> std::io::Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(std::fs::File::open(path)?)?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// The student of a run.
pub struct TrainedStudent {
    /// The student.
    pub student: Box<dyn Student>,
    /// What its logits are divided by for calibrated probabilities.
    pub temperature: f64,
}

/// The student of the latest checkpoint in `run_dir`.
pub fn load_student(run_dir: &Path) -> Result<TrainedStudent> {
    let folder = run_dir.join(FOLDER);
    let none = || Error::Unfit {
        path: run_dir.to_owned(),
        message: "has no student yet: `candist run CONFIG` trains one, and keeps it from its first checkpoint on"
            .to_owned(),
    };
    let entries = std::fs::read_dir(&folder).map_err(|_| none())?;
    let newest = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "safetensors"))
        .max();
    let path = newest.ok_or_else(none)?;
    let mut header = header(&path, &student::notes(&path)?)?;
    if matches!(header.student.kind, StudentKind::Encoder(_)) {
        // Nothing is trained here, so the last bits do not matter, and a large model gains from more threads.
        header.student.threads =
            std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    }
    let mut student = student::new(&header.student, &header.distill, header.labels, Some(run_dir))?;
    student.load(&path)?;
    let mut refinery = new_refinery(header.distill.refinery, header.labels);
    refinery.load(header.refinery).map_err(|message| wrong(&path, message))?;
    Ok(TrainedStudent { student, temperature: refinery.temperature() })
}
