//! What is said of a text whose labels have some probabilities: the label, or the likeliest ones. The same wherever a student is
//! asked: by the command line, by streams, over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::argmax;

/// The candidates of an uncertain text are the likeliest labels that together have this probability.
const COVERED: f32 = 0.9;

/// What a student says of one text.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Prediction<'a> {
    /// The text's id; without one, its hash.
    pub id: &'a str,
    /// None where the student is less sure than asked for.
    pub label: Option<&'a str>,
    /// The probability of the likeliest label, four digits after the point.
    pub confidence: f64,
    /// The likeliest labels, likeliest first; only where there is no label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<&'a str>,
}

impl<'a> Prediction<'a> {
    /// Of the text `id`, whose `labels` have the probabilities `p`; with a label where the likeliest has `least` or more. The
    /// confidence is compared as it is printed: who filters the output by the same number gets the same lines.
    #[must_use]
    pub fn new(id: &'a str, p: &[f32], labels: &'a [String], least: f64) -> Self {
        let name = |label: usize| labels.get(label).map_or("", String::as_str);
        let best = argmax(p).unwrap_or_default();
        let confidence = (f64::from(p.get(best).copied().unwrap_or_default()) * 1e4).round() / 1e4;
        if confidence >= least {
            return Self { id, label: Some(name(best)), confidence, candidates: Vec::new() };
        }
        let mut order: Vec<(usize, f32)> = p.iter().copied().enumerate().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut covered = 0.0;
        let candidates = order
            .into_iter()
            // Up to and with the label that reaches it.
            .take_while(|(_, p)| {
                let before = covered;
                covered += p;
                before < COVERED
            })
            .map(|(label, _)| name(label))
            .collect();
        Self { id, label: None, confidence, candidates }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_sure_enough_names_what_it_may_be() {
        let labels = ["a", "b", "c", "d"].map(str::to_owned);
        let p = [0.1, 0.612_34, 0.25, 0.037_66];
        let sure = Prediction::new("1", &p, &labels, 0.6123);
        assert_eq!((sure.label, sure.confidence, sure.candidates.len()), (Some("b"), 0.6123, 0));
        let unsure = Prediction::new("1", &p, &labels, 0.6124);
        assert_eq!((unsure.label, unsure.confidence, unsure.candidates), (None, 0.6123, vec!["b", "c", "a"]));
    }
}
