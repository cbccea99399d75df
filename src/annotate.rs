//! The annotator: asks the teachers what is not stored yet, keeps their answers, and merges them into one candidate set.

use std::sync::Arc;

use futures::future::try_join_all;

use crate::candidates::CandidateSet;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::resume::{AnswerCell, Question, Slot};
use crate::sample::{Sample, TextHash};
use crate::store::{Annotated, StoreHandle};
use crate::teacher::{Answer, AnswerRecord, AskError, Teacher};

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

    /// Candidates for one sample, or why there are none. The claim is to be held until the sample has its position.
    pub async fn annotate(self, question: Question) -> Result<(Annotated, Arc<TextHash>)> {
        let Question { sample, slots, claim } = question;
        let asked = self.teachers.iter().zip(&slots).map(|(teacher, slot)| self.fill(teacher.as_ref(), slot, &sample));
        let answers = try_join_all(asked).await?;
        let candidates = CandidateSet::merge(answers.iter().map(|record| record.answer.labels.as_slice()));
        let failure = candidates.is_empty().then(|| why(&answers));
        Ok((Annotated { sample, candidates, failure }, claim))
    }

    async fn fill(&self, teacher: &dyn Teacher, slot: &Slot, sample: &Sample) -> Result<AnswerRecord> {
        match slot {
            Slot::Stored(record) => Ok(record.clone()),
            Slot::Open(cell) => cell.record.get_or_try_init(|| self.ask(teacher, cell, sample)).await.cloned(),
        }
    }

    /// Asks until the answer names a label or the teacher's tries are used up. Every answer is stored.
    async fn ask(&self, teacher: &dyn Teacher, cell: &AnswerCell, sample: &Sample) -> Result<AnswerRecord> {
        let mut attempt = cell.attempts;
        loop {
            attempt += 1;
            self.progress.asked.add(1);
            let (answer, attempt_counted) = match teacher.ask(sample).await {
                Ok(answer) => (answer, attempt),
                // It is not asked again, so it counts as its last try.
                Err(AskError::Failed(reason)) => {
                    (Answer { problem: Some(reason), ..Answer::default() }, teacher.attempts())
                }
                Err(AskError::Stop(reason)) => {
                    return Err(Error::TeacherStopped { teacher: teacher.name().to_owned(), reason });
                }
                Err(AskError::Cancelled) => return Err(Error::Interrupted),
            };
            let record = AnswerRecord {
                key: cell.key,
                id: sample.id.clone(),
                text_hash: TextHash::of(&sample.text),
                teacher: teacher.name().to_owned(),
                attempt: attempt_counted,
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
