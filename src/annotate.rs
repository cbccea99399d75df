//! The annotator: asks the teachers what is not stored yet, keeps their answers, and merges them into one candidate set.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::candidates::CandidateSet;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::resume::{AnswerCell, Question, Slot};
use crate::sample::{Sample, SampleId, TextHash};
use crate::store::{Annotated, StoreHandle};
use crate::teacher::{AnswerRecord, AskError, Teacher};

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
    store: StoreHandle,
    progress: Arc<Progress>,
}

impl Annotator {
    /// Asks `teachers`, keeps answers in `store`.
    #[must_use]
    pub fn new(teachers: Vec<Arc<dyn Teacher>>, store: StoreHandle, progress: Arc<Progress>) -> Self {
        Self { teachers: teachers.into(), store, progress }
    }

    /// Candidates for one sample, or why there are none.
    pub async fn annotate(self, question: Question) -> Result<Reply> {
        let Question { sample, slots, claim } = question;
        let asked = self.teachers.iter().zip(&slots).map(|(teacher, slot)| self.fill(teacher.as_ref(), slot, &sample));
        let answers = match try_join_all(asked).await {
            Ok(answers) => answers,
            Err(NoAnswer::Unanswered(reason)) => return Ok(Reply::Unanswered { id: sample.id, reason }),
            Err(NoAnswer::Ends(error)) => return Err(error),
        };
        let candidates = CandidateSet::merge(answers.iter().map(|record| record.answer.labels.as_slice()));
        let failure = candidates.is_empty().then(|| why(&answers));
        Ok(Reply::Annotated(Annotated { sample, candidates, failure }, claim))
    }

    async fn fill(&self, teacher: &dyn Teacher, slot: &Slot, sample: &Sample) -> Result<AnswerRecord, NoAnswer> {
        match slot {
            Slot::Stored(record) => Ok(record.clone()),
            Slot::Open(cell) => cell.record.get_or_try_init(|| self.ask(teacher, cell, sample)).await.cloned(),
        }
    }

    /// Asks until the answer names a label or the teacher's tries are used up. Every answer is stored.
    async fn ask(&self, teacher: &dyn Teacher, cell: &AnswerCell, sample: &Sample) -> Result<AnswerRecord, NoAnswer> {
        let mut attempt = cell.attempts;
        loop {
            attempt += 1;
            self.progress.asked.add(1);
            let answer = match teacher.ask(sample).await {
                Ok(answer) => answer,
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
            if record.is_settled(teacher) {
                return Ok(record);
            }
        }
    }
}

fn why(answers: &[AnswerRecord]) -> String {
    let reasons: Vec<String> = answers
        .iter()
        .map(|record| {
            format!("{}: {}", record.teacher, record.answer.problem.as_deref().unwrap_or("the answer names no label"))
        })
        .collect();
    reasons.join("; ")
}
