//! What is asked: texts with their ids, in one JSON object or as lines of JSON, and how sure the student is to be. What cannot be
//! read is told with its place.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::corpus::id_of;

/// Texts of a request that are kept, one more than any request may have.
pub(super) const KEPT: usize = super::serve::MOST_TEXTS + 1;

/// A request for predictions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// The texts, each a string, or an object with it and its id.
    #[serde(deserialize_with = "bounded")]
    #[schemars(with = "Vec<Shape>")]
    pub(super) texts: Vec<Item>,
    /// Where the student is less sure, 0 to 1, there is no label but the likeliest ones; without it, as the service was started.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1))]
    pub(super) min_confidence: Option<f64>,
}

/// A text as it is sent.
#[derive(JsonSchema)]
#[schemars(untagged, rename = "Text")]
#[expect(dead_code, reason = "read by a visitor, whose errors say what is wrong where; this is what it takes")]
pub(super) enum Shape {
    /// The text alone; its id is its hash.
    Plain(Option<String>),
    /// With an id. Other fields are passed over.
    Named {
        /// A string, or a whole number.
        id: Option<Value>,
        /// The text.
        #[schemars(required)]
        text: Option<String>,
    },
}

/// A text that was sent; null where there was none.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Item {
    id: Option<Value>,
    text: Option<String>,
}

/// A text with its id, or why it has nothing to label.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// As it came; without one, the text's hash; without either, none.
    pub(super) id: Option<String>,
    pub(super) text: Result<String, &'static str>,
}

impl Item {
    /// As a row of a corpus: with an id, and a text that is more than white space.
    fn row(self) -> Result<Row, String> {
        let text = match self.text {
            None => Err("the text is null"),
            Some(text) if text.trim().is_empty() => Err("the text is empty"),
            Some(text) => Ok(text),
        };
        // An empty one is how a table has none.
        let id = self.id.filter(|id| id.as_str() != Some(""));
        let id = match (&text, id) {
            (Err(_), None | Some(Value::Null)) => None,
            (text, id) => Some(id_of("id", id, text.as_ref().ok().map(String::as_str))?.0),
        };
        Ok(Row { id, text })
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, or an object with \"text\" and \"id\"")
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::default())
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Item, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Item, E> {
        Ok(Item { id: None, text: Some(text) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Item, A::Error> {
        /// Other fields are passed over, as those of a corpus are.
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            id: Option<Value>,
            // Has to be there, be it null.
            #[serde(deserialize_with = "Option::deserialize")]
            text: Option<String>,
        }
        let Fields { id, text } = Fields::deserialize(MapAccessDeserializer::new(map))?;
        Ok(Item { id, text })
    }
}

/// A list of which only so many are kept: a body of a few bytes a text must not become many times as much.
fn bounded<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Item>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<Item>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of texts")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<Item>, A::Error> {
            let mut items = Vec::new();
            while items.len() < KEPT {
                let Some(item) = list.next_element()? else { return Ok(items) };
                items.push(item);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(items)
        }
    }

    deserializer.deserialize_seq(Bounded)
}

/// The rows of a request in one JSON object, and how sure the student is to be.
///
/// # Errors
///
/// What is wrong, and where.
pub(super) fn json(body: &[u8]) -> Result<(Vec<Row>, Option<f64>), String> {
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let sent: Sent = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let at = if path == "." { String::new() } else { format!("{path}: ") };
        format!("{at}{}", error.into_inner())
    })?;
    deserializer.end().map_err(|error| error.to_string())?;
    let rows = (0..)
        .zip(sent.texts)
        .map(|(place, item): (usize, Item)| item.row().map_err(|why| format!("texts[{place}]: {why}")));
    Ok((rows.collect::<Result<_, _>>()?, sent.min_confidence))
}

/// The rows of a request of one JSON object a line; blank lines are none.
///
/// # Errors
///
/// What is wrong, and in which line.
pub(super) fn lines(body: &[u8]) -> Result<Vec<Row>, String> {
    let lines = (1..).zip(body.split(|byte| *byte == b'\n'));
    let rows =
        lines.filter(|(_, line): &(usize, &[u8])| !line.trim_ascii().is_empty()).take(KEPT).map(|(number, line)| {
            // Of the line by itself, the message ends in "line 1".
            let row = serde_json::from_slice::<Item>(line)
                .map_err(|error| error.to_string().replace(" at line 1 column ", " at column "));
            row.and_then(Item::row).map_err(|why| format!("line {number}: {why}"))
        });
    rows.collect()
}

