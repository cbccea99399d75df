//! What of a row is text and id: a column, or a template of several.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::{Environment, UndefinedBehavior, Value as Jinja};
use serde_json::Value;

use super::record::{Fields, Wanted};
use super::{Settings, id_of};
use crate::config::{CorpusConfig, TextFrom};
use crate::domain::label::nearest;
use crate::domain::sample::Sample;

/// Columns that are named where one is missing.
const NAMED: usize = 12;

/// Names that columns of texts mostly have, the likelier first.
const LIKELY: [&str; 14] = [
    "text",
    "body",
    "message",
    "content",
    "sentence",
    "review",
    "comment",
    "question",
    "utterance",
    "document",
    "query",
    "description",
    "summary",
    "title",
];

/// The name by which a template has the whole row: for columns whose names are no words.
const ROW: &str = "row";

/// Makes samples of rows.
#[derive(Debug)]
pub(crate) struct SampleOf {
    text: Source,
    id_field: Arc<str>,
    settings: Settings,
}

/// Where a text comes from.
#[derive(Debug)]
enum Source {
    Field(Arc<str>),
    Template(Box<Template>),
}

/// A template, and the columns that it names.
#[derive(Debug)]
struct Template {
    environment: Environment<'static>,
    columns: Vec<Arc<str>>,
    /// Whether it takes the row as a whole.
    takes_row: bool,
}

impl SampleOf {
    /// As `config` says; `settings` are what its keys are called where they were typed. Says what is wrong with a template.
    pub(crate) fn new(config: &CorpusConfig, settings: Settings) -> Result<Self, String> {
        let text = match &config.text {
            TextFrom::Field(field) => Source::Field(Arc::from(field.as_str())),
            TextFrom::Template(source) => Source::Template(Box::new(
                Template::new(source).map_err(|error| format!("the template {} {error}", settings.text))?,
            )),
        };
        Ok(Self { text, id_field: Arc::from(config.id_field.as_str()), settings })
    }

    /// The columns that it needs.
    pub(super) fn wanted(&self) -> Wanted {
        let mut columns = match &self.text {
            Source::Field(field) => vec![Arc::clone(field)],
            Source::Template(template) if template.takes_row => return Wanted::All,
            Source::Template(template) => template.columns.clone(),
        };
        if !columns.contains(&self.id_field) {
            columns.push(Arc::clone(&self.id_field));
        }
        Wanted::Columns(columns)
    }

    /// The sample in a row, or why there is none. `names` are all columns of the row, for the message that one is missing.
    /// A text stays as it is, spaces included: it is hashed into keys, and answers are stored under those.
    pub(crate) fn sample(&self, mut fields: Fields, names: impl FnOnce() -> Vec<String>) -> Result<Sample, String> {
        let text = match &self.text {
            Source::Field(field) => match fields.take(field) {
                Some(Value::String(text)) if !text.trim().is_empty() => text,
                Some(Value::String(_) | Value::Null) => return Err(format!("the field {field:?} is empty")),
                Some(_) => return Err(format!("the field {field:?} is no string")),
                None => return Err(format!("has {}", self.lacking(field, &names()))),
            },
            Source::Template(template) => {
                if let Some(missing) = template.lacks(|column| fields.get(column).is_some()) {
                    // Where it says what to do without it, it does that.
                    match template.render(&fields) {
                        Ok(text) if !text.trim().is_empty() => text,
                        _ => return Err(format!("has {}", self.lacking(&missing, &names()))),
                    }
                } else {
                    let text = template
                        .render(&fields)
                        .map_err(|error| format!("cannot be put into {}: {error}", self.settings.text))?;
                    if text.trim().is_empty() {
                        return Err(format!("has an empty text: {} has nothing to show", self.settings.text));
                    }
                    text
                }
            }
        };
        // An empty cell is how a table has no id.
        let id = fields.take(&self.id_field).filter(|id| id.as_str() != Some(""));
        let id = id_of(&self.id_field, id, Some(&text))?;
        Ok(Sample { id, text })
    }

    /// What rows with these columns lack, as the end of a sentence that begins with their file and "has".
    pub(super) fn lacks(&self, header: &[String]) -> Option<String> {
        let has = |column: &str| header.iter().any(|name| *name == *column);
        let missing = match &self.text {
            Source::Field(field) => (!has(field)).then(|| Arc::clone(field)),
            Source::Template(template) => template.lacks(has),
        };
        missing.map(|missing| self.lacking(&missing, header))
    }

    /// Mostly the column has another name: so those that are there are named, the likeliest first, and where to say which it
    /// is.
    fn lacking(&self, missing: &str, names: &[String]) -> String {
        let mut shown: Vec<&str> = names.iter().map(String::as_str).take(NAMED).collect();
        if names.len() > NAMED {
            shown.push("...");
        }
        let has = if shown.is_empty() { "nothing".to_owned() } else { shown.join(", ") };
        let likely = self.likely(missing, names);
        match (&self.text, likely) {
            (Source::Field(_), Some(likely)) => {
                let key = self.settings.text_field;
                format!("no field {missing:?}, it has {has}: set {key} to the field of the text, likely {likely:?}")
            }
            (Source::Field(_), None) => {
                format!("no field {missing:?}, it has {has}: set {} to the field of the text", self.settings.text_field)
            }
            (Source::Template(_), likely) => {
                let likely = likely.map(|likely| format!(" (did you mean {likely:?}?)")).unwrap_or_default();
                format!("no field {missing:?}{likely}, which {} names; it has {has}", self.settings.text)
            }
        }
    }

