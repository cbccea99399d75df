//! What a run would ask, and what that would cost and take. Sends nothing.
//!
//! Counts by the keys and rules of a run, over the whole corpus or the first texts of it: the first try of every question,
//! exactly, or at most in a cascade. What it costs is estimated, or, where answers to these very questions are stored,
//! predicted from them: see `measured`. Memory grows with the corpus, by a hash a text and a hash a question.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use super::gold::GoldLabels;
use super::judging::{Judging, OnGold};
use super::measured::{Measured, Survey};
use super::preview::{Preview, preview};
use crate::config::{Combine, Config, LimitsConfig, Price, TeacherConfig};
use crate::corpus;
use crate::domain::answer::AnswerKey;
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::flow::first::First;
use crate::flow::known::{Known, begins_anew, opinion};
use crate::teacher::Teacher;

/// Seconds that a request is assumed to take as long as none was sent.
pub const ASSUMED_LATENCY: Duration = Duration::from_secs(1);

/// With fewer texts than about so many, confidences cannot be calibrated well: what they are fitted to is what the student says
/// of texts that it did not learn from, and of few texts it learns little.
pub const FEW_TEXTS: u64 = 300;

/// What a plan tells besides what would be asked.
#[derive(Debug, Clone, Copy, Default)]
pub struct PlanOptions<'a> {
    /// Of a pilot: of the first texts of the corpus alone.
    pub limit: Option<u64>,
    /// Texts of which the requests are shown, the first that would be asked about.
    pub show: usize,
    /// Gold labels, to judge the stored answers by.
    pub gold: Option<GoldLabels<'a>>,
}

/// Tokens of requests: as expected, and at most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Of prompts.
    pub prompt: u64,
    /// Of answers, as expected.
    pub completion: u64,
    /// Of answers, at most.
    pub completion_bound: u64,
}

/// What one teacher would be asked.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeacherPlan {
    /// Its name.
    pub name: String,
    /// Requests, one a question; in a cascade, at most. Second tries, where an answer names no label, come on top.
    pub requests: u64,
    /// Second tries, as many as there would be by the share of those that were measured; 0 where nothing was.
    pub second_tries: u64,
    /// Whether it is asked only where those before it are unsure: then all here is an upper bound.
    pub only_if_unsure: bool,
    /// Answers that are stored and used again.
    pub stored: u64,
    /// What the requests take, second tries apart.
    pub tokens: Tokens,
    /// Whether prompts were counted with the model's tokenizer; else they are estimated from their bytes.
    pub counted: bool,
    /// What stored answers to the same prompt say about requests, if there are enough of them. Tokens, cost and time are then
    /// predicted from it.
    pub measured: Option<Measured>,
    /// What the requests cost as expected, and at most, second tries included; `None` without prices.
    pub cost: Option<(Decimal, Decimal)>,
    /// How long the requests take at the configured limits, if one takes as long as was measured, or [`ASSUMED_LATENCY`]; in
    /// seconds where it is serialised.
    #[serde(rename = "seconds", serialize_with = "seconds")]
    pub duration: Duration,
}

/// What a run would ask.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Rows of the corpus; of a pilot, up to its last text.
    pub rows: u64,
    /// Of those, rows that cannot be used.
    pub bad_rows: u64,
    /// Of those, rows that are done or repeat an earlier one.
    pub known: u64,
    /// Texts that the rows hold, done ones included.
    pub texts: u64,
    /// Whether it is of the first texts alone, and the corpus may have more.
    pub limited: bool,
    /// Every teacher.
    pub teachers: Vec<TeacherPlan>,
    /// The requests about the first texts that would be asked about, as many as were wanted.
    pub shown: Vec<Preview>,
    /// How good the stored answers are, where there were gold labels to judge them by.
    pub on_gold: Option<OnGold>,
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

    /// Whether the corpus has too few texts for confidences to be calibrated well: see [`FEW_TEXTS`].
    #[must_use]
    pub fn has_few_texts(&self) -> bool {
        !self.limited && self.texts < FEW_TEXTS
    }
}

