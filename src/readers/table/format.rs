//! Formats of tables, and how they are told by the name of a file.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values.
    Csv,
    /// Tab-separated values.
    Tsv,
    /// One JSON object a line.
    JsonLines,
    /// Parquet.
    Parquet,
}

/// How a file is compressed as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip.
    Gzip,
    /// Zstandard.
    Zstd,
}

impl Compression {
    /// By the end of a file's name, and the name without it.
    #[must_use]
    pub fn of(path: &Path) -> (Self, &Path) {
        let extension = path.extension().unwrap_or_default();
        let compression = if extension.eq_ignore_ascii_case("gz") {
            Self::Gzip
        } else if extension.eq_ignore_ascii_case("zst") {
            Self::Zstd
        } else {
            return (Self::None, path);
        };
        (compression, path.file_stem().map_or(path, Path::new))
    }
}

impl TableFormat {
    /// By the end of a file's name, `.csv`, `.tsv`, `.jsonl` (or `.ndjson`) or `.parquet`, with that of a compression or
    /// without one; `None` where it tells nothing.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let (_, name) = Compression::of(path);
        let extension = name.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "csv" => Some(Self::Csv),
            "tsv" => Some(Self::Tsv),
            "jsonl" | "ndjson" => Some(Self::JsonLines),
            "parquet" => Some(Self::Parquet),
            _ => None,
        }
    }

    /// An error where nothing can be written so.
    pub(super) fn check(self, compression: Compression, path: Option<&Path>) -> Result<()> {
        let message = match (self, compression) {
            (Self::Parquet, Compression::Gzip | Compression::Zstd) => {
                "would be compressed twice, and read by nobody: Parquet is compressed inside, so name it .parquet"
            }
            (Self::Parquet, Compression::None) if !cfg!(feature = "parquet") => {
                "cannot be written: this candist was built without the feature \"parquet\""
            }
            _ => return Ok(()),
        };
        let path = path.map_or_else(|| PathBuf::from("standard output"), Path::to_owned);
        Err(Error::Unfit { path, message: message.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_format() {
        let of = |name: &str| (TableFormat::of(Path::new(name)), Compression::of(Path::new(name)).0);
        assert_eq!(of("a/out.csv"), (Some(TableFormat::Csv), Compression::None));
        assert_eq!(of("out.TSV.gz"), (Some(TableFormat::Tsv), Compression::Gzip));
        assert_eq!(of("out.v2.ndjson.zst"), (Some(TableFormat::JsonLines), Compression::Zstd));
        assert_eq!(of("out.parquet"), (Some(TableFormat::Parquet), Compression::None));
        assert_eq!(of("out.gz"), (None, Compression::Gzip));
        assert_eq!(of("csv"), (None, Compression::None));
        let twice = TableFormat::Parquet.check(Compression::Gzip, None).unwrap_err().to_string();
        assert!(twice.contains("compressed twice"));
    }
}
