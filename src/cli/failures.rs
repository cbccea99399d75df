//! `candist failures`: every text and row without a label of a teacher, with the reason and what the teachers said.

use std::io::Write;

use anyhow::Result;
use candist::{AnswerRecord, Failure, FailureKind, RunDir, failed_answers};
use clap::Args;
use serde_json::json;

use super::messages::{one_line, printable};
use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct FailuresArgs {
    #[command(flatten)]
    run: RunArg,
    /// Print JSON, one object a line.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &FailuresArgs) -> Result<()> {
    let view = RunDir::view(&args.run.dir()?)?;
    let failures = view.failures()?;
    let answers = failed_answers(&view, &failures)?;
    let out = &mut std::io::stdout().lock();
    for failure in &failures {
        let answers = answers.get(&failure.id).map(Vec::as_slice).unwrap_or_default();
        if args.json { print_json(failure, answers, out)? } else { print(failure, answers, out)? }
    }
    // Unanswered texts are asked again by any run; these only on request, for their answers are paid and stored.
    let retryable = failures.iter().filter(|failure| failure.kind == FailureKind::Sample).count();
    if retryable > 0 {
        tracing::info!("{retryable} text(s) can be asked about again: candist run CONFIG --retry-failures");
    } else if failures.is_empty() {
        tracing::info!("nothing failed");
    }
    Ok(())
}

/// For a person. Replies may have any character in them; none steers the terminal.
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

/// For a program: one object a line, with each reply as it came.
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
