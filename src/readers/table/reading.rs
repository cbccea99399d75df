//! What is read before the first row is written, and the way of the rows from the logs to a writer.

use std::sync::mpsc::{SyncSender, sync_channel};

use super::certificate::Certificate;
use super::choose::Filter;
use super::held::HeldLabels;
use super::join::Join;
use super::row::{Row, Shape};
use super::rows::Rows;
use super::target::Target;
use super::write::Writer;
use super::{TableOptions, TableSummary};
use crate::base::panic::panicked;

use crate::domain::label::{LabelId, LabelSet};
use crate::error::{Error, Result};
use crate::readers::corrected::corrected;
use crate::readers::latest::no_labels;
use crate::store::{RawLogs, RunView};

/// Rows that go from one thread to the other at once.
const CHUNK: usize = 512;
/// Chunks that wait for the writer, at most.
const QUEUE: usize = 4;

/// See the module.
pub(super) struct Reading<'a> {
    view: &'a RunView,
    held: HeldLabels,
    has_text: bool,
    filter: Filter,
    doubtful: Option<usize>,
    certificate: Option<Certificate>,
    join: Option<Join>,
}

impl<'a> Reading<'a> {
    /// Opens what `options` ask for.
    ///
    /// # Errors
    ///
    /// Those of [`write_table`](super::write_table).
    pub(super) fn open(view: &'a RunView, options: &TableOptions) -> Result<Self> {
        if let Some(config) = &options.config {
            // Labels that were added since have none here yet; another task is an error.
            view.same_task(&config.task.name, &config.task.labels)?;
        }
        let filter = Filter {
            least: options.min_confidence,
            most: options.max_confidence,
            labels: options.labels.iter().map(|label| resolve(view, options, label)).collect::<Result<_>>()?,
        };
        let mut held = HeldLabels::read(RawLogs::open(view)?, view.labels().clone())?;
        if held.is_empty() {
            return Err(no_labels(view.dir()));
        }
        let certificate = Certificate::open(view, options)?;
        let corrected = corrected(view.dir())?;
        held.correct(corrected.into_iter().filter_map(|(id, label)| Some((id, view.labels().exact(&label)?))))?;
        if let Some(certificate) = &certificate {
            held.recalibrate(certificate.curve.clone());
        }
        let join = match &options.config {
            Some(config) if options.join => Some(Join::open(config.corpus.clone(), &held)?),
            None if options.join => return Err(no_corpus(view)),
            _ => None,
        };
        let (has_text, doubtful) = (options.text || options.join, options.doubtful);
        Ok(Self { view, held, has_text, filter, doubtful, certificate, join })
    }

    /// What all rows have in common.
    pub(super) fn shape(&self) -> Shape {
        Shape {
            labels: self.view.labels().clone(),
            by: self.held.sources().to_vec(),
            is_audited: self.certificate.is_some(),
            least: self.certificate.as_ref().and_then(|certificate| certificate.least),
            has_text: self.has_text,
            columns: self.join.as_ref().map(|join| join.columns().to_vec()).unwrap_or_default(),
        }
    }

    /// Writes all rows, and gives what `writer` wrote to. Reading and writing are done beside each other.
    ///
    /// # Errors
    ///
    /// Those of reading, and of writing to `target`.
    pub(super) fn write<W: Writer>(self, target: &Target, mut writer: W) -> Result<(W::Out, TableSummary)> {
        let labels: &LabelSet = self.view.labels();
        let rows = Rows::new(self.view, &self.held, labels, self.has_text, self.filter, self.join)?;
        let (sender, chunks) = sync_channel(QUEUE);
        let doubtful = self.doubtful;
        let audited = self.certificate.map(|certificate| (certificate.unfilled, certificate.foreign));
        let mut summary = std::thread::scope(|scope| {
            let reader = std::thread::Builder::new().name("candist-table".to_owned());
            let reader = reader.spawn_scoped(scope, move || read(rows, doubtful, &sender)).map_err(Error::no_thread)?;
            let mut written = Ok(());
            for chunk in &chunks {
                let chunk: Vec<Row> = chunk;
                written = chunk.iter().try_for_each(|row| writer.write(row)).map_err(target.failed());
                if written.is_err() {
                    break;
                }
            }
            // Whoever still reads finds that nobody takes any more.
            drop(chunks);
            let read = reader.join().unwrap_or_else(|panic| Err(panicked("table", panic)));
            // What failed first is the cause.
            written.and(read)
        })?;
        (summary.unfilled, summary.foreign) = audited.unwrap_or_default();
        let out = writer.finish().map_err(target.failed())?;
        Ok((out, summary))
    }
}

/// Sends the rows on, some at a time.
fn read(rows: Rows<'_>, doubtful: Option<usize>, sender: &SyncSender<Vec<Row>>) -> Result<TableSummary> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let send = |chunk: Vec<Row>| sender.send(chunk).map_err(|_| Error::gone("table"));
    let summary = rows.each(doubtful, &mut |row| {
        chunk.push(row);
        if chunk.len() < CHUNK { Ok(()) } else { send(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))) }
    })?;
    send(chunk)?;
    Ok(summary)
}

/// What a label is that was asked for by name, or by alias where a configuration has those.
fn resolve(view: &RunView, options: &TableOptions, label: &str) -> Result<LabelId> {
    let known = view.labels();
    let labels = options.config.as_ref().map_or(known, |config| &config.task.labels);
    // By its name in the run: the configuration may count its labels otherwise by now.
    let found = labels.resolve(label).and_then(|label| known.exact(labels.name(label)));
    found.ok_or_else(|| {
        let near = known.nearest(label).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
        let message = format!("has no label {label:?} among those of its task{near}");
        Error::Unfit { path: view.dir().to_owned(), message }
    })
}

fn no_corpus(view: &RunView) -> Error {
    let message = "does not say where its corpus is: to join the corpus' columns, name the configuration instead of the run \
                   directory, or beside it with --config FILE";
    Error::Unfit { path: view.dir().to_owned(), message: message.to_owned() }
}
