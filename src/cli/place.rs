//! Where a run is: verbs that look at one take its directory, or the configuration that names it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::{Config, Error};
use clap::Args;

/// See the module. To be flattened into the arguments of a verb.
#[derive(Debug, Args)]
pub(super) struct RunArg {
    /// The run: its directory, or the configuration (TOML) that names it.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl RunArg {
    /// The run directory, which need not be there.
    pub(super) fn dir(&self) -> Result<PathBuf> {
        directory(&self.run)
    }

    /// The configuration, where it was named by that.
    pub(super) fn config(&self) -> Result<Option<Config>> {
        if is_config(&self.run) { Ok(Some(Config::load(&self.run, None)?)) } else { Ok(None) }
    }
}

fn is_config(run: &Path) -> bool {
    run.is_file() && run.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// The directory that `run` is or, as a configuration, names.
///
/// # Errors
///
/// Those of a configuration, and of a file that is none: what a TOML parser says of a corpus would mislead.
pub(super) fn directory(run: &Path) -> Result<PathBuf> {
    let is_named_so = run.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"));
    if is_named_so && !run.exists() {
        let message = "is not there: is the configuration's name right?";
        return Err(Error::Unfit { path: run.to_owned(), message: message.to_owned() }.into());
    }
    if !run.is_file() {
        return Ok(run.to_owned());
    }
    if is_config(run) {
        return Ok(Config::load(run, None)?.run.dir);
    }
    let message =
        "is a file, and no run directory: name the folder that `candist run` writes to, or the configuration (.toml)";
    Err(Error::Unfit { path: run.to_owned(), message: message.to_owned() }.into())
}
