//! Parts of runs to be embedded: texts that name a colour, a teacher that reads it, and what can go wrong with them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candist::config::{NgramConfig, StudentKind};
use candist::{Answer, AnswerKey, AskError, Asked, BoxFuture, Config, Corpus, LabelSet, Result, Row, Sample, Teacher};

pub(super) const COLOURS: [&str; 3] = ["red", "green", "blue"];

/// Settings with which some hundred texts make blocks, sweeps, passes and checkpoints.
pub(super) fn config(dir: &Path) -> Config {
    let mut config = Config::new("colours", COLOURS, dir).unwrap();
    config.student.kind = StudentKind::Ngram(NgramConfig { dimension: 8, buckets: 4096 });
    config.distill.folds = 2;
    config.distill.block = 8;
    config.distill.max_passes = Some(4);
    config.run.checkpoint_every = Duration::ZERO;
    config
}

/// `count` texts, of which those after the first `different` ones repeat these.
pub(super) struct Texts {
    next: u64,
    count: u64,
    different: u64,
}

impl Texts {
    pub(super) fn new(count: u64) -> Self {
        Self { next: 0, count, different: count }
    }

    pub(super) fn repeating(self, different: u64) -> Self {
        Self { different, ..self }
    }
}

impl Corpus for Texts {
    fn next_row(&mut self) -> Result<Option<Row>> {
        if self.next == self.count {
            return Ok(None);
        }
        let number = self.next % self.different;
        let colour = COLOURS[number as usize % 3];
        let text = format!("number {number} of {} is painted {colour}", number % 17);
        self.next += 1;
        Ok(Some(Row { line: self.next, sample: Ok(Sample::new(number.to_string(), text)) }))
    }
}

/// Names the colour of a text; of every third text also another one, before it.
pub(super) struct Painter {
    labels: LabelSet,
    asked: Arc<AtomicU64>,
    wait: Duration,
}

impl Painter {
    pub(super) fn new() -> Self {
        let labels = config(Path::new("unused")).task.labels;
        Self { labels, asked: Arc::default(), wait: Duration::ZERO }
    }

    /// Thinks for so long.
    pub(super) fn slow(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    /// Counts what it is asked in `asked`.
    pub(super) fn counted(self, asked: &Arc<AtomicU64>) -> Self {
        Self { asked: Arc::clone(asked), ..self }
    }

    pub(super) fn answer(&self, sample: &Sample) -> Answer {
        let colour = sample.text.split(' ').next_back().and_then(|colour| self.labels.exact(colour)).unwrap();
        let number: usize = sample.id.0.parse().unwrap();
        let other = self.labels.exact(COLOURS[number % 2]).filter(|other| number.is_multiple_of(3) && *other != colour);
        Answer::naming(other.into_iter().chain([colour]))
    }
}

impl Teacher for Painter {
    fn name(&self) -> &str {
        "painter"
    }

    fn identity(&self) -> String {
        "painter 1".to_owned()
    }

    fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey {
        AnswerKey::of(&["painter 1", &sample.text])
    }

    fn attempts(&self) -> u32 {
        1
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.wait).await;
            Ok(Asked::free(self.answer(sample)))
        })
    }
}

/// Waits until `reached`, which must not take long.
pub(super) async fn until(what: &str, reached: impl Fn() -> bool) {
    let begin = Instant::now();
    while !reached() {
        assert!(begin.elapsed() < Duration::from_secs(60), "{what} does not come");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// What stands in the label log of the run in `dir`.
pub(super) fn labels(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("labels.jsonl")).unwrap()
}
