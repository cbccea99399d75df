//! The corpus' own columns beside the labels: read again from the corpus, by id.
//!
//! The corpus is read twice. First for which columns there are, then along with the run's texts, which arrived in the corpus'
//! order: so the row that is looked for is mostly the next one. Rows that are passed over on the way to it are set aside,
//! in a file where they are many, so that a corpus in another order takes no memory but an entry a row.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::Value;

use super::columns::{Column, Survey};
use super::held::{HeldLabels, key};
use crate::base::disk::DiskFile;
use crate::config::{CorpusConfig, TextFrom};
use crate::corpus::{Fields, Record, Records, SampleOf, Settings, maker, records};
use crate::domain::sample::Sample;
use crate::error::{Error, Result};

/// Bytes of rows set aside that are held before they go to the file.
const HELD_BYTES: usize = 4 << 20;

/// See the module.
pub(super) struct Join {
    sample_of: Arc<SampleOf>,
    records: Box<dyn Records>,
    columns: Vec<Column>,
    /// Where the values of a field stand.
    places: HashMap<String, usize>,
    aside: Aside,
    unlabelled: u64,
}

impl Join {
    /// Reads the corpus for its columns, and opens it anew.
    ///
    /// # Errors
    ///
    /// Those of a corpus that cannot be read.
    pub(super) fn open(config: CorpusConfig, held: &HeldLabels) -> Result<Self> {
        let sample_of = maker(&config, Settings::CONFIGURATION)?;
        let (mut survey, mut unlabelled) = (Survey::default(), 0);
        let mut all = records(&config)?;
        while let Some(record) = all.next_record()? {
            let Some((sample, fields)) = sample(&sample_of, record) else { continue };
            unlabelled += u64::from(!held.has(&sample.id.0)?);
            fields.iter().for_each(|(field, value)| survey.add(field, value));
        }
        let text = match &config.text {
            TextFrom::Field(field) => field.as_str(),
            TextFrom::Template(_) => "",
        };
        let columns = survey.columns(&[text, &config.id_field]);
        let places = columns.iter().enumerate().map(|(place, column)| (column.field.clone(), place)).collect();
        let records = records(&config)?;
        Ok(Self { sample_of, records, columns, places, aside: Aside::default(), unlabelled })
    }

    /// The columns.
    pub(super) fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Rows of the corpus whose text has no label.
    pub(super) fn unlabelled(&self) -> u64 {
        self.unlabelled
    }

    /// The values of the columns in the first row with this id; `None` where the corpus has none, or has another text there than
    /// the one that was labelled, `text`. Asked of an id once. What is not `wanted` is passed over, and nothing is given.
    ///
    /// # Errors
    ///
    /// Those of a corpus that cannot be read, and of a disk that rows cannot be set aside on.
    pub(super) fn fields(&mut self, id: &str, text: Option<&str>, wanted: bool) -> Result<Option<Vec<Value>>> {
        let sought = key(id);
        if let Some(row) = self.aside.take(sought, text.map(short), wanted)? {
            return Ok(row);
        }
        while let Some(record) = self.records.next_record()? {
            let Some((sample, fields)) = sample(&self.sample_of, record) else { continue };
            if sample.id.0 == id {
                if text.is_some_and(|text| text != sample.text) {
                    return Ok(None);
                }
                return Ok(Some(if wanted { self.values(&fields) } else { Vec::new() }));
            }
            let values = self.values(&fields);
            self.aside.put(key(&sample.id.0), short(&sample.text), &values)?;
        }
        Ok(None)
    }

    fn values(&self, fields: &Fields) -> Vec<Value> {
        let mut values = vec![Value::Null; self.columns.len()];
        for (field, value) in fields.iter() {
            if let Some(place) = self.places.get(field).and_then(|&place| values.get_mut(place)) {
                place.clone_from(value);
            }
        }
        values
    }
}

/// The sample of a row, and all its fields; a row that is no sample is in no run.
fn sample(sample_of: &SampleOf, record: Record) -> Option<(Sample, Fields)> {
    let fields = record.fields.ok()?;
    let sample = sample_of.sample(fields.clone(), Vec::new).ok()?;
    Some((sample, fields))
}

