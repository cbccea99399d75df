//! The command line of both programs, see `engine`: one verb a file. Data goes to stdout, everything else to stderr.

#[cfg(feature = "page")]
mod access;
mod again;
#[cfg(feature = "parquet")]
mod arrow_columns;
#[cfg(feature = "parquet")]
mod arrow_guard;
#[cfg(feature = "parquet")]
mod arrow_stream;
mod audit;
mod batch;
mod caller;
mod check;
mod completion;
mod completions;
mod correct;
mod engine;
mod eval;
mod examples;
mod exit;
mod export;
mod failures;
#[cfg(feature = "shared")]
mod fetched;
mod folded;
mod frame;
mod gold;
#[cfg(feature = "shared")]
mod import_answers;
mod init;
#[cfg(feature = "page")]
mod listen;
mod messages;
mod pace;
mod place;
mod plan;
mod predict;
mod predict_parts;
#[cfg(feature = "page")]
mod predict_serve;
mod preview;
#[cfg(test)]
mod reference;
mod report;
mod reporter;
mod run;
mod schema;
mod screen;
#[cfg(feature = "page")]
mod serve;
mod signals;
mod status;
mod summary;
mod table;
mod tail;
mod voice;
mod watch;
mod width;
#[cfg(feature = "shared")]
mod work;

use std::io;

use std::process::ExitCode;

use anyhow::Result;
use candist::internal::can_start;
use clap::{Parser, Subcommand};
use rust_decimal::Decimal;

use exit::{Exit, report};
use messages::{Manner, start_messages};
use voice::Voice;

/// The program `candist`: it does what needs no student, and becomes `candist-engine` for the rest.
#[must_use]
pub fn candist() -> ExitCode {
    main(|_, _, _| Err(engine::become_engine()))
}

/// The program `candist-engine`: it does everything.
#[must_use]
pub fn candist_engine() -> ExitCode {
    main(engine::run_verb)
}

/// Does the verbs that need a student.
type Others = fn(Command, &Voice, bool) -> Result<Exit>;

/// Parses, runs one verb, and gives its exit code. Errors come up to here and are told once.
fn main(others: Others) -> ExitCode {
    // Only a test's build has any.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    let cli = Cli::parse();
    let voice = start_messages(cli.manner());
    run(cli, &voice, others).unwrap_or_else(|error| report(&error)).into()
}

/// Annotates a text corpus with an LLM's candidate labels and distils them into one label per text.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = examples::EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Say nothing but warnings and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
}

impl Cli {
    /// How messages are to be told.
    fn manner(&self) -> Manner {
        Manner { quiet: self.quiet, json: matches!(&self.command, Command::Run(args) if args.json) }
    }
}

// In the order in which they are used.
#[derive(Debug, Subcommand)]
enum Command {
    /// Write a configuration: looks at a corpus, and asks for the rest or takes it from flags.
    #[command(after_help = examples::INIT)]
    Init(init::InitArgs),
    /// Check a configuration without running it, or with --deep every line of a run directory.
    #[command(after_help = examples::CHECK)]
    Check(check::CheckArgs),
    /// Show what a run would ask, and what that would cost and take; sends nothing.
    #[command(after_help = examples::PLAN)]
    Plan(plan::PlanArgs),
    /// Annotate the corpus; goes on where an earlier run stopped.
    #[command(after_help = examples::RUN)]
    Run(run::RunArgs),
    /// Ask for the runs of a database, as one of several machines (`run.shared`).
    #[cfg(feature = "shared")]
    #[command(after_help = examples::WORK)]
    Work(work::WorkArgs),
    /// Bring answers that were paid for elsewhere into a database that runs share.
    #[cfg(feature = "shared")]
    #[command(after_help = examples::IMPORT_ANSWERS)]
    ImportAnswers(import_answers::ImportAnswersArgs),
    /// Show how far a run is.
    #[command(after_help = examples::STATUS)]
    Status(status::StatusArgs),
    /// Print label events, one JSON line each, also while the run writes them.
    #[command(after_help = examples::TAIL)]
    Tail(tail::TailArgs),
    /// Show a run in a browser, while it runs and after; there people correct labels and audit them.
    #[cfg(feature = "page")]
    #[command(after_help = examples::SERVE)]
    Serve(serve::ServeArgs),
    /// Write the labels of a run as a table, or as a tool imports them; or its student, to label new text with.
    #[command(after_help = examples::EXPORT)]
    Export(export::ExportArgs),
    /// Compare the labels of a run with gold labels.
    #[command(after_help = examples::EVAL)]
    Eval(eval::EvalArgs),
    /// Give texts their labels, or take back what was given; the student learns from it.
    #[command(after_help = examples::CORRECT)]
    Correct(correct::CorrectArgs),
    /// Draw a random sample of labels for a person to check, or judge runs by a checked one.
    #[command(after_help = examples::AUDIT)]
    Audit(audit::AuditArgs),
    /// Tell of a run in one HTML file, to read, print and hand on.
    #[command(after_help = examples::REPORT)]
    Report(report::ReportArgs),
    /// List what failed, with the reasons and the raw answers.
    #[command(after_help = examples::FAILURES)]
    Failures(failures::FailuresArgs),
    /// Label new text with an exported student, without any LLM; prints one JSON line a text, or answers requests.
    #[command(after_help = examples::PREDICT)]
    Predict(predict::PredictArgs),
    /// Ask through a provider's batch files instead of one request at a time.
    #[command(subcommand, after_help = examples::BATCH)]
    Batch(batch::BatchCommand),
    /// Print a JSON schema.
    #[command(after_help = examples::SCHEMA)]
    Schema(schema::SchemaArgs),
    /// Print a script that lets a shell complete verbs and flags.
    #[command(after_help = examples::COMPLETIONS)]
    Completions(completions::CompletionsArgs),
    /// Write man pages, one a verb.
    #[command(hide = true, after_help = "Examples:\n  candist man share/man/man1")]
    Man(completions::ManArgs),
}

// Both ends are of use: 0 lets everything through, 1 what the student is certain of.
fn confidence(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

// A share that a promise is made about: 0 could never be kept, and 1 says nothing.
fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| *share > 0.0 && *share < 1.0).ok_or_else(|| "must be between 0 and 1".to_owned())
}

/// Threads of the stages, the store and what waits for files, besides one for every processor.
const STAGE_THREADS: u32 = 16;

/// Runs the verb.
fn run(cli: Cli, voice: &Voice, others: Others) -> Result<Exit> {
    // Asked before anything waits for a thread: see `can_start`. Who only checks a configuration should be told about
    // that first.
    let needs_none =
        matches!(cli.command, Command::Schema(_) | Command::Check(_) | Command::Completions(_) | Command::Man(_));
    if !needs_none {
        let processors = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        can_start(processors + STAGE_THREADS)?;
    }
    caller::stop_with_caller();
    let done = match cli.command {
        #[cfg(feature = "shared")]
        Command::Work(args) => return work::run(&args),
        #[cfg(feature = "shared")]
        Command::ImportAnswers(args) => import_answers::run(&args),
        Command::Correct(args) => correct::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Report(args) => report::run(&args),
        Command::Failures(args) => failures::run(&args),
        Command::Tail(args) => tail::run(&args),
        Command::Status(args) => status::run(&args),
        #[cfg(feature = "page")]
        Command::Serve(args) => serve::run(&args),
        Command::Schema(args) => schema::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => completions::write_pages(&args),
        // What trains or asks a student, or looks at one.
        command => return others(command, voice, cli.quiet),
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
