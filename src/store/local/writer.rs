//! The writer: the one thread that writes. It takes what has piled up, makes it durable in one go, then acknowledges.
//!
//! An fdatasync takes milliseconds whatever it syncs. With one a group, hundreds of answers a second cost a few
//! syncs, and a single one waits for no company: the group is what came while the one before was being written.
//!
//! Where answers cannot be written, the thread ends at once, and whoever waits finds its acknowledgement dropped. Where
//! inputs, labels or the index cannot be, answers are kept until every handle is gone: they are paid for, and all else comes again.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{mpsc, oneshot, watch};

use super::answers::AnswersLog;
use super::events::EventsLog;
use super::failures::Failures;
use super::index::{Applied, Index};
use super::inputs::InputsLog;
use super::mark::Mark;
use super::tally::Tally;
use crate::base::failpoint::pass;
use crate::domain::answer::AnswerRecord;
use crate::domain::input::NewInput;
use crate::error::{Error, Result};
use crate::store::{Digest, Failure, InputCounts, Labelled, RunLock};

/// Commands that are made durable together, at most. Bounds the memory of a group, and how long the first of it waits.
const GROUP: usize = 512;
/// Commands that wait, at most. Then whoever sends waits too: a slow disk slows asking down instead of filling memory.
pub(super) const QUEUE: usize = 1024;

/// What the writer does. A dropped acknowledgement means that it failed and is gone.
pub(super) enum Command {
    /// Keep answers. Acknowledged when they are on disk.
    Keep(Vec<AnswerRecord>, oneshot::Sender<()>),
    /// Append to the input log. Acknowledged, with the counts of the whole group, when they are on disk.
    Append(Vec<NewInput>, oneshot::Sender<InputCounts>),
    /// Append to the label log; the first event has this offset. Not acknowledged: [`Command::Settle`] says when it
    /// is there, [`Command::Seal`] makes it durable.
    Emit(u64, Vec<Labelled>),
    /// Answer when all that came before is stored.
    Settle(oneshot::Sender<()>),
    /// Make the label log durable up to so many events, which are there; gives its digest.
    Seal(u64, oneshot::Sender<Digest>),
    /// Keep a failure that the next run looks at anew. Not acknowledged, and never an error.
    Note(Failure),
}

/// See the module.
pub(super) struct Writer {
    /// The run directory, for the mark.
    pub(super) dir: PathBuf,
    pub(super) answers: AnswersLog,
    pub(super) inputs: InputsLog,
    pub(super) events: EventsLog,
    pub(super) failures: Failures,
    pub(super) index: Index,
    /// Further than the index says while a group is being written; level again at its end.
    pub(super) applied: Applied,
    /// Label events in the log. Told after each command; a sink that follows reads the log up to there.
    pub(super) written: watch::Sender<u64>,
    /// Set when the label log can be written no more.
    pub(super) labels_ended: Arc<AtomicBool>,
    /// Why: told at the end. Answers are kept until then, for they are paid for.
    pub(super) label_error: Option<Error>,
    /// Why nothing more is placed, likewise: the input log or the index can be written no more.
    pub(super) input_error: Option<Error>,
    /// Held until everything is written and, since fields are dropped in their order, closed.
    pub(super) _lock: Arc<RunLock>,
}

/// Held back until all of a group is done: what is acknowledged was stored in every respect.
type Acknowledge = Box<dyn FnOnce() + Send>;

