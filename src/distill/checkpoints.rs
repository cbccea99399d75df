//! What a checkpoint holds: the student's file with the distiller's state in its header.
//!
//! One safetensors file: tensors are the student's, and the note `candist` of its header is a JSON object
//! ([`Header`]). So weights and state cannot come apart: a file is there whole, by the hash in its name, or not used.
//! Nothing of it is needed for correctness. It saves replaying the input log.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use futures::executor::block_on;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;

use super::new_student::NewStudent;
use super::refinery::Refinery;
use crate::base::failpoint::reach;
use crate::base::panic::{caught, panicked};
use crate::config::{DistillConfig, StudentConfig, StudentKind};
use crate::domain::label::LabelId;
use crate::domain::sample::Position;
use crate::error::{Error, Result};
use crate::store::{CheckpointFiles, Checkpoints, Digest, Store};
use crate::student::{self, Student};

/// Raised when state, refinery or tensors come to mean something else; an older file is then passed over, and labels
/// replayed.
const FORMAT: u32 = 3;

/// What the distiller is at. With the rest of the state it says what to do next, whichever piece of it was interrupted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Work {
    /// Taking in the next event.
    #[default]
    Stream,
    /// Labelling all samples again; the refinery was fitted for it.
    Sweep {
        /// The first sample that is still to be labelled.
        next: Position,
        /// Samples up to which it goes: all, or those of a slice.
        end: Position,
        /// Events before it began, or this slice of it. Offsets from here on are its own, and do not count when earlier labels
        /// are looked up.
        before: u64,
        /// Whether labels become final by it.
        last: bool,
    },
    /// Going over the memory; the refinery was fitted for this pass.
    Pass {
        /// From 0.
        pass: u32,
        /// The first batch of it that is still to be trained on.
        batch: u64,
    },
}

/// What the distiller knows besides the student's weights, wherever it can stop. No text, no candidates, no
/// generator: those follow from the input log and from keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    /// Events of the input log taken in: the number of the next one.
    pub(super) consumed: u64,
    /// Samples that arrived with them.
    pub(super) samples: Position,
    /// Arrivals and new answers among them: what blocks are made of.
    pub(super) taken: u64,
    /// Whether any of them had candidates.
    pub(super) has_candidates: bool,
    /// Label events emitted: the offset of the next one.
    pub(super) offset: u64,
    /// Training steps done. Keys of random numbers, and what labels say of the student's age; replayed batches belong
    /// to the step of their block.
    pub(super) step: u64,
    /// Samples that had arrived at the corpus' end up to which labels are final; 0 before the first.
    pub(super) finished: Position,
    /// Events of the input log up to and with that end.
    pub(super) settled: u64,
    /// Labels that people gave or took back since that end.
    #[serde(default)]
    pub(super) corrected: u64,
    /// What is under way.
    pub(super) work: Work,
    /// Samples that a sweep in slices has not come to yet; the next slice comes with the next block.
    pub(super) unswept: Range<Position>,
    /// Labels in memory before the pass that is under way; empty before the first.
    pub(super) pass_labels: Vec<LabelId>,
}

/// What a checkpoint's header holds; the student's settings make the file usable by itself.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Header {
    format: u32,
    /// What its labels depend on besides the input log.
    labelling: String,
    /// The label log up to the state's offset. With it, records that were lost are made from the file; see
    /// `store/local/events`.
    labels_digest: Digest,
    state: State,
    /// What the refinery learned, as it gave it.
    refinery: Value,
    /// What the student's logits are divided by for calibrated probabilities, as the refinery has it: that may be a program's
    /// own, and unknown to whoever reads this.
    temperature: f64,
    student: StudentConfig,
    /// What tells a student of a program's own apart; `student` is nothing to it then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own_student: Option<String>,
    distill: DistillConfig,
    labels: usize,
}

/// Our note in the file's header, beside those of the student.
const KEY: &str = "candist";

fn wrong(path: &Path, message: impl ToString) -> Error {
    Error::Checkpoint { path: path.to_owned(), message: message.to_string() }
}

