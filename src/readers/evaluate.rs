//! Accuracy against gold labels. Nothing that labels may read gold; only this does.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::lines::{Line, Lines};
use crate::distill::{TrainedStudent, load_student};
use crate::domain::event::LabelEvent;
use crate::domain::label::LabelSet;
use crate::error::{Error, Result};
use crate::readers::statistics::Calibration;
use crate::readers::tail::{Follow, Tail};
use crate::store::RunDir;
use crate::student::{argmax, softmax};

const MAX_LINE_BYTES: usize = 16 << 20;
/// Texts that are predicted together.
const CHUNK: usize = 256;

/// One line of a file of gold labels.
#[derive(Debug, Deserialize)]
struct Gold {
    #[serde(default)]
    id: String,
    label: String,
    #[serde(default)]
    text: Option<String>,
}

/// How good the labels of a run are. Shares are 0 to 1; texts without a label count as wrong.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Texts with gold.
    pub gold: usize,
    /// Of those, texts that have a label.
    pub labelled: usize,
    /// Share whose first candidate is right: what asking for one label would have given.
    pub teacher_first: f64,
    /// Share whose candidates hold the right label.
    pub coverage: f64,
    /// Mean number of candidates of the texts that have any.
    pub mean_candidates: f64,
    /// Share whose distilled label is right.
    pub distilled: f64,
    /// Mean distance between the confidence of distilled labels and their accuracy (ECE, 15 bins).
    pub calibration_error: f64,
    /// Share of texts that nobody labelled, with gold, on which the student alone is right.
    pub held_out: Option<HeldOut>,
}

/// The student on its own.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeldOut {
    /// Texts.
    pub texts: usize,
    /// Share that is right.
    pub accuracy: f64,
    /// Mean distance between confidence and accuracy (ECE, 15 bins).
    pub calibration_error: f64,
}

/// Reads the labels of the run in `dir` and compares them with `gold` (JSONL with id and label), and its student with
/// `held_out` (JSONL with text and label).
pub fn evaluate(dir: &Path, gold: &Path, held_out: Option<&Path>) -> Result<Evaluation> {
    let labels = RunDir::view(dir)?.labels().clone();
    let latest = latest_labels(dir)?;
    let mut counts = Counts::default();
    read_gold(gold, &labels, |gold| {
        counts.add(&gold.label, latest.get(&gold.id));
        Ok(())
    })?;
    if counts.gold == 0 {
        let message = "has no gold labels: expected {\"id\": \"..\", \"label\": \"..\"} lines".to_owned();
        return Err(Error::InputLine { path: gold.to_owned(), line: 1, message });
    }
    let held_out = held_out.map(|path| student_accuracy(dir, path, &labels)).transpose()?;
    Ok(counts.evaluation(held_out))
}

#[derive(Debug, Default)]
struct Counts {
    gold: usize,
    labelled: usize,
    first: usize,
    covered: usize,
    with_candidates: usize,
    candidates: usize,
    right: usize,
    calibration: Calibration,
}

impl Counts {
    fn add(&mut self, gold: &str, event: Option<&LabelEvent>) {
        self.gold += 1;
        let Some(event) = event else { return };
        self.labelled += 1;
        self.first += usize::from(event.candidates.first().is_some_and(|first| first == gold));
        self.covered += usize::from(event.candidates.iter().any(|candidate| candidate == gold));
        self.with_candidates += usize::from(!event.candidates.is_empty());
        self.candidates += event.candidates.len();
        self.right += usize::from(event.label == gold);
        self.calibration.add(event.confidence, event.label == gold);
    }

    fn evaluation(&self, held_out: Option<HeldOut>) -> Evaluation {
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        Evaluation {
            gold: self.gold,
            labelled: self.labelled,
            teacher_first: share(self.first, self.gold),
            coverage: share(self.covered, self.gold),
            mean_candidates: share(self.candidates, self.with_candidates),
            distilled: share(self.right, self.gold),
            calibration_error: self.calibration.error(),
            held_out,
        }
    }
}

/// The latest event of each text.
pub(crate) fn latest_labels(dir: &Path) -> Result<HashMap<String, LabelEvent>> {
    let mut latest = HashMap::new();
    let mut tail = Tail::new(dir);
    loop {
        match tail.poll().map_err(|error| Error::Labels(Box::new(error)))? {
            Follow::Event(event, _) => {
                latest.insert(event.id.clone(), *event);
            }
            Follow::NewLog => latest.clear(),
            Follow::Waiting => return Ok(latest),
        }
    }
}

