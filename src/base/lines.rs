//! Lines of a file of any content, in bounded memory: a file without line feeds must not take all there is.

use std::io::{self, BufRead, Read};

/// What some editors put before the first line of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// One line, without its line ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Text.
    Text(String),
    /// Not UTF-8; the offset of the first wrong byte, in the line, from 0.
    NotUtf8(usize),
    /// Longer than allowed.
    TooLong,
}

/// The bytes of a line, without its line ending.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Raw<'a> {
    /// All of them.
    Bytes(&'a [u8]),
    /// More than allowed.
    TooLong,
}

/// Reads lines of at most `max_bytes`; longer ones are passed over without being held.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    /// Of a line without its ending.
    max_bytes: usize,
    /// Of the last line given; lines that are too long count.
    number: u64,
    /// The line before which a byte order mark may stand, if any.
    marked: u64,
    /// The last line given. Kept, for a buffer for each line would cost as much as reading it.
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines from `input`.
    pub(crate) fn new(input: R, max_bytes: usize) -> Self {
        Self { input, max_bytes, number: 0, marked: 1, bytes: Vec::new() }
    }

    /// Reads lines that do not begin what they are of, from `input`. They are numbered from 1 all the same.
    pub(crate) fn within(input: R, max_bytes: usize) -> Self {
        Self { marked: 0, ..Self::new(input, max_bytes) }
    }

    /// The number of the line that was given last.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// As [`Lines::next_line`], the bytes as they are.
    pub(crate) fn next_raw(&mut self) -> io::Result<Option<(u64, Raw<'_>)>> {
        let bytes = &mut self.bytes;
        bytes.clear();
        // Two more than the most: the line feed, and one to tell "just fits" from "too long". A byte order mark on top.
        let mark = if self.number + 1 == self.marked { MARK.len() as u64 } else { 0 };
        let limit = self.max_bytes as u64 + 2 + mark;
        if (&mut self.input).take(limit).read_until(b'\n', bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let complete = bytes.last() == Some(&b'\n');
        if complete {
            bytes.pop();
        } else if bytes.len() as u64 == limit {
            self.input.skip_until(b'\n')?;
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let mut line = bytes.as_slice();
        if self.number == self.marked {
            line = line.strip_prefix(MARK).unwrap_or(line);
        }
        Ok(Some((self.number, if line.len() > self.max_bytes { Raw::TooLong } else { Raw::Bytes(line) })))
    }

    /// The next line with its number, from 1. A byte order mark at the start and a `\r` at the end are dropped.
    /// `None` at the end; a last line needs no line feed.
    ///
    /// # Errors
    ///
    /// Those of reading; what a line holds is no error here.
    pub(crate) fn next_line(&mut self) -> io::Result<Option<(u64, Line)>> {
        Ok(self.next_raw()?.map(|(number, raw)| {
            let line = match raw {
                Raw::Bytes(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => Line::Text(text.to_owned()),
                    Err(error) => Line::NotUtf8(error.valid_up_to()),
                },
                Raw::TooLong => Line::TooLong,
            };
            (number, line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(input: &[u8], max: usize) -> Vec<Line> {
        let mut lines = Lines::new(input, max);
        std::iter::from_fn(|| lines.next_line().unwrap()).map(|(_, line)| line).collect()
    }

    #[test]
    fn endings_marks_and_lengths() {
        let text = |text: &str| Line::Text(text.to_owned());
        assert_eq!(all(b"\xef\xbb\xbfa\r\n\nb", 3), [text("a"), text(""), text("b")]);
        assert_eq!(all(b"\xef\xbb\xbfabc\nd", 3), [text("abc"), text("d")]);
        assert_eq!(all(b"\xef\xbb\xbfabcd\nd", 3), [Line::TooLong, text("d")]);
        assert_eq!(all(b"abcdef\nd", 3), [Line::TooLong, text("d")]);
        assert_eq!(
            all(b"abc\nabcd\nabcde\nabcdefgh\nx\n", 3),
            [text("abc"), Line::TooLong, Line::TooLong, Line::TooLong, text("x")]
        );
        assert_eq!(all(b"a\xffb\nc", 9), [Line::NotUtf8(1), text("c")]);
        assert_eq!(all(b"", 9), []);
    }

    proptest! {
        #[test]
        fn every_line_feed_ends_a_line(input in prop::collection::vec(prop::sample::select(vec![b'a', b'\n', b'\r', 0xff, 0]), 0..60), max in 1..9_usize) {
            let expected = input.iter().filter(|&&b| b == b'\n').count() + usize::from(input.last().is_some_and(|&b| b != b'\n'));
            prop_assert_eq!(all(&input, max).len(), expected);
        }
    }
}
