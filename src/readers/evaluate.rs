//! Accuracy against gold labels. Nothing that labels may read gold; only this, the audit and what goes by one do.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use crate::corpus::labelled::LabelledFile;
use crate::distill::{TrainedStudent, load_student};
use crate::domain::event::LabelEvent;
use crate::domain::input::Input;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::readers::confusion::{Details, Pairs};
use crate::readers::gold::{GoldLabels, GoldRows};
use crate::readers::latest::{latest, no_labels};
use crate::readers::statistics::Calibration;
use crate::store::{Follow, RunDir, RunView, Tail};
use crate::student::{argmax, softmax};

/// Texts that are predicted together.
const CHUNK: usize = 256;

/// What an evaluation compares with, and how much it tells.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationOptions<'a> {
    /// What the run's labels are compared with.
    pub gold: GoldLabels<'a>,
    /// A file of texts that were not in the corpus, with the columns of `gold`.
    pub held_out: Option<&'a Path>,
    /// Whether labels are told one by one.
    pub details: bool,
}

/// How good the labels of a run are. Shares are 0 to 1, of the texts that have both a gold label and one of the run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    /// Texts with gold.
    pub gold: usize,
    /// Of those, texts that have no label in this run: not judged.
    pub missing: usize,
    /// Of those, texts that have a label: judged.
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
    /// Label by label, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
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

/// Compares the labels of the run in `dir` with gold, and its student with what was held out.
///
/// # Errors
///
/// [`Error::NoRun`] where there is no run, [`Error::Unfit`] where it has no labels yet, or gold has none, or only of other
/// texts; [`Error::InputLine`] for a line of gold that cannot be used, with its place; [`Error::NoStudent`] where something is
/// held out and no student is there yet.
pub fn evaluate(dir: &Path, options: EvaluationOptions<'_>) -> Result<Evaluation> {
    let view = RunDir::view(dir)?;
    let labels = view.labels().clone();
    if !matches!(Tail::new(dir).poll()?, Follow::Event(..)) {
        return Err(no_labels(dir));
    }
    let mut gold = Gold::read(options.gold, &labels)?;
    // Labels before texts: one that has a label has arrived.
    latest(dir, |event, _| -> Result<()> {
        gold.of(&event.id, |row| row.held = Some(Held::of(event, &labels)));
        Ok(())
    })?;
    if matches!(options.gold.rows, GoldRows::Corpus(_)) {
        gold.compare_texts(&view)?;
    }
    let mut counts = Counts::default();
    gold.rows.iter().for_each(|row| counts.add(row.label, row.held.as_ref().filter(|_| row.is_of_this_text)));
    // Shares of nothing would be printed as 0: told what is wrong instead.
    if counts.labelled == 0 {
        let message = format!(
            "belongs to another corpus: none of its {} texts has a label in {}. Their ids must be those of the corpus",
            counts.gold,
            dir.display()
        );
        return Err(Error::Unfit { path: options.gold.path(), message });
    }
    let held_out = options.held_out.map(|path| student_accuracy(dir, path, options.gold, &labels)).transpose()?;
    let details = options.details.then(|| counts.pairs.details(&labels));
    Ok(Evaluation { held_out, details, ..counts.evaluation() })
}

/// What a person said, and what the run says of the same texts: of a run that has far more of them, nothing else is in memory.
#[derive(Default)]
struct Gold {
    /// In the order of the file, so that sums are the same to the last digit.
    rows: Vec<GoldRow>,
    /// By the hash of the text's id.
    places: HashMap<TextHash, usize>,
}

/// One text.
struct GoldRow {
    label: LabelId,
    /// Which text that is, where there is one beside it.
    text: Option<TextHash>,
    /// Whether the run labelled this text: another may have its id by now.
    is_of_this_text: bool,
    held: Option<Held>,
}

impl Gold {
    fn read(labels: GoldLabels<'_>, of: &LabelSet) -> Result<Self> {
        let mut gold = Self::default();
        labels.read(of, |id, text, label| {
            gold.places.insert(TextHash::of(id), gold.rows.len());
            let text = text.map(TextHash::of);
            gold.rows.push(GoldRow { label, text, is_of_this_text: text.is_none(), held: None });
        })?;
        Ok(gold)
    }

    /// Calls `with` with the row of the text with this id, if there is one.
    fn of(&mut self, id: &str, with: impl FnOnce(&mut GoldRow)) {
        let place = self.places.get(&TextHash::of(id));
        if let Some(row) = place.and_then(|&place| self.rows.get_mut(place)) {
            with(row);
        }
    }

    /// Finds the rows whose text is the one that the run has under its id.
    fn compare_texts(&mut self, view: &RunView) -> Result<()> {
        view.inputs(|input| {
            if let Input::Arrive { sample, .. } = input {
                self.of(&sample.id.0, |row| row.is_of_this_text = row.text == Some(TextHash::of(&sample.text)));
            }
            Ok(())
        })
    }
}

/// What a run says of a text, as far as it is judged.
struct Held {
    /// Always there, as long as the log is of this task.
    label: Option<LabelId>,
    confidence: f64,
    candidates: Vec<LabelId>,
}

impl Held {
    fn of(event: &LabelEvent, labels: &LabelSet) -> Self {
        let candidates = event.candidates.iter().filter_map(|name| labels.resolve(name)).collect();
        Self { label: labels.resolve(&event.label), confidence: event.confidence, candidates }
    }
}

