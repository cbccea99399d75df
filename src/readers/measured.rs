//! What stored answers say about requests: tokens, seconds, cost, second tries. For plans, which predict by it.
//!
//! Only answers to the very questions of the configuration count: those of another prompt or model are stored under other
//! keys, and are not found.

use std::collections::HashSet;

use rust_decimal::Decimal;
use serde::Serialize;

use super::plan::Tokens;
use crate::domain::answer::{AnswerKey, Usage};
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::flow::known::Known;
use crate::teacher::Teacher;

/// Fewer answers say too little.
const FEWEST: u64 = 10;
/// More say nothing new, and each costs the size of a request.
const MOST: usize = 2000;

/// What requests of one teacher took, on average.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Measured {
    /// Answers that it was measured on.
    pub answers: u64,
    /// Tokens of a prompt, as the provider counts.
    pub prompt: f64,
    /// Tokens of an answer.
    pub completion: f64,
    /// The share of the prompts' tokens that the provider had in its cache.
    pub cached: f64,
    /// The share of questions that were asked a second time, since the first answer named no label.
    pub second_tries: f64,
    /// Seconds from sending a request to having its reply; none where no answer says it.
    pub seconds: Option<f64>,
    /// What an answer cost; none where not all of them say it.
    pub cost: Option<Decimal>,
    /// Tokens of a prompt for each that was expected before any was counted.
    #[serde(skip)]
    ratio: f64,
}

impl Measured {
    /// The tokens of `requests` requests, of which `expected` was expected.
    pub(super) fn predict(&self, requests: u64, expected: &Tokens) -> Tokens {
        Tokens {
            prompt: (expected.prompt as f64 * self.ratio).round() as u64,
            completion: (requests as f64 * self.completion).round() as u64,
            completion_bound: expected.completion_bound,
        }
    }

    /// Of so many tokens of prompts, those that the provider has in its cache.
    pub(super) fn cached_of(&self, prompt: u64) -> u64 {
        (prompt as f64 * self.cached) as u64
    }
}

/// Looks at the stored answers of one teacher.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Equal texts have one answer, which counts once.
    seen: HashSet<AnswerKey>,
    usage: Usage,
    /// Tokens of the prompts as they were expected.
    expected: u64,
    second_tries: u64,
    /// Answers that say how long they took, and how long.
    timed: (u64, f64),
    /// Answers that say what they cost, and how much.
    paid: (u64, Decimal),
}

impl Survey {
    /// Takes in what is stored of `sample`.
    pub(super) fn look(&mut self, teacher: &dyn Teacher, sample: &Sample, known: &Known) -> Result<()> {
        let Some(requests) = teacher.requests() else { return Ok(()) };
        for draw in 0..teacher.draws() {
            let key = teacher.key(sample, draw);
            if self.seen.len() >= MOST || self.seen.contains(&key) {
                continue;
            }
            // An answer without tokens is a refusal, or a server's that counts none.
            let Some(stored) = known.latest(key)?.filter(|stored| stored.usage.is_some()) else { continue };
            self.seen.insert(key);
            self.usage.add(stored.usage.unwrap_or_default());
            self.expected += requests.size(sample).map_or(0, |size| u64::from(size.prompt));
            self.second_tries += u64::from(stored.attempt > 1);
            if let Some(seconds) = stored.seconds {
                self.timed = (self.timed.0 + 1, self.timed.1 + seconds);
            }
            if let Some(cost) = stored.cost {
                self.paid = (self.paid.0 + 1, self.paid.1 + cost);
            }
        }
        Ok(())
    }

    /// What was seen, if it is enough.
    pub(super) fn measured(&self) -> Option<Measured> {
        let answers = self.seen.len() as u64;
        if answers < FEWEST || self.usage.prompt_tokens == 0 {
            return None;
        }
        let mean = |sum: u64| sum as f64 / answers as f64;
        Some(Measured {
            answers,
            prompt: mean(self.usage.prompt_tokens),
            completion: mean(self.usage.completion_tokens),
            cached: (self.usage.cached_tokens as f64 / self.usage.prompt_tokens as f64).min(1.0),
            second_tries: mean(self.second_tries),
            seconds: (self.timed.0 > 0).then(|| self.timed.1 / self.timed.0 as f64),
            cost: (self.paid.0 == answers).then(|| (self.paid.1 / Decimal::from(answers)).round_dp(9)),
            ratio: if self.expected > 0 { self.usage.prompt_tokens as f64 / self.expected as f64 } else { 1.0 },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_measured_predicts_the_rest() {
        let mut survey = Survey {
            usage: Usage { prompt_tokens: 1_000, completion_tokens: 50, cached_tokens: 500 },
            expected: 500,
            second_tries: 1,
            timed: (5, 2.5),
            paid: (10, Decimal::ONE),
            ..Survey::default()
        };
        assert_eq!(survey.measured(), None);
        survey.seen = (0..10).map(|key| AnswerKey([key; 16])).collect();
        let measured = survey.measured().unwrap();
        assert_eq!((measured.answers, measured.prompt, measured.completion), (10, 100.0, 5.0));
        assert_eq!((measured.cached, measured.second_tries, measured.seconds), (0.5, 0.1, Some(0.5)));
        assert_eq!(measured.cost, Some("0.1".parse().unwrap()));
        // Prompts are twice as long as expected, answers as long as those that were seen.
        let expected = Tokens { prompt: 5_000, completion: 2_400, completion_bound: 25_600 };
        let predicted = measured.predict(100, &expected);
        assert_eq!(predicted, Tokens { prompt: 10_000, completion: 500, completion_bound: 25_600 });
        assert_eq!(measured.cached_of(10_000), 5_000);
        // Where some answers do not say what they cost, the mean of the others is no mean of all.
        survey.paid = (9, Decimal::ONE);
        assert_eq!(survey.measured().unwrap().cost, None);
    }
}
