//! The table: a row a text, with what is sorted, filtered and counted by, and where its lines stand in the logs. No text is
//! held. Kept up by one thread (`follow`), read by many.

use std::collections::HashMap;

use super::counts::{Changes, Counts};
use super::ids::Ids;
use super::lines::Lines;
use crate::domain::event::{By, LabelEvent};
use crate::domain::input::{Input, Names, Outcome};
use crate::domain::label::LabelId;

/// In place of a label's number. Label sets are smaller.
pub(super) const NO_LABEL: u16 = u16::MAX;
/// In place of where a line stands.
pub(super) const NOWHERE: u64 = u64::MAX;
/// The label is final.
pub(super) const FINAL: u8 = 1;
/// The label is a person's.
pub(super) const CORRECTED: u8 = 2;
/// No teacher named a label.
pub(super) const FAILED: u8 = 4;
/// What labels that a person gave are said to come from.
const CORRECTION: &str = "correction";
/// Positions without a line that are made up for: more are no damage, but another log.
const MOST_MISSING: u64 = 1 << 20;

/// What is known of one text: 32 bytes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Row {
    /// Where its arrival stands in the input log.
    pub(super) text_at: u64,
    /// Where the event that holds stands in the label log.
    pub(super) label_at: u64,
    /// Of the label; 0 where there is none.
    pub(super) confidence: f32,
    /// Not a number where the log has none.
    pub(super) margin: f32,
    /// Its number, or [`NO_LABEL`].
    pub(super) label: u16,
    /// Where the label comes from: a place in [`Table::bys`].
    pub(super) by: u8,
    /// Which of [`FINAL`], [`CORRECTED`], [`FAILED`] hold.
    pub(super) flags: u8,
    /// Candidates; 255 for more.
    pub(super) size: u8,
}

impl Default for Row {
    fn default() -> Self {
        let (confidence, margin) = (0.0, f32::NAN);
        Self { text_at: NOWHERE, label_at: NOWHERE, confidence, margin, label: NO_LABEL, by: 0, flags: 0, size: 0 }
    }
}

impl Row {
    /// Whether it has a label.
    pub(super) fn is_labelled(&self) -> bool {
        self.label != NO_LABEL
    }

    /// Whether `flag` is set.
    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// All rows of a run.
#[derive(Debug)]
pub(super) struct Table {
    /// The task's name.
    pub(super) task: String,
    pub(super) names: Names,
    pub(super) ids: Ids,
    rows: Vec<Row>,
    /// The teachers' first labels, those of a text after each other.
    firsts: Vec<u16>,
    /// Where newer answers stand in the input log, of texts that have some.
    answers_at: HashMap<u32, u64>,
    /// Where labels come from, by name.
    pub(super) bys: Vec<(By, String)>,
    pub(super) counts: Counts,
    pub(super) changes: Changes,
    /// Events of the label log that were taken in.
    pub(super) events: u64,
    /// The input log, and how far it was read.
    pub(super) inputs: Option<(Lines, u64)>,
    /// The label log.
    pub(super) labels: Option<Lines>,
    /// Another one for every change.
    pub(super) version: u64,
}

impl Table {
    /// Without rows, for texts of `task` with these labels and teachers.
    pub(super) fn new(task: String, names: Names) -> Self {
        let counts = Counts::new(names.labels.len(), names.teachers.len());
        Self {
            task,
            names,
            ids: Ids::default(),
            rows: Vec::new(),
            firsts: Vec::new(),
            answers_at: HashMap::new(),
            bys: Vec::new(),
            counts,
            changes: Changes::default(),
            events: 0,
            inputs: None,
            labels: None,
            version: 0,
        }
    }

    /// All of them, by position.
    pub(super) fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// That of the text at `position`.
    pub(super) fn row(&self, position: u32) -> Option<Row> {
        self.rows.get(position as usize).copied()
    }

    /// The teachers' first labels for it, [`NO_LABEL`] where there is none.
    pub(super) fn firsts(&self, position: u32) -> &[u16] {
        let teachers = self.names.teachers.len();
        let begin = position as usize * teachers;
        self.firsts.get(begin..begin + teachers).unwrap_or_default()
    }

    /// Where its answers stand in the input log.
    pub(super) fn asked_at(&self, position: u32) -> Option<u64> {
        self.answers_at
            .get(&position)
            .copied()
            .or_else(|| Some(self.row(position)?.text_at))
            .filter(|at| *at != NOWHERE)
    }

    /// The name of a label by its number.
    pub(super) fn label_name(&self, label: u16) -> Option<&str> {
        (label != NO_LABEL).then(|| self.names.labels.name(LabelId(label)))
    }

