//! A file in pieces that are read each by itself, beside each other or on several machines: the rows of all pieces, one after the
//! other, are the rows of the file.
//!
//! Where a file is cut depends on the file and on how large pieces are to be, and on nothing else. What cannot be cut without
//! reading what is before (a packed file, one array, a table with quotes, in which lines may be within cells) is one piece.

use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::jsonl::Jsonl;
use super::rows::{self, Cuts, Limits, Opened};
use super::table::Table;
use super::{Corpus, SampleOf, Settings, maker};
use crate::base::ranged::{Ranged, Span, has_byte, line_start};
use crate::config::CorpusConfig;
use crate::error::{Error, Result};

/// A piece of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// All of it.
    Whole,
    /// The lines that begin at these bytes.
    Lines(Range<u64>),
    /// The records, a line each, that begin at these bytes, of a table whose header is at `header`.
    Records {
        /// Where the records begin.
        at: Range<u64>,
        /// The bytes of the header.
        header: Range<u64>,
        /// What stands between cells, if anything does.
        delimiter: Option<u8>,
    },
    /// Row groups.
    #[cfg(feature = "parquet")]
    Groups(Range<usize>),
}

impl Piece {
    /// The byte after which lines of it are counted; none where they are counted from the beginning of the file.
    pub(crate) fn counted_from(&self) -> Option<u64> {
        match self {
            Self::Lines(at) | Self::Records { at, .. } => Some(at.start).filter(|start| *start > 0),
            _ => None,
        }
    }
}

/// Cuts `source`, which is called `path`, into pieces of some `bytes` bytes.
///
/// # Errors
///
/// [`Error::Input`] where it cannot be read, [`Error::Unfit`] where it is no corpus.
pub(crate) fn cut(
    source: &Arc<dyn Ranged>,
    path: &Path,
    config: &CorpusConfig,
    settings: Settings,
    bytes: u64,
) -> Result<Vec<Piece>> {
    let unread = |source| Error::Input { what: settings.what, path: path.to_owned(), source };
    let size = source.size().map_err(unread)?;
    if size <= bytes {
        return Ok(vec![Piece::Whole]);
    }
    let steps = || (0..size.div_ceil(bytes)).map(|step| step * bytes..((step + 1) * bytes).min(size));
    let sample_of = maker(config, settings)?;
    match open(source, 0..size, path, config, settings, &sample_of)?.cuts {
        Cuts::Nowhere => Ok(vec![Piece::Whole]),
        Cuts::Lines => Ok(steps().map(Piece::Lines).collect()),
        Cuts::Records { .. } if has_byte(source, b'"').map_err(unread)? => Ok(vec![Piece::Whole]),
        Cuts::Records { delimiter, mark } => {
            let header = header(source, mark).map_err(unread)?;
            // The header is in the first piece, however far it reaches.
            let behind = |at: Range<u64>| {
                let start = if at.start == 0 { 0 } else { at.start.max(header.end) };
                start..at.end.max(header.end)
            };
            Ok(steps().map(|at| Piece::Records { at: behind(at), header: header.clone(), delimiter }).collect())
        }
        Cuts::Groups => groups(source, path, bytes),
    }
}

/// Whether the source has a row that can be used, by a look at the first ones; `false` where it has no rows.
///
/// # Errors
///
/// Those of [`cut`]; [`Error::Unfit`] where none of them can be used.
pub(crate) fn is_sound(
    source: &Arc<dyn Ranged>,
    path: &Path,
    config: &CorpusConfig,
    settings: Settings,
) -> Result<bool> {
    let size = source.size().map_err(|source| Error::Input { what: settings.what, path: path.to_owned(), source })?;
    let sample_of = maker(config, settings)?;
    open(source, 0..size, path, config, settings, &sample_of)?.sound(path, sample_of).begin()
}

/// The rows of a piece, those that cannot be used too, even if none can.
///
/// # Errors
///
/// Those of [`cut`].
pub(crate) fn open_piece(
    source: &Arc<dyn Ranged>,
    path: &Path,
    piece: &Piece,
    config: &CorpusConfig,
    settings: Settings,
) -> Result<Box<dyn Corpus>> {
    let unread = |source| Error::Input { what: settings.what, path: path.to_owned(), source };
    let sample_of = maker(config, settings)?;
    let span = |at: &Range<u64>| -> Result<Range<u64>> {
        let between = |offset| line_start(source, offset).map_err(unread);
        Ok(between(at.start)?..between(at.end)?)
    };
    let limits = || Limits::of(config, settings, encoding_rs::UTF_8.name());
    let (own, wanted) = (path.to_owned(), sample_of.wanted());
    let begins = |bytes| Ok(open(source, bytes, path, config, settings, &sample_of)?.all(Arc::clone(&sample_of)));
    match piece {
        Piece::Whole => begins(0..source.size().map_err(unread)?),
        Piece::Lines(at) | Piece::Records { at, .. } if at.start == 0 => begins(span(at)?),
        Piece::Lines(at) => {
            let at = span(at)?;
            let input = Box::new(Span::buffered(source, at.start, at.end));
            Ok(Opened::within(Box::new(Jsonl::within(input, own, wanted, limits())), sample_of))
        }
        Piece::Records { at, header, delimiter } => {
            let at = span(at)?;
            let header = Span::buffered(source, header.start, header.end);
            let input = Box::new(header.chain(Span::buffered(source, at.start, at.end)));
            let table = Table::read(input, own, &wanted, limits(), *delimiter)?;
            Ok(Opened::within(Box::new(table), sample_of))
        }
        #[cfg(feature = "parquet")]
        Piece::Groups(groups) => of_groups(source, path, groups.clone(), limits(), sample_of),
    }
}

