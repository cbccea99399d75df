//! The files of a corpus, one after the other.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::{Reader, Record, Records, Wanted};
use super::rows;
use super::sound::Sound;
use super::{Corpus, Row, SampleOf, Settings, spool};
use crate::config::CorpusConfig;
use crate::error::{Error, Result};

/// The files that `config` names, in the order in which they are read: as they are named, and what a pattern matches by name.
/// One that is named twice is read once.
///
/// # Errors
///
/// [`Error::Unfit`] for a pattern that matches nothing.
pub(crate) fn files(config: &CorpusConfig) -> Result<Vec<PathBuf>> {
    if config.is_stdin() {
        return kept(config);
    }
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    // A pattern such as `**/*.jsonl` is not meant for what candist keeps beside the texts.
    let run = config.spool.parent().and_then(|dir| std::fs::canonicalize(dir).ok());
    let is_ours = |file: &Path| {
        run.as_ref().is_some_and(|run| std::fs::canonicalize(file).is_ok_and(|file| file.starts_with(run)))
    };
    for path in &config.paths {
        let found = matches(path)?;
        let is_pattern = found.len() != 1 || found.first() != Some(path);
        files.extend(found.into_iter().filter(|file| !(is_pattern && is_ours(file)) && seen.insert(file.clone())));
    }
    Ok(files)
}

/// Whether the pattern `path` takes in a file at `out`, once it is there.
pub(crate) fn would_match(path: &Path, out: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).ok();
    let (Some(pattern), Some(out)) = (absolute(path), absolute(out)) else { return false };
    let pattern = pattern.to_str().and_then(|pattern| glob::Pattern::new(pattern).ok());
    let options = glob::MatchOptions {
        require_literal_separator: true,
        require_literal_leading_dot: true,
        ..glob::MatchOptions::new()
    };
    pattern.is_some_and(|pattern| pattern.matches_path_with(&out, options))
}

/// What a run has kept of standard input.
fn kept(config: &CorpusConfig) -> Result<Vec<PathBuf>> {
    let pieces = spool::pieces(&config.spool)?;
    if pieces.is_empty() {
        let message = "is read by `candist run` alone, which keeps what comes: nothing is kept yet, and this takes nothing \
                       of it. Write the texts to a file to look at them first";
        return Err(Error::Unfit { path: "standard input".into(), message: message.to_owned() });
    }
    Ok(pieces)
}

/// The files that `path` matches; itself where it is there, or is no pattern.
pub(crate) fn matches(path: &Path) -> Result<Vec<PathBuf>> {
    // What is there by that name is meant, whatever signs the name has; so are the folders on the way to a pattern.
    let there = path.ancestors().find(|folder| folder.symlink_metadata().is_ok());
    let rest = there.and_then(|there| path.strip_prefix(there).ok()).unwrap_or(path);
    let Some(pattern) = rest.to_str().filter(|rest| rest.contains(['*', '?', '['])) else {
        return Ok(vec![path.to_owned()]);
    };
    let unfit = |message: String| Error::Unfit { path: path.to_owned(), message };
    let pattern = match there.map(Path::to_str) {
        Some(Some("")) | None => pattern.to_owned(),
        Some(Some(there)) => format!("{}/{pattern}", glob::Pattern::escape(there.trim_end_matches('/'))),
        Some(None) => return Err(unfit("is a pattern in a folder whose name is not UTF-8: name the files".to_owned())),
    };
    // A file that is hidden is not meant by `*`.
    let options = glob::MatchOptions { require_literal_leading_dot: true, ..glob::MatchOptions::new() };
    let found = glob::glob_with(&pattern, options).map_err(|error| unfit(format!("is no pattern: {error}")))?;
    let mut files = Vec::new();
    for path in found {
        let path =
            path.map_err(|error| Error::Input { what: "folder", path: error.path().to_owned(), source: error.into() })?;
        if !path.is_dir() {
            files.push(path);
        }
    }
    if files.is_empty() {
        return Err(unfit(
            "matches no file: check the pattern (that of a configuration is seen from its folder)".to_owned(),
        ));
    }
    files.sort();
    Ok(files)
}

/// What files are called where their rows are spoken of: their names, or as they are named where two have one name.
fn called(files: &[PathBuf]) -> impl Fn(&Path) -> String + use<> {
    let names: HashSet<_> = files.iter().map(|file| file.file_name()).collect();
    let are_unique = names.len() == files.len();
    move |file| match file.file_name() {
        Some(name) if are_unique => name.to_string_lossy().into_owned(),
        _ => file.to_string_lossy().into_owned(),
    }
}

/// The samples of several files.
pub(super) struct Files {
    config: Arc<CorpusConfig>,
    settings: Settings,
    sample_of: Arc<SampleOf>,
    called: Box<dyn Fn(&Path) -> String + Send>,
    left: VecDeque<PathBuf>,
    open: Option<Sound>,
    /// What the file is called whose row was given last.
    name: String,
}