    /// Where the label of `row` comes from.
    pub(super) fn by_name(&self, row: &Row) -> Option<&str> {
        let name = &self.bys.get(usize::from(row.by))?.1;
        row.is_labelled().then_some(name)
    }

    /// Whether a teacher names another label first than the one that the text has. Without a label, whether teachers
    /// differ.
    pub(super) fn is_disputed(&self, position: u32, row: &Row) -> bool {
        let mut named = self.firsts(position).iter().filter(|first| **first != NO_LABEL);
        let label = if row.is_labelled() { Some(row.label) } else { named.clone().next().copied() };
        named.any(|first| Some(*first) != label)
    }

    /// Texts whose arrival stands in the first `bytes` of the input log.
    pub(super) fn arrived_before(&self, bytes: u64) -> u64 {
        self.rows.iter().filter(|row| row.text_at < bytes).count() as u64
    }

    /// Takes in an event of the input log, whose line begins at `at`. Why not, where it cannot be.
    pub(super) fn take_input(&mut self, input: &Input, at: u64) -> Result<(), String> {
        match input {
            Input::Arrive { position, sample, outcome } => {
                let next = self.rows.len() as u64;
                let position =
                    u32::try_from(*position).ok().filter(|&at| (next..next + MOST_MISSING).contains(&at.into()));
                let position = position.ok_or_else(|| "has a position out of its order".to_owned())?;
                // Where lines are damaged, what they said is missing, and positions stay.
                while (self.rows.len() as u64) < u64::from(position) {
                    self.push("", Row::default());
                }
                self.push(&sample.id.0, Row { text_at: at, ..Row::default() });
                self.take_outcome(position, outcome);
            }
            Input::Answers { position, outcome } => {
                let known = u32::try_from(*position).ok().filter(|&position| (position as usize) < self.rows.len());
                let position = known.ok_or_else(|| "has answers to a text that has not arrived".to_owned())?;
                self.answers_at.insert(position, at);
                self.take_outcome(position, outcome);
            }
            Input::End { .. } => {}
        }
        Ok(())
    }

    fn push(&mut self, id: &str, row: Row) {
        self.ids.push(id);
        self.rows.push(row);
        self.firsts.resize(self.rows.len() * self.names.teachers.len(), NO_LABEL);
        self.counts.add(&row, &[], 1);
    }

    fn take_outcome(&mut self, position: u32, outcome: &Outcome) {
        let teachers = self.names.teachers.len();
        self.change(position, |row, firsts| {
            firsts.fill(NO_LABEL);
            for opinion in outcome.opinions.iter().filter(|opinion| usize::from(opinion.teacher) < teachers) {
                if let (Some(first), Some(label)) =
                    (firsts.get_mut(usize::from(opinion.teacher)), opinion.labels.first())
                {
                    *first = label.0;
                }
            }
            row.size = u8::try_from(outcome.candidates().len()).unwrap_or(u8::MAX);
            row.flags = (row.flags & !FAILED) | if outcome.names_nothing() { FAILED } else { 0 };
        });
    }

    /// Changes a row with the counters.
    fn change(&mut self, position: u32, how: impl FnOnce(&mut Row, &mut [u16])) {
        let begin = position as usize * self.names.teachers.len();
        let firsts = self.firsts.get_mut(begin..begin + self.names.teachers.len());
        let (Some(row), Some(firsts)) = (self.rows.get_mut(position as usize), firsts) else { return };
        self.counts.add(row, firsts, -1);
        how(row, firsts);
        self.counts.add(row, firsts, 1);
    }

    /// Takes in an event of the label log, whose line begins at `at`; false where its text is not known.
    ///
    /// # Errors
    ///
    /// Why it is none of this task.
    pub(super) fn take_label(&mut self, event: &LabelEvent, at: u64) -> Result<bool, String> {
        let Some(position) = self.ids.position(&event.id) else { return Ok(false) };
        let label = self
            .names
            .labels
            .exact(&event.label)
            .ok_or_else(|| format!("names no label of the task: {:?}", event.label))?;
        let by = self.by(&event.by);
        let is_correction = self.bys.get(usize::from(by)).is_some_and(|(_, name)| name == CORRECTION);
        let before = self.row(position).map_or(NO_LABEL, |row| row.label);
        self.change(position, |row, _| {
            let flags = if event.is_final { FINAL } else { 0 } | if is_correction { CORRECTED } else { 0 };
            *row = Row {
                label_at: at,
                confidence: event.confidence as f32,
                margin: event.margin.map_or(f32::NAN, |margin| margin as f32),
                label: label.0,
                by,
                flags: (row.flags & FAILED) | flags,
                ..*row
            };
        });
        self.events += 1;
        if before != NO_LABEL && before != label.0 {
            self.changes.note(u64::try_from(self.counts.labelled).unwrap_or_default());
        }
        Ok(true)
    }

