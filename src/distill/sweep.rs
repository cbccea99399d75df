//! Sweeps: all samples are labelled again by what was learned since. They come at 8, 16, 32, ... blocks, and at the
//! corpus' end.
//!
//! Those of the stream go in slices, one after each block, so that new samples wait for a slice and never for a sweep: each is
//! labelled by the student as it is then. What is left is a part of the state, so a resumed run has the same slices at the
//! same events. A sweep ends when a quarter of its samples have arrived anew, long before the next one.
//!
//! Nothing is learned during a slice, nor during the last sweep, which is one: so it does not matter
//! where it is interrupted. A sample has one event in a sweep at most. Memory is that of one chunk, whatever the
//! number of samples.

use std::ops::Range;
use std::sync::Arc;

use futures::executor::block_on;

use super::checkpoints::Work;
use super::distiller::{CHUNK, Distiller};
use super::memory::Item;
use crate::domain::sample::Position;
use crate::error::Result;

/// Samples of a slice, in blocks: so many times as fast as samples arrive, a sweep goes over them.
const SLICE_BLOCKS: u64 = 4;

impl Distiller {
    /// Fits the refinery and begins a sweep of the stream. The work is entered into the state only after the fit: until then, a
    /// kill goes back to the boundary before the block's training.
    pub(super) fn begin_sweep(&mut self) -> Result<()> {
        // Labels that are there do not wait for the fit.
        self.flush()?;
        self.refit()?;
        self.state.unswept = 0..self.state.samples;
        self.sweep_on()
    }

    /// Fits the refinery and begins the sweep by which labels become final.
    pub(super) fn begin_last_sweep(&mut self) -> Result<()> {
        self.flush()?;
        self.refit()?;
        self.begin_slice(0..self.state.samples, true)
    }

    /// After a block: the next slice of the sweep of the stream, if one is under way.
    pub(super) fn sweep_on(&mut self) -> Result<()> {
        let Range { start, end } = self.state.unswept;
        if start >= end {
            return self.boundary();
        }
        let slice = start..end.min(start + SLICE_BLOCKS * self.config.block as u64);
        self.state.unswept = slice.end..end;
        self.begin_slice(slice, false)
    }

    fn begin_slice(&mut self, slice: Range<Position>, last: bool) -> Result<()> {
        // Labels are looked up in the store, so they must be there.
        self.flush()?;
        block_on(self.store.events.settle())?;
        self.state.work = Work::Sweep { next: slice.start, end: slice.end, before: self.state.offset, last };
        self.boundary()
    }

    /// Labels the next samples of the slice, 256 at a time; emits what changed or, at the last sweep, is not yet final.
    /// There is a boundary after each chunk.
    ///
    /// Earlier labels are looked up as of the slice's beginning. Those of the slice itself do not count, or a resumed
    /// one would find its own; what the stream said of a sample between two slices does.
    pub(super) fn go_on_sweeping(&mut self) -> Result<()> {
        let Work::Sweep { next, end, before, last } = self.state.work else { return Ok(()) };
        let positions = next..end.min(next + CHUNK as u64);
        if positions.is_empty() {
            return if last { self.settle() } else { self.end_slice() };
        }
        let next = positions.end;
        let previous = self.latest(positions.clone(), before)?;
        let items = self.items(positions, end)?;
        // Before the last sweep, samples without candidates wait: they are labelled once, by the finished student.
        let labelled = items.iter().zip(previous).filter(|(item, _)| last || item.candidates.is_evidence());
        let (items, previous): (Vec<&Arc<Item>>, Vec<_>) = labelled.unzip();
        let logits = self.out_of_sample(&items.iter().map(|item| item.as_ref()).collect::<Vec<_>>());
        for ((item, previous), row) in items.into_iter().zip(previous).zip(logits.iter()) {
            self.label(item, row, previous, last)?;
        }
        self.state.work = Work::Sweep { next, end, before, last };
        self.boundary()
    }

    /// Back to the stream, at the event after the block that the slice followed.
    fn end_slice(&mut self) -> Result<()> {
        self.flush()?;
        self.state.work = Work::Stream;
        self.boundary()
    }

    /// The samples at `positions`, of a slice up to `end`: from the memory, where as many as fit are at their own place, or read. Those
    /// of the next chunk are read ahead.
    fn items(&mut self, positions: Range<Position>, end: Position) -> Result<Vec<Arc<Item>>> {
        let next = positions.end..end.min(positions.end + CHUNK as u64);
        let mut read = self.read(self.forgotten(positions.clone()), self.forgotten(next))?.into_iter().peekable();
        let item = |position| self.in_place(position).or_else(|| read.next_if(|item| item.position == position));
        Ok(positions.filter_map(item).collect())
    }

    /// The sample at `position`, where it is at its own place in the memory.
    fn in_place(&self, position: Position) -> Option<Arc<Item>> {
        let item = usize::try_from(position).ok().and_then(|place| self.memory.get(place));
        item.filter(|item| item.position == position).cloned()
    }

    /// Those of `positions` that must be read.
    fn forgotten(&self, positions: Range<Position>) -> Vec<Position> {
        positions.filter(|position| self.in_place(*position).is_none()).collect()
    }
}
