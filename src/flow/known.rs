//! What a run directory knows of questions, read from its logs without opening its store: for plans and batch files, which only
//! look. Of each answer and text it is kept where it stands, on the disk where there are many: an answer is read again when it is asked for.
//!
//! It answers as intake would, by the same keys and rules, so that a plan counts what a run then asks. Beside a run it
//! sees the logs as they are at that moment.

use std::sync::Arc;

use rust_decimal::Decimal;

use super::fingerprint;
use super::plan::Plan;
use crate::base::sorting::{Sorter, part, record, unsorted};
use crate::base::table::Table;
use crate::config::{Combine, Config};
use crate::domain::answer::{Answer, AnswerKey, AnswerRecord, Usage};
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::input::Input;
use crate::domain::label::LabelId;
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::store::{Identity, RawAnswers, RunDir, RunView};
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Teacher};

/// A stored answer, as far as it decides what is asked.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    /// Of the latest try, from 1.
    pub(crate) attempt: u32,
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

/// What is kept of a stored answer.
struct Try {
    attempt: u32,
    offset: u64,
    settles: bool,
}

/// See the module.
pub(crate) struct Known {
    /// Set up without keys: nothing is sent.
    pub(crate) teachers: Vec<Arc<dyn Teacher>>,
    /// Texts that arrived, by the hash of their ids, with a part of their own; none where a run would begin anew.
    ids: Table<24>,
    /// The tries under each key, those of other prompts and models included: key, number of the try, where it stands in the log, and
    /// whether it settles the question whatever tries are left.
    tries: Table<29>,
    /// `None` where there is no run.
    log: Option<RawAnswers>,
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
        let mut known = Self {
            teachers,
            ids: Table::default(),
            tries: Table::default(),
            log: None,
            begins_anew: false,
            spent: Decimal::ZERO,
        };
        let dir = &config.run.dir;
        let view = match RunDir::view(dir) {
            Err(Error::NoRun { .. }) => return Ok(known),
            view => view?,
        };
        known.begins_anew = is_anew(&view, config, &identity)?;
        known.log = RawAnswers::open(&view)?;
        let (mut tries, mut recorded) = (Sorter::default(), Decimal::ZERO);
        if let Some(log) = &known.log {
            log.each(|offset, answer| {
                recorded += answer.answer.cost.unwrap_or_default();
                // Of equal tries the later line counts, as in the index: it is the last of its key here.
                let (attempt, offset) = (answer.attempt.to_be_bytes(), offset.to_be_bytes());
                let settles = u8::from(!answer.answer.labels.is_empty() || answer.is_refused());
                tries.push(record(&[&answer.key.0, &attempt, &offset, &[settles]])).map_err(unsorted)
            })?;
        }
        known.tries = tries.table().map_err(unsorted)?;
        // All answers of the log were paid here, whichever prompt they are of.
        known.spent = Ledger::look(dir, recorded)?.total();
        // A run with other prompts lets all texts arrive anew, so none is done.
        if !known.begins_anew && view.asking().is_some() {
            let mut ids = Sorter::default();
            view.inputs(|input| {
                if let Input::Arrive { sample, .. } = input {
                    let (id, text) = (TextHash::of(&sample.id.0), some_of(&sample.text));
                    ids.push(record(&[&id.0, &text])).map_err(unsorted)?;
                }
                Ok(())
            })?;
            known.ids = ids.table().map_err(unsorted)?;
        }
        Ok(known)
    }

    /// Whether a text arrived under the sample's id, which a run would pass over, and whether that was this text: else it is a bad row.
    ///
    /// # Errors
    ///
    /// [`Error::Temporary`], as of all that is asked here; and those of the log where an answer is read.
    pub(crate) fn arrived(&self, sample: &Sample) -> Result<Option<bool>> {
        let known = self.ids.first(TextHash::of(&sample.id.0).0).map_err(unsorted)?;
        Ok(known.map(|known| part(&known, 16) == some_of(&sample.text)))
    }

    /// The latest try under `key`.
    fn latest_try(&self, key: AnswerKey) -> Result<Option<Try>> {
        let latest = self.tries.beginning(key.0).last().transpose().map_err(unsorted)?;
        Ok(latest.map(|latest| Try {
            attempt: u32::from_be_bytes(part(&latest, 16)),
            offset: u64::from_be_bytes(part(&latest, 20)),
            settles: part(&latest, 28) != [0],
        }))
    }

    /// Whether there is an answer under `key` that a run would use: the rule of [`AnswerRecord::is_settled`].
    pub(crate) fn has(&self, teacher: &dyn Teacher, key: AnswerKey) -> Result<bool> {
        let is_settled = |latest: Try| latest.settles || latest.attempt >= teacher.attempts();
        Ok(self.latest_try(key)?.is_some_and(is_settled))
    }

    /// That answer.
    pub(crate) fn stored(&self, teacher: &dyn Teacher, key: AnswerKey) -> Result<Option<Stored>> {
        if self.has(teacher, key)? { self.latest(key) } else { Ok(None) }
    }

    /// The latest try under `key`, whether a run would use it or ask again.
    pub(crate) fn latest(&self, key: AnswerKey) -> Result<Option<Stored>> {
        let (Some(latest), Some(log)) = (self.latest_try(key)?, &self.log) else { return Ok(None) };
        log.at(latest.offset).map(|answer| Some(answer.into()))
    }

    /// Whether a run would ask the teacher of this number about `sample` now: in a cascade only where those before it have
    /// answered and left more than one label.
    pub(crate) fn is_turn_of(&self, number: usize, sample: &Sample, combine: Combine) -> Result<bool> {
        let mut said = Vec::new();
        for teacher in self.teachers.iter().take(number).filter(|_| combine == Combine::Cascade) {
            let stored = self.draws(teacher.as_ref(), sample)?;
            if stored.len() < teacher.draws() as usize {
                // A recording is not asked by requests: nobody has to wait for it.
                return Ok(teacher.requests().is_none());
            }
            said.push(opinion(&stored));
            if CandidateSet::merge(said.iter().cloned()).len() == 1 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The stored answers of the draws of `teacher`, up to the first that is missing.
    pub(crate) fn draws(&self, teacher: &dyn Teacher, sample: &Sample) -> Result<Vec<Stored>> {
        (0..teacher.draws()).map_while(|draw| self.stored(teacher, teacher.key(sample, draw)).transpose()).collect()
    }

    /// Whether a run has stored answers, whether it would use them or not.
    pub(crate) fn has_answers(&self) -> bool {
        !self.tries.is_empty()
    }
}

impl From<AnswerRecord> for Stored {
    fn from(record: AnswerRecord) -> Self {
        let AnswerRecord { attempt, answer, .. } = record;
        let Answer { labels, weights, usage, cost, seconds, .. } = answer;
        Self { attempt, labels, weights, usage, cost, seconds }
    }
}

/// What one teacher said, as a run takes it.
pub(crate) fn opinion(stored: &[Stored]) -> Opinion {
    match stored {
        [one] => Opinion::of(0, &one.labels, &one.weights),
        draws => Opinion::vote(0, draws.iter().map(|draw| (draw.labels.as_slice(), draw.weights.as_slice()))),
    }
}

/// Enough to tell texts apart that had the same id.
fn some_of(text: &str) -> [u8; 8] {
    part(&TextHash::of(text).0, 0)
}
