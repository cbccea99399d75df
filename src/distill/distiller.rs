//! The distiller: consumes samples in order, labels each at arrival, trains, sweeps, and settles at the corpus' end.
//!
//! Everything here is a function of the samples, the settings and the state: no clock, no thread, no order of arrival
//! other than the positions. That is what makes resuming exact.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use rand::Rng;
use rand::seq::SliceRandom;

use super::checkpoints::{Checkpoints, State};
use super::memory;
use super::refinery::{Evidence, Refinery, new_refinery};
use crate::base::random::rng;
use crate::config::{DistillConfig, StudentConfig};
use crate::domain::candidates::CandidateSet;
use crate::domain::event::{By, StoredEvent};
use crate::domain::label::LabelId;
use crate::domain::sample::Position;
use crate::error::{Error, Result};
use crate::flow::progress::{Phase, Progress};
use crate::store::{StoreHandle, StoredSample};
use crate::student::{self, Encoded, Example, Fold, Objective, Rows, Student, argmax};

/// Texts that are predicted together, where many are.
const CHUNK: usize = 256;
/// Samples that are read ahead, at most.
const AHEAD: u64 = 128;
/// Events that are handed to the store together, at most.
const OUTBOX: usize = 256;
/// The first sweep comes after so many blocks, the next after twice as many, and so on.
const FIRST_SWEEP_BLOCKS: u64 = 8;
/// Samples that the refinery learns from, at most.
const EVIDENCE: usize = 8192;
/// Labels have settled when at most one in so many changes in a pass.
const SETTLED: usize = 1000;
/// Passes of a new student in which the teacher alone sets the targets: a student that knows little must not teach
/// itself.
const WARM_UP: u32 = 3;
/// The pass from which on a refinery that regularises does so in full.
const FULL_REGULARISATION: f32 = 10.0;
/// Passes before labels can have settled: a new student that knows little changes none, and must not stop for that.
const LEAST_PASSES: u32 = 8;

/// A consumed sample as training needs it.
#[derive(Debug)]
struct Item {
    position: Position,
    encoded: Encoded,
    candidates: CandidateSet,
    fold: Fold,
}

/// See the module.
pub(super) struct Distiller {
    config: DistillConfig,
    seed: u64,
    columns: usize,
    student: Box<dyn Student>,
    refinery: Box<dyn Refinery>,
    store: StoreHandle,
    checkpoints: Checkpoints,
    progress: Arc<Progress>,
    stopping: Box<dyn Fn() -> bool + Send>,
    state: State,
    /// Consumed and offset at the last training step: where a checkpoint can stand.
    boundary: (Position, u64),
    /// By slot; samples without candidates keep their slot but are not trained on.
    memory: Vec<Arc<Item>>,
    /// The next samples, read and prepared together.
    ahead: VecDeque<Arc<Item>>,
    /// New samples since the last training step.
    block: Vec<Arc<Item>>,
    outbox: Vec<StoredEvent>,
}

/// What a distiller is made of.
pub(super) struct Parts {
    /// The run's.
    pub(super) dir: PathBuf,
    pub(super) student: StudentConfig,
    pub(super) distill: DistillConfig,
    pub(super) labels: usize,
    pub(super) store: StoreHandle,
    pub(super) checkpoints: Checkpoints,
    pub(super) progress: Arc<Progress>,
    /// Whether to stop at the next place where nothing is lost by it.
    pub(super) stopping: Box<dyn Fn() -> bool + Send>,
}

impl Distiller {
    /// Takes up where the last checkpoint stands, or begins. Says why a checkpoint could not be used.
    pub(super) fn resume(parts: Parts) -> Result<(Self, Option<Error>)> {
        let pointer = parts.store.reader().checkpoint()?;
        let fresh = || -> Result<_> {
            let student = student::new(&parts.student, &parts.distill, parts.labels, Some(&parts.dir))?;
            Ok((student, new_refinery(parts.distill.refinery, parts.labels)))
        };
        let (mut student, mut refinery) = fresh()?;
        let (mut state, mut unusable) = (State::default(), None);
        if let Some(pointer) = pointer {
            let loaded = parts.checkpoints.load(&pointer, student.as_mut()).and_then(|(state, learned)| {
                let wrong = |message| Error::Checkpoint { path: pointer.file.clone().into(), message };
                refinery.load(learned).map_err(wrong).map(|()| state)
            });
            match loaded {
                Ok(loaded) => state = loaded,
                Err(error) => {
                    (student, refinery) = fresh()?;
                    unusable = Some(error);
                }
            }
        }
        let mut distiller = Self {
            seed: parts.student.seed,
            config: parts.distill,
            columns: parts.labels,
            student,
            refinery,
            store: parts.store,
            checkpoints: parts.checkpoints,
            progress: parts.progress,
            stopping: parts.stopping,
            boundary: (state.consumed, state.offset),
            state,
            memory: Vec::new(),
            ahead: VecDeque::new(),
            block: Vec::new(),
            outbox: Vec::new(),
        };
        distiller.remember()?;
        distiller.show();
        Ok((distiller, unusable))
    }

