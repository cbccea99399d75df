//! Opening a store: brings what is derived level with the logs, mends what a crash or damage left, and says so.
//!
//! What it costs is what changed since the last clean close: the index says how far it goes into each log, and only what
//! follows is read. After a kill the logs are checked line by line, at the speed of reading them.
//!
//! The order is that of trust: answers, then inputs, which repeat them, then labels, which follow from inputs.
//! Everything here happens under the run's lock, before the writer's thread begins.

use std::path::Path;
use std::sync::Arc;

use super::answers::AnswersLog;
use super::events::EventsLog;
use super::index::{Applied, Index};
use super::inputs::InputsLog;
use super::mark::{AsLeft, Mark};
use crate::base::disk::{Disk, Machine};
use crate::base::durable::remove;
use crate::base::failpoint::pass;
use crate::domain::event::By;
use crate::domain::input::Names;
use crate::domain::sample::SampleId;
use crate::error::{Error, Result};
use crate::store::Digest;

/// A store whose parts agree with each other.
#[derive(Debug)]
pub(super) struct Opened<D: Disk = Machine> {
    pub(super) index: Index,
    /// Open for appending, each at its whole length.
    pub(super) answers: AnswersLog<D>,
    pub(super) inputs: InputsLog<D>,
    pub(super) events: EventsLog<D>,
    /// As it stands in the index, which is level with both logs.
    pub(super) applied: Applied,
    /// What had to be mended, one sentence each.
    pub(super) repairs: Vec<String>,
}

/// What a store is opened for.
pub(super) struct Wanted<'a> {
    pub(super) dir: &'a Path,
    pub(super) names: &'a Arc<Names>,
    pub(super) refinery: &'a By,
    /// How far a checkpoint vouches for the label log.
    pub(super) certified: Option<Digest>,
    /// Whether the user wants to stop: asked every few thousand lines, for checking a large log takes minutes.
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// Where the logs are opened, and what they need for that.
pub(super) struct Place<'a, D: Disk> {
    pub(super) disk: &'a D,
    pub(super) dir: &'a Path,
    pub(super) names: &'a Arc<Names>,
    pub(super) index: &'a Index,
    pub(super) stop: &'a dyn Fn() -> bool,
}

/// Opens or creates the store. A damaged one is made anew from the logs.
///
/// What is *damaged* is what only this program writes and nothing else depends on, so it may be removed. A store that
/// the machine refuses is left alone: removing it would not help, and costs a pass over all logs.
///
/// # Errors
///
/// [`Error::RunFile`] where a file cannot be used, [`Error::Busy`] where another program has the index,
/// [`Error::InputLog`] where the input log is damaged, [`Error::Interrupted`], and [`Error::StoreDamaged`] where
/// making it anew does not help.
pub(super) fn open(wanted: &Wanted<'_>) -> Result<Opened> {
    let folder = wanted.dir.join("store");
    // A new run directory has no store either, which is nothing to tell.
    let had_logs = std::fs::metadata(wanted.dir.join(super::answers::FILE)).is_ok_and(|file| file.len() > 0);
    let is_lost = !folder.exists() && had_logs;
    // Who leaves an empty one knows that all of it is to be made.
    let is_begun = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none());
    std::fs::create_dir_all(&folder).map_err(Error::run_file("create", &folder))?;
    let mut repairs = Vec::new();
    // Damage may show at the first try, and damaged answers, which are taken out of their log, at the second; the third
    // finds neither. A log that lost lines is read again once more after them.
    for _ in 0..3 {
        match open_once(wanted, &folder, &mut repairs) {
            Err(Error::StoreDamaged { path, message }) => {
                let part = path.strip_prefix(&folder).ok().filter(|part| !part.as_os_str().is_empty());
                let part = part.map(|part| format!("{}: ", part.display())).unwrap_or_default();
                let sentence = format!("store/ was damaged ({part}{message}): made anew from the logs");
                tracing::debug!("{sentence}");
                // The mark is gone already, so what a kill in here leaves of the store is checked, or found damaged
                // once more.
                pass("store-remove")?;
                remove(&folder)?;
                pass("store-removed")?;
                std::fs::create_dir(&folder).map_err(Error::run_file("create", &folder))?;
                repairs.push(sentence);
            }
            Ok(mut opened) => {
                if is_begun {
                    repairs.retain(|repair| !repair.starts_with("store/"));
                }
                if is_lost {
                    repairs.push("store/ was missing: made anew from the logs".to_owned());
                }
                opened.repairs = repairs;
                return Ok(opened);
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::StoreDamaged { path: folder, message: "it cannot be made anew from the logs".to_owned() })
}

/// One try. The mark goes first, durably: whatever happens after this, the next opening checks all.
fn open_once(wanted: &Wanted<'_>, folder: &Path, repairs: &mut Vec<String>) -> Result<Opened> {
    let left = Mark::take(wanted.dir)?;
    pass("mark-taken")?;
    let index = Index::open(&folder.join("index"))?;
    open_logs(&Machine, wanted, index, left, repairs)
}

/// Opens the logs and brings everything level with them. On any disk, so that tests can cut its power between the
/// steps.
pub(super) fn open_logs<D: Disk>(
    disk: &D,
    wanted: &Wanted<'_>,
    index: Index,
    left: AsLeft,
    repairs: &mut Vec<String>,
) -> Result<Opened<D>> {
    let Wanted { dir, names, stop, .. } = *wanted;
    let mut applied = index.applied()?;
    let place = Place { disk, dir, names, index: &index, stop };
    let answers = AnswersLog::open(&place, &mut applied, left.answers, repairs)?;
    let inputs = InputsLog::open(&place, &mut applied, left.inputs, repairs)?;
    let ids = index.clone();
    let position = move |id: &SampleId| Ok(ids.known(id)?.map(|known| known.position));
    let certified = wanted.certified.map(|digest| (digest, &position as &dyn Fn(&SampleId) -> Result<Option<u64>>));
    let events = EventsLog::open(disk, dir, names, wanted.refinery.clone(), left.labels, certified, repairs)?;
    // Last: as long as it is missing, lines are taken in once more, which changes nothing.
    index.set_applied(&applied)?;
    Ok(Opened { index, answers, inputs, events, applied, repairs: Vec::new() })
}