/// Parses our note.
///
/// # Errors
///
/// [`Error::Checkpoint`] where there is none or it does not parse, [`Error::Format`] where it is of another format.
fn header(path: &Path, notes: &HashMap<String, String>) -> Result<Header> {
    let text = notes.get(KEY).ok_or_else(|| wrong(path, "it is no checkpoint of candist"))?;
    let header: Header = serde_json::from_str(text).map_err(|error| wrong(path, error))?;
    if header.format != FORMAT {
        return Err(Error::Format { path: path.to_owned(), found: header.format, known: FORMAT });
    }
    Ok(header)
}

/// Writes and finds checkpoints of one run. They are written by a thread of their own, one after the other, while the student
/// goes on; it has ended when this is dropped.
pub(super) struct Keeper {
    files: Arc<dyn Checkpoints>,
    /// Between two checkpoints at least; counted from the end of the one before, so a slow disk does not make them
    /// follow each other. The clock decides only what is repeated after a kill, and no label.
    every: Duration,
    last: Instant,
    /// The one that is being written.
    writing: Option<Writing>,
    /// For the header: how to make the student that can read the file.
    student: NewStudent,
    labelling: String,
    distill: DistillConfig,
    labels: usize,
}

/// A checkpoint on its way to the disk.
struct Writing {
    thread: JoinHandle<Result<()>>,
    /// Ends with the thread.
    ended: oneshot::Receiver<()>,
}

/// What was found to go on with.
pub(super) struct Loaded {
    pub(super) state: State,
    pub(super) refinery: Value,
}

impl Keeper {
    pub(super) fn new(
        files: Arc<dyn Checkpoints>,
        every: Duration,
        student: NewStudent,
        labelling: String,
        distill: &DistillConfig,
        labels: usize,
    ) -> Self {
        let distill = distill.clone();
        Self { files, every, last: Instant::now(), writing: None, student, labelling, distill, labels }
    }

    /// Whether enough time went by since the last one, or since the start, for the work to be worth keeping.
    ///
    /// # Errors
    ///
    /// Those of [`Keeper::finish`], for one that came to its end since.
    pub(super) fn is_due(&mut self) -> Result<bool> {
        match &self.writing {
            Some(writing) if !writing.thread.is_finished() => return Ok(false),
            Some(_) => self.finish()?,
            None => {}
        }
        Ok(self.last.elapsed() >= self.every)
    }

    /// Begins to keep `state`, which is one at a boundary. What it stands on is on disk after [`Keeper::finish`].
    ///
    /// The order matters: the label log is synced up to the state's offset and gives its digest, then the file is
    /// written and synced at a scratch place, then renamed. A kill anywhere leaves the checkpoints that were there.
    ///
    /// # Errors
    ///
    /// Those of [`Keeper::finish`], for the one before.
    pub(super) fn begin(
        &mut self,
        state: &State,
        refinery: &dyn Refinery,
        student: &dyn Student,
        store: &Store,
    ) -> Result<()> {
        self.finish()?;
        let header = Header {
            format: FORMAT,
            labelling: self.labelling.clone(),
            // Known when the log is sealed.
            labels_digest: Digest::default(),
            state: state.clone(),
            refinery: refinery.save(),
            temperature: refinery.temperature(),
            student: self.student.config.clone(),
            own_student: self.student.own.as_ref().map(|own| own.identity.clone()),
            distill: self.distill.clone(),
            labels: self.labels,
        };
        self.writing = student.snapshot().and_then(|snapshot| {
            let (header, files, store) = (header.clone(), Arc::clone(&self.files), store.clone());
            let (ends, ended) = oneshot::channel();
            let write = move || {
                let _ends: oneshot::Sender<()> = ends;
                caught("student", || write(header, snapshot, files.as_ref(), &store))
            };
            let thread = std::thread::Builder::new().name("candist-keeper".to_owned()).spawn(write).ok()?;
            Some(Writing { thread, ended })
        });
        // Without a snapshot, and where the system has no thread, the student waits.
        if self.writing.is_none() {
            write(header, |path, notes| student.save(path, notes), self.files.as_ref(), store)?;
            self.last = Instant::now();
        }
        Ok(())
    }

    /// Returns when a checkpoint that is being written has ended; never where none is.
    pub(super) async fn ended(&mut self) {
        match &mut self.writing {
            // It says nothing: it is dropped.
            Some(writing) => drop((&mut writing.ended).await),
            None => std::future::pending().await,
        }
    }

