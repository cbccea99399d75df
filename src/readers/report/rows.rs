//! The run's texts, a row each, from one pass over the input log and one over the label log. No text is held: 16 bytes a row, the hash of its
//! id, and two bytes a teacher.

use std::collections::HashMap;

use super::Patience;
use super::judged::Gold;
use super::people::People;
use crate::domain::event::{By, LabelEvent};
use crate::domain::input::{Input, Outcome};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::{Sample, TextHash};
use crate::error::{Error, Result};
use crate::store::{Follow, RunView, Tail};

/// In place of a label. Label sets are smaller.
pub(super) const NONE: u16 = u16::MAX;
/// The label is final.
pub(super) const FINAL: u8 = 1;
/// The label is a person's.
pub(super) const CORRECTED: u8 = 2;
/// No teacher named a label.
pub(super) const FAILED: u8 = 4;
/// The candidates hold the right label.
pub(super) const COVERED: u8 = 8;
/// The label is the student's alone.
pub(super) const ALONE: u8 = 16;
/// Parts that the stream of texts is cut into.
pub(super) const PARTS: usize = 40;

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    pub(super) confidence: f32,
    /// The label that holds.
    pub(super) label: u16,
    /// The one that it had first.
    pub(super) earliest: u16,
    /// The first of its candidates.
    pub(super) top: u16,
    /// The right one, where that is known.
    pub(super) gold: u16,
    /// Candidates; 255 for more.
    pub(super) size: u8,
    pub(super) flags: u8,
}

impl Row {
    const NEW: Self = Self { confidence: 0.0, label: NONE, earliest: NONE, top: NONE, gold: NONE, size: 0, flags: 0 };

    /// Whether `flag` is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Whether it has a label.
    pub(super) fn is_labelled(&self) -> bool {
        self.label != NONE
    }
}

/// How labels changed while texts came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Labels that changed while the first, the second, ... of the [`PARTS`] of all texts got theirs.
    pub(super) streaming: Vec<u64>,
    /// Labels that changed when they became final.
    pub(super) settling: u64,
}

/// All texts.
#[derive(Debug)]
pub(super) struct Rows {
    ids: HashMap<TextHash, u32>,
    rows: Vec<Row>,
    /// The teachers' first labels, those of a text after each other.
    firsts: Vec<u16>,
    teachers: usize,
    labelled: u64,
    /// Whether the corpus' end is the last that happened.
    pub(super) ended: bool,
    pub(super) changes: Changes,
    pub(super) events: u64,
    /// Whether the last event of the label log is final.
    pub(super) is_settled: bool,
    /// The refinery, by its name in the label log.
    pub(super) refinery: Option<String>,
}

impl Rows {
    /// Without texts, for so many teachers.
    pub(super) fn new(teachers: usize) -> Self {
        Self {
            ids: HashMap::new(),
            rows: Vec::new(),
            firsts: Vec::new(),
            teachers,
            labelled: 0,
            ended: false,
            changes: Changes::default(),
            events: 0,
            is_settled: false,
            refinery: None,
        }
    }

    /// Reads the run that `view` looks at. Labels that `people` gave stand over those of the log.
    pub(super) fn read(
        view: &RunView,
        gold: Option<&Gold>,
        people: &mut People,
        patience: Patience<'_>,
    ) -> Result<Self> {
        let mut rows = Self::new(view.teachers().len());
        // An arrival is on disk before its label, and a label of a text that arrives meanwhile is passed over.
        view.inputs(|input| {
            patience.check()?;
            rows.take_input(&input, gold, people);
            Ok(())
        })?;
        let mut tail = Tail::new(view.dir());
        loop {
            patience.check()?;
            match tail.poll()? {
                Follow::Event(event, _) => rows.take_event(&event, view.labels()),
                Follow::NewLog => rows.forget_labels(),
                Follow::Waiting => break,
            }
        }
        people.given().for_each(|(position, label)| rows.give(position, label));
        Ok(rows)
    }

    /// All of them, by position.
    pub(super) fn all(&self) -> &[Row] {
        &self.rows
    }

    /// Each with its place and its teachers' first labels, [`NONE`] where there is none.
    pub(super) fn with_firsts(&self) -> impl Iterator<Item = (u32, &Row, &[u16])> {
        // Without teachers there is nothing to cut.
        let firsts = self.firsts.chunks(self.teachers.max(1)).chain(std::iter::repeat(&[] as &[u16]));
        (0..).zip(&self.rows).zip(firsts).map(|((place, row), firsts)| (place, row, firsts))
    }

