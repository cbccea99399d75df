//! Batch files: the questions of a corpus as a provider's batch input, and its results back into the store.
//!
//! A request's `custom_id` is the key of its answer. Results may come in any order, partly failed, and twice: an answer
//! that is stored is not stored again. An export looks, an import owns the run directory while it works. Both work on
//! the caller's thread and read the whole corpus, line by line.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::executor::block_on;
use serde::Deserialize;
use serde_json::{Value, json};

use super::fingerprint;
use super::known::Known;
use super::plan::Plan;
use crate::base::durable::remove;
use crate::config::Config;
use crate::corpus;
use crate::domain::answer::{AnswerKey, AnswerRecord};
use crate::domain::sample::{Sample, TextHash, from_hex};
use crate::error::{Error, Result};
use crate::store::{RunDir, Store, outside};
use crate::teacher::ledger::Ledger;
use crate::teacher::{self, Teacher};

/// What providers take in one file.
const MAX_REQUESTS: u64 = 50_000;
const MAX_BYTES: u64 = 200 << 20;
/// Results that are held at a time.
/// Bounds the memory: providers put results in any order, so they are matched with texts in passes over the corpus, one
/// for so many.
const HELD: usize = 50_000;

/// What an export wrote.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// The files.
    pub files: Vec<PathBuf>,
    /// Requests in them.
    pub requests: u64,
    /// Answers that are stored already, and not asked for.
    pub stored: u64,
}

/// What an import found.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Imported {
    /// Answers that are now stored.
    pub new: u64,
    /// Answers that were stored before.
    pub known: u64,
    /// Results that are errors; their texts stay to be asked.
    pub failed: u64,
    /// Results that answer no text of this corpus and configuration, and lines that are no results.
    pub foreign: u64,
}

/// Writes what a run of `config` would ask next to files `NAME-0001.jsonl`, ... in `out`, which is made; NAME being the teacher's
/// name. A file has at most 50,000 requests and 200 MiB. In a cascade
/// a text is asked of the first teacher that has not answered; once its results are in, another export asks the next one where
/// it is unsure. Files that an earlier export of more requests left in `out` are removed.
///
/// # Errors
///
/// As those of a run where corpus, teachers or run directory cannot be used; [`Error::TeacherConfig`] for a text of which no
/// request can be made; [`Error::RunFile`] for a file that cannot be written.
pub fn export(config: &Config, out: &Path) -> Result<Exported> {
    let known = Known::read(config)?;
    outside(&config.run.dir, out)?;
    std::fs::create_dir_all(out).map_err(Error::run_file("create", out))?;
    let mut exported = Exported::default();
    let mut stems = HashSet::new();
    for (number, teacher) in known.teachers.iter().enumerate() {
        let Some(requests) = teacher.requests() else { continue };
        let mut stem = file_stem(teacher.name());
        while !stems.insert(stem.clone()) {
            // Two names may be alike but for what no file's name can have.
            stem = format!("{stem}-{number}");
        }
        let mut files = Files::new(out, stem, MAX_REQUESTS, MAX_BYTES);
        // Equal texts have one key, and are asked about once.
        let mut keys = HashSet::new();
        // From its start for each teacher: one file after the other is open, whatever the number of teachers.
        let mut corpus = corpus::open(&config.corpus)?;
        while let Some(row) = corpus.next_row()? {
            let Ok(sample) = row.sample else { continue };
            if known.arrived(&sample)?.is_some() || !known.is_turn_of(number, &sample, config.combine)? {
                continue;
            }
            for draw in 0..teacher.draws() {
                let key = teacher.key(&sample, draw);
                if known.has(teacher.as_ref(), key)? {
                    exported.stored += 1;
                } else if keys.insert(key) {
                    // The same request that a run would send, so the answer is the one that the key stands for.
                    let wrong = |message| Error::TeacherConfig { teacher: teacher.name().to_owned(), message };
                    let (url, body) = requests.body(&sample).map_err(wrong)?;
                    let line = json!({"custom_id": key.to_hex(), "method": "POST", "url": url, "body": body});
                    files.write(&line.to_string(), &mut exported.files)?;
                    exported.requests += 1;
                }
            }
        }
        files.end()?;
    }
    Ok(exported)
}

