//! What would stop a run before it has begun. Reads what a run would read, asks nobody, and writes nothing. Keys are
//! not looked for: a configuration is often checked on a machine that has none.

use std::path::Path;

use crate::config::{Config, Problems, StudentKind};
use crate::corpus;
use crate::error::{Error, with_causes};
use crate::flow::first::First;
use crate::flow::people::People;
use crate::readers::plan::FEW_TEXTS;
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
    note("teachers", People::read(&config.people, &config.task.labels).err());
    if matches!(config.student.kind, StudentKind::Encoder(_)) {
        note("student.device", student::available(&config.student).err());
        note("student.model", student::identity(&config.student).err());
    }
    note("run.dir", run_dir(config).err());
    problems
}

/// How many texts the corpus of `config` has, where it has fewer than [`FEW_TEXTS`]: then confidences cannot be calibrated
/// well. Reads no more than so many.
///
/// # Errors
///
/// Those of a corpus that cannot be read.
pub fn few_texts(config: &Config) -> Result<Option<u64>, Error> {
    // How many texts a pipe will give nobody knows.
    if config.corpus.is_stdin() {
        return Ok(None);
    }
    let mut corpus = corpus::open(&config.corpus)?;
    let mut texts = First::new(Some(FEW_TEXTS));
    while !texts.are_met() {
        let Some(row) = corpus.next_row()? else { break };
        if let Ok(sample) = row.sample {
            texts.meet(&sample.id);
        }
    }
    Ok(texts.left().filter(|&left| left > 0).map(|left| FEW_TEXTS - left))
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
