//! `candist status`: how far a run is, from its files. Beside a run it takes the run's own word (`status.json`, up to a
//! quarter of a second old); else it counts what is in the logs, since what the last process wrote there may be older
//! than they are.

use std::io::Write;

use anyhow::{Context, Result};
use candist::{Failure, FailureKind, Phase, RunDir, RunView, Status, ViewCounts, spending};
use clap::Args;
use rust_decimal::Decimal;

use super::messages::{one_line, printable};
use super::place::RunArg;
use super::{grouped, money};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    run: RunArg,
}

/// Failures that are listed, at most.
const LISTED: usize = 10;

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let dir = args.run.dir()?;
    let view = RunDir::view(&dir)?;
    let status =
        std::fs::read(dir.join("status.json")).ok().and_then(|bytes| serde_json::from_slice::<Status>(&bytes).ok());
    let out = &mut std::io::stdout().lock();
    if view.is_live() { live(&view, status, out) } else { at_rest(&view, status.as_ref(), out) }
}

/// Another process runs: it says how far it is.
fn live(view: &RunView, status: Option<Status>, out: &mut dyn Write) -> Result<()> {
    let status = status.context("the run has only just begun; ask again in a second")?;
    let doing = if status.phase == Phase::Settling { "settling its labels" } else { "running" };
    writeln!(out, "{}: {doing}", printable(view.task()))?;
    table(
        out,
        &[
            ("rows read", status.rows, "by this process; known ones are passed over"),
            // The counters are read one after the other while they grow, so any difference may be below nothing for a
            // moment.
            ("annotated", status.placed - status.failed.min(status.placed), "texts with candidates"),
            ("failed", status.failed, "texts without candidates"),
            ("bad rows", status.bad_rows, "rows of the corpus that cannot be used"),
            ("pending", status.pending, "read, not yet answered"),
            ("labelled", status.consumed, "texts that the student has taken in"),
            ("behind", status.placed.saturating_sub(status.consumed), "annotated, and the student is not there yet"),
            ("label events", status.events, "in labels.jsonl"),
        ],
    )?;
    if status.cost > Decimal::ZERO {
        writeln!(out, "  {:<18}{:>14}  so far, at most", "spent", money(status.cost))?;
    }
    Ok(())
}

/// Nobody runs: the logs say what is there.
fn at_rest(view: &RunView, status: Option<&Status>, out: &mut dyn Write) -> Result<()> {
    let counts = view.counts()?;
    // Bad rows and unanswered texts are of the latest run: the next one finds them again, or does not.
    let noted = view.noted()?;
    let count = |kind: FailureKind| noted.iter().filter(|failure| failure.kind == kind).count() as u64;
    let (rows, unanswered) = (count(FailureKind::Row), count(FailureKind::Unanswered));
    let (events, is_final) = view.label_events()?;
    // Without a text there is no label to be final.
    let state = state(&counts, status, unanswered, is_final || counts.samples == 0);
    writeln!(out, "{}: {state}", printable(view.task()))?;
    table(
        out,
        &[
            ("answers", counts.answers, "paid or recorded, in answers.jsonl"),
            ("annotated", counts.samples - counts.failed.min(counts.samples), "texts with candidates"),
            ("failed", counts.failed, "texts without candidates"),
            ("bad rows", rows, "rows of the corpus that cannot be used"),
            ("unanswered", unanswered, "texts to be asked about again by the next run"),
            ("label events", events, "in labels.jsonl"),
        ],
    )?;
    // A view changes nothing: it can only say what a run would do about them.
    if counts.damaged > 0 {
        table(out, &[("damaged", counts.damaged, "lines of answers.jsonl; the next run sets them aside")])?;
    }
    // How much is left is not known from the run's files: that takes reading the corpus.
    if state == STOPPED {
        let rest = "of the corpus, if it was not read to its end; `candist plan CONFIG` counts it";
        writeln!(out, "  {:<18}{:>14}  {rest}", "pending", "the rest")?;
    }
    spent(view, &counts, out)?;
    list(&view.failures()?, out)
}

/// What the answers took, and what was wrong with some. Nothing is printed where there is nothing to say: a recording
/// has neither tokens nor cost.
fn spent(view: &RunView, counts: &ViewCounts, out: &mut dyn Write) -> Result<()> {
    let usage = counts.totals.usage;
    if usage.total() > 0 {
        let cached = format!("in prompts, {} of them cached", grouped(usage.cached_tokens));
        table(out, &[("tokens", usage.prompt_tokens, &cached), ("", usage.completion_tokens, "in answers")])?;
    }
    let sums = spending(view, counts)?;
    if sums.total() > Decimal::ZERO {
        write!(out, "  {:<18}{:>14}", "spent", money(sums.total()))?;
        // A kill, or a server that gave no word: the provider's bill may be lower by as much.
        if sums.unknown > Decimal::ZERO {
            write!(out, "  of which {} for requests of unknown outcome, at most", money(sums.unknown))?;
        }
        writeln!(out)?;
    }
    for (kind, count) in &counts.totals.problems {
        let name = format!("{} answers", kind.name());
        table(out, &[(&name, *count, "kept raw in answers.jsonl")])?;
    }
    Ok(())
}

const STOPPED: &str = "stopped; run the same command again to go on";

/// How the last run ended, by what it left. The corpus' end is in the input log before the labels are settled, so it
/// takes both, the end and a final last label, to call it complete; and `status.json`, where it is still there, must
/// not contradict.
fn state(counts: &ViewCounts, status: Option<&Status>, unanswered: u64, is_final: bool) -> &'static str {
    let settled = is_final && status.is_none_or(|status| status.phase == Phase::Complete);
    match (counts.ended && settled, unanswered) {
        (true, 0) => "complete",
        (true, _) => "complete but for the unanswered texts; run the same command again to ask about them",
        (false, _) => STOPPED,
    }
}

/// Ids may be long.
const MAX_ID: usize = 60;

/// The first failures, a line each, with nothing in it that steers a terminal.
fn list(failures: &[Failure], out: &mut dyn Write) -> Result<()> {
    for Failure { kind, id, reason } in failures.iter().take(LISTED) {
        let mut shown: String = id.chars().take(MAX_ID).collect();
        if shown.len() < id.len() {
            shown.push('…');
        }
        let state = if *kind == FailureKind::Unanswered { "unanswered" } else { "failed" };
        writeln!(out, "  {state} {}: {}", one_line(&shown), printable(reason))?;
    }
    if failures.len() > LISTED {
        writeln!(out, "  ... and {} more; `candist failures RUN` lists all", failures.len() - LISTED)?;
    }
    Ok(())
}

/// Name, number and meaning, in columns.
fn table(out: &mut dyn Write, rows: &[(&str, u64, &str)]) -> Result<()> {
    for (name, count, meaning) in rows {
        writeln!(out, "  {name:<18}{:>14}  {meaning}", grouped(*count))?;
    }
    Ok(())
}
