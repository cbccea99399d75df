//! A run directory of another machine, as a folder here: what the trainer ships, fetched as it grows. All that looks at a run
//! directory looks at this one.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;
use tokio_postgres::types::Type;

use super::checkpoints;
use super::database::{Database, PgError, Session, with_client};
use super::folder::Folder;
use super::pieces::{Fetched, fetch_file, logs};
use super::runs::{self, Open};
use super::said;
use super::schema;
use super::shipping::{LOGS, NOTES};
use crate::base::durable::replace_file;
use crate::domain::sample::{short_hash, to_hex};
use crate::error::{Error, Result};
use crate::store::{CORRECTIONS, CheckpointFiles, RunLock};

/// Between two looks at the database.
const LOOK: Duration = Duration::from_millis(200);
/// How long another process that fetches into the same folder is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// What was fetched, file by file.
const STATE: &str = "mirror.json";
/// Held by the process that fetches: others look at what it has.
const TURN: &str = "mirror.lock";

/// See the module.
pub struct Mirror {
    session: Session,
    run: i64,
    name: String,
    dir: PathBuf,
    /// None where another process fetches into the same folder.
    turn: Option<File>,
    /// Held while somebody trains the run, as a trainer's own directory is.
    lock: Option<RunLock>,
    /// A folder of this process alone, gone with it.
    own: Option<Folder>,
}

/// A run directory in which corrections are written down.
pub struct Draft {
    folder: Folder,
    /// Bytes of corrections that are the run's already.
    known: usize,
}

impl Draft {
    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.folder.path()
    }
}

impl Mirror {
    /// The run `name` of the database at `url`, or the only one there, in a folder of the user's cache; fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] where the database does not answer; [`Error::Shared`] where it cannot be used, or has no such run; [`Error::RunFile`] where the folder cannot be
    /// written.
    pub async fn open(url: &str, name: Option<&str>) -> Result<Self> {
        let database = Database::at(url)?;
        let mut session = database.session().await?;
        // Whoever looks makes no tables.
        if !with_client!(session, |client| schema::is_there(client)) {
            return Err(no_run(&database, name, &[]));
        }
        schema::check(&mut session).await?;
        let found = with_client!(session, |client| runs::list(client, name));
        let run = match found.as_slice() {
            [run] => run,
            [] => {
                let there = with_client!(session, |client| runs::list(client, None));
                return Err(no_run(&database, name, &there));
            }
            several => {
                let names: Vec<&str> = several.iter().map(|run| run.name.as_str()).collect();
                let message = format!(
                    "{} has several runs, {}: say which, by ?run=NAME at the end of the address",
                    database.shown(),
                    names.join(", ")
                );
                return Err(Error::Shared { message });
            }
        };
        let identity = with_client!(session, |client| schema::identity(client));
        // The number too: another run may have had the name.
        let hash = to_hex(short_hash(&[identity.as_bytes(), &run.run.to_le_bytes(), run.name.as_bytes()]));
        let dir = cache()?.join("candist").join("shared").join(hash);
        std::fs::create_dir_all(&dir).map_err(Error::run_file("create", &dir))?;
        let (held, name) = (turn(&dir)?, run.name.clone());
        let mut mirror = Self { run: run.run, name, session, dir, turn: held, lock: None, own: None };
        mirror.fetch().await?;
        let patience = Instant::now() + PATIENCE;
        while mirror.turn.is_none() && !mirror.is_level().await? {
            if Instant::now() > patience {
                // Whoever fetches into the folder does so no longer, and holds it: it may be suspended.
                let own = Folder::new()?;
                own.path().clone_into(&mut mirror.dir);
                (mirror.turn, mirror.own) = (turn(&mirror.dir)?, Some(own));
            }
            tokio::time::sleep(LOOK).await;
            mirror.fetch().await?;
        }
        Ok(mirror)
    }

