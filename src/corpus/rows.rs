//! The rows of one file, whatever its format: which format that is, and what reads it.

use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use encoding_rs::Encoding;

use super::input::{BUFFER, Input, Text};
use super::jsonl::Jsonl;
use super::lines::{Columns, Plain};
use super::record::{Reader, Record, Wanted};
use super::sniff::{Kind, table_of};
use super::sound::{Look, Sound};
use super::stream::Stream;
use super::table::{Table, delimiter_of};
use super::{Corpus, Row, SampleOf, Settings, file};
use crate::base::ranged::Ranged;
use crate::config::{CorpusConfig, CorpusFormat, TextFrom};
use crate::error::{Error, Result};

/// What bounds a row, and what to say of one that is out of bounds.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) max_bytes: usize,
    pub(super) too_long: String,
    /// What the bytes of a row are to be.
    pub(super) encoding: &'static str,
}

impl Limits {
    pub(super) fn of(config: &CorpusConfig, settings: Settings, encoding: &'static str) -> Self {
        let setting = settings.max_line_bytes.map(|name| format!(" ({name})")).unwrap_or_default();
        let too_long = format!("is longer than {} bytes{setting}", config.max_line_bytes);
        Self { max_bytes: config.max_line_bytes, too_long, encoding }
    }

    /// The text of a row.
    pub(super) fn text<'a>(&self, bytes: &'a [u8]) -> Result<&'a str, String> {
        // Of another encoding the place is not known: it was decoded on the way.
        std::str::from_utf8(bytes).map_err(|error| match self.encoding {
            "UTF-8" => format!("is not UTF-8 (byte {})", error.valid_up_to()),
            encoding => format!("is not {encoding}"),
        })
    }
}

/// A file, open: what reads it, and what it looks like.
pub(super) struct Opened {
    pub(super) reader: Box<dyn Reader>,
    /// Where it can be cut, so that each piece can be read by itself.
    pub(super) cuts: Cuts,
    /// What it is, where it does not look like what reads it.
    advice: Option<String>,
    /// Whether places are lines of the file.
    has_lines: bool,
}

/// Where a file can be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cuts {
    /// Nowhere that could be known without reading what is before.
    Nowhere,
    /// Between lines.
    Lines,
    /// Between the lines of a table without quotes, whose first line ends the header. The header begins behind a mark of so many bytes.
    Records { delimiter: Option<u8>, mark: u64 },
    /// Between row groups.
    Groups,
}

impl Opened {
    /// Its samples as they come: those of a piece that does not begin the file.
    pub(super) fn within(reader: Box<dyn Reader>, sample_of: Arc<SampleOf>) -> Box<dyn Corpus> {
        Box::new(Rows { reader, sample_of })
    }

    /// Its samples as they come.
    pub(super) fn all(self, sample_of: Arc<SampleOf>) -> Box<dyn Corpus> {
        Self::within(self.reader, sample_of)
    }

    /// Its samples, by way of a look at the first ones.
    pub(super) fn sound(self, path: &Path, sample_of: Arc<SampleOf>) -> Sound {
        let lacks = self.reader.header().and_then(|header| sample_of.lacks(&header));
        let look = Look { lacks, advice: self.advice, has_lines: self.has_lines };
        Sound::new(Box::new(Rows { reader: self.reader, sample_of }), path, look)
    }
}

/// Opens the file at `path`.
///
/// # Errors
///
/// [`Error::Input`] where it cannot be read; [`Error::Unfit`] where it is in no format that is known.
pub(super) fn open(path: &Path, config: &CorpusConfig, settings: Settings, wanted: &Wanted) -> Result<Opened> {
    let is_pipe = settings.once && file::is_pipe(path);
    let file = if is_pipe { file::open_any(path, settings.what)? } else { file::open(path, settings.what)? };
    let source: Option<Arc<dyn Ranged>> = match (is_pipe, file.try_clone()) {
        (false, Ok(file)) => Some(Arc::new(file)),
        _ => None,
    };
    read(Box::new(BufReader::with_capacity(BUFFER, file)), path, source, config, settings, wanted)
}

