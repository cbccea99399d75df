//! Tables as Parquet: typed columns, zstd, row groups of bounded size.

use std::io::{self, Write};
use std::sync::Arc;

use arrow_array::builder::{BooleanBuilder, Float64Builder, Int64Builder, ListBuilder, StringBuilder, StructBuilder};
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use serde_json::Value;

use super::columns::{Column, Kind};
use super::row::{Held, OtherLabel, Row, Shape, is_corrected};
use super::write::Writer;

/// Rows that are turned into columns at once.
const BATCH_ROWS: usize = 8 << 10;
/// Bytes of text that are, at most, give or take a row: an array of strings counts its bytes in 31 bits.
const BATCH_BYTES: usize = 16 << 20;
/// Rows of a row group, which is held until it is written.
const GROUP_ROWS: usize = 128 << 10;
/// Bytes of it, about.
const GROUP_BYTES: usize = 64 << 20;

/// What the column of labels holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LabelColumn {
    /// Names.
    Name,
    /// Numbers of labels, in the order of the task: what `datasets` calls a class label.
    Class,
}

/// Writes rows as row groups.
pub(super) struct Parquet<W: Write + Send> {
    writer: ArrowWriter<W>,
    schema: SchemaRef,
    shape: Shape,
    batch: Batch,
}

impl<W: Write + Send> Parquet<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn new(out: W, shape: Shape, labels: LabelColumn) -> io::Result<Self> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_created_by(concat!("candist ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let schema = Arc::new(schema(&shape, labels));
        let writer = ArrowWriter::try_new(out, Arc::clone(&schema), Some(properties)).map_err(failed)?;
        let batch = Batch::new(&shape, labels);
        Ok(Self { writer, schema, shape, batch })
    }

    fn write_batch(&mut self) -> io::Result<()> {
        let columns = self.batch.take();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(io::Error::other)?;
        self.writer.write(&batch).map_err(failed)
    }
}

impl<W: Write + Send> Writer for Parquet<W> {
    type Out = W;

    fn write(&mut self, row: &Row) -> io::Result<()> {
        self.batch.add(row, &self.shape)?;
        if self.batch.is_full() { self.write_batch() } else { Ok(()) }
    }

    fn finish(mut self) -> io::Result<W> {
        if self.batch.rows > 0 {
            self.write_batch()?;
        }
        self.writer.into_inner().map_err(failed)
    }
}

/// What the disk said, where it was that.
fn failed(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(error) => match error.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(error) => io::Error::other(error),
        },
        error => io::Error::other(error),
    }
}

/// The columns and their types.
fn schema(shape: &Shape, labels: LabelColumn) -> Schema {
    let list = |of| DataType::List(Arc::new(Field::new_list_field(of, true)));
    let type_of_own = |name: &str| match name {
        "label" if labels == LabelColumn::Class => DataType::Int64,
        "confidence" | "margin" | "confidence_raw" => DataType::Float64,
        "others" => list(DataType::Struct(other_fields())),
        "candidates" | "label_set" => list(DataType::Utf8),
        "candidate_weights" => list(DataType::Float64),
        "corrected" | "final" => DataType::Boolean,
        _ => DataType::Utf8,
    };
    let own = shape.names().map(|name| (name, type_of_own(name)));
    let joined = shape.columns.iter().map(|column| (column.name.as_str(), type_of(column.kind)));
    // Any may be null: a reader then sees one schema, whatever is in the table.
    Schema::new(own.chain(joined).map(|(name, of)| Field::new(name, of, true)).collect::<Vec<_>>())
}

/// Of one of a label's others.
fn other_fields() -> Fields {
    [("label", DataType::Utf8), ("confidence", DataType::Float64)]
        .map(|(name, of)| Field::new(name, of, true))
        .into_iter()
        .collect()
}

fn type_of(kind: Kind) -> DataType {
    match kind {
        Kind::Int => DataType::Int64,
        Kind::Double => DataType::Float64,
        Kind::Bool => DataType::Boolean,
        Kind::Text | Kind::Json => DataType::Utf8,
    }
}

/// Rows that are becoming columns.
struct Batch {
    rows: usize,
    bytes: usize,
    id: StringBuilder,
    label: Label,
    confidence: Float64Builder,
    margin: Float64Builder,
    others: ListBuilder<StructBuilder>,
    candidates: ListBuilder<StringBuilder>,
    weights: ListBuilder<Float64Builder>,
    by: StringBuilder,
    corrected: BooleanBuilder,
    is_final: BooleanBuilder,
    raw: Option<Float64Builder>,
    set: Option<ListBuilder<StringBuilder>>,
    text: Option<StringBuilder>,
    joined: Vec<Joined>,
}

enum Label {
    Name(StringBuilder),
    Class(Int64Builder),
}

enum Joined {
    Int(Int64Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringBuilder),
    Json(StringBuilder),
}

