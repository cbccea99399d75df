//! The annotator: asks the teachers what is not stored yet, keeps their answers, and merges them into one candidate set.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::config::Combine;
use crate::domain::answer::AnswerRecord;
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::flow::intake::{AnswerCell, Question, Slot};
use crate::flow::progress::Progress;
use crate::store::{Annotated, StoreHandle};
use crate::teacher::{AskError, Asked, Teacher};

/// What came of one sample.
#[derive(Debug)]
pub enum Reply {
    /// All teachers answered. The claim is to be held until the sample has its position.
    Annotated(Annotated, Arc<TextHash>),
    /// A teacher could not be made to answer it; the next run asks again.
    Unanswered {
        /// The sample.
        id: SampleId,
        /// What happened.
        reason: String,
    },
}

/// Why a teacher's slot stays empty.
enum NoAnswer {
    /// This sample cannot be answered now.
    Unanswered(String),
    /// The run ends.
    Ends(Error),
}

impl From<Error> for NoAnswer {
    fn from(error: Error) -> Self {
        Self::Ends(error)
    }
}

/// See the module.
#[derive(Clone)]
pub struct Annotator {
    teachers: Arc<[Arc<dyn Teacher>]>,
    combine: Combine,
    store: StoreHandle,
    progress: Arc<Progress>,
}

impl Annotator {
    /// Asks `teachers` in the way of `combine`, keeps answers in `store`.
    #[must_use]
    pub fn new(teachers: Vec<Arc<dyn Teacher>>, combine: Combine, store: StoreHandle, progress: Arc<Progress>) -> Self {
        Self { teachers: teachers.into(), combine, store, progress }
    }

    /// Candidates for one sample, or why there are none.
    pub async fn annotate(self, question: Question) -> Result<Reply> {
        let Question { sample, slots, claim } = question;
        let answered = match self.combine {
            Combine::Union => self.union(&sample, &slots).await,
            Combine::Cascade => self.cascade(&sample, &slots).await,
        };
        let (candidates, answers) = match answered {
            Ok(answered) => answered,
            Err(NoAnswer::Unanswered(reason)) => return Ok(Reply::Unanswered { id: sample.id, reason }),
            Err(NoAnswer::Ends(error)) => return Err(error),
        };
        let failure = candidates.is_empty().then(|| why(&answers));
        Ok(Reply::Annotated(Annotated { sample, candidates, failure }, claim))
    }

    /// All teachers at the same time; labels rank in the order of the teachers.
    async fn union(&self, sample: &Sample, slots: &[Vec<Slot>]) -> Result<(CandidateSet, Vec<AnswerRecord>), NoAnswer> {
        let asked = self.teachers.iter().zip(slots).map(|(teacher, draws)| self.draw(teacher.as_ref(), draws, sample));
        let answers = try_join_all(asked).await?;
        let candidates = CandidateSet::merge((0..).zip(&answers).map(|(teacher, draws)| opinion(teacher, draws)));
        Ok((candidates, answers.into_iter().flatten().collect()))
    }

    /// One teacher after the other, until they name one label; the last one asked ranks first.
    async fn cascade(
        &self,
        sample: &Sample,
        slots: &[Vec<Slot>],
    ) -> Result<(CandidateSet, Vec<AnswerRecord>), NoAnswer> {
        let (mut candidates, mut answers) = (CandidateSet::default(), Vec::new());
        for (number, (teacher, draws)) in (0..).zip(self.teachers.iter().zip(slots)) {
            let drawn = self.draw(teacher.as_ref(), draws, sample).await?;
            let before = candidates.opinions().iter().cloned();
            candidates = CandidateSet::merge(std::iter::once(opinion(number, &drawn)).chain(before));
            answers.extend(drawn);
            if candidates.len() == 1 {
                break;
            }
        }
        Ok((candidates, answers))
    }

    /// All answers of one teacher.
    async fn draw(
        &self,
        teacher: &dyn Teacher,
        slots: &[Slot],
        sample: &Sample,
    ) -> Result<Vec<AnswerRecord>, NoAnswer> {
        try_join_all((0..).zip(slots).map(|(draw, slot)| self.fill(teacher, slot, sample, draw))).await
    }

    async fn fill(
        &self,
        teacher: &dyn Teacher,
        slot: &Slot,
        sample: &Sample,
        draw: u32,
    ) -> Result<AnswerRecord, NoAnswer> {
        match slot {
            Slot::Stored(record) => Ok(record.as_ref().clone()),
            Slot::Open(cell) => cell.record.get_or_try_init(|| self.ask(teacher, cell, sample, draw)).await.cloned(),
        }
    }

    /// Asks until the answer names a label or the teacher's tries are used up. Every answer is stored.
    async fn ask(
        &self,
        teacher: &dyn Teacher,
        cell: &AnswerCell,
        sample: &Sample,
        draw: u32,
    ) -> Result<AnswerRecord, NoAnswer> {
        let mut attempt = cell.attempts;
        loop {
            attempt += 1;
            self.progress.asked.add(1);
            let Asked { answer, permit } = match teacher.ask(sample, draw).await {
                Ok(asked) => asked,
                // No answer is not an answer: nothing is stored, so the next run asks again.
                Err(AskError::Failed(reason)) => {
                    return Err(NoAnswer::Unanswered(format!("{}: {reason}", teacher.name())));
                }
                Err(AskError::Stop(reason)) => {
                    return Err(Error::TeacherStopped { teacher: teacher.name().to_owned(), reason }.into());
                }
                Err(AskError::Cancelled) => return Err(Error::Interrupted.into()),
            };
            let record = AnswerRecord {
                key: cell.key,
                id: sample.id.clone(),
                text_hash: TextHash::of(&sample.text),
                teacher: teacher.name().to_owned(),
                attempt,
                answer,
            };
            self.store.record(record.clone()).await?;
            // Only now may another request take its place.
            drop(permit);
            self.progress.add_cost(record.answer.cost.unwrap_or_default());
            if record.is_settled(cell.allowed) {
                return Ok(record);
            }
        }
    }
}

/// What one teacher says: as its answer ranks the labels, or by the votes of several.
pub(crate) fn opinion(teacher: u16, draws: &[AnswerRecord]) -> Opinion {
    let mut answers = draws.iter().map(|record| (record.answer.labels.as_slice(), record.answer.weights.as_slice()));
    match draws {
        [_] => answers.next().map(|(labels, weights)| Opinion::of(teacher, labels, weights)).unwrap_or_default(),
        _ => Opinion::vote(teacher, answers),
    }
}

fn why(answers: &[AnswerRecord]) -> String {
    let reason = |record: &AnswerRecord| {
        let problem = record.answer.problem.as_ref().map_or("the answer names no label", |problem| &problem.message);
        format!("{}: {problem}", record.teacher)
    };
    let mut reasons: Vec<String> = answers.iter().map(reason).collect();
    reasons.dedup();
    reasons.join("; ")
}
