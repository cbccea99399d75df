//! The JSON schemas of what users write and read.

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema as Generated};
use serde::Serialize;
use serde_json::Value;

use crate::config::RawConfig;
use crate::domain::event::LabelEvent;
use crate::domain::input::InputLine;
use crate::domain::status::Status;
use crate::parts::Manifest;
use crate::readers::audit::ToLabel;
use crate::readers::certificate::AuditCertificate;
use crate::readers::table::TableRow;
use crate::store::{AnswerLine, AuditLine, CorrectionLine, Failure};
use crate::teacher::RecordedLine;

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A configuration.
    Config,
    /// A row of a corpus, where its fields have their usual names.
    Row,
    /// A line of a recording: an answer that a person or another program wrote.
    Recording,
    /// A line of `answers.jsonl`.
    Answer,
    /// A line of `inputs.jsonl`.
    Input,
    /// A line of `corrections.jsonl`.
    Correction,
    /// A line of `audit.jsonl`.
    AuditLog,
    /// A line of `labels.jsonl`.
    Label,
    /// A line of `failures.jsonl`.
    Failure,
    /// A line of an audit sample.
    Audit,
    /// What an audit on the page says of the labels.
    Certificate,
    /// `status.json`.
    Status,
    /// A row of a table of labels, as JSON Lines have it.
    Table,
    /// What is written of labels in parts when all parts are there.
    PartsManifest,
    /// What the page of a run answers, in the form of OpenAPI 3.1.
    #[cfg(feature = "page")]
    Openapi,
    /// What a student behind an address answers, in the same form.
    #[cfg(feature = "page")]
    OpenapiPredict,
}

/// The JSON schema (draft 2020-12) of what `of` says, to be serialised: its keys then stand in the order in which one reads them.
#[must_use]
pub fn json_schema(of: Schema) -> impl Serialize + use<> {
    match of {
        Schema::Config => config(),
        Schema::Row => read::<RowLine>(),
        Schema::Recording => read::<RecordedLine>(),
        Schema::Answer => read::<AnswerLine>(),
        Schema::Input => read::<InputLine>(),
        Schema::Correction => read::<CorrectionLine>(),
        Schema::AuditLog => read::<AuditLine>(),
        Schema::Certificate => read::<AuditCertificate>(),
        Schema::Label => read::<LabelEvent>(),
        Schema::Failure => read::<Failure>(),
        Schema::Audit => read::<ToLabel>(),
        Schema::Status => read::<Status>(),
        Schema::PartsManifest => read::<Manifest>(),
        // Written, never read: what may be null is there all the same.
        Schema::Table => {
            SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<TableRow<'_>>()
        }
        // An object: it is one of these, too.
        #[cfg(feature = "page")]
        Schema::Openapi => Generated::try_from(crate::page::openapi()).unwrap_or_default(),
        #[cfg(feature = "page")]
        Schema::OpenapiPredict => Generated::try_from(crate::service::openapi()).unwrap_or_default(),
    }
}

/// A row of a corpus: a JSON object with the text, and an id where it has one. What else is in it is passed over. The fields have
/// other names where corpus.text_field and corpus.id_field say so.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "rows are read by the names that the configuration gives; this is their usual form")]
struct RowLine {
    /// The text's name, and no other text's. Without it, a text goes by its hash.
    id: Option<RowId>,
    /// The text; not blank.
    #[schemars(regex(pattern = r"\S"))]
    text: String,
}

/// A string, or a whole number, which counts as the string that it is written as.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "as above")]
enum RowId {
    /// At most 64 KiB.
    Text(#[schemars(length(min = 1))] String),
    /// As written.
    Number(i128),
}

/// Of a line of JSON.
fn read<T: JsonSchema>() -> Generated {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

/// Of a configuration. TOML has no null: what need not be there is left out.
fn config() -> Generated {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(WithoutNull));
    settings.into_generator().into_root_schema_for::<RawConfig>()
}

/// Takes null out of what a value may be.
#[derive(Debug, Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Generated) {
        let Some(object) = schema.as_object_mut() else { return };
        if let Some(Value::Array(types)) = object.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = types.as_slice() {
                let only = only.clone();
                object.insert("type".to_owned(), only);
            }
        }
        // Where nothing need be said, nothing is the default; that is no value.
        if object.get("default").is_some_and(|value| value.is_null() || value.as_array().is_some_and(Vec::is_empty)) {
            object.remove("default");
        }
        let Some(Value::Array(ways)) = object.get_mut("anyOf") else { return };
        ways.retain(|way| way.get("type").is_none_or(|kind| kind != "null"));
        // One way that is left is no choice: it stands beside the description then.
        if let [Value::Object(only)] = ways.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
}
