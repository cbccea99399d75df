//! `candist audit`: with `--sample` it draws a sample for a person to label, with `--gold` it judges runs by one that
//! was filled in.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Result;
use candist::{Audit, Share, audit, draw};
use clap::Args;

use super::grouped;
use super::place::directory;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Runs: their directories, or the configurations that name them; several are compared.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Draw so many of the final labels and print them as JSON lines, to fill in "gold"; this or --gold.
    #[arg(long, value_name = "N", conflicts_with = "gold", required_unless_present = "gold")]
    sample: Option<std::num::NonZeroUsize>,
    /// Of the draw.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The filled-in sample.
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
    /// The share of wrong labels that is allowed among those that are relied on.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    epsilon: f64,
    /// The chance that is allowed for there to be more.
    #[arg(long, default_value_t = 0.05, value_parser = share)]
    delta: f64,
    /// Print JSON, one object a run.
    #[arg(long)]
    json: bool,
}

// A share that a promise is made about: 0 could never be kept, and 1 says nothing.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(|| "must be between 0 and 1".to_owned())
}

pub(super) fn run(args: &AuditArgs) -> Result<()> {
    let out = &mut std::io::stdout().lock();
    let Some(gold) = &args.gold else {
        // clap cannot say "one, but only here": said in its words and with its exit code.
        let [run] = args.runs.as_slice() else {
            let message = format!("--sample draws from one run; {} are given\n", args.runs.len());
            clap::Error::raw(clap::error::ErrorKind::TooManyValues, message).exit()
        };
        let drawn = draw(&directory(run)?, args.sample.map_or(0, std::num::NonZero::get), args.seed)?;
        for row in &drawn {
            writeln!(out, "{}", serde_json::to_string(row)?)?;
        }
        tracing::info!(
            "{} texts drawn: fill in \"gold\" in each line, then candist audit RUN --gold FILE",
            drawn.len()
        );
        return Ok(());
    };
    // Of runs that are as good, the one that was named first. Told only where several are compared, and not in JSON,
    // whose reader can sort.
    let mut best: Option<(PathBuf, f64)> = None;
    for run in &args.runs {
        let dir = &directory(run)?;
        let found = audit(dir, gold, args.epsilon, args.delta)?;
        warn(dir, &found);
        if args.json {
            let object = serde_json::json!({ "run": dir, "audit": found });
            writeln!(out, "{object}")?;
        } else {
            print(dir, &found, args, out)?;
        }
        if best.as_ref().is_none_or(|(_, accuracy)| found.accuracy.estimate > *accuracy) {
            best = Some((dir.clone(), found.accuracy.estimate));
        }
    }
    if let Some((dir, accuracy)) = best.filter(|_| args.runs.len() > 1 && !args.json) {
        writeln!(out, "  best on this sample: {} ({:.1}%)", dir.display(), 100.0 * accuracy)?;
    }
    Ok(())
}

/// What of the sample was left out, and why.
fn warn(dir: &std::path::Path, audit: &Audit) {
    if audit.unfilled > 0 {
        tracing::warn!("{} line(s) are not filled in: they are left out", grouped(audit.unfilled));
    }
    if audit.foreign > 0 {
        tracing::warn!(
            "{} of {} filled-in line(s) have no final label in {}, or another text there: they are left out",
            grouped(audit.foreign),
            grouped(audit.foreign + audit.audited),
            dir.display()
        );
    }
}

/// One run's figures. All shares are printed as percentages, confidences as they stand in the label log.
fn print(dir: &std::path::Path, audit: &Audit, args: &AuditArgs, out: &mut dyn Write) -> Result<()> {
    let share = |share: &Share| {
        let [estimate, low, high] = [share.estimate, share.low, share.high].map(|part| 100.0 * part);
        format!("{estimate:.1}%  ({low:.1}% to {high:.1}% with 95% confidence)")
    };
    writeln!(out, "{}: {} labels audited", dir.display(), audit.audited)?;
    writeln!(out, "  distilled label        {}", share(&audit.accuracy))?;
    writeln!(out, "  teacher's first label  {}", share(&audit.teacher_first))?;
    let (epsilon, sure) = (100.0 * args.epsilon, 100.0 * (1.0 - args.delta));
    match &audit.threshold {
        Some(found) => writeln!(
            out,
            "  confidence >= {:<8} {:.1}% of all labels, at most {epsilon}% of them wrong with {sure}% confidence",
            found.confidence,
            100.0 * found.labels
        )?,
        None => writeln!(
            out,
            "  no confidence from which on at most {epsilon}% are wrong could be shown with {sure}% confidence: audit more, \
             or allow more with --epsilon"
        )?,
    }
    Ok(())
}