impl Writer {
    /// Works until every handle is gone; then all is on disk.
    ///
    /// # Errors
    ///
    /// One of the answers at once; the first of inputs or index, or one of the labels, at the end.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<()> {
        let mut group = Vec::new();
        while commands.blocking_recv_many(&mut group, GROUP) > 0 {
            self.commit(&mut group)?;
        }
        self.close()
    }

    /// One group. Answers first, since inputs repeat them: no input may be on disk whose answer is not. Among labels,
    /// notes and waits the order in which they were sent stays; a wait is acknowledged at the end, when all before it
    /// is stored.
    fn commit(&mut self, group: &mut Vec<Command>) -> Result<()> {
        let mut acknowledge: Vec<Acknowledge> = Vec::new();
        self.keep(group, &mut acknowledge)?;
        let appended = self.append(group, &mut acknowledge);
        self.of_inputs(appended);
        for command in group.drain(..) {
            match command {
                Command::Note(failure) => drop(self.failures.note(&failure)),
                // Done above.
                Command::Keep(..) | Command::Append(..) => {}
                // Their acknowledgements are dropped: whoever labels finds out.
                _ if self.label_error.is_some() => {}
                Command::Settle(ack) => acknowledge.push(acknowledgement(ack, ())),
                Command::Emit(first, labelled) => {
                    let emitted = self.events.append(first, &labelled);
                    self.of_labels(emitted);
                    self.written.send_replace(self.events.len());
                }
                Command::Seal(lines, ack) => {
                    let sealed = self.seal(lines);
                    if let Some(digest) = self.of_labels(sealed) {
                        acknowledge.push(acknowledgement(ack, digest));
                    }
                }
            }
        }
        pass("before-applied")?;
        // After a kill before this, opening takes the new lines in from the logs; the acknowledgements were not
        // given.
        let level = self.level();
        self.of_inputs(level);
        pass("before-acknowledge")?;
        drop(self.failures.flush());
        acknowledge.into_iter().for_each(|acknowledge| acknowledge());
        Ok(())
    }

    /// Synced before the digest is given: a checkpoint must not vouch for lines that a power cut takes back.
    fn seal(&self, lines: u64) -> Result<Digest> {
        pass("before-seal")?;
        self.events.sync()?;
        self.events.digest(lines)
    }

    /// What came of work on the label log. An error ends the labels and with them, soon, the run; what is in flight still
    /// comes back and is kept.
    fn of_labels<T>(&mut self, done: Result<T>) -> Option<T> {
        match done {
            Ok(done) => Some(done),
            Err(error) => {
                self.label_error.get_or_insert(error);
                self.labels_ended.store(true, Ordering::Relaxed);
                None
            }
        }
    }

    /// Says in the index how far it goes; nothing more once something failed, for it may have gone further or not as far.
    fn level(&self) -> Result<()> {
        if self.input_error.is_some() { Ok(()) } else { self.index.set_applied(&self.applied) }
    }

    /// What came of work on the input log or the index. An error ends what is placed and with it, soon, the run; what is in flight
    /// still comes back and is kept.
    fn of_inputs<T>(&mut self, done: Result<T>) -> Option<T> {
        done.map_err(|error| self.input_error.get_or_insert(error)).ok()
    }

    /// Does `work` with a copy of what was applied, which holds if nothing fails.
    fn applying<T>(&mut self, work: impl FnOnce(&mut Self, &mut Applied) -> Result<T>) -> Result<T> {
        let mut applied = self.applied.clone();
        let done = work(self, &mut applied)?;
        self.applied = applied;
        Ok(done)
    }

    /// The group's answers: one write and one fdatasync.
    fn keep(&mut self, group: &mut Vec<Command>, acknowledge: &mut Vec<Acknowledge>) -> Result<()> {
        let mut records = Vec::new();
        for command in group.extract_if(.., |command| matches!(command, Command::Keep(..))) {
            if let Command::Keep(kept, ack) = command {
                records.extend(kept);
                acknowledge.push(acknowledgement(ack, ()));
            }
        }
        if records.is_empty() {
            return Ok(());
        }
        pass("before-answers")?;
        let spans = self.answers.append(&records)?;
        if self.input_error.is_none() {
            let indexed = self.applying(|writer, applied| writer.answers.index(&records, spans, applied));
            self.of_inputs(indexed);
        }
        pass("after-answers")
    }

    /// The group's inputs: one write and one fdatasync.
    fn append(&mut self, group: &mut Vec<Command>, acknowledge: &mut Vec<Acknowledge>) -> Result<()> {
        let mut inputs = Vec::new();
        let mut acks = Vec::new();
        for command in group.extract_if(.., |command| matches!(command, Command::Append(..))) {
            if let Command::Append(new, ack) = command {
                inputs.extend(new);
                acks.push(ack);
            }
        }
        // After an error nothing more is placed; the acknowledgements are dropped, and whoever places finds out.
        if inputs.is_empty() || self.input_error.is_some() {
            return Ok(());
        }
        pass("before-inputs")?;
        let counts = self.applying(|writer, applied| writer.inputs.append(&inputs, applied))?;
        pass("after-inputs")?;
        acknowledge.extend(acks.into_iter().map(|ack| acknowledgement(ack, counts)));
        Ok(())
    }

    /// After the last command. The mark comes last, and only if every file is in its place and nothing failed:
    /// without it, the next opening checks all, which is the safe side.
    fn close(mut self) -> Result<()> {
        pass("before-close")?;
        let level = self.level().and_then(|()| self.index.flush());
        self.of_inputs(level);
        pass("close-flushed")?;
        // What was written to files that were removed is lost; a mark would vouch for others.
        self.answers.check_in_place()?;
        if let Some(error) = self.input_error {
            return Err(error);
        }
        self.inputs.check_in_place()?;
        if let Some(error) = self.label_error {
            return Err(error);
        }
        self.events.close()?;
        self.events.sync()?;
        pass("before-mark")?;
        let labels = self.events.tally();
        let tally = labels.and_then(|labels| Tally::of(&self.applied, &self.inputs.reader().counts(), labels));
        Mark::leave(&self.dir, tally)?;
        pass("after-close")
    }
}

/// Nobody may wait any more; then there is nobody to tell.
fn acknowledgement<T: Send + 'static>(ack: oneshot::Sender<T>, value: T) -> Acknowledge {
    Box::new(move || drop(ack.send(value)))
}