/// Sums over the texts with gold; see [`Evaluation`] for their shares.
#[derive(Debug, Default)]
struct Counts {
    gold: usize,
    labelled: usize,
    /// Whose first candidate is right.
    first: usize,
    /// Who have the right label among their candidates.
    covered: usize,
    with_candidates: usize,
    candidates: usize,
    /// Whose distilled label is right.
    right: usize,
    calibration: Calibration,
    pairs: Pairs,
}

impl Counts {
    /// Judges one text: `gold` is its right label, `held` what the run says now.
    fn add(&mut self, gold: LabelId, held: Option<&Held>) {
        self.gold += 1;
        let Some(held) = held else { return };
        self.labelled += 1;
        self.first += usize::from(held.candidates.first() == Some(&gold));
        self.covered += usize::from(held.candidates.contains(&gold));
        self.with_candidates += usize::from(!held.candidates.is_empty());
        self.candidates += held.candidates.len();
        self.right += usize::from(held.label == Some(gold));
        self.calibration.add(held.confidence, held.label == Some(gold));
        if let Some(label) = held.label {
            self.pairs.add(gold, label);
        }
    }

    /// The figures, without what needs a student or was not asked for.
    fn evaluation(&self) -> Evaluation {
        let share = |count: usize, of: usize| count as f64 / of.max(1) as f64;
        Evaluation {
            gold: self.gold,
            missing: self.gold - self.labelled,
            labelled: self.labelled,
            teacher_first: share(self.first, self.labelled),
            coverage: share(self.covered, self.labelled),
            mean_candidates: share(self.candidates, self.with_candidates),
            distilled: share(self.right, self.labelled),
            calibration_error: self.calibration.error(),
            held_out: None,
            details: None,
        }
    }
}

/// The student on its own, on texts that are read and predicted in chunks: neither file nor predictions are held.
///
/// Its confidence is the largest of `softmax(logits / temperature)`, the temperature being what distillation fitted and
/// an exported student has.
fn student_accuracy(dir: &Path, path: &Path, fields: GoldLabels<'_>, labels: &LabelSet) -> Result<HeldOut> {
    let TrainedStudent { student, temperature } = load_student(dir)?;
    let mut held_out = HeldOut { texts: 0, accuracy: 0.0, calibration_error: 0.0 };
    let (mut right, mut calibration) = (0, Calibration::default());
    let mut chunk = Vec::new();
    let mut judge = |chunk: &mut Vec<(String, LabelId)>| {
        let encoded: Vec<_> = chunk.iter().map(|(text, _)| student.encode(text)).collect();
        let texts: Vec<_> = encoded.iter().collect();
        for ((_, gold), p) in chunk.drain(..).zip(student.predict(&texts).iter()) {
            let p = softmax(&p.iter().map(|logit| logit / temperature as f32).collect::<Vec<_>>());
            let predicted = argmax(&p).and_then(|label| u16::try_from(label).ok()).map(LabelId);
            let is_right = predicted == Some(gold);
            right += usize::from(is_right);
            calibration.add(f64::from(p.iter().copied().fold(0.0, f32::max)), is_right);
        }
    };
    let mut file = LabelledFile::open(path, "held-out texts", labels)?;
    while let Some(row) = file.next_labelled(fields.columns())? {
        let lacking =
            || format!("has no text in a field {:?}: name the one that has it with --text-field", fields.text_field);
        let text = row.text.ok_or_else(|| file.wrong(row.place, lacking()))?;
        held_out.texts += 1;
        chunk.push((text, row.label));
        if chunk.len() == CHUNK {
            judge(&mut chunk);
        }
    }
    if held_out.texts == 0 {
        let message = "has no held-out texts: expected rows with a text and its label".to_owned();
        return Err(Error::Unfit { path: path.to_owned(), message });
    }
    judge(&mut chunk);
    held_out.accuracy = right as f64 / held_out.texts.max(1) as f64;
    held_out.calibration_error = calibration.error();
    Ok(held_out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::event::By;
    use crate::domain::label::Label;

    fn event(label: &str, candidates: &[&str]) -> LabelEvent {
        LabelEvent {
            offset: 0,
            id: String::new(),
            label: label.into(),
            confidence: 1.0,
            margin: None,
            others: None,
            candidates: candidates.iter().map(|&candidate| candidate.into()).collect(),
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: true,
        }
    }

    #[test]
    fn the_figures_by_hand() {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: Vec::new() };
        let labels = LabelSet::new(["a", "b", "c"].map(label).into()).unwrap();
        let mut counts = Counts::default();
        let events = [event("a", &["a"]), event("a", &["b", "a"]), event("b", &["b", "c"]), event("a", &[])];
        events.iter().for_each(|event| counts.add(LabelId(0), Some(&Held::of(event, &labels))));
        counts.add(LabelId(0), None);
        let evaluation = counts.evaluation();
        assert_eq!((evaluation.gold, evaluation.labelled, evaluation.missing), (5, 4, 1));
        assert!((evaluation.teacher_first - 0.25).abs() < 1e-9);
        assert!((evaluation.coverage - 0.5).abs() < 1e-9);
        assert!((evaluation.mean_candidates - 5.0 / 3.0).abs() < 1e-9);
        assert!((evaluation.distilled - 0.75).abs() < 1e-9);
    }
}
