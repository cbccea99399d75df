//! Tables of labels: one row a text, in the order of arrival, in a format that other programs read.
//!
//! Reads through a view: no lock, beside a live run or without one. First the label log, for where the event of each text
//! stands; then the input log, row by row, on a thread of its own beside the one that writes. A table is there whole, or
//! the one before it is.

mod argilla;
mod array;
mod certificate;
mod choose;
mod columns;
mod csv;
mod format;
pub(in crate::readers) mod guard;
mod held;
#[cfg(feature = "parquet")]
mod hub;
mod join;
mod json;
mod label_studio;
#[cfg(feature = "parquet")]
mod parquet;
mod reading;
mod row;
mod rows;
pub(in crate::readers) mod target;
#[cfg(test)]
mod tests;
mod tools;
mod weights;
mod write;

use std::path::{Path, PathBuf};

pub use self::format::{Compression, TableFormat};
pub(crate) use self::row::TableRow;
pub use self::tools::{Tool, export_for};

use self::csv::Csv;
use self::guard::{TABLE, refuse_others, refuse_ours};
use self::json::JsonLines;
use self::reading::Reading;
use self::target::{Stream, Target};
use crate::config::Config;
use crate::error::Result;
use crate::store::RunView;

/// What goes into a table.
#[derive(Debug, Clone, Default)]
pub struct TableOptions {
    /// The configuration of the run: where its corpus is, and what labels are called besides their names.
    pub config: Option<Config>,
    /// Adds the texts.
    pub text: bool,
    /// Adds the texts, and the corpus' own columns, read again from the corpus that `config` names.
    pub join: bool,
    /// A sample of this run's final labels that a person filled in, as [`audit`](crate::audit) takes it: confidences are as they
    /// are by it, and the label log's stand in a column of their own. The filters go by the recalibrated ones.
    pub audited: Option<PathBuf>,
    /// Adds a set of labels to every text, which holds its right label with this probability, by `audited`; between 0 and 1.
    pub coverage: Option<f64>,
    /// Only labels with at least this confidence. Any filter leaves out texts without a label.
    pub min_confidence: Option<f64>,
    /// Only labels with at most this confidence.
    pub max_confidence: Option<f64>,
    /// Only these labels, by name or alias; all where there are none.
    pub labels: Vec<String>,
    /// Only so many, the least certain, in the order of certainty.
    pub doubtful: Option<usize>,
    /// Writes cells of CSV and TSV as they are, also those that a spreadsheet would take for a formula.
    pub no_guard: bool,
}

/// What a table came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TableSummary {
    /// Rows.
    pub rows: u64,
    /// Of these, rows of texts without a label.
    pub without_label: u64,
    /// Of these, rows that are not in the corpus any more, or with another text: they have none of its columns.
    pub not_in_corpus: u64,
    /// Rows of the corpus that the run does not have yet: they are not in the table. Known where the corpus was read.
    pub not_in_run: u64,
    /// Lines of the audited sample that are not filled in.
    pub unfilled: u64,
    /// Filled-in lines of it that this run does not have a final label of, or has another text under the id of: they are left out.
    pub foreign: u64,
}

/// Writes a table of the labels that hold in the run of `view` to the file `path`, or without one to standard output. An
/// earlier table at `path` is replaced, once the new one is whole.
///
/// # Errors
///
/// Those of a run that cannot be read; [`Error::Unfit`](crate::Error::Unfit) where it has no labels yet, a label is none of
/// the task, or `path` is no place for a table; [`Error::RunFile`](crate::Error::RunFile) where it cannot be written.
///
/// ```no_run
/// use candist::{Compression, RunDir, TableFormat, TableOptions, write_table};
///
/// let view = RunDir::view("runs/support".as_ref())?;
/// let options = TableOptions { text: true, ..TableOptions::default() };
/// let table = write_table(&view, &options, TableFormat::Csv, Compression::None, Some("labels.csv".as_ref()))?;
/// println!("{} rows, {} of them without a label", table.rows, table.without_label);
/// # Ok::<(), candist::Error>(())
/// ```
pub fn write_table(
    view: &RunView,
    options: &TableOptions,
    format: TableFormat,
    compression: Compression,
    path: Option<&Path>,
) -> Result<TableSummary> {
    format.check(compression, path)?;
    if let Some(path) = path {
        refuse_ours(view, options, path)?;
        refuse_others(path, &TABLE)?;
    }
    // First, for the logs may take a while to read.
    let (target, file) = Target::open(path)?;
    let reading = Reading::open(view, options)?;
    let failed = target.failed();
    let out = Stream::new(file, compression).map_err(&failed)?;
    let (shape, guard) = (reading.shape(), !options.no_guard);
    let (out, summary) = match format {
        TableFormat::Csv => reading.write(&target, Csv::new(out, b',', shape, guard).map_err(&failed)?)?,
        TableFormat::Tsv => reading.write(&target, Csv::new(out, b'\t', shape, guard).map_err(&failed)?)?,
        TableFormat::JsonLines => reading.write(&target, JsonLines::new(out, shape))?,
        TableFormat::Parquet => write_parquet(reading, &target, out)?,
    };
    out.finish().map_err(&failed)?;
    target.put()?;
    Ok(summary)
}

#[cfg(feature = "parquet")]
fn write_parquet(reading: Reading<'_>, target: &Target, out: Stream) -> Result<(Stream, TableSummary)> {
    let shape = reading.shape();
    let writer = parquet::Parquet::new(out, shape, parquet::LabelColumn::Name).map_err(target.failed())?;
    reading.write(target, writer)
}

/// Refused before, by [`TableFormat::check`].
#[cfg(not(feature = "parquet"))]
fn write_parquet(reading: Reading<'_>, target: &Target, out: Stream) -> Result<(Stream, TableSummary)> {
    let shape = reading.shape();
    reading.write(target, JsonLines::new(out, shape))
}
