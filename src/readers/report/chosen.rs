//! Texts to look at: the least certain, the most disputed, examples of hard labels and of failures. Which ones is decided by the rows; what
//! they say is read after that, in one more pass, so that no more than these texts are held, and of each no more than is shown.

use std::collections::BTreeMap;

use super::Patience;
use super::counts::Counts;
use super::judged::Judged;
use super::rows::{CORRECTED, FAILED, NONE, Row, Rows};
use crate::domain::input::{Input, Outcome};
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::store::RunView;

/// Least certain labels.
const LEAST: usize = 20;
/// Texts that teachers dispute.
const DISPUTED: usize = 10;
/// Hard labels, and examples of each.
const HARD: usize = 8;
/// See [`HARD`].
const EXAMPLES: usize = 3;
/// Texts of a label, at least, for it to be called hard: with fewer it is chance.
const TEXTS: u64 = 5;
/// Texts without a label of any teacher.
const FAILURES: usize = 5;
/// Characters of a text, and of an id, that are shown.
const SHOWN: usize = 320;
/// See [`SHOWN`].
const ID: usize = 80;

/// The places of the texts.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Chosen {
    /// The least certain first.
    pub(super) least: Vec<u32>,
    /// Those of which the most labels were named first.
    pub(super) disputed: Vec<u32>,
    /// The hardest label first.
    pub(super) hard: Vec<Hard>,
    pub(super) failed: Vec<u32>,
}

/// A hard label, with examples.
#[derive(Debug, PartialEq)]
pub(super) struct Hard {
    pub(super) label: u16,
    pub(super) texts: Vec<u32>,
}

/// A text that is shown.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Example {
    pub(super) id: String,
    pub(super) text: String,
    /// Bytes of the whole text, where it is cut.
    pub(super) cut_from: Option<usize>,
    pub(super) outcome: Outcome,
    pub(super) row: Row,
}

impl Chosen {
    /// Of `rows`. Labels are hard by their F1 where right ones are known, else by their confidences.
    pub(super) fn of(rows: &Rows, counts: &Counts, judged: Option<&Judged>) -> Self {
        let (mut least, mut disputed) = (Best::new(LEAST), Best::new(DISPUTED));
        let (mut failed, hard) = (Best::new(FAILURES), hard(counts, judged));
        let mut examples: Vec<Best<(bool, u32)>> = hard.iter().map(|_| Best::new(EXAMPLES)).collect();
        for (place, row, firsts) in rows.with_firsts() {
            if row.has(FAILED) {
                failed.add(0, place);
            }
            // What a person decided is settled.
            if !row.is_labelled() || row.has(CORRECTED) {
                continue;
            }
            let sureness = (row.confidence * 10_000.0).round() as u32;
            least.add(sureness, place);
            let names = distinct(firsts);
            if names > 1 {
                disputed.add((std::cmp::Reverse(names), std::cmp::Reverse(row.size), sureness), place);
            }
            for (label, examples) in hard.iter().zip(&mut examples) {
                if let Some(key) = example_of(*label, row, judged.is_some(), sureness) {
                    examples.add(key, place);
                }
            }
        }
        let hard = hard.into_iter().zip(examples).map(|(label, texts)| Hard { label, texts: texts.finish() });
        let hard = hard.filter(|hard| !hard.texts.is_empty()).collect();
        Self { least: least.finish(), disputed: disputed.finish(), hard, failed: failed.finish() }
    }

    /// Reads the texts, by their places.
    pub(super) fn read(&self, view: &RunView, rows: &Rows, patience: Patience<'_>) -> Result<BTreeMap<u32, Example>> {
        let hard = self.hard.iter().flat_map(|hard| &hard.texts);
        let places = self.least.iter().chain(&self.disputed).chain(&self.failed).chain(hard);
        let wanted: std::collections::BTreeSet<u32> = places.copied().collect();
        let mut examples = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(examples);
        }
        view.inputs(|input| {
            patience.check()?;
            match input {
                Input::Arrive { position, sample, outcome } => {
                    let place = u32::try_from(position).unwrap_or(u32::MAX);
                    if let Some(row) = rows.all().get(place as usize).filter(|_| wanted.contains(&place)) {
                        examples.insert(place, Example::new(&sample, outcome, *row));
                    }
                }
                Input::Answers { position, outcome } => {
                    let known = u32::try_from(position).ok().and_then(|place| examples.get_mut(&place));
                    if let Some(example) = known {
                        example.outcome = outcome;
                    }
                }
                Input::Correct { .. } | Input::End { .. } => {}
            }
            Ok(())
        })?;
        Ok(examples)
    }
}