/// The plan of `config` where its labels, teachers, prompts or parameters are others than those of the run directory, so that texts
/// that are done are asked about again; `None` where they are the same. Of the first `limit` texts, if there is a limit.
///
/// # Errors
///
/// Those of [`plan`].
pub fn plan_anew(config: &Config, limit: Option<u64>) -> Result<Option<Plan>> {
    let options = PlanOptions { limit, ..PlanOptions::default() };
    // What is still to come of standard input nobody knows; of nothing, nothing is asked again.
    if config.corpus.is_stdin() && !corpus::has_kept(&config.corpus)? {
        return Ok(None);
    }
    if begins_anew(config)? { plan_with(config, options).map(Some) } else { Ok(None) }
}

/// Tells what a run of `config` would ask, and what that would cost and take. Reads the corpus and the run directory, sends
/// nothing and writes nothing.
///
/// # Errors
///
/// Those of a run that cannot begin, keys apart, which are not needed here.
pub fn plan(config: &Config) -> Result<Plan> {
    plan_with(config, PlanOptions::default())
}

/// As [`plan`], and what `options` want besides.
///
/// # Errors
///
/// Those of [`plan`], and [`Error::InputLine`] for a line of gold that cannot be used.
pub fn plan_with(config: &Config, options: PlanOptions<'_>) -> Result<Plan> {
    let known = Known::read(config)?;
    let mut judging = options.gold.map(|gold| Judging::read(gold, config, &known)).transpose()?;
    let mut corpus = corpus::open(&config.corpus)?;
    let mut plan = empty(config, &known);
    let mut surveys: Vec<Survey> = known.teachers.iter().map(|_| Survey::default()).collect();
    let (mut ids, mut keys, mut first) = (HashSet::new(), HashSet::new(), First::new(options.limit));
    while !first.are_met() {
        let Some(row) = corpus.next_row()? else { break };
        plan.rows += 1;
        let Ok(sample) = row.sample else {
            plan.bad_rows += 1;
            continue;
        };
        let arrived = known.arrived(&sample)?;
        if arrived == Some(false) {
            plan.bad_rows += 1;
            continue;
        }
        // Hashes, not ids: a corpus may be large.
        if !ids.insert(TextHash::of(&sample.id.0)) {
            plan.known += 1;
            continue;
        }
        first.meet(&sample.id);
        plan.texts += 1;
        for (survey, teacher) in surveys.iter_mut().zip(&known.teachers) {
            survey.look(teacher.as_ref(), &sample, &known)?;
        }
        if let Some(judging) = &mut judging {
            judging.look(&sample, &known)?;
        }
        if arrived.is_some() {
            plan.known += 1;
        } else if add(&mut plan, &known, config.combine, &sample, &mut keys)? && plan.shown.len() < options.show {
            plan.shown.push(preview(&known, &sample)?);
        }
    }
    plan.limited = first.are_met();
    plan.on_gold = judging.map(Judging::result);
    predict(&mut plan, config, &surveys);
    Ok(plan)
}

/// A plan in which nothing has been counted yet.
fn empty(config: &Config, known: &Known) -> Plan {
    let mut plan = Plan {
        rows: 0,
        bad_rows: 0,
        known: 0,
        texts: 0,
        limited: false,
        teachers: config
            .teachers
            .iter()
            .zip(&known.teachers)
            .map(|(config, teacher)| nothing_of(config, teacher))
            .collect(),
        shown: Vec::new(),
        on_gold: None,
        begins_anew: known.begins_anew && known.has_answers(),
        spent: known.spent,
        max_cost: config.run.max_cost,
    };
    for teacher in plan.teachers.iter_mut().skip(1) {
        teacher.only_if_unsure = config.combine == Combine::Cascade;
    }
    plan
}

/// A teacher of whom nothing has been counted yet.
fn nothing_of(config: &TeacherConfig, teacher: &Arc<dyn Teacher>) -> TeacherPlan {
    TeacherPlan {
        name: config.name().to_owned(),
        requests: 0,
        second_tries: 0,
        only_if_unsure: false,
        stored: 0,
        tokens: Tokens::default(),
        counted: teacher.requests().is_some_and(|requests| requests.sizes_are_counted()),
        measured: None,
        // A recording is free.
        cost: matches!(config, TeacherConfig::Recorded(_)).then_some((Decimal::ZERO, Decimal::ZERO)),
        duration: Duration::ZERO,
    }
}

