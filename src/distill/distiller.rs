//! The distiller: what is learned, and how far it came. `stream`, `sweep` and `settle` are what it does.
//!
//! Everything it does is a function of the input log, the settings and the state: no clock, no thread, no order other than the
//! log's. That is what makes resuming exact. It may stop wherever [`Distiller::boundary`] was called; what was done since is
//! done again.
//!
//! Work is one of three kinds ([`Work`]): the stream takes in events and trains, a sweep labels all samples again, a
//! pass trains on the memory. Each can be gone on with from the state alone, for the state says how far it is.
//!
//! It has a thread of its own ("candist-student"), on which it waits for the store: nothing here is async.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use futures::executor::block_on;

use super::checkpoints::{Keeper, Loaded, State, Work};
use super::corrected::Corrected;
use super::memory::{self, Item};
use super::others::{others, rounded, second};
use super::reading::{Next, Reader, Wanted};
use super::refinery::{Evidence, Refinery};
use crate::config::DistillConfig;
use crate::domain::event::StoredEvent;
use crate::domain::label::LabelId;
use crate::domain::progress::{NEWEST, Progress};
use crate::domain::sample::{Position, SampleId};
use crate::domain::status::NewLabel;
use crate::error::{Error, Result};
use crate::store::{Labelled, Store};
use crate::student::{Encoded, Fold, Rows, Student, argmax};

/// Texts that are predicted together, where many are. It decides where boundaries of a sweep are, and with that what
/// is repeated after a kill, but no label.
pub(super) const CHUNK: usize = 256;
/// Events that are handed to the store together, at most. Until then they are in memory only; whoever looks labels up
/// flushes first.
const OUTBOX: usize = 256;
/// How far the confidence of a final label moves before it is said anew. Less is noise, and would write a log of noise.
const MOVED: f32 = 0.05;
/// Samples that the refinery learns from, at most: enough for its few numbers, and a bound on what a fit costs with a
/// large memory.
const EVIDENCE: usize = 8192;

/// Makes a refinery that knows nothing yet, for so many labels.
pub(crate) type NewRefinery = Arc<dyn Fn(usize) -> Box<dyn Refinery> + Send + Sync>;

/// What a distiller is made of.
pub(super) struct Parts {
    pub(super) student: Box<dyn Student>,
    pub(super) refinery: NewRefinery,
    pub(super) distill: DistillConfig,
    pub(super) seed: u64,
    /// Of the task: columns of all rows.
    pub(super) labels: usize,
    pub(super) store: Store,
    pub(super) keeper: Keeper,
    pub(super) progress: Arc<Progress>,
    /// Whether to stop at the next boundary.
    pub(super) stopping: Box<dyn Fn() -> bool + Send>,
}

/// See the module. After an error that is no wish to stop, it is not to be used any more: student, state and outbox may
/// be out of step.
pub(super) struct Distiller {
    pub(super) config: DistillConfig,
    pub(super) seed: u64,
    /// Labels of the task, C.
    pub(super) columns: usize,
    pub(super) student: Box<dyn Student>,
    pub(super) refinery: Box<dyn Refinery>,
    /// For a student that begins anew at the corpus' end.
    pub(super) new_refinery: NewRefinery,
    pub(super) store: Store,
    keeper: Keeper,
    pub(super) progress: Arc<Progress>,
    stopping: Box<dyn Fn() -> bool + Send>,
    pub(super) state: State,
    /// The state where a checkpoint can stand: student and refinery are as they were there. Between boundaries
    /// `state` runs ahead of it by the events of an unfinished block, of which the student knows nothing yet.
    boundary: State,
    /// By slot; samples without candidates keep their slot but are not trained on. At most `memory` of the
    /// configuration; as long as all arrivals fit, the slot is the position.
    pub(super) memory: Vec<Arc<Item>>,
    /// Whether the memory is filled as it was at the state's position: a run that has nothing to do needs none.
    remembers: bool,
    pub(super) reader: Reader,
    /// The next events, read and prepared together. Not part of the state: they are read again.
    pub(super) ahead: VecDeque<Next>,
    /// What the student says of the next samples of `ahead`, where it was asked of them together.
    pub(super) foreseen: VecDeque<Vec<f32>>,
    /// New samples since the last training step, those that have candidates.
    pub(super) block: Vec<Arc<Item>>,
    /// Events that the store was not given yet, the last `outbox.len()` before the state's offset.
    outbox: Vec<Labelled>,
    /// The latest labels, to be shown; nothing depends on them.
    newest: VecDeque<(NewLabel, u16)>,
}

