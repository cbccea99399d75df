//! Asking: what is not stored yet is asked for, kept, and merged into one candidate set.
//!
//! A question is a task of its own. What it was paid for is never cut off by what happens to another: of several teachers and
//! draws all are let come back before it is told how the question ended.
//!
//! Where two samples have one question, the first task asks and the others wait for its cell. Nothing here keeps an
//! order: that is for placing, which waits for the tasks in the corpus' order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::FutureExt;
use futures::future::join_all;

use super::fit::Fit;
use super::halt::Halt;
use super::intake::{AnswerCell, Question, Slot};
use crate::base::failpoint::pass;
use crate::base::panic::{caught, panicked};
use crate::config::Combine;
use crate::domain::answer::{Answer, AnswerRecord, Problem, ProblemKind};
use crate::domain::candidates::Opinion;
use crate::domain::input::{NewInput, Outcome};
use crate::domain::progress::Progress;
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::store::Answers;
use crate::teacher::{AskError, Asked, Teacher};

/// What came of one question.
#[derive(Debug)]
pub(crate) enum Reply {
    /// All teachers answered: what is to be written. The claim is to be held until that is done.
    Answered(NewInput, Arc<TextHash>),
    /// Nothing came of asking again about a sample that arrived before.
    AsBefore,
    /// A teacher could not be made to answer it; the next run asks again.
    Unanswered {
        /// The sample.
        id: SampleId,
        /// What happened.
        reason: String,
        /// That it was tried, to be kept if the run comes to its end.
        tries: Vec<AnswerRecord>,
    },
}

/// Why a teacher's slot stays empty.
#[derive(Debug)]
enum NoAnswer {
    /// This sample cannot be answered now: why, and what is to be kept of that.
    Unanswered(String, Vec<AnswerRecord>),
    /// Nothing more is asked; why is with [`Halt`].
    Halted,
}

/// See the module. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Asker {
    /// In their order; each with what was seen of its first answers.
    teachers: Arc<[(Arc<dyn Teacher>, Fit)]>,
    combine: Combine,
    answers: Arc<dyn Answers>,
    /// Of the task.
    labels: usize,
    halt: Arc<Halt>,
    progress: Arc<Progress>,
}

impl Asker {
    /// Asks `teachers` in the way of `combine`.
    pub(crate) fn new(
        teachers: &[Arc<dyn Teacher>],
        combine: Combine,
        answers: Arc<dyn Answers>,
        labels: usize,
        halt: Arc<Halt>,
        progress: Arc<Progress>,
    ) -> Self {
        let teachers = teachers.iter().map(|teacher| (Arc::clone(teacher), Fit::default())).collect();
        Self { teachers, combine, answers, labels, halt, progress }
    }

    /// Tells the teachers that no question follows. In a cascade only the first knows: the others may still be asked.
    pub(crate) fn no_more(&self) {
        let who = if self.combine == Combine::Cascade { 1 } else { self.teachers.len() };
        let told = caught("teacher", || {
            self.teachers.iter().take(who).for_each(|(teacher, _)| teacher.no_more());
            Ok(())
        });
        if let Err(error) = told {
            self.halt.fail(error);
        }
    }

    /// What the teachers say of one sample, or why they say nothing.
    pub(crate) async fn answer(self, question: Question) -> Result<Reply> {
        let (progress, is_new) = (Arc::clone(&self.progress), question.arrived.is_none());
        let reply = self.reply(question).await?;
        progress.answered.add(u64::from(is_new));
        Ok(reply)
    }

    async fn reply(self, question: Question) -> Result<Reply> {
        let Question { sample, slots, claim, arrived } = question;
        let answered = match self.combine {
            Combine::Union => self.union(&sample, &slots).await,
            Combine::Cascade => self.cascade(&sample, &slots).await,
        };
        let (opinions, answers) = match answered {
            Ok(answered) => answered,
            Err(NoAnswer::Unanswered(reason, tries)) => {
                return Ok(Reply::Unanswered { id: sample.id, reason, tries });
            }
            // Weighs less than what the halt was for, which is told.
            Err(NoAnswer::Halted) => return Err(Error::Interrupted),
        };
        // A text without a candidate arrives too: the student labels it alone, and it is listed as failed.
        let failed = opinions.iter().all(|opinion| opinion.labels.is_empty());
        let outcome = Outcome { opinions, failure: failed.then(|| why(&answers)) };
        Ok(match arrived {
            None => Reply::Answered(NewInput::Arrive(sample, outcome), claim),
            // Its old opinions are as good; a new event would only make the log longer.
            Some(_) if failed => Reply::AsBefore,
            Some(position) => Reply::Answered(NewInput::Answers(position, outcome), claim),
        })
    }

