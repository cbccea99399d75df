//! What single settings can be, and are where nothing is said. Said once: the checks go by it, and the schema tells it to
//! editors and to the reference of keys.

use super::Problems;
use super::checked::{Combine, Precision, RefineryKind};
use super::fields::{number, one_of};
use super::teacher::{Choose, Mode, Output};

/// A number, from `min` to `max`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds<T> {
    pub default: T,
    pub min: T,
    pub max: T,
}

impl<T: PartialOrd + Copy + std::fmt::Display> Bounds<T> {
    /// What `key` is where `value` was typed, or nothing.
    pub(super) fn of(&self, key: &str, value: Option<T>, problems: &mut Problems) -> T {
        number(key, value, self.default, self.min..=self.max, problems)
    }
}

const fn bounds<T: Copy>(default: T, min: T, max: T) -> Bounds<T> {
    Bounds { default, min, max }
}

/// One of several words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choices<T: 'static> {
    pub default: &'static str,
    pub all: &'static [(&'static str, T)],
}

impl<T: Copy> Choices<T> {
    /// What `key` is where `value` was typed, or nothing.
    pub(super) fn of(&self, key: &str, value: Option<&str>, problems: &mut Problems) -> Option<T> {
        one_of(key, value.unwrap_or(self.default), self.all, problems)
    }

    /// The words.
    pub(super) fn names(&self) -> Vec<&'static str> {
        self.all.iter().map(|(name, _)| *name).collect()
    }
}

// The task.
pub(super) const INSTRUCTION: &str = "Identify the label of this text";

// The corpus.
pub(super) const TEXT_FIELD: &str = "text";
pub(super) const LABEL_FIELD: &str = "label";
pub(super) const ID_FIELD: &str = "id";
/// Of a line or a row: what reads and keeps one holds all of it.
pub(super) const MAX_LINE_BYTES: Bounds<u64> = bounds(1 << 20, 1, 16 << 20);

// A teacher. What is said to be without a limit has none as its default.
pub(super) const TEACHER_KINDS: [&str; 3] = ["recorded", "openai", "human"];
pub(super) const ALLOW_HTTP: bool = false;
pub(super) const MODE: Choices<Mode> = Choices {
    default: "candidates",
    all: &[
        ("candidates", Mode::Candidates),
        ("candidates-if-unsure", Mode::CandidatesIfUnsure),
        ("single", Mode::Single),
    ],
};
pub(super) const PROBABILITIES: bool = false;
pub(super) const USER: &str = "{{ text }}";
pub(super) const SHOTS: Bounds<usize> = bounds(10, 1, 64);
pub(super) const CHOOSE: Choices<Choose> =
    Choices { default: "fixed", all: &[("fixed", Choose::Fixed), ("nearest", Choose::Nearest)] };
pub(super) const OUTPUT: Choices<Output> = Choices {
    default: "auto",
    all: &[
        ("auto", Output::JsonSchema),
        ("json_schema", Output::JsonSchema),
        ("json_object", Output::JsonObject),
        ("text", Output::Text),
    ],
};
pub(super) const LOGPROBS: bool = false;
pub(super) const DRAWS: Bounds<u32> = bounds(1, 1, 64);
pub(super) const TEMPERATURE: Bounds<f64> = bounds(0.3, 0.0, 2.0);
pub(super) const MAX_TOKENS: Bounds<u32> = bounds(256, 1, u32::MAX);
pub(super) const REQUESTS_PER_MINUTE: Bounds<u32> = bounds(u32::MAX, 1, u32::MAX);
pub(super) const TOKENS_PER_MINUTE: Bounds<u32> = bounds(u32::MAX, 1, u32::MAX);
pub(super) const MAX_IN_FLIGHT: Bounds<usize> = bounds(16, 1, 4096);
pub(super) const MIN_IN_FLIGHT: Bounds<usize> = bounds(1, 1, 4096);
pub(super) const TIMEOUT_S: Bounds<f64> = bounds(60.0, 0.001, DAY_S);
pub(super) const CONNECT_TIMEOUT_S: Bounds<f64> = bounds(10.0, 0.001, DAY_S);
/// As long as the time-out where nothing is said.
pub(super) const READ_TIMEOUT_S: Bounds<f64> = bounds(60.0, 0.001, DAY_S);
pub(super) const MAX_RETRIES: u32 = 5;
pub(super) const GIVE_UP_AFTER_S: Bounds<f64> = bounds(300.0, 0.0, 1e6);
pub(super) const MAX_REPLY_BYTES: Bounds<usize> = bounds(1 << 20, 1024, 1 << 30);
pub(super) const BATCH_SHARE: u32 = 1;
/// Nothing that is waited for takes longer.
const DAY_S: f64 = 86_400.0;

// Candidates.
pub(super) const FROM: Choices<Combine> =
    Choices { default: "union", all: &[("union", Combine::Union), ("cascade", Combine::Cascade)] };

// The student.
/// Which student, without what only it has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Ngram,
    Encoder,
}
pub(super) const KIND: Choices<Kind> =
    Choices { default: "ngram", all: &[("ngram", Kind::Ngram), ("encoder", Kind::Encoder)] };
pub(super) const TRAIN_LAYERS: Bounds<u32> = bounds(0, 0, 256);
pub(super) const LAYER_DECAY: Bounds<f64> = bounds(1.0, 0.01, 1.0);
pub(super) const MAX_LENGTH: Bounds<u32> = bounds(128, 4, 8192);
pub(super) const WARMUP_STEPS: u32 = 50;
pub(super) const PRECISION: Choices<Precision> =
    Choices { default: "fp32", all: &[("fp32", Precision::Fp32), ("bf16", Precision::Bf16)] };
pub(super) const DEVICE: &str = "cpu";
pub(super) const DIMENSION: Bounds<u32> = bounds(32, 1, 4096);
pub(super) const BUCKETS: Bounds<u32> = bounds(1 << 17, 16, 1 << 24);
/// Of the `ngram` student.
pub(super) const LEARNING_RATE: Bounds<f64> = bounds(0.05, 0.0, 1e3);
pub(super) const ENCODER_LEARNING_RATE: Bounds<f64> = bounds(3e-4, 0.0, 1e3);
pub(super) const SEED: u64 = 0;
pub(super) const THREADS: Bounds<u32> = bounds(1, 1, 256);

// The distillation.
pub(super) const REFINERY: Choices<RefineryKind> = Choices {
    default: "posterior",
    all: &[
        ("posterior", RefineryKind::Posterior),
        ("candist", RefineryKind::Candist),
        ("renormalise", RefineryKind::Renormalise),
        ("cc", RefineryKind::Cc),
        ("uniform", RefineryKind::Uniform),
        ("single", RefineryKind::Single),
    ],
};
pub(super) const FOLDS: Bounds<u32> = bounds(8, 2, 32);
pub(super) const BLOCK: Bounds<u32> = bounds(32, 1, 65_536);
pub(super) const REPLAY: Bounds<u32> = bounds(1, 0, 1024);
pub(super) const MEMORY: Bounds<u32> = bounds(50_000, 1, u32::MAX);

// The run.
/// Four times the requests in flight where nothing is said.
pub(super) const WINDOW: Bounds<usize> = bounds(64, 1, 65_536);
pub(super) const CHECKPOINT_EVERY_S: Bounds<f64> = bounds(5.0, 0.0, 86_400.0);

/// A price, or a sum of money. Bounded so that adding and multiplying them cannot overflow.
pub(super) const MOST_MONEY: u32 = 1_000_000;
