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
mod plan;
mod predict;
mod reporter;
mod run;
mod schema;
mod status;
mod table;
mod tail;

use std::io;
use std::path::PathBuf;

use anyhow::Result;
use candist::config::DeviceChoice;
use candist::internal::can_start;
use clap::{Args, Parser, Subcommand, ValueEnum};
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
    Run(RunArgs),
    /// Show what a run would ask, and what that would cost and take; sends nothing.
    Plan {
        /// The configuration (TOML).
        config: PathBuf,
        /// The run directory, instead of the configuration's run.dir.
        #[arg(long, value_name = "DIR")]
        run_dir: Option<PathBuf>,
    },
    /// Ask through a provider's batch files instead of one request at a time.
    #[command(subcommand)]
    Batch(BatchCommand),
    /// Print label events, one JSON line each, also while the run writes them.
    Tail(TailArgs),
    /// Show how far a run is.
    Status(DirArgs),
    /// List what failed, with the reasons and the raw answers.
    Failures {
        /// The run directory.
        dir: PathBuf,
        /// Print JSON, one object a line.
        #[arg(long)]
        json: bool,
    },
    /// Compare the labels of a run with gold labels.
    Eval(EvalArgs),
    /// Draw a random sample of labels for a person to check, or judge runs by a checked one.
    Audit(AuditArgs),
    /// Write the student of a run to a folder, to label new text with.
    Export {
        /// The run directory.
        dir: PathBuf,
        /// The new folder: a Hugging Face folder for an encoder student.
        #[arg(long, value_name = "DIR")]
        student: PathBuf,
    },
    /// Label new text with an exported student, without any LLM; prints one JSON line a text.
    Predict(PredictArgs),
    /// Check a configuration without running it, or with --deep every line of a run directory.
    Check {
        /// The configuration (TOML); with --deep, the run directory.
        path: PathBuf,
        /// Read every line of the logs of a run directory and say which are damaged; changes nothing, and exits with 1 if any
        /// is.
        #[arg(long)]
        deep: bool,
    },
    /// Print a JSON schema.
    Schema {
        /// Of what.
        #[arg(value_enum)]
        of: SchemaOf,
    },
}

#[derive(Debug, Args)]
struct RunArgs {
    /// The configuration (TOML).
    config: PathBuf,
    /// The run directory, instead of the configuration's run.dir.
    #[arg(long, value_name = "DIR")]
    run_dir: Option<PathBuf>,
    /// Ask again about the texts whose answers named no label.
    #[arg(long)]
    retry_failures: bool,
    /// Send again what a changed prompt, model or parameter asks for, however much it is.
    #[arg(long)]
    yes: bool,
    /// Say nothing but warnings and errors.
    #[arg(short, long)]
    quiet: bool,
    /// Exit with 1 where a row could not be read or a text got no candidate.
    #[arg(long)]
    strict: bool,
}

