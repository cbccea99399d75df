//! Records of cells with a delimiter between them, as RFC 4180 has them: a cell in quotes may hold delimiters, line feeds and
//! doubled quotes.
//!
//! A record costs its own bytes, whatever the file is: one that never closes its quote is found out before more is held than
//! a row may have. Where quotes are broken, reading goes on at the next line, so one row is lost and not those that the quote
//! would have swallowed.

use std::io::{self, BufRead};

use super::input::Input;

/// One cell of the record that was found: its bytes in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cell {
    from: usize,
    to: usize,
    form: Form,
}

/// How a cell is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Bare,
    Quoted,
    /// Quoted, with doubled quotes within.
    Doubled,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// A record, which [`Cells::record`] and [`Cells::cells`] have.
    Record,
    /// A record that cannot be used.
    Bad(&'static str),
    /// One with more bytes than allowed.
    TooLong,
}

/// Where in a cell reading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Start,
    Bare,
    Quoted,
    /// After a quote that ends the cell, or is the first of two.
    Closing,
    /// After a quote and a carriage return.
    Return,
}

/// What the bytes at hand hold.
enum Step {
    /// A record of so many bytes, with its line ending.
    Done(usize),
    /// At this byte it goes against the rules.
    Broken(usize),
    /// No end yet.
    More,
}

const NOT_CLOSED: &str = "has a quote that is not closed";
const MISPLACED: &str = "has something after a closing quote: quotes within a cell are to be doubled";
const LEFT_OVER: &str = "has a quote within a cell, after a row whose quotes are broken: it may be a part of that row";

/// How far a record was read.
#[derive(Debug)]
struct Scan {
    /// A line feed where there is none: then a line is one cell.
    delimiter: u8,
    mode: Mode,
    /// Bytes of the record that were read.
    read: usize,
    /// Where the cell begins, and whether a doubled quote was in it.
    cell: usize,
    doubled: bool,
    cells: Vec<Cell>,
}

impl Scan {
    fn begin(&mut self) {
        (self.mode, self.read, self.cell, self.doubled) = (Mode::Start, 0, 0, false);
        self.cells.clear();
    }

    /// Reads on in `bytes`, what is at hand of the record.
    fn step(&mut self, bytes: &[u8]) -> Step {
        while let Some((&byte, after)) = bytes.get(self.read..).and_then(<[u8]>::split_first) {
            match self.mode {
                Mode::Start => {
                    self.mode = if byte == b'"' { Mode::Quoted } else { Mode::Bare };
                    self.doubled = false;
                    self.read += usize::from(byte == b'"');
                    self.cell = self.read;
                }
                Mode::Bare => match bytes.get(self.read..).and_then(|rest| self.end_of_bare(rest)) {
                    Some(length) => {
                        if self.end_bare(bytes, length) {
                            return Step::Done(self.read);
                        }
                    }
                    // Not the last byte: it may be a carriage return whose line feed is still to come.
                    None if after.is_empty() => return Step::More,
                    None => self.read += after.len(),
                },
                Mode::Quoted => {
                    match bytes.get(self.read..).and_then(|rest| rest.iter().position(|&byte| byte == b'"')) {
                        Some(length) => {
                            self.read += length + 1;
                            self.mode = Mode::Closing;
                        }
                        None => self.read = bytes.len(),
                    }
                }
                Mode::Closing | Mode::Return => {
                    if !self.close(byte) {
                        return Step::Broken(self.read);
                    }
                    self.read += 1;
                    if byte == b'\n' && self.mode == Mode::Start {
                        return Step::Done(self.read);
                    }
                }
            }
        }
        Step::More
    }

    /// Where a cell without quotes ends in `rest`, which begins within it.
    fn end_of_bare(&self, rest: &[u8]) -> Option<usize> {
        rest.iter().position(|&byte| byte == self.delimiter || byte == b'\n')
    }

    /// A cell without quotes ends after `length` more bytes. Gives whether its record does too.
    fn end_bare(&mut self, bytes: &[u8], length: usize) -> bool {
        let end = self.read + length;
        let ends_record = bytes.get(end) == Some(&b'\n');
        let returns = ends_record && end > self.cell && bytes.get(end - 1) == Some(&b'\r');
        self.cells.push(Cell { from: self.cell, to: end - usize::from(returns), form: Form::Bare });
        (self.read, self.mode) = (end + 1, Mode::Start);
        ends_record
    }

