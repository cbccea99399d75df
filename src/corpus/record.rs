//! Rows as their source has them: all columns, by name, as JSON values.
//!
//! A run needs of a row only text and id, and reads no more. Who joins a run's labels with what its corpus says besides, or
//! looks at a corpus to find out what it is, reads records.

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use super::id_of;
use crate::config::CorpusConfig;
use crate::domain::sample::Sample;
use crate::error::Result;

/// One row as its source has it.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// The line or row it begins at in its file, from 1.
    pub place: u64,
    /// Its columns, or why it cannot be read, as the end of a sentence that its place begins.
    pub fields: Result<Fields, String>,
}

/// The columns of a row, in the source's order. A name that is there twice has its last value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fields(Vec<(String, Value)>);

impl Fields {
    /// The value of a column.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// All columns, in the source's order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }
}

impl FromIterator<(String, Value)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Value)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Rows as their source has them, read one at a time.
pub(crate) trait Records: Send {
    /// The next row; `None` at the end.
    ///
    /// # Errors
    ///
    /// Those after which nothing more can be read. A row that cannot be read is none.
    fn next_record(&mut self) -> Result<Option<Record>>;

    /// The file of the row that was given last: where its place is meant.
    fn file(&self) -> String;
}

/// The text and the id of a row, as a run has them; or why it has none.
pub(crate) fn sample_of(config: &CorpusConfig, fields: &Fields) -> Result<Sample, String> {
    let text = match fields.get(&config.text_field) {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::String(_)) => return Err(format!("the field {:?} is empty", config.text_field)),
        Some(_) => return Err(format!("the field {:?} is no string", config.text_field)),
        None => return Err(format!("has no field {:?}", config.text_field)),
    };
    let id = id_of(&config.id_field, fields.get(&config.id_field).cloned(), Some(&text))?;
    Ok(Sample { id, text })
}

/// By hand, for a map of serde_json is sorted, and the order of columns is part of what a source says.
impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_the_order_of_their_source() {
        let fields: Fields = serde_json::from_str(r#"{"z": 1, "a": "x", "z": [2]}"#).unwrap();
        assert_eq!(fields.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["z", "a", "z"]);
        assert_eq!(fields.get("z"), Some(&serde_json::json!([2])));
        assert_eq!(fields.get("b"), None);
        assert!(serde_json::from_str::<Fields>("[1]").is_err());
    }
}
