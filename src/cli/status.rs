//! `candist status`

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use candist::Error;
use candist::flow::progress::{Phase, Status};
use candist::store::{Failure, FailureKind, Manifest, RunLock, Store};
use candist::teacher::ledger::Ledger;

use rust_decimal::Decimal;

use super::messages::{one_line, printable};
use super::{grouped, money};

/// Failures that are listed, at most.
const LISTED: usize = 10;

pub(super) fn run(dir: &Path) -> Result<()> {
    let manifest =
        Manifest::read(dir)?.ok_or_else(|| Error::NoRun { path: dir.to_owned(), missing: "manifest.json" })?;
    let status =
        std::fs::read(dir.join("status.json")).ok().and_then(|bytes| serde_json::from_slice::<Status>(&bytes).ok());
    let out = &mut std::io::stdout().lock();
    match RunLock::take(dir) {
        Err(Error::Busy { .. }) => live(&manifest, status, out),
        Err(error) => Err(error.into()),
        Ok(lock) => at_rest(dir, &manifest, status, &lock, out),
    }
}

/// Another process runs: it says how far it is.
fn live(manifest: &Manifest, status: Option<Status>, out: &mut dyn Write) -> Result<()> {
    let status = status.context("the run has only just begun; ask again in a second")?;
    let doing = if status.phase == Phase::Settling { "settling its labels" } else { "running" };
    writeln!(out, "{}: {doing}", printable(&manifest.task))?;
    table(
        out,
        &[
            ("rows read", status.rows, "by this process; known ones are passed over"),
            ("annotated", status.placed - status.failed.min(status.placed), "texts with candidates"),
            ("failed", status.failed + status.bad_rows, "texts without candidates, and bad rows"),
            ("pending", status.pending, "read, not yet answered"),
            ("labelled", status.consumed, "texts that the student has taken in"),
            ("behind", status.placed.saturating_sub(status.consumed), "annotated, and the student is not there yet"),
            ("label events", status.events, "in labels.jsonl"),
        ],
    )?;
    if status.cost > Decimal::ZERO {
        writeln!(out, "  {:<18}{:>14}  so far", "spent", money(status.cost))?;
    }
    Ok(())
}

/// Nobody runs: the store says what is there.
fn at_rest(
    dir: &Path,
    manifest: &Manifest,
    status: Option<Status>,
    _lock: &RunLock,
    out: &mut dyn Write,
) -> Result<()> {
    let store = Store::open(dir, &manifest.label_set()?)?;
    for repair in store.repairs() {
        tracing::warn!("{repair}");
    }
    let (answers, samples, events) = store.counts();
    let reader = store.reader();
    let counts = reader.failure_counts()?;
    let state = state(manifest, status.as_ref(), &store)?;
    writeln!(out, "{}: {}", printable(&manifest.task), state)?;
    table(
        out,
        &[
            ("answers", answers, "paid or recorded, in answers.jsonl"),
            ("annotated", samples - counts.samples.min(samples), "texts with candidates"),
            ("failed", counts.samples + counts.rows, "texts without candidates, and bad rows"),
            ("unanswered", counts.unanswered, "texts to be asked about again by the next run"),
            ("label events", events, "in labels.jsonl"),
        ],
    )?;
    if state == STOPPED {
        writeln!(
            out,
            "  {:<18}{:>14}  of the corpus is not read yet; `candist plan CONFIG` counts it",
            "pending", "the rest"
        )?;
    }
    spending(dir, &store, out)?;
    list(&reader.failures()?, out)
}

/// What the answers took, and what was wrong with some.
fn spending(dir: &Path, store: &Store, out: &mut dyn Write) -> Result<()> {
    let totals = store.totals();
    let usage = totals.usage;
    if usage.total() > 0 {
        let cached = format!("in prompts, {} of them cached", grouped(usage.cached_tokens));
        table(out, &[("tokens", usage.prompt_tokens, &cached), ("", usage.completion_tokens, "in answers")])?;
    }
    let ledger = Ledger::new(None);
    ledger.take_up(dir, totals.cost)?;
    let sums = ledger.sums();
    if sums.total() > Decimal::ZERO {
        write!(out, "  {:<18}{:>14}", "spent", money(sums.total()))?;
        if sums.unknown > Decimal::ZERO {
            write!(out, "  of which {} for requests of unknown outcome, at most", money(sums.unknown))?;
        }
        writeln!(out)?;
    }
    for (kind, count) in &totals.problems {
        let name = format!("{} answers", kind.name());
        table(out, &[(&name, *count, "kept raw in answers.jsonl")])?;
    }
    Ok(())
}

const STOPPED: &str = "stopped; run the same command again to go on";

/// How the last run ended, by what it left.
fn state(manifest: &Manifest, status: Option<&Status>, store: &Store) -> Result<&'static str> {
    let (_, samples, events) = store.counts();
    let reader = store.reader();
    let labels_are_final = match samples.checked_sub(1) {
        Some(last) => reader.latest_before(last, events)?.is_some_and(|(_, event)| event.is_final),
        None => true,
    };
    let stopped = status.is_some_and(|status| status.phase == Phase::Stopped);
    let at_end = manifest.ends.last() == Some(&samples) && labels_are_final && !stopped;
    Ok(match (at_end, reader.failure_counts()?.unanswered) {
        (true, 0) => "complete",
        (true, _) => "complete but for the unanswered texts; run the same command again to ask about them",
        (false, _) => STOPPED,
    })
}

/// Ids may be long.
const MAX_ID: usize = 60;

fn list(failures: &[(FailureKind, Failure)], out: &mut dyn Write) -> Result<()> {
    for (kind, Failure { id, reason }) in failures.iter().take(LISTED) {
        let mut shown: String = id.chars().take(MAX_ID).collect();
        if shown.len() < id.len() {
            shown.push('…');
        }
        let state = if *kind == FailureKind::Unanswered { "unanswered" } else { "failed" };
        writeln!(out, "  {state} {}: {}", one_line(&shown), printable(reason))?;
    }
    if failures.len() > LISTED {
        writeln!(out, "  ... and {} more; `candist failures DIR` lists all", failures.len() - LISTED)?;
    }
    Ok(())
}

fn table(out: &mut dyn Write, rows: &[(&str, u64, &str)]) -> Result<()> {
    for (name, count, meaning) in rows {
        writeln!(out, "  {name:<18}{:>14}  {meaning}", grouped(*count))?;
    }
    Ok(())
}
