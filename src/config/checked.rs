//! The checked configuration: every value present, in range, and of its own type. What takes one asks nothing about it
//! any more.
//!
//! Student and distillation are serialised into the fingerprint of labels and into checkpoints, as they stand here: a
//! field that is renamed, or a new one without a default that leaves it out, has every run directory labelled anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rust_decimal::Decimal;

use super::annotators::{Annotators, annotators};
use super::corpus::{self, CorpusConfig};
use super::fields::{decimal, has_prefix, required, resolve};
use super::person::PersonConfig;
use super::raw::{RawCandidates, RawConfig, RawDistill, RawLabel, RawPaths, RawRun, RawStudent, RawTask};
use super::settings as set;
use super::teacher::TeacherConfig;
use super::{Problem, Problems};
use crate::domain::label::{Label, LabelSet};

/// A run's configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// What to annotate with.
    pub task: Task,
    /// The texts.
    pub corpus: CorpusConfig,
    /// Who is asked. Empty only after [`Config::new`].
    pub teachers: Vec<TeacherConfig>,
    /// Whose labels of texts are there and final: nobody asks them.
    pub people: Vec<PersonConfig>,
    /// How their answers make one candidate set.
    pub combine: Combine,
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
    /// What the teacher is asked to identify: a sentence of the prompt, so another one asks anew.
    pub instruction: String,
    /// The closed set of labels. Their order is that of [`LabelId`](crate::LabelId)s.
    pub labels: LabelSet,
}

/// The student.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct StudentConfig {
    /// Which student.
    pub kind: StudentKind,
    /// Step size: of Adagrad for the `ngram` student, of AdamW for an encoder's layers.
    pub learning_rate: f64,
    /// Seed of everything random in student and distillation: with it, the same inputs give the same labels.
    pub seed: u64,
    /// libtorch's threads. Labels are the same only for the same number: sums are split by it.
    pub threads: u32,
}

/// Which student, with what only it has.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StudentKind {
    /// Hashed n-grams and a linear head.
    Ngram(NgramConfig),
    /// A pretrained transformer.
    Encoder(EncoderConfig),
}

/// The `ngram` student.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct NgramConfig {
    /// Numbers of an n-gram's embedding.
    pub dimension: u32,
    /// Rows of the table of embeddings: n-grams share one where their hashes do.
    pub buckets: u32,
}

/// The `encoder` student.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct EncoderConfig {
    /// The Hugging Face folder, as an absolute path: a run that goes on from another working directory finds it again.
    pub model: PathBuf,
    /// Where vectors of texts are kept, if not in the run.
    #[serde(default)]
    pub vectors: Option<PathBuf>,
    /// Top layers that are trained beside the head.
    pub train_layers: u32,
    /// The step size of a trained layer, as a multiple of that of the layer above it. Left out where it is 1, and there
    /// it is 1 where nothing depends on it, so that directories from before there was a choice go on.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub layer_decay: f64,
    /// Tokens of a text that are read, at most; what follows them is cut off.
    pub max_length: u32,
    /// Steps in which the step size grows to its full size.
    pub warmup_steps: u32,
    /// Of what layers compute; weights that are trained are kept in 32 bits.
    pub precision: Precision,
    /// Where it computes.
    pub device: DeviceChoice,
}

fn one() -> f64 {
    1.0
}

fn is_one(number: &f64) -> bool {
    *number == 1.0
}

/// How numbers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// 32-bit floats.
    Fp32,
    /// bfloat16.
    Bf16,
}

impl std::str::FromStr for Precision {
    type Err = String;

    /// As configurations and command lines write it.
    fn from_str(text: &str) -> Result<Self, String> {
        let named = set::PRECISION.all.iter().find(|(name, _)| *name == text);
        named
            .map(|(_, precision)| *precision)
            .ok_or_else(|| format!("it can be: {}", set::PRECISION.names().join(", ")))
    }
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    /// As configurations and command lines write it.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "cpu" => Ok(Self::Cpu),
            "auto" => Ok(Self::Auto),
            "cuda" => Ok(Self::Cuda(0)),
            other => other
                .strip_prefix("cuda:")
                .and_then(|number| number.parse().ok())
                .map(Self::Cuda)
                .ok_or_else(|| "must be \"cpu\", \"auto\", \"cuda\" or \"cuda:NUMBER\"".to_owned()),
        }
    }
}

/// Where a student computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeviceChoice {
    /// The processor.
    Cpu,
    /// An NVIDIA GPU, by number.
    Cuda(u32),
    /// The first GPU if there is one, else the processor.
    Auto,
}

