//! The recordings, and finding the one that a request asks for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// What the built-in and most other prompts put in front of the text.
const MARKER: &str = "Text: ";

type ByText = HashMap<String, Vec<String>>;

/// Recorded labels by teacher and text.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    by_teacher: HashMap<String, ByText>,
    merged: ByText,
}

#[derive(Deserialize)]
struct CorpusLine {
    id: String,
    text: String,
}

#[derive(Deserialize)]
struct RecordedLine {
    id: String,
    #[serde(default)]
    teacher: String,
    labels: Vec<String>,
}

fn read_lines<T: for<'a> Deserialize<'a>>(path: &Path) -> anyhow::Result<Vec<T>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines().map(|line| serde_json::from_str(line).with_context(|| format!("in {}", path.display()))).collect()
}

impl Answers {
    /// Reads the texts and what was recorded about them.
    pub(crate) fn read(corpus: &Path, recordings: &[PathBuf]) -> anyhow::Result<Self> {
        let texts: HashMap<String, String> =
            read_lines::<CorpusLine>(corpus)?.into_iter().map(|line| (line.id, line.text)).collect();
        let mut answers = Self::default();
        for path in recordings {
            for line in read_lines::<RecordedLine>(path)? {
                let Some(text) = texts.get(&line.id) else { continue };
                let merged = answers.merged.entry(text.clone()).or_default();
                for label in &line.labels {
                    if !merged.contains(label) {
                        merged.push(label.clone());
                    }
                }
                answers.by_teacher.entry(line.teacher).or_default().insert(text.clone(), line.labels);
            }
        }
        Ok(answers)
    }

    /// Makes answers up for the texts of a table (CSV), by its column of right labels: `noise` of them name a wrong label
    /// first, and most of these the right one after it; some of the others name a second label too. Always the same ones.
    pub(crate) fn of_table(table: &Path, text: &str, label: &str, noise: f64) -> anyhow::Result<Self> {
        let mut reader = csv::Reader::from_path(table).with_context(|| format!("cannot read {}", table.display()))?;
        let headers = reader.headers()?.clone();
        let place = |name: &str| {
            let found = headers.iter().position(|header| header == name);
            found.with_context(|| format!("{} has no column {name:?}", table.display()))
        };
        let (text, label) = (place(text)?, place(label)?);
        let mut rows = Vec::new();
        for row in reader.records() {
            let row = row.with_context(|| format!("in {}", table.display()))?;
            let cell = |place: usize| row.get(place).unwrap_or_default().to_owned();
            rows.push((cell(text), cell(label)));
        }
        let mut labels: Vec<String> =
            rows.iter().map(|(_, label)| label.clone()).filter(|label| !label.is_empty()).collect();
        labels.sort();
        labels.dedup();
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut answers = Self::default();
        for (text, right) in rows {
            let other = labels.get(rng.random_range(0..labels.len().max(1))).cloned().unwrap_or_default();
            let (is_wrong, has_second) = (rng.random_bool(noise.clamp(0.0, 1.0)), rng.random_bool(0.6));
            let mut said = match (is_wrong, has_second) {
                (true, true) => vec![other, right],
                (true, false) => vec![other],
                (false, true) if rng.random_bool(0.3) => vec![right, other],
                (false, _) => vec![right],
            };
            said.dedup();
            said.retain(|label| !label.is_empty());
            answers.merged.insert(text, said);
        }
        Ok(answers)
    }

    /// The recorded text that a user's message asks `model` about, and its labels.
    pub(super) fn find(&self, model: &str, message: &str) -> Option<(&str, &[String])> {
        let recorded = self.by_teacher.get(model).unwrap_or(&self.merged);
        let found = recorded
            .get_key_value(message)
            .or_else(|| recorded.get_key_value(marked(message)?))
            .or_else(|| contained(recorded, message))?;
        Some((found.0, found.1))
    }
}

/// The part after the last marker at the beginning of a line.
fn marked(message: &str) -> Option<&str> {
    let tail = message.rsplit_once(&format!("\n{MARKER}")).map(|(_, tail)| tail);
    tail.or_else(|| message.strip_prefix(MARKER))
}

/// The longest recorded text at the end of the message, or else anywhere in it. Slow: it looks at all of them.
fn contained<'a>(recorded: &'a ByText, message: &str) -> Option<(&'a String, &'a Vec<String>)> {
    let inside = |text: &str| !text.is_empty() && message.contains(text);
    recorded
        .iter()
        .filter(|(text, _)| inside(text))
        .max_by_key(|(text, _)| (message.ends_with(text.as_str()), text.len()))
}
