//! `candist status`: how far a run is, from its files. Beside a run it takes the run's own word (`status.json`, up to a
//! quarter of a second old); else it counts what is in the logs, since what the last process wrote there may be older
//! than they are.

use std::io::Write;
use std::path::Path;

use anyhow::{Context, Result};
use candist::{
    AuditProgress, CorrectionCounts, DOUBTFUL, Distribution, Error, Failure, FailureKind, Phase, RunDir, RunView,
    Status, Sums, ViewCounts, audit_progress, correction_counts, distribution, spending,
};
use clap::Args;
use rust_decimal::Decimal;
use serde_json::{Value, json};

use super::completion::last_word;
use super::messages::{one_line, printable};
use super::pace::Pace;
use super::place::RunArg;
use super::reporter::object;
use super::summary::{bars, ranking};
use super::voice::size_of;
use super::watch::watch;
use super::width::USUAL;
use super::{frame, grouped, money};

#[derive(Debug, Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    run: RunArg,
    /// Show it again and again until the run is complete; waits for one that has not begun.
    #[arg(short, long)]
    watch: bool,
    /// Print JSON; with --watch, one object a second.
    #[arg(long)]
    json: bool,
}

/// Failures that are listed, at most.
const LISTED: usize = 10;

pub(super) fn run(args: &StatusArgs) -> Result<()> {
    let dir = args.run.dir()?;
    if args.watch {
        return watch(&dir, args.json);
    }
    look(&dir)?.print(args.json, &mut std::io::stdout().lock())
}

/// A run as it is found.
pub(super) struct Looked {
    view: RunView,
    found: Found,
    audit: Option<AuditProgress>,
}

enum Found {
    /// Another process runs: it says how far it is. With its rate and what is left, where somebody followed it.
    Live(Box<Status>, Option<Pace>),
    /// Nobody runs: the logs say what is there.
    Rest(Box<AtRest>),
}

/// What the logs hold.
struct AtRest {
    state: State,
    counts: ViewCounts,
    rows: u64,
    unanswered: u64,
    events: u64,
    sums: Sums,
    distribution: Distribution,
    corrections: CorrectionCounts,
    failures: Vec<Failure>,
    /// As the last process left it: only its refinery knows.
    calibration_doubt: Option<String>,
}

/// How the last run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Complete,
    /// But for texts that the next run asks about.
    Unanswered,
    Stopped,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unanswered => "incomplete",
            Self::Stopped => "stopped",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Unanswered => "complete but for the unanswered texts; run the same command again to ask about them",
            Self::Stopped => "stopped; run the same command again to go on",
        }
    }
}

/// Looks at the run in `dir`.
pub(super) fn look(dir: &Path) -> Result<Looked> {
    let view = RunDir::view(dir)?;
    let word = last_word(dir);
    let found = if view.is_live() {
        Found::Live(Box::new(word.context("the run has only just begun; ask again in a second")?), None)
    } else {
        Found::Rest(Box::new(at_rest(&view, word.as_ref())?))
    };
    let audit = audit_progress(&view)?;
    Ok(Looked { view, found, audit })
}

/// Nobody runs: the logs say what is there.
fn at_rest(view: &RunView, word: Option<&Status>) -> Result<AtRest> {
    let counts = view.counts()?;
    // Bad rows and unanswered texts are of the latest run: the next one finds them again, or does not.
    let noted = view.noted()?;
    let count = |kind: FailureKind| noted.iter().filter(|failure| failure.kind == kind).count() as u64;
    let (rows, unanswered) = (count(FailureKind::Row), count(FailureKind::Unanswered));
    let (events, is_final) = view.label_events()?;
    // Without a text there is no label to be final.
    let state = state(&counts, word, unanswered, is_final || counts.samples == 0);
    // A damaged line is told by who reads labels; how far the run is does not depend on it.
    let distribution = distribution(view.dir()).or_else(|error| match error {
        // The labels are well: no figure would be told as none.
        Error::Temporary { .. } => Err(error),
        error => {
            tracing::warn!("{error}");
            Ok(Distribution::default())
        }
    })?;
    let (sums, failures, corrections) = (spending(view, &counts)?, view.failures()?, correction_counts(view)?);
    let calibration_doubt = word.and_then(|status| status.calibration_doubt.clone()).filter(|_| events > 0);
    Ok(AtRest { state, counts, rows, unanswered, events, sums, distribution, corrections, failures, calibration_doubt })
}