    /// Fills the memory as it was at the state's position.
    fn remember(&mut self) -> Result<()> {
        for position in memory::members(self.seed, self.state.consumed, self.config.memory) {
            let sample = self.sample(position)?;
            self.memory.push(self.item(position, &sample));
        }
        Ok(())
    }

    fn sample(&self, position: Position) -> Result<StoredSample> {
        let found = self.store.reader().sample(position)?;
        found.ok_or_else(|| Error::StoreDamaged {
            path: "store".into(),
            message: format!("sample {position} is missing"),
        })
    }

    fn item(&self, position: Position, sample: &StoredSample) -> Arc<Item> {
        let fold = usize::try_from(position % u64::from(self.config.folds)).unwrap_or(0);
        let (encoded, candidates) = (self.student.encode(&sample.text), sample.candidates.clone());
        Arc::new(Item { position, encoded, candidates, fold })
    }

    /// The sample at `position`: from the memory, where as many as fit are at their own place, or made anew.
    fn look_up(&self, position: Position) -> Result<Arc<Item>> {
        let remembered = usize::try_from(position).ok().and_then(|place| self.memory.get(place));
        match remembered {
            Some(item) if item.position == position => Ok(Arc::clone(item)),
            _ => Ok(self.item(position, &self.sample(position)?)),
        }
    }

    /// Samples consumed.
    pub(super) fn consumed(&self) -> Position {
        self.state.consumed
    }

    /// The corpus end up to which labels are final.
    pub(super) fn finished(&self) -> Position {
        self.state.finished
    }

    fn check_stop(&self) -> Result<()> {
        if (self.stopping)() { Err(Error::Interrupted) } else { Ok(()) }
    }

    fn show(&self) {
        self.progress.consumed.set(self.state.consumed);
        self.progress.events.set(self.state.offset);
        self.progress.steps.set(self.state.step);
        self.progress.pass.set(u64::from(self.state.pass));
    }

    /// Reads the next samples, of which there are some before `placed`, and prepares them together.
    fn read_ahead(&mut self, placed: Position) -> Result<()> {
        for position in self.state.consumed..placed.min(self.state.consumed + AHEAD) {
            let sample = self.sample(position)?;
            self.ahead.push_back(self.item(position, &sample));
        }
        let texts: Vec<&Encoded> = self.ahead.iter().map(|item| &item.encoded).collect();
        self.student.prepare(&texts);
        Ok(())
    }

    /// Takes in the next sample, one of those before `placed`: labels it before anything is learned from it.
    pub(super) fn consume(&mut self, placed: Position) -> Result<()> {
        let position = self.state.consumed;
        if self.ahead.is_empty() {
            self.read_ahead(placed)?;
        }
        let Some(item) = self.ahead.pop_front() else { return Ok(()) };
        if !item.candidates.is_empty() {
            let logits = self.student.logits(item.fold, &[&item.encoded]);
            self.label(position, &item, &logits, None, false)?;
            self.block.push(Arc::clone(&item));
        }
        match memory::slot(self.seed, position, self.config.memory) {
            Some(slot) if slot < self.memory.len() => {
                if let Some(member) = self.memory.get_mut(slot) {
                    *member = item;
                }
            }
            Some(_) => self.memory.push(item),
            None => {}
        }
        self.state.consumed += 1;
        let blocks = self.state.consumed / self.config.block as u64;
        if self.state.consumed.is_multiple_of(self.config.block as u64) {
            self.learn()?;
            if blocks >= FIRST_SWEEP_BLOCKS && blocks.is_power_of_two() {
                self.sweep(false)?;
            }
            self.at_boundary(false)?;
        }
        Ok(())
    }

    /// Labels a sample from its first row of `logits`; `previous` is its event before.
    fn label(
        &mut self,
        position: Position,
        item: &Item,
        logits: &Rows,
        previous: Option<(u64, StoredEvent)>,
        last: bool,
    ) -> Result<()> {
        let Some(row) = logits.iter().next() else { return Ok(()) };
        let posterior = self.refinery.posterior(&item.candidates, row);
        let Some((label, confidence)) = argmax(&posterior).and_then(|best| Some((best, *posterior.get(best)?))) else {
            return Ok(());
        };
        let label = LabelId(u16::try_from(label).unwrap_or(u16::MAX));
        if let Some((_, before)) = &previous
            && before.label == label
            && (before.is_final || !last)
        {
            return Ok(());
        }
        self.outbox.push(StoredEvent {
            position,
            label,
            confidence: (confidence * 1e4).round() / 1e4,
            by: if item.candidates.is_empty() { By::Student } else { By::Posterior },
            revision: previous.as_ref().map_or(0, |(_, before)| before.revision + 1),
            student: self.state.step,
            is_final: last,
            previous: previous.map(|(offset, _)| offset),
        });
        self.state.offset += 1;
        if self.outbox.len() >= OUTBOX { self.flush() } else { Ok(()) }
    }

