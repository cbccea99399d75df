//! Opening a store: mends what a crash or damage left, from the journal, and says so. Never asks a teacher for it.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use super::committer::{catch_up, render};
use super::index::{Applied, Counts, Index};
use super::journal::{Extent, Journal, JournalDamage};
use super::label_log::LabelLog;
use super::totals::Totals;
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::label::LabelSet;
use crate::error::{Error, Result, panic_message};

/// The name of the threads that open a store: their panics are caught, and not worth a message of their own.
pub const OPENING_THREAD: &str = "candist-open";

/// A store whose parts agree with each other.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) index: Index,
    pub(super) journal: Journal,
    pub(super) log: LabelLog,
    pub(super) applied: Applied,
    pub(super) totals: Totals,
    /// What had to be mended, one sentence each.
    pub(super) repairs: Vec<String>,
}

pub(super) fn open(dir: &Path, labels: &LabelSet) -> Result<Opened> {
    let mut repairs = Vec::new();
    let path = dir.join("store");
    let (index, counts) = usable_index(dir, &path, &mut repairs)?;
    let before = index.applied()?;
    let mut answers = counts.answers;
    // Whether the journal still begins with what the index was made from.
    let mut as_before = before.journal == Extent::default();
    let mut totals = Totals::default();
    let (mut journal, damage) = Journal::open(dir, labels, |record, extent| {
        totals.add(&record);
        as_before |= extent == before.journal;
        if extent.lines > before.journal.lines && index.put_answer(&record)? {
            answers += 1;
        }
        Ok(())
    })?;
    report_journal(damage, &mut repairs);
    if damage.lines > 0 || !as_before {
        let put_back = reconcile(dir, labels, &index, &mut journal, &mut answers)?;
        put_back.iter().for_each(|record| totals.add(record));
        if !put_back.is_empty() {
            repairs.push(format!("answers.jsonl: {} lost answer(s) put back from store/", put_back.len()));
        }
    }
    // Lines that are not in an index made anew come again; to one that has events none can be added but by it.
    let ahead = if counts.events == 0 { u64::MAX } else { before.log_lines };
    let (mut log, lost) = LabelLog::open(dir, ahead, |offset| match index.event(offset)? {
        Some(event) => Ok(Some(render(&index, labels, offset, &[event])?.concat())),
        None => Ok(None),
    })?;
    if lost > 0 {
        repairs.push(format!(
            "labels.jsonl: {lost} line(s) from line {} on were not as written: written anew",
            log.lines() + 1
        ));
    }
    let log_lines = if counts.events == 0 { log.lines() } else { before.log_lines };
    catch_up(&index, &mut log, labels, counts.events)?;
    let applied =
        Applied { journal: journal.extent(), answers, samples: counts.samples, events: counts.events, log_lines };
    index.set_applied(&applied)?;
    index.flush()?;
    Ok(Opened { index, journal, log, applied, totals, repairs })
}

fn report_journal(damage: JournalDamage, repairs: &mut Vec<String>) {
    if damage.torn_bytes > 0 {
        repairs.push(format!("answers.jsonl: cut off an unfinished last line ({} bytes)", damage.torn_bytes));
    }
    if damage.lines > 0 {
        repairs.push(format!("answers.jsonl: {} damaged line(s) moved to answers.damaged.jsonl", damage.lines));
    }
}

/// The index as it is if it can be trusted, else an empty one in its place.
fn usable_index(dir: &Path, path: &Path, repairs: &mut Vec<String>) -> Result<(Index, Counts)> {
    let existed = path.exists();
    // An empty folder is made where the index is to be rebuilt on purpose: see `start_new_labels`.
    let new_on_purpose = path.read_dir().is_ok_and(|mut entries| entries.next().is_none());
    remove_half_written_snapshots(path)?;
    let why = match open_guarded(path.to_owned()) {
        Ok((index, counts)) => {
            let applied = index.applied()?;
            let lost =
                counts.answers < applied.answers || counts.samples < applied.samples || counts.events < applied.events;
            if !lost {
                let has_content = |name: &str| std::fs::metadata(dir.join(name)).is_ok_and(|file| file.len() > 0);
                // A run that was killed before the index was first flushed has an empty one, and no label yet.
                let was_filled = !existed || has_content("labels.jsonl");
                if applied.journal.lines == 0 && !new_on_purpose && was_filled && has_content("answers.jsonl") {
                    repairs.push("store/ was missing or empty: rebuilt from answers.jsonl".to_owned());
                }
                return Ok((index, counts));
            }
            "entries are missing".to_owned()
        }
        Err(Unusable::Damaged(why)) => why,
        Err(Unusable::Refused(error)) => return Err(error),
    };
    let aside = free_name(dir, "store.damaged");
    std::fs::rename(path, &aside).map_err(Error::run_file("move away the damaged", path))?;
    repairs.push(format!("store/ was damaged ({why}): moved to {}, rebuilt from answers.jsonl", aside.display()));
    open_guarded(path.to_owned()).map_err(|unusable| match unusable {
        Unusable::Damaged(message) => Error::StoreDamaged { path: path.to_owned(), message },
        Unusable::Refused(error) => error,
    })
}