    /// Waits until the last checkpoint that was begun is on disk.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] where a weight is not finite; [`Error::RunFile`] and [`Error::Checkpoint`] where the file
    /// cannot be written; [`Error::Gone`] where the store is.
    pub(super) fn finish(&mut self) -> Result<()> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        writing.thread.join().unwrap_or_else(|panic| Err(panicked("student", panic)))?;
        self.last = Instant::now();
        Ok(())
    }

    /// Loads the newest checkpoint that `fits` into `student`, which is as new if there is none. Tells why newer ones
    /// could not be used.
    pub(super) fn load(
        &self,
        student: &mut dyn Student,
        fits: impl Fn(&State) -> bool,
    ) -> Result<(Option<Loaded>, Vec<Error>)> {
        let mut unusable = Vec::new();
        for path in block_on(self.files.newest_first())? {
            match self.load_from(&path, student, &fits) {
                Ok(loaded) => return Ok((Some(loaded), unusable)),
                Err(error) => unusable.push(error),
            }
            // A load that failed may have been half done.
            student.reset();
        }
        Ok((None, unusable))
    }

    /// # Errors
    ///
    /// [`Error::Checkpoint`] for one of other settings or one that goes further than the logs; those of
    /// [`Student::load`].
    fn load_from(&self, path: &Path, student: &mut dyn Student, fits: &impl Fn(&State) -> bool) -> Result<Loaded> {
        let header = header(path, &student::notes(path)?)?;
        // The header is looked at before any tensor is.
        if header.labelling != self.labelling {
            return Err(wrong(path, "it is of other settings"));
        }
        if !fits(&header.state) {
            return Err(wrong(path, "it goes further than the logs do"));
        }
        student.load(path)?;
        Ok(Loaded { state: header.state, refinery: header.refinery })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        // After a panic or an error, which is told: this one can say nothing more.
        drop(self.finish());
    }
}

/// Writes a checkpoint and publishes it.
fn write(
    mut header: Header,
    save: impl FnOnce(&Path, HashMap<String, String>) -> Result<()>,
    files: &dyn Checkpoints,
    store: &Store,
) -> Result<()> {
    let path = files.scratch();
    let State { step, offset, consumed, .. } = header.state;
    header.labels_digest = block_on(store.events.seal(offset))?;
    let text = serde_json::to_string(&header).map_err(|error| wrong(&path, error))?;
    reach("checkpoint-write").map_err(Error::run_file("write", &path))?;
    save(&path, HashMap::from([(KEY.to_owned(), text)]))?;
    block_on(files.publish([step, offset, consumed]))
}

/// How far the newest checkpoint vouches for the label log, if it is of these settings. Older ones are not asked:
/// they vouch for less, and this saves only time. Reads the files to check their hashes.
pub(crate) fn certified(files: &CheckpointFiles, labelling: &str) -> Option<Digest> {
    let path = files.whole().into_iter().next()?;
    let header = header(&path, &student::notes(&path).ok()?).ok()?;
    (header.labelling == labelling).then_some(header.labels_digest)
}

/// The student of a run.
pub(crate) struct TrainedStudent {
    /// The student.
    pub student: Box<dyn Student>,
    /// What its logits are divided by for calibrated probabilities.
    pub temperature: f64,
}

/// The student of the latest checkpoint in `run_dir`; one of the kinds that can be configured. Takes no lock, so a
/// run may be at work beside it.
///
/// # Errors
///
/// [`Error::NoStudent`] where there is no checkpoint yet, [`Error::Checkpoint`] and [`Error::Format`] where the
/// newest cannot be used or is of a program's own student, and those of making a student.
pub(crate) fn load_student(run_dir: &Path) -> Result<TrainedStudent> {
    let newest = CheckpointFiles::of(run_dir).whole().into_iter().next();
    let path = newest.ok_or_else(|| Error::NoStudent { path: run_dir.to_owned() })?;
    let mut header = header(&path, &student::notes(&path)?)?;
    if let Some(own) = &header.own_student {
        return Err(wrong(&path, format!("it is of the student {own:?} of a program's own: use it in that program")));
    }
    if matches!(header.student.kind, StudentKind::Encoder(_)) {
        // Nothing is trained here, so the last bits do not matter, and a large model gains from more threads.
        header.student.threads =
            std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
    }
    let mut student = student::new(&header.student, &header.distill, header.labels, Some(run_dir))?;
    student.load(&path)?;
    Ok(TrainedStudent { student, temperature: header.temperature })
}
