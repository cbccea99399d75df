//! Teachers: who names candidate labels. One trait; `recorded` and `openai` are its kinds.

pub mod ledger;
mod openai;
mod recorded;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::config::{Config, TeacherConfig};
use crate::domain::answer::{Answer, AnswerKey};
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::teacher::ledger::Ledger;

pub use openai::parse::labels_in;

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

/// Someone who names candidate labels for a sample.
pub trait Teacher: Send + Sync {
    /// The name under which its answers are kept.
    fn name(&self) -> &str;

    /// What its answers depend on besides the sample; part of the labelling fingerprint.
    fn identity(&self) -> String;

    /// How often each sample is asked about (self-consistency).
    fn draws(&self) -> u32 {
        1
    }

    /// The key of an answer to `sample`; `draw` counts from 0. Pure: the same for the same sample, always.
    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey;

    /// How often a sample is asked when the answer names no label.
    fn attempts(&self) -> u32;

    /// Sends nothing from now on; what is in flight still comes back.
    fn stop(&self) {}

    /// Asks. May be called for many samples at the same time; keeps its own limits.
    fn ask<'a>(&'a self, sample: &'a Sample, draw: u32) -> BoxFuture<'a, Result<Answer, AskError>>;

    /// Its requests as such, where it has any: for plans and batch files.
    fn requests(&self) -> Option<&dyn Requests> {
        None
    }
}

/// A teacher that is asked by requests, seen without sending any.
pub trait Requests {
    /// The tokens of a request about `sample`.
    fn size(&self, sample: &Sample) -> Result<Size, String>;

    /// Whether sizes are counted with the model's tokenizer; else they are estimated.
    fn sizes_are_counted(&self) -> bool;

    /// The path of the API and the body of a request about `sample`, for a batch file.
    fn body(&self, sample: &Sample) -> Result<(&'static str, serde_json::Value), String>;

    /// Reads the body of a reply that came in a batch file; its cost is at batch prices.
    fn read(&self, body: &[u8]) -> Result<Answer, String>;
}

/// Sets up the configured teachers, in their order.
///
/// What they spend goes through `ledger`. Teachers at the same address share their pauses.
pub fn open_all(config: &Config, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
    let mut shared = openai::Shared::default();
    config
        .teachers
        .iter()
        .map(|teacher| -> Result<Arc<dyn Teacher>> {
            Ok(match teacher {
                TeacherConfig::Recorded(recorded) => Arc::new(recorded::Recorded::open(recorded, &config.task.labels)?),
                TeacherConfig::OpenAi(openai) => {
                    Arc::new(openai::OpenAi::open(openai, &config.task, ledger, &mut shared)?)
                }
            })
        })
        .collect()
}

/// Sets up the configured teachers without their keys: for looking, not for asking.
pub fn open_without_keys(config: &Config, ledger: &Arc<Ledger>) -> Result<Vec<Arc<dyn Teacher>>> {
    let mut config = config.clone();
    for teacher in &mut config.teachers {
        if let TeacherConfig::OpenAi(openai) = teacher {
            openai.http.api_key_env = None;
        }
    }
    open_all(&config, ledger)
}