/// How the answers of several teachers make one candidate set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Combine {
    /// All are asked; labels rank in the order of the teachers.
    Union,
    /// The next is asked when those before are unsure; the labels of the last one asked rank first.
    Cascade,
}

/// Which refinery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RefineryKind {
    /// Candidates as evidence, the student as prior.
    Posterior,
    /// The Distribution Refinery of the CanDist paper.
    Candist,
    /// The student within the candidates (PRODEN).
    Renormalise,
    /// The sum of the candidates' probabilities as loss.
    Cc,
    /// All candidates alike.
    Uniform,
    /// The first candidate alone.
    Single,
}

impl RefineryKind {
    /// Its name, as configurations and label events have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Posterior => "posterior",
            Self::Candist => "candist",
            Self::Renormalise => "renormalise",
            Self::Cc => "cc",
            Self::Uniform => "uniform",
            Self::Single => "single",
        }
    }
}

/// The distillation.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct DistillConfig {
    /// The refinery.
    pub refinery: RefineryKind,
    /// Copies of the student. Each never learns from one of so many parts of the samples, and predicts that one alone.
    pub folds: u32,
    /// New samples per training step. Counted in samples, never in time: a step that waited for a clock would differ
    /// from run to run.
    pub block: usize,
    /// Replayed batches per training step.
    pub replay: u32,
    /// Samples in the replay memory; the passes at the end go over these.
    pub memory: usize,
    /// Passes at the end, at most; none for as many as the memory's size asks for.
    pub max_passes: Option<u32>,
}

/// The run.
#[derive(Debug, Clone)]
pub struct RunConfig {
    /// The run directory.
    pub dir: PathBuf,
    /// Samples between the first unanswered and the last sent one: how far asking goes ahead while one answer is late.
    /// At least the requests that may be in flight.
    pub window: usize,
    /// What all requests of the run directory may cost, earlier ones included, in the currency of the prices; none for
    /// no cap.
    pub max_cost: Option<Decimal>,
    /// Work that a crash may make the student repeat: how often it writes a checkpoint. By the clock, for no label
    /// depends on it.
    pub checkpoint_every: Duration,
    /// Where others ask for this run too; none for a run of its own.
    pub shared: Option<SharedConfig>,
}

/// Where several machines ask for a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// The PostgreSQL database, `postgres://USER@HOST/DATABASE`, without a password.
    pub url: String,
    /// What the run is called there. Of all who would train a run of this name, one does.
    pub name: String,
}

