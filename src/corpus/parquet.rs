//! Parquet: the wanted columns alone, some rows at a time. Of a damaged file the rows are given that can be read, and one row
//! says which cannot.

use std::fs::File;
use std::io::{self, BufReader};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, Schema};
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::reader::{ChunkReader, Length};

use super::record::{Fields, Reader, Record, Wanted};
use super::scratch::unpacked_source;
use super::values::value;
use crate::base::panic::message;
use crate::base::ranged::{Ranged, Span};
use crate::error::{Error, Result};

/// Bytes of a batch, about; and its rows, at most.
const BATCH_BYTES: u64 = 4 << 20;
const BATCH_ROWS: u64 = 1024;

/// See the module.
pub(super) struct Parquet {
    source: Source,
    metadata: ArrowReaderMetadata,
    /// The wanted columns: their places among all, and their names in the order in which batches have them.
    projection: Vec<usize>,
    names: Vec<Arc<str>>,
    max_bytes: usize,
    too_long: String,
    /// The row group that is read, the place of its first row in the file, and the row in it that comes next.
    group: usize,
    first: usize,
    next: usize,
    /// The row group before which it ends.
    end: usize,
    reader: Option<ParquetRecordBatchReader>,
    /// What was read, and how many rows of it were given.
    batch: Option<RecordBatch>,
    given: usize,
}

/// The rows of a file, by what it says of itself.
pub(super) fn count(path: &Path) -> Result<u64> {
    let file = File::open(path).map_err(|source| unread(path, source))?;
    let (_, metadata) = load(Arc::new(file), path)?;
    Ok(metadata.metadata().file_metadata().num_rows().unsigned_abs())
}

/// Row groups one after the other, of `bytes` bytes at least but for the last: each from a row group up to another.
pub(super) fn groups(source: Arc<dyn Ranged>, path: &Path, bytes: u64) -> Result<Vec<Range<usize>>> {
    let (_, metadata) = load(source, path)?;
    let (mut pieces, mut from, mut held) = (Vec::new(), 0, 0);
    let groups = metadata.metadata().row_groups();
    for (group, next) in groups.iter().zip(1..) {
        held += group.compressed_size().unsigned_abs();
        if held >= bytes || next == groups.len() {
            pieces.push(from..next);
            (from, held) = (next, 0);
        }
    }
    Ok(pieces)
}

fn unread(path: &Path, source: io::Error) -> Error {
    Error::Input { what: "corpus", path: path.to_owned(), source }
}

/// What a file's reader reads from.
#[derive(Clone)]
struct Source {
    ranged: Arc<dyn Ranged>,
    size: u64,
}

impl Length for Source {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Source {
    type T = BufReader<Span>;

    fn get_read(&self, start: u64) -> parquet::errors::Result<Self::T> {
        Ok(Span::buffered(&self.ranged, start, self.size))
    }

    fn get_bytes(&self, start: u64, length: usize) -> parquet::errors::Result<Bytes> {
        // No more than there is: a damaged file may say anything.
        let room = usize::try_from(self.size.saturating_sub(start)).unwrap_or(usize::MAX).min(length);
        let mut bytes = vec![0; room];
        let mut read = 0;
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match self.ranged.read_at(start + read as u64, rest)? {
                0 => break,
                more => read += more,
            }
        }
        if read < length {
            return Err(parquet::errors::ParquetError::EOF(format!("it ends {} bytes early", length - read)));
        }
        Ok(bytes.into())
    }
}

fn load(source: Arc<dyn Ranged>, path: &Path) -> Result<(Source, ArrowReaderMetadata)> {
    let source = unpacked_source(source)
        .and_then(|ranged| Ok(Source { size: ranged.size()?, ranged }))
        .map_err(|source| unread(path, source))?;
    let load = |options| guarded(|| ArrowReaderMetadata::load(&source, options).map_err(|error| error.to_string()));
    let metadata = load(ArrowReaderOptions::new()).and_then(|metadata| {
        // Text is shown where it stands, and not copied: one text that is there a thousand times is there once.
        let schema = Arc::new(viewed(metadata.schema()));
        load(ArrowReaderOptions::new().with_schema(schema)).or(Ok(metadata))
    });
    let metadata = metadata.map_err(|why| Error::Unfit {
        path: path.to_owned(),
        message: format!("is no Parquet file that can be read: {why}"),
    })?;
    Ok((source, metadata))
}

