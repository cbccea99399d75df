//! Rows as the objects of one JSON array, one a line.

use std::io::{self, Write};

use serde::Serialize;

use super::row::{Row, Shape};
use super::write::Writer;

/// Writes what `object` makes of each row.
pub(super) struct Array<W, F> {
    out: W,
    shape: Shape,
    object: F,
    is_empty: bool,
}

impl<W: Write, F> Array<W, F> {
    pub(super) fn new(mut out: W, shape: Shape, object: F) -> io::Result<Self> {
        out.write_all(b"[")?;
        Ok(Self { out, shape, object, is_empty: true })
    }
}

impl<W: Write, T: Serialize, F: Fn(&Row, &Shape) -> T> Writer for Array<W, F> {
    type Out = W;

    fn write(&mut self, row: &Row) -> io::Result<()> {
        self.out.write_all(if self.is_empty { b"\n" } else { b",\n" })?;
        self.is_empty = false;
        Ok(serde_json::to_writer(&mut self.out, &(self.object)(row, &self.shape))?)
    }

    fn finish(mut self) -> io::Result<W> {
        self.out.write_all(b"\n]\n")?;
        Ok(self.out)
    }
}
