//! What labels are written as: JSON lines as they are printed, CSV, Parquet.
//!
//! What a part's bytes are must follow from its rows alone: so rows are rendered in chunks of one size, by whoever labelled them, and
//! taken in order.

use std::fs::File;
use std::io::{self, BufWriter, Write};

use sha2::{Digest, Sha256};

use crate::base::scratch::scratch_file;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use crate::student::{Prediction, Rows};

/// A format of labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartFormat {
    /// An object a line, as `predict` prints it.
    Jsonl,
    /// Cells; each part has the header.
    Csv,
    /// Columns, compressed with zstd.
    #[cfg(feature = "parquet")]
    Parquet,
}

impl PartFormat {
    /// All, by name.
    pub const ALL: &'static [(&'static str, Self)] = &[
        ("jsonl", Self::Jsonl),
        ("csv", Self::Csv),
        #[cfg(feature = "parquet")]
        ("parquet", Self::Parquet),
    ];

    /// Its name, in which names of its files end.
    pub(super) fn extension(self) -> &'static str {
        Self::ALL.iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }
}

/// A file without a name whose bytes are hashed as they are written.
struct Spool {
    file: File,
    hash: Sha256,
    bytes: u64,
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All of a part.
pub(super) struct Spooled {
    pub(super) file: File,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    /// Hexadecimal.
    pub(super) sha256: String,
}

/// Some rows as they are written, and how many.
pub(super) struct Rendered {
    rows: u64,
    content: Content,
}

enum Content {
    Bytes(Vec<u8>),
    #[cfg(feature = "parquet")]
    Batch(arrow_array::RecordBatch),
}

/// What `p` says of `samples`, one row each.
pub(super) fn rendered(
    format: PartFormat,
    samples: &[Sample],
    p: &Rows,
    labels: &[String],
    least: f64,
) -> Result<Rendered> {
    let said = samples.iter().zip(p.iter()).map(|(sample, p)| Prediction::new(&sample.id.0, p, labels, least));
    let content = match format {
        PartFormat::Jsonl => json_lines(said).map(Content::Bytes),
        PartFormat::Csv => cells(said).map(Content::Bytes),
        #[cfg(feature = "parquet")]
        PartFormat::Parquet => columns::batch(said).map(Content::Batch),
    };
    Ok(Rendered { rows: samples.len() as u64, content: content.map_err(unwritten)? })
}

fn json_lines<'a>(said: impl Iterator<Item = Prediction<'a>>) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for said in said {
        serde_json::to_writer(&mut lines, &said)?;
        lines.push(b'\n');
    }
    Ok(lines)
}

