//! `candist audit`: with `--sample` it draws a sample for a person to label, with `--gold` it judges runs by one that
//! was filled in. Without either it judges a run by its own audit, which people label on its page, or ends that.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::{
    Audit, AuditCertificate, AuditOptions, AuditedSets, Calibrated, RunDir, Share, ToLabel, audit, correct_audited,
    draw, drop_audit, end_audit, own_audit, own_sample,
};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::place::directory;
use super::{grouped, share};

/// Epsilon and delta where nothing is said of them.
const USUAL: f64 = 0.05;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// Runs: their directories, or the configurations that name them; several are compared.
    ///
    /// Without --sample and --gold, each is judged by its own audit: the sample that was drawn and labelled on its page
    /// (`candist serve RUN`, then Audit).
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Draw so many of the final labels and print them as JSON lines, to fill in "gold".
    #[arg(long, value_name = "N", conflicts_with = "gold")]
    sample: Option<std::num::NonZeroUsize>,
    /// Of the draw; more of the same seed begin with the same texts.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The filled-in sample.
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
    /// The share of wrong labels that is allowed among those that are relied on.
    ///
    /// 0.05 if missing; of the run's own audit, once it has ended, what it ended with.
    #[arg(long, value_parser = share)]
    epsilon: Option<f64>,
    /// The chance that is allowed for there to be more.
    ///
    /// As for --epsilon, if missing.
    #[arg(long, value_parser = share)]
    delta: Option<f64>,
    /// Say from which probability on labels belong to a text's set, so that sets hold the right label this often, as 0.95.
    #[arg(long, value_name = "SHARE", conflicts_with = "sample", value_parser = share)]
    coverage: Option<f64>,
    /// Print the labels of the run's own audit as a filled-in sample: for --gold with other runs, and for exports (--audited).
    #[arg(long, conflicts_with_all = ["sample", "gold", "json", "end", "correct"])]
    filled: bool,
    /// End the run's own audit: its certificate stays as it is now, and its texts can be corrected again.
    #[arg(long, conflicts_with_all = ["sample", "gold"])]
    end: bool,
    /// Give up the sample of the run's own audit, of which nothing is labelled: its texts can be corrected again.
    #[arg(long, conflicts_with_all = ["sample", "gold", "end", "correct", "filled", "json"])]
    drop: bool,
    /// Take the labels of the run's own audit, once it has ended, as corrections.
    #[arg(long, conflicts_with_all = ["sample", "gold"])]
    correct: bool,
    /// Whoever ends the audit or takes its labels; kept with it.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    who: Option<String>,
    /// Print JSON, one object a run; of the run's own audit, its certificate.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AuditArgs) -> Result<()> {
    let out = &mut std::io::stdout().lock();
    #[cfg(feature = "shared")]
    if args.drop || args.end || args.correct {
        args.runs.iter().try_for_each(|run| super::fetched::refuse(run, "end, drop or take an audit"))?;
    }
    match (&args.gold, args.sample) {
        (_, Some(count)) => sample(args, count.get(), out),
        (Some(gold), None) => judge(args, gold, out),
        (None, None) => args.runs.iter().try_for_each(|run| own(&directory(run)?, args, out)),
    }
}

impl AuditArgs {
    fn options(&self) -> AuditOptions {
        AuditOptions { epsilon: self.epsilon, delta: self.delta, coverage: self.coverage }
    }
}

fn sample(args: &AuditArgs, count: usize, out: &mut dyn Write) -> Result<()> {
    // clap cannot say "one, but only here": said in its words and with its exit code.
    let [run] = args.runs.as_slice() else {
        let message = format!("--sample draws from one run; {} are given\n", args.runs.len());
        clap::Error::raw(clap::error::ErrorKind::TooManyValues, message).exit()
    };
    let drawn = draw(&directory(run)?, count, args.seed)?;
    print_rows(&drawn, out)?;
    tracing::info!("{} texts drawn: fill in \"gold\" in each line, then candist audit RUN --gold FILE", drawn.len());
    Ok(())
}

fn print_rows(rows: &[ToLabel], out: &mut dyn Write) -> Result<()> {
    rows.iter().try_for_each(|row| Ok(writeln!(out, "{}", serde_json::to_string(row)?)?))
}

