//! `candist schema`

use std::io::Write;

use anyhow::Result;
use candist::config::RawConfig;
use candist::domain::event::LabelEvent;
use candist::domain::input::InputLine;
use candist::store::AnswerLine;
use schemars::schema_for;

use super::SchemaOf;

pub(super) fn run(of: SchemaOf) -> Result<()> {
    let schema = match of {
        SchemaOf::Config => schema_for!(RawConfig),
        SchemaOf::Label => schema_for!(LabelEvent),
        SchemaOf::Answer => schema_for!(AnswerLine),
        SchemaOf::Input => schema_for!(InputLine),
    };
    Ok(writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&schema)?)?)
}
