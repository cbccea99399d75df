//! The command line: one verb a file. Data goes to stdout, everything else to stderr.

mod again;
mod audit;
mod batch;
mod check;
mod eval;
mod exit;
mod export;
mod failures;
mod folded;
mod messages;
mod place;
mod plan;
mod predict;
#[cfg(test)]
mod reference;
mod reporter;
mod run;
mod schema;
mod status;
mod table;
mod tail;

use std::io;

use anyhow::Result;
use candist::internal::can_start;
use clap::{Parser, Subcommand};
use indicatif::ProgressBar;
use rust_decimal::Decimal;

pub(crate) use exit::{Exit, report};
pub(crate) use messages::start_messages;

/// Annotates a text corpus with an LLM's candidate labels and distils them into one label per text.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 complete (what failed is listed), 1 failed, 2 wrong usage, configuration or input, \
3 incomplete but resumable (texts are unanswered; run the same command again), 130 stopped by Ctrl-C, SIGTERM or SIGHUP (resumable).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Annotate the corpus; goes on where an earlier run stopped.
    Run(run::RunArgs),
    /// Show what a run would ask, and what that would cost and take; sends nothing.
    Plan(plan::PlanArgs),
    /// Ask through a provider's batch files instead of one request at a time.
    #[command(subcommand)]
    Batch(batch::BatchCommand),
    /// Print label events, one JSON line each, also while the run writes them.
    Tail(tail::TailArgs),
    /// Show how far a run is.
    Status(status::StatusArgs),
    /// List what failed, with the reasons and the raw answers.
    Failures(failures::FailuresArgs),
    /// Compare the labels of a run with gold labels.
    Eval(eval::EvalArgs),
    /// Draw a random sample of labels for a person to check, or judge runs by a checked one.
    Audit(audit::AuditArgs),
    /// Write the student of a run to a folder, to label new text with.
    Export(export::ExportArgs),
    /// Label new text with an exported student, without any LLM; prints one JSON line a text.
    Predict(predict::PredictArgs),
    /// Check a configuration without running it, or with --deep every line of a run directory.
    Check(check::CheckArgs),
    /// Print a JSON schema.
    Schema(schema::SchemaArgs),
}

// Both ends are of use: 0 lets everything through, 1 what the student is certain of.
fn confidence(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

/// Threads of the stages, the store and what waits for files, besides one for every processor.
const STAGE_THREADS: u32 = 16;

/// Runs the verb.
pub(crate) fn run(cli: Cli, bar: &ProgressBar) -> Result<Exit> {
    // Asked before anything waits for a thread: see `can_start`. Who only checks a configuration should be told about
    // that first.
    if !matches!(cli.command, Command::Schema(_) | Command::Check(_)) {
        let processors = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        can_start(processors + STAGE_THREADS)?;
    }
    // `run` has exit codes of its own; of what prints, a reader that has gone away is no failure.
    let done = match cli.command {
        Command::Run(args) => return run::run(&args, bar),
        Command::Predict(args) => return unless_read_enough(predict::run(&args)),
        Command::Check(args) => return unless_read_enough(check::run(&args)),
        Command::Audit(args) => audit::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Batch(command) => batch::run(command),
        Command::Failures(args) => failures::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Schema(args) => schema::run(&args),
    };
    unless_read_enough(done.map(|()| Exit::Complete))
}

/// A reader of our output that went away has seen enough.
fn unless_read_enough(done: Result<Exit>) -> Result<Exit> {
    match done {
        Err(error) if is_broken_pipe(&error) => Ok(Exit::Complete),
        other => other,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let kind = error
        .downcast_ref::<io::Error>()
        .map(io::Error::kind)
        .or_else(|| error.downcast_ref::<serde_json::Error>()?.io_error_kind());
    kind == Some(io::ErrorKind::BrokenPipe)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// An amount with at least two decimals, and no zeros after those that count.
fn money(amount: Decimal) -> String {
    let amount = amount.round_dp(6).normalize();
    if amount.scale() < 2 { format!("{amount:.2}") } else { amount.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn amounts_have_two_decimals_or_as_many_as_count() {
        assert_eq!(
            ["0", "1.5", "0.000132", "12"].map(|amount| money(amount.parse().unwrap())),
            ["0.00", "1.50", "0.000132", "12.00"]
        );
    }

    #[test]
    fn numbers_are_grouped_by_three() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
    }
}