/// How the last run ended, by what it left. The corpus' end is in the input log before the labels are settled, so it
/// takes both, the end and a final last label, to call it complete; and `status.json`, where it is still there, must
/// not contradict.
fn state(counts: &ViewCounts, word: Option<&Status>, unanswered: u64, is_final: bool) -> State {
    let settled = is_final && word.is_none_or(|status| status.phase == Phase::Complete);
    match (counts.ended && settled, unanswered) {
        (true, 0) => State::Complete,
        (true, _) => State::Unanswered,
        (false, _) => State::Stopped,
    }
}

impl Looked {
    /// The same, as somebody sees it who followed it.
    pub(super) fn with_pace(mut self, pace: &Pace) -> Self {
        if let Found::Live(_, known) = &mut self.found {
            *known = Some(pace.clone());
        }
        self
    }

    /// Prints it, for a person or a program.
    pub(super) fn print(&self, json: bool, out: &mut dyn Write) -> Result<()> {
        if json {
            return Ok(writeln!(out, "{}", self.object())?);
        }
        match &self.found {
            Found::Live(status, _) => live(&self.view, status, out)?,
            Found::Rest(rest) => rest.print(&self.view, out)?,
        }
        match self.audit.filter(|audit| audit.open) {
            Some(AuditProgress { drawn, filled, .. }) => {
                let ends = if filled > 0 { "--end` ends it" } else { "--drop` gives it up" };
                let of = format!("of {} drawn texts are labelled; `candist audit RUN {ends}", grouped(drawn));
                table(out, &[("audit open", filled, &of)])
            }
            None => Ok(()),
        }
    }

    fn object(&self) -> Value {
        let (task, run) = (self.view.task(), self.view.dir());
        match &self.found {
            Found::Live(status, pace) => {
                let pace = pace.clone().unwrap_or_else(|| Pace::mean(status));
                let (rate, left) = (pace.rate(), pace.left(status));
                let state = if status.phase == Phase::Settling { "settling" } else { "running" };
                json!({"type": "status", "run": run, "task": task, "state": state, "audit": self.audit, "progress": object(status, rate, left)})
            }
            Found::Rest(rest) => {
                let AtRest { state, counts, distribution, sums, .. } = rest.as_ref();
                let problems: serde_json::Map<String, Value> =
                    counts.totals.problems.iter().map(|(kind, count)| (kind.name().to_owned(), json!(count))).collect();
                json!({
                    "type": "status",
                    "run": run,
                    "task": task,
                    "state": state.name(),
                    "texts": counts.samples,
                    "without_candidates": counts.failed,
                    "bad_rows": rest.rows,
                    "unanswered": rest.unanswered,
                    "answers": counts.answers,
                    "damaged_answers": counts.damaged,
                    "problems": problems,
                    "prompt_tokens": counts.totals.usage.prompt_tokens,
                    "cached_tokens": counts.totals.usage.cached_tokens,
                    "completion_tokens": counts.totals.usage.completion_tokens,
                    "spent": sums.total().normalize(),
                    "spent_unknown": sums.unknown.normalize(),
                    "label_events": rest.events,
                    "corrected": rest.corrections.texts,
                    "corrections_waiting": rest.corrections.waiting,
                    "audit": self.audit,
                    "labels": distribution.labels.iter()
                        .map(|(label, texts)| json!({"label": label, "texts": texts})).collect::<Vec<_>>(),
                    "doubtful": {"below": DOUBTFUL, "texts": distribution.doubtful},
                    "calibration_doubt": rest.calibration_doubt,
                })
            }
        }
    }
}

