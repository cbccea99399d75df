//! The checked configuration: every value present, in range, and of its own type.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use super::raw::{RawConfig, RawCorpus, RawDistill, RawLabel, RawRun, RawStudent, RawTask, RawTeacher};
use super::{Problem, Problems};
use crate::label::{Label, LabelSet, nearest};

/// A run's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to annotate with.
    pub task: Task,
    /// The texts.
    pub corpus: CorpusConfig,
    /// Who is asked; their answers are merged in this order. Never empty.
    pub teachers: Vec<TeacherConfig>,
    /// The student.
    pub student: StudentConfig,
    /// The distillation.
    pub distill: DistillConfig,
    /// The run.
    pub run: RunConfig,
}

/// The task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its name; a run directory belongs to one.
    pub name: String,
    /// What the teacher is asked to identify.
    pub instruction: String,
    /// The closed set of labels.
    pub labels: LabelSet,
}

/// The corpus: a JSONL file.
#[derive(Debug, Clone)]
pub struct CorpusConfig {
    /// The file.
    pub path: PathBuf,
    /// The field of the text.
    pub text_field: String,
    /// The field of the id.
    pub id_field: String,
    /// Bytes of a line, at most.
    pub max_line_bytes: usize,
}

/// A teacher.
#[derive(Debug, Clone)]
pub enum TeacherConfig {
    /// A file of answers.
    Recorded(RecordedConfig),
    /// An OpenAI-compatible server.
    OpenAi(OpenAiConfig),
}

impl TeacherConfig {
    /// The teacher's name in the journal.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Recorded(recorded) => &recorded.name,
            Self::OpenAi(openai) => &openai.name,
        }
    }

    fn max_in_flight(&self) -> usize {
        match self {
            Self::Recorded(_) => RECORDED_IN_FLIGHT,
            Self::OpenAi(openai) => openai.max_in_flight,
        }
    }
}

/// A recording costs nothing to ask; what is in flight are journal writes, which go to disk in groups.
const RECORDED_IN_FLIGHT: usize = 64;

/// A file of answers.
#[derive(Debug, Clone)]
pub struct RecordedConfig {
    /// The teacher's name.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// An OpenAI-compatible server.
#[derive(Debug, Clone)]
pub struct OpenAiConfig {
    /// The teacher's name.
    pub name: String,
    /// The API's address, without a slash at the end.
    pub base_url: String,
    /// The model.
    pub model: String,
    /// The environment variable of the key, if one is to be sent.
    pub api_key_env: Option<String>,
    /// Requests per minute.
    pub requests_per_minute: Option<u32>,
    /// Tokens per minute.
    pub tokens_per_minute: Option<u32>,
    /// Requests in flight.
    pub max_in_flight: usize,
    /// Sampling temperature.
    pub temperature: f64,
    /// Tokens of an answer.
    pub max_tokens: u32,
    /// When a request counts as lost.
    pub timeout: Duration,
    /// How often a request is sent again.
    pub max_retries: u32,
}

/// The student.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StudentConfig {
    /// Size of an embedding.
    pub dimension: u32,
    /// Hash buckets.
    pub buckets: u32,
    /// Step size.
    pub learning_rate: f64,
    /// Seed of everything random.
    pub seed: u64,
    /// libtorch's threads.
    pub threads: u32,
}

/// Which refinery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefineryKind {
    /// Candidates as evidence, the student as prior.
    Posterior,
    /// The student within the candidates (PRODEN).
    Renormalise,
    /// All candidates alike.
    Uniform,
}

/// The distillation.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct DistillConfig {
    /// The refinery.
    pub refinery: RefineryKind,
    /// Copies of the student.
    pub folds: u32,
    /// New samples per training step.
    pub block: usize,
    /// Replayed batches per training step.
    pub replay: u32,
    /// Samples in the replay memory.
    pub memory: usize,
    /// Passes at the end.
    pub max_passes: u32,
}

/// The run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The run directory.
    pub dir: PathBuf,
    /// Samples between the first unanswered and the last sent one.
    pub window: usize,
    /// Work that a crash may make the student repeat.
    pub checkpoint_every: Duration,
}

/// `path` as seen from `base`, with `folder/..` taken out where that names the same place.
fn resolve(base: &Path, path: PathBuf) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in base.join(path).components() {
        let ends_in_folder = matches!(resolved.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && ends_in_folder && !resolved.is_symlink() {
            resolved.pop();
        } else {
            resolved.push(part);
        }
    }
    resolved
}

/// Checks `raw`. `None` only when `problems` says why.
pub(super) fn check(raw: RawConfig, base: &Path, run_dir: Option<PathBuf>, problems: &mut Problems) -> Option<Config> {
    let task = task(raw.task, problems);
    let corpus = corpus(raw.corpus, base, problems);
    let teachers = teachers(raw.teachers, base, problems);
    let student = student(&raw.student, problems);
    let distill = distill(&raw.distill, problems);
    let run = run(raw.run, base, run_dir, task.as_ref().map_or("", |task| &task.name), &teachers, problems);
    Some(Config { task: task?, corpus: corpus?, teachers, student: student?, distill: distill?, run })
}