/// Opens some bytes of the source, its beginning.
fn open(
    source: &Arc<dyn Ranged>,
    bytes: Range<u64>,
    path: &Path,
    config: &CorpusConfig,
    settings: Settings,
    sample_of: &SampleOf,
) -> Result<Opened> {
    let input = Box::new(Span::buffered(source, bytes.start, bytes.end));
    rows::read(input, path, Some(Arc::clone(source)), config, settings, &sample_of.wanted())
}

/// Where the header of a table is: its first line that is not empty.
fn header(source: &Arc<dyn Ranged>, mark: u64) -> std::io::Result<Range<u64>> {
    let mut from = mark;
    loop {
        let to = line_start(source, from + 1)?;
        let mut begin = Vec::new();
        Span::buffered(source, from, to).take(2).read_to_end(&mut begin)?;
        if to == source.size()? || !matches!(begin.as_slice(), [b'\n', ..] | [b'\r', b'\n']) {
            return Ok(from..to);
        }
        from = to;
    }
}

#[cfg(feature = "parquet")]
fn groups(source: &Arc<dyn Ranged>, path: &Path, bytes: u64) -> Result<Vec<Piece>> {
    let groups = super::parquet::groups(Arc::clone(source), path, bytes)?;
    Ok(if groups.len() < 2 { vec![Piece::Whole] } else { groups.into_iter().map(Piece::Groups).collect() })
}

#[cfg(feature = "parquet")]
fn of_groups(
    source: &Arc<dyn Ranged>,
    path: &Path,
    groups: Range<usize>,
    limits: Limits,
    sample_of: Arc<SampleOf>,
) -> Result<Box<dyn Corpus>> {
    let wanted = sample_of.wanted();
    let reader = super::parquet::Parquet::open(Arc::clone(source), path, &wanted, limits.max_bytes, limits.too_long)?;
    Ok(Opened::within(Box::new(reader.only(groups)), sample_of))
}

#[cfg(not(feature = "parquet"))]
fn groups(_: &Arc<dyn Ranged>, _: &Path, _: u64) -> Result<Vec<Piece>> {
    Ok(vec![Piece::Whole])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CorpusFormat;
    use proptest::prelude::*;

    /// Rows of a file in pieces of `bytes`; and of it as one. A row that cannot be used is its reason.
    fn rows(content: &[u8], format: CorpusFormat, bytes: u64) -> (usize, [Vec<String>; 2]) {
        let mut file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut file, content).unwrap();
        let source: Arc<dyn Ranged> = Arc::new(file);
        let config = CorpusConfig { format: Some(format), max_line_bytes: 40, ..CorpusConfig::of(Vec::new()) };
        let settings = Settings { once: true, ..Settings::CONFIGURATION };
        let read = |pieces: &[Piece]| {
            let mut rows = Vec::new();
            for piece in pieces {
                let mut corpus = open_piece(&source, Path::new("x"), piece, &config, settings).unwrap();
                while let Some(row) = corpus.next_row().unwrap() {
                    rows.push(row.sample.map_or_else(|why| why, |sample| format!("{}={}", sample.id, sample.text)));
                }
            }
            rows
        };
        let pieces = cut(&source, Path::new("x"), &config, settings, bytes).unwrap();
        (pieces.len(), [read(&pieces), read(&[Piece::Whole])])
    }

    proptest! {
        #[test]
        fn the_rows_of_lines_in_pieces_are_those_of_the_file(
            lines in prop::collection::vec(prop::sample::select(vec![
                "{\"text\":\"a\"}", "{\"id\":1,\"text\":\"b\"}\r", "", " ", "{\"text\":", "\u{feff}{\"text\":\"c\"}",
                "{\"text\":\"longer than what a line may be, by far\"}", "{\"text\":\"é\"}",
            ]), 0..12),
            end in any::<bool>(),
            bytes in 1..60_u64,
        ) {
            let content = "{\"text\":\"first\"}\n".to_owned() + &lines.join("\n") + if end { "\n" } else { "" };
            let (_, [pieces, whole]) = rows(content.as_bytes(), CorpusFormat::Jsonl, bytes);
            prop_assert_eq!(pieces, whole);
        }

        #[test]
        fn the_rows_of_a_table_in_pieces_are_those_of_the_file(
            lines in prop::collection::vec(prop::sample::select(vec![
                "1,a", "2,b\r", "", "3", "4,\u{feff}é", "5,\"f\ng\"", ",h", "6,longer than what a line may be, by far it is",
            ]), 0..12),
            begin in prop::sample::select(vec!["", "\u{feff}", "\n", "\r\n\n"]),
            bytes in 1..60_u64,
        ) {
            let content = format!("{begin}id,text\n0,first\n{}", lines.join("\n"));
            let (count, [pieces, whole]) = rows(content.as_bytes(), CorpusFormat::Csv, bytes);
            prop_assert_eq!(pieces, whole);
            prop_assert!(count == 1 || !content.contains('"'));
        }
    }

    #[test]
    fn what_is_packed_or_small_is_one_piece() {
        let content = "{\"text\":\"a\"}\n".repeat(100);
        assert_eq!(rows(content.as_bytes(), CorpusFormat::Jsonl, 100).0, 13);
        assert_eq!(rows(content.as_bytes(), CorpusFormat::Jsonl, 1300).0, 1);
        let packed = zstd::encode_all(content.as_bytes(), 0).unwrap();
        let (count, [pieces, whole]) = rows(&packed, CorpusFormat::Jsonl, 10);
        assert_eq!((count, pieces.len()), (1, 100));
        assert_eq!(pieces, whole);
        let lines = rows("a\nb\n".repeat(100).as_bytes(), CorpusFormat::Lines, 10);
        assert_eq!(lines.0, 1, "a line's number is its id");
    }
}
