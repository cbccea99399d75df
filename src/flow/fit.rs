//! Whether a teacher's answers fit the task at all: told after its first answers, before a run has cost much. A prompt
//! without labels, or labels that the model spells otherwise, gives a run without a single error whose labels are made
//! up.

use std::sync::{Mutex, PoisonError};

use crate::domain::answer::{Answer, ProblemKind};

/// Answers after which it is told.
const LOOKED_AT: u32 = 50;
/// Answers that are shown.
const SHOWN: usize = 3;
const SHOWN_CHARS: usize = 200;

#[derive(Debug, Default)]
struct Seen {
    /// Those that say how answers are read, up to [`LOOKED_AT`].
    answers: u32,
    /// Of those, answers without a label of the task.
    useless: u32,
    /// The beginnings of some of those, for a person to see the cause.
    examples: Vec<String>,
}

/// What was seen of one teacher's answers.
#[derive(Debug, Default)]
pub(super) struct Fit(Mutex<Seen>);

impl Fit {
    /// Looks at a new answer. Once most of the first ones name no label of the task: what to tell. By whatever order
    /// answers come in: it decides whether a run goes on, never what a label is.
    pub(super) fn look(&self, answer: &Answer) -> Option<String> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.answers >= LOOKED_AT {
            return None;
        }
        let kind = answer.problem.as_ref().map(|problem| problem.kind);
        // A text that is refused or missing from a recording says nothing about how answers are read.
        if !matches!(kind, None | Some(ProblemKind::OffList | ProblemKind::Empty | ProblemKind::CutOff)) {
            return None;
        }
        seen.answers += 1;
        if answer.labels.is_empty() {
            seen.useless += 1;
            if seen.examples.len() < SHOWN {
                let raw = answer.raw.as_deref().unwrap_or_default();
                seen.examples.push(raw.chars().take(SHOWN_CHARS).collect());
            }
        }
        (seen.answers == LOOKED_AT && 2 * seen.useless > LOOKED_AT).then(|| seen.tell())
    }
}

impl Seen {
    fn tell(&self) -> String {
        let shown: Vec<String> = self.examples.iter().map(|raw| format!("\n    {raw:?}")).collect();
        format!(
            "{} of its first {} answers name no label of the task, so the labels would be made up. The first of them:{}\n  \
             Likely causes: task.labels are spelled otherwise than the model writes them (add aliases), a prompt of your own \
             does not list the labels, max_tokens cuts the answers off, or the model is too small for the task. The answers \
             are kept (`candist failures` lists them)",
            self.useless,
            self.answers,
            shown.concat()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::answer::Problem;
    use crate::domain::label::LabelId;

    fn answer(kind: Option<ProblemKind>) -> Answer {
        Answer {
            labels: if kind.is_none() { vec![LabelId(0)] } else { vec![] },
            raw: Some("blue".into()),
            problem: kind.map(|kind| Problem { kind, message: String::new() }),
            ..Answer::default()
        }
    }

    #[test]
    fn most_of_the_first_answers_must_name_a_label() {
        for (useless, told) in [(25, false), (26, true), (50, true)] {
            let fit = Fit::default();
            let kinds = (0..50).map(|i| (i < useless).then_some(ProblemKind::OffList));
            let said: Vec<String> = kinds.filter_map(|kind| fit.look(&answer(kind))).collect();
            assert_eq!(said.len(), usize::from(told), "{useless}");
            assert!(said.iter().all(|said| said.contains("\"blue\"") && said.contains("aliases")), "{said:?}");
        }
    }

    #[test]
    fn refused_and_missing_answers_do_not_count() {
        let fit = Fit::default();
        for kind in [ProblemKind::Refused, ProblemKind::Missing].repeat(60) {
            assert_eq!(fit.look(&answer(Some(kind))), None);
        }
    }
}