    /// Takes the byte after a quote in a quoted cell; false if it cannot stand there.
    fn close(&mut self, byte: u8) -> bool {
        match (self.mode, byte) {
            (Mode::Closing, b'"') => {
                self.doubled = true;
                self.mode = Mode::Quoted;
            }
            (Mode::Closing, b'\r') => self.mode = Mode::Return,
            // Of a cell that is passed over, the quote may be gone.
            (Mode::Return, b'\n') => self.end_quoted(self.read.saturating_sub(2)),
            (Mode::Closing, byte) if byte == b'\n' || byte == self.delimiter => {
                self.end_quoted(self.read.saturating_sub(1));
            }
            _ => return false,
        }
        true
    }

    /// A cell in quotes ends before its closing quote.
    fn end_quoted(&mut self, to: usize) {
        let form = if self.doubled { Form::Doubled } else { Form::Quoted };
        self.cells.push(Cell { from: self.cell, to, form });
        self.mode = Mode::Start;
    }

    /// Takes a line apart in which quotes mean nothing.
    fn split(&mut self, line: &[u8]) {
        let content = line.strip_suffix(b"\n").unwrap_or(line);
        let content = content.strip_suffix(b"\r").unwrap_or(content);
        let mut from = 0;
        for cell in content.split(|&byte| byte == self.delimiter) {
            self.cells.push(Cell { from, to: from + cell.len(), form: Form::Bare });
            from += cell.len() + 1;
        }
    }

    /// The record ends with `bytes`, the last of the file, which need no line ending.
    fn end(&mut self, bytes: &[u8]) {
        match self.mode {
            Mode::Closing => self.end_quoted(bytes.len() - 1),
            Mode::Return => self.end_quoted(bytes.len() - 2),
            Mode::Start | Mode::Bare | Mode::Quoted => {
                let from = if self.mode == Mode::Start { bytes.len() } else { self.cell };
                let returns = bytes.len() > from && bytes.last() == Some(&b'\r');
                self.cells.push(Cell { from, to: bytes.len() - usize::from(returns), form: Form::Bare });
            }
        }
        self.mode = Mode::Start;
    }
}

/// See the module.
pub(super) struct Cells {
    input: Input,
    max_bytes: usize,
    buffer: Vec<u8>,
    /// Where in the buffer the record begins.
    at: usize,
    /// The line at which it does, from 1.
    line: u64,
    has_ended: bool,
    scan: Scan,
    /// Bytes of the record that was given last; they are passed over with the next.
    given: usize,
    /// Bytes from the record's beginning on that a broken quote had swallowed; and whether the record before was broken.
    doubtful: usize,
    was_broken: bool,
    /// Bytes of a record that are looked at before it is too long: the same however many are at hand.
    window: usize,
}

impl Cells {
    /// Reads records of at most `max_bytes` from `input`; without a `delimiter` they have one cell.
    pub(super) fn new(input: Input, delimiter: Option<u8>, max_bytes: usize) -> Self {
        Self {
            input,
            max_bytes,
            buffer: Vec::new(),
            at: 0,
            line: 1,
            has_ended: false,
            scan: Scan {
                delimiter: delimiter.unwrap_or(b'\n'),
                mode: Mode::Start,
                read: 0,
                cell: 0,
                doubled: false,
                cells: Vec::new(),
            },
            given: 0,
            doubtful: 0,
            was_broken: false,
            // Two for a line ending, and one to tell "just fits" from "too long".
            window: max_bytes.saturating_add(3),
        }
    }

    /// The line at which the next record begins: for errors of [`Cells::next`].
    pub(super) fn line(&self) -> u64 {
        self.line + lines(self.record())
    }

    /// The bytes of the record that was found last, with its line ending.
    pub(super) fn record(&self) -> &[u8] {
        self.bytes().get(..self.given).unwrap_or_default()
    }

    /// The cells of the record that was found last.
    pub(super) fn cells(&self) -> &[Cell] {
        &self.scan.cells
    }