/// How far a process is.
fn live(view: &RunView, status: &Status, out: &mut dyn Write) -> Result<()> {
    let doing = if status.phase == Phase::Settling { "settling its labels" } else { "running" };
    writeln!(out, "{}: {doing}", printable(view.task()))?;
    let columns = size_of(std::io::stdout()).map_or(USUAL, |(columns, _)| columns);
    writeln!(out, "  {}", frame::head(status, &Pace::mean(status), columns.saturating_sub(3)))?;
    if let Some(pause) = frame::pause(status) {
        writeln!(out, "  {pause}")?;
    }
    let of =
        status.total.map_or_else(|| "rows of the corpus".to_owned(), |total| format!("of {} rows", grouped(total)));
    table(
        out,
        &[
            ("done", status.done, &format!("{of}: annotated, or of no use")),
            // The counters are read one after the other while they grow, so any difference may be below nothing for a
            // moment.
            ("annotated", status.placed - status.failed.min(status.placed), "texts that a teacher named labels for"),
            ("failed", status.failed, "texts that no teacher named a label for"),
            ("unanswered", status.unanswered, "texts that the next run asks about again"),
            ("bad rows", status.bad_rows, "rows that cannot be used"),
            ("waiting", status.pending, "texts that are not answered yet"),
            ("in flight", status.in_flight, "requests that are not answered yet"),
            ("sent again", status.retries, "requests, since this process began"),
            ("labelled", status.consumed, "texts that the student has taken in"),
            ("behind", status.behind(), "texts that it has still to take in"),
            ("label events", status.events, "first labels and changed ones"),
        ],
    )?;
    if status.cost > Decimal::ZERO {
        let cap = status.max_cost.map(|cap| format!("of {}, ", money(cap))).unwrap_or_default();
        let most = format!("{cap}at most {} with what is on its way", money(status.cost));
        writeln!(out, "  {:<18}{:>14}  {most}", "spent", money(status.spent))?;
    }
    for line in frame::newest(status, columns) {
        writeln!(out, "{line}")?;
    }
    for line in status.calibration_doubt.iter().flat_map(|why| ranking(why, columns)) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

impl AtRest {
    fn print(&self, view: &RunView, out: &mut dyn Write) -> Result<()> {
        let counts = &self.counts;
        writeln!(out, "{}: {}", printable(view.task()), self.state.sentence())?;
        table(
            out,
            &[
                (
                    "annotated",
                    counts.samples - counts.failed.min(counts.samples),
                    "texts that a teacher named labels for",
                ),
                ("failed", counts.failed, "texts that no teacher named a label for"),
                ("unanswered", self.unanswered, "texts that the next run asks about again"),
                ("bad rows", self.rows, "rows that cannot be used"),
                ("answers", counts.answers, "of all teachers, with second tries"),
                ("label events", self.events, "first labels and changed ones"),
            ],
        )?;
        if self.corrections.texts > 0 {
            table(out, &[("corrected", self.corrections.texts, "texts that a person gave their label")])?;
        }
        if self.corrections.waiting > 0 {
            table(out, &[("not taken in", self.corrections.waiting, "corrections that the next run learns from")])?;
        }
        // A view changes nothing: it can only say what a run would do about them.
        if counts.damaged > 0 {
            table(out, &[("damaged", counts.damaged, "lines of answers.jsonl; the next run sets them aside")])?;
        }
        // How much is left is not known from the run's files: that takes reading the corpus.
        if self.state == State::Stopped {
            let rest = "`candist plan CONFIG` counts it";
            writeln!(out, "  {:<18}{:>14}  {rest}", "still to do", "the rest")?;
        }
        self.spent(out)?;
        let columns = size_of(std::io::stdout()).map_or(USUAL, |(columns, _)| columns);
        for line in bars(&self.distribution, columns) {
            writeln!(out, "{line}")?;
        }
        if self.distribution.doubtful > 0 {
            let meaning = format!("labels with a confidence below {DOUBTFUL}");
            table(out, &[("doubtful", self.distribution.doubtful, &meaning)])?;
        }
        for line in self.calibration_doubt.iter().flat_map(|why| ranking(why, columns)) {
            writeln!(out, "{line}")?;
        }
        list(&self.failures, out)
    }

    /// What the answers took, and what was wrong with some. Nothing is printed where there is nothing to say: a
    /// recording has neither tokens nor cost.
    fn spent(&self, out: &mut dyn Write) -> Result<()> {
        let usage = self.counts.totals.usage;
        if usage.total() > 0 {
            let cached = format!("in prompts, {} of them cached", grouped(usage.cached_tokens));
            table(out, &[("tokens", usage.prompt_tokens, &cached), ("", usage.completion_tokens, "in answers")])?;
        }
        if self.sums.total() > Decimal::ZERO {
            write!(out, "  {:<18}{:>14}", "spent", money(self.sums.total()))?;
            // A kill, or a server that gave no word: the provider's bill may be lower by as much.
            if self.sums.unknown > Decimal::ZERO {
                write!(out, "  of which {} for requests of unknown outcome, at most", money(self.sums.unknown))?;
            }
            writeln!(out)?;
        }
        for (kind, count) in &self.counts.totals.problems {
            let name = format!("{} answers", kind.name());
            table(out, &[(&name, *count, "kept raw in answers.jsonl")])?;
        }
        Ok(())
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
