//! The answers of a recording, as compact as they can be looked up: each different one is kept once, and texts lead to them by hashes.
//!
//! Some 24 bytes a line of the file, twice where it has hashes of texts; while it is read, 80 more.

use std::collections::HashMap;

use crate::domain::answer::{Problem, ProblemKind};
use crate::domain::candidates::Opinion;
use crate::domain::label::LabelId;
use crate::domain::sample::{TextHash, short_hash};

/// What a teacher said of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RecordedAnswer {
    pub(super) labels: Box<[LabelId]>,
    /// One a label, or none.
    pub(super) weights: Box<[f32]>,
    pub(super) problem: Option<Box<Problem>>,
}

impl RecordedAnswer {
    fn hash(&self) -> [u8; 16] {
        let labels: Vec<u8> = self.labels.iter().flat_map(|label| label.0.to_le_bytes()).collect();
        let weights: Vec<u8> = self.weights.iter().flat_map(|weight| weight.to_le_bytes()).collect();
        let (kind, message) =
            self.problem.as_deref().map_or((None, ""), |Problem { kind, message }| (Some(*kind), message.as_str()));
        let kind = kind.map_or(String::new(), |kind: ProblemKind| format!("{kind:?}"));
        short_hash(&[&labels, &weights, kind.as_bytes(), message.as_bytes()])
    }
}

/// Answers, each different one once.
#[derive(Debug, Default)]
struct Different {
    answers: Vec<RecordedAnswer>,
    places: HashMap<[u8; 16], u32>,
}

impl Different {
    fn place(&mut self, answer: RecordedAnswer) -> u32 {
        *self.places.entry(answer.hash()).or_insert_with(|| {
            self.answers.push(answer);
            u32::try_from(self.answers.len() - 1).unwrap_or(u32::MAX)
        })
    }

    fn at(&self, place: u32) -> Option<&RecordedAnswer> {
        self.answers.get(usize::try_from(place).ok()?)
    }
}

/// A line of the file, by hashes.
#[derive(Debug)]
struct Noted {
    /// Of the text's id.
    id: TextHash,
    text: Option<TextHash>,
    /// Of what tells the draws of a text apart.
    key: Option<TextHash>,
    attempt: u32,
    /// By its place among the teachers of the file.
    teacher: Option<u32>,
    /// In the order of the file.
    number: u32,
    answer: u32,
}

/// Lines as they are read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    different: Different,
    lines: Vec<Noted>,
    /// Those who are named, in the order in which they come.
    teachers: Vec<String>,
}

/// Of a line, all but what it says.
#[derive(Debug)]
pub(super) struct About<'a> {
    pub(super) id: &'a str,
    pub(super) text: Option<TextHash>,
    pub(super) key: Option<&'a str>,
    pub(super) attempt: u32,
    pub(super) teacher: Option<&'a str>,
}

impl Reading {
    pub(super) fn take(&mut self, about: &About<'_>, answer: RecordedAnswer) {
        let teacher = about.teacher.map(|name| self.teacher(name));
        let number = u32::try_from(self.lines.len()).unwrap_or(u32::MAX);
        self.lines.push(Noted {
            id: TextHash::of(about.id),
            text: about.text,
            key: about.key.map(TextHash::of),
            attempt: about.attempt,
            teacher,
            number,
            answer: self.different.place(answer),
        });
    }

    /// The place of the teacher of this name. There are few.
    fn teacher(&mut self, name: &str) -> u32 {
        let place = self.teachers.iter().position(|known| known == name).unwrap_or_else(|| {
            self.teachers.push(name.to_owned());
            self.teachers.len() - 1
        });
        u32::try_from(place).unwrap_or(u32::MAX)
    }

    /// Those who are named in the file.
    pub(super) fn teachers(&self) -> &[String] {
        &self.teachers
    }

    /// The answers of the teacher of this name, and of nobody in particular; without a name, of all.
    ///
    /// One answer a text: of several tries the last, of several draws the vote. A line without a key takes the place of an
    /// earlier one with its id. A recording has one draw a text whatever the run that made it had, so the vote is cast here.
    pub(super) fn answers(mut self, chosen: Option<&str>) -> Answers {
        if let Some(name) = chosen {
            let chosen = self.teacher(name);
            self.lines.retain(|line| line.teacher.is_none_or(|teacher| teacher == chosen));
        }
        // Stable: lines of a text stay in the order of the file.
        self.lines.sort_by_key(|line| line.id.0);
        let (mut by_id, mut by_text) = (Vec::new(), Vec::new());
        for lines in self.lines.chunk_by(|a, b| a.id == b.id) {
            let Some(first) = lines.first() else { continue };
            let answer = together(&draws(lines), &mut self.different).unwrap_or(first.answer);
            by_id.push((first.id, answer));
            by_text.extend(first.text.map(|text| (text, first.number, answer)));
        }
        drop(self.lines);
        // Of two ids with one text, the later answers for the text.
        by_text.sort_unstable_by_key(|(text, number, _)| (text.0, std::cmp::Reverse(*number)));
        by_text.dedup_by_key(|(text, ..)| *text);
        let by_text = by_text.into_iter().map(|(text, _, answer)| (text, answer)).collect();
        Answers { different: self.different.answers, by_id, by_text }
    }
}

/// Of each key the try that counts, in the order in which keys come.
fn draws(lines: &[Noted]) -> Vec<&Noted> {
    let mut draws: Vec<&Noted> = Vec::with_capacity(1);
    for line in lines {
        match draws.iter_mut().find(|draw| draw.key == line.key) {
            Some(draw) if line.attempt >= draw.attempt => *draw = line,
            Some(_) => {}
            None => draws.push(line),
        }
    }
    draws
}

/// One answer of the draws of a text.
fn together(draws: &[&Noted], different: &mut Different) -> Option<u32> {
    let [first, _, ..] = draws else { return draws.first().map(|draw| draw.answer) };
    let answers: Vec<&RecordedAnswer> = draws.iter().filter_map(|draw| different.at(draw.answer)).collect();
    let voted = Opinion::vote(0, answers.iter().map(|answer| (&*answer.labels, &*answer.weights)));
    // The problem is told only where nobody named a label; then the first draw's stands for all.
    let problem = different.at(first.answer)?.problem.clone();
    Some(different.place(RecordedAnswer { labels: voted.labels.into(), weights: voted.weights.into(), problem }))
}

/// See the module.
#[derive(Debug)]
pub(super) struct Answers {
    different: Vec<RecordedAnswer>,
    /// Sorted. First looked at: an id is a person's own word for which text is meant.
    by_id: Vec<(TextHash, u32)>,
    /// Sorted. For another corpus with the same texts under other ids.
    by_text: Vec<(TextHash, u32)>,
}

impl Answers {
    /// What is said of the text with this id, or else of this text.
    pub(super) fn of(&self, id: &str, text: &str) -> Option<&RecordedAnswer> {
        let find = |list: &[(TextHash, u32)], hash: TextHash| {
            let place = list.binary_search_by_key(&hash.0, |(known, _)| known.0).ok()?;
            list.get(place).map(|(_, answer)| *answer)
        };
        let place = find(&self.by_id, TextHash::of(id)).or_else(|| {
            // Hashing a text is dear; plain recordings have no hashes to compare with.
            if self.by_text.is_empty() { None } else { find(&self.by_text, TextHash::of(text)) }
        })?;
        self.different.get(usize::try_from(place).ok()?)
    }
}
