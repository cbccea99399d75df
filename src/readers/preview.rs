//! Requests as they would be sent, to be looked at before they are paid for.

use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;

use super::measured::Measured;
use crate::config::Price;
use crate::domain::answer::Usage;
use crate::domain::sample::{Sample, SampleId};
use crate::error::{Error, Result};
use crate::flow::known::Known;
use crate::teacher::Size;

/// The requests about one text, one for each teacher that is asked by requests and has not answered.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Preview {
    /// The text's id.
    pub id: SampleId,
    /// In the order of the teachers.
    pub requests: Vec<PreviewedRequest>,
}

/// A request as it would be sent, the key apart.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PreviewedRequest {
    /// Who is asked.
    pub teacher: String,
    /// Its place in the configuration, from 0.
    #[serde(skip)]
    pub(super) number: usize,
    /// Where it is sent. Of a query only the names: their values may be secrets.
    pub url: String,
    /// How often it is sent: once for each draw.
    pub draws: u32,
    /// The body, with all messages.
    pub body: Value,
    /// Tokens of the prompt, as expected.
    pub prompt: u64,
    /// Tokens of the prompt, at most.
    pub prompt_bound: u64,
    /// Tokens of the answer, as expected.
    pub completion: u64,
    /// Tokens of the answer, at most.
    pub completion_bound: u64,
    /// What one costs as expected, and at most; `None` without prices.
    pub cost: Option<(Decimal, Decimal)>,
}

/// The requests that are open about `sample`.
pub(super) fn preview(known: &Known, sample: &Sample) -> Result<Preview> {
    let mut shown = Preview { id: sample.id.clone(), requests: Vec::new() };
    for (number, teacher) in known.teachers.iter().enumerate() {
        let Some(requests) = teacher.requests() else { continue };
        let mut draws = 0;
        for draw in 0..teacher.draws() {
            draws += u32::from(!known.has(teacher.as_ref(), teacher.key(sample, draw))?);
        }
        if draws == 0 {
            continue;
        }
        let wrong = |message| Error::TeacherConfig { teacher: teacher.name().to_owned(), message };
        let Size { prompt, prompt_bound, completion, completion_bound } = requests.size(sample).map_err(wrong)?;
        shown.requests.push(PreviewedRequest {
            teacher: teacher.name().to_owned(),
            number,
            url: requests.url(),
            draws,
            body: requests.body(sample).map_err(wrong)?.1,
            prompt: prompt.into(),
            prompt_bound: prompt_bound.into(),
            completion: completion.into(),
            completion_bound: completion_bound.into(),
            cost: None,
        });
    }
    Ok(shown)
}

impl PreviewedRequest {
    /// Its tokens by what was measured, and its cost.
    pub(super) fn predict(&mut self, measured: Option<&Measured>, price: Option<&Price>) {
        if let Some(measured) = measured {
            let expected = super::plan::Tokens { prompt: self.prompt, ..super::plan::Tokens::default() };
            let predicted = measured.predict(1, &expected);
            (self.prompt, self.completion) = (predicted.prompt.min(self.prompt_bound), predicted.completion);
        }
        let of = |prompt_tokens, completion_tokens, cached_tokens| {
            price.map(|price| price.of(&Usage { prompt_tokens, completion_tokens, cached_tokens }))
        };
        let cached = measured.map_or(0, |measured| measured.cached_of(self.prompt));
        let expected = of(self.prompt, self.completion, cached);
        self.cost = expected.zip(of(self.prompt_bound, self.completion_bound, 0));
    }
}
