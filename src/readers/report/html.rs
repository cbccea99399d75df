//! Writes HTML. What a tag or an attribute is called is part of the program (`&'static str`); everything else is text, and escaped.
//! There is no other way in, so nothing that a corpus says can become markup.

use std::fmt::Write;

/// Attributes: their names, and any text for a value.
pub(super) type Attributes<'a> = &'a [(&'static str, &'a str)];

/// A document, or a part of one, as it grows.
#[derive(Debug, Default)]
pub(super) struct Html(String);

impl Html {
    /// Markup of the program's own.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, as it is read.
    pub(super) fn text(&mut self, text: &str) {
        text.chars().for_each(|character| self.character(character));
    }

    /// A tag without content, as `meta` and shapes of SVG are.
    pub(super) fn void(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.begin(tag, attributes);
        self.0.push_str("/>");
    }

    /// An element with a text in it.
    pub(super) fn element(&mut self, tag: &'static str, attributes: Attributes<'_>, text: &str) {
        self.within(tag, attributes, |html| html.text(text));
    }

    /// An element with what `content` writes in it.
    pub(super) fn within(&mut self, tag: &'static str, attributes: Attributes<'_>, content: impl FnOnce(&mut Self)) {
        self.begin(tag, attributes);
        self.0.push('>');
        content(self);
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
    }

    /// A line feed between elements: for whoever reads the source.
    pub(super) fn line(&mut self) {
        self.0.push('\n');
    }

    /// All of it.
    pub(super) fn finish(self) -> String {
        self.0
    }

    fn begin(&mut self, tag: &'static str, attributes: Attributes<'_>) {
        self.0.push('<');
        self.0.push_str(tag);
        for (name, value) in attributes {
            self.0.push(' ');
            self.0.push_str(name);
            self.0.push_str("=\"");
            self.text(value);
            self.0.push('"');
        }
    }

    fn character(&mut self, character: char) {
        match character {
            '&' => self.0.push_str("&amp;"),
            '<' => self.0.push_str("&lt;"),
            '>' => self.0.push_str("&gt;"),
            '"' => self.0.push_str("&quot;"),
            '\'' => self.0.push_str("&#39;"),
            '\n' | '\t' => self.0.push(character),
            '\r' => self.0.push(' '),
            // No such character may stand in HTML, in whatever spelling.
            other if other.is_control() => self.0.push('\u{fffd}'),
            other => self.0.push(other),
        }
    }
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A share as `12.3%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", 100.0 * share)
}

/// `count` of a thing: `1 text`, `1,200 texts`.
pub(super) fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// `part` of `of`; nothing of nothing.
pub(super) fn share(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

/// An amount of money with at least two decimals, and no more than tell something.
pub(super) fn money(amount: rust_decimal::Decimal) -> String {
    let amount = if amount < rust_decimal::Decimal::ONE { amount.round_dp(4) } else { amount.round_dp(2) }.normalize();
    let text = if amount.scale() < 2 { format!("{amount:.2}") } else { amount.to_string() };
    let (whole, decimals) = text.split_once('.').unwrap_or((&text, "00"));
    let mut money = whole.parse().map_or_else(|_| whole.to_owned(), grouped);
    // A string grows without an error.
    let _ = write!(money, ".{decimals}");
    money
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_stands() {
        let nasty = "<img src=x onerror=alert(1)>\"'&\u{0}\u{202e}\r\n";
        let mut html = Html::default();
        html.element("p", &[("title", nasty)], nasty);
        html.void("br", &[]);
        let escaped = "&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;\u{fffd}\u{202e} \n";
        assert_eq!(html.finish(), format!("<p title=\"{escaped}\">{escaped}</p><br/>"));
    }

    #[test]
    fn numbers_are_written_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "text", "texts"), counted(1200, "text", "texts")], ["1 text", "1,200 texts"]);
        let amounts = ["0", "1.5", "0.00013", "12345.678", "1.999"].map(|amount| money(amount.parse().unwrap()));
        assert_eq!(amounts, ["0.00", "1.50", "0.0001", "12,345.68", "2.00"]);
        assert_eq!((percent(0.8312), share(1, 4), share(0, 0)), ("83.1%".to_owned(), 0.25, 0.0));
    }
}
