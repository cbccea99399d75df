//! `candist export`: labels as a table, or as a tool imports them, or the student as a folder of its own. What was written
//! says how to use it.

use std::io::{self, IsTerminal};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::{
    Compression, Config, Error, RunDir, RunView, TableFormat, TableOptions, TableSummary, Tool, export_for,
    export_student, write_table,
};
use clap::{ArgGroup, Args, ValueEnum};

use super::place::RunArg;
use super::{confidence, grouped, share};

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).args(["labels", "tool", "student"])))]
pub(super) struct ExportArgs {
    #[command(flatten)]
    run: RunArg,
    /// Write a table of labels: .csv, .tsv, .jsonl (each also .gz or .zst) or .parquet; - is standard output.
    ///
    /// One row a text, in the order in which the texts arrived, with the label that holds now; texts without a label yet have
    /// a row with an empty one. An earlier table is replaced, once the new one is whole; another file of that name is refused.
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// The table's format, where the name does not tell it [default: csv].
    #[arg(long, requires = "labels")]
    format: Option<Format>,
    /// Write the labels as a tool imports them: tasks with predictions, records with suggestions, a dataset folder.
    #[arg(long = "for", value_name = "TOOL", requires = "out")]
    tool: Option<ForTool>,
    /// The file of tasks (label-studio), or the new folder (argilla, hf).
    #[arg(long, value_name = "PATH", requires = "tool")]
    out: Option<PathBuf>,
    /// Write the student to a new folder, to label new text with: a Hugging Face folder for an encoder.
    #[arg(long, value_name = "DIR")]
    student: Option<PathBuf>,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Args)]