impl Files {
    /// Opens each of `files` and looks at its first rows, so that a mistake shows before anything is asked. At least one has
    /// to have a row.
    pub(super) fn open(config: &CorpusConfig, settings: Settings, files: Vec<PathBuf>) -> Result<Self> {
        let sample_of =
            SampleOf::new(config, settings).map_err(|message| Error::Unfit { path: config.shown().into(), message })?;
        let mut files = Self {
            config: Arc::new(config.clone()),
            settings,
            sample_of: Arc::new(sample_of),
            called: Box::new(called(&files)),
            left: files.into(),
            open: None,
            name: String::new(),
        };
        let (mut first, mut has_rows) = (None, false);
        let (mut sound, mut unfit) = (VecDeque::new(), None);
        for file in std::mem::take(&mut files.left) {
            match files.begin(&file) {
                Ok((begun, has)) => {
                    has_rows |= has;
                    first.get_or_insert(begun);
                    sound.push_back(file);
                }
                // A piece of standard input that was none of this corpus is kept like the others, and must not be in their way.
                Err(error @ Error::Unfit { .. }) if config.is_stdin() => drop(unfit.get_or_insert(error)),
                Err(error) => return Err(error),
            }
        }
        files.left = sound;
        if let (false, Some(error)) = (has_rows, unfit) {
            return Err(error);
        }
        if !has_rows {
            let what = if files.left.len() > 1 { "are all empty" } else { "is empty" };
            let message = format!("{what}: write texts into it, e.g. one {{\"id\": \"..\", \"text\": \"..\"}} a line");
            return Err(Error::Unfit { path: config.shown().into(), message });
        }
        files.next_name();
        files.open = first;
        Ok(files)
    }

    /// Opens a file and looks at its first rows; says whether there are any.
    fn begin(&self, file: &Path) -> Result<(Sound, bool)> {
        let mut sound = self.sound(file)?;
        let has_rows = sound.begin()?;
        Ok((sound, has_rows))
    }

    /// Opens a file.
    fn sound(&self, file: &Path) -> Result<Sound> {
        let opened = rows::open(file, &self.config, self.settings, &self.sample_of.wanted())?;
        Ok(opened.sound(file, Arc::clone(&self.sample_of)))
    }

    /// Goes to the next file.
    fn next_name(&mut self) -> Option<PathBuf> {
        let file = self.left.pop_front()?;
        self.name = (self.called)(&file);
        Some(file)
    }
}

impl Corpus for Files {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn next_row(&mut self) -> Result<Option<Row>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(row) = open.next_row()?
            {
                return Ok(Some(row));
            }
            let Some(file) = self.next_name() else { return Ok(None) };
            self.open = Some(self.sound(&file)?);
        }
    }
}

/// The rows of several files, as they have them.
pub(super) struct FileRecords {
    config: CorpusConfig,
    settings: Settings,
    wanted: Wanted,
    left: VecDeque<PathBuf>,
    open: Option<Box<dyn Reader>>,
    /// The file whose row was given last.
    file: PathBuf,
}

impl FileRecords {
    pub(super) fn new(config: &CorpusConfig, settings: Settings, wanted: Wanted, files: Vec<PathBuf>) -> Self {
        Self { config: config.clone(), settings, wanted, left: files.into(), open: None, file: PathBuf::new() }
    }
}

impl Records for FileRecords {
    fn next_record(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(record) = open.next()?
            {
                return Ok(Some(record));
            }
            let Some(file) = self.left.pop_front() else { return Ok(None) };
            self.open = Some(rows::open(&file, &self.config, self.settings, &self.wanted)?.reader);
            self.file = file;
        }
    }

    fn file(&self) -> String {
        self.file.display().to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_files_by_name_and_only_what_is_no_name_is_a_pattern() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("[odd]/sub.jsonl")).unwrap();
        for name in ["b.jsonl", "a.jsonl", ".hidden.jsonl", "c.csv", "[odd]/x.jsonl", "[1].jsonl"] {
            std::fs::write(at(name), "").unwrap();
        }
        let found = |name: &str| {
            let found = matches(&at(name))?;
            Ok::<_, Error>(
                found
                    .into_iter()
                    .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(found("*.jsonl").unwrap(), ["[1].jsonl", "a.jsonl", "b.jsonl"]);
        assert_eq!(found("[ab].jsonl").unwrap(), ["a.jsonl", "b.jsonl"]);
        assert_eq!(found("[odd]/*.jsonl").unwrap(), ["[odd]/x.jsonl"], "folders are no files");
        assert_eq!(found("[1].jsonl").unwrap(), ["[1].jsonl"], "its own name goes first");
        assert_eq!(found("none.jsonl").unwrap(), ["none.jsonl"], "opening it says that it is not there");
        assert!(found("*.parquet").unwrap_err().to_string().contains("*.parquet matches no file"));
        let config = CorpusConfig::of(vec![at("b.jsonl"), at("*.jsonl")]);
        assert_eq!(files(&config).unwrap().len(), 3, "each once");
    }

    #[test]
    fn files_with_one_name_are_told_apart() {
        let name = called(&["x/a.csv".into(), "b.csv".into()]);
        assert_eq!(name(Path::new("x/a.csv")), "a.csv");
        let name = called(&["x/a.csv".into(), "a.csv".into()]);
        assert_eq!(name(Path::new("x/a.csv")), "x/a.csv");
    }
}