impl Distiller {
    /// Takes up where the newest usable checkpoint stands, or begins. Says why newer ones could not be used.
    ///
    /// `events` are those in the label log. A checkpoint that has seen more than either log holds is of no use: what
    /// it knows could not be replayed. Where none can be used, labels come again from offset 0 and are compared.
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where the checkpoints cannot be listed. One that cannot be read is no error.
    pub(super) fn resume(parts: Parts, events: u64) -> Result<(Self, Vec<Error>)> {
        let mut student = parts.student;
        let inputs = parts.store.inputs.counts();
        let fits = |state: &State| state.consumed <= inputs.events && state.offset <= events;
        let (loaded, mut unusable) = parts.keeper.load(student.as_mut(), fits)?;
        let mut refinery = make(&parts.refinery, parts.labels);
        let mut state = State::default();
        if let Some(Loaded { state: found, refinery: learned }) = loaded {
            match refinery.load(learned) {
                Ok(()) => state = found,
                Err(message) => {
                    unusable.push(Error::Checkpoint { path: "checkpoints".into(), message });
                    // The file had been loaded into it: half of a checkpoint must not be gone on with.
                    student.reset();
                    refinery = make(&parts.refinery, parts.labels);
                }
            }
        }
        let reader = Reader::new(Arc::clone(&parts.store.inputs), parts.distill.folds, student.as_ref());
        let distiller = Self {
            seed: parts.seed,
            config: parts.distill,
            columns: parts.labels,
            student,
            refinery,
            new_refinery: parts.refinery,
            store: parts.store,
            keeper: parts.keeper,
            progress: parts.progress,
            stopping: parts.stopping,
            boundary: state.clone(),
            state,
            memory: Vec::new(),
            remembers: false,
            reader,
            ahead: VecDeque::new(),
            foreseen: VecDeque::new(),
            block: Vec::new(),
            outbox: Vec::new(),
            newest: VecDeque::new(),
        };
        distiller.show();
        Ok((distiller, unusable))
    }

    /// Fills the memory as it was at the state's position, unless it is.
    ///
    /// Texts are read in ranges from the input log and encoded again, at most `memory` of them. Candidates are those
    /// as of the state's events. Done at the first piece of work, not on opening.
    fn remember(&mut self) -> Result<()> {
        if self.remembers {
            return Ok(());
        }
        let members = memory::members(self.seed, self.state.samples, self.config.memory);
        let mut slots: Vec<Option<Arc<Item>>> = vec![None; members.len()];
        let mut by_position: Vec<(Position, usize)> = members.into_iter().zip(0..).collect();
        by_position.sort_unstable();
        // In the order of positions, for the log is read forward; each then goes to its slot.
        for chunk in by_position.chunks(CHUNK) {
            self.check_stop()?;
            let items = self.read(chunk.iter().map(|(position, _)| *position).collect(), Vec::new())?;
            let mut items = items.into_iter().peekable();
            for (position, slot) in chunk {
                if let Some(place) = slots.get_mut(*slot) {
                    *place = items.next_if(|item| item.position == *position);
                }
            }
        }
        self.memory = slots.into_iter().flatten().collect();
        self.remembers = true;
        Ok(())
    }

    /// The samples at these positions, ascending, as of the state's events; those at `next`, which are wanted after them, are read
    /// ahead.
    pub(super) fn read(&mut self, positions: Vec<Position>, next: Vec<Position>) -> Result<Vec<Arc<Item>>> {
        let wanted = |positions| Wanted { positions, events: self.state.consumed };
        self.reader.samples(wanted(positions), wanted(next), self.student.as_ref())
    }

    /// Events of the input log that are taken in.
    pub(super) fn consumed(&self) -> u64 {
        self.state.consumed
    }

    /// Events of the input log up to the end of the corpus up to which labels are final.
    pub(super) fn settled(&self) -> u64 {
        self.state.settled
    }

    /// Label events emitted.
    pub(super) fn offset(&self) -> u64 {
        self.state.offset
    }