/// As tables of labels are written: a list is JSON in its cell, none is an empty cell.
fn cells<'a>(said: impl Iterator<Item = Prediction<'a>>) -> io::Result<Vec<u8>> {
    let mut out = csv::Writer::from_writer(Vec::new());
    for said in said {
        let candidates =
            if said.candidates.is_empty() { String::new() } else { serde_json::to_string(&said.candidates)? };
        let confidence = serde_json::to_string(&said.confidence)?;
        out.write_record([said.id, said.label.unwrap_or_default(), &confidence, &candidates])
            .map_err(io::Error::other)?;
    }
    out.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

/// A part as it grows.
pub(super) struct PartWriter {
    out: Out,
    rows: u64,
}

enum Out {
    Bytes(BufWriter<Spool>),
    #[cfg(feature = "parquet")]
    Columns(Box<columns::Writer<Spool>>),
}

impl PartWriter {
    /// Begins a part.
    pub(super) fn new(format: PartFormat) -> Result<Self> {
        let spool = Spool { file: scratch_file().map_err(unwritten)?, hash: Sha256::new(), bytes: 0 };
        let out = match format {
            PartFormat::Jsonl => Out::Bytes(BufWriter::new(spool)),
            PartFormat::Csv => {
                let mut out = BufWriter::new(spool);
                out.write_all(b"id,label,confidence,candidates\n").map_err(unwritten)?;
                Out::Bytes(out)
            }
            #[cfg(feature = "parquet")]
            PartFormat::Parquet => Out::Columns(Box::new(columns::writer(spool).map_err(unwritten)?)),
        };
        Ok(Self { out, rows: 0 })
    }

    /// Adds rows behind those before them.
    pub(super) fn take(&mut self, rendered: Rendered) -> Result<()> {
        self.rows += rendered.rows;
        let taken = match (&mut self.out, rendered.content) {
            (Out::Bytes(out), Content::Bytes(bytes)) => out.write_all(&bytes),
            #[cfg(feature = "parquet")]
            (Out::Columns(out), Content::Batch(batch)) => columns::write(out, &batch),
            #[cfg(feature = "parquet")]
            _ => Err(io::ErrorKind::InvalidInput.into()),
        };
        taken.map_err(unwritten)
    }

    /// All of it.
    pub(super) fn finish(self) -> Result<Spooled> {
        let spool = match self.out {
            Out::Bytes(out) => out.into_inner().map_err(|error| error.into_error()),
            #[cfg(feature = "parquet")]
            Out::Columns(out) => columns::finish(*out),
        };
        let Spool { file, hash, bytes } = spool.map_err(unwritten)?;
        Ok(Spooled { file, rows: self.rows, bytes, sha256: hex(&hash.finalize()) })
    }
}

fn unwritten(source: io::Error) -> Error {
    Error::run_file("write", &std::env::temp_dir())(source)
}

/// Bytes as they are shown.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(feature = "parquet")]
mod columns {
    //! Labels in columns.

    use std::io::{self, Write};
    use std::sync::{Arc, OnceLock};

    use arrow_array::RecordBatch;
    use arrow_array::builder::{Float64Builder, ListBuilder, StringBuilder};
    use arrow_schema::{DataType, Field, Schema, SchemaRef};
    use parquet::arrow::ArrowWriter;
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::file::properties::WriterProperties;

    use crate::student::Prediction;

    pub(super) type Writer<W> = ArrowWriter<W>;

    /// Rows of a row group, which is held until it is written.
    const GROUP_ROWS: usize = 128 << 10;

    fn schema() -> SchemaRef {
        static SCHEMA: OnceLock<SchemaRef> = OnceLock::new();
        let fields = || {
            vec![
                Field::new("id", DataType::Utf8, false),
                Field::new("label", DataType::Utf8, true),
                Field::new("confidence", DataType::Float64, false),
                Field::new("candidates", DataType::new_list(DataType::Utf8, true), false),
            ]
        };
        Arc::clone(SCHEMA.get_or_init(|| Arc::new(Schema::new(fields()))))
    }

    pub(super) fn batch<'a>(said: impl Iterator<Item = Prediction<'a>>) -> io::Result<RecordBatch> {
        let (mut id, mut label, mut confidence) = (StringBuilder::new(), StringBuilder::new(), Float64Builder::new());
        let mut candidates = ListBuilder::new(StringBuilder::new());
        for said in said {
            id.append_value(said.id);
            label.append_option(said.label);
            confidence.append_value(said.confidence);
            candidates.append_value(said.candidates.into_iter().map(Some));
        }
        let columns: Vec<arrow_array::ArrayRef> = vec![
            Arc::new(id.finish()),
            Arc::new(label.finish()),
            Arc::new(confidence.finish()),
            Arc::new(candidates.finish()),
        ];
        RecordBatch::try_new(schema(), columns).map_err(io::Error::other)
    }

    pub(super) fn writer<W: Write + Send>(out: W) -> io::Result<Writer<W>> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(concat!("candist ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        ArrowWriter::try_new(out, schema(), Some(properties)).map_err(io::Error::other)
    }

    pub(super) fn write<W: Write + Send>(out: &mut Writer<W>, batch: &RecordBatch) -> io::Result<()> {
        out.write(batch).map_err(io::Error::other)
    }

    pub(super) fn finish<W: Write + Send>(out: Writer<W>) -> io::Result<W> {
        out.into_inner().map_err(io::Error::other)
    }
}