fn read_gold(path: &Path, labels: &LabelSet, mut each: impl FnMut(Gold) -> Result<()>) -> Result<()> {
    let unreadable = |source| Error::Input { what: "file of gold labels", path: path.to_owned(), source };
    let mut lines = Lines::new(BufReader::new(File::open(path).map_err(unreadable)?), MAX_LINE_BYTES);
    while let Some((line, content)) = lines.next_line().map_err(unreadable)? {
        let wrong = |message: String| Error::InputLine { path: path.to_owned(), line, message };
        let Line::Text(text) = content else { return Err(wrong("is no line of UTF-8 text".to_owned())) };
        if text.trim().is_empty() {
            continue;
        }
        let mut gold: Gold = serde_json::from_str(&text).map_err(|error| {
            wrong(format!("is no gold label ({error}); expected {{\"id\": \"..\", \"label\": \"..\"}}"))
        })?;
        let label = labels
            .resolve(&gold.label)
            .ok_or_else(|| wrong(format!("the label {:?} is none of the task's", gold.label)))?;
        labels.name(label).clone_into(&mut gold.label);
        each(gold)?;
    }
    Ok(())
}

fn student_accuracy(dir: &Path, path: &Path, labels: &LabelSet) -> Result<HeldOut> {
    let TrainedStudent { student, temperature } = load_student(dir)?;
    let mut held_out = HeldOut { texts: 0, accuracy: 0.0, calibration_error: 0.0 };
    let (mut right, mut calibration) = (0, Calibration::default());
    let mut chunk = Vec::new();
    let mut judge = |chunk: &mut Vec<Gold>| {
        let encoded: Vec<_> =
            chunk.iter().map(|gold| student.encode(gold.text.as_deref().unwrap_or_default())).collect();
        let texts: Vec<_> = encoded.iter().collect();
        for (gold, p) in chunk.drain(..).zip(student.predict(&texts).iter()) {
            let p = softmax(&p.iter().map(|logit| logit / temperature as f32).collect::<Vec<_>>());
            let predicted = argmax(&p).and_then(|label| u16::try_from(label).ok()).map(crate::domain::label::LabelId);
            let is_right = predicted.is_some_and(|label| labels.name(label) == gold.label);
            right += usize::from(is_right);
            calibration.add(f64::from(p.iter().copied().fold(0.0, f32::max)), is_right);
        }
    };
    read_gold(path, labels, |gold| {
        if gold.text.is_none() {
            let message = "a held-out text needs {\"text\": \"..\", \"label\": \"..\"}".to_owned();
            return Err(Error::InputLine { path: path.to_owned(), line: held_out.texts as u64 + 1, message });
        }
        held_out.texts += 1;
        chunk.push(gold);
        if chunk.len() == CHUNK {
            judge(&mut chunk);
        }
        Ok(())
    })?;
    judge(&mut chunk);
    held_out.accuracy = right as f64 / held_out.texts.max(1) as f64;
    held_out.calibration_error = calibration.error();
    Ok(held_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::By;

    fn event(label: &str, candidates: &[&str]) -> LabelEvent {
        LabelEvent {
            offset: 0,
            id: String::new(),
            label: label.into(),
            confidence: 1.0,
            candidates: candidates.iter().map(|&candidate| candidate.into()).collect(),
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: true,
        }
    }

    #[test]
    fn the_figures_by_hand() {
        let mut counts = Counts::default();
        counts.add("a", Some(&event("a", &["a"])));
        counts.add("a", Some(&event("a", &["b", "a"])));
        counts.add("a", Some(&event("b", &["b", "c"])));
        counts.add("a", Some(&event("a", &[])));
        counts.add("a", None);
        let evaluation = counts.evaluation(None);
        assert_eq!((evaluation.gold, evaluation.labelled), (5, 4));
        assert!((evaluation.teacher_first - 0.2).abs() < 1e-9);
        assert!((evaluation.coverage - 0.4).abs() < 1e-9);
        assert!((evaluation.mean_candidates - 5.0 / 3.0).abs() < 1e-9);
        assert!((evaluation.distilled - 0.6).abs() < 1e-9);
    }
}
