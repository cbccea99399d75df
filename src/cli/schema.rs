//! `candist schema`: what an editor completes configurations by, and other programs read logs by.

use std::io::Write;

use anyhow::Result;
use candist::{Schema, json_schema};

use super::SchemaOf;

pub(super) fn run(of: SchemaOf) -> Result<()> {
    let schema = json_schema(match of {
        SchemaOf::Config => Schema::Config,
        SchemaOf::Label => Schema::Label,
        SchemaOf::Answer => Schema::Answer,
        SchemaOf::Input => Schema::Input,
    });
    Ok(writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&schema)?)?)
}
