//! The configuration: raw (what was typed) → checked (no options left). All errors at once, each with its key.
//!
//! `reader` finds wrong keys and types, `checked` and `teacher` find wrong values, by the checks of `fields`. What they
//! refer to (files, folders, keys) is not looked at here: [`check`](crate::check) does that.

mod annotators;
mod checked;
mod corpus;
mod fields;
mod person;
mod raw;
mod raw_teacher;
mod reader;
mod settings;
mod teacher;

use std::path::{Path, PathBuf};

pub use checked::{
    Combine, Config, DeviceChoice, DistillConfig, EncoderConfig, NgramConfig, Precision, RefineryKind, RunConfig,
    SharedConfig, StudentConfig, StudentKind, Task,
};
pub(crate) use checked::{MOST_WEIGHTS, SPOOL};
pub use corpus::{CorpusConfig, CorpusFormat, TextFrom, delimiter, encoding, pattern};
pub use person::PersonConfig;
pub(crate) use raw::RawConfig;
use raw::{RawLabel, RawPaths};
pub use teacher::goes_unencrypted;
pub(crate) use teacher::is_loopback;
pub use teacher::{
    Choose, ExamplesConfig, HttpConfig, LimitsConfig, Mode, OpenAiConfig, Output, Price, PromptConfig, RecordedConfig,
    TeacherConfig,
};

use crate::error::Problem;
pub use crate::error::Problems;
use crate::error::{Error, Result};

impl Config {
    /// A configuration for a program that gives [`Run::builder`](crate::Run::builder) a corpus and teachers of its own: the
    /// task `task` with these labels in the run directory `dir`, and everything else as it is by default. Its fields can
    /// be changed.
    ///
    /// # Errors
    ///
    /// [`Error::Config`] if there are fewer than two labels, more than 65,535, or equal or empty names.
    ///
    /// ```
    /// let mut config = candist::Config::new("mood", ["good", "bad", "neither"], "runs/mood")?;
    /// config.distill.max_passes = Some(8);
    /// # Ok::<(), candist::Error>(())
    /// ```
    pub fn new<L: Into<String>>(
        task: &str,
        labels: impl IntoIterator<Item = L>,
        dir: impl Into<PathBuf>,
    ) -> Result<Self> {
        let mut raw = RawConfig::default();
        raw.task.name = Some(task.to_owned());
        raw.task.labels = Some(labels.into_iter().map(|label| RawLabel::Name(label.into())).collect());
        // A mark that there is none: a run that was given no corpus of its own then says what it lacks.
        raw.corpus.path = Some(RawPaths::Several(Vec::new()));
        let mut problems = Problems::default();
        // Past the check of teachers, of which the program brings its own.
        let checked =
            checked::check_with(annotators::Annotators::default(), raw, Path::new(""), Some(dir.into()), &mut problems);
        match checked {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(Error::Config { path: format!("the task {task:?}").into(), problems }),
        }
    }

