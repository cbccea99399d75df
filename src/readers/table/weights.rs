//! What the teachers' answers say of each candidate.

use std::borrow::Cow;

use serde::Deserialize;

use super::row::digits;
use crate::domain::label::{LabelId, LabelSet};

/// What one teacher said, as the input log has it, without who it was.
#[derive(Debug, Deserialize)]
pub(super) struct Said<'a> {
    #[serde(borrow)]
    labels: Vec<Name<'a>>,
    #[serde(default)]
    weights: Vec<f64>,
}

/// A label's name. A type of its own, for strings in lists are borrowed by way of one alone.
#[derive(Debug, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// The candidates, in the order in which they are first named, with the mean of their shares in the answers that name any
/// label. In an answer, a candidate's share is its weight by the sum of the weights there (stated, token probabilities or
/// votes); in an answer without weights all it names have the same, for nothing says more: an order is no number.
pub(super) fn weighted(said: &[Said<'_>], labels: &LabelSet) -> Result<Vec<(LabelId, f64)>, String> {
    let mut candidates: Vec<(LabelId, f64)> = Vec::new();
    let mut answers = 0.0;
    for said in said.iter().filter(|said| !said.labels.is_empty()) {
        answers += 1.0;
        let has_weights = said.weights.len() == said.labels.len();
        let sum = if has_weights { said.weights.iter().sum() } else { said.labels.len() as f64 };
        for (rank, Name(name)) in said.labels.iter().enumerate() {
            let label = labels.exact(name).ok_or_else(|| format!("names {name:?}, no label of the task"))?;
            let share = said.weights.get(rank).filter(|_| has_weights).copied().unwrap_or(1.0) / sum;
            match candidates.iter_mut().find(|(other, _)| *other == label) {
                Some((_, shares)) => *shares += share,
                None => candidates.push((label, share)),
            }
        }
    }
    for (_, shares) in &mut candidates {
        *shares = digits(*shares / answers);
    }
    Ok(candidates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;
    use proptest::prelude::*;

    fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        LabelSet::new(["a", "b", "c", "d"].map(label).to_vec()).unwrap()
    }

    fn of(said: &str) -> Vec<(u16, f64)> {
        let said: Vec<Said<'_>> = serde_json::from_str(said).unwrap();
        weighted(&said, &labels()).unwrap().into_iter().map(|(label, weight)| (label.0, weight)).collect()
    }

    #[test]
    fn shares_are_those_of_the_weights_or_equal() {
        assert_eq!(of("[]"), []);
        assert_eq!(of(r#"[{"teacher": "x", "labels": []}]"#), []);
        assert_eq!(of(r#"[{"labels": ["c", "a"]}]"#), [(2, 0.5), (0, 0.5)]);
        assert_eq!(of(r#"[{"labels": ["c", "a"], "weights": [0.6, 0.2]}]"#), [(2, 0.75), (0, 0.25)]);
        // The mean over those who named any: (1/2 + 1) / 2 and (1/2 + 0) / 2.
        assert_eq!(of(r#"[{"labels": ["a", "b"]}, {"labels": []}, {"labels": ["b"]}]"#), [(0, 0.25), (1, 0.75)]);
    }

    proptest! {
        #[test]
        fn they_sum_to_one(said in prop::collection::vec((prop::sample::subsequence(vec!["a", "b", "c", "d"], 0..=4), any::<bool>(), 0.001_f64..1.0), 0..5)) {
            let json: Vec<_> = said.iter().map(|(labels, weighed, first)| {
                let weights: Vec<f64> = labels.iter().enumerate().map(|(rank, _)| first / (rank + 1) as f64).collect();
                if *weighed { serde_json::json!({"labels": labels, "weights": weights}) } else { serde_json::json!({"labels": labels}) }
            }).collect();
            let weighted = of(&serde_json::to_string(&json).unwrap());
            let sum: f64 = weighted.iter().map(|(_, weight)| weight).sum();
            prop_assert!(weighted.is_empty() || (sum - 1.0).abs() < 1e-3, "{sum}");
            prop_assert!(weighted.iter().all(|(_, weight)| (0.0..=1.0).contains(weight)));
        }
    }
}