    pub(super) fn take_input(&mut self, input: &Input, gold: Option<&Gold>, people: &mut People) {
        self.ended = matches!(input, Input::End { .. });
        match input {
            Input::Arrive { sample, outcome, .. } => {
                let place = self.arrive(sample, gold);
                people.arrived(place, sample);
                self.take_outcome(place, outcome);
            }
            Input::Answers { position, outcome } => {
                self.take_outcome(u32::try_from(*position).unwrap_or(u32::MAX), outcome);
            }
            // Taken from the corrections, which have them earlier.
            Input::Correct { .. } | Input::End { .. } => {}
        }
    }

    fn arrive(&mut self, sample: &Sample, gold: Option<&Gold>) -> u32 {
        let place = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.ids.insert(TextHash::of(&sample.id.0), place);
        let gold = gold.and_then(|gold| gold.label(sample)).map_or(NONE, |label| label.0);
        self.rows.push(Row { gold, ..Row::NEW });
        self.firsts.resize(self.rows.len() * self.teachers, NONE);
        place
    }

    fn take_outcome(&mut self, place: u32, outcome: &Outcome) {
        let begin = place as usize * self.teachers;
        let firsts = self.firsts.get_mut(begin..begin + self.teachers).unwrap_or_default();
        firsts.fill(NONE);
        for opinion in &outcome.opinions {
            if let (Some(first), Some(label)) = (firsts.get_mut(usize::from(opinion.teacher)), opinion.labels.first()) {
                *first = label.0;
            }
        }
        let Some(row) = self.rows.get_mut(place as usize) else { return };
        let candidates = outcome.candidates();
        let labels = candidates.labels();
        row.top = labels.first().map_or(NONE, |label| label.0);
        row.size = u8::try_from(labels.len()).unwrap_or(u8::MAX);
        let covered = if labels.contains(&LabelId(row.gold)) { COVERED } else { 0 };
        let failed = if labels.is_empty() { FAILED } else { 0 };
        row.flags = row.flags & !(COVERED | FAILED) | covered | failed;
    }

    pub(super) fn take_event(&mut self, event: &LabelEvent, labels: &LabelSet) {
        self.events += 1;
        self.is_settled = event.is_final;
        let place = self.ids.get(&TextHash::of(&event.id)).copied();
        let row = place.and_then(|place| self.rows.get_mut(place as usize));
        // Of a text that arrived after the input log was read.
        let (Some(row), Some(label)) = (row, labels.exact(&event.label)) else { return };
        let before = std::mem::replace(&mut row.label, label.0);
        row.confidence = event.confidence as f32;
        let source = match &event.by {
            By::Person => CORRECTED,
            By::Student => ALONE,
            By::Posterior | By::Refinery(_) => 0,
        };
        row.flags = row.flags & (FAILED | COVERED) | source | if event.is_final { FINAL } else { 0 };
        if before == NONE {
            row.earliest = label.0;
            self.labelled += 1;
        } else if before != label.0 {
            self.note_change(event.is_final);
        }
        match &event.by {
            By::Posterior => self.refinery = Some("posterior".to_owned()),
            By::Refinery(name) if self.refinery.as_ref() != Some(name) => self.refinery = Some(name.clone()),
            By::Refinery(_) | By::Student | By::Person => {}
        }
    }

    fn note_change(&mut self, is_final: bool) {
        if is_final {
            self.changes.settling += 1;
            return;
        }
        self.changes.streaming.resize(PARTS, 0);
        let part = self.labelled.saturating_sub(1) * PARTS as u64 / (self.rows.len() as u64).max(1);
        let part = usize::try_from(part).unwrap_or(PARTS).min(PARTS - 1);
        if let Some(count) = self.changes.streaming.get_mut(part) {
            *count += 1;
        }
    }

    fn forget_labels(&mut self) {
        for row in &mut self.rows {
            (row.label, row.earliest, row.confidence) = (NONE, NONE, 0.0);
            row.flags &= FAILED | COVERED;
        }
        (self.labelled, self.events, self.changes, self.is_settled) = (0, 0, Changes::default(), false);
    }

    /// Takes in what a person gave.
    fn give(&mut self, place: u32, label: LabelId) {
        if let Some(row) = self.rows.get_mut(place as usize) {
            (row.label, row.confidence) = (label.0, 1.0);
            row.flags = row.flags & (FAILED | COVERED) | FINAL | CORRECTED;
        }
    }
}

