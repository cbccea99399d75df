//! What the user typed: every key optional, nothing checked. The JSON schema is made from these types.
//!
//! Doc comments here are the schema's descriptions, so they speak to the user of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::corpus::CorpusFormat;
use super::raw_teacher::{RawDecimal, RawTeacher};
use super::settings as set;

/// Configuration of a candist run. Relative paths are relative to the folder of this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "candist configuration", extend("additionalProperties" = false, "required" = ["task", "corpus", "teachers"]))]
pub(crate) struct RawConfig {
    /// What to annotate with.
    pub task: RawTask,
    /// The texts to annotate.
    pub corpus: RawCorpus,
    /// Who names candidate labels.
    #[schemars(length(min = 1))]
    pub teachers: Vec<RawTeacher>,
    /// How the answers of several teachers make one candidate set.
    pub candidates: RawCandidates,
    /// The small model that learns from the candidates.
    pub student: RawStudent,
    /// How candidates and student become one label.
    pub distill: RawDistill,
    /// Where and how to run.
    pub run: RawRun,
}

/// The task: what the labels are and what they mean.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["name", "labels"]))]
pub(crate) struct RawTask {
    /// Name of the task. A run directory belongs to one task.
    #[schemars(example = &"support")]
    pub name: Option<String>,
    /// What the teacher is asked to identify, e.g. "Identify the intent of this question of a bank's customer".
    #[schemars(extend("default" = set::INSTRUCTION), example = &"Identify what the customer of this message wants")]
    pub instruction: Option<String>,
    /// The closed set of labels: names, or tables with name, description and aliases.
    #[schemars(length(min = 2, max = 65_535), example = ["refund", "delivery", "other"])]
    pub labels: Option<Vec<RawLabel>>,
}

/// A label: its name, or a table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a label name, or { name = \"..\", description = \"..\", aliases = [\"..\"] }")]
pub(crate) enum RawLabel {
    /// The name alone.
    Name(String),
    /// Name, description and aliases.
    Full(RawFullLabel),
}

/// A label with more than its name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RawFullLabel {
    /// The name, as it appears in the label log.
    #[schemars(length(min = 1), example = &"delivery")]
    pub name: String,
    /// What the label means, for the teacher.
    #[schemars(example = &"where a parcel is, or when it comes")]
    pub description: Option<String>,
    /// Other names under which it is recognised in answers.
    #[serde(default)]
    #[schemars(example = ["shipping"])]
    pub aliases: Vec<String>,
}

/// The texts to annotate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["path"]))]
pub(crate) struct RawCorpus {
    /// A file, several (a list), patterns like "parts/*.csv.gz", or "-" for standard input. JSONL, JSON, CSV, TSV, plain
    /// lines or Parquet, also compressed (.gz, .zst).
    #[schemars(example = &"messages.csv", example = ["a.csv", "parts/*.jsonl.gz"], example = &"-")]
    pub path: Option<RawPaths>,
    /// What the files are: "jsonl", "json" (an array, or objects one after the other), "csv", "tsv", "lines" (one text a
    /// line) or "parquet". Default: what a file's name says (.csv, .csv.gz, ..), else its first bytes.
    #[schemars(extend("enum" = CorpusFormat::names()), example = &"csv")]
    pub format: Option<String>,
    /// The field or column that holds the text.
    #[schemars(extend("default" = set::TEXT_FIELD), example = &"body")]
    pub text_field: Option<String>,
    /// The text as a template of several columns, e.g. "{{ title }}. {{ body }}" (Jinja), in place of text_field.
    #[schemars(example = &"{{ title }}. {{ body }}")]
    pub text: Option<String>,
    /// The field or column that holds the id (a string or a whole number). Rows without it go by the hash of their text.
    #[schemars(extend("default" = set::ID_FIELD), example = &"number")]
    pub id_field: Option<String>,
    /// csv: what stands between cells: ",", ";", "|" or a tab, "\t". Default: what the header has.
    #[schemars(example = &";")]
    pub delimiter: Option<String>,
    /// The encoding of files that are not UTF-8, e.g. "latin1", "windows-1252" or "utf-16le". Default: UTF-8, or UTF-16 where a
    /// file begins with its mark.
    #[schemars(example = &"latin1")]
    pub encoding: Option<String>,
    /// lines: a regular expression with named groups, which are the columns, e.g. "^(?<id>\\S+) (?<text>.*)$". Default: a line
    /// is a text.
    #[schemars(example = &"^(?<id>\\S+) (?<text>.*)$")]
    pub pattern: Option<String>,
    /// A longer line or row is a failed row.
    #[schemars(range(min = set::MAX_LINE_BYTES.min, max = set::MAX_LINE_BYTES.max), extend("default" = set::MAX_LINE_BYTES.default))]
    pub max_line_bytes: Option<u64>,
}