#[group(conflicts_with = "student")]
struct TableArgs {
    /// Add the texts.
    #[arg(long)]
    text: bool,
    /// Add the texts and the corpus' own columns; RUN must be the configuration then, or --config name it.
    ///
    /// The corpus is read again. A text that is not in it any more has none of its columns. Columns that are called as one of
    /// the table get "corpus_" before their name.
    #[arg(long)]
    join: bool,
    /// The configuration of the run, where RUN is its directory.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Recalibrate confidences by an audited sample: what `candist audit RUN --sample N` drew of this run, filled in.
    ///
    /// The column `confidence`, and the filters below, then go by the recalibrated ones; `confidence_raw` has those of the run.
    #[arg(long, value_name = "FILE")]
    audited: Option<PathBuf>,
    /// Add label sets, the column `label_set`, that hold the right label this often, as 0.95, by the audited sample.
    #[arg(long, value_name = "SHARE", requires = "audited", value_parser = share)]
    coverage: Option<f64>,
    /// Only labels with at least this confidence, 0 to 1. (Any filter leaves out texts without a label.)
    #[arg(long, value_name = "P", value_parser = confidence)]
    min_confidence: Option<f64>,
    /// Only labels with at most this confidence, 0 to 1.
    #[arg(long, value_name = "P", value_parser = confidence)]
    max_confidence: Option<f64>,
    /// Only this label, by its name, or by an alias where the configuration is named; may be given several times.
    #[arg(long, value_name = "LABEL")]
    label: Vec<String>,
    /// Only the N least certain labels, the least certain first. (Their rows are held in memory.)
    #[arg(long, value_name = "N")]
    doubtful: Option<NonZeroUsize>,
    /// Leave cells of CSV and TSV as they are that begin with = + - @ (by default an apostrophe is put before them, numbers
    /// excepted, so that no spreadsheet computes them).
    #[arg(long)]
    no_guard: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Csv,
    Tsv,
    Jsonl,
    Parquet,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ForTool {
    /// A JSON file of tasks, and the labelling configuration beside it (.xml).
    LabelStudio,
    /// A folder for Argilla 2: rg.Dataset.from_disk(FOLDER).
    Argilla,
    /// A Hugging Face dataset: datasets.load_dataset(FOLDER).
    Hf,
}

pub(super) fn run(args: &ExportArgs) -> Result<()> {
    if let Some(out) = &args.student {
        export_student(&args.run.dir_with_student()?, out)?;
        tracing::info!("the student is in {0}: candist predict --student {0} FILE", out.display());
        return Ok(());
    }
    let config = match &args.table.config {
        Some(path) => Some(Config::load(path, None)?),
        None => args.run.config()?,
    };
    let view = RunDir::view(&args.run.dir()?)?;
    let options = options(&args.table, config);
    let done = match (&args.labels, args.tool, &args.out) {
        (Some(file), ..) => table(&view, &options, file, args.format),
        (None, Some(tool), Some(out)) => for_tool(&view, &options, tool, out),
        // Excluded by clap.
        _ => Ok(()),
    };
    match done {
        // Whoever reads our output, through a pipe that is closed now, has seen enough.
        Err(Error::RunFile { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

fn options(args: &TableArgs, config: Option<Config>) -> TableOptions {
    TableOptions {
        config,
        text: args.text,
        join: args.join,
        audited: args.audited.clone(),
        coverage: args.coverage,
        min_confidence: args.min_confidence,
        max_confidence: args.max_confidence,
        labels: args.label.clone(),
        doubtful: args.doubtful.map(NonZeroUsize::get),
        no_guard: args.no_guard,
    }
}

fn table(view: &RunView, options: &TableOptions, file: &Path, format: Option<Format>) -> Result<(), Error> {
    let is_stdout = file == Path::new("-");
    let path = (!is_stdout).then_some(file);
    let format = match format {
        Some(Format::Csv) => TableFormat::Csv,
        Some(Format::Tsv) => TableFormat::Tsv,
        Some(Format::Jsonl) => TableFormat::JsonLines,
        Some(Format::Parquet) => TableFormat::Parquet,
        None if is_stdout => TableFormat::Csv,
        None => TableFormat::of(file).ok_or_else(|| unknown_format(file))?,
    };
    if is_stdout && format == TableFormat::Parquet && io::stdout().is_terminal() {
        let message = "would print Parquet to the terminal: name a file, or send it to a program".to_owned();
        return Err(Error::Unfit { path: "--labels -".into(), message });
    }
    let compression = path.map_or(Compression::None, |path| Compression::of(path).0);
    let summary = write_table(view, options, format, compression, path)?;
    tell(&summary, if is_stdout { "standard output".to_owned() } else { file.display().to_string() });
    Ok(())
}

fn unknown_format(file: &Path) -> Error {
    let message = "has a name that tells no format: end it with .csv, .tsv, .jsonl (each also with .gz or .zst) or .parquet, or \
                   say it with --format";
    Error::Unfit { path: file.to_owned(), message: message.to_owned() }
}

fn for_tool(view: &RunView, options: &TableOptions, tool: ForTool, out: &Path) -> Result<(), Error> {
    let (tool, use_it) = match tool {
        ForTool::LabelStudio => {
            let configuration = out.with_extension("xml");
            let configuration = configuration.display();
            (
                Tool::LabelStudio,
                format!("set up the project with the labelling configuration in {configuration}, then import it"),
            )
        }
        ForTool::Argilla => (Tool::Argilla, format!("rg.Dataset.from_disk({:?})", out.display().to_string())),
        ForTool::Hf => (Tool::HuggingFace, format!("datasets.load_dataset({:?})", out.display().to_string())),
    };
    let summary = export_for(view, options, tool, out)?;
    tell(&summary, format!("{}: {use_it}", out.display()));
    Ok(())
}

/// What was written, and what of the corpus is not in it.
fn tell(summary: &TableSummary, place: String) {
    tracing::info!("{} rows in {place}", grouped(summary.rows));
    if summary.without_label > 0 {
        tracing::warn!("{} of them have no label yet: theirs is empty", grouped(summary.without_label));
    }
    if summary.unfilled > 0 {
        tracing::warn!(
            "{} line(s) of the audited sample are not filled in: they are left out",
            grouped(summary.unfilled)
        );
    }
    if summary.foreign > 0 {
        tracing::warn!(
            "{} filled-in line(s) of the audited sample have no final label in this run, or another text there: they are left out",
            grouped(summary.foreign)
        );
    }
    if summary.not_in_corpus > 0 {
        tracing::warn!(
            "{} of them are not in the corpus any more, or with another text: they have none of its columns",
            grouped(summary.not_in_corpus)
        );
    }
    if summary.not_in_run > 0 {
        tracing::warn!(
            "{} row(s) of the corpus are not labelled yet: they have no row here",
            grouped(summary.not_in_run)
        );
    }
}