/// How sure the student is to be, if that is a probability.
///
/// # Errors
///
/// That it is none.
pub(super) fn probability(given: f64) -> Result<f64, String> {
    if (0.0..=1.0).contains(&given) {
        Ok(given)
    } else {
        Err(format!("min_confidence is {given}: it must be from 0 to 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::TextHash;

    fn row(id: &str, text: &str) -> Row {
        Row { id: Some(id.to_owned()), text: Ok(text.to_owned()) }
    }

    #[test]
    fn texts_come_with_and_without_ids_and_empty_ones_say_so() {
        let hash = TextHash::of("a").to_hex();
        let body = r#"{"texts": ["a", {"text": "b", "id": "x", "more": [1]}, {"id": 7, "text": "c"}, {"id": "", "text": "a"},
            "", {"id": "e", "text": " \n"}, null, {"text": null}], "min_confidence": 0.5}"#;
        let none = |id: Option<&str>, why| Row { id: id.map(str::to_owned), text: Err(why) };
        let expected = vec![
            row(&hash, "a"),
            row("x", "b"),
            row("7", "c"),
            row(&hash, "a"),
            none(None, "the text is empty"),
            none(Some("e"), "the text is empty"),
            none(None, "the text is null"),
            none(None, "the text is null"),
        ];
        assert_eq!(json(body.as_bytes()), Ok((expected, Some(0.5))));
        assert_eq!(json(b"{\"texts\": []}"), Ok((vec![], None)));
        let read = lines(b"{\"id\": 1, \"text\": \"a\"}\r\n\n  \"b\"  \n{\"id\":2,\"text\":\"\"}");
        let second = Row { id: Some(TextHash::of("b").to_hex()), text: Ok("b".into()) };
        assert_eq!(read, Ok(vec![row("1", "a"), second, none(Some("2"), "the text is empty")]));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (body, expected) in [
            ("", "EOF while parsing a value at line 1 column 0"),
            ("{\"texts\": [\"a\"", "EOF while parsing a list at line 1 column 14"),
            ("[]", "invalid length 0, expected struct Sent with 2 elements"),
            ("{}", "missing field `texts`"),
            ("{\"texts\": \"a\"}", "texts: invalid type: string \"a\", expected a list of texts at line 1 column 13"),
            ("{\"texts\": [\"a\", 5]}", "texts[1]: invalid type: integer `5`, expected a text, or an object"),
            ("{\"texts\": [{\"text\": 5}]}", "texts[0].text: invalid type: integer `5`, expected a string"),
            ("{\"texts\": [{\"id\": \"a\"}]}", "texts[0]: missing field `text` at line 1 column 22"),
            ("{\"texts\": [{\"id\": true, \"text\": \"a\"}]}", "texts[0]: the field \"id\" is neither a string nor"),
            ("{\"texts\": [NaN]}", "texts[0]: expected value at line 1 column 12"),
            ("{\"texts\": []} x", "trailing characters at line 1 column 15"),
            ("{\"text\": []}", "text: unknown field `text`, expected `texts` or `min_confidence`"),
            ("{\"texts\": [], \"min_confidence\": \"a\"}", "min_confidence: invalid type: string \"a\", expected f64"),
        ] {
            let said = json(body.as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{body}: {said}");
        }
        assert!(json(b"{\"texts\": [\"\xff\"]}").unwrap_err().contains("invalid unicode code point"));
        let said = lines(b"\"a\"\n\n{\"text\": 5}\n").unwrap_err();
        assert_eq!(said, "line 3: invalid type: integer `5`, expected a string at column 10");
        assert!(lines(b"{\"text\": \"a\"").unwrap_err().starts_with("line 1: EOF while parsing"));
        assert!([f64::NAN, -0.1, 1.1].into_iter().all(|given| probability(given).is_err()) && probability(1.0).is_ok());
    }

    #[test]
    fn of_too_many_texts_no_more_are_kept_than_tell_that() {
        let body = format!("{{\"texts\": [{}\"\"]}}", "\"\",".repeat(KEPT + 10));
        assert_eq!(json(body.as_bytes()).unwrap().0.len(), KEPT);
        assert_eq!(lines("\"\"\n".repeat(KEPT + 10).as_bytes()).unwrap().len(), KEPT);
    }
}