    /// The number of where a label comes from. There are few: a refinery, the student, corrections.
    fn by(&mut self, by: &By) -> u8 {
        let place = self.bys.iter().position(|(known, _)| known == by).unwrap_or_else(|| {
            let name = serde_json::to_value(by).ok().and_then(|name| name.as_str().map(str::to_owned));
            self.bys.push((by.clone(), name.unwrap_or_default()));
            self.bys.len() - 1
        });
        u8::try_from(place).unwrap_or(u8::MAX)
    }

    /// Another label log begins.
    pub(super) fn forget_labels(&mut self) {
        for position in 0..u32::try_from(self.rows.len()).unwrap_or(u32::MAX) {
            self.change(position, |row, _| {
                let (text_at, flags, size) = (row.text_at, row.flags & FAILED, row.size);
                *row = Row { text_at, flags, size, ..Row::default() };
            });
        }
        (self.changes, self.events, self.labels) = (Changes::default(), 0, None);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::candidates::Opinion;
    use crate::domain::label::{Label, LabelSet};
    use crate::domain::sample::Sample;

    pub(in crate::page) fn names() -> Names {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(["x", "y", "z"].map(label).into()).unwrap();
        Names { labels, teachers: vec!["one".into(), "two".into()] }
    }

    /// That a text arrives; `firsts` are the labels that the teachers name first.
    pub(in crate::page) fn arrive(position: u64, id: &str, firsts: [Option<u16>; 2]) -> Input {
        let opinions = (0..).zip(firsts).map(|(teacher, first)| {
            let labels: Vec<LabelId> = first.map(LabelId).into_iter().collect();
            Opinion::of(teacher, &labels, &[])
        });
        let outcome = Outcome { opinions: opinions.collect(), failure: None };
        Input::Arrive { position, sample: Sample::new(id, format!("text of {id}")), outcome }
    }

    pub(in crate::page) fn event(offset: u64, id: &str, label: &str, confidence: f64) -> LabelEvent {
        LabelEvent {
            offset,
            id: id.into(),
            label: label.into(),
            confidence,
            margin: None,
            others: None,
            candidates: Vec::new(),
            by: By::Posterior,
            revision: 0,
            student: 0,
            is_final: false,
        }
    }

    #[test]
    fn a_row_is_small() {
        assert_eq!(std::mem::size_of::<Row>(), 32);
    }

    #[test]
    fn rows_follow_both_logs() {
        let mut table = Table::new("task".into(), names());
        table.take_input(&arrive(0, "a", [Some(0), Some(1)]), 100).unwrap();
        table.take_input(&arrive(1, "b", [None, None]), 200).unwrap();
        assert_eq!((table.counts.failed, table.counts.labelled), (1, 0));
        assert!(table.is_disputed(0, &table.row(0).unwrap()));
        assert_eq!(table.take_label(&event(0, "a", "x", 0.5), 10), Ok(true));
        assert_eq!(table.take_label(&event(1, "c", "x", 0.5), 20), Ok(false));
        assert!(table.take_label(&event(1, "a", "w", 0.5), 20).is_err());
        assert_eq!(table.counts.agreement, [(1, 1), (1, 0)]);
        let outcome = Outcome { opinions: vec![Opinion::of(0, &[LabelId(1)], &[])], failure: None };
        table.take_input(&Input::Answers { position: 1, outcome }, 300).unwrap();
        assert_eq!((table.counts.failed, table.asked_at(0), table.asked_at(1)), (0, Some(100), Some(300)));
        let corrected = LabelEvent { by: By::Refinery("correction".into()), ..event(1, "a", "y", 1.0) };
        table.take_label(&corrected, 30).unwrap();
        assert_eq!((table.counts.corrected, table.counts.labels.clone()), (1, vec![0, 1, 0]));
        assert_eq!(table.changes.points(1), [(1, 1)]);
        table.forget_labels();
        assert_eq!((table.counts.corrected, table.counts.labelled, table.events), (0, 0, 0));
        let row = table.row(0).unwrap();
        assert_eq!((row.text_at, row.label_at, row.label, row.size, row.flags), (100, NOWHERE, NO_LABEL, 2, 0));
    }

    #[test]
    fn texts_keep_their_positions_where_lines_are_damaged() {
        let mut table = Table::new("task".into(), names());
        table.take_input(&arrive(2, "c", [Some(0), None]), 100).unwrap();
        assert_eq!((table.rows().len(), table.ids.position("c"), table.asked_at(0)), (3, Some(2), None));
        assert!(table.take_input(&arrive(1, "b", [None, None]), 200).is_err());
        assert!(table.take_input(&arrive(1 << 40, "b", [None, None]), 200).is_err());
    }
}
