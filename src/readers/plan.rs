//! What a run would ask, and what that would cost and take. Sends nothing.
//!
//! Counts by the keys and rules of a run, over the whole corpus: the first try of every question, exactly, or at most
//! in a cascade. What it costs is estimated before any answer was seen. Memory grows with the corpus, by a hash a text
//! and a hash a question.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;

use crate::config::{Combine, Config, LimitsConfig, Price, TeacherConfig};
use crate::corpus;
use crate::domain::answer::AnswerKey;
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::flow::known::{Known, begins_anew, opinion};
use crate::teacher::Teacher;

/// Seconds that a request is assumed to take.
pub const ASSUMED_LATENCY: Duration = Duration::from_secs(1);

/// Tokens of requests: as expected, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tokens {
    /// Of prompts.
    pub prompt: u64,
    /// Of answers, as expected.
    pub completion: u64,
    /// Of answers, at most.
    pub completion_bound: u64,
}

/// What one teacher would be asked.
#[derive(Debug, Clone, PartialEq)]
pub struct TeacherPlan {
    /// Its name.
    pub name: String,
    /// Requests, one a question; in a cascade, at most. Second tries, where an answer names no label, come on top.
    pub requests: u64,
    /// Whether it is asked only where those before it are unsure: then all here is an upper bound.
    pub only_if_unsure: bool,
    /// Answers that are stored and used again.
    pub stored: u64,
    /// What the requests take.
    pub tokens: Tokens,
    /// Whether prompts were counted with the model's tokenizer; else they are estimated from their bytes.
    pub counted: bool,
    /// What the requests cost as expected, and at most; `None` without prices.
    pub cost: Option<(Decimal, Decimal)>,
    /// How long the requests take at the configured limits, if one takes [`ASSUMED_LATENCY`].
    pub duration: Duration,
}

/// What a run would ask.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Rows of the corpus.
    pub rows: u64,
    /// Of those, rows that cannot be used.
    pub bad_rows: u64,
    /// Of those, rows that are done or repeat an earlier one.
    pub known: u64,
    /// Every teacher.
    pub teachers: Vec<TeacherPlan>,
    /// Whether labels, teachers, prompts or parameters are others than those of the stored answers, so that texts are asked again.
    pub begins_anew: bool,
    /// What was spent so far.
    pub spent: Decimal,
    /// The cap.
    pub max_cost: Option<Decimal>,
}

impl Plan {
    /// What all requests cost as expected, and at most; `None` if any teacher that is asked has no prices.
    #[must_use]
    pub fn cost(&self) -> Option<(Decimal, Decimal)> {
        let asked = self.teachers.iter().filter(|teacher| teacher.requests > 0);
        asked.map(|teacher| teacher.cost).try_fold((Decimal::ZERO, Decimal::ZERO), |sum, cost| {
            let cost = cost?;
            Some((sum.0 + cost.0, sum.1 + cost.1))
        })
    }
}

/// The plan of `config` where its labels, teachers, prompts or parameters are others than those of the run directory, so that texts
/// that are done are asked about again; `None` where they are the same.
///
/// # Errors
///
/// Those of [`plan`].
pub fn plan_anew(config: &Config) -> Result<Option<Plan>> {
    if begins_anew(config)? { plan(config).map(Some) } else { Ok(None) }
}

/// Tells what a run of `config` would ask, and what that would cost and take. Reads the corpus and the run directory, sends
/// nothing and writes nothing.
///
/// # Errors
///
/// Those of a run that cannot begin, keys apart, which are not needed here.
pub fn plan(config: &Config) -> Result<Plan> {
    let known = Known::read(config)?;
    let mut corpus = corpus::open(&config.corpus)?;
    let mut plan = Plan {
        rows: 0,
        bad_rows: 0,
        known: 0,
        teachers: config.teachers.iter().zip(&known.teachers).map(|(config, teacher)| empty(config, teacher)).collect(),
        begins_anew: known.begins_anew && known.answers() > 0,
        spent: known.spent,
        max_cost: config.run.max_cost,
    };
    for teacher in plan.teachers.iter_mut().skip(1) {
        teacher.only_if_unsure = config.combine == Combine::Cascade;
    }
    let (mut ids, mut keys) = (HashSet::new(), HashSet::new());
    while let Some(row) = corpus.next_row()? {
        plan.rows += 1;
        let Ok(sample) = row.sample else {
            plan.bad_rows += 1;
            continue;
        };
        // Hashes, not ids: a corpus may be large.
        if !ids.insert(TextHash::of(&sample.id.0)) || known.is_done(&sample) {
            plan.known += 1;
            continue;
        }
        add(&mut plan, &known, config.combine, &sample, &mut keys)?;
    }
    for (plan, config) in plan.teachers.iter_mut().zip(&config.teachers) {
        if let TeacherConfig::OpenAi(openai) = config {
            plan.cost = openai.price.as_ref().map(|price| cost(price, &plan.tokens));
            plan.duration = duration(&openai.limits, plan.requests, &plan.tokens);
        }
    }
    Ok(plan)
}

