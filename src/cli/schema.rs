//! `candist schema`

use std::io::Write;

use anyhow::Result;
use candist::config::RawConfig;
use candist::domain::event::LabelEvent;
use candist::store::JournalLine;
use schemars::schema_for;

use super::SchemaOf;

pub(super) fn run(of: SchemaOf) -> Result<()> {
    let schema = match of {
        SchemaOf::Config => schema_for!(RawConfig),
        SchemaOf::Label => schema_for!(LabelEvent),
        SchemaOf::Answer => schema_for!(JournalLine),
    };
    Ok(writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&schema)?)?)
}