/// Tells texts apart, in few bytes.
fn short(text: &str) -> u64 {
    key(text) as u64
}

/// Rows that came before they were asked for. The first of an id counts.
#[derive(Debug, Default)]
struct Aside {
    /// Where a row stands, and the text it has.
    places: HashMap<u128, (u64, u32, u64)>,
    /// The end of what was set aside.
    held: Vec<u8>,
    /// What comes before that, once there is so much; it has no name any more.
    file: Option<(PathBuf, File)>,
    in_file: u64,
}

impl Aside {
    fn put(&mut self, key: u128, text: u64, values: &[Value]) -> Result<()> {
        let at = self.in_file + self.held.len() as u64;
        let std::collections::hash_map::Entry::Vacant(entry) = self.places.entry(key) else { return Ok(()) };
        let before = self.held.len();
        // Into memory, of values that were read as JSON: it cannot fail.
        let _ = serde_json::to_writer(&mut self.held, values);
        entry.insert((at, u32::try_from(self.held.len() - before).unwrap_or(u32::MAX), text));
        if self.held.len() < HELD_BYTES { Ok(()) } else { self.spill() }
    }

    /// Takes a row out: `None` where there is none, and none of its values where it has another text.
    fn take(&mut self, key: u128, text: Option<u64>, wanted: bool) -> Result<Option<Option<Vec<Value>>>> {
        let Some((at, len, its_text)) = self.places.remove(&key) else { return Ok(None) };
        if text.is_some_and(|text| text != its_text) {
            return Ok(Some(None));
        }
        if !wanted {
            return Ok(Some(Some(Vec::new())));
        }
        self.values_at(at, len).map(Some)
    }

    fn values_at(&self, at: u64, len: u32) -> Result<Option<Vec<Value>>> {
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        if let Some(start) = at.checked_sub(self.in_file).and_then(|start| usize::try_from(start).ok()) {
            let row = self.held.get(start..start + len).unwrap_or_default();
            return Ok(serde_json::from_slice(row).ok());
        }
        let Some((path, file)) = &self.file else { return Ok(None) };
        let mut row = vec![0; len];
        let read = file.read_exact_at(&mut row, at);
        let read = read.and_then(|()| serde_json::from_slice(&row).map_err(io::Error::from));
        read.map(Some).map_err(Error::run_file("read", path))
    }

    fn spill(&mut self) -> Result<()> {
        if self.file.is_none() {
            let path =
                std::env::temp_dir().join(format!("candist-{}-{:016x}", std::process::id(), rand::random::<u64>()));
            let file = nameless(&path).map_err(Error::run_file("create", &path))?;
            self.file = Some((path, file));
        }
        let Some((path, file)) = &mut self.file else { return Ok(()) };
        file.write_all(&self.held).map_err(Error::run_file("write", path))?;
        self.in_file += self.held.len() as u64;
        self.held.clear();
        Ok(())
    }
}

/// A new file at `path` that is gone when it is closed, also by a kill.
fn nameless(path: &std::path::Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    std::fs::remove_file(path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rows_set_aside_come_back_once_from_memory_and_from_the_file() {
        let mut aside = Aside::default();
        let long = "x".repeat(HELD_BYTES / 8);
        for number in 0..20_u128 {
            aside.put(number, 7, &[json!(number as u64), json!(long)]).unwrap();
        }
        // The first of an id counts.
        aside.put(3, 7, &[json!("later")]).unwrap();
        assert!(aside.in_file > 0 && !aside.held.is_empty());
        for number in [19, 3, 0, 12_u128] {
            let row = aside.take(number, Some(7), true).unwrap().unwrap().unwrap();
            assert_eq!(row[0], json!(number as u64));
            assert_eq!(aside.take(number, Some(7), true).unwrap(), None);
        }
        assert_eq!(aside.take(5, None, false).unwrap(), Some(Some(vec![])));
        // Under its id there is another text.
        assert_eq!(aside.take(6, Some(8), true).unwrap(), Some(None));
    }
}
