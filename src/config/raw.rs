//! What the user typed: every key optional, nothing checked. The JSON schema is made from these types.
//!
//! Doc comments here are the schema's descriptions, so they speak to the user of the configuration.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::raw_teacher::{RawDecimal, RawTeacher};

/// Configuration of a candist run. Relative paths are relative to the folder of this file.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
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
    pub name: Option<String>,
    /// What the teacher is asked to identify, e.g. "Identify the intent of this question of a bank's customer".
    pub instruction: Option<String>,
    /// The closed set of labels: names, or tables with name, description and aliases.
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
    pub name: String,
    /// What the label means, for the teacher.
    pub description: Option<String>,
    /// Other names under which it is recognised in answers.
    #[serde(default)]
    pub aliases: Vec<String>,
}

/// The texts to annotate.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false, "required" = ["path"]))]
pub(crate) struct RawCorpus {
    /// A file, several (a list), patterns like "parts/*.csv.gz", or "-" for standard input. JSONL, JSON, CSV, TSV, plain
    /// lines or Parquet, also compressed (.gz, .zst).
    pub path: Option<RawPaths>,
    /// What the files are: "jsonl", "json" (an array, or objects one after the other), "csv", "tsv", "lines" (one text a
    /// line) or "parquet". Default: what a file's name says (.csv, .csv.gz, ..), else its first bytes.
    pub format: Option<String>,
    /// The field or column that holds the text. Default: "text".
    pub text_field: Option<String>,
    /// The text as a template of several columns, e.g. "{{ title }}. {{ body }}" (Jinja), in place of text_field.
    pub text: Option<String>,
    /// The field or column that holds the id (a string or a whole number). Default: "id". Rows without it go by the hash of
    /// their text.
    pub id_field: Option<String>,
    /// csv: what stands between cells: ",", ";", "|" or a tab, "\t". Default: what the header has.
    pub delimiter: Option<String>,
    /// The encoding of files that are not UTF-8, e.g. "latin1", "windows-1252" or "utf-16le". Default: UTF-8, or UTF-16 where a
    /// file begins with its mark.
    pub encoding: Option<String>,
    /// lines: a regular expression with named groups, which are the columns, e.g. "^(?<id>\\S+) (?<text>.*)$". Default: a line
    /// is a text.
    pub pattern: Option<String>,
    /// A longer line or row is a failed row. Default: 1048576.
    #[schemars(range(min = 1, max = 16_777_216))]
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
    /// "union": all teachers are asked, and their labels ranked in the order of the teachers. "cascade": the next teacher
    /// is asked only when those before named no label or more than one; the labels of the one asked last rank first.
    /// Default: "union".
    pub from: Option<String>,
}

/// The student.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawStudent {
    /// "ngram": hashed word and character n-grams with a linear head. "encoder": a pretrained BERT, RoBERTa, DistilBERT or
    /// MiniLM from a Hugging Face folder. Default: "ngram".
    pub kind: Option<String>,
    /// encoder: the folder, with config.json, model.safetensors and tokenizer.json; relative to the configuration.
    pub model: Option<PathBuf>,
    /// encoder: a folder for the vectors of texts, so that other runs with the same encoder need not compute them again.
    /// Default: "vectors" in the run directory, for this run alone.
    pub vectors: Option<PathBuf>,
    /// encoder: top layers that are trained beside the head. Default: 0; more layers learn more and take much longer.
    pub train_layers: Option<u32>,
    /// encoder: tokens of a text that are read, at most. Default: 128.
    #[schemars(range(min = 4, max = 8192))]
    pub max_length: Option<u32>,
    /// encoder: training steps in which the step size grows to its full size. Default: 50.
    pub warmup_steps: Option<u32>,
    /// encoder: "fp32", or "bf16" for what the layers compute: faster on processors and GPUs that know it. What is trained
    /// is kept in fp32.
    /// Default: "fp32".
    pub precision: Option<String>,
    /// encoder: "cpu", "cuda", "cuda:NUMBER" or "auto". Default: "cpu".
    pub device: Option<String>,
    /// ngram: size of an n-gram's embedding. Default: 32.
    #[schemars(range(min = 1, max = 4096))]
    pub dimension: Option<u32>,
    /// ngram: number of hash buckets. Default: 131072.
    #[schemars(range(min = 16, max = 16_777_216))]
    pub buckets: Option<u32>,
    /// Step size, of Adagrad for the ngram student and of AdamW for the encoder's layers (its head takes ten times as much).
    /// Default: 0.05 for ngram, 0.0003 for encoder.
    #[schemars(range(min = 0.0))]
    pub learning_rate: Option<f64>,
    /// Seed of everything random in student and distillation. Default: 0.
    pub seed: Option<u64>,
    /// Threads of libtorch. Default: 1; more help where layers of an encoder are trained. Labels are the same only for the
    /// same number.
    #[schemars(range(min = 1, max = 256))]
    pub threads: Option<u32>,
}

impl RawStudent {
    /// The keys of the encoder alone, and whether they are set.
    pub(super) fn encoder_keys(&self) -> [(&'static str, bool); 7] {
        [
            ("model", self.model.is_some()),
            ("vectors", self.vectors.is_some()),
            ("train_layers", self.train_layers.is_some()),
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
    /// Default: "posterior".
    pub refinery: Option<String>,
    /// Copies of the student; each is trained without its own fold of the samples. Default: 8.
    #[schemars(range(min = 2, max = 32))]
    pub folds: Option<u32>,
    /// New samples per training step. Default: 32.
    #[schemars(range(min = 1, max = 65536))]
    pub block: Option<u32>,
    /// Batches of earlier samples trained on with every block of new ones. Default: 1.
    pub replay: Option<u32>,
    /// Samples kept in memory for replay and for the passes at the end. Default: 50000.
    #[schemars(range(min = 1))]
    pub memory: Option<u32>,
    /// Passes over the memory at the end, at most; they stop when fewer than 0.1% of its labels change. Default: 16.
    pub max_passes: Option<u32>,
}

/// The run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("additionalProperties" = false))]
pub(crate) struct RawRun {
    /// The run directory. Default: "runs/NAME" beside the configuration, NAME being the task's name.
    pub dir: Option<PathBuf>,
    /// Samples between the first unanswered one and the last one sent. Default: four times the requests in flight.
    #[schemars(range(min = 1, max = 65536))]
    pub window: Option<usize>,
    /// What all requests of this run directory may cost, in the currency of the prices, e.g. "5.00". Default: no limit.
    pub max_cost: Option<RawDecimal>,
    /// Seconds of work that a crash may make the student repeat. Default: 5.
    #[schemars(range(min = 0.0))]
    pub checkpoint_every_s: Option<f64>,
}