/// Why an index cannot be used.
#[derive(Debug)]
enum Unusable {
    /// It is damaged; how.
    Damaged(String),
    /// The machine refuses; a rebuilt one would fare no better.
    Refused(Error),
}

/// Opens and reads all of an index on a thread of its own: sled panics, and may hang, on a damaged file.
fn open_guarded(path: PathBuf) -> Result<(Index, Counts), Unusable> {
    let limit = Duration::from_secs(60) + Duration::from_micros(folder_bytes(&path) / 5);
    let (sender, receiver) = mpsc::channel();
    let store = path.clone();
    let open = move || {
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let index = Index::open(&path)?;
            let counts = index.verify()?;
            Ok((index, counts))
        }));
        let opened = match opened {
            Ok(Err(Error::StoreDamaged { message, .. })) => Err(Unusable::Damaged(message)),
            Ok(opened) => opened.map_err(Unusable::Refused),
            Err(panic) => Err(Unusable::Damaged(panic_message(panic.as_ref()))),
        };
        // Nobody waits any more after the time limit; then there is nothing to tell.
        let _ = sender.send(opened);
    };
    std::thread::Builder::new()
        .name(OPENING_THREAD.to_owned())
        .spawn(open)
        .map_err(|source| Unusable::Refused(Error::run_file("start the thread that opens", &store)(source)))?;
    receiver.recv_timeout(limit).unwrap_or_else(|_| Err(Unusable::Damaged("it does not open in time".to_owned())))
}

fn folder_bytes(path: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(path) else { return 0 };
    entries.flatten().filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

/// A kill while sled 0.34 writes a snapshot leaves `snap.*.generating`, which it then takes for the newest snapshot and
/// fails on forever. Under the run's lock nobody is writing one now.
fn remove_half_written_snapshots(path: &Path) -> Result<()> {
    let Ok(entries) = std::fs::read_dir(path) else { return Ok(()) };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            std::fs::remove_file(entry.path()).map_err(Error::run_file("remove", &entry.path()))?;
        }
    }
    Ok(())
}

/// `stem`, or `stem.2`, `stem.3`, ...: the first that is free in `dir`.
pub(super) fn free_name(dir: &Path, stem: &str) -> PathBuf {
    std::iter::once(dir.join(stem))
        .chain((2_u32..).map(|number| dir.join(format!("{stem}.{number}"))))
        .find(|path| !path.exists())
        .unwrap_or_else(|| dir.join(stem))
}

/// The journal lost lines that the index may still have, or the other way round: brings both to their union. Gives what was
/// put back into the journal.
fn reconcile(
    dir: &Path,
    labels: &LabelSet,
    index: &Index,
    journal: &mut Journal,
    answers: &mut u64,
) -> Result<Vec<AnswerRecord>> {
    // The latest attempt of each answer that the journal has.
    let mut journaled: HashMap<AnswerKey, u32> = HashMap::new();
    Journal::open(dir, labels, |record, _| {
        let attempt = journaled.entry(record.key).or_default();
        *attempt = record.attempt.max(*attempt);
        *answers += u64::from(index.put_answer(&record)?);
        Ok(())
    })?;
    let mut missing = Vec::new();
    for record in index.answers() {
        let record = record?;
        if journaled.get(&record.key).is_none_or(|&attempt| attempt < record.attempt) {
            missing.push(record);
        }
    }
    if !missing.is_empty() {
        journal.append(missing.iter(), labels)?;
    }
    Ok(missing)
}
