//! JSON values one after the other, in one array or in none, found without parsing them: where an element begins and ends.
//!
//! An element costs its own bytes, never the whole file. One that is broken is found out by what cannot be in JSON (a line feed
//! in a string, a bracket that closes another kind), and reading goes on at the next element that begins as it did, at the
//! beginning of a line and as far in; where elements share a line, nothing tells where the next one begins.

use std::io::{self, BufRead};

use super::input::Input;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// An element, which [`Elements::bytes`] has. Whether it is JSON, parsing says.
    Whole,
    /// One that is broken; reading goes on behind it.
    Broken(String),
    /// One with more bytes than allowed.
    TooLong,
}

/// See the module.
pub(super) struct Elements {
    input: Input,
    max_bytes: usize,
    /// Bytes that are read again, and how many of them were.
    again: Vec<u8>,
    reread: usize,
    /// The element so far.
    bytes: Vec<u8>,
    /// Open brackets in it.
    open: Vec<u8>,
    /// The line that is being read, from 1; and how far in it the element began, if nothing stood before it.
    line: u64,
    begins_line: bool,
    indent: usize,
    /// Whether an array is open around the elements.
    in_array: bool,
    /// Elements that were found, whole or not.
    count: u64,
    has_ended: bool,
}

/// Where in an element reading is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Within {
    Brackets,
    String,
    Escape,
    /// A number or a word, which end where something else begins.
    Word,
}

impl Elements {
    /// Reads elements of at most `max_bytes` from `input`.
    pub(super) fn new(input: Input, max_bytes: usize) -> Self {
        Self {
            input,
            max_bytes,
            again: Vec::new(),
            reread: 0,
            bytes: Vec::new(),
            open: Vec::new(),
            line: 1,
            begins_line: true,
            indent: 0,
            in_array: false,
            count: 0,
            has_ended: false,
        }
    }

    /// The element that was found last.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How many were found.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// The next element with its number, from 1, and the line at which it begins; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those of reading; and of kind `InvalidData` where nothing tells where the next element begins.
    pub(super) fn next(&mut self) -> io::Result<Option<(u64, u64, Element)>> {
        if self.has_ended {
            return Ok(None);
        }
        let Some(first) = self.first()? else {
            self.has_ended = true;
            if !self.in_array {
                return Ok(None);
            }
            self.count += 1;
            let why = "is missing: the file ends before its array does, and was cut off".to_owned();
            return Ok(Some((self.count, self.line, Element::Broken(why))));
        };
        self.count += 1;
        let line = self.line;
        let found = self.rest(first, line)?;
        Ok(Some((self.count, line, found)))
    }

