//! How far a run is, at one moment: what `status.json` holds and what is shown of it.

use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::progress::Phase;

/// A label that was given a moment ago.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NewLabel {
    /// The text's id.
    pub id: String,
    /// How the text begins.
    pub text: String,
    /// Its label.
    pub label: String,
    /// Probability of the label, 0 to 1.
    pub confidence: f64,
}

/// That nothing is sent to a server for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pause {
    /// For how many seconds more.
    pub seconds: f64,
    /// Why, and to whom.
    pub why: String,
}

/// The counters at one moment, as `status.json` has them; see [`Progress`](super::progress::Progress) for their meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[expect(missing_docs, reason = "the other fields are those of Progress")]
pub struct Status {
    pub phase: Phase,
    /// Rows of the corpus, once they are counted.
    #[serde(default)]
    pub total: Option<u64>,
    /// Rows that need no answer any more: annotated, failed, unusable, known from before.
    #[serde(default)]
    pub done: u64,
    pub rows: u64,
    /// Samples that were read and have no position yet.
    pub pending: u64,
    pub bad_rows: u64,
    pub placed: u64,
    pub failed: u64,
    #[serde(default)]
    pub unanswered: u64,
    #[serde(default)]
    pub answered: u64,
    pub asked: u64,
    #[serde(default)]
    pub in_flight: u64,
    #[serde(default)]
    pub retries: u64,
    /// That nothing is sent just now.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// What answers cost so far; in `status.json` with what is on its way, at its worst.
    #[serde(with = "rust_decimal::serde::str")]
    #[schemars(with = "String")]
    pub cost: Decimal,
    /// What answers cost so far, and requests of unknown outcome may have cost.
    #[serde(default, with = "rust_decimal::serde::str")]
    #[schemars(with = "String")]
    pub spent: Decimal,
    /// Of that, what was spent before this process began.
    #[serde(default, with = "rust_decimal::serde::str")]
    #[schemars(with = "String")]
    pub spent_before: Decimal,
    /// The cap, where there is one.
    #[serde(default, with = "rust_decimal::serde::str_option")]
    #[schemars(with = "Option<String>")]
    pub max_cost: Option<Decimal>,
    pub consumed: u64,
    pub events: u64,
    pub steps: u64,
    #[serde(default)]
    pub pass: u64,
    /// Passes over the memory at the corpus' end, at most; 0 before it is known.
    #[serde(default)]
    pub max_passes: u64,
    /// Seconds since this process began.
    #[serde(default)]
    pub elapsed_s: f64,
    /// The newest labels, the newest first.
    #[serde(default)]
    pub newest: Vec<NewLabel>,
    /// Why the labels' confidences are a ranking and no probabilities, where that is so.
    #[serde(default)]
    pub calibration_doubt: Option<String>,
}

/// Answers from which on their mean cost says something about the others.
const ENOUGH: u64 = 10;

impl Status {
    /// Rows that are still to be done, where that is known.
    #[must_use]
    pub fn left(&self) -> Option<u64> {
        Some(self.total?.saturating_sub(self.done))
    }

    /// Samples that have a position, and that the student has not taken in yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        // Counters are read one after the other while they grow.
        self.placed.saturating_sub(self.consumed)
    }

    /// What the whole corpus will have cost, if the rest costs as much a text as this process paid so far. `None` where
    /// nothing was paid, or too little is known.
    #[must_use]
    pub fn projected(&self) -> Option<Decimal> {
        let (left, paid) = (self.left()?, self.spent - self.spent_before);
        if paid <= Decimal::ZERO || self.answered < ENOUGH {
            return None;
        }
        paid.checked_mul(Decimal::from(left))?.checked_div(Decimal::from(self.answered))?.checked_add(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::progress::Progress;

    #[test]
    fn a_file_of_an_earlier_version_is_read() {
        let old = r#"{"phase":"settling","rows":9,"pending":0,"bad_rows":1,"placed":8,"failed":2,"asked":8,"cost":"0.5",
            "consumed":8,"events":12,"steps":3}"#;
        let status: Status = serde_json::from_str(old).unwrap();
        assert_eq!(
            (status.phase, status.total, status.spent, status.max_cost),
            (Phase::Settling, None, Decimal::ZERO, None)
        );
        let line = serde_json::to_string(&status).unwrap();
        assert_eq!(serde_json::from_str::<Status>(&line).unwrap(), status);
    }

    #[test]
    fn the_rest_is_projected_by_what_this_process_paid() {
        let of = |answered| Status {
            total: Some(1000),
            done: 600,
            answered,
            spent: "3".parse().unwrap(),
            spent_before: "1".parse().unwrap(),
            ..Progress::default().snapshot()
        };
        // 2.00 for 400 texts, and 400 to go.
        assert_eq!(of(400).projected(), Some("5".parse().unwrap()));
        assert_eq!(of(9).projected(), None);
        assert_eq!(Status { total: None, ..of(400) }.projected(), None);
        assert_eq!(Status { spent: Decimal::ONE, ..of(400) }.projected(), None);
    }
}
