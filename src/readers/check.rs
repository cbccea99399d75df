//! What would stop a run before it has begun. Reads what a run would read, asks nobody, and writes nothing. Keys are
//! not looked for: a configuration is often checked on a machine that has none.

use std::path::Path;

use crate::config::{Config, Problems, StudentKind};
use crate::corpus;
use crate::error::{Error, with_causes};
use crate::store::RunDir;
use crate::student;
use crate::teacher::{self, ledger::Ledger};

/// Tries everything that `config` names: all that is wrong, each with its key.
#[must_use]
pub fn check(config: &Config) -> Problems {
    let mut problems = Problems::default();
    let mut note = |key: &str, error: Option<Error>| {
        if let Some(error) = error {
            problems.add(key, format!("cannot be used: {}", with_causes(&error)));
        }
    };
    // Standard input is for the run: looking at it would take from it.
    if !config.corpus.is_stdin() {
        note("corpus.path", corpus::open(&config.corpus).err());
    }
    // Templates, examples, tokenizers and recordings are part of it; keys are not.
    note("teachers", teacher::open_without_keys(config, &Ledger::new(None)).err());
    if matches!(config.student.kind, StudentKind::Encoder(_)) {
        note("student.device", student::available(&config.student).err());
        note("student.model", student::identity(&config.student).err());
    }
    note("run.dir", run_dir(config).err());
    problems
}

/// Whether the run directory is this task's, or can be made.
fn run_dir(config: &Config) -> Result<(), Error> {
    let dir = &config.run.dir;
    let there = dir.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
    if !there.is_dir() {
        let message = "is a file, and a folder is needed in its place: choose another run.dir".to_owned();
        return Err(Error::Unfit { path: there.to_owned(), message });
    }
    match RunDir::view(dir) {
        Ok(view) => view.same_task(&config.task.name, &config.task.labels).map(drop),
        Err(Error::NoRun { .. }) => RunDir::refuse_foreign(dir),
        Err(error) => Err(error),
    }
}
