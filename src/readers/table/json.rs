//! Tables as JSON Lines: one object a line, in the shape of `schemas/table.json`.

use std::io::{self, Write};

use super::row::{Row, Shape, TableRow};
use super::write::Writer;

/// Writes rows as lines.
pub(super) struct JsonLines<W> {
    out: W,
    shape: Shape,
}

impl<W: Write> JsonLines<W> {
    pub(super) fn new(out: W, shape: Shape) -> Self {
        Self { out, shape }
    }
}

impl<W: Write> Writer for JsonLines<W> {
    type Out = W;

    fn write(&mut self, row: &Row) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &TableRow::new(row, &self.shape))?;
        self.out.write_all(b"\n")
    }

    fn finish(self) -> io::Result<W> {
        Ok(self.out)
    }
}
