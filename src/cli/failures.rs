//! `candist failures`

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use candist::domain::answer::AnswerRecord;
use candist::domain::input::Input;
use candist::domain::sample::TextHash;
use candist::store::{Failure, FailureKind, RunDir, RunView};
use serde_json::json;

use super::messages::{one_line, printable};

pub(super) fn run(dir: &Path, as_json: bool) -> Result<()> {
    let view = RunDir::view(dir)?;
    let failures = view.failures()?;
    let answers = answers(&view, &failures)?;
    let out = &mut std::io::stdout().lock();
    for failure in &failures {
        let answers = answers.get(&failure.id).map(Vec::as_slice).unwrap_or_default();
        if as_json { print_json(failure, answers, out)? } else { print(failure, answers, out)? }
    }
    let retryable = failures.iter().filter(|failure| failure.kind == FailureKind::Sample).count();
    if retryable > 0 {
        tracing::info!("{retryable} text(s) can be asked about again: candist run CONFIG --retry-failures");
    } else if failures.is_empty() {
        tracing::info!("nothing failed");
    }
    Ok(())
}

/// The answers that there are to each failed text, the latest try of each, by the text's id.
fn answers(view: &RunView, failures: &[Failure]) -> Result<HashMap<String, Vec<AnswerRecord>>> {
    let failed: HashSet<&str> = failures
        .iter()
        .filter(|failure| failure.kind == FailureKind::Sample)
        .map(|failure| failure.id.as_str())
        .collect();
    let mut answers: HashMap<String, Vec<AnswerRecord>> = HashMap::new();
    if failed.is_empty() {
        return Ok(answers);
    }
    // Equal texts share one answer, which has the id of the first of them.
    let mut ids: HashMap<TextHash, Vec<String>> = HashMap::new();
    view.inputs(|input| {
        if let Input::Arrive { sample, .. } = input
            && failed.contains(sample.id.0.as_str())
        {
            ids.entry(TextHash::of(&sample.text)).or_default().push(sample.id.0);
        }
        Ok(())
    })?;
    view.answers(|record| {
        for id in ids.get(&record.text_hash).into_iter().flatten() {
            let latest = answers.entry(id.clone()).or_default();
            match latest.iter_mut().find(|other| other.key == record.key) {
                Some(other) => *other = record.clone(),
                None => latest.push(record.clone()),
            }
        }
        Ok(())
    })?;
    Ok(answers)
}

fn print(failure: &Failure, answers: &[AnswerRecord], out: &mut dyn Write) -> Result<()> {
    let state = match failure.kind {
        FailureKind::Sample => "failed",
        FailureKind::Row => "bad row",
        FailureKind::Unanswered => "unanswered",
    };
    writeln!(out, "{}  {state}: {}", one_line(&failure.id), printable(&failure.reason))?;
    for record in answers {
        let raw = record.answer.raw.as_deref().unwrap_or("(no raw answer)");
        let raw = printable(raw).replace('\n', "\n      ");
        writeln!(out, "    {} (try {}): {raw}", printable(&record.teacher), record.attempt)?;
    }
    Ok(())
}

fn print_json(failure: &Failure, answers: &[AnswerRecord], out: &mut dyn Write) -> Result<()> {
    let answer = |record: &AnswerRecord| {
        let problem = record.answer.problem.as_ref();
        json!({
            "teacher": record.teacher,
            "attempt": record.attempt,
            "problem_kind": problem.map(|problem| problem.kind),
            "problem": problem.map(|problem| &problem.message),
            "raw": record.answer.raw,
        })
    };
    let answers: Vec<_> = answers.iter().map(answer).collect();
    let line = json!({"id": failure.id, "state": failure.kind, "reason": failure.reason, "answers": answers});
    Ok(writeln!(out, "{line}")?)
}