/// A path, or a list of several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a path, or a list of paths")]
pub(crate) enum RawPaths {
    /// One.
    One(PathBuf),
    /// Several, read in this order.
    Several(Vec<PathBuf>),
}

/// How the answers of several teachers make one candidate set.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawCandidates {
    /// "union": all teachers are asked, and their labels ranked in the order of the teachers. "cascade": the next
    /// teacher is asked only when those before named no label or more than one; the labels of the one asked last rank
    /// first.
    #[schemars(extend("enum" = set::FROM.names(), "default" = set::FROM.default))]
    pub from: Option<String>,
}

/// The student.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawStudent {
    /// "ngram": hashed word and character n-grams with a linear head. "encoder": a pretrained BERT, RoBERTa,
    /// DistilBERT, MiniLM, ModernBERT or DeBERTa-v3 from a Hugging Face folder.
    #[schemars(extend("enum" = set::KIND.names(), "default" = set::KIND.default))]
    pub kind: Option<String>,
    /// encoder: the folder, with config.json, model.safetensors and tokenizer.json; relative to the configuration.
    #[schemars(example = &"models/all-MiniLM-L6-v2")]
    pub model: Option<PathBuf>,
    /// encoder: a folder for the vectors of texts, so that other runs with the same encoder need not compute them
    /// again. Default: "vectors" in the run directory, for this run alone.
    #[schemars(example = &"vectors")]
    pub vectors: Option<PathBuf>,
    /// encoder: top layers that are trained beside the head. More layers learn more and take much longer.
    #[schemars(range(min = set::TRAIN_LAYERS.min, max = set::TRAIN_LAYERS.max), extend("default" = set::TRAIN_LAYERS.default), example = 2)]
    pub train_layers: Option<u32>,
    /// encoder: the step size of a trained layer, as a multiple of that of the layer above it. Lower layers know more of
    /// language and less of the task.
    #[schemars(range(min = set::LAYER_DECAY.min, max = set::LAYER_DECAY.max), extend("default" = set::LAYER_DECAY.default))]
    pub layer_decay: Option<f64>,
    /// encoder: tokens of a text that are read, at most.
    #[schemars(range(min = set::MAX_LENGTH.min, max = set::MAX_LENGTH.max), extend("default" = set::MAX_LENGTH.default))]
    pub max_length: Option<u32>,
    /// encoder: training steps in which the step size grows to its full size.
    #[schemars(extend("default" = set::WARMUP_STEPS))]
    pub warmup_steps: Option<u32>,
    /// encoder: "fp32", or "bf16" for what the layers compute: faster on processors and GPUs that know it. What is
    /// trained is kept in fp32.
    #[schemars(extend("enum" = set::PRECISION.names(), "default" = set::PRECISION.default))]
    pub precision: Option<String>,
    /// encoder: "cpu", "cuda", "cuda:NUMBER" or "auto".
    #[schemars(extend("default" = set::DEVICE), example = &"cuda")]
    pub device: Option<String>,
    /// ngram: size of an n-gram's embedding.
    #[schemars(range(min = set::DIMENSION.min, max = set::DIMENSION.max), extend("default" = set::DIMENSION.default))]
    pub dimension: Option<u32>,
    /// ngram: number of hash buckets.
    #[schemars(range(min = set::BUCKETS.min, max = set::BUCKETS.max), extend("default" = set::BUCKETS.default))]
    pub buckets: Option<u32>,
    /// Step size, of Adagrad for the ngram student and of AdamW for the encoder's layers (its head takes ten times as
    /// much). Default: 0.05 for ngram, 0.0003 for encoder.
    #[schemars(range(min = set::LEARNING_RATE.min, max = set::LEARNING_RATE.max), example = set::LEARNING_RATE.default)]
    pub learning_rate: Option<f64>,
    /// Seed of everything random in student and distillation.
    #[schemars(extend("default" = set::SEED))]
    pub seed: Option<u64>,
    /// Threads of libtorch. More help where layers of an encoder are trained. Labels are the same only for the same
    /// number.
    #[schemars(range(min = set::THREADS.min, max = set::THREADS.max), extend("default" = set::THREADS.default))]
    pub threads: Option<u32>,
}

