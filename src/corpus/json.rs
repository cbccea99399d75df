//! A JSON object as a row: all of its members, or those that are wanted. What is not wanted is checked and passed over
//! without being kept.

use std::sync::Arc;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::record::{Fields, Wanted};

/// The row in `text`; or why there is none, as the end of a sentence that its place begins.
pub(super) fn parse(text: &str, wanted: &Wanted) -> Result<Fields, String> {
    let mut json = serde_json::Deserializer::from_str(text);
    let fields = Object(wanted).deserialize(&mut json).and_then(|fields| json.end().map(|()| fields));
    fields.map_err(|error| not_an_object(&error, text))
}

/// The names of all members; none where it is no object.
pub(super) fn names(text: &str) -> Vec<String> {
    parse(text, &Wanted::All).map(|all| all.iter().map(|(name, _)| name.to_owned()).collect()).unwrap_or_default()
}

/// serde_json counts lines of what it was given: of one line its "line 1", beside the corpus' own line, would confuse.
fn not_an_object(error: &serde_json::Error, text: &str) -> String {
    let message = error.to_string();
    let what = message.split(" at line ").next().unwrap_or_default();
    if text.contains('\n') {
        let line = error.line();
        return format!("is not a JSON object: {what} (its line {line}, column {})", error.column());
    }
    format!("is not a JSON object: {what} (column {})", error.column())
}

/// An object, of which the wanted members are read.
struct Object<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Fields;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::with_capacity(match self.0 {
            Wanted::Columns(columns) => columns.len(),
            Wanted::All | Wanted::Nothing => 0,
        });
        while let Some(name) = map.next_key_seed(Name(self.0))? {
            match name {
                Some(name) => fields.push(&name, map.next_value::<Value>()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(fields)
    }
}

/// The name of a member, if it is wanted.
struct Name<'w>(&'w Wanted);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<Arc<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<Arc<str>>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.name(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_read_in_their_order_or_as_wanted() {
        let text = r#"{"z": 1, "a": "x\n", "deep": {"a": [1, {"b": 2}]}, "z\u0061": null}"#;
        assert_eq!(names(text), ["z", "a", "deep", "za"]);
        let wanted = Wanted::Columns(vec!["za".into(), "a".into(), "none".into()]);
        let fields = parse(text, &wanted).unwrap();
        let read: Vec<_> = fields.iter().collect();
        assert_eq!(read, [("a", &Value::from("x\n")), ("za", &Value::Null)]);
        assert_eq!(parse(text, &Wanted::Nothing).unwrap().iter().count(), 0);
    }

    #[test]
    fn what_is_no_object_is_told_with_its_column() {
        for (text, said) in [
            ("[1]", "is not a JSON object: invalid type: sequence, expected a map"),
            ("{\"a\": 1} x", "is not a JSON object: trailing characters (column 10)"),
            ("{\"a\": tru}", "is not a JSON object: expected ident (column 10)"),
            ("{\n\"a\": 1,}", "(its line 2, column 8)"),
        ] {
            let error = parse(text, &Wanted::Nothing).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
    }
}
