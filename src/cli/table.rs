//! Tables of names and figures that line up, no wider than an old terminal.

use std::io::{self, Write};

/// Columns that any terminal has. Not asked of the terminal: the output is the same in a file.
const WIDTH: usize = 80;
const INDENT: &str = "  ";

/// See the module. The first `names` columns are text, which is cut where a row would be too wide; figures never are.
#[derive(Debug)]
pub(super) struct Table {
    names: usize,
    /// The first is the header.
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty table with this header.
    pub(super) fn new(names: usize, header: &[&str]) -> Self {
        Self { names, rows: vec![header.iter().map(|&cell| cell.to_owned()).collect()] }
    }

    /// Adds a row, of as many cells as the header has.
    pub(super) fn add(&mut self, row: Vec<String>) {
        self.rows.push(row);
    }

    /// Writes the rows.
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let widths = self.widths();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
                line.push_str(INDENT);
                line.push_str(&if column < self.names {
                    format!("{:<width$}", cut(cell, width))
                } else {
                    format!("{cell:>width$}")
                });
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    /// The widest cell of each column, and for names no more than their part of what figures leave.
    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let widest = |column: usize| {
            self.rows
                .iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(widest).collect();
        let figures: usize = widths.iter().skip(self.names).sum();
        let left = WIDTH.saturating_sub(figures + columns * INDENT.len());
        let most = left / self.names.max(1);
        widths
            .into_iter()
            .enumerate()
            .map(|(column, width)| if column < self.names { width.min(most) } else { width })
            .collect()
    }
}

/// `text` in at most `width` characters, the last of which says where something is missing.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_line_up_and_long_names_are_cut() {
        let mut table = Table::new(1, &["label", "texts"]);
        table.add(vec!["a".to_owned(), "7".to_owned()]);
        table.add(vec!["é".repeat(200), "1,234".to_owned()]);
        let mut out = Vec::new();
        table.print(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        let lines: Vec<&str> = out.lines().collect();
        assert!(lines.iter().all(|line| line.chars().count() == WIDTH), "{out}");
        assert!(
            lines[1].starts_with("  a ") && lines[1].ends_with("    7") && lines[2].ends_with("é…  1,234"),
            "{out}"
        );
    }
}
