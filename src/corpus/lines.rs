//! Plain lines: a line is a text, or is taken apart by a regular expression whose named groups are the columns.

use std::path::PathBuf;
use std::sync::Arc;

use regex::Regex;
use serde_json::Value;

use super::input::Input;
use super::jsonl::{is_blank, text_of};
use super::record::{Fields, Reader, Record, Wanted, broken};
use super::rows::Limits;
use crate::base::lines::Lines;
use crate::error::Result;

/// See the module. Holds one line at a time.
pub(super) struct Plain {
    lines: Lines<Input>,
    path: PathBuf,
    wanted: Wanted,
    limits: Limits,
    columns: Columns,
    /// The column that has a line's number, where that is to be its id.
    number: Option<Arc<str>>,
}

/// What a line is made of.
pub(super) enum Columns {
    /// One column of this name.
    Whole(Arc<str>),
    /// The named groups of an expression.
    Groups(Regex),
}

impl Plain {
    /// Reads `input`, which is called `path` in errors.
    pub(super) fn read(input: Input, path: PathBuf, wanted: Wanted, limits: Limits, columns: Columns) -> Self {
        Self { lines: Lines::new(input, limits.max_bytes), path, wanted, limits, columns, number: None }
    }

    /// Has each line's number in the column `name`, unless the line itself has such a column.
    pub(super) fn numbered(mut self, name: &str) -> Self {
        self.number = Some(Arc::from(name));
        self
    }
}

impl Columns {
    fn names(&self) -> Vec<String> {
        match self {
            Self::Whole(name) => vec![name.to_string()],
            Self::Groups(regex) => regex.capture_names().flatten().map(str::to_owned).collect(),
        }
    }

    fn fields(&self, text: &str, wanted: &Wanted) -> Result<Fields, String> {
        let regex = match self {
            Self::Whole(name) => {
                return Ok(wanted.name(name).into_iter().map(|name| (name, Value::from(text))).collect());
            }
            Self::Groups(regex) => regex,
        };
        let found = regex.captures(text).ok_or("does not match the pattern")?;
        let mut fields = Fields::default();
        for name in regex.capture_names().flatten() {
            if let Some(wanted) = wanted.name(name) {
                // A group that took no part has nothing.
                fields.push(&wanted, found.name(name).map_or(Value::Null, |group| Value::from(group.as_str())));
            }
        }
        Ok(fields)
    }
}

impl Reader for Plain {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            let place = self.lines.number() + 1;
            let next = self.lines.next_raw().map_err(|error| broken(&self.path, "line", place, &error))?;
            let Some((place, raw)) = next else { return Ok(None) };
            if self.wanted == Wanted::Nothing && !is_blank(&raw) {
                return Ok(Some(Record { place, fields: Ok(Fields::default()) }));
            }
            let Some(text) = text_of(raw, &self.limits) else { continue };
            let mut fields = text.and_then(|text| self.columns.fields(text, &self.wanted));
            if let (Some(number), Ok(fields)) = (&self.number, &mut fields)
                && fields.get(number).is_none_or(Value::is_null)
            {
                fields.push(number, Value::from(place));
            }
            return Ok(Some(Record { place, fields }));
        }
    }

    fn header(&self) -> Option<Vec<String>> {
        Some(self.columns.names())
    }

    fn names(&self) -> Vec<String> {
        self.columns.names()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str, columns: Columns, number: Option<&str>) -> Vec<(u64, Result<String, String>)> {
        let limits = Limits { max_bytes: 20, too_long: "is too long".to_owned(), encoding: "UTF-8" };
        let plain = Plain::read(Box::new(text.as_bytes()), "app.log".into(), Wanted::All, limits, columns);
        let mut plain = match number {
            Some(name) => plain.numbered(name),
            None => plain,
        };
        let shown = |fields: Fields| fields.iter().map(|(name, value)| format!("{name}={value} ")).collect();
        std::iter::from_fn(|| plain.next().unwrap()).map(|record| (record.place, record.fields.map(shown))).collect()
    }

    #[test]
    fn a_line_is_a_text() {
        let rows = read("one\n\n  \n two \r\nx", Columns::Whole("text".into()), None);
        let text = |text: &str| Ok(format!("text={text:?} "));
        assert_eq!(rows, [(1, text("one")), (4, text(" two ")), (5, text("x"))]);
        let rows = read("a\n\nb", Columns::Whole("text".into()), Some("id"));
        assert_eq!(rows.last(), Some(&(3, Ok("text=\"b\" id=3 ".to_owned()))));
    }

    #[test]
    fn a_pattern_takes_lines_apart() {
        let pattern = || Columns::Groups(Regex::new(r"^(?<id>\d+)?: (?<text>.*)$").unwrap());
        let rows = read("7: a b\nnone\n: c", pattern(), None);
        assert_eq!(rows[0], (1, Ok("id=\"7\" text=\"a b\" ".to_owned())));
        assert_eq!(rows[1], (2, Err("does not match the pattern".to_owned())));
        assert_eq!(rows[2], (3, Ok("id=null text=\"c\" ".to_owned())));
        // Its own column goes before the number.
        assert_eq!(read("7: a\n: b", pattern(), Some("id"))[0].1, Ok("id=\"7\" text=\"a\" ".to_owned()));
    }
}
