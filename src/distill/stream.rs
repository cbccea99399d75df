//! Taking in the input log: every sample is labelled before anything is learned from it; then a training step a
//! block.
//!
//! A block is `block` arrivals and new answers, counted from the log's beginning and not from the process' start, so
//! a resumed run trains at the same events. Where the student is after a block depends on nothing else.

use std::sync::Arc;

use futures::executor::block_on;
use rand::Rng;

use super::distiller::Distiller;
use super::memory::{self, Item};
use super::reading::Next;
use crate::base::random::rng;
use crate::error::Result;
use crate::student::{Encoded, Example, Fold, Objective, Rows};

/// Events that are read ahead, at most. How many are read together changes no label, only the price: an encoder is
/// faster on many texts at once.
const AHEAD: u64 = 128;
/// The first sweep comes after so many blocks, the next after twice as many, and so on: all sweeps together then cost
/// at most two of the last one, whatever the length of the stream.
const FIRST_SWEEP_BLOCKS: u64 = 8;

impl Distiller {
    /// Takes in the next event, one of those before `end`.
    ///
    /// After the event that fills a block the student learns, and there is a boundary. An end of the corpus is no
    /// part of a block.
    pub(super) fn consume(&mut self, end: u64) -> Result<()> {
        if self.ahead.is_empty() {
            self.read_ahead(end)?;
        }
        match self.ahead.pop_front() {
            Some(Next::Arrival(item)) => self.arrive(item)?,
            Some(Next::Again(item)) => self.take_again(item)?,
            Some(Next::Corrected(item)) => {
                self.state.corrected += 1;
                self.take_again(item)?;
            }
            // Counts the event itself, for what it begins has boundaries of its own.
            Some(Next::End) => return self.begin_settling(),
            None => return Ok(()),
        }
        self.state.consumed += 1;
        self.state.taken += 1;
        // In the middle of a block student and state do not belong together: the block would be lost with a stop
        // here.
        if !self.state.taken.is_multiple_of(self.config.block as u64) {
            return Ok(());
        }
        self.learn()?;
        let blocks = self.state.taken / self.config.block as u64;
        let is_due = blocks >= FIRST_SWEEP_BLOCKS && blocks.is_power_of_two();
        if is_due { self.begin_sweep() } else { self.sweep_on() }
    }

    /// Reads the next events, of which there are some before `end`, and prepares them together.
    fn read_ahead(&mut self, end: u64) -> Result<()> {
        let events = self.reader.events(self.state.consumed..end, AHEAD, self.student.as_ref())?;
        self.ahead.extend(events);
        let texts: Vec<&Encoded> = self.ahead.iter().filter_map(Next::item).map(|item| &item.encoded).collect();
        self.student.prepare(&texts);
        Ok(())
    }

    /// Labels a new sample, then lets it into the block and the memory. One without candidates is not labelled yet,
    /// for nobody knows anything of it but the student; the last sweep does. It takes its place in the memory all the
    /// same, whose places follow from the number of arrivals alone.
    fn arrive(&mut self, item: Arc<Item>) -> Result<()> {
        if item.candidates.is_evidence() {
            self.state.has_candidates = true;
            let logits = self.foresee(&item);
            self.label_first(&item, &logits, None)?;
            self.block.push(Arc::clone(&item));
        }
        // As `memory::members` has it: a resumed run fills the memory by that, and must find what this one had.
        match memory::slot(self.seed, item.position, self.config.memory) {
            Some(slot) if slot < self.memory.len() => {
                if let Some(member) = self.memory.get_mut(slot) {
                    *member = item;
                }
            }
            Some(_) => self.memory.push(item),
            None => {}
        }
        self.state.samples += 1;
        Ok(())
    }

    /// A sample that arrived before, and is spoken of again, is learned from as a new one is, and labelled again.
    ///
    /// Its earlier event is looked up first: revision and predecessor follow from it. It keeps its fold, so the copy
    /// that labels it has not seen it, with old answers or new ones.
    fn take_again(&mut self, item: Arc<Item>) -> Result<()> {
        if item.candidates.is_evidence() {
            self.state.has_candidates = true;
            // Its label may still be in the outbox; what is not in the store is not found.
            self.flush()?;
            block_on(self.store.events.settle())?;
            let previous = self.latest(item.position..item.position + 1, self.state.offset)?.pop().flatten();
            let logits = self.foresee(&item);
            self.label_first(&item, &logits, previous)?;
            self.block.push(Arc::clone(&item));
        }
        // A sample that the memory let go is not put back: who is remembered follows from the number of arrivals.
        // Where as many as fit are remembered, each is at its own place.
        let place = usize::try_from(item.position).unwrap_or(usize::MAX);
        let at_place = self.memory.get(place).is_some_and(|member| member.position == item.position);
        let slot = if at_place { Some(place) } else { self.memory.iter().position(|m| m.position == item.position) };
        if let Some(member) = slot.and_then(|slot| self.memory.get_mut(slot)) {
            *member = item;
        }
        Ok(())
    }