    /// The next record with the line at which it begins; blank lines are none. `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of reading; and of kind `UnexpectedEof` where a record without an end was passed over to the end of the file.
    pub(super) fn next(&mut self, expected: usize) -> io::Result<Option<(u64, Found)>> {
        loop {
            self.pass(self.given);
            let line = self.line;
            let found = loop {
                match self.step() {
                    Step::Done(bytes) => break self.done(bytes),
                    Step::Broken(byte) => break self.go_on_at_next_line(byte, MISPLACED)?,
                    Step::More if self.bytes().len() >= self.window => break self.too_long(expected)?,
                    Step::More if self.has_ended => match self.scan.mode {
                        Mode::Start if self.scan.read == 0 => return Ok(None),
                        Mode::Quoted => break self.go_on_at_next_line(self.scan.read, NOT_CLOSED)?,
                        _ => break self.done_at_end(),
                    },
                    Step::More => self.fill()?,
                }
            };
            if found != Found::Record || !self.is_blank() {
                return Ok(Some((line, found)));
            }
        }
    }

    /// What is at hand of the record.
    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.at..).unwrap_or_default()
    }

    /// Goes on reading the record in what is at hand.
    fn step(&mut self) -> Step {
        let bytes = self.buffer.get(self.at..).unwrap_or_default();
        self.scan.step(bytes.get(..self.window).unwrap_or(bytes))
    }

    /// A record of so many bytes was read.
    fn done(&mut self, bytes: usize) -> Found {
        self.given = bytes;
        let content = self.record().strip_suffix(b"\n").unwrap_or(self.record());
        if content.strip_suffix(b"\r").unwrap_or(content).len() > self.max_bytes {
            return Found::TooLong;
        }
        let has_bare_quote = |cell: &Cell| cell.form == Form::Bare && cell.bytes(self.record()).contains(&b'"');
        let may_be_left_over = (self.doubtful > 0 || self.was_broken) && self.scan.delimiter != b'\t';
        self.was_broken = may_be_left_over && self.scan.cells.iter().any(has_bare_quote);
        if self.was_broken { Found::Bad(LEFT_OVER) } else { Found::Record }
    }

    /// The last record, which needs no line ending.
    fn done_at_end(&mut self) -> Found {
        let bytes = self.buffer.get(self.at..).unwrap_or_default();
        self.scan.end(bytes);
        let length = bytes.len();
        self.done(length)
    }

    /// A line of nothing but spaces.
    fn is_blank(&self) -> bool {
        matches!(self.scan.cells.as_slice(), [cell] if cell.form == Form::Bare && cell.bytes(self.record()).trim_ascii().is_empty())
    }

    /// Leaves `bytes` of the buffer behind, and begins a record.
    fn pass(&mut self, bytes: usize) {
        self.line += lines(self.bytes().get(..bytes).unwrap_or_default());
        self.at += bytes;
        self.doubtful = self.doubtful.saturating_sub(bytes);
        self.given = 0;
        self.scan.begin();
    }

    /// Reads what the input has next.
    fn fill(&mut self) -> io::Result<()> {
        if self.at > 0 {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let bytes = loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                bytes => break bytes?,
            }
        };
        self.has_ended = bytes.is_empty();
        self.buffer.extend_from_slice(bytes);
        let read = bytes.len();
        self.input.consume(read);
        Ok(())
    }

    /// The record's quotes are broken, which shows at its byte `byte`: what comes after its first line is read anew.
    fn go_on_at_next_line(&mut self, byte: usize, why: &'static str) -> io::Result<Found> {
        self.doubtful = self.doubtful.max(byte);
        self.was_broken = true;
        self.scan.begin();
        self.given = 0;
        let mut is_whole = true;
        loop {
            let line = self.bytes().iter().position(|&byte| byte == b'\n').map(|length| length + 1);
            if let Some(length) = line.or_else(|| self.has_ended.then(|| self.bytes().len())) {
                self.given = length;
                // Most writers of tabs quote nothing.
                if self.scan.delimiter == b'\t' && is_whole && length <= self.max_bytes {
                    self.scan.split(self.buffer.get(self.at..self.at + length).unwrap_or_default());
                    return Ok(Found::Record);
                }
                return Ok(Found::Bad(why));
            }
            is_whole &= self.bytes().len() <= self.max_bytes;
            if is_whole {
                self.fill()?;
                continue;
            }
            self.pass(self.bytes().len());
            self.fill()?;
        }
    }

    /// More than a record may have is at hand, and no end. Either the cell is that long, and is passed over to its end; or a
    /// quote is not closed: then the lines that it swallowed look like rows of `expected` cells.
    fn too_long(&mut self, expected: usize) -> io::Result<Found> {
        if self.scan.mode == Mode::Quoted && self.swallows_rows(expected) {
            return self.go_on_at_next_line(self.scan.read, NOT_CLOSED);
        }
        let window = std::mem::replace(&mut self.window, usize::MAX);
        let passed = self.pass_over();
        self.window = window;
        passed.map(|()| Found::TooLong)
    }

    /// Reads to the end of the record without holding it.
    fn pass_over(&mut self) -> io::Result<()> {
        loop {
            match self.step() {
                Step::Done(bytes) => {
                    self.given = bytes;
                    return Ok(());
                }
                Step::Broken(byte) => {
                    // Where it began is gone; the next line is as good as any.
                    self.pass(byte);
                    return self.go_on_at_next_line(0, MISPLACED).map(drop);
                }
                Step::More if self.has_ended && self.scan.mode == Mode::Quoted => {
                    let line = self.line;
                    let why = format!(
                        "a quote in a row of more than {} bytes is not closed (line {line} or before)",
                        self.max_bytes
                    );
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
                }
                Step::More if self.has_ended => {
                    self.given = self.bytes().len();
                    return Ok(());
                }
                Step::More => {
                    // One byte may stay: `step` looks again at what may be a carriage return.
                    let mode = self.scan.mode;
                    self.pass(self.scan.read);
                    self.scan.mode = mode;
                    self.fill()?;
                }
            }
        }
    }

    /// Whether most lines after the first of what is at hand have as many cells as a row has. A table of one column has no
    /// delimiters to tell by.
    fn swallows_rows(&self, expected: usize) -> bool {
        let cells = |line: &[u8]| line.iter().filter(|&&byte| byte == self.scan.delimiter).count() + 1;
        // The last line is cut.
        let bytes = self.bytes();
        let bytes = bytes.get(..self.window).unwrap_or(bytes);
        let mut lines: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').skip(1).collect();
        lines.pop();
        expected > 1 && 2 * lines.iter().filter(|line| cells(line) == expected).count() > lines.len()
    }
}

