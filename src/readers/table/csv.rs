//! Tables as CSV and TSV: RFC 4180, with line feeds. Lists and what is no text are JSON in a cell.

use std::borrow::Cow;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::columns::Kind;
use super::row::{Held, Row, Shape, is_corrected};
use super::write::Writer;

/// Writes rows as lines of cells.
pub(super) struct Csv<W: Write> {
    out: csv::Writer<W>,
    shape: Shape,
    /// Whether cells are guarded.
    guard: bool,
}

impl<W: Write> Csv<W> {
    /// Writes the names of the columns. With `guard` no cell is taken for a formula: see [`guarded`].
    ///
    /// # Errors
    ///
    /// Those of `out`.
    pub(super) fn new(out: W, delimiter: u8, shape: Shape, guard: bool) -> io::Result<Self> {
        let mut out = csv::WriterBuilder::new().delimiter(delimiter).from_writer(out);
        for name in shape.names().chain(shape.columns.iter().map(|column| column.name.as_str())) {
            out.write_field(guarded(name, guard).as_bytes()).map_err(failed)?;
        }
        out.write_record(None::<&[u8]>).map_err(failed)?;
        Ok(Self { out, shape, guard })
    }

    fn cell(&mut self, cell: &str) -> io::Result<()> {
        self.out.write_field(cell).map_err(failed)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let guard = self.guard;
        self.cell(&guarded(text, guard))
    }

    fn number(&mut self, number: Option<f64>) -> io::Result<()> {
        match number {
            Some(number) => self.json(&number),
            None => self.cell(""),
        }
    }

    /// None begins with what is taken for a formula, but for negative numbers, which are none.
    fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.cell(&serde_json::to_string(value)?)
    }

    fn value(&mut self, value: &Value, kind: Kind) -> io::Result<()> {
        match value {
            Value::Null => self.cell(""),
            Value::String(text) if kind == Kind::Text => self.text(text),
            value => self.json(value),
        }
    }
}

impl<W: Write> Writer for Csv<W> {
    type Out = W;

    fn write(&mut self, row: &Row) -> io::Result<()> {
        let by = row.by(&self.shape).unwrap_or_default().to_owned();
        self.text(&row.id)?;
        let label = row.label.map(|held| self.shape.labels.name(held.label).to_owned()).unwrap_or_default();
        self.text(&label)?;
        self.number(row.label.map(Held::confidence))?;
        self.number(row.label.and_then(Held::margin))?;
        match row.others(&self.shape) {
            Some(others) => self.out.write_field(serde_json::to_string(&others)?).map_err(failed)?,
            None => self.cell("")?,
        }
        let names: Vec<&str> = row.candidates.iter().map(|&(label, _)| self.shape.labels.name(label)).collect();
        let names = serde_json::to_string(&names)?;
        self.cell(&names)?;
        let weights: Vec<f64> = row.candidates.iter().map(|&(_, weight)| weight).collect();
        self.json(&weights)?;
        self.text(&by)?;
        self.json(&is_corrected(&by))?;
        self.json(&row.is_final())?;
        if self.shape.is_audited {
            self.number(row.label.map(Held::raw_confidence))?;
        }
        if let Some(set) = row.label_set(&self.shape) {
            self.out.write_field(serde_json::to_string(&set)?).map_err(failed)?;
        }
        if self.shape.has_text {
            self.text(row.text.as_deref().unwrap_or_default())?;
        }
        for index in 0..self.shape.columns.len() {
            let kind = self.shape.columns.get(index).map_or(Kind::Text, |column| column.kind);
            self.value(&row.field(index), kind)?;
        }
        self.out.write_record(None::<&[u8]>).map_err(failed)
    }

    fn finish(self) -> io::Result<W> {
        self.out.into_inner().map_err(csv::IntoInnerError::into_error)
    }
}

