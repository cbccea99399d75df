//! Text that is cut.

/// The beginning of `text`: as many whole characters as fit `most` bytes. Looks at the place of the cut alone.
pub(crate) fn prefix(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_character_is_cut_in_two() {
        assert_eq!(
            [0, 1, 2, 3, 4, 9].map(|most| prefix("a\u{e9}b", most)),
            ["", "a", "a", "a\u{e9}", "a\u{e9}b", "a\u{e9}b"]
        );
    }
}