fn task(raw: RawTask, problems: &mut Problems) -> Option<Task> {
    let name = required("task.name", raw.name.filter(|name| !name.trim().is_empty()), "a name for the task", problems);
    if raw.labels.is_none() {
        problems.push(Problem::at("task.labels", "is missing: list the labels, e.g. labels = [\"yes\", \"no\"]"));
    }
    let labels = raw
        .labels?
        .into_iter()
        .map(|label| match label {
            RawLabel::Name(name) => Label { name, description: None, aliases: Vec::new() },
            RawLabel::Full(full) => Label { name: full.name, description: full.description, aliases: full.aliases },
        })
        .collect();
    let labels =
        LabelSet::new(labels).map_err(|error| problems.push(Problem::at("task.labels", error.to_string()))).ok();
    Some(Task {
        name: name?,
        instruction: raw.instruction.unwrap_or_else(|| "Identify the label of this text".to_owned()),
        labels: labels?,
    })
}

fn corpus(raw: RawCorpus, base: &Path, problems: &mut Problems) -> Option<CorpusConfig> {
    let path = required("corpus.path", raw.path, "the JSONL file of texts", problems)?;
    Some(CorpusConfig {
        path: resolve(base, path),
        text_field: raw.text_field.unwrap_or_else(|| "text".to_owned()),
        id_field: raw.id_field.unwrap_or_else(|| "id".to_owned()),
        max_line_bytes: usize::try_from(raw.max_line_bytes.unwrap_or(1 << 20)).unwrap_or(usize::MAX),
    })
}

fn teachers(raw: Vec<RawTeacher>, base: &Path, problems: &mut Problems) -> Vec<TeacherConfig> {
    if raw.is_empty() {
        problems.push(Problem::at(
            "teachers",
            "is missing: add a [[teachers]] table with kind = \"recorded\" or \"openai\"",
        ));
    }
    let mut teachers: Vec<TeacherConfig> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("teachers.{index}.{name}");
        let teacher = match raw.kind.as_deref() {
            Some("recorded") => recorded(raw, base, &key, problems),
            Some("openai") => openai(raw, &key, problems),
            other => {
                let message = match other {
                    None => "is missing: \"recorded\" or \"openai\"".to_owned(),
                    Some(kind) => format!("is {kind:?}: \"recorded\" and \"openai\" are the kinds there are"),
                };
                problems.push(Problem::at(&key("kind"), message));
                None
            }
        };
        let Some(teacher) = teacher else { continue };
        if teachers.iter().any(|other| other.name() == teacher.name()) {
            let message = format!("is {:?}, as an earlier teacher's: give one of them another name", teacher.name());
            problems.push(Problem::at(&key("name"), message));
        }
        teachers.push(teacher);
    }
    teachers
}

fn recorded(
    raw: RawTeacher,
    base: &Path,
    key: &dyn Fn(&str) -> String,
    problems: &mut Problems,
) -> Option<TeacherConfig> {
    for (name, given) in [
        ("base_url", raw.base_url.is_some()),
        ("model", raw.model.is_some()),
        ("api_key_env", raw.api_key_env.is_some()),
        ("requests_per_minute", raw.requests_per_minute.is_some()),
        ("tokens_per_minute", raw.tokens_per_minute.is_some()),
        ("max_in_flight", raw.max_in_flight.is_some()),
        ("temperature", raw.temperature.is_some()),
        ("max_tokens", raw.max_tokens.is_some()),
        ("timeout_s", raw.timeout_s.is_some()),
        ("max_retries", raw.max_retries.is_some()),
    ] {
        if given {
            problems.push(Problem::at(&key(name), "belongs to kind \"openai\"; this teacher is \"recorded\""));
        }
    }
    let path = required(&key("path"), raw.path, "the file of answers", problems)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Some(TeacherConfig::Recorded(RecordedConfig { name: raw.name.or(stem)?, path: resolve(base, path) }))
}