impl Batch {
    fn new(shape: &Shape, labels: LabelColumn) -> Self {
        Self {
            rows: 0,
            bytes: 0,
            id: StringBuilder::new(),
            label: match labels {
                LabelColumn::Name => Label::Name(StringBuilder::new()),
                LabelColumn::Class => Label::Class(Int64Builder::new()),
            },
            confidence: Float64Builder::new(),
            margin: Float64Builder::new(),
            others: ListBuilder::new(StructBuilder::from_fields(other_fields(), 0)),
            candidates: ListBuilder::new(StringBuilder::new()),
            weights: ListBuilder::new(Float64Builder::new()),
            by: StringBuilder::new(),
            corrected: BooleanBuilder::new(),
            is_final: BooleanBuilder::new(),
            raw: shape.is_audited.then(Float64Builder::new),
            set: shape.least.map(|_| ListBuilder::new(StringBuilder::new())),
            text: shape.has_text.then(StringBuilder::new),
            joined: shape.columns.iter().map(Joined::new).collect(),
        }
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS || self.bytes >= BATCH_BYTES
    }

    fn add(&mut self, row: &Row, shape: &Shape) -> io::Result<()> {
        self.rows += 1;
        self.bytes += row.id.len() + row.text.as_ref().map_or(0, String::len);
        self.id.append_value(&row.id);
        match &mut self.label {
            Label::Name(column) => column.append_option(row.label.map(|held| shape.labels.name(held.label))),
            Label::Class(column) => column.append_option(row.label.map(|held| i64::from(held.label.0))),
        }
        self.confidence.append_option(row.label.map(Held::confidence));
        self.margin.append_option(row.label.and_then(Held::margin));
        let others = row.others(shape);
        others.iter().flatten().for_each(|other| self.add_other(other));
        self.others.append(others.is_some());
        for &(label, weight) in &row.candidates {
            self.candidates.values().append_value(shape.labels.name(label));
            self.weights.values().append_value(weight);
        }
        self.candidates.append(true);
        self.weights.append(true);
        let by = row.by(shape);
        self.by.append_option(by);
        self.corrected.append_value(by.is_some_and(is_corrected));
        self.is_final.append_value(row.is_final());
        if let Some(raw) = &mut self.raw {
            raw.append_option(row.label.map(Held::raw_confidence));
        }
        if let (Some(sets), Some(set)) = (&mut self.set, row.label_set(shape)) {
            sets.append_value(set.into_iter().map(Some));
        }
        if let Some(text) = &mut self.text {
            text.append_option(row.text.as_deref());
        }
        for (index, column) in self.joined.iter_mut().enumerate() {
            self.bytes += column.add(&row.field(index))?;
        }
        Ok(())
    }

    fn add_other(&mut self, other: &OtherLabel<'_>) {
        let values = self.others.values();
        if let Some(label) = values.field_builder::<StringBuilder>(0) {
            label.append_value(other.label);
        }
        if let Some(confidence) = values.field_builder::<Float64Builder>(1) {
            confidence.append_value(other.confidence);
        }
        values.append(true);
    }

    /// The columns, in the order of the schema; then it is empty.
    fn take(&mut self) -> Vec<ArrayRef> {
        (self.rows, self.bytes) = (0, 0);
        let label: ArrayRef = match &mut self.label {
            Label::Name(column) => Arc::new(column.finish()),
            Label::Class(column) => Arc::new(column.finish()),
        };
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(self.id.finish()),
            label,
            Arc::new(self.confidence.finish()),
            Arc::new(self.margin.finish()),
            Arc::new(self.others.finish()),
            Arc::new(self.candidates.finish()),
            Arc::new(self.weights.finish()),
            Arc::new(self.by.finish()),
            Arc::new(self.corrected.finish()),
            Arc::new(self.is_final.finish()),
        ];
        columns.extend(self.raw.as_mut().map(|raw| Arc::new(raw.finish()) as ArrayRef));
        columns.extend(self.set.as_mut().map(|set| Arc::new(set.finish()) as ArrayRef));
        if let Some(text) = &mut self.text {
            columns.push(Arc::new(text.finish()));
        }
        columns.extend(self.joined.iter_mut().map(Joined::take));
        columns
    }
}

impl Joined {
    fn new(column: &Column) -> Self {
        match column.kind {
            Kind::Int => Self::Int(Int64Builder::new()),
            Kind::Double => Self::Double(Float64Builder::new()),
            Kind::Bool => Self::Bool(BooleanBuilder::new()),
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Json => Self::Json(StringBuilder::new()),
        }
    }

    /// Adds a value; gives the bytes of text that it has.
    fn add(&mut self, value: &Value) -> io::Result<usize> {
        match self {
            Self::Int(column) => column.append_option(value.as_i64()),
            Self::Double(column) => column.append_option(value.as_f64()),
            Self::Bool(column) => column.append_option(value.as_bool()),
            Self::Text(column) => {
                column.append_option(value.as_str());
                return Ok(value.as_str().map_or(0, str::len));
            }
            Self::Json(column) if value.is_null() => column.append_null(),
            Self::Json(column) => {
                let json = serde_json::to_string(value)?;
                column.append_value(&json);
                return Ok(json.len());
            }
        }
        Ok(0)
    }

    fn take(&mut self) -> ArrayRef {
        match self {
            Self::Int(column) => Arc::new(column.finish()),
            Self::Double(column) => Arc::new(column.finish()),
            Self::Bool(column) => Arc::new(column.finish()),
            Self::Text(column) | Self::Json(column) => Arc::new(column.finish()),
        }
    }
}