    /// Hands events to the store.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.show();
        if self.outbox.is_empty() {
            return Ok(());
        }
        let events = std::mem::take(&mut self.outbox);
        self.store.emit(self.state.offset - events.len() as u64, events)
    }

    /// One training step on the new samples, and one on each replayed batch.
    fn learn(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        self.state.step += 1;
        // Before the first sweep the refinery has not learned yet how far to trust the student.
        let warm_up = self.state.consumed < FIRST_SWEEP_BLOCKS * self.config.block as u64;
        self.train(&block, 1.0, warm_up)?;
        let mut rng = rng(self.seed, "replay", &[self.state.step]);
        for _ in 0..self.config.replay {
            let batch: Vec<Arc<Item>> = (0..self.config.block)
                .filter_map(|_| self.memory.get(rng.random_range(0..self.memory.len().max(1))).cloned())
                .collect();
            self.train(&batch, 1.0, warm_up)?;
        }
        Ok(())
    }

    /// Trains every copy on the samples of other folds, as the refinery says. Targets come from the copy that has not seen the sample, or in the
    /// warm-up from the candidates alone.
    fn train(&mut self, batch: &[Arc<Item>], rate: f64, warm_up: bool) -> Result<()> {
        let batch: Vec<&Item> = batch.iter().map(AsRef::as_ref).filter(|item| !item.candidates.is_empty()).collect();
        let logits = (!warm_up).then(|| self.out_of_sample(&batch));
        let mut rows = logits.iter().flat_map(Rows::iter);
        let targets: Vec<Option<Vec<f32>>> =
            batch.iter().map(|item| self.refinery.target(&item.candidates, rows.next())).collect();
        // Grows from pass to pass; in the stream it is 0.
        let mut regularisation = (self.state.pass as f32 / FULL_REGULARISATION).min(1.0);
        let rows = logits.iter().filter(|_| regularisation > 0.0).flat_map(Rows::iter);
        let steady: Vec<Vec<f32>> =
            batch.iter().zip(rows).filter_map(|(item, row)| self.refinery.steady(&item.candidates, row)).collect();
        if steady.len() < batch.len() {
            regularisation = 0.0;
        }
        let mut steady = steady.iter().filter(|_| regularisation > 0.0).map(Vec::as_slice);
        let examples: Vec<Example<'_>> = batch
            .iter()
            .zip(&targets)
            .map(|(item, target)| Example {
                text: &item.encoded,
                held_out: item.fold,
                target: target.as_deref(),
                steady: steady.next(),
            })
            .filter(|example| example.target.is_some() || example.steady.is_some())
            .collect();
        let objective = Objective {
            loss: self.refinery.loss(),
            regularisation,
            seed: rng(self.seed, "objective", &[self.state.step]).random(),
        };
        self.student.train(&examples, objective, rate).map(drop)
    }

    /// Logits of each item from the copy that never trained on it.
    fn out_of_sample(&self, items: &[&Item]) -> Rows {
        self.student.prepare(&items.iter().map(|item| &item.encoded).collect::<Vec<_>>());
        let mut values = vec![0.0; items.len() * self.columns];
        for fold in 0..self.config.folds as usize {
            let places: Vec<usize> =
                (0..).zip(items).filter(|(_, item)| item.fold == fold).map(|(place, _)| place).collect();
            let texts: Vec<&Encoded> =
                items.iter().filter(|item| item.fold == fold).map(|item| &item.encoded).collect();
            let logits = self.student.logits(fold, &texts);
            for (place, row) in places.into_iter().zip(logits.iter()) {
                if let Some(target) = values.get_mut(place * self.columns..(place + 1) * self.columns) {
                    target.copy_from_slice(row);
                }
            }
        }
        Rows::new(self.columns, values)
    }

    /// Lets the refinery learn from the memory.
    fn refit(&mut self) {
        let stride = self.memory.len().div_ceil(EVIDENCE).max(1);
        let items: Vec<&Item> =
            self.memory.iter().step_by(stride).map(AsRef::as_ref).filter(|item| !item.candidates.is_empty()).collect();
        let mut values = Vec::with_capacity(items.len() * self.columns);
        for chunk in items.chunks(CHUNK) {
            values.extend(self.out_of_sample(chunk).iter().flatten().copied());
        }
        let candidates = items.iter().map(|item| &item.candidates).collect();
        self.refinery.refit(&Evidence { candidates, logits: Rows::new(self.columns, values) });
    }

    /// Labels all samples again; emits those that changed or, at the last sweep, are not yet final.
    fn sweep(&mut self, last: bool) -> Result<()> {
        self.flush()?;
        // Labels are looked up in the store, so they must be there.
        self.store.barrier()?;
        self.refit();
        let (before, end) = (self.state.offset, self.state.consumed);
        let mut start = 0;
        while start < end {
            self.check_stop()?;
            let positions = start..end.min(start + CHUNK as u64);
            start = positions.end;
            let mut items = Vec::new();
            for position in positions {
                let item = self.look_up(position)?;
                if last || !item.candidates.is_empty() {
                    items.push((position, item));
                }
            }
            let texts: Vec<&Item> = items.iter().map(|(_, item)| item.as_ref()).collect();
            let logits = self.out_of_sample(&texts);
            for ((position, item), row) in items.iter().zip(logits.iter()) {
                let previous = self.store.reader().latest_before(*position, before)?;
                self.label(*position, item, &Rows::new(self.columns, row.to_vec()), previous, last)?;
            }
        }
        self.flush()
    }

    /// The corpus ends here (for now): passes over the memory until labels settle, then all labels are final.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.progress.set_phase(Phase::Settling);
        if !self.block.is_empty() {
            self.learn()?;
        }
        // A corpus is often sorted, and a student that learned it in order is hard to turn. So the passes, which shuffle,
        // begin anew, unless most of the memory went through such passes before (a finished corpus that grew a little).
        if self.state.pass == 0 && self.state.consumed >= 2 * self.state.finished {
            self.student.reset();
            self.refinery = new_refinery(self.config.refinery, self.columns);
        }
        while self.state.pass < self.config.max_passes {
            if (self.stopping)() {
                self.at_boundary(true)?;
                return Err(Error::Interrupted);
            }
            self.refit();
            let labels = self.memory_labels();
            if self.state.pass >= LEAST_PASSES && changes(&labels, &self.state.pass_labels) * SETTLED <= labels.len() {
                break;
            }
            self.state.pass_labels = labels;
            self.pass()?;
            self.state.pass += 1;
            self.at_boundary(false)?;
        }
        self.sweep(true)?;
        self.state.finished = self.state.consumed;
        self.state.pass = 0;
        self.state.pass_labels.clear();
        self.at_boundary(true)
    }

    /// One pass over the memory, in an order of its own. The steps get smaller from pass to pass, so that labels settle.
    fn pass(&mut self) -> Result<()> {
        let pass = self.state.pass;
        let mut order = self.memory.clone();
        order.shuffle(&mut rng(self.seed, "pass", &[self.state.consumed, u64::from(pass)]));
        let rate = 1.0 - f64::from(pass) / f64::from(self.config.max_passes);
        let warm_up = pass < WARM_UP;
        for batch in order.chunks(self.config.block) {
            self.state.step += 1;
            self.train(batch, rate, warm_up)?;
        }
        Ok(())
    }

    fn memory_labels(&self) -> Vec<LabelId> {
        let mut labels = Vec::with_capacity(self.memory.len());
        for chunk in self.memory.chunks(CHUNK) {
            let items: Vec<&Item> = chunk.iter().map(AsRef::as_ref).collect();
            for (item, row) in items.iter().zip(self.out_of_sample(&items).iter()) {
                let best = argmax(&self.refinery.posterior(&item.candidates, row)).unwrap_or_default();
                labels.push(LabelId(u16::try_from(best).unwrap_or(u16::MAX)));
            }
        }
        labels
    }

    /// Between two training steps: a checkpoint can be taken, and is if it is due.
    fn at_boundary(&mut self, now: bool) -> Result<()> {
        self.show();
        self.boundary = (self.state.consumed, self.state.offset);
        if now || self.checkpoints.is_due() { self.checkpoint() } else { Ok(()) }
    }

    /// Keeps the state as it was at the last boundary; what came since is consumed again after a restart.
    pub(super) fn checkpoint(&mut self) -> Result<()> {
        self.flush()?;
        let (consumed, offset) = self.boundary;
        let state = State { consumed, offset, ..self.state.clone() };
        self.checkpoints.save(&state, self.refinery.save(), self.student.as_ref(), &self.store)
    }
}

fn changes(labels: &[LabelId], before: &[LabelId]) -> usize {
    labels.iter().zip(before).filter(|(now, before)| now != before).count() + labels.len().abs_diff(before.len())
}