fn failed(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// `cell` as it is written where cells are guarded: what a spreadsheet would take for a formula gets an apostrophe before
/// it. A number is none, whatever its sign.
fn guarded(cell: &str, guard: bool) -> Cow<'_, str> {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if guard && is_formula && !is_number(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Digits, a sign, a point, an exponent. (What Rust reads as a number has words too, `-inf`, which no spreadsheet does.)
fn is_number(cell: &str) -> bool {
    cell.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) && cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::columns::Column;
    use super::super::row::Others;
    use super::*;
    use crate::domain::label::{Label, LabelId, LabelSet};
    use crate::readers::probability::Probability;
    use proptest::prelude::*;

    fn shape(columns: Vec<Column>) -> Shape {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(["a", "say \"b\", or not"].map(label).to_vec()).unwrap();
        Shape { labels, by: vec!["posterior".into()], is_audited: false, least: None, has_text: true, columns }
    }

    fn written(rows: &[Row], columns: Vec<Column>, guard: bool) -> String {
        let mut csv = Csv::new(Vec::new(), b',', shape(columns), guard).unwrap();
        rows.iter().for_each(|row| csv.write(row).unwrap());
        String::from_utf8(csv.finish().unwrap()).unwrap()
    }

    #[test]
    fn rows_are_lines_of_cells() {
        let others = Others::new(Some(vec![(LabelId(0), Probability::of(0.25))]));
        let held = Held::new(LabelId(1), 0, true, 0.5, Some(0.25), others);
        let column = |name: &str, kind| Column { field: name.into(), name: name.into(), kind };
        let row = Row {
            id: "=1".into(),
            text: Some("two\nlines".into()),
            label: Some(held),
            candidates: vec![(LabelId(1), 0.75), (LabelId(0), 0.25)],
            fields: vec![serde_json::json!(-7), serde_json::json!({"a": [1]})],
        };
        let bare = Row { id: "x".into(), text: None, label: None, candidates: vec![], fields: vec![] };
        let columns = vec![column("n", Kind::Int), column("-more", Kind::Json)];
        assert_eq!(
            written(&[row, bare], columns, true),
            "id,label,confidence,margin,others,candidates,candidate_weights,by,corrected,final,text,n,'-more\n\
             '=1,\"say \"\"b\"\", or not\",0.5,0.25,\"[{\"\"label\"\":\"\"a\"\",\"\"confidence\"\":0.25}]\",\"[\"\"say \\\"\"b\\\"\", or not\"\",\"\"a\"\"]\",\"[0.75,0.25]\",posterior,\
             false,true,\"two\nlines\",-7,\"{\"\"a\"\":[1]}\"\n\
             x,,,,,[],[],,false,false,,,\n"
        );
    }

    #[test]
    fn what_a_spreadsheet_would_compute_is_guarded_and_numbers_are_not() {
        for (cell, expected) in [
            ("=1+1", "'=1+1"),
            ("+a", "'+a"),
            ("-", "'-"),
            ("@x", "'@x"),
            ("\ta", "'\ta"),
            ("\ra", "'\ra"),
            ("-inf", "'-inf"),
            ("-1+2", "'-1+2"),
            ("-5", "-5"),
            ("+3.5e-4", "+3.5e-4"),
            ("a=b", "a=b"),
            ("'a", "'a"),
            ("", ""),
        ] {
            assert_eq!(guarded(cell, true), expected);
            assert_eq!(guarded(cell, false), cell);
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(cells in prop::collection::vec(any::<(String, String)>(), 1..5)) {
            let rows: Vec<Row> = cells.iter().map(|(id, text)| Row {
                id: id.clone(), text: Some(text.clone()), label: None, candidates: vec![], fields: vec![],
            }).collect();
            let written = written(&rows, vec![], false);
            let mut read = csv::Reader::from_reader(written.as_bytes());
            let found: Vec<(String, String)> = read.records().map(|record| {
                let record = record.unwrap();
                (record[0].to_owned(), record[10].to_owned())
            }).collect();
            prop_assert_eq!(found, cells);
        }
    }
}