/// The schema with its columns of text as views.
fn viewed(schema: &Schema) -> Schema {
    let is_text = |kind: &DataType| matches!(kind, DataType::Utf8 | DataType::LargeUtf8);
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Dictionary(_, values) if is_text(values) => {
                field.as_ref().clone().with_data_type(DataType::Utf8View)
            }
            kind if is_text(kind) => field.as_ref().clone().with_data_type(DataType::Utf8View),
            _ => field.as_ref().clone(),
        })
        .collect();
    Schema::new_with_metadata(fields, schema.metadata().clone())
}

/// A damaged file may take the reader by surprise: its panic is an error like another.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| Err(message(panic.as_ref())))
}

impl Parquet {
    /// Opens what is in `source`, which is called `path`. Rows whose text is longer than allowed are bad ones, with `too_long` as
    /// the reason.
    pub(super) fn open(
        source: Arc<dyn Ranged>,
        path: &Path,
        wanted: &Wanted,
        max_bytes: usize,
        too_long: String,
    ) -> Result<Self> {
        let (source, metadata) = load(source, path)?;
        let columns = metadata.schema().fields().iter().enumerate();
        let (projection, names) =
            columns.filter_map(|(place, field)| Some((place, wanted.name(field.name())?))).unzip();
        Ok(Self {
            source,
            end: metadata.metadata().num_row_groups(),
            metadata,
            projection,
            names,
            max_bytes,
            too_long,
            group: 0,
            first: 0,
            next: 0,
            reader: None,
            batch: None,
            given: 0,
        })
    }

    /// Only these row groups; places stay those in the file.
    pub(super) fn only(mut self, groups: Range<usize>) -> Self {
        let before = self.metadata.metadata().row_groups().iter().take(groups.start);
        self.first = before.map(|group| usize::try_from(group.num_rows()).unwrap_or(0)).sum();
        (self.group, self.end) = (groups.start, groups.end);
        self
    }

    /// Rows of the group that is read; `None` after the last.
    fn rows(&self) -> Option<usize> {
        let group = self.metadata.metadata().row_groups().get(self.group).filter(|_| self.group < self.end)?;
        Some(usize::try_from(group.num_rows()).unwrap_or(0))
    }

    /// Rows that are read at once: fewer of those that are long.
    fn batch_rows(&self) -> usize {
        let Some(group) = self.metadata.metadata().row_groups().get(self.group) else { return 1 };
        let names = &self.names;
        let is_wanted = |path: &[String]| path.first().is_some_and(|root| names.iter().any(|name| **name == **root));
        let wanted = group.columns().iter().filter(|column| is_wanted(column.column_path().parts()));
        let bytes: u64 = wanted.map(|column| column.uncompressed_size().unsigned_abs()).sum();
        let each = (bytes / group.num_rows().unsigned_abs().max(1)).max(1);
        usize::try_from((BATCH_BYTES / each).clamp(1, BATCH_ROWS)).unwrap_or(1)
    }

