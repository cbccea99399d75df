//! The one way into a run directory: [`RunDir::view`] to look, [`RunDir::own`] to run.
//!
//! Owning one makes its files those of today's settings. Nothing that was paid for or labelled is deleted on the way:
//! logs are moved aside under a free name, and only caches are removed. The manifest is written last, so a kill
//! anywhere has it all done again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use super::checkpoints::CheckpointFiles;
use super::header::Header;
use super::local::audits::FILE as AUDITS;
use super::local::corrections::FILE as CORRECTIONS;
use super::local::format1::{self, TakenUp};
use super::local::{ANSWERS, INPUTS, LABELS, LocalStore};
use super::lock::RunLock;
use super::manifest::{Format1, Found, Manifest};
use super::view::RunView;
use super::{Digest, Store};
use crate::base::durable;
use crate::base::failpoint::pass;
use crate::config::SPOOL;
use crate::domain::event::By;
use crate::domain::input::Names;
use crate::domain::label::LabelSet;
use crate::domain::sample::{short_hash, to_hex};
use crate::error::{Error, Result};

/// What tells runs apart, and what their labels depend on.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The task's name.
    pub task: String,
    /// Its labels, and the teachers' names.
    pub names: Arc<Names>,
    /// Hash of all that answers depend on besides the texts. Where it differs, the texts arrive anew, with those
    /// stored answers whose keys still fit.
    pub asking: String,
    /// Hash of all that labels depend on besides the input log.
    pub labelling: String,
    /// The hash of both, as run directories of format 1 have it.
    pub before: String,
    /// Where labels come from.
    pub refinery: By,
}

impl Identity {
    pub(crate) fn labels(&self) -> Vec<String> {
        self.names.labels.iter().map(|label| label.name.clone()).collect()
    }
}

/// Labels that are named in a message, at most.
const NAMED_LABELS: usize = 5;

/// What is only in a run directory.
const OURS: [&str; 14] = [
    ANSWERS,
    INPUTS,
    LABELS,
    CORRECTIONS,
    AUDITS,
    "manifest.json",
    "lock",
    "store",
    "checkpoints",
    "requests.jsonl",
    "dialects.json",
    "shared.json",
    FETCHING,
    SPOOL,
];

/// Where a shared run is fetched to first: nothing else need be there of a directory that is being made.
pub(crate) const FETCHING: &str = "fetching";

/// Where a run keeps what it has: see [`RunDir::view`].
#[derive(Debug)]
pub struct RunDir;

/// A run directory that is this process' alone. Nothing of it is open yet.
#[derive(Debug)]
pub(crate) struct OwnedRun {
    dir: PathBuf,
    identity: Identity,
    lock: Arc<RunLock>,
    /// Tells its label log apart from others.
    log: String,
    /// What was done on the way, one sentence each.
    notes: Vec<String>,
}

impl RunDir {
    /// Looks at the run directory `dir`: takes no lock, changes nothing, needs no permission to write, and disturbs no run
    /// beside it.
    ///
    /// # Errors
    ///
    /// [`Error::NoRun`] where there is none, [`Error::InputLog`] and [`Error::Format`] where its first line cannot be used.
    ///
    /// ```no_run
    /// let view = candist::RunDir::view("runs/support".as_ref())?;
    /// let counts = view.counts()?;
    /// println!("{}: {} texts, {} without a candidate", view.task(), counts.samples, counts.failed);
    /// for failure in view.failures()? {
    ///     println!("{}: {}", failure.id, failure.reason);
    /// }
    /// # Ok::<(), candist::Error>(())
    /// ```
    pub fn view(dir: &Path) -> Result<RunView> {
        RunView::open(dir)
    }

    /// Somebody's folder that is no run directory is left alone: a typing error must not fill it.
    pub(crate) fn refuse_foreign(dir: &Path) -> Result<()> {
        let Ok(mut entries) = std::fs::read_dir(dir) else { return Ok(()) };
        if entries.next().is_some() && !OURS.iter().any(|name| dir.join(name).exists()) {
            return Err(Error::NotOurs { path: dir.to_owned() });
        }
        Ok(())
    }

    /// Takes the run directory `dir` for `identity`, making it if there is none. Logs that come of other settings are moved
    /// aside; answers stay.
    pub(crate) fn own(dir: &Path, identity: Identity) -> Result<OwnedRun> {
        Self::refuse_foreign(dir)?;
        make(dir)?;
        let lock = Arc::new(RunLock::take(dir)?);
        let mut run = OwnedRun { dir: dir.to_owned(), identity, lock, log: String::new(), notes: Vec::new() };
        run.settle()?;
        Ok(run)
    }
}

/// Makes the folder and those above it; their names are on disk when this returns, or a power cut might lose all that
/// was synced within.
fn make(dir: &Path) -> Result<()> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::create_dir_all(dir).map_err(Error::run_file("create", dir))?;
    // A folder without a log may be what a process left that was killed while making it.
    let unsure = (!dir.join(INPUTS).exists()).then_some(dir);
    for folder in missing.into_iter().chain(unsure).filter(|folder| !folder.as_os_str().is_empty()) {
        durable::sync_folder_of(folder).map_err(Error::run_file("create", folder))?;
    }
    Ok(())
}

