//! A sample that a person filled in, beside the labels of the run that it was drawn from: what `audit` judges by, and what
//! an export moves confidences by.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::audit::Share;
use super::conformal::{Unreachable, least_share};
use super::population::{Population, Size};
use super::probability::Probability;
use super::recalibration::{Curve, Judged, calibration_error, error_interval};
use super::statistics::interval;
use crate::corpus::labelled::LabelledFile;
use crate::domain::event::{By, LabelEvent, OTHERS};
use crate::domain::input::Input;
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};
use crate::store::{AuditLabel, AuditText, DrawnAudit, RunView};

/// See the module.
#[derive(Debug)]
pub(super) struct Audited {
    /// Filled-in texts that have a final label here.
    pub(super) rows: Vec<AuditedRow>,
    /// Lines that are not filled in.
    pub(super) unfilled: u64,
    /// Filled-in texts that this run does not have a final label of, or has another text under the id of.
    pub(super) foreign: u64,
    /// What all labels say, in no order.
    finals: Vec<Shares>,
    /// How many there are.
    pub(super) size: Size,
    /// Whether some of them name no other labels, since their log was begun before there were any.
    lacks_others: bool,
}

/// An audited text.
#[derive(Debug, Clone, Copy)]
pub(super) struct AuditedRow {
    pub(super) is_right: bool,
    /// The teacher's first label.
    pub(super) is_first_right: bool,
    /// Whether a person gave the label.
    pub(super) is_given: bool,
    confidence: Probability,
    /// What the run gave the right label; `None` where it is not among those that it recorded.
    share: Option<Probability>,
}

/// The probabilities of a label and of its others, the likeliest first; 0 where there are no more.
type Shares = [Probability; OTHERS + 1];

impl Audited {
    /// Reads the sample in `gold`, and what the run of `view` says of its texts. Some 10 bytes a text of the run are held.
    ///
    /// # Errors
    ///
    /// Those of [`audit`](crate::audit).
    pub(super) fn read(view: &RunView, gold: &Path) -> Result<Self> {
        // The run first: without final labels, there is nothing that a sample could be of.
        let population = Population::now(view)?;
        let finals = finals(view, &population)?;
        let sample = Filled::read(gold, view.labels())?;
        let filled = sample.rows.len();
        let audited = Self::judge(view, &population, finals, sample)?;
        // A few may be missing, of a corpus that was mended; most of them missing is another corpus, or another run.
        if 2 * audited.rows.len() < filled {
            let message = format!(
                "is another run's sample: only {} of its {filled} filled-in lines are texts of {} with final labels",
                audited.rows.len(),
                view.dir().display()
            );
            return Err(Error::Unfit { path: gold.to_owned(), message });
        }
        Ok(audited)
    }

    /// The same of the run's own `audit`, by the labels of `population`: of its sample's beginning, up to the first text that nobody has
    /// labelled.
    ///
    /// # Errors
    ///
    /// Those of [`draw`](crate::draw).
    pub(super) fn of(view: &RunView, population: &Population, audit: &DrawnAudit) -> Result<Self> {
        let finals = finals(view, population)?;
        let row = |(text, said): (&AuditText, &AuditLabel)| FilledRow {
            id: text.id.0.clone(),
            text: Some(text.text_hash),
            label: said.label,
        };
        let rows: Vec<FilledRow> = audit.prefix().map(row).collect();
        let unfilled = (audit.texts.len() - rows.len()) as u64;
        Self::judge(view, population, finals, Filled { rows, unfilled })
    }

    fn judge(view: &RunView, population: &Population, finals: AllFinals, sample: Filled) -> Result<Self> {
        let labels = view.labels();
        let texts = Texts::read(view, population, &sample)?;
        let events = sample.events(view, population)?;
        // Another text under the id: judging it would compare a label with the gold of something else.
        let own = sample.rows.iter().filter(|row| texts.agree(row));
        let rows: Vec<AuditedRow> =
            own.filter_map(|row| Some(AuditedRow::new(events.get(&row.id)?, labels.name(row.label)))).collect();
        let foreign = (sample.rows.len() - rows.len()) as u64;
        let AllFinals { shares, size, lacks_others } = finals;
        Ok(Self { rows, unfilled: sample.unfilled, foreign, finals: shares, size, lacks_others })
    }

    /// The share of the audited labels that `is` holds for.
    pub(super) fn share_of(&self, is: impl Fn(&AuditedRow) -> bool) -> Share {
        Share::of(self.rows.iter().filter(|row| is(row)).count() as u64, self.rows.len() as u64)
    }

    /// The audited labels.
    pub(super) fn judged(&self) -> Vec<Judged> {
        self.rows.iter().map(|row| (row.confidence.get(), row.is_right)).collect()
    }

    /// Of all labels.
    pub(super) fn confidences(&self) -> Vec<f64> {
        self.finals.iter().map(|[confidence, ..]| confidence.get()).collect()
    }

