//! What writes rows in some format.

use std::io;

use super::row::Row;

/// A writer of rows.
pub(super) trait Writer {
    /// What it writes to.
    type Out;

    /// Writes a row behind those before it.
    fn write(&mut self, row: &Row) -> io::Result<()>;

    /// Writes what is left, and gives what it wrote to.
    fn finish(self) -> io::Result<Self::Out>;
}