fn openai(raw: RawTeacher, key: &dyn Fn(&str) -> String, problems: &mut Problems) -> Option<TeacherConfig> {
    if raw.path.is_some() {
        problems.push(Problem::at(&key("path"), "belongs to kind \"recorded\"; this teacher is \"openai\""));
    }
    let model = required(&key("model"), raw.model, "the model to ask", problems);
    let base_url =
        required(&key("base_url"), raw.base_url, "the API's address, e.g. \"https://api.openai.com/v1\"", problems);
    if base_url.as_ref().is_some_and(|url| !["https://", "http://"].iter().any(|scheme| has_prefix(url, scheme))) {
        problems.push(Problem::at(&key("base_url"), "must begin with https:// or http://"));
    }
    let timeout = number(&key("timeout_s"), raw.timeout_s, 60.0, 0.001..=86_400.0, problems);
    let max_tokens = number(&key("max_tokens"), raw.max_tokens, 256, 1..=u32::MAX, problems);
    let config = OpenAiConfig {
        requests_per_minute: raw
            .requests_per_minute
            .map(|rpm| number(&key("requests_per_minute"), Some(rpm), rpm, 1..=u32::MAX, problems)),
        tokens_per_minute: raw
            .tokens_per_minute
            .map(|tpm| number(&key("tokens_per_minute"), Some(tpm), tpm, max_tokens..=u32::MAX, problems)),
        max_in_flight: number(&key("max_in_flight"), raw.max_in_flight, 16, 1..=4096, problems),
        temperature: number(&key("temperature"), raw.temperature, 0.3, 0.0..=2.0, problems),
        max_tokens,
        timeout: Duration::from_secs_f64(timeout),
        max_retries: raw.max_retries.unwrap_or(5),
        api_key_env: raw.api_key_env,
        name: raw.name.or_else(|| model.clone())?,
        model: model?,
        base_url: base_url?.trim_end_matches('/').to_owned(),
    };
    Some(TeacherConfig::OpenAi(config))
}

/// Weights of one copy of a student, at most: 1 GiB.
const MOST_WEIGHTS: u64 = 1 << 28;

fn student(raw: &RawStudent, problems: &mut Problems) -> Option<StudentConfig> {
    one_of("student.kind", raw.kind.as_deref().unwrap_or("ngram"), &[("ngram", ())], problems)?;
    let dimension = number("student.dimension", raw.dimension, 32, 1..=4096, problems);
    let buckets = number("student.buckets", raw.buckets, 1 << 17, 16..=1 << 24, problems);
    if u64::from(dimension) * u64::from(buckets) > MOST_WEIGHTS {
        let message =
            format!("times student.buckets ({buckets}) makes more than {MOST_WEIGHTS} weights: choose less of one");
        problems.push(Problem::at("student.dimension", message));
    }
    Some(StudentConfig {
        dimension,
        buckets,
        learning_rate: number("student.learning_rate", raw.learning_rate, 0.05, 0.0..=1e3, problems),
        seed: raw.seed.unwrap_or(0),
        threads: number("student.threads", raw.threads, 1, 1..=256, problems),
    })
}

fn distill(raw: &RawDistill, problems: &mut Problems) -> Option<DistillConfig> {
    let refineries = [
        ("posterior", RefineryKind::Posterior),
        ("renormalise", RefineryKind::Renormalise),
        ("uniform", RefineryKind::Uniform),
    ];
    let refinery = one_of("distill.refinery", raw.refinery.as_deref().unwrap_or("posterior"), &refineries, problems);
    Some(DistillConfig {
        folds: number("distill.folds", raw.folds, 8, 2..=32, problems),
        block: number("distill.block", raw.block, 32, 1..=65_536, problems) as usize,
        replay: number("distill.replay", raw.replay, 1, 0..=1024, problems),
        memory: number("distill.memory", raw.memory, 50_000, 1..=u32::MAX, problems) as usize,
        max_passes: raw.max_passes.unwrap_or(16),
        refinery: refinery?,
    })
}

fn run(
    raw: RawRun,
    base: &Path,
    run_dir: Option<PathBuf>,
    task: &str,
    teachers: &[TeacherConfig],
    problems: &mut Problems,
) -> RunConfig {
    let in_flight = teachers.iter().map(TeacherConfig::max_in_flight).max().unwrap_or(1);
    // A task's name is the user's; as a folder's name it must stay one folder.
    let folder: String = task.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    let every = number("run.checkpoint_every_s", raw.checkpoint_every_s, 5.0, 0.0..=86_400.0, problems);
    RunConfig {
        dir: run_dir.unwrap_or_else(|| resolve(base, raw.dir.unwrap_or_else(|| Path::new("runs").join(folder)))),
        window: number("run.window", raw.window, 4 * in_flight, 1..=65_536, problems).max(in_flight),
        checkpoint_every: Duration::from_secs_f64(every),
    }
}

/// Whether `text` begins with `prefix`, in whatever case.
fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn required<T>(key: &str, value: Option<T>, what: &str, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.push(Problem::at(key, format!("is missing: {what}")));
    }
    value
}

/// The value or the default; a value out of range is a problem, and the default goes on in its place.
fn number<T: PartialOrd + Copy + std::fmt::Display>(
    key: &str,
    value: Option<T>,
    default: T,
    range: RangeInclusive<T>,
    problems: &mut Problems,
) -> T {
    match value {
        Some(value) if range.contains(&value) => value,
        Some(value) => {
            problems.push(Problem::at(key, format!("must be {} to {}, not {value}", range.start(), range.end())));
            // Any value in range will do: the configuration is refused anyway.
            *range.start()
        }
        None => default,
    }
}

fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == value) {
        return Some(*choice);
    }
    let names = || choices.iter().map(|(name, _)| *name);
    let hint = match nearest(value, names()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("it can be: {}", names().collect::<Vec<_>>().join(", ")),
    };
    problems.push(Problem::at(key, format!("is {value:?}; {hint}")));
    None
}