    /// Reads and checks the TOML file at `path`. `run_dir` takes the place of `run.dir`. Relative paths in the file are
    /// relative to its folder.
    ///
    /// # Errors
    ///
    /// [`Error::ConfigFile`] if it cannot be read, [`Error::Config`] with all that is wrong with it at once.
    pub fn load(path: &Path, run_dir: Option<PathBuf>) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::ConfigFile { path: path.into(), source })?;
        // An empty parent means the current folder; joining to it keeps paths as they were typed.
        let base = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, base, run_dir).map_err(|problems| Error::Config { path: path.into(), problems })
    }

    /// Reads and checks the TOML `text`; relative paths in it are relative to `base`. `run_dir` takes the place of `run.dir`.
    ///
    /// # Errors
    ///
    /// All that is wrong with it at once, each with its key.
    pub fn parse(text: &str, base: &Path, run_dir: Option<PathBuf>) -> std::result::Result<Self, Problems> {
        let mut problems = Problems::default();
        let raw = reader::read(text, &mut problems);
        // After a syntax error everything would be missing: say only what is wrong.
        if problems.are_of_the_whole_file() {
            return Err(problems);
        }
        let checked = checked::check(raw, base, run_dir, &mut problems);
        match checked {
            Some(config) if problems.is_empty() => Ok(config),
            _ => Err(problems),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GOOD: &str = r#"
        [task]
        name = "t"
        labels = ["a", { name = "b", aliases = ["bee"] }]
        [corpus]
        path = "pool.jsonl"
        [[teachers]]
        kind = "recorded"
        path = "answers.jsonl"
    "#;

    fn problems(text: &str) -> String {
        match Config::parse(text, Path::new(""), None) {
            Ok(_) => String::new(),
            Err(problems) => problems.to_string(),
        }
    }

    #[test]
    fn a_short_configuration_is_filled_with_defaults() {
        let config = Config::parse(GOOD, Path::new("conf"), None).unwrap();
        assert_eq!(config.corpus.paths, [Path::new("conf/pool.jsonl")]);
        assert_eq!(config.run.dir, Path::new("conf/runs/t"));
        assert_eq!(config.task.labels.len(), 2);
        assert_eq!(config.distill.folds, 8);
        assert_eq!(config.corpus.text, TextFrom::Field("text".to_owned()));
    }

    #[test]
    fn all_errors_come_at_once_each_with_its_key() {
        let text = r#"
            [task]
            labels = []
            [corpus]
            path = 3
            text_feild = "body"
            [[teachers]]
            kind = "recorded"
            model = "gpt"
            [[teachers]]
            kind = "openai"
            base_url = "ftp://x"
            max_in_flight = "many"
            requests_per_minute = 0
            [student]
            dimension = -1
            [distil]
            folds = 1
            [distill]
            folds = 1
        "#;
        let problems = problems(text);
        for expected in [
            "`task.name` is missing",
            "`task.labels` has 0 labels",
            "`corpus.path` expected a path, or a list of paths",
            "`corpus.text_feild` is not a key candist knows; did you mean `text_field`?",
            "`teachers[0].path` is missing",
            "`teachers[0].model` belongs to kind \"openai\"",
            "`teachers[1].model` is missing",
            "`teachers[1].base_url` must begin with https:// or http://",
            "`teachers[1].max_in_flight` invalid type",
            "`teachers[1].requests_per_minute` must be",
            "`student.dimension` invalid value",
            "`distil` is not a key candist knows; did you mean `distill`?",
            "`distill.folds` must be 2 to 32",
        ] {
            assert!(problems.contains(expected), "{expected:?} is not among\n{problems}");
        }
        assert_eq!(problems.lines().count(), 13, "{problems}");
    }

    #[test]
    fn what_is_no_toml_is_said_once() {
        let problems = problems("[task\nname = 1");
        assert!(problems.contains("is not TOML") && !problems.contains("missing"), "{problems}");
    }

    #[test]
    fn two_teachers_need_two_names() {
        let text = format!("{GOOD}\n[[teachers]]\nkind = \"recorded\"\npath = \"other/answers.jsonl\"");
        assert!(problems(&text).contains("`teachers[1].name` is \"answers\", as an earlier teacher's"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC{0,80}") {
            let _ = problems(&text);
        }

        #[test]
        fn wrong_types_never_hide_a_right_configuration(
            key in prop::sample::select(vec!["student.dimension", "distill.folds", "run.dir", "task.name"]),
            value in prop::sample::select(vec!["true", "[1]", "{ a = 1 }"]),
        ) {
            let (table, key) = key.split_once('.').unwrap();
            let text = format!("[{table}]\n{key} = {value}\n");
            prop_assert!(!reader::reads(&text));
            let expected = format!("`{table}.{key}` invalid type");
            prop_assert!(problems(&text).contains(&expected));
        }
    }
}
