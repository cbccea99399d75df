//! Where a run is: verbs that look at one take its directory, or the configuration that names it.

use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::{Config, Error};
use clap::Args;

#[cfg(feature = "shared")]
use super::fetched::{self, Elsewhere};

/// See the module. To be flattened into the arguments of a verb.
#[derive(Debug, Args)]
pub(super) struct RunArg {
    /// The run: its directory, or the configuration (TOML) that names it; or the database of a shared run, postgres://USER@HOST/DB, with
    /// ?run=NAME where it has several.
    #[arg(value_name = "RUN")]
    run: PathBuf,
}

impl RunArg {
    /// The run directory, which need not be there.
    pub(super) fn dir(&self) -> Result<PathBuf> {
        directory(&self.run)
    }

    /// The same, of whoever follows it: a run that is to be trained elsewhere is waited for.
    pub(super) fn dir_to_follow(&self) -> Result<PathBuf> {
        #[cfg(feature = "shared")]
        if let Some(elsewhere) = self.elsewhere()? {
            fetched::wait_for(&elsewhere)?;
        }
        self.dir()
    }

    /// The same, with its student: of a run that is trained elsewhere it is fetched.
    pub(super) fn dir_with_student(&self) -> Result<PathBuf> {
        #[cfg(feature = "shared")]
        if let Some(elsewhere) = self.elsewhere()? {
            return fetched::follow(&elsewhere, true);
        }
        self.dir()
    }

    /// Where the run is, if it is trained elsewhere.
    #[cfg(feature = "shared")]
    pub(super) fn elsewhere(&self) -> Result<Option<Elsewhere>> {
        elsewhere(&self.run)
    }

    /// The configuration, where it was named by that.
    pub(super) fn config(&self) -> Result<Option<Config>> {
        if is_config(&self.run) { Ok(Some(Config::load(&self.run, None)?)) } else { Ok(None) }
    }
}

fn is_config(run: &Path) -> bool {
    run.is_file() && run.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("toml"))
}

/// Where a run is that is not here: at the address that `run` is, or as the configuration says where it was not trained here last.
#[cfg(feature = "shared")]
pub(super) fn elsewhere(run: &Path) -> Result<Option<Elsewhere>> {
    if let Some(address) = Elsewhere::of(run) {
        return Ok(Some(address));
    }
    if !is_config(run) {
        return Ok(None);
    }
    let run = Config::load(run, None)?.run;
    let Some(shared) = run.shared else { return Ok(None) };
    let is_here = run.dir.exists() && fetched::is_here(&shared, &run.dir)?;
    Ok((!is_here).then_some(Elsewhere { url: shared.url, run: Some(shared.name) }))
}

/// The directory that `run` is or, as a configuration, names.
///
/// # Errors
///
/// Those of a configuration, and of a file that is none: what a TOML parser says of a corpus would mislead.
pub(super) fn directory(run: &Path) -> Result<PathBuf> {
    #[cfg(feature = "shared")]
    if let Some(elsewhere) = elsewhere(run)? {
        return fetched::follow(&elsewhere, false);
    }
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
