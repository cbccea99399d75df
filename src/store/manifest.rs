//! The manifest: whose run directory this is, which settings its labels come from, and where the corpus ended so far.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::durable::replace_file;
use crate::domain::label::{Label, LabelSet};
use crate::domain::sample::Position;
use crate::error::{Error, Result};

const FILE: &str = "manifest.json";
const FORMAT: u32 = 1;

/// The manifest of a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// The task's name.
    pub task: String,
    /// Its labels, in order.
    pub labels: Vec<String>,
    /// Hash of all that labels depend on besides corpus and answers: teachers, student, distillation.
    pub labelling: String,
    /// Where the corpus ended, each time it did: the number of samples then. Labels were made final there.
    pub ends: Vec<Position>,
}

/// The file: the manifest and the CRC-32 of its compact JSON.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    #[serde(flatten)]
    manifest: Manifest,
    crc: String,
}

impl Manifest {
    /// The manifest of a new run.
    #[must_use]
    pub fn new(task: String, labels: Vec<String>, labelling: String) -> Self {
        Self { format: FORMAT, task, labels, labelling, ends: Vec::new() }
    }

    /// What makes `other` another task, if it is one.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.task != other.task {
            return Some(format!("its name is {:?}, not {:?}", self.task, other.task));
        }
        let lacks = |labels: &[String], from: &[String]| labels.iter().find(|label| !from.contains(label)).cloned();
        if let Some(label) = lacks(&other.labels, &self.labels) {
            return Some(format!("it does not have the label {label:?}"));
        }
        if let Some(label) = lacks(&self.labels, &other.labels) {
            return Some(format!("it has the label {label:?}"));
        }
        (self.labels != other.labels).then(|| "its labels are in another order".to_owned())
    }

    /// Reads the manifest in `dir`; `None` if there is none.
    pub fn read(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        let damaged = |message: String| Error::Manifest { path: path.clone(), message };
        let Sealed { manifest, crc } = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(Error::Format { path, found: manifest.format, known: FORMAT });
        }
        if crc != manifest.crc() {
            return Err(damaged("it is not as it was written".to_owned()));
        }
        Ok(Some(manifest))
    }

    fn crc(&self) -> String {
        // Strings and numbers: serialising them cannot fail.
        format!("{:08x}", crc32fast::hash(&serde_json::to_vec(self).unwrap_or_default()))
    }

    /// The task's labels, without descriptions and aliases.
    pub fn label_set(&self) -> Result<LabelSet> {
        let label = |name: &String| Label { name: name.clone(), description: None, aliases: Vec::new() };
        LabelSet::new(self.labels.iter().map(label).collect())
            .map_err(|error| Error::Manifest { path: FILE.into(), message: error.to_string() })
    }

    /// Puts the manifest in `dir` in one step, on disk when this returns.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let sealed = Sealed { manifest: self.clone(), crc: self.crc() };
        let bytes = serde_json::to_vec_pretty(&sealed).unwrap_or_default();
        replace_file(&dir.join(FILE), &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_round_trips_and_another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), None);
        let mut manifest = Manifest::new("t".into(), vec!["a".into()], "x".into());
        manifest.ends.push(3);
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Some(manifest.clone()));
        manifest.format = 2;
        manifest.write(dir.path()).unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(Error::Format { found: 2, .. })));
    }

    #[test]
    fn a_changed_manifest_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for (from, to) in [("\"t\"", "\"u\""), ("3", "4"), ("{", "["), ("crc", "src")] {
            let mut manifest = Manifest::new("t".into(), vec!["a".into()], "x".into());
            manifest.ends.push(3);
            manifest.write(dir.path()).unwrap();
            let content = std::fs::read_to_string(&path).unwrap();
            assert!(content.contains(from));
            std::fs::write(&path, content.replacen(from, to, 1)).unwrap();
            assert!(matches!(Manifest::read(dir.path()), Err(Error::Manifest { .. })), "{from}");
        }
    }
}