    /// Waits until there is such a run; `waits` is told where it has to, and which runs there are, in parentheses.
    ///
    /// # Errors
    ///
    /// [`Error::Away`] where the database does not answer, [`Error::Shared`] where it cannot be used.
    pub async fn wait_for(url: &str, name: Option<&str>, waits: impl FnOnce(&str)) -> Result<()> {
        let mut session = Database::at(url)?.session().await?;
        let mut waits = Some(waits);
        while !with_client!(session, |client| schema::is_there(client))
            || with_client!(session, |client| runs::list(client, name)).is_empty()
        {
            if let Some(waits) = waits.take() {
                let there = match with_client!(session, |client| schema::is_there(client)) {
                    true => with_client!(session, |client| runs::list(client, None)),
                    false => Vec::new(),
                };
                waits(&runs::named(&there));
            }
            tokio::time::sleep(LOOK).await;
        }
        schema::check(&mut session).await
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// What the run is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the folder has what the database has.
    async fn is_level(&mut self) -> Result<bool> {
        let (session, run) = (&mut self.session, self.run);
        let there = with_client!(session, |client| logs(client, run));
        let known = std::fs::read(self.dir.join(STATE)).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let state: std::collections::BTreeMap<String, Fetched> = known.unwrap_or_default();
        let has = |(name, log): &(String, Fetched)| !LOGS.contains(&name.as_str()) || state.get(name) == Some(log);
        Ok(there.iter().all(has))
    }

    /// Fetches what is new.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::open`].
    pub async fn fetch(&mut self) -> Result<()> {
        if self.turn.is_none() {
            // Whoever had it may have ended.
            self.turn = turn(&self.dir)?;
        }
        if self.turn.is_none() {
            return Ok(());
        }
        let (session, run) = (&mut self.session, self.run);
        let path = self.dir.join(STATE);
        // A state that is lost has everything fetched again.
        let known = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let mut state: std::collections::BTreeMap<String, Fetched> = known.unwrap_or_default();
        // Before the look at the logs: what a trainer that has ended shipped is all fetched when the folder says so.
        let open = with_client!(session, |client| runs::list(client, Some(&self.name)));
        let trained = open.iter().any(|open| open.trained);
        let there = with_client!(session, |client| logs(client, run));
        // The database has the labels' texts, so they come before; and what was made of them, after.
        for file in NOTES.into_iter().chain(LOGS) {
            let Some((_, log)) = there.iter().find(|(name, _)| name == file) else { continue };
            let fetched = state.entry(file.to_owned()).or_default();
            if fetch_file(session, run, &self.dir, file, *log, fetched).await? {
                let bytes = serde_json::to_vec(&state).unwrap_or_default();
                replace_file(&path, &bytes)?;
            }
        }
        match (&self.lock, trained) {
            // Another process of this machine may hold it: as good.
            (None, true) => self.lock = RunLock::take(&self.dir).ok(),
            (Some(_), false) => self.lock = None,
            _ => {}
        }
        Ok(())
    }

    /// Fetches the student's last checkpoint too, tens of megabytes, which is not among what is followed.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::open`].
    pub async fn fetch_student(&mut self) -> Result<()> {
        let aside = Folder::within(&self.dir)?;
        let newest = checkpoints::fetch(&mut self.session, self.run, &self.dir, aside.path()).await?;
        // Of a log that began anew since, an older one may have the newer name.
        CheckpointFiles::of(&self.dir).keep_only(newest.as_deref());
        Ok(())
    }

    /// A run directory of a moment that has what the folder has, and corrections of its own: to add to, and to be sent by
    /// [`Mirror::send_corrections`].
    ///
    /// # Errors
    ///
    /// [`Error::RunFile`] where it cannot be made.
    pub async fn draft(&mut self) -> Result<Draft> {
        let (session, run) = (&mut self.session, self.run);
        let pending = with_client!(session, |client| said::pending(client, run));
        let folder = Folder::new()?;
        for file in NOTES.into_iter().chain(LOGS) {
            let (from, to) = (self.dir.join(file), folder.path().join(file));
            // Links: only corrections are added to.
            let made = match file {
                _ if !from.exists() => continue,
                CORRECTIONS => std::fs::copy(&from, &to).map(drop),
                _ => std::os::unix::fs::symlink(&from, &to),
            };
            made.map_err(Error::run_file("create", &to))?;
        }
        // What was said before, and is not in the run yet, was said all the same.
        let path = folder.path().join(CORRECTIONS);
        let mut file =
            OpenOptions::new().create(true).append(true).open(&path).map_err(Error::run_file("open", &path))?;
        for line in pending {
            writeln!(file, "{line}").map_err(Error::run_file("write", &path))?;
        }
        let known = std::fs::metadata(&path).map_or(0, |meta| meta.len());
        Ok(Draft { folder, known: usize::try_from(known).unwrap_or(usize::MAX) })
    }

    /// Hands what was added to a draft's corrections to whoever trains the run, or will: they are in the database when this returns,
    /// until they are in the run.
    ///
    /// # Errors
    ///
    /// [`Error::Shared`] where the database does not take them.
    pub async fn send_corrections(&mut self, draft: &Draft) -> Result<()> {
        let bytes = std::fs::read(draft.dir().join(CORRECTIONS)).unwrap_or_default();
        let news = String::from_utf8_lossy(bytes.get(draft.known..).unwrap_or_default());
        let lines: Vec<&str> = news.lines().collect();
        let (session, run) = (&mut self.session, self.run);
        with_client!(session, |client| say(client, run, &lines));
        Ok(())
    }

    /// Fetches for as long as it is polled.
    ///
    /// # Errors
    ///
    /// Those of [`Mirror::fetch`].
    pub async fn follow(mut self) -> Result<()> {
        loop {
            tokio::time::sleep(LOOK).await;
            self.fetch().await?;
        }
    }
}

fn no_run(database: &Database, name: Option<&str>, there: &[Open]) -> Error {
    let which = name.map_or_else(|| "no run".to_owned(), |name| format!("no run {name:?}{}", runs::named(there)));
    Error::Shared {
        message: format!("{} has {which}: `candist run CONFIG` with run.shared begins one", database.shown()),
    }
}

/// The folder of what may be fetched again.
fn cache() -> Result<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))).ok_or_else(|| Error::Shared {
        message: "neither XDG_CACHE_HOME nor HOME is set: there is no place for what is fetched".to_owned(),
    })
}

fn turn(dir: &Path) -> Result<Option<File>> {
    let path = dir.join(TURN);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(Error::run_file("open", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::run_file("lock", &path)(source)),
    }
}

/// Leaves lines for the trainer.
async fn say(client: &mut Client, run: i64, lines: &[&str]) -> Result<(), PgError> {
    client
        .execute_typed(
            "INSERT INTO said (run, line) SELECT $1, l FROM unnest($2) WITH ORDINALITY AS n (l, o) ORDER BY o",
            &[(&run, Type::INT8), (&lines, Type::TEXT_ARRAY)],
        )
        .await?;
    Ok(())
}