    /// The byte that is next; it is still to be taken.
    fn peek(&mut self) -> io::Result<Option<u8>> {
        if let Some(&byte) = self.again.get(self.reread) {
            return Ok(Some(byte));
        }
        loop {
            match self.input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                bytes => return Ok(bytes?.first().copied()),
            }
        }
    }

    /// Takes a byte, and counts lines.
    fn take(&mut self, byte: u8) {
        if self.reread < self.again.len() {
            self.reread += 1;
        } else {
            self.input.consume(1);
        }
        match byte {
            b'\n' => (self.line, self.begins_line, self.indent) = (self.line + 1, true, 0),
            b' ' | b'\t' | b'\r' => self.indent += 1,
            _ => {}
        }
    }

    /// Passes over what stands between elements, and gives the first byte of the next one, which is still to be taken.
    fn first(&mut self) -> io::Result<Option<u8>> {
        while let Some(byte) = self.peek()? {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => {}
                b'[' if !self.in_array => self.in_array = true,
                b']' if self.in_array => self.in_array = false,
                b',' => {}
                _ => return Ok(Some(byte)),
            }
            self.take(byte);
            self.begins_line &= byte.is_ascii_whitespace();
        }
        Ok(None)
    }

    /// Reads the element that begins with `first` in line `line`.
    fn rest(&mut self, first: u8, line: u64) -> io::Result<Element> {
        // How far in it begins, if nothing stands before it in its line.
        let indent = self.begins_line.then_some(self.indent);
        self.bytes.clear();
        self.open.clear();
        let mut within = match first {
            b'{' | b'[' => Within::Brackets,
            b'"' => Within::String,
            _ => Within::Word,
        };
        let mut is_first = true;
        let mut is_too_long = false;
        while let Some(byte) = self.peek()? {
            if within == Within::Word && (byte.is_ascii_whitespace() || b",]}[{".contains(&byte)) && !is_first {
                return Ok(if is_too_long { Element::TooLong } else { Element::Whole });
            }
            self.take(byte);
            if is_too_long {
            } else if self.bytes.len() < self.max_bytes {
                self.bytes.push(byte);
            } else if let Some(next) = indent.and_then(|indent| self.swallowed(indent)) {
                self.bytes.push(byte);
                self.read_again(next, line);
                return Ok(Element::Broken(format!("is not closed: it begins in line {line}")));
            } else {
                is_too_long = true;
            }
            let step = step(&mut self.open, within, byte, is_first);
            is_first = false;
            match step {
                Ok(Some(next)) => within = next,
                // What is too long is not held open for ever: a bracket that is not closed swallows all that follows.
                Ok(None) if is_too_long => return Ok(Element::TooLong),
                Ok(None) => return Ok(Element::Whole),
                Err(why) => return self.go_on(indent, byte == b'\n', line, why),
            }
            // As many as an element may have bytes: none of them is closed.
            if self.open.len() > self.max_bytes {
                return self.go_on(indent, byte == b'\n', line, "has brackets without end");
            }
        }
        if within == Within::Word && !is_first {
            return Ok(Element::Whole);
        }
        let why = format!("is not closed: it begins in line {line}, and the file ends within it");
        match indent.and_then(|indent| self.swallowed(indent)) {
            Some(next) if !is_too_long => self.read_again(next, line),
            _ => self.has_ended = true,
        }
        Ok(Element::Broken(why))
    }

    /// Where in the element so far a line begins that looks like another element: as far in, and with a brace. Elements
    /// have such lines only where they are not closed.
    fn swallowed(&self, indent: usize) -> Option<usize> {
        let begins = |at: usize| {
            let line = self.bytes.get(at..).unwrap_or_default();
            let blank = line.iter().take_while(|byte| b" \t\r".contains(byte)).count();
            blank == indent && line.get(blank) == Some(&b'{')
        };
        let ends = self.bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
        ends.map(|(end, _)| end + 1).find(|&at| begins(at))
    }

    /// Reads the element of line `line` again, from its byte `from` on, where a line begins.
    fn read_again(&mut self, from: usize, line: u64) {
        let rest = self.again.split_off(self.reread.min(self.again.len()));
        self.again = self.bytes.split_off(from.min(self.bytes.len()));
        self.again.extend(rest);
        self.reread = 0;
        let passed = self.bytes.iter().filter(|&&byte| byte == b'\n').count() as u64;
        (self.line, self.begins_line, self.indent) = (line + passed, true, 0);
    }

    /// Goes on behind a broken element: at the next one that begins a line as far in as it did.
    fn go_on(&mut self, indent: Option<usize>, mut at_line: bool, line: u64, why: &str) -> io::Result<Element> {
        let Some(indent) = indent else {
            let message = format!("the element of line {line} {why}, and where the next one begins cannot be told");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        };
        if self.bytes.len() < self.max_bytes
            && let Some(next) = self.swallowed(indent)
        {
            self.read_again(next, line);
            return Ok(Element::Broken(format!("{why}: it begins in line {line}")));
        }
        loop {
            let Some(byte) = self.peek()? else {
                self.has_ended = true;
                break;
            };
            if at_line && byte == b'{' && self.indent == indent {
                break;
            }
            at_line = byte == b'\n' || (at_line && byte.is_ascii_whitespace());
            self.take(byte);
        }
        Ok(Element::Broken(format!("{why}: it begins in line {line}")))
    }
}