    /// All teachers at the same time; labels rank in the order of the teachers. An opinion of every teacher, also an
    /// empty one: the input log says who was asked.
    async fn union(&self, sample: &Sample, slots: &[Vec<Slot>]) -> Result<(Vec<Opinion>, Vec<AnswerRecord>), NoAnswer> {
        let asked = self.teachers.iter().zip(slots).map(|(teacher, draws)| self.draw(teacher, draws, sample));
        let answers = all_of(join_all(asked).await)?;
        let opinions = (0..).zip(&answers).map(|(teacher, draws)| opinion(teacher, draws)).collect();
        Ok((opinions, answers.into_iter().flatten().collect()))
    }

    /// One teacher after the other, until they name one label; the last one asked ranks first. Stored answers of
    /// teachers further down are left alone where those before are sure: the same answers then give the same input,
    /// whatever a log has besides.
    async fn cascade(
        &self,
        sample: &Sample,
        slots: &[Vec<Slot>],
    ) -> Result<(Vec<Opinion>, Vec<AnswerRecord>), NoAnswer> {
        let (mut opinions, mut answers) = (Vec::new(), Vec::new());
        for (number, (teacher, draws)) in (0..).zip(self.teachers.iter().zip(slots)) {
            let drawn = self.draw(teacher, draws, sample).await?;
            opinions.insert(0, opinion(number, &drawn));
            answers.extend(drawn);
            // Sure is who names one label, and nobody before named another.
            let outcome = Outcome { opinions: opinions.clone(), failure: None };
            if outcome.candidates().len() == 1 {
                break;
            }
        }
        Ok((opinions, answers))
    }

    /// All answers of one teacher, its draws at the same time, in the order of the draws.
    async fn draw(
        &self,
        teacher: &(Arc<dyn Teacher>, Fit),
        slots: &[Slot],
        sample: &Sample,
    ) -> Result<Vec<AnswerRecord>, NoAnswer> {
        all_of(join_all((0..).zip(slots).map(|(draw, slot)| self.fill(teacher, slot, sample, draw))).await)
    }

