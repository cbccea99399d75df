//! The manifest: whose run directory this is, and which settings its labels come from. A cache: the input log says the
//! first, and labels that come of other settings are noticed. It is written last when a run directory is made or
//! changed: while it is not that of the settings, whatever comes before it is done again.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::base::durable::{remove, replace_file};
use crate::domain::sample::Position;
use crate::error::{Error, Result};

const FILE: &str = "manifest.json";
const FORMAT: u32 = 2;

/// The manifest of a run directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    format: u32,
    /// Random name of the run directory, as the input log has it.
    pub(crate) run: String,
    /// The task's name.
    pub(crate) task: String,
    /// Hash of all that labels depend on besides the input log: student and distillation. Where it differs, labels
    /// are written anew.
    pub(crate) labelling: String,
}

/// How a manifest was before there was an input log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Format1 {
    format: u32,
    pub(crate) task: String,
    pub(crate) labels: Vec<String>,
    /// Hash of teachers, student and distillation.
    pub(crate) labelling: String,
    /// Where the corpus ended, each time it did: the number of samples then.
    pub(crate) ends: Vec<Position>,
}

/// The file: what it says, and the CRC-32 of its compact JSON, in hexadecimal. A person may lay it out otherwise
/// without breaking it.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed<T> {
    #[serde(flatten)]
    content: T,
    crc: String,
}

#[derive(Debug, Deserialize)]
struct AnyFormat {
    format: u32,
}

/// What stands in the manifest's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Nothing,
    /// One of this format.
    Current(Manifest),
    /// One of a run directory of the format before.
    Old(Format1),
    /// Something that cannot be read: why.
    Damaged(String),
}

impl Manifest {
    pub(crate) fn new(run: String, task: String, labelling: String) -> Self {
        Self { format: FORMAT, run, task, labelling }
    }

    /// Reads the manifest in `dir`. A damaged one is no error.
    ///
    /// # Errors
    ///
    /// [`Error::Format`] for one of a later format, [`Error::RunFile`] where it cannot be read.
    pub(crate) fn read(dir: &Path) -> Result<Found> {
        let path = dir.join(FILE);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(Found::Nothing);
            }
            Err(source) => return Err(Error::run_file("read", &path)(source)),
        };
        match serde_json::from_slice::<AnyFormat>(&bytes) {
            Ok(AnyFormat { format: FORMAT }) => Ok(unseal(&bytes).map_or_else(Found::Damaged, Found::Current)),
            Ok(AnyFormat { format: 1 }) => Ok(unseal(&bytes).map_or_else(Found::Damaged, Found::Old)),
            Ok(AnyFormat { format }) => Err(Error::Format { path, found: format, known: FORMAT }),
            Err(error) => Ok(Found::Damaged(error.to_string())),
        }
    }

    /// Puts the manifest in `dir` in one step, on disk when this returns.
    pub(crate) fn write(&self, dir: &Path) -> Result<()> {
        let sealed = Sealed { content: self, crc: crc(self) };
        replace_file(&dir.join(FILE), &serde_json::to_vec_pretty(&sealed).unwrap_or_default())
    }

    /// Removes the manifest in `dir`, durably.
    pub(crate) fn forget(dir: &Path) -> Result<()> {
        remove(&dir.join(FILE))
    }
}

fn unseal<T: Serialize + for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    let Sealed { content, crc: found } =
        serde_json::from_slice::<Sealed<T>>(bytes).map_err(|error| error.to_string())?;
    if found == crc(&content) { Ok(content) } else { Err("it is not as it was written".to_owned()) }
}

fn crc(content: &impl Serialize) -> String {
    // Strings and numbers: serialising them cannot fail.
    format!("{:08x}", crc32fast::hash(&serde_json::to_vec(content).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_round_trips_and_another_format_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Found::Nothing);
        let mut manifest = Manifest::new("r".into(), "t".into(), "x".into());
        manifest.write(dir.path()).unwrap();
        assert_eq!(Manifest::read(dir.path()).unwrap(), Found::Current(manifest.clone()));
        manifest.format = 3;
        manifest.write(dir.path()).unwrap();
        assert!(matches!(Manifest::read(dir.path()), Err(Error::Format { found: 3, .. })));
    }

    #[test]
    fn a_changed_manifest_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for (from, to) in [("\"t\"", "\"u\""), ("{", "["), ("crc", "src")] {
            Manifest::new("r".into(), "t".into(), "x".into()).write(dir.path()).unwrap();
            let content = std::fs::read_to_string(&path).unwrap();
            assert!(content.contains(from));
            std::fs::write(&path, content.replacen(from, to, 1)).unwrap();
            assert!(matches!(Manifest::read(dir.path()).unwrap(), Found::Damaged(_)), "{from}");
        }
    }
}
