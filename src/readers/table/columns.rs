//! The corpus' own columns: which there are, and of which type.

use std::collections::HashMap;

use serde_json::Value;

use super::row::is_own;

/// Put before the name of a column that the table has one of its own of.
const PREFIX: &str = "corpus_";
/// Whole numbers up to it are the same as a double.
const EXACT: u64 = 1 << 53;

/// A column of the corpus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    /// What it is called in the corpus.
    pub(super) field: String,
    /// What it is called in the table.
    pub(super) name: String,
    /// What is in it.
    pub(super) kind: Kind,
}

/// What is in a column, where there is anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers of 64 bits.
    Int,
    /// Numbers.
    Double,
    /// True or false.
    Bool,
    /// Text.
    Text,
    /// Anything, as JSON.
    Json,
}

/// What was seen of a column.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    bools: bool,
    ints: bool,
    /// Whole numbers that a double does not have.
    long: bool,
    doubles: bool,
    texts: bool,
    others: bool,
}

impl Seen {
    fn add(&mut self, value: &Value) {
        match value {
            Value::Null => {}
            Value::Bool(_) => self.bools = true,
            Value::String(_) => self.texts = true,
            Value::Number(number) if number.is_i64() => {
                self.ints = true;
                self.long |= number.as_i64().is_some_and(|int| int.unsigned_abs() > EXACT);
            }
            // Beyond 63 bits: no type has all its digits.
            Value::Number(number) if number.is_u64() => self.others = true,
            Value::Number(_) => self.doubles = true,
            Value::Array(_) | Value::Object(_) => self.others = true,
        }
    }

    fn kind(self) -> Kind {
        match (self.bools, self.ints, self.doubles, self.texts, self.others) {
            (true, false, false, false, false) => Kind::Bool,
            (false, true, false, false, false) => Kind::Int,
            (false, _, true, false, false) if !self.long => Kind::Double,
            (false, false, false, _, false) => Kind::Text,
            _ => Kind::Json,
        }
    }
}

/// Finds out what columns a corpus has, row by row.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// In the order in which they were first seen.
    columns: Vec<(String, Seen)>,
    places: HashMap<String, usize>,
}

impl Survey {
    /// Takes note of a field of a row.
    pub(super) fn add(&mut self, field: &str, value: &Value) {
        let place = self.places.get(field).copied().unwrap_or_else(|| {
            self.places.insert(field.to_owned(), self.columns.len());
            self.columns.push((field.to_owned(), Seen::default()));
            self.columns.len() - 1
        });
        if let Some((_, seen)) = self.columns.get_mut(place) {
            seen.add(value);
        }
    }

    /// The columns, but those of the fields `without`, with names that are there once each.
    pub(super) fn columns(self, without: &[&str]) -> Vec<Column> {
        let places = self.places;
        let name = |field: &str| {
            let mut name = field.to_owned();
            // Also where the corpus has a column of the longer name.
            while is_own(&name) || (name != field && places.contains_key(&name)) {
                name.insert_str(0, PREFIX);
            }
            name
        };
        let columns = self.columns.iter().filter(|(field, _)| !without.contains(&field.as_str()));
        columns.map(|(field, seen)| Column { name: name(field), field: field.clone(), kind: seen.kind() }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kind(values: &[Value]) -> Kind {
        let mut survey = Survey::default();
        values.iter().for_each(|value| survey.add("x", value));
        survey.columns(&[]).remove(0).kind
    }

    #[test]
    fn a_column_has_the_type_that_takes_all_its_values() {
        assert_eq!(kind(&[json!(null)]), Kind::Text);
        assert_eq!(kind(&[json!("a"), json!(null)]), Kind::Text);
        assert_eq!(kind(&[json!(true), json!(null), json!(false)]), Kind::Bool);
        assert_eq!(kind(&[json!(1), json!(-7)]), Kind::Int);
        assert_eq!(kind(&[json!(1), json!(2.5)]), Kind::Double);
        assert_eq!(kind(&[json!(i64::MAX)]), Kind::Int);
        // A double would lose its last digits.
        assert_eq!(kind(&[json!(i64::MAX), json!(2.5)]), Kind::Json);
        assert_eq!(kind(&[json!(u64::MAX)]), Kind::Json);
        assert_eq!(kind(&[json!(1), json!("a")]), Kind::Json);
        assert_eq!(kind(&[json!(1), json!(true)]), Kind::Json);
        assert_eq!(kind(&[json!(["a"])]), Kind::Json);
    }

    #[test]
    fn names_that_meet_get_a_prefix() {
        let mut survey = Survey::default();
        for field in ["url", "label", "corpus_label", "body", "text", "final"] {
            survey.add(field, &Value::Null);
        }
        let names: Vec<String> = survey.columns(&["body"]).into_iter().map(|column| column.name).collect();
        assert_eq!(names, ["url", "corpus_corpus_label", "corpus_label", "corpus_text", "corpus_final"]);
    }
}