    /// Whether any sample had candidates.
    pub(super) fn has_candidates(&self) -> bool {
        self.state.has_candidates
    }

    /// Does the next piece of work: goes on with what is under way, else takes in the next event before `end`.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] where it stopped because that is wanted, at a boundary, with a checkpoint; or within a
    /// fit, without one. [`Error::Gone`] where the store has ended; why, it says itself. [`Error::NotFinite`] and
    /// [`Error::Refinery`] where no label can be made.
    pub(super) fn advance(&mut self, end: u64) -> Result<()> {
        self.remember()?;
        match self.state.work {
            Work::Stream => self.consume(end),
            Work::Sweep { .. } => self.go_on_sweeping(),
            Work::Pass { .. } => self.go_on_passing(),
        }
    }

    /// Whether something is under way that needs no further event.
    pub(super) fn is_busy(&self) -> bool {
        self.state.work != Work::Stream
    }

    /// For work between boundaries that takes long: a stop does not wait for it, and it is begun again.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] where a stop is wanted.
    pub(super) fn check_stop(&self) -> Result<()> {
        if (self.stopping)() { Err(Error::Interrupted) } else { Ok(()) }
    }

    /// Tells the progress how far it is. Only shown: nothing depends on it.
    fn show(&self) {
        self.progress.consumed.set(self.state.samples);
        self.progress.events.set(self.state.offset);
        self.progress.doubt_calibration(self.refinery.calibration_doubt().as_deref());
        self.progress.steps.set(self.state.step);
        let Work::Pass { pass, .. } = self.state.work else { return self.progress.pass.set(0) };
        self.progress.pass.set(u64::from(pass) + 1);
        self.progress.passes.set(u64::from(self.passes()));
    }

