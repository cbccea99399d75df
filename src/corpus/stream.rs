//! JSON objects in one array, or one after the other, as rows: their places are their numbers.

use std::path::PathBuf;

use super::elements::{Element, Elements};
use super::input::Input;
use super::json;
use super::record::{Reader, Record, Wanted, broken};
use super::rows::Limits;
use crate::error::Result;

/// See the module. Holds one element at a time, which is no longer than is allowed.
pub(super) struct Stream {
    elements: Elements,
    path: PathBuf,
    wanted: Wanted,
    limits: Limits,
}

impl Stream {
    /// Reads `input`, which is called `path` in errors.
    pub(super) fn read(input: Input, path: PathBuf, wanted: Wanted, limits: Limits) -> Self {
        Self { elements: Elements::new(input, limits.max_bytes), path, wanted, limits }
    }
}

impl Reader for Stream {
    fn next(&mut self) -> Result<Option<Record>> {
        let found = match self.elements.next() {
            Ok(found) => found,
            Err(error) => return Err(broken(&self.path, "element", self.elements.count(), &error)),
        };
        Ok(found.map(|(place, line, found)| {
            let fields = match found {
                Element::Whole => self
                    .limits
                    .text(self.elements.bytes())
                    .and_then(|text| json::parse(text, &self.wanted))
                    .map_err(|why| format!("{why}; it begins in line {line}")),
                Element::Broken(why) => Err(why),
                Element::TooLong => Err(self.limits.too_long.clone()),
            };
            Record { place, fields }
        }))
    }

    fn names(&self) -> Vec<String> {
        self.limits.text(self.elements.bytes()).map(json::names).unwrap_or_default()
    }
}
