//! Text as a terminal shows it: how many columns it takes, and no more of it than fits.

use unicode_width::UnicodeWidthChar;

use super::messages::one_line;

/// Columns of the terminal where nothing says how many there are.
pub(super) const USUAL: usize = 80;

/// Columns of a character. What joins and selects others is 0.
fn of(character: char) -> usize {
    character.width().unwrap_or(0)
}

/// Columns that `text` takes, which has no control characters.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(of).sum()
}

/// `text` in at most `most` columns; the last one says where something is missing.
pub(super) fn cut(text: &str, most: usize) -> String {
    if width(text) <= most {
        return text.to_owned();
    }
    let Some(left) = most.checked_sub(1) else { return String::new() };
    let (mut cut, mut taken) = (String::new(), 0);
    for character in text.chars() {
        taken += of(character);
        if taken > left {
            break;
        }
        cut.push(character);
    }
    cut.push('…');
    cut
}

/// `text`, cut or filled up to `columns`.
pub(super) fn fit(text: &str, columns: usize) -> String {
    let mut text = cut(text, columns);
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(width(&text))));
    text
}

/// `text` in lines of fewer than `columns` columns, broken between words, each behind `indent`.
pub(super) fn wrapped(text: &str, indent: &str, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) < columns => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}{word}")),
        }
    }
    lines
}

/// A text of the corpus as it can stand in a line of a display: nothing in it steers the terminal, turns the direction of
/// what follows, or takes columns that terminals do not agree about.
pub(super) fn tame(text: &str) -> String {
    let is_unseen = |character: char| {
        matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
    };
    let spaced: String = text
        .chars()
        .filter(|&character| !is_unseen(character))
        .map(|character| if matches!(character, '\n' | '\r' | '\t') { ' ' } else { character })
        .collect();
    one_line(spaced.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wide_characters_take_two_columns_and_are_not_halved() {
        assert_eq!([width("abc"), width("漢字"), width("e\u{301}"), width("😀")], [3, 4, 1, 2]);
        assert_eq!([cut("漢字仮名", 5), cut("漢字仮名", 4), cut("abc", 3), cut("abc", 0)], ["漢字…", "漢…", "abc", ""]);
        assert_eq!(fit("漢字", 5), "漢字 ");
        assert_eq!(fit("漢字仮", 4), "漢… ");
    }

    #[test]
    fn a_text_steers_no_terminal() {
        assert_eq!(tame(" a\u{1b}[2J\nb\u{202e}c\u{200d}d\u{fe0f} "), "a\\u{1b}[2J bcd");
        assert_eq!(tame("\u{9b}31m\u{7f}\u{0}"), "\\u{9b}31m\\u{7f}\\u{0}");
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_it_may_be(text in ".*", most in 0..40_usize) {
            let shown = cut(&tame(&text), most);
            prop_assert!(width(&shown) <= most && !shown.chars().any(char::is_control));
            prop_assert_eq!(width(&fit(&shown, most)), most);
        }
    }
}
