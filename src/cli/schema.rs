//! `candist schema`: what an editor completes configurations by, and other programs read logs by.

use std::io::Write;

use anyhow::Result;
use candist::{Schema, json_schema};
use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Of {
    /// The configuration.
    Config,
    /// A row of a corpus, with the usual names of its fields.
    Row,
    /// A line of a recording: answers that a person or another program wrote.
    Recording,
    /// A line of answers.jsonl.
    Answer,
    /// A line of inputs.jsonl.
    Input,
    /// A line of corrections.jsonl.
    Correction,
    /// A line of audit.jsonl.
    AuditLog,
    /// A line of labels.jsonl.
    Label,
    /// A line of failures.jsonl.
    Failure,
    /// A line of an audit sample.
    Audit,
    /// The certificate of an audit on the page.
    Certificate,
    /// status.json.
    Status,
    /// A row of a table of labels (`candist export --labels`), as JSON Lines have it.
    Table,
    /// _manifest.json, of labels in parts (`candist predict --output`).
    PartsManifest,
    /// The page's addresses (`candist serve`), in the form of OpenAPI.
    #[cfg(feature = "page")]
    Openapi,
    /// A student's addresses (`candist predict --serve`), in the same form.
    #[cfg(feature = "page")]
    OpenapiPredict,
}

#[derive(Debug, Args)]
pub(super) struct SchemaArgs {
    /// Of what.
    #[arg(value_enum)]
    of: Of,
}

pub(super) fn run(args: &SchemaArgs) -> Result<()> {
    let schema = json_schema(match args.of {
        Of::Config => Schema::Config,
        Of::Row => Schema::Row,
        Of::Recording => Schema::Recording,
        Of::Answer => Schema::Answer,
        Of::Input => Schema::Input,
        Of::Correction => Schema::Correction,
        Of::AuditLog => Schema::AuditLog,
        Of::Label => Schema::Label,
        Of::Failure => Schema::Failure,
        Of::Audit => Schema::Audit,
        Of::Certificate => Schema::Certificate,
        Of::Status => Schema::Status,
        Of::Table => Schema::Table,
        Of::PartsManifest => Schema::PartsManifest,
        #[cfg(feature = "page")]
        Of::Openapi => Schema::Openapi,
        #[cfg(feature = "page")]
        Of::OpenapiPredict => Schema::OpenapiPredict,
    });
    Ok(writeln!(std::io::stdout().lock(), "{}", serde_json::to_string_pretty(&schema)?)?)
}
