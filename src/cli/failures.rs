//! `candist failures`

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use anyhow::Result;
use candist::Error;
use candist::domain::answer::AnswerRecord;
use candist::domain::sample::{SampleId, TextHash};
use candist::store::{Failure, FailureKind, Manifest, RunLock, Store, StoreReader};
use serde_json::json;

use super::messages::{one_line, printable};

/// A failure, and the answers that there are to its text.
type Found = (FailureKind, Failure, Vec<AnswerRecord>);

pub(super) fn run(dir: &Path, as_json: bool) -> Result<()> {
    let manifest =
        Manifest::read(dir)?.ok_or_else(|| Error::NoRun { path: dir.to_owned(), missing: "manifest.json" })?;
    let _lock = RunLock::take(dir)?;
    let store = Store::open(dir, &manifest.label_set()?)?;
    let found = with_answers(&store.reader())?;
    let out = &mut std::io::stdout().lock();
    for failure in &found {
        if as_json { print_json(failure, out)? } else { print(failure, out)? }
    }
    let retryable = found.iter().filter(|(kind, ..)| *kind == FailureKind::Sample).count();
    if retryable > 0 {
        tracing::info!("{retryable} text(s) can be asked about again: candist run CONFIG --retry-failures");
    } else if found.is_empty() {
        tracing::info!("nothing failed");
    }
    Ok(())
}

fn with_answers(reader: &StoreReader) -> Result<Vec<Found>> {
    let failures = reader.failures()?;
    let mut by_text: HashMap<TextHash, Vec<AnswerRecord>> = HashMap::new();
    let mut hashes = HashMap::new();
    for (kind, failure) in &failures {
        if *kind == FailureKind::Sample
            && let Some(known) = reader.known(&SampleId(failure.id.clone()))?
        {
            by_text.entry(known.text_hash).or_default();
            hashes.insert(failure.id.clone(), known.text_hash);
        }
    }
    if !by_text.is_empty() {
        for record in reader.answers() {
            let record = record?;
            if let Some(answers) = by_text.get_mut(&record.text_hash) {
                answers.push(record);
            }
        }
    }
    let answers = |failure: &Failure| hashes.get(&failure.id).and_then(|hash| by_text.get(hash)).cloned();
    Ok(failures
        .into_iter()
        .map(|(kind, failure)| {
            let answers = answers(&failure).unwrap_or_default();
            (kind, failure, answers)
        })
        .collect())
}

fn print((kind, failure, answers): &Found, out: &mut dyn Write) -> Result<()> {
    let state = match kind {
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

fn print_json((kind, failure, answers): &Found, out: &mut dyn Write) -> Result<()> {
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
    let line = json!({"id": failure.id, "state": kind, "reason": failure.reason, "answers": answers});
    Ok(writeln!(out, "{line}")?)
}
