//! The corpus' end, for now: passes over the memory until labels settle, then a sweep after which every label is final.
//!
//! A pass trains on every remembered sample once, in an order of its own. Between passes the refinery is fitted and
//! the memory labelled; what that costs is a prediction of each remembered text. "For now": a corpus that grows goes
//! on from here, and ends again.
//!
//! How many passes there are at most, and what each of them is for, follows from the size of the memory: what a student needs is
//! steps, and a large memory has more of them in a pass (see "How many passes" in `experiments.md`).

use rand::seq::SliceRandom;

use super::checkpoints::Work;
use super::distiller::{CHUNK, Distiller, make};
use super::memory::Item;
use crate::base::random::rng;
use crate::domain::label::LabelId;
use crate::domain::progress::Phase;
use crate::error::Result;
use crate::student::argmax;

/// Labels have settled when at most one in so many changes in a pass. In a memory of fewer, none may change.
const SETTLED: usize = 1000;
/// Texts that all passes together are to train on. As many as sixteen passes over the quickstart's corpus have.
const VISITS: usize = 50_000;
/// Passes over however large a memory, and however small.
const LEAST_PASSES: u32 = 6;
const MOST_PASSES: u32 = 16;
/// The share of the passes in which the teacher alone sets the targets: a student that knows little must not teach itself.
const WARM_UP: f64 = 3.0 / 16.0;
/// The share after which a refinery that regularises does so in full. Before that in proportion: a student that knows little is
/// not to be held to what it says.
const FULL_REGULARISATION: f64 = 10.0 / 16.0;

impl Distiller {
    /// The corpus ended.
    ///
    /// The event counts as taken in from here on. With an unfinished block, that is learned first, so that nothing
    /// stays unlearned.
    pub(super) fn begin_settling(&mut self) -> Result<()> {
        self.progress.set_phase(Phase::Settling);
        self.state.consumed += 1;
        // The last sweep comes to all of them.
        self.state.unswept = 0..0;
        if !self.state.has_candidates {
            // A student that has seen no usable answer labels nothing: whatever it said would be made up.
            self.block.clear();
            return self.settle();
        }
        if !self.block.is_empty() {
            self.learn()?;
        }
        // A corpus is often sorted, and a student that learned it in order is hard to turn. So the passes, which
        // shuffle, begin anew, unless most of the memory went through such passes before (a finished corpus that grew a
        // little). `finished` is 0 at the first end. A student that has settled on what a person then corrected holds on to
        // it, so corrections begin them anew too. The refinery goes with the student it was fitted to. Where no pass is allowed the
        // student stays as the stream taught it.
        let is_other = self.state.samples >= 2 * self.state.finished || self.state.corrected > 0;
        if is_other && self.passes() > 0 {
            self.student.reset();
            self.refinery = make(&self.new_refinery, self.columns);
        }
        self.begin_pass(0)
    }

    /// Fits and looks whether labels have settled; else enters pass number `pass`, from 0. Also ends the passes at
    /// the most that are allowed.
    fn begin_pass(&mut self, pass: u32) -> Result<()> {
        if pass >= self.passes() {
            return self.begin_last_sweep();
        }
        self.refit()?;
        let labels = self.memory_labels()?;
        if pass >= least_passes(self.remembered(), self.passes())
            && changes(&labels, &self.state.pass_labels) * SETTLED <= labels.len()
        {
            return self.begin_last_sweep();
        }
        // They are part of the state: a resumed pass must be compared with what this one began with.
        self.state.pass_labels = labels;
        self.state.work = Work::Pass { pass, batch: 0 };
        self.boundary()
    }

    /// The rest of a pass over the memory, in an order of its own. The order depends on the number of samples and of the pass
    /// alone, so the rest of an interrupted pass is known.
    ///
    /// The steps get smaller, so that labels settle: the share of the learning rate falls in a straight line from 1 towards 0
    /// at the end of the last pass that is allowed.
    pub(super) fn go_on_passing(&mut self) -> Result<()> {
        let Work::Pass { pass, batch: first } = self.state.work else { return Ok(()) };
        self.progress.set_phase(Phase::Settling);
        let mut order = self.memory.clone();
        order.shuffle(&mut rng(self.seed, "pass", &[self.state.samples, u64::from(pass)]));
        for (number, batch) in (0..).zip(order.chunks(self.config.block)).skip(usize::try_from(first).unwrap_or(0)) {
            let done = self.passed();
            self.state.step += 1;
            self.train(batch, 1.0 - done, done < WARM_UP)?;
            self.state.work = Work::Pass { pass, batch: number + 1 };
            self.boundary()?;
        }
        self.begin_pass(pass + 1)
    }

