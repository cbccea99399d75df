//! A corpus of one text a line. For `candist predict --lines` alone: a run's corpus is to have ids that do not change
//! when a line is put in before others.

use std::io::BufRead;
use std::path::{Path, PathBuf};

use super::{Corpus, Row, file_name};
use crate::base::lines::{Line, Lines};
use crate::domain::sample::{Sample, SampleId};
use crate::error::{Error, Result};

/// See the module.
pub(super) struct Plain {
    lines: Lines<Box<dyn BufRead + Send>>,
    path: PathBuf,
}

impl Plain {
    /// Reads `input`, which is called `path` in errors. Longer lines than `max_line_bytes` are bad rows.
    pub(super) fn read(input: Box<dyn BufRead + Send>, path: &Path, max_line_bytes: usize) -> Self {
        Self { lines: Lines::new(input, max_line_bytes), path: path.to_owned() }
    }
}

impl Corpus for Plain {
    fn name(&self) -> String {
        file_name(&self.path)
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            let next = self.lines.next_line().map_err(|source| Error::Input {
                what: "texts",
                path: self.path.clone(),
                source,
            })?;
            let Some((line, content)) = next else { return Ok(None) };
            let sample = match content {
                Line::Text(text) if text.trim().is_empty() => continue,
                // The number in the file, blank lines counted: it leads back to the line.
                Line::Text(text) => Ok(Sample { id: SampleId(line.to_string()), text }),
                Line::NotUtf8(at) => Err(format!("is not UTF-8 (byte {at})")),
                Line::TooLong => Err("is too long".to_owned()),
            };
            return Ok(Some(Row { line, sample }));
        }
    }
}