/// Where reading is after `byte`; `None` where it ends the element. Says why no element can go on so.
fn step(open: &mut Vec<u8>, within: Within, byte: u8, is_first: bool) -> Result<Option<Within>, &'static str> {
    Ok(match (within, byte) {
        (Within::Escape, _) => Some(Within::String),
        (Within::String, b'\n') => return Err("has a line feed in a string, whose quote is not closed"),
        (Within::String, b'\\') => Some(Within::Escape),
        (Within::String, b'"') if is_first => Some(Within::String),
        (Within::String, b'"') if open.is_empty() => None,
        (Within::String, b'"') => Some(Within::Brackets),
        (Within::Brackets, b'"') => Some(Within::String),
        (Within::Brackets, b'{' | b'[') => {
            open.push(byte);
            Some(Within::Brackets)
        }
        (Within::Brackets, b'}' | b']') => {
            let opening = if byte == b'}' { b'{' } else { b'[' };
            if open.pop() != Some(opening) {
                return Err("has a bracket that closes another kind");
            }
            (!open.is_empty()).then_some(Within::Brackets)
        }
        (within, _) => Some(within),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The elements of `text`, or what is wrong with them, with number and line.
    fn read(text: &str, max: usize) -> Vec<(u64, u64, String)> {
        let input = io::BufReader::with_capacity(3, io::Cursor::new(text.as_bytes().to_vec()));
        let mut elements = Elements::new(Box::new(input), max);
        let mut found = Vec::new();
        loop {
            match elements.next() {
                Ok(None) => return found,
                Ok(Some((number, line, one))) => {
                    let told = match one {
                        Element::Whole => String::from_utf8(elements.bytes().to_vec()).unwrap(),
                        Element::Broken(why) => format!("BROKEN {why}"),
                        Element::TooLong => "TOO LONG".to_owned(),
                    };
                    found.push((number, line, told));
                }
                Err(error) => {
                    found.push((elements.count(), 0, format!("END {error}")));
                    return found;
                }
            }
        }
    }

    fn told(text: &str) -> Vec<String> {
        read(text, 60).into_iter().map(|(_, _, told)| told).collect()
    }

    #[test]
    fn elements_of_an_array_and_one_after_the_other() {
        let expected = [r#"{"a": "]},\"", "b": [1, {}]}"#, "{}", "12", "\"x\"", "null"];
        assert_eq!(told(&format!("[{}]", expected.join(","))), expected);
        assert_eq!(told(&format!(" [\n  {}\n]\n", expected.join(",\n  "))), expected);
        assert_eq!(told(&expected.join("\n")), expected);
        assert_eq!(told("[]"), [""; 0]);
        let lines: Vec<(u64, u64)> = read("[\n{\n},\n\n{}]", 9).iter().map(|(n, line, _)| (*n, *line)).collect();
        assert_eq!(lines, [(1, 2), (2, 5)]);
    }

    #[test]
    fn behind_a_broken_element_reading_goes_on_where_lines_tell_the_next() {
        let array = |second: &str| {
            format!("[\n  {{\"a\": 1}},\n  {second},\n  {{\"a\": [\n    {{}}\n  ]}},\n  {{\"a\": 4}}\n]\n")
        };
        for (second, why) in [
            ("{\"a\": \"2}", "has a line feed in a string, whose quote is not closed: it begins in line 3"),
            ("{\"a\": [2}", "has a bracket that closes another kind: it begins in line 3"),
            // It swallows the rest, up to where the file ends or the array does.
            ("{\"a\": 2", "has a bracket that closes another kind: it begins in line 3"),
        ] {
            let found = told(&array(second));
            assert_eq!(found.len(), 4, "{found:?}");
            assert_eq!(found[1], format!("BROKEN {why}"));
            assert_eq!(found[3], "{\"a\": 4}");
        }
        // What is no JSON but has its brackets is an element: parsing says what is wrong with it.
        assert_eq!(told("[{\"a\": tru}, {}]"), ["{\"a\": tru}", "{}"]);
        let found = told("[{\"a\": 1}, {\"a\": \"2}\n, {}]");
        assert!(found[1].starts_with("END the element of line 1 has a line feed in a string"), "{found:?}");
    }

    #[test]
    fn what_is_cut_off_or_too_long_is_told_and_not_held() {
        let rows = "{\"a\": 1},\n".repeat(30);
        let found = told(&format!("[\n{{\"a\": 0,\n{rows}{{}}]"));
        assert_eq!((found.len(), found[0].as_str()), (32, "BROKEN is not closed: it begins in line 2"), "{found:?}");
        assert_eq!(
            told("[{\"a\": 1},\n{\"a\": ")[1],
            "BROKEN is not closed: it begins in line 2, and the file ends within it"
        );
        assert!(told("[{},\n")[1].starts_with("BROKEN is missing"));
        let long = format!("[{{\"a\": \"{}\"}}, {{}}]", "x".repeat(100));
        assert_eq!(told(&long), ["TOO LONG", "{}"]);
    }
}
