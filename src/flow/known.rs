//! What a run directory knows of questions, read from its logs without opening its store: for plans and batch files, which only
//! look. Of each answer and text some 30 bytes are kept, on the disk where there are many: an answer is read again when it is asked for.
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
    ids: Table<24>,
    /// The tries under each key, those of other prompts and models included: key, number of the try, and where it stands in the log.
    tries: Table<28>,
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
                tries.push(record(&[&answer.key.0, &attempt, &offset])).map_err(unsorted)
            })?;
        }
        known.tries = tries.sorted().and_then(Table::of).map_err(unsorted)?;
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
            known.ids = ids.sorted().and_then(Table::of).map_err(unsorted)?;
        }
        Ok(known)
    }

    /// Whether a run would pass over this sample.
    ///
    /// # Errors
    ///
    /// Those of the folder of temporary files, as of all that is asked here; and of the log where an answer is read.
    pub(crate) fn is_done(&self, sample: &Sample) -> Result<bool> {
        Ok(self.text_of(sample)?.is_some())
    }

    /// Whether its id was given to another text, which makes it a bad row.
    pub(crate) fn is_other(&self, sample: &Sample) -> Result<bool> {
        Ok(self.text_of(sample)?.is_some_and(|text| text != some_of(&sample.text)))
    }

    /// What is known of the text that has the sample's id.
    fn text_of(&self, sample: &Sample) -> Result<Option<[u8; 8]>> {
        let known = self.ids.beginning(TextHash::of(&sample.id.0).0).next().transpose().map_err(unsorted)?;
        Ok(known.map(|known| part(&known, 16)))
    }

    /// The stored answer under `key`, if a run would use it: the rule of [`AnswerRecord::is_settled`].
    pub(crate) fn stored(&self, teacher: &dyn Teacher, key: AnswerKey) -> Result<Option<Stored>> {
        let is_settled =
            |stored: &Stored| !stored.labels.is_empty() || stored.refused || stored.attempt >= teacher.attempts();
        Ok(self.latest(key)?.filter(is_settled))
    }

    /// The latest try under `key`, whether a run would use it or ask again.
    pub(crate) fn latest(&self, key: AnswerKey) -> Result<Option<Stored>> {
        let latest = self.tries.beginning(key.0).last().transpose().map_err(unsorted)?;
        let (Some(latest), Some(log)) = (latest, &self.log) else { return Ok(None) };
        log.at(u64::from_be_bytes(part(&latest, 20))).map(|answer| Some(answer.into()))
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
        let refused = record.is_refused();
        let AnswerRecord { attempt, answer, .. } = record;
        let Answer { labels, weights, usage, cost, seconds, .. } = answer;
        Self { attempt, refused, labels, weights, usage, cost, seconds }
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
