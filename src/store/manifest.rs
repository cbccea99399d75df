//! The manifest: whose run directory this is, which settings its labels come from, and where the corpus ended so far.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::sample::Position;

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
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        let manifest: Self = serde_json::from_slice(&bytes).map_err(|error| {
            Error::run_file("read", &path)(std::io::Error::new(std::io::ErrorKind::InvalidData, error))
        })?;
        if manifest.format != FORMAT {
            return Err(Error::Format { path, found: manifest.format, known: FORMAT });
        }
        Ok(Some(manifest))
    }

    /// Puts the manifest in `dir` in one step, on disk when this returns.
    pub fn write(&self, dir: &Path) -> Result<()> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        replace_file(&dir.join(FILE), &bytes)
    }
}

/// Writes `bytes` beside `path`, makes them durable, and renames them into place: old or new, never torn.
fn replace_file(path: &Path, bytes: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(Error::run_file("write", path))
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
}
