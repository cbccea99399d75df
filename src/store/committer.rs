//! The committer: the one thread that writes. It takes what has piled up, makes it durable in one go, then acknowledges.

use tokio::sync::{mpsc, oneshot};

use super::index::{Applied, CheckpointPointer, Failure, Index};
use super::journal::Journal;
use super::label_log::LabelLog;
use super::open::Opened;
use crate::domain::answer::AnswerRecord;
use crate::domain::candidates::CandidateSet;
use crate::domain::event::{LabelEvent, StoredEvent};
use crate::domain::label::LabelSet;
use crate::domain::sample::{Position, Sample};
use crate::error::{Error, Result};

/// Commands that are made durable together, at most.
const GROUP: usize = 512;
/// Commands that wait, at most.
pub(super) const QUEUE: usize = 1024;

/// A sample that was asked about, on its way to its position.
#[derive(Debug)]
pub struct Annotated {
    /// The sample.
    pub sample: Sample,
    /// Its candidates; empty for a failure.
    pub candidates: CandidateSet,
    /// Why there are none.
    pub failure: Option<String>,
}

/// What the committer does. A dropped acknowledgement means that it failed and is gone.
#[derive(Debug)]
pub(super) enum Command {
    /// Keep an answer.
    Record(Box<AnswerRecord>, oneshot::Sender<()>),
    /// Give samples the next positions; answers with the first.
    Place(Vec<Annotated>, oneshot::Sender<Position>),
    /// Keep a failure that the next run looks at anew.
    Fail { kind: &'static str, failure: Failure },
    /// Keep events and write them to the label log; the first has this offset.
    Emit(u64, Vec<StoredEvent>),
    /// Remember a checkpoint whose file is in place.
    Checkpoint(CheckpointPointer),
    /// Answer when all that came before is done.
    Barrier(oneshot::Sender<()>),
}

pub(super) struct Committer {
    index: Index,
    journal: Journal,
    log: LabelLog,
    labels: LabelSet,
    applied: Applied,
}

impl Committer {
    pub(super) fn new(opened: Opened, labels: LabelSet) -> Self {
        Self { index: opened.index, journal: opened.journal, log: opened.log, applied: opened.applied, labels }
    }

    /// Works until every handle is gone; then all is on disk.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<Command>) -> Result<()> {
        let mut group = Vec::new();
        while commands.blocking_recv_many(&mut group, GROUP) > 0 {
            self.commit(&mut group)?;
        }
        self.index.set_applied(&self.applied)?;
        self.index.flush()?;
        self.journal.check_in_place()?;
        self.log.check_in_place()
    }

    fn commit(&mut self, group: &mut Vec<Command>) -> Result<()> {
        self.journal_answers(group)?;
        let mut acknowledge: Vec<Box<dyn FnOnce()>> = Vec::new();
        let mut events: Vec<(u64, Vec<String>)> = Vec::new();
        for command in group.drain(..) {
            match command {
                // Nobody may wait for an acknowledgement any more; then there is nobody to tell.
                Command::Record(_, ack) | Command::Barrier(ack) => acknowledge.push(Box::new(move || {
                    let _ = ack.send(());
                })),
                Command::Place(batch, ack) => {
                    let first = self.applied.samples;
                    self.place(&batch)?;
                    acknowledge.push(Box::new(move || {
                        let _ = ack.send(first);
                    }));
                }
                Command::Fail { kind, failure } => {
                    self.index.put_failure(&format!("{kind}:{}", failure.id), &failure)?;
                }
                Command::Emit(offset, emitted) => {
                    let lines = render(&self.index, &self.labels, offset, &emitted)?;
                    // Before the store has them: a difference must be found again by the next run.
                    self.log.compare(offset, &lines)?;
                    self.store_events(offset, &emitted)?;
                    events.push((offset, lines));
                }
                Command::Checkpoint(pointer) => self.index.set_checkpoint(&pointer)?,
            }
        }
        self.index.set_applied(&self.applied)?;
        if !events.is_empty() {
            // The store first: the log must never be ahead of it.
            self.index.flush()?;
            self.log.check_in_place()?;
            for (offset, lines) in events {
                self.log.append(offset, &lines)?;
            }
        }
        acknowledge.into_iter().for_each(|acknowledge| acknowledge());
        Ok(())
    }

    /// Appends the group's answers to the journal in one write and one fdatasync, then indexes them.
    fn journal_answers(&mut self, group: &[Command]) -> Result<()> {
        let records = || {
            group.iter().filter_map(|command| match command {
                Command::Record(record, _) => Some(record.as_ref()),
                _ => None,
            })
        };
        if records().next().is_none() {
            return Ok(());
        }
        self.journal.check_in_place()?;
        self.applied.journal = self.journal.append(records(), &self.labels)?;
        for record in records() {
            self.applied.answers += u64::from(self.index.put_answer(record)?);
        }
        Ok(())
    }

    fn place(&mut self, batch: &[Annotated]) -> Result<()> {
        for annotated in batch {
            self.index.put_sample(self.applied.samples, &annotated.sample, &annotated.candidates)?;
            if let Some(reason) = &annotated.failure {
                let failure = Failure { id: annotated.sample.id.0.clone(), reason: reason.clone() };
                self.index.put_failure(&format!("sample:{:020}", self.applied.samples), &failure)?;
            }
            self.applied.samples += 1;
        }
        Ok(())
    }

    fn store_events(&mut self, offset: u64, events: &[StoredEvent]) -> Result<()> {
        for (offset, event) in (offset..).zip(events) {
            match self.index.event(offset)? {
                Some(before) if before == *event => {}
                Some(before) => {
                    let line = |event: &StoredEvent| {
                        render(&self.index, &self.labels, offset, std::slice::from_ref(event)).map(|l| l.concat())
                    };
                    return Err(Error::Replay {
                        offset,
                        before: line(&before)?.trim_end().to_owned(),
                        now: line(event)?.trim_end().to_owned(),
                    });
                }
                None => {
                    self.index.put_event(offset, event)?;
                    self.applied.events = offset + 1;
                }
            }
        }
        Ok(())
    }
}

/// The lines of `events`, the first of which has `offset`.
pub(super) fn render(index: &Index, labels: &LabelSet, offset: u64, events: &[StoredEvent]) -> Result<Vec<String>> {
    (offset..)
        .zip(events)
        .map(|(offset, event)| {
            let sample = index.sample(event.position)?.ok_or_else(|| Error::StoreDamaged {
                path: "store".into(),
                message: format!("sample {} has a label but is not there", event.position),
            })?;
            Ok(LabelEvent::new(offset, event, &sample.id, sample.candidates.labels(), labels).to_line())
        })
        .collect()
}

/// Writes the events that the store has and the log has not.
pub(super) fn catch_up(index: &Index, log: &mut LabelLog, labels: &LabelSet, events: u64) -> Result<()> {
    for offset in log.lines()..events {
        if let Some(event) = index.event(offset)? {
            let lines = render(index, labels, offset, &[event])?;
            log.append(offset, &lines)?;
        }
    }
    Ok(())
}