    /// A reader of these rows of the group.
    fn reader(&self, rows: Range<usize>, batch: usize) -> Result<ParquetRecordBatchReader, String> {
        let total = self.rows().unwrap_or(0);
        guarded(|| {
            let builder =
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.source.clone(), self.metadata.clone());
            let mask = ProjectionMask::roots(builder.parquet_schema(), self.projection.iter().copied());
            let all = rows == (0..total);
            let mut builder = builder.with_row_groups(vec![self.group]).with_projection(mask).with_batch_size(batch);
            if !all {
                let selection = RowSelection::from_consecutive_ranges(std::iter::once(rows), total);
                builder = builder.with_row_selection(selection);
            }
            builder.build().map_err(|error| error.to_string())
        })
    }

    /// `count` rows of the group from `from` on, if all of them can be read.
    fn readable(&self, from: usize, count: usize) -> Option<RecordBatch> {
        let mut reader = self.reader(from..from + count, count).ok()?;
        let read = guarded(|| reader.next().transpose().map_err(|error| error.to_string()));
        read.ok().flatten().filter(|batch| batch.num_rows() == count)
    }

    /// Reads on. Gives false at the end of the file; an error where rows cannot be read, which are passed over.
    fn read(&mut self) -> Result<bool, (usize, String)> {
        (self.batch, self.given) = (None, 0);
        while let Some(rows) = self.rows() {
            if self.next >= rows {
                (self.reader, self.next) = (None, 0);
                self.group += 1;
                self.first += rows;
                continue;
            }
            let batch = self.batch_rows();
            let mut reader = match self.reader.take() {
                Some(reader) => Ok(reader),
                None => self.reader(self.next..rows, batch),
            };
            let read = reader
                .as_mut()
                .map_err(|why| why.clone())
                .and_then(|reader| guarded(|| reader.next().transpose().map_err(|error| error.to_string())));
            match read {
                Ok(Some(batch)) if batch.num_rows() > 0 => {
                    self.reader = reader.ok();
                    self.take(batch);
                    return Ok(true);
                }
                Ok(_) => return Err(self.pass_over(rows, batch, "its rows end before they should")),
                Err(why) => {
                    if let Some(batch) = self.before_damage(batch.min(rows - self.next)) {
                        self.take(batch);
                        return Ok(true);
                    }
                    return Err(self.pass_over(rows, batch, &why));
                }
            }
        }
        Ok(false)
    }

    fn take(&mut self, batch: RecordBatch) {
        self.next += batch.num_rows();
        self.batch = Some(batch);
    }

    /// The rows before the first of the next `count` that cannot be read; none if that is the next one.
    fn before_damage(&self, count: usize) -> Option<RecordBatch> {
        let (mut good, mut bad, mut found) = (0, count, None);
        while bad - good > 1 {
            let middle = good + (bad - good) / 2;
            match self.readable(self.next, middle) {
                Some(batch) => (good, found) = (middle, Some(batch)),
                None => bad = middle,
            }
        }
        found
    }

    /// Passes over rows that cannot be read, the next one first, up to one that can. Damage is looked for in one piece, as
    /// pages are. Gives the place of the first one.
    fn pass_over(&mut self, rows: usize, batch: usize, why: &str) -> (usize, String) {
        let from = self.next;
        let is_good = |row: usize| self.readable(row, 1).is_some();
        let (mut bad, mut step) = (from, batch.max(1));
        while bad + step < rows && !is_good(bad + step) {
            bad += step;
            step *= 2;
        }
        let mut good = (bad + step).min(rows);
        while good - bad > 1 {
            let middle = bad + (good - bad) / 2;
            if is_good(middle) { good = middle } else { bad = middle }
        }
        (self.next, self.reader) = (good, None);
        let (first, last) = (self.first + from + 1, self.first + good);
        (first, format!("cannot be read, nor what follows it up to row {last}: the file is damaged there ({why})"))
    }

    /// A row of the batch.
    fn fields(&self, batch: &RecordBatch, row: usize) -> Result<Fields, String> {
        let mut fields = Fields::with_capacity(self.names.len());
        let mut bytes = 0;
        for (name, column) in self.names.iter().zip(batch.columns()) {
            let value = value(column, row);
            bytes += value.as_str().map_or(0, str::len);
            fields.push(name, value);
        }
        if bytes > self.max_bytes { Err(self.too_long.clone()) } else { Ok(fields) }
    }
}

impl Reader for Parquet {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(batch) = &self.batch
                && self.given < batch.num_rows()
            {
                let place = self.first + self.next - batch.num_rows() + self.given + 1;
                let fields = self.fields(batch, self.given);
                self.given += 1;
                return Ok(Some(Record { place: place as u64, fields }));
            }
            match self.read() {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err((place, why)) => return Ok(Some(Record { place: place as u64, fields: Err(why) })),
            }
        }
    }

    fn header(&self) -> Option<Vec<String>> {
        Some(self.names())
    }

    fn names(&self) -> Vec<String> {
        self.metadata.schema().fields().iter().map(|field| field.name().clone()).collect()
    }
}