    /// Labels a sample from a row of logits that are out of sample; `previous` is its event before.
    ///
    /// Emits an event only where it says something: the label is new, or becomes final, or at the corpus' end is surer or less sure
    /// than it was at an earlier end. Before that a confidence that changes alone does not make one, or every sweep would write
    /// all samples again. Without a largest probability there is no label and no event.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`] for logits that are not finite, [`Error::Refinery`] for a posterior of another length.
    pub(super) fn label(
        &mut self,
        item: &Item,
        logits: &[f32],
        previous: Option<(u64, StoredEvent)>,
        last: bool,
    ) -> Result<()> {
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(Error::NotFinite { what: format!("what the student says of {:?}", item.id.0) });
        }
        // What a person said is final at once.
        let last = last || item.candidates.given().is_some();
        let posterior = self.refinery.posterior(&item.candidates, logits);
        if posterior.len() != self.columns {
            let (found, wanted) = (posterior.len(), self.columns);
            return Err(Error::Refinery { message: format!("it gave {found} probabilities for {wanted} labels") });
        }
        if !posterior.iter().all(|share| share.is_finite()) {
            let message = format!("it gave probabilities that are not finite for {:?}", item.id.0);
            return Err(Error::Refinery { message });
        }
        let Some((label, confidence)) = argmax(&posterior).and_then(|best| Some((best, *posterior.get(best)?))) else {
            return Ok(());
        };
        let others = others(&posterior, label);
        let margin = rounded(confidence - second(&posterior, label));
        let label = LabelId(u16::try_from(label).unwrap_or(u16::MAX));
        // A final label says how sure it is in the end: one of a pilot is not to keep what little was known then.
        let is_as_sure = |before: &StoredEvent| (before.confidence - rounded(confidence)).abs() < MOVED;
        if let Some((_, before)) = &previous
            && before.label == label
            && before.source == item.source()
            && (!last || before.is_final && is_as_sure(before))
        {
            return Ok(());
        }
        let event = StoredEvent {
            position: item.position,
            label,
            confidence: rounded(confidence),
            source: item.source(),
            revision: previous.as_ref().map_or(0, |(_, before)| before.revision + 1),
            student: self.state.step,
            is_final: last,
            previous: previous.map(|(offset, _)| offset),
        };
        self.note_newest(item, &event);
        let (id, candidates): (SampleId, _) = (item.id.clone(), item.candidates.labels().to_vec());
        self.outbox.push(Labelled { event, margin, others, id, candidates });
        self.state.offset += 1;
        if self.outbox.len() >= OUTBOX { self.flush() } else { Ok(()) }
    }

    /// Remembers what to show of an event.
    fn note_newest(&mut self, item: &Item, event: &StoredEvent) {
        if self.newest.len() == NEWEST {
            self.newest.pop_front();
        }
        let (id, text) = (item.id.0.clone(), item.shown.to_string());
        let confidence = f64::from(event.confidence);
        self.newest.push_back((NewLabel { id, text, label: String::new(), confidence }, event.label.0));
    }

    /// Hands events to the store. Accepted when it returns, not yet stored or durable; an error of the store may come
    /// with a later call.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.show();
        if self.outbox.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.outbox);
        self.progress.labelled(self.newest.drain(..));
        block_on(self.store.events.append(self.state.offset - events.len() as u64, events))
    }

    /// The latest events, among those before `end` that are stored, of the samples at `positions`.
    pub(super) fn latest(&self, positions: Range<Position>, end: u64) -> Result<Vec<Option<(u64, StoredEvent)>>> {
        block_on(self.store.events.latest(positions, end))
    }

    /// Logits of each item from the copy that never trained on it: one row per item, in their order, C columns.
    pub(super) fn out_of_sample(&self, items: &[&Item]) -> Rows {
        self.student.prepare(&items.iter().map(|item| &item.encoded).collect::<Vec<_>>());
        let texts: Vec<(&Encoded, Fold)> = items.iter().map(|item| (&item.encoded, item.fold)).collect();
        self.student.out_of_sample(&texts)
    }

    /// Lets the refinery learn from the memory.
    ///
    /// Every so many-th remembered sample, so that the whole memory is covered at a bounded cost. The same samples
    /// whenever it is repeated, for no draw is made.
    pub(super) fn refit(&mut self) -> Result<()> {
        let stride = self.memory.len().div_ceil(EVIDENCE).max(1);
        let items: Vec<&Item> = self
            .memory
            .iter()
            .step_by(stride)
            .map(AsRef::as_ref)
            .filter(|item| item.candidates.is_evidence())
            .collect();
        let mut values = Vec::with_capacity(items.len() * self.columns);
        for chunk in items.chunks(CHUNK) {
            self.check_stop()?;
            values.extend(self.out_of_sample(chunk).iter().flatten().copied());
        }
        let candidates = items.iter().map(|item| &item.candidates).collect();
        self.refinery.refit(&Evidence { candidates, logits: Rows::new(self.columns, values) });
        Ok(())
    }

    /// Student, refinery and state belong together here: a checkpoint can be taken, and is if it is due. Stops if that is
    /// wanted.
    ///
    /// # Errors
    ///
    /// [`Error::Interrupted`] after the checkpoint of a stop; those of the checkpoint.
    pub(super) fn boundary(&mut self) -> Result<()> {
        self.boundary = self.state.clone();
        // Passes hand over no events, so nothing else would tell how far they are.
        self.show();
        if (self.stopping)() {
            self.checkpoint()?;
            return Err(Error::Interrupted);
        }
        if self.keeper.is_due()? { self.begin_checkpoint() } else { Ok(()) }
    }

    /// Keeps the state as it was at the last boundary; what came since is done again after a restart. Its label events
    /// are handed over first, for the checkpoint vouches for the log up to its offset.
    fn begin_checkpoint(&mut self) -> Result<()> {
        self.flush()?;
        self.keeper.begin(&self.boundary, self.refinery.as_ref(), self.student.as_ref(), &self.store)
    }

    /// Returns when a checkpoint that is being written has ended, which is to be finished then; never where none is.
    pub(super) async fn checkpoint_ended(&mut self) {
        self.keeper.ended().await;
    }

    /// Waits for the checkpoint that is being written, if one is.
    ///
    /// # Errors
    ///
    /// Those of writing it.
    pub(super) fn finish_checkpoint(&mut self) -> Result<()> {
        self.keeper.finish()
    }

    /// The same, on disk when it returns.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        self.begin_checkpoint()?;
        self.keeper.finish()
    }
}

/// The program's refinery, with people's labels before its own.
pub(super) fn make(refinery: &NewRefinery, labels: usize) -> Box<dyn Refinery> {
    Box::new(Corrected::new(refinery(labels), labels))
}
