//! A run that is trained elsewhere: what its trainer ships to the database is fetched into a folder here, which verbs look at as they
//! look at any run directory.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use candist::config::SharedConfig;
use candist::{Error, Mirror, RunDir, is_trained_here};

/// A run in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    pub(super) url: String,
    /// None where there is one run.
    pub(super) run: Option<String>,
}

impl Elsewhere {
    /// What `run` names, if it is the address of a database: libpq's, and `run=NAME` among its parameters.
    pub(super) fn of(run: &Path) -> Option<Self> {
        let address = run.to_str()?;
        if !["postgres://", "postgresql://"].iter().any(|scheme| address.starts_with(scheme)) {
            return None;
        }
        let (base, query) = address.split_once('?').unwrap_or((address, ""));
        let (run, rest): (Vec<&str>, Vec<&str>) =
            query.split('&').filter(|pair| !pair.is_empty()).partition(|pair| pair.starts_with("run="));
        let url = if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
        let name = run.first().and_then(|pair| pair.strip_prefix("run="));
        Some(Self { url, run: name.map(decoded) })
    }
}

/// A parameter of an address, `%20` and the like read.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let hex = after.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match hex.filter(|_| first == b'%') {
            Some(byte) => {
                bytes.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Fetches a run, and goes on fetching for as long as this process is there: whoever follows its files follows the run. The student only
/// if it is wanted, and once.
pub(super) fn follow(elsewhere: &Elsewhere, student: bool) -> Result<PathBuf> {
    let runtime = runtime()?;
    let mut mirror = runtime.block_on(Mirror::open(&elsewhere.url, elsewhere.run.as_deref()))?;
    if student {
        runtime.block_on(mirror.fetch_student())?;
    }
    let dir = mirror.dir().to_owned();
    let fetching = move || {
        if let Err(error) = runtime.block_on(mirror.follow()) {
            tracing::warn!("nothing more is fetched: {error}");
        }
    };
    // It ends with the process: what it has is whole lines, and noted.
    std::thread::Builder::new().name("candist-fetch".to_owned()).spawn(fetching).context("cannot start a thread")?;
    Ok(dir)
}

/// Waits until there is such a run.
pub(super) fn wait_for(elsewhere: &Elsewhere) -> Result<()> {
    let waits = |there: &str| match &elsewhere.run {
        Some(run) => tracing::info!("there is no run {run:?} yet{there}: waiting for it"),
        None => tracing::info!("there is no run yet: waiting for one"),
    };
    Ok(runtime()?.block_on(Mirror::wait_for(&elsewhere.url, elsewhere.run.as_deref(), waits))?)
}

/// Fetches a run, has `correct` add to its corrections in a folder of a moment, and hands those to whoever trains the run; gives the run's
/// name too.
pub(super) fn correct_there<T>(elsewhere: &Elsewhere, correct: impl FnOnce(&Path) -> Result<T>) -> Result<(T, String)> {
    let runtime = runtime()?;
    let mut mirror = runtime.block_on(Mirror::open(&elsewhere.url, elsewhere.run.as_deref()))?;
    let draft = runtime.block_on(mirror.draft())?;
    let done = correct(draft.dir()).map_err(|error| of_run(error, draft.dir(), mirror.name()))?;
    runtime.block_on(mirror.send_corrections(&draft))?;
    Ok((done, mirror.name().to_owned()))
}

/// What is wrong with a run's copy in a folder of a moment is told of the run.
fn of_run(error: anyhow::Error, folder: &Path, run: &str) -> anyhow::Error {
    match error.downcast() {
        Ok(Error::Unfit { path, message }) if path == folder => Error::Unfit { path: run.into(), message }.into(),
        Ok(error) => error.into(),
        Err(error) => error,
    }
}

/// Refuses what would write into a run that is elsewhere.
///
/// # Errors
///
/// [`Error::Unfit`] where it is.
pub(super) fn refuse(run: &Path, what: &str) -> Result<()> {
    if super::place::elsewhere(run)?.is_none() {
        return Ok(());
    }
    let message = format!("is a shared run that is trained elsewhere: {what} where its run directory is");
    // Not as it was typed: an address may hold a password.
    let path = if Elsewhere::of(run).is_some() { "this".into() } else { run.to_owned() };
    Err(Error::Unfit { path, message }.into())
}

/// Whether a shared run is what is in its directory here: it goes on here, or did last.
pub(super) fn is_here(shared: &SharedConfig, dir: &Path) -> Result<bool> {
    // Asked of the machine first: a run that goes on here needs no word of the database.
    let is_live = RunDir::view(dir).is_ok_and(|view| view.is_live());
    Ok(is_live || runtime()?.block_on(is_trained_here(&shared.url, &shared.name, dir)))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start the asynchronous runtime")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_names_a_run_or_leaves_it_open() {
        let of = |address: &str| Elsewhere::of(Path::new(address)).map(|found| (found.url, found.run));
        let (url, none) = ("postgres://ann@db/team".to_owned(), None);
        assert_eq!(of("postgres://ann@db/team"), Some((url.clone(), none)));
        assert_eq!(of("postgres://ann@db/team?run=support"), Some((url, Some("support".to_owned()))));
        let with_mode = "postgresql://db/team?sslmode=disable".to_owned();
        assert_eq!(of("postgresql://db/team?run=a&sslmode=disable"), Some((with_mode, Some("a".to_owned()))));
        assert_eq!(of("postgres://db/team?run=a%20%26%20b").unwrap().1.unwrap(), "a & b");
        assert_eq!(of("runs/support"), None);
    }
}
