//! One text with all that is known of it: who was asked and what they said, every stored answer, every event. What is in no
//! index is looked for in the logs, for a while.

use std::fs::File;
use std::time::{Duration, Instant};

use super::arrival::said_at;
use super::desk::Desk;
use super::lines::Lines;
use super::near::{near, nearest};
use super::scan::scan;
use super::shapes::{Detail, Past, RawAnswer, Said};
use super::shared::Shared;
use super::shown::{Known, Logs, blind, known, shown};
use crate::base::sealed;
use crate::domain::answer::AnswerRecord;
use crate::domain::event::LabelEvent;
use crate::domain::label::LabelSet;
use crate::domain::sample::TextHash;
use crate::store::parse_answer;

/// How long each of both logs is looked through.
const TIME: Duration = Duration::from_secs(2);

/// What is known of the text at `position`, also by `desk`; `None` where there is none. Of a text that is to be audited, nothing but the text.
pub(super) fn detail(shared: &Shared, position: u32, desk: &Desk) -> Option<Detail> {
    let table = shared.table();
    let known = known(&table, position)?;
    let (logs, names, near) = (Logs::of(&table), table.names.clone(), near(&table, position));
    drop(table);
    let row = shown(&known, &logs, usize::MAX);
    if row.audited {
        let (teachers, history, nearest) = (Vec::new(), Vec::new(), Vec::new());
        let row = blind(row);
        return Some(Detail { row, teachers, failure: None, history, correction: None, nearest, partial: false });
    }
    let answers = answers(shared, &names.labels, &row.text);
    let history = history(&logs, &row.id);
    let partial = answers.is_none() || history.is_none();
    let (teachers, failure) = said(&known, &logs, &names.teachers, answers.unwrap_or_default());
    let history = history.unwrap_or_default().iter().map(past).collect();
    let correction = desk.decided(&names.labels, &row.id, TextHash::of(&row.text));
    let nearest = logs.inputs.as_ref().map_or_else(Vec::new, |inputs| nearest(inputs, &row.text, &near));
    Some(Detail { row, teachers, failure, history, correction, nearest, partial })
}

/// Looks for `needle` in the whole log; `None` where time runs out or the log cannot be read.
fn lines_with<T: Send>(log: &Lines, needle: &str, take: impl Fn(&[u8]) -> Option<T> + Sync) -> Option<Vec<T>> {
    let finder = memchr::memmem::Finder::new(needle);
    let end = log.length().ok()?;
    let find = |bytes: &[u8], from: usize| Some(from + finder.find(bytes.get(from..)?)?);
    let scanned = scan(log, 0..end, Instant::now() + TIME, find, take);
    (scanned.until == end).then_some(scanned.found)
}

/// All stored answers to `text`, which is who was asked it under another id too.
fn answers(shared: &Shared, labels: &LabelSet, text: &str) -> Option<Vec<AnswerRecord>> {
    let file = match File::open(shared.dir.join("answers.jsonl")) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Some(Vec::new()),
        Err(_) => return None,
    };
    let hash = TextHash::of(text);
    let needle = format!("\"text_hash\":\"{}\"", hash.to_hex());
    let take = |line: &[u8]| {
        sealed::check(line).ok()?;
        parse_answer(line, labels).filter(|record| record.text_hash == hash)
    };
    lines_with(&Lines::new(file), &needle, take)
}

fn history(logs: &Logs, id: &str) -> Option<Vec<LabelEvent>> {
    let Some(labels) = &logs.labels else { return Some(Vec::new()) };
    let needle = format!("\"id\":{},", serde_json::to_string(id).ok()?);
    let take = |line: &[u8]| serde_json::from_slice::<LabelEvent>(line).ok().filter(|event| event.id == id);
    lines_with(labels, &needle, take)
}

fn past(event: &LabelEvent) -> Past {
    let by = serde_json::to_value(&event.by).ok().and_then(|by| by.as_str().map(str::to_owned));
    Past {
        offset: event.offset,
        label: event.label.clone(),
        confidence: event.confidence,
        by: by.unwrap_or_default(),
        is_final: event.is_final,
        revision: event.revision,
        student: event.student,
    }
}

/// What each teacher said, in the order of the configuration; then those of whom there are answers alone.
fn said(known: &Known, logs: &Logs, teachers: &[String], answers: Vec<AnswerRecord>) -> (Vec<Said>, Option<String>) {
    let line = known.asked_at.and_then(|at| said_at(logs.inputs.as_ref()?, at)).unwrap_or_default();
    let mut said: Vec<Said> = line
        .asked
        .into_iter()
        .map(|asked| Said { teacher: asked.teacher, labels: asked.labels, weights: asked.weights, answers: Vec::new() })
        .collect();
    let place = |name: &str| teachers.iter().position(|teacher| teacher == name).unwrap_or(usize::MAX);
    said.sort_by_key(|said| place(&said.teacher));
    for record in answers {
        let raw = RawAnswer {
            attempt: record.attempt,
            raw: record.answer.raw,
            reasoning: None,
            problem: record.answer.problem.map(|problem| problem.message),
        };
        match said.iter_mut().find(|said| said.teacher == record.teacher) {
            Some(said) => said.answers.push(raw),
            None => {
                let (labels, weights) = (Vec::new(), Vec::new());
                said.push(Said { teacher: record.teacher, labels, weights, answers: vec![raw] });
            }
        }
    }
    (said, line.failure)
}
