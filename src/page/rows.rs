//! The table: a row a text, with what is sorted, filtered and counted by, and where its lines stand in the logs. No text is
//! held. Kept up by one thread (`follow`), read by many.

use std::collections::{HashMap, HashSet};

use super::counts::{Changes, Counts};
use super::ids::Ids;
use super::lines::Lines;
use super::near::{Sketch, sketch};
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

    /// The same text with the label of `said`.
    fn with(&self, said: &Self) -> Self {
        let flags = (self.flags & FAILED) | (said.flags & !FAILED);
        Self { text_at: self.text_at, size: self.size, flags, ..*said }
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
    /// What is known of each text's words: 16 bytes.
    sketches: Vec<Sketch>,
    /// The teachers' first labels, those of a text after each other.
    firsts: Vec<u16>,
    /// Where newer answers stand in the input log, of texts that have some.
    answers_at: HashMap<u32, u64>,
    /// Labels that people gave, and what the label log has of these texts.
    given: HashMap<u32, (u16, Row)>,
    /// What the label log had last of the run itself, of texts of which it has the label of a person by now.
    unaided: HashMap<u32, Row>,
    /// Texts that had arrived when the corpus last ended.
    ended: usize,
    /// Texts of the sample of the audit that goes on.
    pub(super) sampled: HashSet<u32>,
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
            sketches: Vec::new(),
            firsts: Vec::new(),
            answers_at: HashMap::new(),
            given: HashMap::new(),
            unaided: HashMap::new(),
            ended: 0,
            sampled: HashSet::new(),
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

    /// Those of their texts, by position.
    pub(super) fn sketches(&self) -> &[Sketch] {
        &self.sketches
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
                    self.push("", Row::default(), 0);
                }
                self.push(&sample.id.0, Row { text_at: at, ..Row::default() }, sketch(&sample.text));
                self.take_outcome(position, outcome);
            }
            Input::Answers { position, outcome } => {
                let known = u32::try_from(*position).ok().filter(|&position| (position as usize) < self.rows.len());
                let position = known.ok_or_else(|| "has answers to a text that has not arrived".to_owned())?;
                self.answers_at.insert(position, at);
                self.take_outcome(position, outcome);
            }
            // Taken from corrections.jsonl, which has them earlier.
            Input::Correct { .. } => {}
            Input::End { .. } => self.ended = self.rows.len(),
        }
        Ok(())
    }

    fn push(&mut self, id: &str, row: Row, sketch: Sketch) {
        self.ids.push(id);
        self.rows.push(row);
        self.sketches.push(sketch);
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
        // By the run itself, whatever a person gave.
        let beneath = self.given.get(&position).map(|(_, beneath)| *beneath);
        let before = beneath.or_else(|| self.row(position)).map_or(NO_LABEL, |row| row.label);
        let flags = if event.is_final { FINAL } else { 0 } | if event.by == By::Person { CORRECTED } else { 0 };
        let said = Row {
            label_at: at,
            confidence: event.confidence as f32,
            margin: event.margin.map_or(f32::NAN, |margin| margin as f32),
            label: label.0,
            by: self.by(&event.by),
            flags,
            ..Row::default()
        };
        self.note_unaided(position, &event.by);
        match self.given.get(&position).map(|(given, _)| *given) {
            // What a person gave stands over whatever the log says until a run has taken it in.
            Some(given) => self.correct(position, given, said),
            None => self.change(position, |row, _| *row = row.with(&said)),
        }
        self.events += 1;
        if before != NO_LABEL && before != label.0 {
            self.changes.note(u64::try_from(self.counts.labelled).unwrap_or_default());
        }
        Ok(true)
    }

    /// Keeps what the run itself had said last, before the log says what a person did.
    fn note_unaided(&mut self, position: u32, by: &By) {
        match self.unaided(position).filter(|_| *by == By::Person) {
            Some(row) => self.unaided.insert(position, row),
            None => self.unaided.remove(&position),
        };
    }

    /// The text at `position` with the label that the run itself gave it last, whatever people say; `None` where there is none.
    pub(super) fn unaided(&self, position: u32) -> Option<Row> {
        let logged = self.given.get(&position).map(|(_, beneath)| *beneath).or_else(|| self.row(position))?;
        let is_own = logged.is_labelled() && !self.is_by_person(&logged);
        if is_own { Some(logged) } else { self.unaided.get(&position).copied() }
    }

    /// As the label log has it, also where it was taken back since.
    fn is_by_person(&self, row: &Row) -> bool {
        self.bys.get(usize::from(row.by)).is_some_and(|(by, _)| *by == By::Person)
    }

    /// The rows of the texts that had arrived when the corpus last ended.
    pub(super) fn ended(&self) -> &[Row] {
        self.rows.get(..self.ended).unwrap_or_default()
    }

    /// Takes in the label that a person gave, or that it was taken back; what the label log has is kept beneath.
    pub(super) fn give(&mut self, position: u32, label: Option<LabelId>) {
        let Some(row) = self.row(position) else { return };
        let beneath = self.given.get(&position).map_or(row, |(_, beneath)| *beneath);
        match label {
            Some(label) => self.correct(position, label.0, beneath),
            // The log may have the label of a person still: it is nobody's any more, until a run says whose it is.
            None if self.given.remove(&position).is_some() => self.change(position, |row, _| {
                let flags = if beneath.has(CORRECTED) { 0 } else { beneath.flags };
                *row = row.with(&Row { flags, ..beneath });
            }),
            None => {}
        }
    }

    fn correct(&mut self, position: u32, label: u16, beneath: Row) {
        let by = self.by(&By::Person);
        self.given.insert(position, (label, beneath));
        let (confidence, margin, flags) = (1.0, 1.0, FINAL | CORRECTED);
        self.change(position, |row, _| {
            *row = row.with(&Row { label, confidence, margin, by, flags, ..beneath });
        });
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
                *row = row.with(&Row::default());
            });
        }
        let given: Vec<(u32, u16)> = self.given.iter().map(|(position, (label, _))| (*position, *label)).collect();
        for (position, label) in given {
            self.correct(position, label, Row::default());
        }
        self.unaided.clear();
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
        LabelEvent { confidence, ..LabelEvent::plain(offset, id, label) }
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
        let corrected = LabelEvent { by: By::Person, ..event(1, "a", "y", 1.0) };
        table.take_label(&corrected, 30).unwrap();
        assert_eq!((table.counts.corrected, table.counts.labels.clone()), (1, vec![0, 1, 0]));
        assert_eq!(table.changes.points(1), [(1, 1)]);
        table.forget_labels();
        assert_eq!((table.counts.corrected, table.counts.labelled, table.events), (0, 0, 0));
        let row = table.row(0).unwrap();
        assert_eq!((row.text_at, row.label_at, row.label, row.size, row.flags), (100, NOWHERE, NO_LABEL, 2, 0));
    }

    #[test]
    fn what_a_person_gives_stands_over_the_log_until_it_is_taken_back() {
        let mut table = Table::new("task".into(), names());
        table.take_input(&arrive(0, "a", [Some(0), Some(1)]), 100).unwrap();
        table.take_input(&arrive(1, "b", [None, None]), 200).unwrap();
        table.take_label(&event(0, "a", "x", 0.5), 10).unwrap();
        table.give(0, Some(LabelId(2)));
        table.give(1, Some(LabelId(1)));
        let shown = |table: &Table, position| {
            let row = table.row(position).unwrap();
            (row.label, row.confidence, row.has(CORRECTED), row.label_at)
        };
        assert_eq!([shown(&table, 0), shown(&table, 1)], [(2, 1.0, true, 10), (1, 1.0, true, NOWHERE)]);
        assert_eq!((table.counts.corrected, table.counts.labels.clone()), (2, vec![0, 1, 1]));
        // The log says something else, and begins anew.
        table.take_label(&event(1, "a", "y", 0.75), 20).unwrap();
        assert_eq!(shown(&table, 0), (2, 1.0, true, 20));
        table.forget_labels();
        assert_eq!([shown(&table, 0), shown(&table, 1)], [(2, 1.0, true, NOWHERE), (1, 1.0, true, NOWHERE)]);
        table.take_label(&event(0, "a", "y", 0.75), 10).unwrap();
        table.give(0, None);
        table.give(1, None);
        assert_eq!([shown(&table, 0), shown(&table, 1)], [(1, 0.75, false, 10), (NO_LABEL, 0.0, false, NOWHERE)]);
        assert!(table.row(1).unwrap().has(FAILED) && table.counts.corrected == 0);
        // The log has it by now, and it is taken back before a run says so.
        table.give(0, Some(LabelId(2)));
        table.take_label(&LabelEvent { by: By::Person, is_final: true, ..event(1, "a", "z", 1.0) }, 30).unwrap();
        table.give(0, None);
        assert_eq!(shown(&table, 0), (2, 1.0, false, 30));
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
