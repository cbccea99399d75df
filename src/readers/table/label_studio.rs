//! What Label Studio imports: tasks, of which each has our label as its prediction, and the configuration to label them with.

use serde_json::{Map, Value, json};

use super::row::{Held, Row, Shape};
use crate::domain::label::LabelSet;

/// A row as a task. Our label is a prediction, which a person accepts or changes; a text without one has none.
pub(super) fn task(row: &Row, shape: &Shape) -> Value {
    let mut data = Map::new();
    data.insert("id".to_owned(), json!(row.id));
    data.insert("text".to_owned(), json!(row.text.as_deref().unwrap_or_default()));
    let candidates: Vec<&str> = row.candidates.iter().map(|&(label, _)| shape.labels.name(label)).collect();
    data.insert("candidates".to_owned(), json!(candidates));
    for (index, column) in shape.columns.iter().enumerate() {
        data.insert(column.name.clone(), row.field(index).into_owned());
    }
    let prediction = |held: Held| {
        let value = json!({"choices": [shape.labels.name(held.label)]});
        let result = json!({"from_name": "label", "to_name": "text", "type": "choices", "value": value});
        json!({"model_version": "candist", "score": held.confidence(), "result": [result]})
    };
    let predictions: Vec<Value> = row.label.map(prediction).into_iter().collect();
    json!({"data": data, "predictions": predictions})
}

/// What every labelling configuration has in it.
pub(super) const MARK: &str = "<Choices name=\"label\" toName=\"text\"";

/// The labelling configuration, for a project's settings.
pub(super) fn configuration(labels: &LabelSet) -> String {
    let choice = |name: &str| format!("    <Choice value=\"{}\"/>\n", attribute(name));
    let choices: String = labels.iter().map(|label| choice(&label.name)).collect();
    format!(
        "<View>\n  <Text name=\"text\" value=\"$text\"/>\n  {MARK} choice=\"single\">\n\
         {choices}  </Choices>\n</View>\n"
    )
}

/// `text` within quotes. XML has no way to write most control characters.
fn attribute(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\t' | '\n' | '\r' => written.push_str(&format!("&#{};", u32::from(character))),
            '\u{fffe}' | '\u{ffff}' => written.push('\u{fffd}'),
            character if character.is_control() => written.push('\u{fffd}'),
            character => written.push(character),
        }
    }
    written
}

#[cfg(test)]
mod tests {
    use super::super::row::Others;
    use super::*;
    use crate::domain::label::{Label, LabelId};

    fn shape() -> Shape {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(["a", "<b> & \"c\"\n"].map(label).to_vec()).unwrap();
        Shape { labels, by: vec!["posterior".into()], is_audited: false, least: None, has_text: true, columns: vec![] }
    }

    #[test]
    fn a_task_has_our_label_as_its_prediction() {
        let label = Some(Held::new(LabelId(0), 0, true, 0.75, None, Others::new(None)));
        let row =
            Row { id: "1".into(), text: Some("x".into()), label, candidates: vec![(LabelId(0), 1.0)], fields: vec![] };
        let found = task(&row, &shape());
        assert_eq!(found["data"], json!({"id": "1", "text": "x", "candidates": ["a"]}));
        assert_eq!(found["predictions"][0]["score"], json!(0.75));
        assert_eq!(found["predictions"][0]["result"][0]["value"], json!({"choices": ["a"]}));
        let bare = task(&Row { label: None, ..row }, &shape());
        assert_eq!(bare["predictions"], json!([]));
    }

    #[test]
    fn names_of_labels_are_written_as_xml() {
        assert!(configuration(&shape().labels).contains("<Choice value=\"&lt;b&gt; &amp; &quot;c&quot;&#10;\"/>"));
        assert_eq!(attribute("\u{1}é"), "\u{fffd}é");
    }
}