fn judge(args: &AuditArgs, gold: &Path, out: &mut dyn Write) -> Result<()> {
    // Of runs that are as good, the one that was named first. Told only where several are compared, and not in JSON,
    // whose reader can sort.
    let mut best: Option<(PathBuf, f64)> = None;
    for run in &args.runs {
        let dir = &directory(run)?;
        let found = audit(dir, gold, &args.options())?;
        warn(dir, &found);
        if args.json {
            let object = serde_json::json!({ "run": dir, "audit": found });
            writeln!(out, "{object}")?;
        } else {
            print(dir, &found, (args.epsilon.unwrap_or(USUAL), args.delta.unwrap_or(USUAL)), out)?;
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

/// The run's own audit: judged, ended, its labels taken, as is asked for.
fn own(dir: &Path, args: &AuditArgs, out: &mut dyn Write) -> Result<()> {
    let (view, who) = (RunDir::view(dir)?, args.who.as_deref());
    if args.filled {
        return print_rows(&own_sample(&view)?, out);
    }
    if args.drop {
        let labelled = drop_audit(&view, who)?;
        let kept =
            if labelled > 0 { format!("; {} label(s) stay in audit.jsonl", grouped(labelled)) } else { String::new() };
        tracing::info!("{}: the sample is given up{kept}", dir.display());
        return Ok(());
    }
    if args.end {
        end_audit(&view, &args.options(), who)?;
        tracing::info!("{}: the audit has ended; its certificate is kept", dir.display());
    }
    if args.correct {
        let taken = correct_audited(&view, who)?;
        tracing::info!("{}: {} label(s) of the audit are corrections now", dir.display(), grouped(taken));
    }
    let (found, certificate) = own_audit(&view, &args.options())?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&certificate)?)?;
        return Ok(());
    }
    print(dir, &found, (certificate.epsilon, certificate.delta), out)?;
    conditions(&certificate, out)
}

/// Whether it goes on, and what has to be known besides.
fn conditions(certificate: &AuditCertificate, out: &mut dyn Write) -> Result<()> {
    let drawn = certificate.sample.draws.last().copied().unwrap_or_default();
    let state = if certificate.ended { format!("ended {}", certificate.date) } else { "open".to_owned() };
    writeln!(
        out,
        "  the run's own audit    {state}: {} of {} drawn texts count, of {} final labels",
        certificate.sample.counted,
        grouped(drawn),
        grouped(certificate.sample.population)
    )?;
    for doubt in &certificate.doubts {
        writeln!(out, "  - {doubt}")?;
    }
    Ok(())
}

/// What of the sample was left out, and why.
fn warn(dir: &std::path::Path, audit: &Audit) {
    if audit.unfilled > 0 {
        tracing::warn!("{} line(s) are not filled in: they are left out", grouped(audit.unfilled));
    }
    if audit.given > 0 {
        tracing::warn!(
            "{} of {} audited texts have a label that a person gave in {}: where they were corrected because they were audited, they are \
             right by definition, and all figures speak of the sample alone; audit by texts that nobody has corrected",
            grouped(audit.given),
            grouped(audit.audited),
            dir.display()
        );
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
/// The threshold is for these shares of wrong labels and of chance.
fn print(dir: &Path, audit: &Audit, (epsilon, delta): (f64, f64), out: &mut dyn Write) -> Result<()> {
    writeln!(out, "{}: {} labels audited", dir.display(), audit.audited)?;
    writeln!(out, "  distilled label        {}", percent(&audit.accuracy))?;
    writeln!(out, "  teacher's first label  {}", percent(&audit.teacher_first))?;
    calibration(&audit.calibration, out)?;
    if let Some(found) = &audit.sets {
        sets(found, out)?;
    }
    let (epsilon, sure) = (100.0 * epsilon, 100.0 * (1.0 - delta));
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

fn percent(share: &Share) -> String {
    let [estimate, low, high] = [share.estimate, share.low, share.high].map(|part| 100.0 * part);
    format!("{estimate:.1}%  ({low:.1}% to {high:.1}% with 95% confidence)")
}

/// How far confidences are from the truth, and where they would move.
fn calibration(found: &Calibrated, out: &mut dyn Write) -> Result<()> {
    let Share { estimate, low, high } = found.above_accuracy;
    writeln!(
        out,
        "  mean confidence        {:.1}%  ({:+.1} points from the accuracy, {:+.1} to {:+.1} with 95% confidence)",
        100.0 * found.mean,
        100.0 * estimate,
        100.0 * low,
        100.0 * high
    )?;
    writeln!(out, "  calibration error      {}", percent(&found.error))?;
    let moved: Vec<String> =
        found.recalibrated.iter().map(|moved| format!("{:.2} to {:.2}", moved.from, moved.to)).collect();
    let mean = 100.0 * found.recalibrated_mean;
    writeln!(
        out,
        "  recalibrated           {mean:.1}%  ({}): candist export RUN --labels OUT --audited FILE",
        moved.join(", ")
    )?;
    Ok(())
}

/// From where on labels belong to sets, or why there are none.
fn sets(found: &AuditedSets, out: &mut dyn Write) -> Result<()> {
    match (found, found.problem()) {
        (AuditedSets::Found { coverage, share, mean_size }, _) => writeln!(
            out,
            "  label sets             {mean_size:.2} labels in the mean hold the right one of {}% of texts: those of {share} and more",
            100.0 * coverage
        )?,
        (_, Some(problem)) => writeln!(out, "  label sets             none: {problem}")?,
        _ => {}
    }
    Ok(())
}