/// Counts what is to be asked about one sample; gives whether anything is. `keys` are those counted before: equal texts
/// are asked about once.
fn add(
    plan: &mut Plan,
    known: &Known,
    combine: Combine,
    sample: &Sample,
    keys: &mut HashSet<AnswerKey>,
) -> Result<bool> {
    // In a cascade: what those before said, as long as all of it is stored.
    let mut said: Option<Vec<Opinion>> = Some(Vec::new());
    let mut is_asked = false;
    for (teacher, plan) in known.teachers.iter().zip(&mut plan.teachers) {
        let mut stored = Vec::new();
        for draw in 0..teacher.draws() {
            let key = teacher.key(sample, draw);
            if known.has(teacher.as_ref(), key)? {
                plan.stored += 1;
                if combine == Combine::Cascade {
                    stored.extend(known.latest(key)?);
                }
            } else if keys.insert(key) {
                is_asked = true;
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
    Ok(is_asked)
}

/// From what was counted to what it takes: tokens, costs, time. What was measured goes before what is assumed.
fn predict(plan: &mut Plan, config: &Config, surveys: &[Survey]) {
    for ((number, teacher), (config, survey)) in
        plan.teachers.iter_mut().enumerate().zip(config.teachers.iter().zip(surveys))
    {
        let TeacherConfig::OpenAi(openai) = config else { continue };
        teacher.measured = survey.measured();
        if let Some(measured) = &teacher.measured {
            teacher.tokens = measured.predict(teacher.requests, &teacher.tokens);
            teacher.second_tries = (teacher.requests as f64 * measured.second_tries).round() as u64;
        }
        let measured = teacher.measured.as_ref();
        teacher.cost = openai.price.as_ref().map(|price| cost(price, teacher));
        teacher.duration = duration(&openai.limits, teacher);
        for shown in plan.shown.iter_mut().flat_map(|preview| &mut preview.requests) {
            if shown.number == number {
                shown.predict(measured, openai.price.as_ref());
            }
        }
    }
}

/// As expected, and if every answer is as long as it may be. The first with as much of the prompts in the provider's cache as
/// was measured; the last, and where nothing was, at the full price.
fn cost(price: &Price, teacher: &TeacherPlan) -> (Decimal, Decimal) {
    let tokens = &teacher.tokens;
    let cached = teacher.measured.as_ref().map_or(0, |measured| measured.cached_of(tokens.prompt));
    let of = |cached: u64, completion: u64| {
        let usage = crate::domain::answer::Usage {
            prompt_tokens: tokens.prompt,
            completion_tokens: completion,
            cached_tokens: cached,
        };
        let sum = price.of(&usage);
        // Second tries cost as much as first ones, on average.
        match teacher.requests {
            0 => sum,
            requests => sum + sum * Decimal::from(teacher.second_tries) / Decimal::from(requests),
        }
    };
    let expected = of(cached, tokens.completion);
    (expected.round_dp(6), of(0, tokens.completion_bound).max(expected).round_dp(6))
}

/// The longest of what requests in flight, requests per minute and tokens per minute make of it, each as if the others
/// did not hold.
fn duration(limits: &LimitsConfig, teacher: &TeacherPlan) -> Duration {
    let requests = teacher.requests + teacher.second_tries;
    let minutes = |units: u64, per_minute: Option<u32>| {
        per_minute.map_or(0.0, |per_minute| units as f64 / f64::from(per_minute.max(1)) * 60.0)
    };
    let latency = teacher.measured.as_ref().and_then(|measured| measured.seconds);
    let latency = latency.unwrap_or(ASSUMED_LATENCY.as_secs_f64());
    let at_once = requests.div_ceil(limits.max_in_flight as u64) as f64 * latency;
    let seconds = at_once
        .max(minutes(requests, limits.requests_per_minute))
        .max(minutes(teacher.tokens.prompt + teacher.tokens.completion, limits.tokens_per_minute));
    // Out of what a duration can hold, it is of no use either.
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}
