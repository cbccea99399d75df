//! A corpus of one JSON object a line.
//!
//! Blank lines are no rows; every other line is one, good or bad, and its number is that in the file, so that a person
//! finds it with an editor.

use std::path::PathBuf;

use super::input::Input;
use super::json;
use super::record::{Fields, Reader, Record, Wanted, broken};
use super::rows::Limits;
use crate::base::lines::{Lines, Raw};
use crate::error::Result;

/// See the module. Holds one line at a time, which is no longer than is allowed.
pub(super) struct Jsonl {
    lines: Lines<Input>,
    /// For messages; the input may be a pipe.
    path: PathBuf,
    wanted: Wanted,
    limits: Limits,
    /// The line that was given last, where a message may need it.
    last: String,
}

impl Jsonl {
    /// Reads `input`, which is called `path` in errors.
    pub(super) fn read(input: Input, path: PathBuf, wanted: Wanted, limits: Limits) -> Self {
        Self { lines: Lines::new(input, limits.max_bytes), path, wanted, limits, last: String::new() }
    }

    /// As [`Jsonl::read`], of lines that do not begin their file: its mark is not looked for.
    pub(super) fn within(input: Input, path: PathBuf, wanted: Wanted, limits: Limits) -> Self {
        Self { lines: Lines::within(input, limits.max_bytes), path, wanted, limits, last: String::new() }
    }
}

/// The line as text; `None` for a blank one.
pub(super) fn text_of<'a>(raw: Raw<'a>, limits: &Limits) -> Option<Result<&'a str, String>> {
    match raw {
        Raw::Bytes(bytes) => limits
            .text(bytes)
            .map_or_else(|error| Some(Err(error)), |text| (!text.trim().is_empty()).then_some(Ok(text))),
        Raw::TooLong => Some(Err(limits.too_long.clone())),
    }
}

/// Whether a line is no row.
pub(super) fn is_blank(raw: &Raw<'_>) -> bool {
    matches!(raw, Raw::Bytes(bytes) if bytes.trim_ascii().is_empty())
}

impl Reader for Jsonl {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let place = self.lines.number() + 1;
            let next = self.lines.next_raw().map_err(|error| broken(&self.path, "line", place, &error))?;
            let Some((place, raw)) = next else { return Ok(None) };
            // To be counted, a line need not be looked into.
            if self.wanted == Wanted::Nothing && !is_blank(&raw) {
                return Ok(Some(Record { place, fields: Ok(Fields::default()) }));
            }
            let Some(text) = text_of(raw, &self.limits) else { continue };
            let fields: Result<Fields, String> = text.and_then(|text| {
                let fields = json::parse(text, &self.wanted)?;
                if let Wanted::Columns(wanted) = &self.wanted
                    && wanted.iter().any(|name| fields.get(name).is_none())
                {
                    text.clone_into(&mut self.last);
                }
                Ok(fields)
            });
            return Ok(Some(Record { place, fields }));
        }
    }

    fn names(&self) -> Vec<String> {
        json::names(&self.last)
    }
}
