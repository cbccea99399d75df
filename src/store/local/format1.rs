//! Run directories of format 1, which had no input log: the order of arrivals was in sled alone, and the ends of the corpus in
//! the manifest. They are taken up once.
//!
//! The steps, each of which may be the last before a kill: write the input log atomically; remove checkpoints and
//! store; write the manifest of today. Up to the last, the old manifest says that it is not done, and the input log
//! that its texts need not be read again.

use std::path::Path;

use bincode::Options;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::INPUTS;
use super::codec::options;
use super::guarded::{failed, guarded, remove_half_written_snapshots};
use crate::base::durable;
use crate::base::failpoint::pass;
use crate::base::sealed;
use crate::domain::candidates::Opinion;
use crate::domain::input::{NewInput, Outcome};
use crate::domain::sample::{Position, Sample, SampleId};
use crate::error::{Error, Result};
use crate::store::checkpoints::CheckpointFiles;
use crate::store::header::Header;
use crate::store::manifest::Format1;
use crate::store::run_dir::Identity;

/// The format byte of its values.
const CODEC: u8 = 2;

/// The value under a position of the tree `samples`, in that format. bincode knows no names: the order of fields
/// counts.
#[derive(Deserialize)]
struct OldSample {
    id: SampleId,
    text: String,
    candidates: Vec<Opinion>,
}

/// The value under `sample:` and the position, in 20 digits, of the tree `failures`.
#[derive(Deserialize)]
struct OldFailure {
    #[expect(dead_code, reason = "bincode reads fields in their order")]
    id: String,
    reason: String,
}

/// What became of an older run directory.
pub(crate) enum TakenUp {
    /// Its texts are in the input log, so many.
    Texts(u64),
    /// They were, before the program that took them up was killed.
    Before,
    /// It says of no text what came of it, or it is of other settings: why. Its labels are still in their place.
    Nothing(&'static str),
}

/// Writes the input log of what the run directory `dir` holds. Safe to be killed in: once the input log is there, it is not
/// written again.
///
/// An old store that cannot be read is no error, since its answers are in `answers.jsonl`, from which the texts
/// arrive anew.
///
/// # Errors
///
/// [`Error::Busy`] and [`Error::RunFile`] where trying again may help, and those of reading a first line.
pub(crate) fn convert(dir: &Path, old: &Format1, identity: &Identity) -> Result<TakenUp> {
    if old.labelling != identity.before {
        return Ok(TakenUp::Nothing("its teachers, student or distillation changed since"));
    }
    if Header::read(dir)?.is_some() {
        return Ok(TakenUp::Before);
    }
    match arrivals(dir, old) {
        Ok(inputs) => {
            write(dir, &inputs, identity)?;
            let samples = inputs.iter().filter(|input| matches!(input, NewInput::Arrive(..))).count();
            Ok(TakenUp::Texts(samples as u64))
        }
        // Another process, or the machine: to be tried again.
        Err(error @ (Error::Busy { .. } | Error::RunFile { .. })) => Err(error),
        Err(_) => Ok(TakenUp::Nothing("its store cannot be read")),
    }
}

/// Removes the caches that no later program reads. Durable when it returns, but for the empty folder.
pub(crate) fn drop_caches(dir: &Path) -> Result<()> {
    CheckpointFiles::of(dir).clear()?;
    pass("convert-checkpoints-removed")?;
    let store = dir.join("store");
    durable::remove(&store)?;
    // Empty, not missing: what is made anew then is no repair.
    std::fs::create_dir(&store).map_err(Error::run_file("create", &store))
}

/// All that arrived, in order, with the ends of the corpus between.
fn arrivals(dir: &Path, old: &Format1) -> Result<Vec<NewInput>> {
    let path = dir.join("store");
    if !path.join("db").exists() {
        // sled would make an empty one.
        return Err(Error::StoreDamaged { path, message: "it is missing".to_owned() });
    }
    remove_half_written_snapshots(&path)?;
    let ends = old.ends.clone();
    guarded(path, move |path| read(path, &ends))
}

fn read(path: &Path, ends: &[Position]) -> Result<Vec<NewInput>> {
    let wrong = |message: String| Error::StoreDamaged { path: path.to_owned(), message };
    let db = sled::Config::new().path(path).open().map_err(|error| failed(path, error))?;
    let tree = |name: &str| db.open_tree(name).map_err(|error| failed(path, error));
    let (samples, failures) = (tree("samples")?, tree("failures")?);
    let mut inputs = Vec::new();
    let mut left = ends.iter().copied().peekable();
    for (position, entry) in (0_u64..).zip(&samples) {
        while left.next_if_eq(&position).is_some() {
            // The corpus ended when as many samples had arrived, perhaps more than once.
            inputs.push(NewInput::End);
        }
        let (key, value) = entry.map_err(|error| failed(path, error))?;
        let sample: OldSample = decode(&value).map_err(&wrong)?;
        // Big-endian keys, so sled's order is that of arrival; a gap means that an entry was lost.
        if *key != position.to_be_bytes() {
            return Err(wrong(format!("sample {position} is missing")));
        }
        let failure = failures.get(format!("sample:{position:020}")).map_err(|error| failed(path, error))?;
        let failure = failure.map(|value| decode::<OldFailure>(&value).map_err(&wrong)).transpose()?;
        let outcome = Outcome { opinions: sample.candidates, failure: failure.map(|failure| failure.reason) };
        inputs.push(NewInput::Arrive(Sample { id: sample.id, text: sample.text }, outcome));
    }
    // `inputs` has the samples and those ends that were passed.
    let samples = (inputs.len() + left.len() - ends.len()) as u64;
    if ends.last().is_some_and(|&last| last > samples) {
        return Err(wrong(format!("it has {samples} samples, and there were more when the corpus ended")));
    }
    inputs.extend(left.map(|_| NewInput::End));
    Ok(inputs)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    match bytes.split_first() {
        Some((&CODEC, value)) => options().deserialize(value).map_err(|error| error.to_string()),
        _ => Err("a value is of another format".to_owned()),
    }
}

/// All of the log at once, in memory: it takes one rename to be there whole or not at all.
fn write(dir: &Path, inputs: &[NewInput], identity: &Identity) -> Result<()> {
    let mut content = Header::new(identity).line();
    let mut position = 0;
    for input in inputs {
        let line = identity.names.line(input, position);
        content.push_str(&sealed::seal(&serde_json::to_string(&line).unwrap_or_default()));
        position += u64::from(matches!(input, NewInput::Arrive(..)));
    }
    pass("convert-write")?;
    durable::replace_file(&dir.join(INPUTS), content.as_bytes())
}
