//! Lines of a file of any content, in bounded memory: a file without line feeds must not take all there is.

use std::io::{self, BufRead, Read};

/// What some editors put before the first line of UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

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
    /// Bytes read so far, of lines that are too long too.
    read: u64,
    /// The last line given. Kept, for a buffer for each line would cost as much as reading it.
    bytes: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    /// Reads lines from `input`.
    pub(crate) fn new(input: R, max_bytes: usize) -> Self {
        Self { input, max_bytes, number: 0, marked: 1, read: 0, bytes: Vec::new() }
    }

    /// Reads lines that do not begin what they are of, from `input`. They are numbered from 1 all the same.
    pub(crate) fn within(input: R, max_bytes: usize) -> Self {
        Self { marked: 0, ..Self::new(input, max_bytes) }
    }

    /// The number of the line that was given last.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The next line with its number, from 1. A byte order mark at the start and a `\r` at the end are dropped.
    /// `None` at the end; a last line needs no line feed.
    ///
    /// # Errors
    ///
    /// Those of reading; what a line holds is no error here.
    pub(crate) fn next_raw(&mut self) -> io::Result<Option<(u64, Raw<'_>)>> {
        Ok(self.next_placed()?.map(|(number, _, raw)| (number, raw)))
    }

    /// As [`Lines::next_raw`], with the offset in the input at which the line begins, after a byte order mark.
    pub(crate) fn next_placed(&mut self) -> io::Result<Option<(u64, u64, Raw<'_>)>> {
        let bytes = &mut self.bytes;
        bytes.clear();
        // Two more than the most: the line feed, and one to tell "just fits" from "too long". A byte order mark on top.
        let mark = if self.number + 1 == self.marked { MARK.len() as u64 } else { 0 };
        let limit = self.max_bytes as u64 + 2 + mark;
        if (&mut self.input).take(limit).read_until(b'\n', bytes)? == 0 {
            return Ok(None);
        }
        self.number += 1;
        let mut start = self.read;
        self.read += bytes.len() as u64;
        let complete = bytes.last() == Some(&b'\n');
        if complete {
            bytes.pop();
        } else if bytes.len() as u64 == limit {
            self.read += self.input.skip_until(b'\n')? as u64;
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        let mut line = bytes.as_slice();
        if self.number == self.marked
            && let Some(unmarked) = line.strip_prefix(MARK)
        {
            line = unmarked;
            start += MARK.len() as u64;
        }
        let raw = if line.len() > self.max_bytes { Raw::TooLong } else { Raw::Bytes(line) };
        Ok(Some((self.number, start, raw)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `None` for a line that is too long.
    fn all(input: &[u8], max: usize) -> Vec<Option<Vec<u8>>> {
        let (mut lines, mut all) = (Lines::new(input, max), Vec::new());
        while let Some((_, line)) = lines.next_raw().unwrap() {
            all.push(if let Raw::Bytes(bytes) = line { Some(bytes.to_vec()) } else { None });
        }
        all
    }

    #[test]
    fn endings_marks_and_lengths() {
        let text = |text: &str| Some(text.as_bytes().to_vec());
        assert_eq!(all(b"\xef\xbb\xbfa\r\n\nb", 3), [text("a"), text(""), text("b")]);
        assert_eq!(all(b"\xef\xbb\xbfabc\nd", 3), [text("abc"), text("d")]);
        assert_eq!(all(b"\xef\xbb\xbfabcd\nd", 3), [None, text("d")]);
        assert_eq!(all(b"abcdef\nd", 3), [None, text("d")]);
        assert_eq!(all(b"abc\nabcd\nabcde\nabcdefgh\nx\n", 3), [text("abc"), None, None, None, text("x")]);
        assert_eq!(all(b"a\xffb\nc", 9), [Some(b"a\xffb".to_vec()), text("c")]);
        assert!(all(b"", 9).is_empty());
    }

    #[test]
    fn lines_are_told_where_they_begin() {
        let input = b"\xef\xbb\xbfa\r\n\nlonger than allowed\nb";
        let mut lines = Lines::new(input.as_slice(), 3);
        let mut starts = Vec::new();
        while let Some((_, start, _)) = lines.next_placed().unwrap() {
            starts.push(start);
        }
        assert_eq!(starts, [3, 6, 7, 27]);
    }

    proptest! {
        #[test]
        fn every_line_feed_ends_a_line(input in prop::collection::vec(prop::sample::select(vec![b'a', b'\n', b'\r', 0xff, 0]), 0..60), max in 1..9_usize) {
            let expected = input.iter().filter(|&&b| b == b'\n').count() + usize::from(input.last().is_some_and(|&b| b != b'\n'));
            prop_assert_eq!(all(&input, max).len(), expected);
        }
    }
}
