//! Some lines at the lower end of a terminal, kept as they should be: only what changed is written, so nothing flickers.
//!
//! The cursor stays at the beginning of the row under the lines. So whatever ends the program, the shell's prompt comes under
//! them. Nothing here writes: it says what is to be written, in one piece.

use super::width::width;

/// Goes to the start of the row and puts what does not fit nowhere, in case a terminal counts columns in another way.
const BEGIN: &str = "\r\u{1b}[?7l";
const END: &str = "\r\u{1b}[?7h";
/// Clears from the cursor to the end of the row, and of the screen.
const CLEAR_ROW: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// What stands there. None is wider than the terminal was.
    lines: Vec<String>,
    /// As wide as the terminal was.
    columns: usize,
}

impl Screen {
    /// What brings `lines` onto a terminal of so many columns; empty where they stand there already. None may be wider than
    /// that, and they should be fewer than it has rows.
    pub(super) fn paint(&mut self, lines: Vec<String>, columns: usize) -> String {
        if columns != self.columns {
            let mut out = self.erase(columns);
            self.columns = columns;
            out.push_str(&self.draw(lines));
            return out;
        }
        if lines == self.lines {
            return String::new();
        }
        let (old, mut out, mut row) = (self.lines.len(), BEGIN.to_owned(), self.lines.len());
        for (place, line) in lines.iter().enumerate() {
            if self.lines.get(place) == Some(line) {
                continue;
            }
            go(&mut out, row, place);
            out.push_str(line);
            out.push_str(CLEAR_ROW);
            row = place;
            // The rows under the old lines are not there before a line feed makes them.
            if place + 1 > old {
                out.push_str("\r\n");
                row += 1;
            }
        }
        go(&mut out, row, lines.len());
        if lines.len() < old {
            out.push_str(CLEAR_BELOW);
        }
        out.push_str(END);
        self.lines = lines;
        out
    }

    /// What takes the lines away, on a terminal that has so many columns by now.
    ///
    /// Where it got narrower, the lines were broken into more rows: by most terminals, and those that do not lose a row of what
    /// stood above at worst.
    pub(super) fn erase(&mut self, columns: usize) -> String {
        let broken = |line: &String| width(line).div_ceil(columns.max(1)).max(1);
        let rows: usize = if columns < self.columns { self.lines.iter().map(broken).sum() } else { self.lines.len() };
        self.lines.clear();
        if rows == 0 { String::new() } else { format!("\r\u{1b}[{rows}A{CLEAR_BELOW}") }
    }

    /// What writes `message`, which ends with a line feed, above the lines.
    pub(super) fn above(&mut self, message: &str, columns: usize) -> String {
        let lines = if columns == self.columns { self.lines.clone() } else { Vec::new() };
        let mut out = self.erase(columns);
        out.push_str(message);
        out.push_str(&self.draw(lines));
        out
    }

    /// All lines, where none stand.
    fn draw(&mut self, lines: Vec<String>) -> String {
        if lines.is_empty() {
            return String::new();
        }
        let mut out = BEGIN.to_owned();
        for line in &lines {
            out.push_str(line);
            out.push_str(CLEAR_ROW);
            out.push_str("\r\n");
        }
        out.push_str(END);
        self.lines = lines;
        out
    }
}