/// Reads `input`, which is called `path`; `source` is the same, where it can be read in any order.
pub(super) fn read(
    input: Input,
    path: &Path,
    source: Option<Arc<dyn Ranged>>,
    config: &CorpusConfig,
    settings: Settings,
    wanted: &Wanted,
) -> Result<Opened> {
    let encoding = config.encoding.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
    let text = Text::of(input, encoding).map_err(|source| Error::Input {
        what: settings.what,
        path: path.to_owned(),
        source,
    })?;
    let unfit = |message| Error::Unfit { path: path.to_owned(), message };
    let text_field = match &config.text {
        TextFrom::Field(field) => field.as_str(),
        TextFrom::Template(_) => "text",
    };
    if let Some(kind) = text.kind.as_ref().filter(|kind| kind.is_foreign()) {
        return Err(unfit(kind.advice(path, text_field, settings.format)));
    }
    let format = match config.format.or_else(|| format_of(path, text.kind.as_ref())) {
        // Any text is good as lines, and each would be asked about: where columns were named, it must have them.
        Some(CorpusFormat::Lines) if config.format.is_none() && by_name(path).is_none() && config.pattern.is_none() => {
            Some(lines_or_table(&text.head, config, settings, wanted).map_err(unfit)?)
        }
        format => format,
    };
    let Some(format) = format else {
        let advice = text.kind.as_ref().map(|kind| kind.advice(path, text_field, settings.format));
        return Err(unfit(advice.unwrap_or_default()));
    };
    let limits = Limits::of(config, settings, text.encoding);
    let (own, wanted) = (path.to_owned(), wanted.clone());
    // A table of one column looks like plain text, and any text is good as lines.
    let is_other = |kind: &&Kind| match format {
        CorpusFormat::Lines => false,
        CorpusFormat::Csv | CorpusFormat::Tsv => !matches!(kind, Kind::Plain | Kind::Table(..)),
        format => kind.format() != Some(format),
    };
    let advice = text.kind.as_ref().filter(is_other).map(|kind| kind.advice(path, text_field, settings.format));
    let mut cuts = Cuts::Nowhere;
    let reader: Box<dyn Reader> = match format {
        CorpusFormat::Jsonl => {
            cuts = Cuts::Lines;
            Box::new(Jsonl::read(text.input, own, wanted, limits))
        }
        CorpusFormat::Json => Box::new(Stream::read(text.input, own, wanted, limits)),
        CorpusFormat::Csv | CorpusFormat::Tsv => {
            let delimiter = match (config.delimiter, format) {
                (Some(said), _) => Some(said),
                (None, CorpusFormat::Tsv) => Some(b'\t'),
                (None, _) => delimiter_of(&text.head),
            };
            cuts = Cuts::Records { delimiter, mark: text.mark };
            Box::new(Table::read(text.input, own, &wanted, limits, delimiter)?)
        }
        CorpusFormat::Lines => Box::new(plain(text.input, own, wanted, limits, config, settings)?),
        CorpusFormat::Parquet => {
            let message = "is Parquet, which is not read from a pipe: write it to a file";
            let source = source.ok_or_else(|| unfit(message.to_owned()))?;
            cuts = Cuts::Groups;
            parquet(source, path, &wanted, limits)?
        }
    };
    let cuts = if text.is_plain { cuts } else { Cuts::Nowhere };
    Ok(Opened { reader, cuts, advice, has_lines: !matches!(format, CorpusFormat::Json | CorpusFormat::Parquet) })
}

/// What looks like plain text is a table where its first line has the columns that were named, and lines where none were.
fn lines_or_table(
    head: &[u8],
    config: &CorpusConfig,
    settings: Settings,
    wanted: &Wanted,
) -> Result<CorpusFormat, String> {
    let Wanted::Columns(columns) = wanted else { return Ok(CorpusFormat::Lines) };
    let named: Vec<&str> = columns.iter().map(|column| &**column).filter(|column| *column != config.id_field).collect();
    if named == ["text"] {
        return Ok(CorpusFormat::Lines);
    }
    table_of(head, &named).and_then(|kind| kind.format()).ok_or_else(|| {
        format!(
            "is plain text, and no table with {} in its first line: set {} to \"lines\" if each line is a text",
            named.join(", "),
            settings.format
        )
    })
}

/// The reader of a Parquet file.
#[cfg(feature = "parquet")]
fn parquet(source: Arc<dyn Ranged>, path: &Path, wanted: &Wanted, limits: Limits) -> Result<Box<dyn Reader>> {
    Ok(Box::new(super::parquet::Parquet::open(source, path, wanted, limits.max_bytes, limits.too_long)?))
}

