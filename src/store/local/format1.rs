//! Run directories of format 1, which had no input log: the order of arrivals was in sled alone, and the ends of the corpus in
//! the manifest. They are taken up once.

use std::path::Path;

use bincode::Options;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::codec::options;
use super::index::failed;
use super::{INPUTS, LABELS};
use crate::base::durable;
use crate::base::failpoint::pass;
use crate::base::sealed;
use crate::domain::candidates::CandidateSet;
use crate::domain::input::{NewInput, Outcome};
use crate::domain::sample::{Sample, SampleId};
use crate::error::{Error, Result};
use crate::store::checkpoints::CheckpointFiles;
use crate::store::header::Header;
use crate::store::manifest::Format1;
use crate::store::run_dir::Identity;

/// The format byte of its values.
const CODEC: u8 = 2;

#[derive(Deserialize)]
struct OldSample {
    id: SampleId,
    text: String,
    candidates: CandidateSet,
}

#[derive(Deserialize)]
struct OldFailure {
    #[expect(dead_code, reason = "bincode reads fields in their order")]
    id: String,
    reason: String,
}

/// Writes the input log of what the run directory `dir` holds; says what was done. Safe to be killed in.
pub(crate) fn convert(dir: &Path, old: &Format1, identity: &Identity) -> Result<String> {
    if old.labelling != identity.before {
        return anew(dir, "its teachers, student or distillation changed since");
    }
    match arrivals(dir, old) {
        Ok(inputs) => {
            write(dir, &inputs, identity)?;
            pass("convert-written")?;
            drop_derived(dir)?;
            pass("converted")?;
            let samples = inputs.iter().filter(|input| matches!(input, NewInput::Arrive(..))).count();
            Ok(format!(
                "the run directory is of an older candist: its {samples} texts are taken up in inputs.jsonl, and labels are \
                 compared with those in labels.jsonl as they come again; nothing is asked again"
            ))
        }
        // Another process, or the machine: to be tried again.
        Err(error @ (Error::Busy { .. } | Error::RunFile { .. })) => Err(error),
        Err(_) => anew(dir, "its store cannot be read"),
    }
}

/// What cannot be taken up arrives again; the answers are there.
fn anew(dir: &Path, why: &str) -> Result<String> {
    let (log, aside) = (dir.join(LABELS), dir.join("labels.old.jsonl"));
    if log.exists() {
        durable::rename(&log, &aside).map_err(Error::run_file("move", &log))?;
        pass("convert-moved")?;
    }
    drop_derived(dir)?;
    Ok(format!(
        "the run directory is of an older candist and {why}: the texts arrive anew, with the answers that are stored; the old \
         labels are in labels.old.jsonl"
    ))
}

fn drop_derived(dir: &Path) -> Result<()> {
    CheckpointFiles::of(dir).clear()?;
    pass("convert-checkpoints-removed")?;
    let store = dir.join("store");
    if store.exists() {
        std::fs::remove_dir_all(&store).map_err(Error::run_file("remove", &store))?;
    }
    Ok(())
}

/// All that arrived, in order, with the ends of the corpus between.
fn arrivals(dir: &Path, old: &Format1) -> Result<Vec<NewInput>> {
    let path = dir.join("store");
    let wrong = |message: String| Error::StoreDamaged { path: path.clone(), message };
    let db = sled::Config::new().path(&path).open().map_err(|error| failed(&path, error))?;
    let tree = |name: &str| db.open_tree(name).map_err(|error| failed(&path, error));
    let (samples, failures) = (tree("samples")?, tree("failures")?);
    let mut inputs = Vec::new();
    let mut ends = old.ends.iter().copied().peekable();
    for (position, entry) in (0_u64..).zip(&samples) {
        while ends.next_if_eq(&position).is_some() {
            inputs.push(NewInput::End);
        }
        let (key, value) = entry.map_err(|error| failed(&path, error))?;
        let sample: OldSample = decode(&value).map_err(&wrong)?;
        if *key != position.to_be_bytes() {
            return Err(wrong(format!("sample {position} is missing")));
        }
        let failure = failures.get(format!("sample:{position:020}")).map_err(|error| failed(&path, error))?;
        let failure = failure.map(|value| decode::<OldFailure>(&value).map_err(&wrong)).transpose()?;
        let outcome =
            Outcome { opinions: sample.candidates.opinions().to_vec(), failure: failure.map(|failure| failure.reason) };
        inputs.push(NewInput::Arrive(Sample { id: sample.id, text: sample.text }, outcome));
    }
    inputs.extend(ends.map(|_| NewInput::End));
    Ok(inputs)
}

fn decode<T: DeserializeOwned>(bytes: &[u8]) -> std::result::Result<T, String> {
    match bytes.split_first() {
        Some((&CODEC, value)) => options().deserialize(value).map_err(|error| error.to_string()),
        _ => Err("a value is of another format".to_owned()),
    }
}

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
