//! A certificate of an audit: what it says of the labels, and what that was made of. Another threshold follows from what is in it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::audit::{AuditOptions, Share, TestStep, Threshold, threshold};
use super::audited::Calibrated;

/// What a certificate is known by.
pub(super) const KIND: &str = "candist audit certificate";

/// What an audit says of the labels of a run, and what it was made of. Kept, handed on, and checked: all figures follow from `steps`
/// and `judged`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditCertificate {
    /// Always "candist audit certificate".
    pub kind: String,
    /// Always 1.
    pub format: u32,
    /// Of the program that made it.
    pub version: String,
    /// The run's task.
    pub task: String,
    /// The run's random name.
    pub run: String,
    /// When it was made, as RFC 3339 has it.
    pub date: String,
    /// Whether the audit had ended: then this is its last word.
    pub ended: bool,
    /// How the sample was drawn.
    pub sample: SampleFacts,
    /// All logs that it was judged by, as far as they were read.
    pub logs: Vec<LogFacts>,
    /// Labels that it is about: of the texts that were there when the corpus last ended.
    #[serde(alias = "final_labels")]
    pub labels: u64,
    /// Audited labels that are judged.
    pub audited: u64,
    /// The share of right labels, with the interval that holds that of all these labels with probability 95%.
    pub accuracy: Share,
    /// The same, of the labels that teachers name first.
    pub teacher_first: Share,
    /// Whether confidences tell how many labels are right.
    pub calibration: Calibrated,
    /// The share of wrong labels that the threshold allows.
    pub epsilon: f64,
    /// The chance that it allows for there to be more.
    pub delta: f64,
    /// From which confidence on labels are that good; none where it could not be shown.
    pub threshold: Option<Threshold>,
    /// In one sentence.
    pub says: String,
    /// What has to be known besides, a sentence each.
    pub doubts: Vec<String>,
    /// By what it was computed.
    pub methods: Methods,
    /// The parts of the labels that were tested, in the order of the test.
    pub steps: Vec<TestStep>,
    /// The confidences of the audited labels, the highest first, each with whether the label is right.
    pub judged: Vec<(f64, bool)>,
}

/// How a sample was drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SampleFacts {
    /// What decided which texts are drawn.
    pub seed: u64,
    /// When it was drawn first.
    pub drawn_at: String,
    /// Its sizes, one for each draw.
    pub draws: Vec<u64>,
    /// Labels that there were to draw from.
    pub population: u64,
    /// Texts of it that a person labelled.
    pub filled: u64,
    /// Of these, those from its beginning on without a gap: they alone count.
    pub counted: u64,
    /// Of these, texts that have no label any more, or another text.
    pub foreign: u64,
    /// Audits of this run that were drawn before.
    pub earlier: u64,
}

/// A log, as far as it was read.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogFacts {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Their BLAKE3 hash, as hexadecimal.
    pub blake3: String,
}

/// By what figures were computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Methods {
    /// The sample.
    pub sample: String,
    /// What people chose from.
    #[serde(default)]
    pub choices: String,
    /// Intervals of shares.
    pub interval: String,
    /// The threshold.
    pub threshold: String,
    /// The interval of the calibration error.
    pub calibration: String,
}

impl Default for Methods {
    fn default() -> Self {
        Self {
            sample: "uniform without replacement: the texts with the smallest BLAKE3 of seed and id, blind labels"
                .to_owned(),
            choices: "up to 9 labels in an order of chance, all of the task's where they are so few; else the run's, the next likeliest, those \
                      that teachers named, and others by chance, without saying which is which; all labels by search"
                .to_owned(),
            interval: "Clopper and Pearson, 95%".to_owned(),
            threshold: "fixed sequence testing of the most confident 5%, 10%, .. with exact binomial bounds".to_owned(),
            calibration: "bootstrap of the calibration error, 95%: its lower end basic and 0 where a test of calibrated confidences does not \
                          reject, its upper end moved by the mean bias"
                .to_owned(),
        }
    }
}

impl AuditCertificate {
    /// The same for another threshold.
    #[must_use]
    pub(crate) fn at(mut self, options: &AuditOptions) -> Self {
        let (epsilon, delta) = options.levels((self.epsilon, self.delta));
        if self.ended && (epsilon, delta) != (self.epsilon, self.delta) {
            let (wrong, sure) = (percent(self.epsilon), percent(1.0 - self.delta));
            self.doubts.push(format!(
                "The audit ended with a threshold for at most {wrong} wrong labels and {sure} confidence. This one was asked for when its \
                 figures were known: the best of several is no fair judge."
            ));
        }
        let threshold = threshold(&self.steps, &self.judged, epsilon, delta);
        Self { epsilon, delta, threshold, says: says(threshold.as_ref(), epsilon, delta), ..self }
    }

    /// The same, as the last word.
    #[must_use]
    pub(crate) fn ended(self) -> Self {
        Self { ended: true, ..self }
    }
}

/// What a threshold says, or that there is none.
pub(crate) fn says(threshold: Option<&Threshold>, epsilon: f64, delta: f64) -> String {
    let (wrong, sure) = (percent(epsilon), percent(1.0 - delta));
    match threshold {
        Some(found) => format!(
            "Of the labels with a confidence of {} or more, which are {} of all, at most {wrong} are wrong, with {sure} confidence.",
            found.confidence,
            percent(found.labels)
        ),
        None => format!(
            "No confidence from which on at most {wrong} of the labels are wrong could be shown with {sure} confidence: audit more, or \
             allow more."
        ),
    }
}

/// Shortest, with one digit after the point at most.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", (share * 1000.0).round() / 10.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_says_what_it_certifies_in_words() {
        let found = Threshold { confidence: 0.91, labels: 0.625, audited: 80, wrong: 1 };
        assert_eq!(
            says(Some(&found), 0.05, 0.05),
            "Of the labels with a confidence of 0.91 or more, which are 62.5% of all, at most 5% are wrong, with 95% confidence."
        );
        assert!(
            says(None, 0.025, 0.1).contains("at most 2.5% of the labels are wrong could be shown with 90% confidence")
        );
    }
}
