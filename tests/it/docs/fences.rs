//! Code blocks of a Markdown page, in their order.
//!
//! The first word after the fence is the language. Attributes follow it: `file=NAME` writes the block to a file before
//! what comes next runs, `exit=CODE` is how a command ends, `output` says that a text is what the command before it
//! printed, `schema=NAME` is what JSON is held against, and `ignore=REASON` (to the end of the line)
//! leaves it out.

use std::path::{Path, PathBuf};

/// One block.
#[derive(Debug)]
pub(super) struct Fence {
    page: PathBuf,
    line: usize,
    pub(super) language: String,
    attributes: Vec<(String, String)>,
    pub(super) text: String,
}

impl Fence {
    /// The value of an attribute; empty where it has none.
    pub(super) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Where it stands, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.page.display(), self.line)
    }

    /// The file that a block is: an attribute says so, or a first line that is a comment with a name alone, or `file: NAME`.
    pub(super) fn file(&self) -> Option<&str> {
        let comment = self.text.lines().next().and_then(|line| line.strip_prefix("# "));
        let comment = comment.map(|comment| comment.strip_prefix("file: ").unwrap_or(comment));
        let is_name = |name: &&str| !name.contains(' ') && [".toml", ".py"].iter().any(|end| name.ends_with(end));
        self.attribute("file").or_else(|| comment.filter(is_name))
    }
}

/// The blocks of `page`.
pub(super) fn fences(page: &Path) -> Vec<Fence> {
    let text = std::fs::read_to_string(page).unwrap_or_else(|error| panic!("{}: {error}", page.display()));
    let mut fences: Vec<Fence> = Vec::new();
    let mut open: Option<(Fence, String)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match &mut open {
            None => {
                let trimmed = line.trim_start();
                let ticks: String = trimmed.chars().take_while(|&c| c == '`').collect();
                if ticks.len() >= 3 {
                    let info = trimmed[ticks.len()..].trim();
                    open = Some((fence(page, number, info), ticks));
                }
            }
            Some((fence, ticks)) if line.trim() == ticks.as_str() => {
                assert!(!fence.language.is_empty(), "{}: a block without a language", fence.place());
                fences.extend(open.take().map(|(fence, _)| fence));
            }
            Some((fence, _)) => {
                fence.text.push_str(line);
                fence.text.push('\n');
            }
        }
    }
    assert!(open.is_none(), "{}: the last block has no end", page.display());
    fences
}

fn fence(page: &Path, line: usize, info: &str) -> Fence {
    let (language, rest) = info.split_once(' ').unwrap_or((info, ""));
    let mut attributes = Vec::new();
    let mut rest = rest.trim();
    while !rest.is_empty() {
        // A reason has spaces in it.
        let word = if rest.starts_with("ignore=") { rest } else { rest.split(' ').next().unwrap_or(rest) };
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        attributes.push((key.to_owned(), value.to_owned()));
        rest = rest[word.len()..].trim_start();
    }
    Fence { page: page.to_owned(), line, language: language.to_owned(), attributes, text: String::new() }
}

/// The text of a page without its blocks, of which nothing is a link or a heading.
pub(super) fn without_fences(text: &str) -> String {
    let mut inside = false;
    let outside = |line: &&str| {
        let is_fence = line.trim_start().starts_with("```");
        inside ^= is_fence;
        !inside && !is_fence
    };
    text.lines().filter(outside).map(|line| line.to_owned() + "\n").collect()
}

/// Whether `printed` is what `expected` says: a line `...` stands for any lines, `…` for anything within a line.
pub(super) fn says(expected: &str, printed: &str) -> bool {
    let expected: Vec<&str> = expected.lines().map(str::trim_end).collect();
    let printed: Vec<&str> = printed.lines().map(str::trim_end).collect();
    says_lines(&expected, &printed)
}

fn says_lines(expected: &[&str], printed: &[&str]) -> bool {
    match expected {
        [] => printed.is_empty(),
        ["...", rest @ ..] => (0..=printed.len()).any(|skipped| says_lines(rest, &printed[skipped..])),
        [line, rest @ ..] => {
            printed.first().is_some_and(|first| says_line(line, first)) && says_lines(rest, &printed[1..])
        }
    }
}

fn says_line(expected: &str, printed: &str) -> bool {
    let mut parts = expected.split('…');
    let Some(mut left) = printed.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return left.is_empty() };
    for part in middle {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(last)
}

#[test]
fn attributes_are_read() {
    let fence = fence(Path::new("page.md"), 1, "sh exit=3 output ignore=it takes an hour");
    assert_eq!((fence.language.as_str(), fence.attribute("exit")), ("sh", Some("3")));
    assert_eq!((fence.attribute("output"), fence.attribute("ignore")), (Some(""), Some("it takes an hour")));
}

#[test]
fn outputs_are_compared_with_what_may_differ_left_out() {
    assert!(says("a\n...\nd\n", "a\nb\nc\nd\n") && says("...\n", "") && says("x … z", "x 1.5 z"));
    assert!(!says("a\nd", "a\nb\nd") && !says("x … z", "x 1.5 y") && !says("a", "a\nb"));
}
