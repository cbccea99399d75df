//! What is written of a part that is done, and of all parts together. The same bytes whoever writes them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::job::Job;
use crate::base::failpoint::pass;
use crate::error::{Error, Result};
use crate::objects::Place;

/// A part that is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PartRecord {
    /// Its number, from 0.
    pub part: usize,
    /// Its object, in the folder of the job.
    pub name: String,
    /// Rows in it: labels.
    pub rows: u64,
    /// Rows of the input that could not be read, and are not in it.
    pub unread: u64,
    /// Its size.
    pub bytes: u64,
    /// Of its bytes, hexadecimal.
    pub sha256: String,
}

/// All parts: what consumers of the labels wait for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Manifest {
    /// Hash of the student.
    pub student: String,
    /// Hash of what was labelled and how.
    pub input: String,
    /// Of all parts.
    pub rows: u64,
    /// Of all parts.
    pub unread: u64,
    /// Of all parts.
    pub bytes: u64,
    /// In order: the labels of the input are these, one after the other.
    pub parts: Vec<PartRecord>,
}

/// The record of a part, where it is done.
pub(super) fn read(job: &Job, part: usize) -> Result<Option<PartRecord>> {
    parsed(&job.record(part))
}

/// Says that a part is done.
pub(super) fn write(job: &Job, record: &PartRecord) -> Result<()> {
    job.record(record.part).put_new_bytes(&line(record)).map(drop)
}

/// The manifest, where it is there.
pub(super) fn manifest(job: &Job) -> Result<Option<Manifest>> {
    let manifest = parsed(&job.manifest())?;
    if manifest.is_some() {
        clear(job);
    }
    Ok(manifest)
}

/// Nobody writes where all is there: what is unfinished is of who was killed.
fn clear(job: &Job) {
    job.folder().clear();
    job.records().clear();
}

/// Writes the manifest where all parts are done, and gives it; else how many are not.
pub(super) fn complete(job: &Job) -> Result<(Option<Manifest>, usize)> {
    let records = job.records().sizes()?;
    let is_record = |name: &&String| name.ends_with(".json") && !name.starts_with('.');
    let missing = job.parts().saturating_sub(records.keys().filter(is_record).count());
    if missing > 0 {
        return Ok((None, missing));
    }
    let parts = (0..job.parts()).map(|part| {
        let gone =
            || Error::Unfit { path: job.record(part).as_path(), message: "was taken away: run again".to_owned() };
        read(job, part)?.ok_or_else(gone)
    });
    let parts = parts.collect::<Result<Vec<PartRecord>>>()?;
    all_there(job, &parts)?;
    let sum = |of: fn(&PartRecord) -> u64| parts.iter().map(of).sum();
    let (student, input) = job.hashes();
    let manifest = Manifest {
        student: student.to_owned(),
        input: input.to_owned(),
        rows: sum(|part| part.rows),
        unread: sum(|part| part.unread),
        bytes: sum(|part| part.bytes),
        parts,
    };
    let mut text = serde_json::to_vec_pretty(&manifest).unwrap_or_default();
    text.push(b'\n');
    pass("parts-complete")?;
    job.manifest().put_new_bytes(&text)?;
    pass("parts-manifest")?;
    clear(job);
    Ok((Some(manifest), 0))
}

/// A manifest vouches for its parts: none was removed or cut since it was done.
fn all_there(job: &Job, parts: &[PartRecord]) -> Result<()> {
    let there = job.folder().sizes()?;
    let lost = parts.iter().find(|part| there.get(&part.name) != Some(&part.bytes));
    lost.map_or(Ok(()), |part| {
        let message = format!(
            "is not there as it was written: take it away together with {}, and run again, which labels it anew",
            job.record(part.part).shown()
        );
        Err(Error::Unfit { path: job.folder().join(&part.name).as_path(), message })
    })
}

fn parsed<T: for<'a> Deserialize<'a>>(place: &Place) -> Result<Option<T>> {
    let Some(bytes) = place.read()? else { return Ok(None) };
    serde_json::from_slice(&bytes).map(Some).map_err(|error| Error::Unfit {
        path: place.as_path(),
        message: format!("is none of ours ({error}): move its folder away, and run again"),
    })
}

fn line(record: &PartRecord) -> Vec<u8> {
    let mut line = serde_json::to_vec(record).unwrap_or_default();
    line.push(b'\n');
    line
}
