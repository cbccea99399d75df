//! Sweeps: all samples are labelled again by what was learned since. They come at 8, 16, 32, ... blocks, and at the
//! corpus' end.
//!
//! Nothing is learned during a sweep: student and refinery stay as they were at its beginning, so it does not matter
//! where it is interrupted. A sample has one event in a sweep at most. Memory is that of one chunk, whatever the
//! number of samples.

use std::ops::Range;
use std::sync::Arc;

use futures::executor::block_on;

use super::checkpoints::Work;
use super::distiller::{CHUNK, Distiller};
use super::memory::{self, Item};
use crate::domain::sample::Position;
use crate::error::Result;

impl Distiller {
    /// Fits the refinery and begins a sweep; at the last one, labels become final. The work is entered into the state
    /// only after the fit: until then, a kill goes back to the boundary before the block's training.
    pub(super) fn begin_sweep(&mut self, last: bool) -> Result<()> {
        self.flush()?;
        // Labels are looked up in the store, so they must be there.
        block_on(self.store.events.settle())?;
        self.refit()?;
        self.state.work = Work::Sweep { next: 0, before: self.state.offset, last };
        self.boundary()
    }

    /// Labels the next samples of the sweep, 256 at a time; emits what changed or, at the last one, is not yet final.
    /// There is a boundary after each chunk.
    ///
    /// Earlier labels are looked up as of the sweep's beginning. Those of the sweep itself do not count, or a resumed
    /// sweep would find its own.
    pub(super) fn go_on_sweeping(&mut self) -> Result<()> {
        let Work::Sweep { next, before, last } = self.state.work else { return Ok(()) };
        let positions = next..self.state.samples.min(next + CHUNK as u64);
        if positions.is_empty() {
            return if last { self.settle() } else { self.end_sweep() };
        }
        let end = positions.end;
        let previous = self.latest(positions.clone(), before)?;
        let items = self.items(positions)?;
        // Before the last sweep, samples without candidates wait: they are labelled once, by the finished student.
        let labelled = items.iter().zip(previous).filter(|(item, _)| last || item.candidates.is_evidence());
        let (items, previous): (Vec<&Arc<Item>>, Vec<_>) = labelled.unzip();
        let logits = self.out_of_sample(&items.iter().map(|item| item.as_ref()).collect::<Vec<_>>());
        for ((item, previous), row) in items.into_iter().zip(previous).zip(logits.iter()) {
            self.label(item, row, previous, last)?;
        }
        self.state.work = Work::Sweep { next: end, before, last };
        self.boundary()
    }

    /// Back to the stream, at the event after the block that began it.
    fn end_sweep(&mut self) -> Result<()> {
        self.flush()?;
        self.state.work = Work::Stream;
        self.boundary()
    }

    /// The samples at `positions`: from the memory, where as many as fit are at their own place, or read in ranges.
    ///
    /// Positions at which one is remembered by chance are read all the same where they lie in a range; the remembered
    /// one is used, for it is encoded already.
    fn items(&self, positions: Range<Position>) -> Result<Vec<Arc<Item>>> {
        let remembered = |position: Position| {
            let item = usize::try_from(position).ok().and_then(|place| self.memory.get(place));
            item.filter(|item| item.position == position).cloned()
        };
        let mut items: Vec<Option<Arc<Item>>> = positions.clone().map(remembered).collect();
        let missing: Vec<(Position, ())> = positions
            .clone()
            .zip(&items)
            .filter(|(_, item)| item.is_none())
            .map(|(position, _)| (position, ()))
            .collect();
        for range in memory::ranges(&missing, CHUNK as u64) {
            for sample in self.samples(range)? {
                let place = usize::try_from(sample.position - positions.start).unwrap_or(usize::MAX);
                if let Some(item) = items.get_mut(place).filter(|item| item.is_none()) {
                    *item = Some(self.item(sample));
                }
            }
        }
        Ok(items.into_iter().flatten().collect())
    }
}