/// A teacher of whom nothing has been counted yet.
fn empty(config: &TeacherConfig, teacher: &Arc<dyn Teacher>) -> TeacherPlan {
    TeacherPlan {
        name: config.name().to_owned(),
        requests: 0,
        only_if_unsure: false,
        stored: 0,
        tokens: Tokens::default(),
        counted: teacher.requests().is_some_and(|requests| requests.sizes_are_counted()),
        // A recording is free.
        cost: matches!(config, TeacherConfig::Recorded(_)).then_some((Decimal::ZERO, Decimal::ZERO)),
        duration: Duration::ZERO,
    }
}

/// Counts what is to be asked about one sample. `keys` are those counted before: equal texts are asked about once.
fn add(plan: &mut Plan, known: &Known, combine: Combine, sample: &Sample, keys: &mut HashSet<AnswerKey>) -> Result<()> {
    // In a cascade: what those before said, as long as all of it is stored.
    let mut said: Option<Vec<Opinion>> = Some(Vec::new());
    for (teacher, plan) in known.teachers.iter().zip(&mut plan.teachers) {
        let mut stored = Vec::new();
        for draw in 0..teacher.draws() {
            let key = teacher.key(sample, draw);
            if let Some(record) = known.stored(teacher.as_ref(), key) {
                plan.stored += 1;
                stored.push(record);
            } else if keys.insert(key) {
                plan.requests += 1;
                if let Some(requests) = teacher.requests() {
                    let size = requests
                        .size(sample)
                        .map_err(|message| Error::TeacherConfig { teacher: teacher.name().to_owned(), message })?;
                    plan.tokens.prompt += u64::from(size.prompt);
                    plan.tokens.completion += u64::from(size.completion);
                    plan.tokens.completion_bound += u64::from(size.completion_bound);
                }
            }
        }
        if combine == Combine::Cascade {
            // Only where all before are known can it be told that the next is not asked.
            let all_stored = stored.len() == teacher.draws() as usize;
            said = said.filter(|_| all_stored).map(|before| before.into_iter().chain([opinion(&stored)]).collect());
            if said.as_ref().is_some_and(|said| CandidateSet::merge(said.iter().cloned()).len() == 1) {
                break;
            }
        }
    }
    Ok(())
}

/// As expected, and if every answer is as long as it may be. Prompts are counted at the full price: what a provider
/// will have in its cache nobody knows.
fn cost(price: &Price, tokens: &Tokens) -> (Decimal, Decimal) {
    let of = |completion: u64| {
        let sum = price.input * Decimal::from(tokens.prompt) + price.output * Decimal::from(completion);
        sum / Decimal::from(1_000_000)
    };
    (of(tokens.completion), of(tokens.completion_bound))
}

/// The longest of what requests in flight, requests per minute and tokens per minute make of it, each as if the others
/// did not hold.
fn duration(limits: &LimitsConfig, requests: u64, tokens: &Tokens) -> Duration {
    let minutes = |units: u64, per_minute: Option<u32>| {
        per_minute.map_or(0.0, |per_minute| units as f64 / f64::from(per_minute.max(1)) * 60.0)
    };
    let at_once = requests.div_ceil(limits.max_in_flight as u64) as f64 * ASSUMED_LATENCY.as_secs_f64();
    let seconds = at_once
        .max(minutes(requests, limits.requests_per_minute))
        .max(minutes(tokens.prompt + tokens.completion, limits.tokens_per_minute));
    Duration::from_secs_f64(seconds)
}
