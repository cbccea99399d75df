//! What a run directory knows of questions, read from its logs without opening its store: for plans and batch files, which only
//! look. Memory grows with the number of stored answers, some 200 bytes each.
//!
//! It answers as intake would, by the same keys and rules, so that a plan counts what a run then asks. Beside a run it
//! sees the logs as they are at that moment.

use std::collections::HashMap;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::fingerprint;
use super::plan::Plan;
use crate::config::{Combine, Config};
use crate::domain::answer::{AnswerKey, AnswerRecord, Usage};
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::input::Input;
use crate::domain::label::LabelId;
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::store::{Identity, RunDir, RunView};
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Teacher};

/// A stored answer, as far as it decides what is asked.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Of the latest try, from 1.
    pub(crate) attempt: u32,
    /// The text was refused: that settles the question whatever tries are left.
    refused: bool,
    pub(crate) labels: Vec<LabelId>,
    pub(crate) weights: Vec<f32>,
    /// Tokens of the latest try, what it cost and how long it took, as far as that is known.
    pub(crate) usage: Option<Usage>,
    pub(crate) cost: Option<Decimal>,
    pub(crate) seconds: Option<f64>,
}

/// Whether the run directory of `config` has answers of other labels, teachers, prompts or parameters, so that a run would ask anew.
/// Reads no more than the first line of a log. False where there is no run yet.
///
/// # Errors
///
/// Those of teachers that cannot be set up, and of a directory that cannot be read.
pub(crate) fn begins_anew(config: &Config) -> Result<bool> {
    let view = match RunDir::view(&config.run.dir) {
        Ok(view) => view,
        Err(Error::NoRun { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let teachers = teacher::open_without_keys(config, &Ledger::new(None))?;
    let identity = fingerprint::identity(&Plan::of(config.clone()), &teachers)?;
    is_anew(&view, config, &identity)
}

/// Whether the log that there is was begun with other labels, or with all that answers depend on being another.
fn is_anew(view: &RunView, config: &Config, identity: &Identity) -> Result<bool> {
    let labels = view.same_task(&config.task.name, &config.task.labels)?;
    Ok(view.asking().is_some_and(|asking| labels.is_some() || asking != identity.asking))
}

/// See the module.
pub(crate) struct Known {
    /// Set up without keys: nothing is sent.
    pub(crate) teachers: Vec<Arc<dyn Teacher>>,
    /// Texts that arrived, by the hash of their ids, with a part of their own; none where a run would begin anew.
    ids: HashMap<TextHash, u64>,
    /// The latest try under each key, those of other prompts and models included.
    answers: HashMap<AnswerKey, Stored>,
    /// Whether the run directory's answers come of other labels, teachers, prompts or parameters.
    pub(crate) begins_anew: bool,
    /// What was spent so far, at most.
    pub(crate) spent: Decimal,
}

impl Known {
    /// Reads what there is of the run of `config`.
    /// Reads both logs to their ends; where there is no run, there is nothing known.
    ///
    /// # Errors
    ///
    /// Those of [`begins_anew`]; [`Error::OtherTask`] where the directory is another task's; those of damaged inputs.
    pub(crate) fn read(config: &Config) -> Result<Self> {
        let ledger = Ledger::new(config.run.max_cost);
        let teachers = teacher::open_without_keys(config, &ledger)?;
        let identity = fingerprint::identity(&Plan::of(config.clone()), &teachers)?;
        let mut known =
            Self { teachers, ids: HashMap::new(), answers: HashMap::new(), begins_anew: false, spent: Decimal::ZERO };
        let dir = &config.run.dir;
        let view = match RunDir::view(dir) {
            Err(Error::NoRun { .. }) => return Ok(known),
            view => view?,
        };
        known.begins_anew = is_anew(&view, config, &identity)?;
        let mut recorded = Decimal::ZERO;
        view.answers(|record| {
            recorded += record.answer.cost.unwrap_or_default();
            known.add(record);
            Ok(())
        })?;
        // All answers of the log were paid here, whichever prompt they are of.
        known.spent = Ledger::look(dir, recorded)?.total();
        // A run with other prompts lets all texts arrive anew, so none is done.
        if !known.begins_anew && view.asking().is_some() {
            view.inputs(|input| {
                if let Input::Arrive { sample, .. } = input {
                    known.ids.insert(TextHash::of(&sample.id.0), part(&sample.text));
                }
                Ok(())
            })?;
        }
        Ok(known)
    }

    /// Takes in a line of the log. Of equal tries the later line counts, as in the index.
    fn add(&mut self, record: AnswerRecord) {
        let refused = record.is_refused();
        let AnswerRecord { key, attempt, answer, .. } = record;
        let stored = Stored {
            attempt,
            refused,
            labels: answer.labels,
            weights: answer.weights,
            usage: answer.usage,
            cost: answer.cost,
            seconds: answer.seconds,
        };
        if self.answers.get(&key).is_none_or(|before| before.attempt <= attempt) {
            self.answers.insert(key, stored);
        }
    }

    /// Whether a run would pass over this sample.
    pub(crate) fn is_done(&self, sample: &Sample) -> bool {
        self.ids.contains_key(&TextHash::of(&sample.id.0))
    }

    /// Whether its id was given to another text, which makes it a bad row.
    pub(crate) fn is_other(&self, sample: &Sample) -> bool {
        self.ids.get(&TextHash::of(&sample.id.0)).is_some_and(|text| *text != part(&sample.text))
    }

    /// The stored answer under `key`, if a run would use it: the rule of [`AnswerRecord::is_settled`].
    pub(crate) fn stored(&self, teacher: &dyn Teacher, key: AnswerKey) -> Option<&Stored> {
        let is_settled =
            |stored: &&Stored| !stored.labels.is_empty() || stored.refused || stored.attempt >= teacher.attempts();
        self.answers.get(&key).filter(is_settled)
    }

    /// The latest try under `key`, whether a run would use it or ask again.
    pub(crate) fn latest(&self, key: AnswerKey) -> Option<&Stored> {
        self.answers.get(&key)
    }

    /// Whether a run would ask the teacher of this number about `sample` now: in a cascade only where those before it have
    /// answered and left more than one label.
    pub(crate) fn is_turn_of(&self, number: usize, sample: &Sample, combine: Combine) -> bool {
        let mut said = Vec::new();
        for teacher in self.teachers.iter().take(number).filter(|_| combine == Combine::Cascade) {
            let stored: Vec<&Stored> = (0..teacher.draws())
                .map_while(|draw| self.stored(teacher.as_ref(), teacher.key(sample, draw)))
                .collect();
            if stored.len() < teacher.draws() as usize {
                // A recording is not asked by requests: nobody has to wait for it.
                return teacher.requests().is_none();
            }
            said.push(opinion(&stored));
            if CandidateSet::merge(said.iter().cloned()).len() == 1 {
                return false;
            }
        }
        true
    }

    /// Answers that a run has stored, whether it would use them or not.
    pub(crate) fn answers(&self) -> usize {
        self.answers.len()
    }
}

/// What one teacher said, as a run takes it.
pub(crate) fn opinion(stored: &[&Stored]) -> Opinion {
    match stored {
        [one] => Opinion::of(0, &one.labels, &one.weights),
        draws => Opinion::vote(0, draws.iter().map(|draw| (draw.labels.as_slice(), draw.weights.as_slice()))),
    }
}

/// Enough to tell texts apart that had the same id.
fn part(text: &str) -> u64 {
    let TextHash([a, b, c, d, e, f, g, h, ..]) = TextHash::of(text);
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}