    /// Where confidences move.
    pub(super) fn curve(&self) -> Curve {
        Curve::new(self.confidences(), &self.judged())
    }

    /// The sets of labels that hold the right one with probability `coverage`, or why there are none.
    pub(super) fn sets(&self, coverage: f64) -> AuditedSets {
        match self.least_share(coverage) {
            Ok(least) => {
                // The label itself always belongs to them.
                let sizes = self
                    .finals
                    .iter()
                    .map(|[_, others @ ..]| 1 + others.iter().filter(|share| in_set(**share, least)).count());
                let mean_size = sizes.sum::<usize>() as f64 / self.finals.len().max(1) as f64;
                AuditedSets::Found { coverage, share: least.get(), mean_size }
            }
            Err(Unreachable::TooFew(needed)) => AuditedSets::TooFew { coverage, needed },
            Err(Unreachable::NotRecorded(reached)) => {
                AuditedSets::NotRecorded { coverage, reached, lacks_others: self.lacks_others }
            }
        }
    }

    /// From which probability on a label belongs to a text's set.
    pub(super) fn least_share(&self, coverage: f64) -> Result<Probability, Unreachable> {
        least_share(self.rows.iter().map(|row| row.share).collect(), coverage)
    }
}

/// Whether a label that has the probability `share`, and is not the text's own, belongs to the text's set.
pub(super) fn in_set(share: Probability, least: Probability) -> bool {
    share >= least && share > Probability::ZERO
}

impl AuditedRow {
    fn new(event: &LabelEvent, gold: &str) -> Self {
        let others = event.others.iter().flatten().map(|other| (&other.label, other.confidence));
        let mut all = std::iter::once((&event.label, event.confidence)).chain(others);
        Self {
            is_right: event.label == gold,
            is_first_right: event.candidates.first().is_some_and(|first| first == gold),
            is_given: event.by == By::Person,
            confidence: Probability::of(event.confidence),
            share: all.find(|(label, _)| *label == gold).map(|(_, share)| Probability::of(share)),
        }
    }
}

/// What an audit says of the confidences.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Calibrated {
    /// The mean confidence of all final labels.
    pub mean: f64,
    /// How far it is above their accuracy: the audited labels' accuracy, with its interval, subtracted from it.
    pub above_accuracy: Share,
    /// The calibration error (ECE) of the audited labels, in bins of equal count, with the interval that holds that of all labels
    /// with probability 95%, about. The estimate is too high in small samples.
    pub error: Share,
    /// The mean of the recalibrated confidences of all final labels.
    pub recalibrated_mean: f64,
    /// Where confidences move: those at 5%, 25%, 50%, 75% and 95% of the final labels, the least confident first, and what
    /// becomes of them.
    pub recalibrated: Vec<Moved>,
}

/// A confidence that an audit moves.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Moved {
    /// As the label log has it.
    pub from: f64,
    /// Recalibrated.
    pub to: f64,
}

impl Calibrated {
    /// Of the labels with these `confidences`, of which some were `judged`.
    pub(crate) fn new(confidences: &[f64], judged: &[Judged]) -> Self {
        let right = judged.iter().filter(|(_, is_right)| *is_right).count() as u64;
        let (low, high) = interval(right, judged.len() as u64, 0.95);
        let accuracy = right as f64 / judged.len().max(1) as f64;
        // Summed up in this order too: figures are the same to the last digit in whichever order labels come.
        let mut sorted = confidences.to_vec();
        sorted.sort_by(f64::total_cmp);
        let mean_of = |of: &dyn Fn(f64) -> f64| sorted.iter().map(|&c| of(c)).sum::<f64>() / sorted.len().max(1) as f64;
        let (mean, curve) = (mean_of(&|confidence| confidence), Curve::new(confidences.to_vec(), judged));
        let (error_low, error_high) = error_interval(judged);
        let quantiles = [0.05, 0.25, 0.5, 0.75, 0.95].into_iter();
        let quantiles = quantiles.filter_map(|share| sorted.get((share * sorted.len() as f64) as usize));
        Self {
            mean,
            above_accuracy: Share { estimate: mean - accuracy, low: mean - high, high: mean - low },
            error: Share { estimate: calibration_error(judged.to_vec()), low: error_low, high: error_high },
            recalibrated_mean: mean_of(&|confidence| curve.at(confidence)),
            recalibrated: quantiles.map(|&from| Moved { from, to: curve.at(from) }).collect(),
        }
    }
}

/// Sets of labels, of which the right one is an element as often as was asked for: over the draw of the audit and of the next text.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditedSets {
    /// There are.
    Found {
        /// Asked for.
        coverage: f64,
        /// A label with at least this probability belongs to the text's set, and so does the text's own label.
        share: f64,
        /// Labels in a set, in the mean over all final labels.
        mean_size: f64,
    },
    /// More texts must be audited.
    TooFew {
        /// Asked for.
        coverage: f64,
        /// So many, at least.
        needed: u64,
    },
    /// The right label is too often none of those that label events record.
    NotRecorded {
        /// Asked for.
        coverage: f64,
        /// This much is reached.
        reached: f64,
        /// Whether events of this run name no other labels at all, since their log was begun before they did.
        lacks_others: bool,
    },
}

