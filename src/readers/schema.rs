//! The JSON schemas of what users write and read.

use schemars::generate::SchemaSettings;
use schemars::schema_for;
use serde::Serialize;

use crate::config::RawConfig;
use crate::domain::event::LabelEvent;
use crate::domain::input::InputLine;
use crate::readers::table::TableRow;
use crate::store::AnswerLine;

/// What there is a schema of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// A configuration.
    Config,
    /// A line of `labels.jsonl`.
    Label,
    /// A line of `answers.jsonl`.
    Answer,
    /// A line of `inputs.jsonl`.
    Input,
    /// A row of a table of labels, as JSON Lines have it.
    Table,
}

/// The JSON schema (draft 2020-12) of what `of` says, to be serialised: its keys then stand in the order in which one reads them.
#[must_use]
pub fn json_schema(of: Schema) -> impl Serialize + use<> {
    match of {
        Schema::Config => schema_for!(RawConfig),
        Schema::Label => schema_for!(LabelEvent),
        Schema::Answer => schema_for!(AnswerLine),
        Schema::Input => schema_for!(InputLine),
        // Written, never read: what may be null is there all the same.
        Schema::Table => {
            SchemaSettings::default().for_serialize().into_generator().into_root_schema_for::<TableRow<'_>>()
        }
    }
}