#[derive(Debug, Subcommand)]
enum BatchCommand {
    /// Write what a run would ask as batch input files.
    Export {
        /// The configuration (TOML).
        config: PathBuf,
        /// The folder for the files.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The run directory, instead of the configuration's run.dir.
        #[arg(long, value_name = "DIR")]
        run_dir: Option<PathBuf>,
    },
    /// Take the results of batch files into the run directory; `candist run` then labels with them.
    Import {
        /// The configuration (TOML) that the batch files were exported with.
        config: PathBuf,
        /// Result files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The run directory, instead of the configuration's run.dir.
        #[arg(long, value_name = "DIR")]
        run_dir: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct DirArgs {
    /// The run directory.
    dir: PathBuf,
}

#[derive(Debug, Args)]
struct TailArgs {
    /// The run directory.
    dir: PathBuf,
    /// Wait for more, also for a run that has not begun; ends by Ctrl-C.
    #[arg(short, long)]
    follow: bool,
    /// Begin with this offset.
    #[arg(long, value_name = "OFFSET", default_value_t = 0)]
    from: u64,
    /// Only final labels: a text's when it becomes final, and again only where a later end of the corpus changed it.
    ///
    /// A corpus may grow after its end, so a label is final for good so far. No final label of a text is printed twice; of
    /// several lines with the same id, the last holds.
    #[arg(long = "final")]
    only_final: bool,
    /// One line a text, the event that holds now, in the order of the log; then end.
    ///
    /// What else is asked for (--final, --label, ...) is asked of these events.
    #[arg(long, conflicts_with = "follow")]
    latest: bool,
    /// Only events with this label.
    #[arg(long)]
    label: Option<String>,
    /// Only events with at least this confidence, 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = confidence)]
    min_confidence: f64,
}

#[derive(Debug, Args)]
struct EvalArgs {
    /// The run directory.
    dir: PathBuf,
    /// Gold labels: JSONL with id and label. Texts that have no label in the run are counted, not judged.
    #[arg(long, value_name = "FILE")]
    gold: PathBuf,
    /// Texts that were not in the corpus, for the student alone: JSONL with text and label.
    #[arg(long, value_name = "FILE")]
    held_out: Option<PathBuf>,
    /// Tell precision, recall and F1 of every label, and which labels are taken for which others.
    #[arg(long)]
    details: bool,
    /// Print JSON instead of a table.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct AuditArgs {
    /// Run directories; several are compared.
    #[arg(required = true)]
    dirs: Vec<PathBuf>,
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

// Both ends are of use: 0 lets everything through, 1 what the student is certain of.
fn confidence(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|p| (0.0..=1.0).contains(p)).ok_or_else(|| "must be from 0 to 1".to_owned())
}

#[derive(Debug, Args)]
struct PredictArgs {
    /// The folder of the student.
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
    /// The texts; without it, or with -, standard input.
    input: Option<PathBuf>,
    /// The input has one text a line, not one JSON object.
    #[arg(long)]
    lines: bool,
    /// The field of the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_field: String,
    /// The field of the id; without it in a line, the text's hash.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_field: String,
    /// Where the student is less sure, 0 to 1, give no label but the likeliest ones as candidates.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = confidence)]
    min_confidence: f64,
    /// Exit with 1 where a line could not be read.
    #[arg(long)]
    strict: bool,
    /// Where an encoder computes: cpu, cuda, cuda:NUMBER or auto.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// Threads of libtorch.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
}

/// Threads of the stages, the store and what waits for files, besides one for every processor.
const STAGE_THREADS: u32 = 16;

#[derive(Debug, Clone, Copy, ValueEnum)]
enum SchemaOf {
    /// The configuration.
    Config,
    /// A line of labels.jsonl.
    Label,
    /// A line of answers.jsonl.
    Answer,
    /// A line of inputs.jsonl.
    Input,
}

/// Runs the verb.
pub(crate) fn run(cli: Cli, bar: &ProgressBar) -> Result<Exit> {
    // Asked before anything waits for a thread: see `can_start`. Who only checks a configuration should be told about
    // that first.
    if !matches!(cli.command, Command::Schema { .. } | Command::Check { .. }) {
        let processors = std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1));
        can_start(processors + STAGE_THREADS)?;
    }
    // `run` has exit codes of its own; of what prints, a reader that has gone away is no failure.
    let done = match cli.command {
        Command::Run(args) => return run::run(&args, bar),
        Command::Predict(args) => return unless_read_enough(predict::run(&args)),
        Command::Check { path, deep: true } => return unless_read_enough(check::deep(&path)),
        Command::Check { path, deep: false } => return unless_read_enough(check::run(&path)),
        Command::Audit(args) => audit::run(&args),
        Command::Export { dir, student } => export::run(&dir, &student),
        Command::Plan { config, run_dir } => plan::run(&config, run_dir),
        Command::Batch(command) => batch::run(command),
        Command::Failures { dir, json } => failures::run(&dir, json),
        Command::Tail(args) => tail::run(&args),
        Command::Status(args) => status::run(&args.dir),
        Command::Eval(args) => eval::run(&args),
        Command::Schema { of } => schema::run(of),
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
