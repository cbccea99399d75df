//! Sums over all answers of a journal.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::answer::{AnswerRecord, ProblemKind, Usage};

/// Sums over all answers, useless ones and every try included: what they cost was paid.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// What they cost in money.
    #[serde(with = "rust_decimal::serde::str")]
    pub cost: Decimal,
    /// What they cost in tokens.
    pub usage: Usage,
    /// Answers with something wrong, by what it is.
    pub problems: BTreeMap<ProblemKind, u64>,
    /// Answers and their tokens, by teacher.
    pub by_teacher: BTreeMap<String, (u64, Usage)>,
}

impl Totals {
    /// Adds an answer. Not to be undone: each line of the log is added once.
    pub(crate) fn add(&mut self, record: &AnswerRecord) {
        let answer = &record.answer;
        self.cost = self.cost.saturating_add(answer.cost.unwrap_or_default());
        let (count, tokens) = self.by_teacher.entry(record.teacher.clone()).or_default();
        *count += 1;
        if let Some(usage) = answer.usage {
            self.usage.add(usage);
            tokens.add(usage);
        }
        if let Some(problem) = &answer.problem {
            *self.problems.entry(problem.kind).or_default() += 1;
        }
    }
}