/// A teacher's name as the beginning of a file's name: it must stay in its folder.
fn file_stem(name: &str) -> String {
    name.chars()
        .map(|c| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect::<String>()
        .replace("..", "_")
}

/// The path of one of a teacher's files.
fn numbered(out: &Path, stem: &str, number: u32) -> PathBuf {
    out.join(format!("{stem}-{number:04}.jsonl"))
}

/// The files of one teacher, each within what providers take.
struct Files<'a> {
    out: &'a Path,
    stem: String,
    number: u32,
    open: Option<(PathBuf, BufWriter<File>)>,
    /// In the file that is open.
    requests: u64,
    bytes: u64,
    max_requests: u64,
    max_bytes: u64,
}

impl<'a> Files<'a> {
    fn new(out: &'a Path, stem: String, max_requests: u64, max_bytes: u64) -> Self {
        Self { out, stem, number: 0, open: None, requests: 0, bytes: 0, max_requests, max_bytes }
    }

    /// Writes a line, in a new file where the open one is full; the file's name goes to `written`. A line that is
    /// longer than a file may be gets one of its own.
    fn write(&mut self, line: &str, written: &mut Vec<PathBuf>) -> Result<()> {
        let bytes = line.len() as u64 + 1;
        if self.requests >= self.max_requests || self.bytes + bytes > self.max_bytes {
            self.close()?;
        }
        let (path, file) = match &mut self.open {
            Some(open) => open,
            closed => {
                self.number += 1;
                let path = numbered(self.out, &self.stem, self.number);
                let file = File::create(&path).map_err(Error::run_file("create", &path))?;
                written.push(path.clone());
                (self.requests, self.bytes) = (0, 0);
                closed.insert((path, BufWriter::new(file)))
            }
        };
        writeln!(file, "{line}").map_err(Error::run_file("write", path))?;
        self.requests += 1;
        self.bytes += bytes;
        Ok(())
    }

    /// What is buffered is written only here: dropped without it, a file may lack its end.
    fn close(&mut self) -> Result<()> {
        match self.open.take() {
            Some((path, mut file)) => file.flush().map_err(Error::run_file("write", &path)),
            None => Ok(()),
        }
    }

    /// Ends the last file, and removes those that an earlier, larger export left behind it: whoever sends all that is in the
    /// folder would pay for what they ask a second time.
    fn end(mut self) -> Result<()> {
        self.close()?;
        for number in self.number + 1.. {
            let path = numbered(self.out, &self.stem, number);
            if !path.exists() {
                return Ok(());
            }
            remove(&path)?;
        }
        Ok(())
    }
}

/// A line of a provider's results.
#[derive(Debug, Deserialize)]
struct ResultLine {
    /// The key of the answer in hexadecimal, as the export wrote it.
    custom_id: String,
    /// None where the request failed; then there is an `error`, which nothing is made of.
    #[serde(default)]
    response: Option<Response>,
}

#[derive(Debug, Deserialize)]
struct Response {
    status_code: u16,
    /// What the server would have replied to the request by itself.
    #[serde(default)]
    body: Value,
}

/// Takes the results in `files` into the run directory of `config`, the costs at batch prices. A run then labels with them.
/// Whatever is taken in twice counts once.
///
/// # Errors
///
/// [`Error::Busy`] beside a run; [`Error::Input`] for a file that cannot be read, and those of a run that cannot begin.
pub fn import(config: &Config, files: &[PathBuf]) -> Result<Imported> {
    let ledger = Ledger::new(config.run.max_cost);
    let teachers = teacher::open_without_keys(config, &ledger)?;
    let identity = fingerprint::identity(&Plan::of(config.clone()), &teachers)?;
    // As a run would: other prompts than those of the directory begin a new log, and a run beside this is an error.
    let owned = RunDir::own(&config.run.dir, identity)?;
    let opened = owned.store(None, &|| false)?;
    ledger.take_up(&config.run.dir, opened.totals().cost)?;
    // An answer that was lost from the index would be counted as new.
    opened.check()(&|| false)?;
    let (store, writer) = opened.start(&config.run.dir, owned.lock())?;
    let mut import = Import {
        config,
        teachers: &teachers,
        ledger: &ledger,
        store: &store,
        imported: Imported::default(),
        held: HashMap::new(),
        taken: Vec::new(),
    };
    let taken = files.iter().try_for_each(|path| import.file(path)).and_then(|()| import.match_held());
    let imported = import.imported;
    drop(store);
    let written = writer.join().map_err(|_| Error::gone("store"))?;
    // What the store says is the cause of what followed.
    written.and(taken).and_then(|()| ledger.close()).map(|()| imported)
}