    /// Passes over the memory as it is, at most.
    pub(super) fn passes(&self) -> u32 {
        self.config.max_passes.unwrap_or_else(|| passes(self.remembered()))
    }

    /// Samples in the memory. Asked of the state, for after a restart the memory is filled only when there is work.
    fn remembered(&self) -> usize {
        usize::try_from(self.state.samples).unwrap_or(usize::MAX).min(self.config.memory)
    }

    /// The share of all steps of the passes that is behind: 0 outside of them, below 1 before the last is done.
    fn passed(&self) -> f64 {
        let Work::Pass { pass, batch } = self.state.work else { return 0.0 };
        let of_pass = self.remembered().div_ceil(self.config.block).max(1);
        (f64::from(pass) + batch as f64 / of_pass as f64) / f64::from(self.passes().max(1))
    }

    /// How much the student is regularised, 0 to 1; 0 in the stream.
    pub(super) fn regularisation(&self) -> f32 {
        (self.passed() / FULL_REGULARISATION).min(1.0) as f32
    }

    /// The likeliest label of each remembered sample, by slot, out of sample. Samples without candidates count too:
    /// they are to be labelled as well. A posterior of which no label can be taken counts as label 0.
    fn memory_labels(&self) -> Result<Vec<LabelId>> {
        let mut labels = Vec::with_capacity(self.memory.len());
        for chunk in self.memory.chunks(CHUNK) {
            self.check_stop()?;
            let items: Vec<&Item> = chunk.iter().map(AsRef::as_ref).collect();
            for (item, row) in items.iter().zip(self.out_of_sample(&items).iter()) {
                let best = argmax(&self.refinery.posterior(&item.candidates, row)).unwrap_or_default();
                labels.push(LabelId(u16::try_from(best).unwrap_or(u16::MAX)));
            }
        }
        Ok(labels)
    }

    /// Every label is final up to here. The last thing of an end of the corpus. A checkpoint is kept whatever the time:
    /// passes are what costs most to repeat.
    pub(super) fn settle(&mut self) -> Result<()> {
        self.flush()?;
        self.state.finished = self.state.samples;
        self.state.settled = self.state.consumed;
        self.state.corrected = 0;
        self.state.work = Work::Stream;
        self.state.pass_labels.clear();
        self.boundary()?;
        self.progress.set_phase(Phase::Annotating);
        self.checkpoint()
    }
}

/// Passes over a memory of `samples`, at most, where nobody says how many.
fn passes(samples: usize) -> u32 {
    u32::try_from(VISITS.div_ceil(samples.max(1))).unwrap_or(u32::MAX).clamp(LEAST_PASSES, MOST_PASSES)
}

/// Passes before labels can have settled, of `most`: a student that knows little changes none, and must not stop for that, nor one
/// that was taught by the teacher alone so far.
fn least_passes(samples: usize, most: u32) -> u32 {
    let half = u32::try_from((VISITS / 2).div_ceil(samples.max(1))).unwrap_or(u32::MAX);
    let warm_up = (WARM_UP * f64::from(most)).ceil() as u32;
    half.clamp(LEAST_PASSES / 2, MOST_PASSES / 2).max(warm_up)
}

/// Places that differ; those that only one of them has count as changed.
fn changes(labels: &[LabelId], before: &[LabelId]) -> usize {
    labels.iter().zip(before).filter(|(now, before)| now != before).count() + labels.len().abs_diff(before.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_memory_is_passed_over_less_often() {
        assert_eq!([0, 1, 3080, 4000, 8000, 50_000].map(passes), [16, 16, 16, 13, 7, 6]);
        let least = [0, 1, 3080, 4000, 8000, 50_000].map(|samples| least_passes(samples, passes(samples)));
        assert_eq!(least, [8, 8, 8, 7, 4, 3]);
        assert_eq!(least_passes(3080, 100), 19);
    }
}