impl RawStudent {
    /// The keys of the encoder alone, and whether they are set.
    pub(super) fn encoder_keys(&self) -> [(&'static str, bool); 8] {
        [
            ("model", self.model.is_some()),
            ("vectors", self.vectors.is_some()),
            ("train_layers", self.train_layers.is_some()),
            ("layer_decay", self.layer_decay.is_some()),
            ("max_length", self.max_length.is_some()),
            ("warmup_steps", self.warmup_steps.is_some()),
            ("precision", self.precision.is_some()),
            ("device", self.device.is_some()),
        ]
    }

    /// The keys of the n-gram student alone, and whether they are set.
    pub(super) fn ngram_keys(&self) -> [(&'static str, bool); 2] {
        [("dimension", self.dimension.is_some()), ("buckets", self.buckets.is_some())]
    }
}

/// Distillation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawDistill {
    /// How candidates and student make one label: "posterior", "candist", "renormalise", "cc", "uniform" or "single".
    #[schemars(extend("enum" = set::REFINERY.names(), "default" = set::REFINERY.default))]
    pub refinery: Option<String>,
    /// Copies of the student; each is trained without its own fold of the samples.
    #[schemars(range(min = set::FOLDS.min, max = set::FOLDS.max), extend("default" = set::FOLDS.default))]
    pub folds: Option<u32>,
    /// New samples per training step.
    #[schemars(range(min = set::BLOCK.min, max = set::BLOCK.max), extend("default" = set::BLOCK.default))]
    pub block: Option<u32>,
    /// Batches of earlier samples trained on with every block of new ones.
    #[schemars(range(min = set::REPLAY.min, max = set::REPLAY.max), extend("default" = set::REPLAY.default))]
    pub replay: Option<u32>,
    /// Samples kept in memory for replay and for the passes at the end.
    #[schemars(range(min = set::MEMORY.min, max = set::MEMORY.max), extend("default" = set::MEMORY.default))]
    pub memory: Option<u32>,
    /// Passes over the memory at the end, at most; they stop when fewer than 0.1% of its labels change, but not in the first passes. Default: as many as train on
    /// 50,000 samples in all, which are 16 for 3,000 samples in the memory, but never more than 16 or fewer than 6.
    #[schemars(example = 8)]
    pub max_passes: Option<u32>,
}

/// The run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawRun {
    /// The run directory. Default: "runs/NAME" beside the configuration, NAME being the task's name.
    #[schemars(example = &"runs/support")]
    pub dir: Option<PathBuf>,
    /// Samples between the first unanswered one and the last one sent. Default: four times the requests in flight.
    #[schemars(range(min = set::WINDOW.min, max = set::WINDOW.max), example = 256)]
    pub window: Option<usize>,
    /// What all requests of this run directory may cost, in the currency of the prices, e.g. "5.00". Default: no
    /// limit.
    #[schemars(example = 5.00, example = &"0.05")]
    pub max_cost: Option<RawDecimal>,
    /// Seconds of work that a crash may make the student repeat.
    #[schemars(range(min = set::CHECKPOINT_EVERY_S.min, max = set::CHECKPOINT_EVERY_S.max), extend("default" = set::CHECKPOINT_EVERY_S.default))]
    pub checkpoint_every_s: Option<f64>,
    /// A PostgreSQL database, "postgres://USER@HOST/DATABASE": with it `candist work URL`, on any number of machines, asks for this
    /// run, within one budget and one set of limits. The password is not part of it, but in PGPASSWORD or ~/.pgpass.
    #[schemars(example = &"postgres://candist@db.example.org/team")]
    pub shared: Option<String>,
    /// What a shared run is called in the database. Default: the task's name.
    #[schemars(example = &"support-2026")]
    pub shared_name: Option<String>,
}
