//! What a worker asks by: a run's task and teachers, with the files that they name, as the trainer has them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::config::{Config, OpenAiConfig, TeacherConfig};
use crate::domain::label::{Label, LabelSet};
use crate::domain::sample::short_hash;
use crate::error::{Error, Result};

/// See the module. Holds no secret: keys are in the variables of whoever asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Setup {
    pub(super) task: String,
    instruction: String,
    labels: Vec<Label>,
    teachers: Vec<OpenAiConfig>,
    pub(super) max_cost: Option<Decimal>,
    /// By the paths in the teachers' configurations: the file's name, and the hash of what is in it.
    files: BTreeMap<PathBuf, (String, [u8; 16])>,
}

/// A file that a teacher needs.
pub(super) struct SharedFile {
    pub(super) hash: [u8; 16],
    pub(super) bytes: Vec<u8>,
}

impl Setup {
    /// That of `config`, and the files. Recordings are not in it: who trains asks those.
    pub(super) fn of(config: &Config) -> Result<(Self, Vec<SharedFile>)> {
        let teachers: Vec<OpenAiConfig> = config
            .teachers
            .iter()
            .filter_map(|teacher| match teacher {
                TeacherConfig::OpenAi(openai) => Some(openai.as_ref().clone()),
                TeacherConfig::Recorded(_) => None,
            })
            .collect();
        let (mut files, mut contents) = (BTreeMap::new(), Vec::new());
        for (what, path) in teachers.iter().flat_map(named_files) {
            let bytes = std::fs::read(path).map_err(|source| Error::Input { what, path: path.to_owned(), source })?;
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            let hash = short_hash(&[&bytes]);
            files.insert(path.to_owned(), (name, hash));
            contents.push(SharedFile { hash, bytes });
        }
        let setup = Self {
            task: config.task.name.clone(),
            instruction: config.task.instruction.clone(),
            labels: config.task.labels.iter().cloned().collect(),
            teachers,
            max_cost: config.run.max_cost,
            files,
        };
        Ok((setup, contents))
    }

    /// The labels, to read and write answers by.
    pub(super) fn labels(&self) -> Result<LabelSet> {
        LabelSet::new(self.labels.clone())
            .map_err(|error| Error::Shared { message: format!("the run {:?} in the database {error}", self.task) })
    }

    /// Their names.
    pub(super) fn teachers(&self) -> Vec<String> {
        self.teachers.iter().map(|teacher| teacher.name.clone()).collect()
    }

    /// The hashes of the files.
    pub(super) fn hashes(&self) -> Vec<[u8; 16]> {
        self.files.values().map(|(_, hash)| *hash).collect()
    }

    /// The configuration for a worker, with what it keeps in `dir`; `contents` has the files, which are written there.
    pub(super) fn config(&self, dir: &Path, contents: &[SharedFile]) -> Result<Config> {
        let names = self.labels.iter().map(|label| label.name.clone());
        let mut config = Config::new(&self.task, names, dir)?;
        config.task.instruction.clone_from(&self.instruction);
        config.task.labels = self.labels()?;
        config.run.max_cost = self.max_cost;
        let mut places = BTreeMap::new();
        for (path, (name, hash)) in &self.files {
            let folder = dir.join(crate::domain::sample::to_hex(*hash));
            // Only the name's last part, whatever the database says: nothing is written elsewhere.
            let name = Path::new(name).file_name().unwrap_or_else(|| "file".as_ref());
            let place = folder.join(name);
            let content = contents.iter().find(|file| file.hash == *hash).ok_or_else(|| Error::Shared {
                message: format!(
                    "the database lacks {}, which a teacher needs: start the trainer again",
                    path.display()
                ),
            })?;
            std::fs::create_dir_all(&folder).map_err(Error::run_file("create", &folder))?;
            std::fs::write(&place, &content.bytes).map_err(Error::run_file("write", &place))?;
            places.insert(path.as_path(), place);
        }
        config.teachers = self
            .teachers
            .iter()
            .map(|teacher| {
                let mut teacher = teacher.clone();
                let moved = |path: &mut PathBuf| {
                    if let Some(place) = places.get(path.as_path()) {
                        path.clone_from(place);
                    }
                };
                teacher.tokenizer.iter_mut().for_each(moved);
                teacher.prompt.examples.iter_mut().for_each(|examples| moved(&mut examples.path));
                TeacherConfig::OpenAi(Box::new(teacher))
            })
            .collect();
        Ok(config)
    }
}

/// The files that a teacher's configuration names.
fn named_files(teacher: &OpenAiConfig) -> Vec<(&'static str, &Path)> {
    let examples = teacher.prompt.examples.as_ref().map(|examples| ("examples", examples.path.as_path()));
    let tokenizer = teacher.tokenizer.as_deref().map(|path| ("tokenizer", path));
    examples.into_iter().chain(tokenizer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::teacher;
    use crate::teacher::ledger::Ledger;

    #[test]
    fn a_worker_asks_what_the_trainer_would() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(here.path().join("shots.jsonl"), "{\"text\": \"Thanks!\", \"label\": \"praise\"}\n").unwrap();
        let text = r#"
            [task]
            name = "reviews"
            instruction = "Say what this is"
            labels = ["praise", { name = "complaint", description = "of anything", aliases = ["gripe"] }]
            [corpus]
            path = "pool.jsonl"
            [[teachers]]
            kind = "openai"
            model = "m"
            base_url = "http://127.0.0.1:1/v1"
            examples = "shots.jsonl"
            draws = 3
            temperature = 0.7
            price = { input = 0.15, output = "0.6" }
        "#;
        let config = Config::parse(text, here.path(), None).unwrap();
        let (setup, files) = Setup::of(&config).unwrap();
        let sent: Setup = serde_json::from_str(&serde_json::to_string(&setup).unwrap()).unwrap();
        let worker = sent.config(there.path(), &files).unwrap();
        let open = |config: &Config| teacher::open_without_keys(config, &Ledger::new(None)).unwrap().remove(0);
        let (ours, theirs) = (open(&config), open(&worker));
        let sample = crate::Sample::unnamed("It came late.");
        assert_eq!(ours.identity(), theirs.identity());
        assert_eq!(ours.key(&sample, 2), theirs.key(&sample, 2));
        assert_eq!(ours.requests().unwrap().body(&sample).unwrap(), theirs.requests().unwrap().body(&sample).unwrap());
    }
}