/// What is said instead of reading one.
#[cfg(not(feature = "parquet"))]
fn parquet(_: Arc<dyn Ranged>, path: &Path, _: &Wanted, _: Limits) -> Result<Box<dyn Reader>> {
    let message =
        "is a Parquet file, and this candist was built without it: build it with `--features parquet`".to_owned();
    Err(Error::Unfit { path: path.to_owned(), message })
}

/// The reader of plain lines.
fn plain(
    input: Input,
    path: PathBuf,
    wanted: Wanted,
    limits: Limits,
    config: &CorpusConfig,
    settings: Settings,
) -> Result<Plain> {
    let columns = match (&config.pattern, &config.text) {
        (Some(pattern), _) => Columns::Groups(regex::Regex::new(pattern).map_err(|error| Error::Unfit {
            path: path.clone(),
            message: format!("cannot be read by its pattern: {error}"),
        })?),
        (None, TextFrom::Field(field)) => Columns::Whole(Arc::from(field.as_str())),
        (None, TextFrom::Template(_)) => Columns::Whole(Arc::from("text")),
    };
    let plain = Plain::read(input, path, wanted, limits, columns);
    Ok(if settings.line_numbers { plain.numbered(&config.id_field) } else { plain })
}

/// The format of a file that nobody named: that of its name, or what its beginning looks like, where no other can be.
/// `None` where no format reads it.
fn format_of(path: &Path, kind: Option<&Kind>) -> Option<CorpusFormat> {
    match (by_name(path), kind) {
        // Certain: there is no such line in JSONL.
        (_, Some(Kind::Parquet)) => Some(CorpusFormat::Parquet),
        (None | Some(CorpusFormat::Jsonl | CorpusFormat::Json), Some(Kind::Array | Kind::Spread)) => {
            Some(CorpusFormat::Json)
        }
        // One object a line is what such files mostly hold that are no array.
        (Some(CorpusFormat::Json), None) => Some(CorpusFormat::Jsonl),
        (Some(named), _) => Some(named),
        (None, Some(kind)) => kind.format(),
        (None, None) => Some(CorpusFormat::Jsonl),
    }
}

/// The format that a name ends in, before that of a compression.
fn by_name(path: &Path) -> Option<CorpusFormat> {
    let name = path.file_name()?.to_str()?.to_lowercase();
    let name = [".gz", ".zst", ".zstd"].iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
    match name.rsplit_once('.')?.1 {
        "jsonl" | "ndjson" | "jsonlines" => Some(CorpusFormat::Jsonl),
        "json" => Some(CorpusFormat::Json),
        "csv" => Some(CorpusFormat::Csv),
        "tsv" | "tab" => Some(CorpusFormat::Tsv),
        "txt" | "text" | "log" => Some(CorpusFormat::Lines),
        "parquet" | "pq" => Some(CorpusFormat::Parquet),
        _ => None,
    }
}

/// The samples in what a reader reads.
struct Rows {
    reader: Box<dyn Reader>,
    sample_of: Arc<SampleOf>,
}

impl Corpus for Rows {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let Some(Record { place, fields }) = self.reader.next()? else { return Ok(None) };
        let sample = fields.and_then(|fields| self.sample_of.sample(fields, || self.reader.names()));
        Ok(Some(Row { line: place, sample }))
    }
}

/// Rows between two questions whether to go on counting.
const COUNTED: u64 = 1000;

/// How many rows the file at `path` has; `None` where `stop` said to stop.
pub(super) fn count(path: &Path, config: &CorpusConfig, stop: &dyn Fn() -> bool) -> Result<Option<u64>> {
    #[cfg(feature = "parquet")]
    if config.format.or_else(|| by_name(path)) == Some(CorpusFormat::Parquet) {
        return super::parquet::count(path).map(Some);
    }
    let mut reader = open(path, config, Settings::CONFIGURATION, &Wanted::Nothing)?.reader;
    let mut rows = 0;
    while !(rows % COUNTED == 0 && stop()) {
        match reader.next()? {
            Some(_) => rows += 1,
            None => return Ok(Some(rows)),
        }
    }
    Ok(None)
}