impl AuditedSets {
    /// Why there are no sets, and what to do; `None` where there are.
    #[must_use]
    pub fn problem(&self) -> Option<String> {
        match *self {
            Self::Found { .. } => None,
            Self::TooFew { coverage, needed } => Some(format!(
                "a coverage of {coverage} takes {needed} audited texts at least: audit more, or ask for less"
            )),
            Self::NotRecorded { coverage, reached, lacks_others } => {
                let others = if lacks_others {
                    "; its labels.jsonl was begun by an older candist and names no other labels: without that file, `candist run \
                     CONFIG` writes it anew, with them, and asks nothing again"
                } else {
                    ""
                };
                Some(format!(
                    "a coverage of {coverage} is not reached with the labels that the run records, {reached} is: ask for that much{others}"
                ))
            }
        }
    }
}

/// What is kept of all labels.
struct AllFinals {
    shares: Vec<Shares>,
    size: Size,
    lacks_others: bool,
}

/// Those of `population`.
fn finals(view: &RunView, population: &Population) -> Result<AllFinals> {
    let (mut finals, mut lacks_others) = (Vec::new(), false);
    let size = population.each(view, |event| {
        let mut shares = Shares::default();
        let others = event.others.iter().flatten().map(|other| other.confidence);
        for (place, share) in shares.iter_mut().zip(std::iter::once(event.confidence).chain(others)) {
            *place = Probability::of(share);
        }
        finals.push(shares);
        lacks_others |= event.others.is_none();
    })?;
    Ok(AllFinals { shares: finals, size, lacks_others })
}

/// A filled-in sample.
struct Filled {
    rows: Vec<FilledRow>,
    unfilled: u64,
}

struct FilledRow {
    id: String,
    /// None where the line has no text; then the id alone has to do.
    text: Option<TextHash>,
    label: LabelId,
}

/// A line of it, as a person or their spreadsheet may have left it.
#[derive(Deserialize)]
struct SampleLine {
    #[serde(default)]
    id: Option<Value>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    gold: Option<String>,
}

impl Filled {
    fn read(path: &Path, labels: &LabelSet) -> Result<Self> {
        let mut file = LabelledFile::open(path, "audited sample", labels)?;
        let mut sample = Self { rows: Vec::new(), unfilled: 0 };
        let expected = "{\"id\": \"..\", \"text\": \"..\", \"gold\": \"LABEL\"}";
        while let Some((line, row)) = file.next_row::<SampleLine>(expected)? {
            let Some(gold) = row.gold.filter(|gold| !gold.trim().is_empty()) else {
                sample.unfilled += 1;
                continue;
            };
            let (label, text) = (file.label(line, &gold)?, row.text.as_deref());
            let id = file.id(line, "id", row.id, text)?;
            if file.name(line, &id, label)? {
                sample.rows.push(FilledRow { id, text: text.map(TextHash::of), label });
            }
        }
        if sample.rows.is_empty() {
            let message = "cannot be judged: no line is filled in. Put the right label into \"gold\"".to_owned();
            return Err(Error::Unfit { path: path.to_owned(), message });
        }
        Ok(sample)
    }

    /// The labels of its texts in `population`, by id.
    fn events(&self, view: &RunView, population: &Population) -> Result<HashMap<String, LabelEvent>> {
        let wanted: HashSet<&str> = self.rows.iter().map(|row| row.id.as_str()).collect();
        let mut events = HashMap::new();
        population.each(view, |event| {
            if wanted.contains(event.id.as_str()) {
                events.insert(event.id.clone(), event.clone());
            }
        })?;
        Ok(events)
    }
}

/// The texts of a run that a sample asks for, by hash.
struct Texts(HashMap<String, TextHash>);

impl Texts {
    fn read(view: &RunView, population: &Population, sample: &Filled) -> Result<Self> {
        let wanted: HashSet<&str> = sample.rows.iter().map(|row| row.id.as_str()).collect();
        let mut texts = HashMap::new();
        view.inputs_within(population.basis.inputs, |input| {
            if let Input::Arrive { sample, .. } = input
                && wanted.contains(sample.id.0.as_str())
            {
                texts.insert(sample.id.0, TextHash::of(&sample.text));
            }
            Ok(())
        })?;
        Ok(Self(texts))
    }

    /// Whether the run has the row's text under its id.
    fn agree(&self, row: &FilledRow) -> bool {
        let (Some(text), Some(known)) = (row.text, self.0.get(&row.id)) else { return true };
        *known == text
    }
}
