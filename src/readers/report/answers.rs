//! What was asked and paid for, teacher by teacher, from the answers alone: every try of them counts, for it was paid.

use std::collections::{BTreeMap, BTreeSet};

use rust_decimal::Decimal;

use super::Patience;
use crate::domain::answer::{AnswerRecord, ProblemKind, Usage};
use crate::error::Result;
use crate::store::{RunView, ViewCounts};

/// Models that are told of a teacher, at most: a server may name another one in every answer.
const MODELS: usize = 8;
/// Examples of each problem.
const EXAMPLES: usize = 3;

/// What a teacher answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Answered {
    pub(super) teacher: String,
    pub(super) answers: u64,
    /// Of these, answers that name no label of the task.
    pub(super) useless: u64,
    pub(super) usage: Usage,
    /// `None` where no answer has a cost.
    pub(super) cost: Option<Decimal>,
    /// As the answers name them.
    pub(super) models: BTreeSet<String>,
    /// Whether an answer says how it was received: it was asked for by this run, and not taken from a recording.
    pub(super) is_asked: bool,
    /// Seconds of the answers that say how long they took, and how many these are.
    pub(super) seconds: (f64, u64),
}

impl Answered {
    /// Of `teacher`, nothing yet.
    fn new(teacher: &str) -> Self {
        Self { teacher: teacher.to_owned(), ..Self::default() }
    }

    /// Mean seconds from a request to its answer.
    pub(super) fn seconds(&self) -> Option<f64> {
        let (seconds, answers) = self.seconds;
        (answers > 0).then(|| seconds / answers as f64)
    }

    fn add(&mut self, record: &AnswerRecord) {
        let answer = &record.answer;
        self.answers += 1;
        self.useless += u64::from(answer.labels.is_empty());
        self.usage.add(answer.usage.unwrap_or_default());
        if let Some(cost) = answer.cost {
            self.cost = Some(self.cost.unwrap_or_default().saturating_add(cost));
        }
        if let Some(model) = answer.model.as_ref().filter(|_| self.models.len() < MODELS) {
            self.models.insert(model.clone());
        }
        self.is_asked |= answer.seconds.is_some() || answer.raw.is_some();
        if let Some(seconds) = answer.seconds {
            self.seconds = (self.seconds.0 + seconds, self.seconds.1 + 1);
        }
    }
}

/// An answer of no use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Useless {
    pub(super) teacher: String,
    pub(super) id: String,
    pub(super) why: String,
}

/// All answers.
#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Teachers in the order of the run, then those whose answers are kept and who are not asked any more.
    pub(super) teachers: Vec<Answered>,
    /// Answers with something wrong, by what it is, and the first of them.
    pub(super) problems: BTreeMap<ProblemKind, (u64, Vec<Useless>)>,
    /// As far as answers take part: what spending is computed from.
    pub(super) counts: ViewCounts,
}

impl Answers {
    /// Reads those of the run that `view` looks at.
    pub(super) fn read(view: &RunView, patience: Patience<'_>) -> Result<Self> {
        let teachers = view.teachers().iter().map(|teacher| Answered::new(teacher)).collect();
        let mut answers = Self { teachers, ..Self::default() };
        answers.counts.damaged = view.answers(|record| {
            patience.check()?;
            answers.add(&record);
            Ok(())
        })?;
        Ok(answers)
    }

    fn add(&mut self, record: &AnswerRecord) {
        self.counts.answers += 1;
        self.counts.totals.add(record);
        let place = self.teachers.iter().position(|known| known.teacher == record.teacher).unwrap_or_else(|| {
            self.teachers.push(Answered::new(&record.teacher));
            self.teachers.len() - 1
        });
        if let Some(teacher) = self.teachers.get_mut(place) {
            teacher.add(record);
        }
        let Some(problem) = &record.answer.problem else { return };
        let (count, examples) = self.problems.entry(problem.kind).or_default();
        *count += 1;
        if examples.len() < EXAMPLES {
            let (teacher, id) = (record.teacher.clone(), record.id.0.clone());
            examples.push(Useless { teacher, id, why: problem.message.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::{Answer, AnswerKey, Problem};
    use crate::domain::label::LabelId;
    use crate::domain::sample::TextHash;

    #[test]
    fn every_try_counts_for_its_teacher() {
        let record = |teacher: &str, answer: Answer| AnswerRecord {
            key: AnswerKey::of(&[teacher]),
            id: "a".into(),
            text_hash: TextHash::of("a"),
            teacher: teacher.to_owned(),
            attempt: 1,
            answer,
        };
        let problem = Some(Problem { kind: ProblemKind::OffList, message: "names nothing known".to_owned() });
        let usage = Some(Usage { prompt_tokens: 100, completion_tokens: 7, cached_tokens: 20 });
        let cost = |cost: &str| Some(cost.parse().unwrap());
        let mut answers = Answers { teachers: vec![Answered::new("one"), Answered::new("two")], ..Answers::default() };
        answers.add(&record("two", Answer::naming([LabelId(0)])));
        let paid = Answer { usage, cost: cost("0.5"), seconds: Some(2.0), problem, ..Answer::default() };
        answers.add(&record("one", paid));
        let model = Some("m-1".to_owned());
        answers.add(&record(
            "one",
            Answer { cost: cost("0.25"), model, seconds: Some(1.0), ..Answer::naming([LabelId(1)]) },
        ));
        answers.add(&record("former", Answer::naming([LabelId(1)])));
        let [one, two, former] = answers.teachers.as_slice() else { panic!() };
        assert_eq!(
            (one.answers, one.useless, one.cost, one.seconds(), one.is_asked),
            (2, 1, cost("0.75"), Some(1.5), true)
        );
        assert_eq!((one.usage.total(), one.models.len()), (107, 1));
        assert_eq!((two.answers, two.cost, two.seconds(), two.is_asked), (1, None, None, false));
        assert_eq!((former.teacher.as_str(), answers.counts.answers), ("former", 4));
        let (count, examples) = &answers.problems[&ProblemKind::OffList];
        assert_eq!((*count, examples[0].teacher.as_str()), (1, "one"));
    }
}