/// An import under way.
struct Import<'a> {
    config: &'a Config,
    teachers: &'a [Arc<dyn Teacher>],
    ledger: &'a Ledger,
    store: &'a Store,
    imported: Imported,
    /// Results whose text has not been found yet; of two with one key the later.
    held: HashMap<AnswerKey, Value>,
    /// Answers that are to be stored with the end of this pass.
    taken: Vec<AnswerRecord>,
}

impl Import<'_> {
    /// Reads a file of results. A line is held whole, however long: the files are a provider's, and a person named
    /// them.
    fn file(&mut self, path: &Path) -> Result<()> {
        let unreadable = |source| Error::Input { what: "batch results", path: path.to_owned(), source };
        let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line).map_err(unreadable)? > 0 {
            self.line(&line);
            line.clear();
            if self.held.len() >= HELD {
                self.match_held()?;
            }
        }
        Ok(())
    }

    /// Holds a result, or counts why not. A line that cannot be read is counted as foreign: a file that is no batch
    /// file then says so by its numbers, and an odd line costs no others.
    fn line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let result = serde_json::from_slice::<ResultLine>(line).ok();
        let Some((key, response)) = result.and_then(|line| Some((from_hex(&line.custom_id)?, line.response))) else {
            self.imported.foreign += 1;
            return;
        };
        match response {
            // Held as it is: which teacher is to read it shows with the text.
            Some(response) if response.status_code == 200 => {
                self.held.insert(AnswerKey(key), response.body);
            }
            _ => self.imported.failed += 1,
        }
    }

    /// Finds the texts of the results that are held, in one pass over the corpus, and stores their answers.
    fn match_held(&mut self) -> Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let mut corpus = corpus::open(&self.config.corpus)?;
        while let Some(row) = corpus.next_row()? {
            let Ok(sample) = row.sample else { continue };
            for teacher in self.teachers {
                for draw in 0..teacher.draws() {
                    let key = teacher.key(&sample, draw);
                    if let Some(body) = self.held.remove(&key) {
                        self.take(teacher.as_ref(), key, &sample, &body)?;
                    }
                }
            }
        }
        // Whatever no text of the corpus asks for: another configuration's, or of a text that is gone.
        self.imported.foreign += self.held.len() as u64;
        self.held.clear();
        self.store_taken()
    }

    /// Stores what was taken: the costs first, so that a kill cannot hide what was spent.
    fn store_taken(&mut self) -> Result<()> {
        let taken = std::mem::take(&mut self.taken);
        self.ledger.add(taken.iter().filter_map(|record| record.answer.cost).sum())?;
        self.imported.new += taken.len() as u64;
        block_on(self.store.answers.keep(taken))
    }

    /// Makes an answer of a result, unless the store has one that a run would use.
    fn take(&mut self, teacher: &dyn Teacher, key: AnswerKey, sample: &Sample, body: &Value) -> Result<()> {
        let before = block_on(self.store.answers.find(&[key]))?.pop().flatten();
        if before.as_ref().is_some_and(|record| record.is_settled(teacher.attempts())) {
            self.imported.known += 1;
            return Ok(());
        }
        let read = teacher.requests().map(|requests| requests.read(body.to_string().as_bytes()));
        let Some(Ok(answer)) = read else {
            self.imported.failed += 1;
            return Ok(());
        };
        // The same result again is no second try.
        if before.as_ref().is_some_and(|record| record.answer.raw == answer.raw) {
            self.imported.known += 1;
            return Ok(());
        }
        self.taken.push(AnswerRecord {
            key,
            id: sample.id.clone(),
            text_hash: TextHash::of(&sample.text),
            teacher: teacher.name().to_owned(),
            // A try like any other: the index takes the latest of a key.
            attempt: before.map_or(0, |record| record.attempt) + 1,
            answer,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_full_is_followed_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::new(dir.path(), file_stem("../gpt 4"), 3, 20);
        let mut written = Vec::new();
        for line in ["1", "2", "3", "4", "a long line of 18", "5"] {
            files.write(line, &mut written).unwrap();
        }
        files.close().unwrap();
        let contents: Vec<String> = written.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
        assert_eq!(contents, ["1\n2\n3\n", "4\na long line of 18\n", "5\n"]);
        assert!(written.iter().all(|path| path.parent() == Some(dir.path())), "{written:?}");
        assert!(written[2].ends_with("__gpt_4-0003.jsonl"), "{written:?}");
    }
}