impl Cell {
    fn bytes(self, record: &[u8]) -> &[u8] {
        record.get(self.from..self.to).unwrap_or_default()
    }

    /// Its text, in the record that has it.
    pub(super) fn text(self, record: &str) -> String {
        let text = record.get(self.from..self.to).unwrap_or_default();
        if self.form == Form::Doubled { text.replace("\"\"", "\"") } else { text.to_owned() }
    }
}

/// Line feeds in `bytes`.
fn lines(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// An input that gives `step` bytes at a time, as a pipe may.
    fn trickling(bytes: Vec<u8>, step: usize) -> Input {
        Box::new(io::BufReader::with_capacity(step, io::Cursor::new(bytes)))
    }

    /// The records of `bytes` and their lines; what is wrong with a bad one.
    fn read(bytes: &[u8], step: usize, max: usize) -> Vec<(u64, Result<Vec<String>, String>)> {
        let mut cells = Cells::new(trickling(bytes.to_vec(), step), Some(b','), max);
        let mut found = Vec::new();
        while let Some((line, one)) = cells.next(2).unwrap() {
            let record = String::from_utf8(cells.record().to_vec()).unwrap();
            let texts = || cells.cells().iter().map(|cell| cell.text(&record)).collect();
            found.push((
                line,
                match one {
                    Found::Record => Ok(texts()),
                    Found::Bad(why) => Err(why.to_owned()),
                    Found::TooLong => Err("too long".to_owned()),
                },
            ));
        }
        found
    }

    /// The lines of the good records, and of the bad ones.
    fn lines_of(bytes: &str, max: usize) -> (Vec<u64>, Vec<u64>) {
        let once = read(bytes.as_bytes(), 4096, max);
        assert_eq!(once, read(bytes.as_bytes(), 1, max), "read byte by byte");
        let lines = |good: bool| once.iter().filter(|(_, one)| one.is_ok() == good).map(|(line, _)| *line).collect();
        (lines(true), lines(false))
    }

    #[test]
    fn cells_as_they_are_written() {
        let row = |cells: &[&str]| Ok(cells.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>());
        let text = "a,b\r\n\"x\"\"y\",\"1\r\n2\"\n\n  \n,\"\"\nlast \"one\",";
        for step in [1, 2, 3, 7, 4096] {
            assert_eq!(
                read(text.as_bytes(), step, 99),
                [
                    (1, row(&["a", "b"])),
                    (2, row(&["x\"y", "1\r\n2"])),
                    (6, row(&["", ""])),
                    (7, row(&["last \"one\"", ""])),
                ]
            );
        }
    }

    #[test]
    fn a_broken_quote_costs_its_row_alone() {
        // Not closed at the end of the file; closed by a quote of a later row; something after it; in the last line.
        assert_eq!(lines_of("1,a\n2,\"b\n3,c\n4,d\n", 99), (vec![1, 3, 4], vec![2]));
        assert_eq!(lines_of("1,a\n2,\"b\n3,c\n4,\"d\"\n5,e\n", 99), (vec![1, 3, 4, 5], vec![2]));
        assert_eq!(lines_of("1,\"a\"b\n2,c\n", 99), (vec![2], vec![1]));
        assert_eq!(lines_of("1,a\n2,\"b", 99), (vec![1], vec![2]));
        // What is left of a row of several lines is no row.
        assert_eq!(lines_of("1,\"he said \"hi\"\nand, \"went\n2,b\n", 99), (vec![3], vec![1, 2]));
    }

    #[test]
    fn a_row_that_is_too_long_is_passed_over_without_being_held() {
        let long = "x".repeat(300);
        assert_eq!(lines_of(&format!("1,{long}\n2,b\n"), 99), (vec![2], vec![1]));
        assert_eq!(lines_of(&format!("1,\"{long}\n{long}\"\n2,b\n"), 99), (vec![3], vec![1]));
        // A quote that is never closed, in a file that is longer than a row may be.
        let rows: String = (2..200).map(|i| format!("{i},row\n")).collect();
        assert_eq!(lines_of(&format!("1,\"a\n{rows}"), 99), ((2..200).collect(), vec![1]));
        let mut cells = Cells::new(trickling(format!("1,\"{}", "x\n".repeat(1000)).into_bytes(), 64), Some(b','), 99);
        assert!(cells.next(2).unwrap_err().to_string().contains("is not closed"));
        assert!(cells.buffer.capacity() < 1000, "{}", cells.buffer.capacity());
    }

    proptest! {
        /// What another writer wrote is read as it was, however it comes, and as another reader reads it.
        #[test]
        fn what_is_written_is_read(
            rows in prop::collection::vec(prop::collection::vec("[a,;\"\r\n\t é😀]{0,6}", 2), 1..8),
            step in 1..9_usize,
            crlf in any::<bool>(),
        ) {
            let mut writer = csv::WriterBuilder::new();
            if crlf { writer.terminator(csv::Terminator::CRLF); }
            let mut writer = writer.from_writer(Vec::new());
            for row in &rows { writer.write_record(row).unwrap(); }
            let read: Vec<_> = read(&writer.into_inner().unwrap(), step, 1000).into_iter().map(|(_, row)| row.unwrap()).collect();
            prop_assert_eq!(read, rows);
        }

        /// Anything is read to its end, within bounds, and the same however it comes.
        #[test]
        fn any_bytes_are_read_the_same_however_they_come(text in "[a,\"\r\n]{0,60}", max in 1..12_usize) {
            let all = |step: usize| {
                let mut cells = Cells::new(trickling(text.clone().into_bytes(), step), Some(b','), max);
                let mut found = Vec::new();
                loop {
                    match cells.next(2) {
                        Ok(Some((line, one))) => found.push((line, format!("{one:?}"))),
                        Ok(None) => return found,
                        Err(error) => { found.push((0, error.to_string())); return found; }
                    }
                }
            };
            prop_assert_eq!(all(4096), all(1));
        }
    }
}