    /// What the student says of the next sample, out of sample. The student stays as it is until the block is full, so it is asked
    /// of what is read of the block together, if it says the same then.
    fn foresee(&mut self, item: &Item) -> Vec<f32> {
        if let Some(logits) = self.foreseen.pop_front() {
            return logits;
        }
        let block = self.config.block as u64;
        let left = if self.student.is_steady_in_company() { block - self.state.taken % block - 1 } else { 0 };
        let next = self.ahead.iter().take_while(|next| !matches!(next, Next::End));
        let next = next.take(usize::try_from(left).unwrap_or(0)).filter_map(Next::evidence);
        let items: Vec<&Item> = std::iter::once(item).chain(next).collect();
        let texts: Vec<(&Encoded, Fold)> = items.iter().map(|item| (&item.encoded, item.fold)).collect();
        self.foreseen = self.student.out_of_sample(&texts).iter().map(<[f32]>::to_vec).collect();
        self.foreseen.pop_front().unwrap_or_default()
    }

    /// From a row of logits. Never final: the corpus goes on.
    fn label_first(
        &mut self,
        item: &Item,
        logits: &[f32],
        previous: Option<(u64, crate::domain::event::StoredEvent)>,
    ) -> Result<()> {
        if logits.is_empty() { Ok(()) } else { self.label(item, logits, previous, false) }
    }

    /// One training step on the new samples, and one on each replayed batch.
    ///
    /// Replayed samples are drawn with repetition, by numbers that belong to this step. Without replay a student
    /// forgets what a sorted corpus had at its beginning.
    pub(super) fn learn(&mut self) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        // None is left of a block that is full; what was foreseen is not of the student that comes of it.
        self.foreseen.clear();
        self.state.step += 1;
        // Before the first sweep the refinery has not learned yet how far to trust the student.
        let warm_up = self.state.taken < FIRST_SWEEP_BLOCKS * self.config.block as u64;
        self.train(&block, 1.0, warm_up)?;
        let mut rng = rng(self.seed, "replay", &[self.state.step]);
        for _ in 0..self.config.replay {
            // Memory and draws follow from the state, so a step that is repeated after a kill is the same step.
            let batch: Vec<Arc<Item>> = (0..self.config.block)
                .filter_map(|_| self.memory.get(rng.random_range(0..self.memory.len().max(1))).cloned())
                .collect();
            self.train(&batch, 1.0, warm_up)?;
        }
        Ok(())
    }

    /// Trains every copy on the samples of other folds, as the refinery says. Targets come from the copy that has not
    /// seen the sample, or in the warm-up from the candidates alone. Samples without candidates are left out.
    ///
    /// `rate` is a share of the configured learning rate.
    ///
    /// # Errors
    ///
    /// [`Error::NotFinite`](crate::error::Error::NotFinite) where too many steps in a row had to be left out.
    pub(super) fn train(&mut self, batch: &[Arc<Item>], rate: f64, warm_up: bool) -> Result<()> {
        let batch: Vec<&Item> = batch.iter().map(AsRef::as_ref).filter(|item| item.candidates.is_evidence()).collect();
        let logits = (!warm_up).then(|| self.out_of_sample(&batch));
        let mut rows = logits.iter().flat_map(Rows::iter);
        let targets: Vec<Option<Vec<f32>>> =
            batch.iter().map(|item| self.refinery.target(&item.candidates, rows.next())).collect();
        let mut regularisation = self.regularisation();
        let rows = logits.iter().filter(|_| regularisation > 0.0).flat_map(Rows::iter);
        let steady: Vec<Vec<f32>> =
            batch.iter().zip(rows).filter_map(|(item, row)| self.refinery.steady(&item.candidates, row)).collect();
        // All of the batch or none: each text's steady distribution is at its own place, and a refinery that has none
        // for one of them does not regularise.
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
        // What is drawn for dropout and mixing belongs to this step: no generator outlives it.
        let objective = Objective {
            loss: self.refinery.loss(),
            regularisation,
            seed: rng(self.seed, "objective", &[self.state.step]).random(),
        };
        self.student.train(&examples, objective, rate).map(drop)
    }
}
