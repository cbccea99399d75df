//! The recordings, and finding the one that a request asks for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
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
