//! `candist status`

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use candist::Error;
use candist::label::{Label, LabelSet};
use candist::progress::{Phase, Status};
use candist::store::{Failure, Manifest, RunLock, Store};

use super::grouped;

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
    writeln!(out, "{}: {doing}", manifest.task)?;
    table(
        out,
        &[
            ("rows read", status.rows, "by this process; known ones are passed over"),
            ("annotated", status.placed - status.failed.min(status.placed), "texts with candidates"),
            ("failed", status.failed + status.bad_rows, "texts without candidates, and bad rows"),
            ("pending", status.pending, "read, not yet answered"),
            ("labelled", status.consumed, "texts that the student has taken in"),
            ("label events", status.events, "in labels.jsonl"),
        ],
    )
}

/// Nobody runs: the store says what is there.
fn at_rest(
    dir: &Path,
    manifest: &Manifest,
    status: Option<Status>,
    _lock: &RunLock,
    out: &mut dyn Write,
) -> Result<()> {
    let label = |name: &String| Label { name: name.clone(), description: None, aliases: Vec::new() };
    let labels =
        LabelSet::new(manifest.labels.iter().map(label).collect()).context("manifest.json has no usable labels")?;
    let store = Store::open(dir, &labels)?;
    for repair in store.repairs() {
        tracing::warn!("{repair}");
    }
    let (answers, samples, events) = store.counts();
    let failures = store.reader().failures()?;
    let (failed, bad_rows) = store.reader().failure_counts()?;
    let complete = status.as_ref().is_some_and(|status| status.phase == Phase::Complete);
    writeln!(
        out,
        "{}: {}",
        manifest.task,
        if complete { "complete" } else { "stopped; run the same command again to go on" }
    )?;
    table(
        out,
        &[
            ("answers", answers, "paid or recorded, in answers.jsonl"),
            ("annotated", samples - failed.min(samples), "texts with candidates"),
            ("failed", failed + bad_rows, "texts without candidates, and bad rows"),
            ("label events", events, "in labels.jsonl"),
        ],
    )?;
    list(&failures, out)
}

fn list(failures: &[Failure], out: &mut dyn Write) -> Result<()> {
    for Failure { id, reason } in failures.iter().take(LISTED) {
        writeln!(out, "  failed {id}: {reason}")?;
    }
    if failures.len() > LISTED {
        writeln!(out, "  ... and {} more", failures.len() - LISTED)?;
    }
    Ok(())
}

fn table(out: &mut dyn Write, rows: &[(&str, u64, &str)]) -> Result<()> {
    for (name, count, meaning) in rows {
        writeln!(out, "  {name:<18}{:>14}  {meaning}", grouped(*count))?;
    }
    Ok(())
}
