//! CSV and TSV: a header, and rows with as many cells. Cells are text as it is written; an empty one of the id is none.

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::cells::{Cells, Found};
use super::input::Input;
use super::record::{Fields, Reader, Record, Wanted, broken};
use super::rows::Limits;
use crate::error::{Error, Result};

/// What may stand between cells where nothing is said, the likelier first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Rows by which a delimiter is judged, at most.
const JUDGED: usize = 20;

/// See the module. Holds one row at a time, which is no longer than is allowed.
pub(super) struct Table {
    cells: Cells,
    path: PathBuf,
    limits: Limits,
    header: Vec<String>,
    /// The wanted columns: where they are, and their names.
    wanted: Vec<(usize, Arc<str>)>,
}

impl Table {
    /// Reads the header of `input`, which is called `path` in errors. `delimiter` is none where rows have one cell.
    pub(super) fn read(
        input: Input,
        path: PathBuf,
        wanted: &Wanted,
        limits: Limits,
        delimiter: Option<u8>,
    ) -> Result<Self> {
        let mut cells = Cells::new(input, delimiter, limits.max_bytes);
        let header = match cells.next(0).map_err(|error| broken(&path, "line", 1, &error))? {
            None => Vec::new(),
            Some((line, Found::Record)) => {
                let unfit = |message| Error::InputLine { path: path.clone(), line, message };
                let text = limits.text(cells.record()).map_err(|why| unfit(format!("the header {why}")))?;
                // Spaces around names are how people write lists, and no part of them.
                cells.cells().iter().map(|cell| cell.text(text).trim().to_owned()).collect()
            }
            Some((line, Found::Bad(why))) => {
                return Err(Error::InputLine { path, line, message: format!("the header {why}") });
            }
            Some((line, Found::TooLong)) => {
                return Err(Error::InputLine { path, line, message: format!("the header {}", limits.too_long) });
            }
        };
        if let Some(twice) =
            (1..).zip(&header).find_map(|(next, name)| header.get(next..)?.contains(name).then_some(name))
            && matches!(wanted, Wanted::Columns(_))
            && wanted.name(twice).is_some()
        {
            let message = format!("has two columns called {twice:?}: give one of them another name");
            return Err(Error::Unfit { path, message });
        }
        let wanted = header.iter().enumerate().filter_map(|(at, name)| Some((at, wanted.name(name)?))).collect();
        Ok(Self { cells, path, limits, header, wanted })
    }

    /// The wanted cells of the record that was found.
    fn fields(&self) -> Result<Fields, String> {
        let cells = self.cells.cells();
        if cells.len() != self.header.len() {
            let (found, expected) = (cells.len(), self.header.len());
            return Err(format!("has {found} cell(s), and the header has {expected}"));
        }
        let text = self.limits.text(self.cells.record())?;
        let mut fields = Fields::with_capacity(self.wanted.len());
        for (at, name) in &self.wanted {
            let cell = cells.get(*at).map(|cell| cell.text(text)).unwrap_or_default();
            fields.push(name, Value::String(cell));
        }
        Ok(fields)
    }
}

impl Reader for Table {
    fn next(&mut self) -> Result<Option<Record>> {
        let found = match self.cells.next(self.header.len()) {
            Ok(found) => found,
            Err(error) => return Err(broken(&self.path, "line", self.cells.line(), &error)),
        };
        Ok(found.map(|(place, found)| {
            let fields = match found {
                Found::Record => self.fields(),
                Found::Bad(why) => Err(why.to_owned()),
                Found::TooLong => Err(self.limits.too_long.clone()),
            };
            Record { place, fields }
        }))
    }

    fn header(&self) -> Option<Vec<String>> {
        (!self.header.is_empty()).then(|| self.header.clone())
    }

    fn names(&self) -> Vec<String> {
        self.header.clone()
    }
}

/// What stands between the cells of a table that begins with `head`: that which gives most rows as many cells as the header,
/// and of several such the one that gives most cells. `None` for a table of one column.
pub(super) fn delimiter_of(head: &[u8]) -> Option<u8> {
    let judge = |delimiter: u8| {
        let mut cells = Cells::new(Box::new(Cursor::new(head.to_vec())), Some(delimiter), head.len());
        let mut counts = Vec::new();
        while counts.len() <= JUDGED
            && let Ok(Some((_, Found::Record))) = cells.next(0)
        {
            counts.push(cells.cells().len());
        }
        let (&header, rows) = counts.split_first()?;
        let fitting = rows.iter().filter(|&&count| count == header).count();
        (header > 1).then_some((fitting, header, delimiter))
    };
    // The last of equals is taken: so the likelier are judged last.
    let judged = DELIMITERS.into_iter().rev().filter_map(judge);
    judged.max_by_key(|&(fitting, header, _)| (fitting, header)).map(|(.., delimiter)| delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &'static [u8], wanted: &Wanted) -> Result<Table> {
        let limits = Limits { max_bytes: 60, too_long: "is too long".to_owned(), encoding: "UTF-8" };
        Table::read(Box::new(text), "pool.csv".into(), wanted, limits, delimiter_of(text))
    }

    fn rows(text: &'static [u8], wanted: &Wanted) -> Vec<(u64, Result<String, String>)> {
        let mut table = table(text, wanted).unwrap();
        let shown = |fields: Fields| {
            fields.iter().map(|(name, value)| format!("{name}={} ", value.as_str().unwrap())).collect::<String>()
        };
        std::iter::from_fn(|| table.next().unwrap()).map(|record| (record.place, record.fields.map(shown))).collect()
    }

    #[test]
    fn rows_have_the_cells_of_the_header() {
        let text = b"id, text ,x\n1,\"a\nb\",\n2,c\n3,d,e,f\n4,\xff,g\n5,h,i\n";
        let read = rows(text, &Wanted::All);
        assert_eq!(read[0], (2, Ok("id=1 text=a\nb x= ".to_owned())));
        assert_eq!(read[1], (4, Err("has 2 cell(s), and the header has 3".to_owned())));
        assert_eq!(read[2], (5, Err("has 4 cell(s), and the header has 3".to_owned())));
        assert_eq!(read[3], (6, Err("is not UTF-8 (byte 2)".to_owned())));
        assert_eq!(read[4], (7, Ok("id=5 text=h x=i ".to_owned())));
        let wanted = Wanted::Columns(vec!["text".into(), "other".into()]);
        assert_eq!(rows(text, &wanted)[0].1, Ok("text=a\nb ".to_owned()));
        assert!(
            table(b"a\xff,b\n", &Wanted::All)
                .err()
                .unwrap()
                .to_string()
                .contains("pool.csv:1: the header is not UTF-8")
        );
    }

    #[test]
    fn the_delimiter_is_that_of_header_and_rows() {
        for (head, expected) in [
            ("id,text\n1,a;b;c\n", Some(b',')),
            ("id;text, long\n1;a, b, c\n2;d\n", Some(b';')),
            ("id\ttext\n1\ta,b\n", Some(b'\t')),
            ("a|b\n", Some(b'|')),
            ("\"a,b\";c\n\"1,2\";3\n", Some(b';')),
            ("text\nhello, you\nand, you\n", None),
            ("", None),
        ] {
            assert_eq!(delimiter_of(head.as_bytes()), expected, "{head:?}");
        }
        let one: Vec<_> = rows(b"text\nhello, \"you\"\n\n\"a\nb\"\n", &Wanted::All);
        assert_eq!(one, [(2, Ok("text=hello, \"you\" ".to_owned())), (4, Ok("text=a\nb ".to_owned()))]);
    }
}