/// Checks `raw`. `None` only when `problems` says why.
pub(super) fn check(
    mut raw: RawConfig,
    base: &Path,
    run_dir: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<Config> {
    let annotators = annotators(std::mem::take(&mut raw.teachers), base, raw.run.max_cost.is_some(), problems);
    if matches!(&raw.corpus.path, Some(RawPaths::Several(paths)) if paths.is_empty()) {
        problems.add("corpus.path", "is empty: name the file of texts");
    }
    check_with(annotators, raw, base, run_dir, problems)
}

/// As [`check`], with `annotators` for those of `raw`. Every part is checked before the first that is missing ends it, so
/// that all is told.
pub(super) fn check_with(
    annotators: Annotators,
    raw: RawConfig,
    base: &Path,
    run_dir: Option<PathBuf>,
    problems: &mut Problems,
) -> Option<Config> {
    let task = task(raw.task, problems);
    let corpus = corpus::check(raw.corpus, base, problems);
    let student = student(&raw.student, base, problems);
    let distill = distill(&raw.distill, problems);
    let combine = combine(&raw.candidates, problems);
    let Annotators { teachers, people } = annotators;
    let run = run(raw.run, base, run_dir, task.as_ref().map_or("", |task| &task.name), &teachers, problems);
    let combine = combine?;
    let mut corpus = corpus?;
    corpus.spool = run.dir.join(SPOOL);
    Some(Config { task: task?, corpus, teachers, people, combine, student: student?, distill: distill?, run })
}

fn task(raw: RawTask, problems: &mut Problems) -> Option<Task> {
    let name = required("task.name", raw.name.filter(|name| !name.trim().is_empty()), "a name for the task", problems);
    if raw.labels.is_none() {
        problems.push(Problem::at("task.labels", "is missing: list the labels, e.g. labels = [\"yes\", \"no\"]"));
    }
    let labels = labels(raw.labels?, problems);
    Some(Task {
        name: name?,
        instruction: raw.instruction.unwrap_or_else(|| set::INSTRUCTION.to_owned()),
        labels: labels?,
    })
}

/// The labels. Names that are empty or there twice are told with their places, as they were typed; [`LabelSet::new`]
/// would tell the first alone.
fn labels(raw: Vec<RawLabel>, problems: &mut Problems) -> Option<LabelSet> {
    let labels: Vec<Label> = raw
        .into_iter()
        .map(|label| match label {
            RawLabel::Name(name) => Label { name, description: None, aliases: Vec::new() },
            RawLabel::Full(full) => Label { name: full.name, description: full.description, aliases: full.aliases },
        })
        .collect();
    let mut first: HashMap<&str, usize> = HashMap::new();
    for (place, label) in labels.iter().enumerate() {
        for name in std::iter::once(&label.name).chain(&label.aliases) {
            let key = format!("task.labels.{place}");
            if name.trim().is_empty() {
                problems.add(&key, "is empty: every label and alias needs a name");
            } else if let Some(first) = first.insert(name, place) {
                let first = problems.name_of(&format!("task.labels.{first}"));
                problems.add(&key, format!("names {name:?}, which is there already, as {first}"));
            }
        }
    }
    // What is wrong with single labels was said; their number is not known then.
    if problems.are_below("task.labels") {
        return None;
    }
    LabelSet::new(labels).map_err(|error| problems.add("task.labels", error.to_string())).ok()
}

fn combine(raw: &RawCandidates, problems: &mut Problems) -> Option<Combine> {
    set::FROM.of("candidates.from", raw.from.as_deref(), problems)
}

/// Weights of one copy of a student, at most: 1 GiB.
pub(crate) const MOST_WEIGHTS: u64 = 1 << 28;

/// The student, with what is right for its kind where nothing is said.
fn student(raw: &RawStudent, base: &Path, problems: &mut Problems) -> Option<StudentConfig> {
    let kind = set::KIND.of("student.kind", raw.kind.as_deref(), problems)?;
    let (kind, learning_rate) = match kind {
        set::Kind::Ngram => {
            only_for("encoder", &raw.encoder_keys(), problems);
            (StudentKind::Ngram(ngram(raw, problems)), set::LEARNING_RATE)
        }
        set::Kind::Encoder => {
            only_for("ngram", &raw.ngram_keys(), problems);
            if cfg!(not(feature = "encoder")) {
                let message =
                    "is \"encoder\", and this candist was built without it: build it with `--features encoder`";
                problems.push(Problem::at("student.kind", message));
            }
            (StudentKind::Encoder(encoder(raw, base, problems)?), set::ENCODER_LEARNING_RATE)
        }
    };
    Some(StudentConfig {
        kind,
        learning_rate: learning_rate.of("student.learning_rate", raw.learning_rate, problems),
        seed: raw.seed.unwrap_or(set::SEED),
        threads: set::THREADS.of("student.threads", raw.threads, problems),
    })
}

/// A key of another kind of student would do nothing, and whoever wrote it believes that it does.
fn only_for(kind: &str, keys: &[(&str, bool)], problems: &mut Problems) {
    for (key, _) in keys.iter().filter(|(_, set)| *set) {
        let message = format!("is for student.kind = \"{kind}\" alone: remove it, or set the kind");
        problems.push(Problem::at(&format!("student.{key}"), message));
    }
}

/// The `ngram` student's own. The product is bounded too: either number alone may be right, and both together more than
/// a machine has.
fn ngram(raw: &RawStudent, problems: &mut Problems) -> NgramConfig {
    let dimension = set::DIMENSION.of("student.dimension", raw.dimension, problems);
    let buckets = set::BUCKETS.of("student.buckets", raw.buckets, problems);
    if u64::from(dimension) * u64::from(buckets) > MOST_WEIGHTS {
        let message =
            format!("times student.buckets ({buckets}) makes more than {MOST_WEIGHTS} weights: choose less of one");
        problems.push(Problem::at("student.dimension", message));
    }
    NgramConfig { dimension, buckets }
}

/// The `encoder` student's own. The folder itself is read when the student is made.
fn encoder(raw: &RawStudent, base: &Path, problems: &mut Problems) -> Option<EncoderConfig> {
    let Some(model) = &raw.model else {
        let message = "is missing: the Hugging Face folder of a BERT-like encoder (config.json, model.safetensors, tokenizer.json)";
        problems.push(Problem::at("student.model", message));
        return None;
    };
    let precision = set::PRECISION.of("student.precision", raw.precision.as_deref(), problems);
    let train_layers = set::TRAIN_LAYERS.of("student.train_layers", raw.train_layers, problems);
    let layer_decay = set::LAYER_DECAY.of("student.layer_decay", raw.layer_decay, problems);
    let device = raw.device.as_deref().unwrap_or(set::DEVICE).parse();
    let device = device.map_err(|message: String| problems.push(Problem::at("student.device", message))).ok();
    Some(EncoderConfig {
        model: absolute(base.join(model)),
        vectors: raw.vectors.as_ref().map(|folder| absolute(base.join(folder))),
        train_layers,
        // The top layer has the whole step size.
        layer_decay: if train_layers > 1 { layer_decay } else { 1.0 },
        max_length: set::MAX_LENGTH.of("student.max_length", raw.max_length, problems),
        warmup_steps: raw.warmup_steps.unwrap_or(set::WARMUP_STEPS),
        precision: precision?,
        device: device?,
    })
}

/// The same from every working directory: what a run keeps of it is read again from others.
fn absolute(path: PathBuf) -> PathBuf {
    std::path::absolute(&path).unwrap_or(path)
}

fn distill(raw: &RawDistill, problems: &mut Problems) -> Option<DistillConfig> {
    let refinery = set::REFINERY.of("distill.refinery", raw.refinery.as_deref(), problems);
    Some(DistillConfig {
        folds: set::FOLDS.of("distill.folds", raw.folds, problems),
        block: set::BLOCK.of("distill.block", raw.block, problems) as usize,
        replay: set::REPLAY.of("distill.replay", raw.replay, problems),
        memory: set::MEMORY.of("distill.memory", raw.memory, problems) as usize,
        max_passes: raw.max_passes,
        refinery: refinery?,
    })
}

/// Requests in flight that teachers of the program's own are taken to have.
const OWN_IN_FLIGHT: usize = 64;

/// The folder of a run directory that keeps what came from standard input.
pub(crate) const SPOOL: &str = "stdin";

/// Bytes of a folder's name on the usual file systems, with room for what stands beside it for a moment.
const LONGEST_FOLDER: usize = 200;

/// The database, and the run's name there: the task's, unless it says another.
fn shared(url: Option<String>, name: Option<String>, task: &str, problems: &mut Problems) -> Option<SharedConfig> {
    let Some(url) = url else {
        if name.is_some() {
            problems.add("run.shared_name", "is what a shared run is called, but `run.shared` names no database");
        }
        return None;
    };
    if let Some(problem) = database_problem(&url) {
        problems.add("run.shared", problem);
    }
    Some(SharedConfig { url, name: name.unwrap_or_else(|| task.to_owned()) })
}

/// What is wrong with a database's address, if anything is. It is not repeated: it may hold a password.
fn database_problem(url: &str) -> Option<&'static str> {
    if !["postgres://", "postgresql://"].iter().any(|scheme| has_prefix(url, scheme)) {
        return Some("must be an address of PostgreSQL, postgres://USER@HOST/DATABASE");
    }
    let query = url.split_once('?').map_or("", |(_, query)| query);
    if query.split('&').any(|parameter| parameter.starts_with("run=")) {
        return Some("names a run, as addresses do that are looked at: say that by run.shared_name");
    }
    let authority = url.split_once("://").map_or("", |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
    let has_password =
        authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) || url.contains("password=");
    has_password.then_some("holds a password, and configurations are shared: put it into PGPASSWORD or ~/.pgpass")
}