impl Example {
    fn new(sample: &Sample, outcome: Outcome, row: Row) -> Self {
        let text = cut(&sample.text, SHOWN);
        let cut_from = (text.len() < sample.text.len()).then_some(sample.text.len());
        Self { id: cut(&sample.id.0, ID).to_owned(), text: text.to_owned(), cut_from, outcome, row }
    }
}

/// The first `characters` of `text`.
pub(super) fn cut(text: &str, characters: usize) -> &str {
    text.char_indices().nth(characters).and_then(|(end, _)| text.get(..end)).unwrap_or(text)
}

/// How many labels teachers name first.
fn distinct(firsts: &[u16]) -> usize {
    let named = || firsts.iter().enumerate().filter(|(_, first)| **first != NONE);
    named().filter(|(at, first)| !firsts.iter().take(*at).any(|before| before == *first)).count()
}

/// The hardest labels that have enough texts.
fn hard(counts: &Counts, judged: Option<&Judged>) -> Vec<u16> {
    let f1 = |label: u16| {
        let figures = judged?.details.labels.get(usize::from(label))?;
        figures.f1.filter(|_| figures.support >= TEXTS)
    };
    let sure = |label: u16| {
        let count = counts.label(label);
        count.confidence().filter(|_| count.texts >= TEXTS)
    };
    let labels = (0..counts.labels.len()).filter_map(|label| u16::try_from(label).ok());
    let of = |label| if judged.is_some() { f1(label) } else { sure(label) };
    let mut labels: Vec<(u16, f64)> = labels.filter_map(|label| Some((label, of(label)?))).collect();
    // Stable: of as good ones, in the task's order.
    labels.sort_by(|a, b| a.1.total_cmp(&b.1));
    labels.into_iter().map(|(label, _)| label).take(HARD).collect()
}

/// In which place `row` is an example of a hard label: where right labels are known, one that was taken for another or another for it, the
/// surest first; else one that has it, the least sure first.
fn example_of(label: u16, row: &Row, is_judged: bool, sureness: u32) -> Option<(bool, u32)> {
    if !is_judged {
        return (row.label == label).then_some((false, sureness));
    }
    let is_wrong = row.gold != NONE && row.gold != row.label && (row.gold == label || row.label == label);
    is_wrong.then_some((row.gold != label, u32::MAX - sureness))
}

/// The `keep` first of many, by a key, and of equal ones by their place.
struct Best<K> {
    keep: usize,
    found: Vec<(K, u32)>,
}

impl<K: Ord> Best<K> {
    fn new(keep: usize) -> Self {
        Self { keep, found: Vec::new() }
    }

    fn add(&mut self, key: K, place: u32) {
        self.found.push((key, place));
        // Sorted seldom: each time, most of them go.
        if self.found.len() > 64 * self.keep {
            self.settle();
        }
    }

    fn settle(&mut self) {
        self.found.sort_unstable();
        self.found.truncate(self.keep);
    }

    fn finish(mut self) -> Vec<u32> {
        self.settle();
        self.found.into_iter().map(|(_, place)| place).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::four;
    use super::*;

    #[test]
    fn what_is_chosen_is_what_is_worth_a_look() {
        let rows = four();
        let chosen = Chosen::of(&rows, &Counts::of(&rows, 3, 2), None);
        assert_eq!((chosen.least, chosen.disputed, chosen.failed), (vec![3, 1, 2, 0], vec![0], vec![3]));
        // No label has enough texts to be called hard.
        assert_eq!(chosen.hard, []);
    }

    #[test]
    fn the_best_of_many_are_kept() {
        let mut best = Best::new(3);
        (0..10_000_u32).for_each(|place| best.add(place % 100, 10_000 - place));
        assert_eq!(best.finish(), [100, 200, 300]);
    }

    #[test]
    fn an_example_of_a_judged_label_is_a_mistake() {
        let row = Row { label: 1, gold: 2, ..four().all()[0] };
        assert_eq!(example_of(2, &row, true, 9000), Some((false, u32::MAX - 9000)));
        assert_eq!(example_of(1, &row, true, 9000), Some((true, u32::MAX - 9000)));
        assert_eq!((example_of(0, &row, true, 9000), example_of(1, &row, false, 9000)), (None, Some((false, 9000))));
        assert_eq!(example_of(1, &Row { gold: 1, ..row }, true, 9000), None);
    }

    #[test]
    fn texts_are_cut_where_a_character_ends() {
        assert_eq!((cut("añb", 2), cut("añb", 3), cut("", 3)), ("añ", "añb", ""));
        let example = Example::new(&Sample::new("a", "é".repeat(400)), Outcome::default(), four().all()[0]);
        assert_eq!((example.text.chars().count(), example.cut_from), (SHOWN, Some(800)));
    }
}
