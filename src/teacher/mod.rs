//! Teachers: who names candidate labels. One trait; `recorded` and `openai` are its kinds.

mod addresses;
pub(crate) mod ledger;
mod openai;
pub(crate) mod peers;
mod recorded;

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

use crate::config::{Config, TeacherConfig};
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::teacher::ledger::Ledger;

pub use addresses::Addresses;
pub use openai::parse::{Labels, labels_in};
pub(crate) use recorded::RecordedLine;

/// An answer, and the permit of its request.
#[derive(Debug)]
pub struct Asked {
    /// The answer.
    pub answer: Answer,
    /// To be dropped when the answer is stored.
    pub permit: Permit,
}

impl Asked {
    /// An answer that took no request.
    #[must_use]
    pub fn free(answer: Answer) -> Self {
        Self { answer, permit: Permit::default() }
    }
}

/// Keeps a request counted as in flight until its answer is stored: what a crash can lose is then never more than what
/// may be in flight, however slow the disk is.
#[derive(Debug, Default)]
pub struct Permit {
    _held: Option<OwnedSemaphorePermit>,
}

impl From<OwnedSemaphorePermit> for Permit {
    fn from(permit: OwnedSemaphorePermit) -> Self {
        Self { _held: Some(permit) }
    }
}

/// Why a teacher gave no answer at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AskError {
    /// This sample cannot be answered; others may be.
    Failed(String),
    /// Nothing can be answered any more: wrong key, no credit, nobody listens.
    Stop(String),
    /// It was not sent, because the run stops.
    Cancelled,
}

/// Tokens that a request is expected to take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    /// Of the prompt.
    pub prompt: u32,
    /// Of the prompt, at most.
    pub prompt_bound: u32,
    /// Of the answer.
    pub completion: u32,
    /// Of the answer, at most.
    pub completion_bound: u32,
}

impl Size {
    /// In all, at most.
    #[must_use]
    pub fn most(&self) -> u32 {
        self.prompt_bound.saturating_add(self.completion_bound)
    }
}

/// Someone who names candidate labels for a sample.
///
/// An answer is kept under its [`Teacher::key`] and never asked for twice; where [`Teacher::identity`] differs from that of an
/// earlier run in the directory, the texts arrive anew, and are asked about under their new keys.
///
/// ```
/// use candist::{Answer, AnswerKey, AskError, Asked, BoxFuture, LabelId, Sample, Teacher};
///
/// /// Takes a text with an exclamation mark for praise, or for a complaint.
/// struct Marks;
///
/// impl Teacher for Marks {
///     fn name(&self) -> &str {
///         "marks"
///     }
///
///     fn identity(&self) -> String {
///         "marks, version 1".to_owned()
///     }
///
///     fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey {
///         AnswerKey::of(&[&self.identity(), &sample.text])
///     }
///
///     fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
///         let labels: &[LabelId] = if sample.text.contains('!') { &[LabelId(0), LabelId(1)] } else { &[LabelId(2)] };
///         Box::pin(async move { Ok(Asked::free(Answer::naming(labels.iter().copied()))) })
///     }
/// }
///
/// let asked = futures::executor::block_on(Marks.ask(&Sample::unnamed("Thanks!"), 0))?;
/// assert_eq!(asked.answer.labels, [LabelId(0), LabelId(1)]);
/// # Ok::<(), AskError>(())
/// ```
pub trait Teacher: Send + Sync {
    /// The name under which its answers are kept. One of a run's own among its teachers.
    fn name(&self) -> &str;

    /// What its answers depend on besides the sample: model, prompt, parameters.
    fn identity(&self) -> String;

    /// How often each sample is asked about (self-consistency).
    fn draws(&self) -> u32 {
        1
    }

    /// The key of an answer to `sample`; `draw` counts from 0. Pure: the same for the same sample, always.
    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey;

    /// How often a sample is asked about, at most, when the answer names no label.
    fn attempts(&self) -> u32 {
        1
    }

    /// The run stops: nothing is to be sent from now on. What is in flight is waited for, and kept when it comes back.
    ///
    /// Not for good where a damaged cache is made anew: then the run begins again with the same teacher, and asks it.
    fn stop(&self) {}