fn run(
    raw: RawRun,
    base: &Path,
    run_dir: Option<PathBuf>,
    task: &str,
    teachers: &[TeacherConfig],
    problems: &mut Problems,
) -> RunConfig {
    // A window that is smaller than this would leave a teacher idle.
    let in_flight = teachers.iter().map(TeacherConfig::max_in_flight).max().unwrap_or(OWN_IN_FLIGHT);
    let window = 4 * in_flight;
    // A task's name is the user's; as a folder's name it must stay one folder.
    let folder: String = task.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    let every = set::CHECKPOINT_EVERY_S.of("run.checkpoint_every_s", raw.checkpoint_every_s, problems);
    if raw.dir.is_none() && run_dir.is_none() && folder.len() > LONGEST_FOLDER {
        let message =
            format!("is too long to name the run directory ({} bytes): shorten it, or set run.dir", folder.len());
        problems.add("task.name", message);
    }
    let max_cost = raw.max_cost.map(|cost| decimal("run.max_cost", cost, problems));
    RunConfig {
        shared: shared(raw.shared, raw.shared_name, task, problems),
        max_cost,
        dir: run_dir.unwrap_or_else(|| resolve(base, raw.dir.unwrap_or_else(|| Path::new("runs").join(folder)))),
        window: set::WINDOW.of("run.window", raw.window.or(Some(window)), problems).max(in_flight),
        checkpoint_every: Duration::from_secs_f64(every),
    }
}
