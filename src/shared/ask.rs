//! One question on its way: asked, and handed on with what came of it.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::claims::{Ended, Ending, Question};
use super::scope::Scope;
use super::serving::Served;
use super::settling::Settled;
use crate::base::panic::panicked;
use crate::domain::answer::AnswerRecord;
use crate::domain::label::LabelSet;
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::store::AnswerLine;
use crate::teacher::ledger::Ledger;
use crate::teacher::{AskError, Permit};

/// See the module.
pub(super) struct Ask {
    pub(super) run: i64,
    pub(super) served: Arc<Served>,
    pub(super) labels: Option<LabelSet>,
    pub(super) ledger: Arc<Ledger>,
    pub(super) room: OwnedSemaphorePermit,
}

impl Ask {
    /// Asks, and hands what comes of it to who settles.
    pub(super) async fn settle(self, question: Question, settler: mpsc::Sender<Settled>) {
        let (seq, key, attempt) = (question.seq, question.key, question.attempt);
        let (ending, permit) = self.ask(question).await;
        let ended = Ended { seq, key, attempt, ending };
        let settled = Settled { run: self.run, ended, ledger: self.ledger, permit, room: self.room };
        // It ends after all that may send: an error here is its panic, which is told where it is joined.
        drop(settler.send(settled).await);
    }

    async fn ask(&self, question: Question) -> (Ending, Permit) {
        let Question { key, attempt, draw, id, text, .. } = question;
        let (teacher, sample) = (&self.served.teacher, Sample { id: SampleId(id), text });
        let own = teacher.key(&sample, draw);
        if self.labels.as_ref().is_none_or(|labels| Scope::of(labels).key(own) != key) {
            self.served
                .breaks("the trainer makes another prompt of the same settings: install its version of candist here");
            return (Ending::Returned, Permit::default());
        }
        let asked = AssertUnwindSafe(teacher.ask(&sample, draw)).catch_unwind().await;
        match asked {
            Ok(Ok(asked)) => {
                let (answer, permit) = (asked.answer, asked.permit);
                let record = AnswerRecord {
                    key: own,
                    text_hash: TextHash::of(&sample.text),
                    id: sample.id,
                    teacher: teacher.name().to_owned(),
                    attempt,
                    answer,
                };
                (Ending::Answered(self.line(&record)), permit)
            }
            Ok(Err(AskError::Failed(reason))) => (Ending::Failed(reason), Permit::default()),
            Ok(Err(AskError::Stop(reason))) => {
                self.served.breaks(&reason);
                (Ending::Returned, Permit::default())
            }
            Ok(Err(AskError::Cancelled)) => (Ending::Returned, Permit::default()),
            Err(panic) => {
                self.served.breaks(&panicked("teacher", panic).to_string());
                (Ending::Returned, Permit::default())
            }
        }
    }

    /// As a journal has it.
    fn line(&self, record: &AnswerRecord) -> String {
        // There are labels where there is a teacher; and strings and numbers can always be written.
        let line = self.labels.as_ref().map(|labels| AnswerLine::new(record, labels));
        serde_json::to_string(&line).unwrap_or_default()
    }
}