    /// One answer: the stored one, or the one that is asked for, once, however many wait for it.
    async fn fill(
        &self,
        teacher: &(Arc<dyn Teacher>, Fit),
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
    ///
    /// When this returns an answer, it is durable, and was paid for once. What a kill can lose is what was sent and is
    /// not stored, and the permit bounds how much that is.
    async fn ask(
        &self,
        (teacher, fit): &(Arc<dyn Teacher>, Fit),
        cell: &AnswerCell,
        sample: &Sample,
        draw: u32,
    ) -> Result<AnswerRecord, NoAnswer> {
        loop {
            if self.halt.is_halted() {
                return Err(NoAnswer::Halted);
            }
            // Whoever waited for this answer goes on with the tries that were kept.
            let attempt = cell.attempts.load(Ordering::Relaxed) + 1;
            self.progress.asked.add(1);
            self.failpoint("before-asking")?;
            // A teacher of the program's own may panic, also before it gives a future. Caught here, it takes nothing from
            // the other draws and teachers of this task, which may be paid for.
            let asked = AssertUnwindSafe(async {
                // Those that send requests count these themselves, from when they are sent.
                let _flying = teacher.requests().is_none().then(|| self.progress.fly());
                teacher.ask_again(sample, draw, attempt).await
            });
            let asked = asked.catch_unwind().await;
            let asked = asked.map_err(|panic| self.halted(panicked("teacher", panic)))?;
            let (Asked { answer, permit }, unanswered) = match asked {
                Ok(asked) => (asked, None),
                Err(AskError::Failed(reason)) => (Asked::free(unanswered(&reason)), Some(reason)),
                Err(AskError::Stop(reason)) => {
                    return Err(self.halted(Error::TeacherStopped { teacher: teacher.name().to_owned(), reason }));
                }
                // Whoever stopped the teacher has said why.
                Err(AskError::Cancelled) => return Err(NoAnswer::Halted),
            };
            self.failpoint("answer-received")?;
            // Not stored: no log can hold it, and a teacher that gives it would give more.
            if let Some(reason) = nonsense(&answer, self.labels) {
                return Err(self.halted(Error::TeacherStopped { teacher: teacher.name().to_owned(), reason }));
            }
            // At once, before this answer is stored: others are sent meanwhile.
            let misfit = cell
                .tells_fit
                .then(|| fit.look(&answer))
                .flatten()
                .map(|reason| self.halted(Error::Misfit { teacher: teacher.name().to_owned(), reason }));
            // Under the id of who asked first; others with the same question find it by its key.
            let record = AnswerRecord {
                key: cell.key,
                id: sample.id.clone(),
                text_hash: TextHash::of(&sample.text),
                teacher: teacher.name().to_owned(),
                attempt,
                answer,
            };
            // Goes along with the reply instead of into the store: see `unanswered`.
            if let Some(reason) = unanswered {
                return Err(NoAnswer::Unanswered(format!("{}: {reason}", teacher.name()), vec![record]));
            }
            // Returns after the fdatasync, which many answers share.
            self.answers.keep(vec![record.clone()]).await.map_err(|error| self.halted(error))?;
            // No other task writes this number: the cell lets one in at a time.
            cell.attempts.store(attempt, Ordering::Relaxed);
            self.failpoint("answer-kept")?;
            // Only now may another request take its place.
            drop(permit);
            self.progress.add_cost(record.answer.cost.unwrap_or_default());
            // This answer, at least, is kept.
            if let Some(halted) = misfit {
                return Err(halted);
            }
            if record.is_settled(cell.allowed) {
                return Ok(record);
            }
            self.progress.retries.add(1);
        }
    }

    /// A place where tests kill or fail the program.
    fn failpoint(&self, name: &'static str) -> Result<(), NoAnswer> {
        pass(name).map_err(|error| self.halted(error))
    }

    /// Stops all asking at once: what this finds out does not wait for the questions before it.
    fn halted(&self, error: Error) -> NoAnswer {
        self.halt.fail(error);
        NoAnswer::Halted
    }
}

/// All answers, or why there are not all: that nothing more is asked says more than that one was not answered.
fn all_of<T>(answers: Vec<Result<T, NoAnswer>>) -> Result<Vec<T>, NoAnswer> {
    let (mut all, mut missing, mut tries) = (Vec::with_capacity(answers.len()), None, Vec::new());
    for answer in answers {
        match answer {
            Ok(answer) => all.push(answer),
            Err(NoAnswer::Halted) => return Err(NoAnswer::Halted),
            Err(NoAnswer::Unanswered(reason, tried)) => {
                missing.get_or_insert(reason);
                tries.extend(tried);
            }
        }
    }
    missing.map_or(Ok(all), |reason| Err(NoAnswer::Unanswered(reason, tries)))
}

/// What is wrong with an answer that no line of a log can hold: a mistake of the teacher's program.
fn nonsense(answer: &Answer, labels: usize) -> Option<String> {
    if let Some(label) = answer.labels.iter().find(|label| label.index() >= labels) {
        return Some(format!("an answer names label number {}, and the task has {labels} labels, from 0", label.0));
    }
    let weight = answer.weights.iter().find(|weight| !weight.is_finite())?;
    Some(format!("an answer has the weight {weight}: weights are numbers from 0 to 1"))
}

/// That a text could not be answered is kept too, so that one which never can be does not keep runs from ending for ever. It
/// is kept at the end of a run alone: a server that is broken ends the run, and that costs no text its tries.
fn unanswered(reason: &str) -> Answer {
    Answer { problem: Some(Problem { kind: ProblemKind::Unanswered, message: reason.to_owned() }), ..Answer::default() }
}

/// What one teacher says: as its answer ranks the labels, or by the votes of several.
pub(crate) fn opinion(teacher: u16, draws: &[AnswerRecord]) -> Opinion {
    let mut answers = draws.iter().map(|record| (record.answer.labels.as_slice(), record.answer.weights.as_slice()));
    match draws {
        [_] => answers.next().map(|(labels, weights)| Opinion::of(teacher, labels, weights)).unwrap_or_default(),
        _ => Opinion::vote(teacher, answers),
    }
}

/// Why there are no candidates, of every teacher that was asked; what several draws have in common once.
fn why(answers: &[AnswerRecord]) -> String {
    let reason = |record: &AnswerRecord| {
        let problem = record.answer.problem.as_ref().map_or("the answer names no label", |problem| &problem.message);
        format!("{}: {problem}", record.teacher)
    };
    let mut reasons: Vec<String> = answers.iter().map(reason).collect();
    reasons.dedup();
    reasons.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::LabelId;

    #[test]
    fn what_no_log_can_hold_is_refused() {
        let answer = |label: u16, weight: f32| Answer {
            labels: vec![LabelId(label)],
            weights: vec![weight],
            ..Answer::default()
        };
        assert_eq!(nonsense(&answer(2, 0.5), 3), None);
        assert!(nonsense(&answer(3, 0.5), 3).unwrap().contains("label number 3, and the task has 3"));
        for weight in [f32::NAN, f32::INFINITY] {
            assert!(nonsense(&answer(0, weight), 3).unwrap().contains("weights are numbers"));
        }
    }
}
