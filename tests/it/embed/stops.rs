//! A stop ends a run within two seconds, whatever it is at.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candist::{
    Answer, AnswerKey, AskError, Asked, BoxFuture, CandidateSet, Error, Evidence, Refinery, Result, Run, RunBuilder,
    RunHandle, Sample, Teacher, softmax,
};

use super::parts::{Painter, Texts, config, until};

const SOON: Duration = Duration::from_secs(2);

async fn stops_soon(run: &RunHandle) {
    let begin = Instant::now();
    run.stop();
    let ended = run.join().await;
    assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?}");
    assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
}

fn of(dir: &Path, texts: u64) -> RunBuilder {
    Run::builder(config(dir)).corpus(move || Ok(Texts::new(texts))).teacher(Painter::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn at_once_and_while_a_corpus_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    stops_soon(&of(folder.path(), 300).start()).await;
    let slow = || {
        std::thread::sleep(Duration::from_secs(10));
        Ok(Texts::new(1))
    };
    let run = of(folder.path(), 0).corpus(slow).start();
    tokio::time::sleep(Duration::from_millis(200)).await;
    stops_soon(&run).await;
}

#[tokio::test]
async fn while_a_million_known_rows_are_read() {
    let folder = tempfile::tempdir().unwrap();
    of(folder.path(), 500).start().join().await.unwrap();
    let run = of(folder.path(), 0).corpus(|| Ok(Texts::new(1_000_000).repeating(500))).start();
    until("the first rows", || run.progress().rows.get() > 10_000).await;
    stops_soon(&run).await;
    assert!(run.progress().rows.get() < 1_000_000);
}

/// Takes its time, and counts what it was called for.
struct Thoughtful {
    labels: usize,
    calls: Arc<Calls>,
    wait_for_target: Duration,
    wait_for_posterior: Duration,
}

#[derive(Default)]
struct Calls {
    targets: AtomicU64,
    posteriors: AtomicU64,
    refits: AtomicU64,
}

impl Refinery for Thoughtful {
    fn name(&self) -> &str {
        "thoughtful"
    }

    fn identity(&self) -> String {
        "thoughtful 1".to_owned()
    }

    fn target(&self, candidates: &CandidateSet, _logits: Option<&[f32]>) -> Option<Vec<f32>> {
        self.calls.targets.fetch_add(1, Ordering::SeqCst);
        std::thread::sleep(self.wait_for_target);
        let share = 1.0 / candidates.len() as f32;
        let mut target = vec![0.0; self.labels];
        candidates.labels().iter().for_each(|label| target[label.index()] = share);
        Some(target)
    }

    fn posterior(&self, _candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        self.calls.posteriors.fetch_add(1, Ordering::SeqCst);
        if self.calls.refits.load(Ordering::SeqCst) > 0 {
            std::thread::sleep(self.wait_for_posterior);
        }
        softmax(logits)
    }

    fn refit(&mut self, _evidence: &Evidence<'_>) {
        self.calls.refits.fetch_add(1, Ordering::SeqCst);
    }
}

/// Many texts, all taken in before the first of them is waited for by the refinery.
async fn thinking(dir: &Path, wait_for_target: Duration, wait_for_posterior: Duration) -> (RunHandle, Arc<Calls>) {
    let calls = Arc::new(Calls::default());
    let counted = Arc::clone(&calls);
    let mut config = config(dir);
    // The first sweep comes after eight blocks, the first pass at the end.
    config.distill.block = if wait_for_posterior > Duration::ZERO { 1000 } else { 8 };
    let run = Run::builder(config)
        .corpus(|| Ok(Texts::new(8_100)))
        .teacher(Painter::new())
        .refinery(move |labels| Thoughtful { labels, calls: Arc::clone(&counted), wait_for_target, wait_for_posterior })
        .start();
    (run, calls)
}

#[tokio::test]
async fn in_a_sweep() {
    let folder = tempfile::tempdir().unwrap();
    let (run, calls) = thinking(folder.path(), Duration::ZERO, Duration::from_millis(2)).await;
    until("a sweep", || calls.refits.load(Ordering::SeqCst) > 0).await;
    let before = calls.posteriors.load(Ordering::SeqCst);
    until("the middle of it", || calls.posteriors.load(Ordering::SeqCst) > before + 300).await;
    stops_soon(&run).await;
}

#[tokio::test]
async fn in_a_training_step_of_the_stream_and_in_a_pass() {
    let folder = tempfile::tempdir().unwrap();
    let (run, calls) = thinking(folder.path(), Duration::from_millis(5), Duration::ZERO).await;
    until("a training step", || calls.targets.load(Ordering::SeqCst) > 100).await;
    stops_soon(&run).await;

    let mut settings = config(folder.path());
    settings.distill.max_passes = Some(1_000_000);
    let run = Run::builder(settings).corpus(|| Ok(Texts::new(4_000))).teacher(Painter::new()).start();
    until("a pass", || run.progress().pass.get() > 0).await;
    stops_soon(&run).await;
}

/// Never names a label.
struct Mute(Arc<AtomicU64>);

impl Teacher for Mute {
    fn name(&self) -> &str {
        "mute"
    }

    fn identity(&self) -> String {
        "mute".to_owned()
    }

    fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey {
        AnswerKey::of(&["mute", &sample.text])
    }

    fn attempts(&self) -> u32 {
        1000
    }

    fn ask<'a>(&'a self, _sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        Box::pin(async move {
            self.0.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
            Ok(Asked::free(Answer { raw: Some("?".to_owned()), ..Answer::default() }))
        })
    }
}

#[tokio::test]
async fn while_the_same_is_asked_again_and_again() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let teacher = Mute(Arc::clone(&asked));
    let run = Run::builder(config(folder.path())).corpus(|| Ok(Texts::new(1))).teacher(teacher).start();
    until("a second try", || asked.load(Ordering::SeqCst) > 1).await;
    stops_soon(&run).await;
}