impl OwnedRun {
    /// What was done on the way, one sentence each.
    #[must_use]
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Opens the store by itself, with no run around it, and starts its writer, which ends when the last clone of the store is
    /// gone.
    pub(crate) fn open(self) -> Result<(Store, JoinHandle<Result<()>>)> {
        self.store(None, &|| false)?.start(&self.dir, self.lock())
    }

    /// Tells its label log apart from others: another one begins with other settings, or with an input log of its own.
    pub(crate) fn log(&self) -> &str {
        &self.log
    }

    /// Held as long as anyone of this process works in the directory.
    pub(crate) fn lock(&self) -> Arc<RunLock> {
        Arc::clone(&self.lock)
    }

    /// Opens the store. `certified` is how far a checkpoint vouches for the label log.
    pub(crate) fn store(&self, certified: Option<Digest>, stop: &dyn Fn() -> bool) -> Result<LocalStore> {
        LocalStore::open(&self.dir, &self.identity.names, &self.identity.refinery, certified, stop)
    }

    /// Makes logs and manifest those of this identity. Done again after a kill anywhere in it, it comes to the same.
    fn settle(&mut self) -> Result<()> {
        let manifest = self.manifest()?;
        let header = match self.fitting_header(manifest.as_ref())? {
            Some(header) => header,
            None => {
                pass("before-header")?;
                let header = Header::new(&self.identity);
                header.write(&self.dir)?;
                header
            }
        };
        // Sinks tell logs apart by it: the same for the same log and settings, another after either changes.
        self.log = to_hex(short_hash(&[header.run.as_bytes(), self.identity.labelling.as_bytes()]));
        pass("before-manifest")?;
        let wanted = Manifest::new(header.run, header.task, self.identity.labelling.clone());
        match manifest {
            Some(manifest) if manifest == wanted => return Ok(()),
            // The same input log, other settings.
            Some(manifest) if manifest.run == wanted.run => self.label_anew()?,
            _ => {}
        }
        wanted.write(&self.dir)?;
        pass("run-begun")
    }

    /// The manifest, if there is one. A run directory of an older format is taken up first.
    fn manifest(&mut self) -> Result<Option<Manifest>> {
        match Manifest::read(&self.dir)? {
            Found::Current(manifest) => Ok(Some(manifest)),
            Found::Old(old) => {
                if let Some(difference) = self.same_task(&old.task, &old.labels)? {
                    // What it knows is converted by the labels' numbers; once it is, they may change.
                    return Err(Error::OtherTask { path: self.dir.clone(), difference });
                }
                self.take_up(&old)?;
                Ok(None)
            }
            Found::Damaged(why) => {
                self.notes.push(format!("manifest.json was damaged ({why}): made anew"));
                Ok(None)
            }
            Found::Nothing => Ok(None),
        }
    }

    /// Makes an older run directory one of today, but for the manifest. Its labels are those of an older refinery, and come anew.
    fn take_up(&mut self, old: &Format1) -> Result<()> {
        let said = match format1::convert(&self.dir, old, &self.identity)? {
            TakenUp::Texts(texts) => format!(
                "its {texts} texts are taken up in inputs.jsonl, nothing is asked again, and labels are written anew"
            ),
            TakenUp::Before => "taking it up is completed now".to_owned(),
            TakenUp::Nothing(why) => format!("{why}: the texts arrive anew, with the answers that are stored"),
        };
        pass("convert-written")?;
        let labels = self.move_aside(LABELS)?;
        let labels = labels.map(|name| format!("; the old ones are in {name}")).unwrap_or_default();
        format1::drop_caches(&self.dir)?;
        pass("converted")?;
        self.notes.push(format!("the run directory is of an older candist: {said}{labels}"));
        Ok(())
    }

    /// The first line of the input log, if the log is of this identity. One that is not is moved aside.
    fn fitting_header(&mut self, manifest: Option<&Manifest>) -> Result<Option<Header>> {
        let Some(found) = Header::read(&self.dir)? else {
            // Something was here before; a new run directory has neither.
            if manifest.is_some() || self.dir.join(LABELS).exists() {
                // What the labels came of cannot be told any more.
                self.begin_anew("inputs.jsonl was missing")?;
            }
            return Ok(None);
        };
        let changed = self.same_task(&found.task, &found.labels)?;
        // One of the two was copied here from elsewhere, and it is not for us to say which.
        if manifest.is_some_and(|manifest| manifest.run != found.run) {
            return Err(Error::OtherRun { path: self.dir.join("manifest.json") });
        }
        if let Some(difference) = changed {
            self.begin_anew(&format!("the labels changed ({difference})"))?;
            return Ok(None);
        }
        if found.asking != self.identity.asking || found.teachers != self.identity.names.teachers {
            self.begin_anew("teachers, prompts or their parameters changed")?;
            return Ok(None);
        }
        Ok(Some(found))
    }