    /// The column that was meant, if one looks like it: by its spelling, or by what columns of texts are called.
    fn likely<'a>(&self, missing: &str, names: &'a [String]) -> Option<&'a str> {
        let others = || names.iter().map(String::as_str).filter(|name| **name != *self.id_field);
        if matches!(self.text, Source::Template(_)) {
            return nearest(missing, others());
        }
        let usual = |fits: fn(&str, &str) -> bool| {
            LIKELY.iter().find_map(|usual| others().find(|name| fits(&name.to_lowercase(), usual)))
        };
        usual(|name, usual| name == usual)
            .or_else(|| usual(|name, usual| name.contains(usual)))
            .or_else(|| nearest(missing, others()))
    }
}

impl Template {
    fn new(source: &str) -> Result<Self, String> {
        let mut environment = Environment::new();
        // A column that a row lacks is an error, not an empty place; a template may say what to do without it.
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // What is null in the source has nothing to show.
        environment.set_formatter(|out, state, value| {
            if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
        });
        let used = |error: minijinja::Error| format!("cannot be used: {error:#}");
        environment.add_template_owned("text", source.to_owned()).map_err(used)?;
        let mut columns: Vec<String> =
            environment.get_template("text").map_err(used)?.undeclared_variables(false).into_iter().collect();
        columns.retain(|name| !environment.globals().any(|(global, _)| global == name));
        columns.sort_unstable();
        let takes_row = columns.iter().any(|column| column == ROW);
        columns.retain(|column| column != ROW);
        if columns.is_empty() && !takes_row {
            return Err("names no column: write e.g. \"{{ title }}. {{ body }}\"".to_owned());
        }
        Ok(Self { environment, columns: columns.into_iter().map(Arc::from).collect(), takes_row })
    }

    /// The first of its columns that is not there.
    fn lacks(&self, has: impl Fn(&str) -> bool) -> Option<Arc<str>> {
        self.columns.iter().find(|column| !has(column)).cloned()
    }

    fn render(&self, fields: &Fields) -> Result<String, String> {
        let mut context: BTreeMap<&str, Jinja> =
            fields.iter().map(|(name, value)| (name, Jinja::from_serialize(value))).collect();
        if self.takes_row {
            let row = Jinja::from_serialize(&context);
            context.entry(ROW).or_insert(row);
        }
        let rendered = self.environment.get_template("text").and_then(|template| template.render(context));
        rendered.map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sample::TextHash;

    fn of(text: TextFrom) -> Result<SampleOf, String> {
        SampleOf::new(&CorpusConfig { text, ..CorpusConfig::of(vec!["pool.csv".into()]) }, Settings::CONFIGURATION)
    }

    fn sample(text: TextFrom, row: Value) -> Result<String, String> {
        let Value::Object(row) = row else { panic!("no object") };
        let names: Vec<String> = row.keys().cloned().collect();
        let fields: Fields = row.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
        of(text)?.sample(fields, || names).map(|sample| format!("{}={}", sample.id, sample.text))
    }

    #[test]
    fn a_field_is_taken_as_it_is() {
        let field = |name: &str| TextFrom::Field(name.to_owned());
        let hash = TextHash::of(" a ").to_hex();
        for (row, expected) in [
            (serde_json::json!({"text": " a "}), format!("{hash}= a ")),
            (serde_json::json!({"text": " a ", "id": ""}), format!("{hash}= a ")),
            (serde_json::json!({"text": "a", "id": 7}), "7=a".to_owned()),
            (serde_json::json!({"text": "a", "id": "x"}), "x=a".to_owned()),
        ] {
            assert_eq!(sample(field("text"), row), Ok(expected));
        }
        for (row, expected) in [
            (serde_json::json!({"text": " "}), "the field \"text\" is empty"),
            (serde_json::json!({"text": null}), "the field \"text\" is empty"),
            (serde_json::json!({"text": 1}), "the field \"text\" is no string"),
            (serde_json::json!({"text": "a", "id": 1.5}), "the field \"id\" is neither a string nor a whole number"),
            (
                serde_json::json!({"id": 1, "lang": "en", "review_text": "x"}),
                "has no field \"text\", it has id, lang, review_text: set corpus.text_field to the field of the text, likely \
                 \"review_text\"",
            ),
            (
                serde_json::json!({}),
                "has no field \"text\", it has nothing: set corpus.text_field to the field of the text",
            ),
        ] {
            assert_eq!(sample(field("text"), row), Err(expected.to_owned()));
        }
    }

    #[test]
    fn a_template_is_made_of_columns() {
        let template = |source: &str| TextFrom::Template(source.to_owned());
        let row =
            serde_json::json!({"id": 1, "title": "A", "body": "b < c", "stars": 4, "nil": null, "two words": "w"});
        for (source, expected) in [
            ("{{ title }}. {{ body }}", "1=A. b < c"),
            ("{{ title | lower }} {{ stars }}{{ nil }}", "1=a 4"),
            ("{{ row['two words'] }}", "1=w"),
            ("{{ body }}{% if other is defined %}{{ other }}{% endif %}", "1=b < c"),
            ("{% for word in body | split(' ') %}{{ loop.index }}{{ word }}{% endfor %}", "1=1b2<3c"),
        ] {
            assert_eq!(sample(template(source), row.clone()), Ok(expected.to_owned()), "{source}");
        }
        for (source, expected) in [
            (
                "{{ titel }}. {{ body }}",
                "has no field \"titel\" (did you mean \"title\"?), which corpus.text names; it has",
            ),
            ("{{ nil }} ", "has an empty text"),
            ("{{ title", "the template corpus.text cannot be used: "),
            ("fixed {{ 1 }}", "the template corpus.text names no column"),
        ] {
            let error = sample(template(source), row.clone()).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
        let made = of(template("{{ title }}{{ body | default('') }}")).unwrap();
        let header = ["id", "title"].map(str::to_owned);
        assert!(made.lacks(&header).unwrap().contains("no field \"body\""));
    }
}