/// Moves the cursor between two rows of the lines, to the start of the second.
fn go(out: &mut String, from: usize, to: usize) {
    match from.cmp(&to) {
        std::cmp::Ordering::Greater => out.push_str(&format!("\r\u{1b}[{}A", from - to)),
        std::cmp::Ordering::Less => out.push_str(&format!("\r\u{1b}[{}B", to - from)),
        std::cmp::Ordering::Equal => out.push('\r'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A terminal that knows what a screen writes, and nothing else. Characters are one column wide.
    struct Terminal {
        rows: Vec<String>,
        row: usize,
        column: usize,
    }

    impl Terminal {
        fn new() -> Self {
            Self { rows: vec![String::new()], row: 0, column: 0 }
        }

        fn write(&mut self, text: &str) {
            let mut rest = text;
            while let Some(character) = rest.chars().next() {
                rest = &rest[character.len_utf8()..];
                match character {
                    '\r' => self.column = 0,
                    '\n' => {
                        // As a terminal has it from a program that does not care.
                        self.column = 0;
                        self.row += 1;
                        if self.row == self.rows.len() {
                            self.rows.push(String::new());
                        }
                    }
                    '\u{1b}' => {
                        let end = rest.find(|c: char| c.is_ascii_alphabetic()).unwrap();
                        self.command(&rest[1..end], &rest[end..=end]);
                        rest = &rest[end + 1..];
                    }
                    character => {
                        let row = &mut self.rows[self.row];
                        let mut cells: Vec<char> = row.chars().collect();
                        cells.resize(cells.len().max(self.column + 1), ' ');
                        cells[self.column] = character;
                        *row = cells.into_iter().collect();
                        self.column += 1;
                    }
                }
            }
        }

        fn command(&mut self, argument: &str, command: &str) {
            let count = argument.parse::<usize>().unwrap_or(1);
            match command {
                "A" => self.row = self.row.checked_sub(count).expect("moves above its lines"),
                "B" => {
                    self.row += count;
                    assert!(self.row < self.rows.len(), "moves to a row that is not there");
                }
                "K" => self.rows[self.row] = self.rows[self.row].chars().take(self.column).collect(),
                "J" => {
                    self.rows[self.row] = self.rows[self.row].chars().take(self.column).collect();
                    self.rows.truncate(self.row + 1);
                }
                "h" | "l" => assert_eq!(argument, "?7"),
                other => panic!("{other:?} is not known"),
            }
        }

        /// What is seen, with the cursor where it belongs.
        fn seen(&self) -> Vec<&str> {
            assert_eq!((self.row + 1, self.column), (self.rows.len(), 0));
            assert_eq!(self.rows[self.row], "");
            self.rows[..self.row].iter().map(String::as_str).collect()
        }
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn a_tick_without_a_change_writes_nothing_and_a_change_its_line_alone() {
        let mut screen = Screen::default();
        screen.paint(lines(&["one", "two", "three"]), 80);
        assert_eq!(screen.paint(lines(&["one", "two", "three"]), 80), "");
        let written = screen.paint(lines(&["one", "2", "three"]), 80);
        assert!(written.contains('2') && !written.contains("one") && !written.contains("three"), "{written:?}");
    }

    #[test]
    fn messages_stand_above_and_lines_go_away() {
        let (mut screen, mut terminal) = (Screen::default(), Terminal::new());
        terminal.write(&screen.above("before\n", 80));
        terminal.write(&screen.paint(lines(&["a", "b"]), 80));
        terminal.write(&screen.above("a message\nof two lines\n", 80));
        assert_eq!(terminal.seen(), ["before", "a message", "of two lines", "a", "b"]);
        terminal.write(&screen.erase(80));
        assert_eq!(terminal.seen(), ["before", "a message", "of two lines"]);
        assert_eq!(screen.erase(80), "");
    }

    #[test]
    fn a_terminal_that_got_narrower_has_broken_the_lines() {
        let mut screen = Screen::default();
        screen.paint(lines(&[&"x".repeat(70), "y"]), 80);
        // Two rows of the first, one of the second.
        assert!(screen.paint(lines(&["x", "y"]), 40).starts_with("\r\u{1b}[3A\u{1b}[J"));
        assert!(screen.paint(lines(&["x", "y"]), 80).starts_with("\r\u{1b}[2A\u{1b}[J"));
    }

    proptest! {
        #[test]
        fn whatever_was_there_the_lines_are(paints in prop::collection::vec(prop::collection::vec("[a-c]{0,3}", 0..5), 1..8)) {
            let (mut screen, mut terminal) = (Screen::default(), Terminal::new());
            for paint in paints {
                terminal.write(&screen.paint(paint.clone(), 80));
                prop_assert_eq!(terminal.seen(), paint);
            }
        }
    }
}