    /// Is told when no other question follows those that it was asked.
    fn no_more(&self) {}

    /// Asks, on a tokio runtime. Called for many samples at the same time: it keeps its own limits.
    ///
    /// # Errors
    ///
    /// An answer that names no label is no error. See [`AskError`] for what is one.
    fn ask<'a>(&'a self, sample: &'a Sample, draw: u32) -> BoxFuture<'a, Result<Asked, AskError>>;

    /// As [`Teacher::ask`], for the try of this number, from 1: for a teacher that keeps the tries of several processes apart.
    #[doc(hidden)]
    fn ask_again<'a>(&'a self, sample: &'a Sample, draw: u32, _attempt: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        self.ask(sample, draw)
    }

    /// Its requests as such, where it has any: for plans and batch files of the configured teachers.
    #[doc(hidden)]
    fn requests(&self) -> Option<&dyn Requests> {
        None
    }
}

/// A teacher that is asked by requests, seen without sending any.
pub trait Requests {
    /// The tokens of a request about `sample`, by what is known before any is sent.
    ///
    /// # Errors
    ///
    /// What is wrong with the template, where no request can be made of the text.
    fn size(&self, sample: &Sample) -> Result<Size, String>;

    /// Whether sizes are counted with the model's tokenizer; else they are estimated.
    fn sizes_are_counted(&self) -> bool;

    /// Where requests are sent, in words that hold no secret.
    fn url(&self) -> String;

    /// The path of the API and the body of a request about `sample`, for a batch file.
    ///
    /// # Errors
    ///
    /// As [`Requests::size`].
    fn body(&self, sample: &Sample) -> Result<(&'static str, serde_json::Value), String>;

    /// Reads the body of a reply that came in a batch file; its cost is at batch prices.
    ///
    /// # Errors
    ///
    /// Why it is no reply. One that names no label is an answer.
    fn read(&self, body: &[u8]) -> Result<Answer, String>;
}

/// Sets up the configured teachers, in their order.
///
/// What they spend goes through `ledger`. They share `addresses` with all teachers that are set up with a clone of it.
/// Nothing is sent yet.
///
/// # Errors
///
/// Those of the first teacher that cannot be set up: [`Error::TeacherConfig`](crate::Error::TeacherConfig) for
/// templates, examples, tokenizers and keys; [`Error::Input`](crate::Error::Input) and
/// [`Error::InputLine`](crate::Error::InputLine) for recordings.
pub fn open_all(config: &Config, ledger: &Arc<Ledger>, addresses: &Addresses) -> Result<Vec<Arc<dyn Teacher>>> {
    // Held until all are set up: none of them waits for anything but files.
    let mut shared = addresses.lock();
    let mut set = openai::Set::new(&config.run.dir);
    config
        .teachers
        .iter()
        .map(|teacher| -> Result<Arc<dyn Teacher>> {
            Ok(match teacher {
                TeacherConfig::Recorded(recorded) => Arc::new(recorded::Recorded::open(recorded, &config.task.labels)?),
                TeacherConfig::OpenAi(openai) => {
                    Arc::new(openai::OpenAi::open(openai, &config.task, ledger, &mut shared, &mut set)?)
                }
            })
        })
        .collect()
}

/// Sets up the configured teachers without their keys: for looking, not for asking.
pub(crate) fn open_without_keys(config: &Config, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
    let mut config = config.clone();
    for teacher in &mut config.teachers {
        if let TeacherConfig::OpenAi(openai) = teacher {
            openai.http.api_key_env = None;
        }
    }
    open_all(&config, ledger, &Addresses::default())
}

/// What a run would stop for: variables that hold no key, by teacher, in words.
#[must_use]
pub fn missing_keys(config: &Config) -> Vec<String> {
    let openai = config.teachers.iter().filter_map(|teacher| match teacher {
        TeacherConfig::OpenAi(openai) => Some(openai),
        TeacherConfig::Recorded(_) => None,
    });
    openai
        .filter_map(|teacher| {
            let problem = openai::missing_key(&teacher.http)?;
            Some(format!("teacher {:?}: {problem} before `candist run`", teacher.name))
        })
        .collect()
}