/// An error where gold was given and no text has both a gold label and one of the run: shares of nothing would be told.
pub(super) fn needs_judged(rows: &Rows, gold: &Gold, view: &RunView) -> Result<()> {
    if rows.all().iter().any(|row| row.gold != NONE && row.is_labelled()) {
        return Ok(());
    }
    let message = format!(
        "belongs to another corpus: none of its {} texts has a label in {}. Their ids must be those of the corpus",
        gold.texts(),
        view.dir().display()
    );
    Err(Error::Unfit { path: gold.path().to_owned(), message })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::candidates::Opinion;
    use crate::domain::label::Label;

    pub(in crate::readers::report) fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        LabelSet::new(["x", "y", "z"].map(label).into()).unwrap()
    }

    /// That a text arrives, of which each of two teachers names these labels.
    pub(in crate::readers::report) fn arrive(position: u64, id: &str, said: [&[u16]; 2]) -> Input {
        let opinions = (0..).zip(said).map(|(teacher, labels)| {
            let labels: Vec<LabelId> = labels.iter().map(|&label| LabelId(label)).collect();
            Opinion::of(teacher, &labels, &[])
        });
        let outcome = Outcome { opinions: opinions.collect(), failure: None };
        Input::Arrive { position, sample: Sample::new(id, format!("text of {id}")), outcome }
    }

    pub(in crate::readers::report) fn event(id: &str, label: &str, confidence: f64, is_final: bool) -> LabelEvent {
        LabelEvent { confidence, is_final, ..LabelEvent::plain(0, id, label) }
    }

    /// Four texts, whose right labels are x, y, x and unknown.
    pub(in crate::readers::report) fn four() -> Rows {
        let gold = Gold::of(&[("a", 0), ("b", 1), ("c", 0)]);
        let (mut rows, mut people) = (Rows::new(2), People::default());
        let said: [[&[u16]; 2]; 4] = [[&[0], &[1, 0]], [&[0, 2], &[0]], [&[1], &[]], [&[], &[]]];
        for ((position, id), said) in (0..).zip(["a", "b", "c", "d"]).zip(said) {
            rows.take_input(&arrive(position, id, said), Some(&gold), &mut people);
        }
        let (labels, mut take) = (labels(), Vec::new());
        take.push(event("a", "x", 0.9, false));
        take.push(event("b", "x", 0.4, false));
        take.push(event("c", "y", 0.6, false));
        take.push(event("b", "z", 0.5, false));
        take.push(LabelEvent { by: By::Student, ..event("d", "z", 0.3, false) });
        take.push(event("c", "x", 0.7, true));
        take.push(event("unknown", "x", 0.7, true));
        take.iter().for_each(|event| rows.take_event(event, &labels));
        rows
    }

    #[test]
    fn a_row_is_small() {
        assert_eq!(std::mem::size_of::<Row>(), 16);
    }

    #[test]
    fn rows_are_what_both_logs_say() {
        let rows = four();
        let row = |place: usize| rows.all()[place];
        let shown = |row: Row| (row.label, row.earliest, row.top, row.gold, row.size);
        assert_eq!(shown(row(0)), (0, 0, 0, 0, 2));
        assert_eq!(shown(row(1)), (2, 0, 0, 1, 2));
        assert_eq!(shown(row(2)), (0, 1, 1, 0, 1));
        assert_eq!(shown(row(3)), (2, 2, NONE, NONE, 0));
        assert_eq!([0, 1, 2, 3].map(|place| row(place).has(COVERED)), [true, false, false, false]);
        assert!(row(3).has(FAILED) && row(3).has(ALONE) && row(2).has(FINAL) && !row(1).has(FINAL));
        // b changed when three of four had labels, in the twenty-first of forty parts; c when it became final.
        assert_eq!((rows.changes.settling, rows.changes.streaming.iter().sum::<u64>()), (1, 1));
        assert_eq!(rows.changes.streaming[20], 1);
        assert_eq!((rows.refinery.as_deref(), rows.events, rows.is_settled), (Some("posterior"), 7, true));
        let firsts: Vec<Vec<u16>> = rows.with_firsts().map(|(_, _, firsts)| firsts.to_vec()).collect();
        assert_eq!(firsts, [vec![0, 1], vec![0, 0], vec![1, NONE], vec![NONE, NONE]]);
    }

    #[test]
    fn what_a_person_gave_stands_over_the_log_and_another_log_begins_anew() {
        let mut rows = four();
        rows.give(1, LabelId(1));
        rows.give(9, LabelId(1));
        let row = rows.all()[1];
        assert_eq!((row.label, row.confidence, row.has(CORRECTED), row.earliest), (1, 1.0, true, 0));
        rows.forget_labels();
        assert!(rows.all().iter().all(|row| !row.is_labelled()) && rows.all()[3].has(FAILED));
        assert_eq!((rows.events, rows.changes.clone()), (0, Changes::default()));
    }
}