    fn same_task(&self, task: &str, labels: &[String]) -> Result<Option<String>> {
        same_task(&self.dir, (task, labels), (&self.identity.task, &self.identity.names.labels))
    }

    /// An input log of its own, from the corpus and the answers that there are. Labels go first, the input log last:
    /// as long as that is there, a kill has this begin again.
    fn begin_anew(&mut self, why: &str) -> Result<()> {
        let labels = self.move_aside(LABELS)?;
        pass("anew-labels-moved")?;
        CheckpointFiles::of(&self.dir).clear()?;
        let store = self.dir.join("store");
        durable::remove(&store)?;
        // Empty, not missing: what is made anew then is no repair.
        std::fs::create_dir(&store).map_err(Error::run_file("create", &store))?;
        pass("anew-caches-removed")?;
        // Of the log that goes; beside another one it would be that of another run directory.
        Manifest::forget(&self.dir)?;
        let inputs = self.move_aside(INPUTS)?;
        pass("anew-inputs-moved")?;
        let old: Vec<String> = [labels, inputs].into_iter().flatten().collect();
        if !old.is_empty() {
            let old = old.join(" and ");
            self.notes.push(format!(
                "{why}: the texts arrive anew, stored answers are used again where they fit, and labels are written anew; \
                 what was there is in {old}"
            ));
        }
        Ok(())
    }

    /// Another student or distillation: the same input log gives other labels. Up to the manifest, which follows, a
    /// kill has it done again; what was moved is then not there to be moved twice.
    fn label_anew(&mut self) -> Result<()> {
        let labels = self.move_aside(LABELS)?;
        pass("relabel-labels-moved")?;
        CheckpointFiles::of(&self.dir).clear()?;
        pass("relabel-checkpoints-removed")?;
        durable::remove(&self.dir.join("store").join("events"))?;
        pass("relabel-records-removed")?;
        if let Some(old) = labels {
            self.notes.push(format!(
                "student or distillation changed: labels are written anew from the input log, nothing is asked again; the \
                 old ones are {old}"
            ));
        }
        Ok(())
    }

    /// Gives the name that it has then, durably; `None` where it was not there.
    fn move_aside(&self, name: &str) -> Result<Option<String>> {
        let path = self.dir.join(name);
        if !path.exists() {
            return Ok(None);
        }
        let stem = name.strip_suffix(".jsonl").unwrap_or(name);
        let aside = free_name(&self.dir, stem);
        durable::rename(&path, &aside).map_err(Error::run_file("move", &path))?;
        Ok(Some(aside.file_name().unwrap_or_default().to_string_lossy().into_owned()))
    }
}

/// How the labels of the task in `dir`, `found` (its name and its labels), differ from those that are `wanted` now; `None` where
/// they are the same.
///
/// Labels may be added, and put in another order: then every stored answer can still be read.
///
/// # Errors
///
/// [`Error::OtherTask`] where the name is another, or a label is gone: answers that name it are paid for.
pub(crate) fn same_task(dir: &Path, found: (&str, &[String]), wanted: (&str, &LabelSet)) -> Result<Option<String>> {
    let ((task, labels), (wanted_task, wanted)) = (found, wanted);
    let other = |difference: String| Err(Error::OtherTask { path: dir.to_owned(), difference });
    if task != wanted_task {
        return other(format!("its name is {task:?}, not {wanted_task:?}"));
    }
    let names: Vec<&str> = wanted.iter().map(|label| label.name.as_str()).collect();
    if let Some(gone) = labels.iter().find(|label| !names.contains(&label.as_str())) {
        return other(format!("it has the label {gone:?}, which answers may name (labels may be added, none may go)"));
    }
    if names.iter().eq(labels) {
        return Ok(None);
    }
    let new: Vec<String> = names
        .iter()
        .filter(|name| !labels.iter().any(|label| label == *name))
        .map(|name| format!("{name:?}"))
        .collect();
    Ok(Some(match new.len() {
        0 => "another order".to_owned(),
        count if count > NAMED_LABELS => format!(
            "{} and {} more are new",
            new.get(..NAMED_LABELS).unwrap_or_default().join(", "),
            count - NAMED_LABELS
        ),
        1 => format!("{} is new", new.join(", ")),
        _ => format!("{} are new", new.join(", ")),
    }))
}

/// `STEM.old.jsonl`, or `STEM.old.2.jsonl`, ...: the first that is free in `dir`.
fn free_name(dir: &Path, stem: &str) -> PathBuf {
    let numbered = |number: u32| dir.join(format!("{stem}.old.{number}.jsonl"));
    std::iter::once(dir.join(format!("{stem}.old.jsonl")))
        .chain((2..).map(numbered))
        .find(|path| !path.exists())
        .unwrap_or_else(|| numbered(u32::MAX))
}
