//! One part, from its rows to its object.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::Told;
use super::job::{Job, Opened};
use super::record::{self, PartRecord};
use super::writer::{PartWriter, Spooled, rendered};
use crate::base::failpoint::pass;
use crate::base::ranged::{Ranged, Span};
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use crate::student::{CHUNK, CHUNK_BYTES, Crew, Predictor};

/// The record of a part: of one that is done, or that is labelled now, which is said with it.
pub(super) fn done_or_labelled(
    job: &Job,
    part: usize,
    crew: &mut Crew,
    tell: &(dyn Fn(Told<'_>) + Sync),
) -> Result<(PartRecord, bool)> {
    if let Some(done) = record::read(job, part)? {
        return Ok((done, false));
    }
    let (spooled, unread) = labelled(job, part, crew, tell)?;
    let name = job.name(part);
    let object = job.folder().join(&name);
    pass("part-spooled")?;
    let Spooled { file, rows, bytes, sha256 } = spooled;
    if !object.put_new(&file)? && sha256_of(job, &name)? != sha256 {
        return Err(Error::OtherPart { object: object.shown().to_owned() });
    }
    let record = PartRecord { part, name, rows, unread, bytes, sha256 };
    pass("part-put")?;
    record::write(job, &record)?;
    tell(Told::Labelled(&record));
    Ok((record, true))
}

/// Labels the rows of a part into a spool. Gives how many could not be read too.
fn labelled(job: &Job, part: usize, crew: &mut Crew, tell: &(dyn Fn(Told<'_>) + Sync)) -> Result<(Spooled, u64)> {
    let Opened { mut rows, object, called, counted_from } = job.open(part)?;
    let labels = crew.labels();
    let mut writer = PartWriter::new(job.format())?;
    let unread = AtomicU64::new(0);
    let next = || {
        let (mut chunk, mut bytes) = (Vec::with_capacity(CHUNK), 0);
        while chunk.len() < CHUNK && bytes < CHUNK_BYTES {
            let Some(row) = rows.next_row()? else { break };
            match row.sample {
                Ok(sample) => {
                    bytes += sample.text.len();
                    chunk.push(sample);
                }
                Err(reason) => {
                    unread.fetch_add(1, Ordering::Relaxed);
                    tell(Told::Unread(&called, counted_from, row.line, reason));
                }
            }
        }
        Ok(Some(chunk).filter(|chunk| !chunk.is_empty()))
    };
    let say = |predictor: &Predictor, chunk: Vec<Sample>| {
        let texts: Vec<&str> = chunk.iter().map(|sample| sample.text.as_str()).collect();
        let probabilities = predictor.probabilities(&texts)?;
        rendered(job.format(), &chunk, &probabilities, &labels, job.min_confidence())
    };
    let said = crew.label(next, say, |rendered| writer.take(rendered));
    pass("part-read")?;
    // What could not be read must not pass for damage, nor what was changed for what it was.
    object.unchanged()?;
    said?;
    Ok((writer.finish()?, unread.into_inner()))
}

/// The hash of the part that is there, read as it is.
fn sha256_of(job: &Job, name: &str) -> Result<String> {
    let place = job.folder().join(name);
    let listed = place.list()?;
    let listed = listed.first().ok_or_else(|| Error::gone("part"))?;
    let object = place.open(listed)?;
    let source: Arc<dyn Ranged> = Arc::clone(&object) as _;
    let (mut all, mut hash, mut buffer) = (Span::buffered(&source, 0, listed.size), Sha256::new(), vec![0; 64 << 10]);
    let read = loop {
        match all.read(&mut buffer) {
            Ok(0) => break Ok(()),
            Ok(read) => hash.update(buffer.get(..read).unwrap_or_default()),
            Err(error) => break Err(error),
        }
    };
    object.unchanged()?;
    read.map_err(Error::run_file("read", &place.as_path()))?;
    Ok(super::writer::hex(&hash.finalize()))
}
