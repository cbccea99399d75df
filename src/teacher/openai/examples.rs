//! Few-shot examples: the same for every text, or those most like it.
//!
//! The fixed ones belong to the part of the prompt that is the same bytes for all texts, which providers keep in their
//! caches. The nearest ones teach more and cost more, for they follow that part. Either way they are a function of the
//! text and of the file, so an answer's key covers them.

use std::collections::HashMap;

use serde::Deserialize;

use crate::base::ngrams::ngrams;
use crate::config::{Choose, ExamplesConfig};
use crate::domain::label::LabelSet;
use crate::domain::sample::short_hash;

/// Hash buckets of the n-grams by which texts are compared; collisions cost a little likeness.
const BUCKETS: u32 = 1 << 20;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExampleLine {
    text: String,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    labels: Vec<String>,
    /// Corpora carry ids; they say nothing here.
    #[serde(default, rename = "id")]
    _id: serde::de::IgnoredAny,
}

/// A text and its answer, as JSON in the form that is asked for.
#[derive(Debug)]
struct Example {
    text: String,
    answer: String,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Examples {
    all: Vec<Example>,
    /// Examples with each text, at most: a file may have fewer.
    shots: usize,
    choose: Choose,
    /// For every n-gram, the examples that have it, with its weight there. Empty unless the nearest are wanted.
    by_ngram: HashMap<u32, Vec<(usize, f32)>>,
}

impl Examples {
    /// Reads the file; says what is wrong with it and where.
    pub(super) fn read(config: &ExamplesConfig, labels: &LabelSet) -> Result<Self, String> {
        let path = config.path.display();
        let content = std::fs::read_to_string(&config.path)
            .map_err(|error| format!("cannot read the examples {path}: check the path ({error})"))?;
        let mut all = Vec::new();
        for (number, line) in (1..).zip(content.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            all.push(example(line, labels).map_err(|message| format!("{path}:{number}: {message}"))?);
        }
        if all.is_empty() {
            return Err(format!(
                "the examples {path} are empty: add lines like {{\"text\": \"..\", \"label\": \"..\"}}"
            ));
        }
        // An inverted index: a text is compared only with examples that share an n-gram with it.
        let mut by_ngram: HashMap<u32, Vec<(usize, f32)>> = HashMap::new();
        if config.choose == Choose::Nearest {
            for (index, example) in all.iter().enumerate() {
                let encoded = ngrams(&example.text, BUCKETS);
                for (&id, &weight) in encoded.ids.iter().zip(&encoded.weights) {
                    by_ngram.entry(id).or_default().push((index, weight));
                }
            }
        }
        Ok(Self { all, shots: config.shots, choose: config.choose, by_ngram })
    }

    /// Changes when the examples, or how they are chosen, do.
    pub(super) fn fingerprint(&self) -> [u8; 16] {
        let how = format!("{:?} {}", self.choose, self.shots);
        let texts = self.all.iter().flat_map(|example| [example.text.as_bytes(), example.answer.as_bytes()]);
        let parts: Vec<&[u8]> = std::iter::once(how.as_bytes()).chain(texts).collect();
        short_hash(&parts)
    }

    /// Those shown with every text.
    pub(super) fn fixed(&self) -> impl Iterator<Item = (&str, &str)> {
        let count = if self.choose == Choose::Fixed { self.shots } else { 0 };
        self.all.iter().take(count).map(|example| (example.text.as_str(), example.answer.as_str()))
    }

    /// Those most like `text` by the cosine of their bags of n-grams, the most like last; none if the same are shown with
    /// every text.
    pub(super) fn nearest(&self, text: &str) -> Vec<(&str, &str)> {
        if self.choose == Choose::Fixed {
            return Vec::new();
        }
        let encoded = ngrams(text, BUCKETS);
        // The bags are of length one, so the sum of products is the cosine. Summed in the order of the text's n-grams:
        // the same each time.
        let mut likeness = vec![0.0_f32; self.all.len()];
        for (id, weight) in encoded.ids.iter().zip(&encoded.weights) {
            for &(index, other) in self.by_ngram.get(id).into_iter().flatten() {
                if let Some(sum) = likeness.get_mut(index) {
                    *sum += weight * other;
                }
            }
        }
        let mut order: Vec<(f32, &Example)> = likeness.into_iter().zip(&self.all).collect();
        // Stable: of two that are as like, the earlier in the file is nearer.
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        order.truncate(self.shots);
        order.into_iter().rev().map(|(_, example)| (example.text.as_str(), example.answer.as_str())).collect()
    }
}

/// The example in one line of the file. A label that is none of the task's is an error: as an example it would teach
/// the model to name what cannot be used.
fn example(line: &str, labels: &LabelSet) -> Result<Example, String> {
    let line: ExampleLine = serde_json::from_str(line)
        .map_err(|error| format!("is no example ({error}); expected {{\"text\": \"..\", \"label\": \"..\"}}"))?;
    let names = line.label.into_iter().chain(line.labels);
    // As the task spells them, whatever the file does: the model is to answer with these.
    let names: Vec<&str> = names
        .map(|name| match labels.resolve(&name) {
            Some(label) => Ok(labels.name(label)),
            None => {
                let near = labels.nearest(&name).map(|near| format!(" (like {near:?})")).unwrap_or_default();
                Err(format!("the label {name:?} is none of the task's{near}"))
            }
        })
        .collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err("has no label: add \"label\", or \"labels\"".to_owned());
    }
    Ok(Example { text: line.text, answer: serde_json::json!({ "labels": names }).to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    #[test]
    fn what_is_no_example_is_named_with_its_line() {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(vec![label("refund"), label("other")]).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("shots.jsonl");
        let read = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let config = ExamplesConfig { path: path.clone(), shots: 3, choose: Choose::Nearest };
            Examples::read(&config, &labels).map(|examples| examples.all.len())
        };
        let good = r#"{"id": 7, "text": "t", "labels": ["refund", "other"]}"#;
        assert_eq!(read(&format!("{good}\n\n{good}\n")), Ok(2));
        for (content, expected) in [
            (
                format!("{good}\n{{\"text\": \"t\", \"label\": \"refnd\"}}"),
                ":2: the label \"refnd\" is none of the task's (like",
            ),
            ("{\"text\": \"t\"}".to_owned(), ":1: has no label"),
            ("{\"txt\": 1}".to_owned(), ":1: is no example"),
            (String::new(), "are empty"),
        ] {
            let error = read(&content).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
