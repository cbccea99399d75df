//! A part that panics ends the run with an error that names it; what is stored stays, and the next run goes on.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use candist::{
    AnswerKey, AskError, Asked, BoxFuture, CandidateSet, Corpus, Error, Evidence, LabelEvent, Refinery, Result, Row,
    Run, RunBuilder, RunDir, Sample, Sink, Teacher, new_refinery,
};

use super::parts::{Painter, Texts, config, labels};

const TEXTS: u64 = 200;

/// A place in a user's part at which it panics; the number counts calls.
#[derive(Debug, Clone, Copy, PartialEq)]
enum At {
    Nowhere,
    OpenCorpus,
    Row(u64),
    Identity,
    Key(u64),
    Ask(u64),
    EarlyAsk(u64),
    NoMore,
    NewRefinery(u64),
    Target(u64),
    Posterior(u64),
    Refit(u64),
    Save(u64),
    NewSink,
    Begin,
    Write(u64),
    End,
}

/// Panics at a place.
#[derive(Clone)]
struct Trap {
    at: At,
    calls: Arc<AtomicU64>,
}

impl Trap {
    fn new(at: At) -> Self {
        Self { at, calls: Arc::default() }
    }

    fn here(&self, is_here: bool, at: u64) {
        assert!(!is_here || self.calls.fetch_add(1, Ordering::SeqCst) != at, "caught in {:?}", self.at);
    }

    fn place(&self, place: At) {
        self.here(self.at == place, 0);
    }
}

/// Counts the calls of one kind of place, if that is where the trap is.
macro_rules! count {
    ($trap:expr, $kind:ident) => {
        if let At::$kind(at) = $trap.at {
            $trap.here(true, at);
        }
    };
}

struct Trapped<T>(T, Trap);

impl Corpus for Trapped<Texts> {
    fn next_row(&mut self) -> Result<Option<Row>> {
        count!(self.1, Row);
        self.0.next_row()
    }
}

impl Teacher for Trapped<Painter> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn identity(&self) -> String {
        self.1.place(At::Identity);
        self.0.identity()
    }

    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey {
        count!(self.1, Key);
        self.0.key(sample, draw)
    }

    fn attempts(&self) -> u32 {
        self.0.attempts()
    }

    fn no_more(&self) {
        self.1.place(At::NoMore);
    }

    fn ask<'a>(&'a self, sample: &'a Sample, draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        count!(self.1, EarlyAsk);
        Box::pin(async move {
            count!(self.1, Ask);
            self.0.ask(sample, draw).await
        })
    }
}

impl Refinery for Trapped<Box<dyn Refinery>> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn identity(&self) -> String {
        self.0.identity()
    }

    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        count!(self.1, Target);
        self.0.target(candidates, logits)
    }

    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        count!(self.1, Posterior);
        self.0.posterior(candidates, logits)
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        count!(self.1, Refit);
        self.0.refit(evidence);
    }

    fn save(&self) -> serde_json::Value {
        count!(self.1, Save);
        self.0.save()
    }

    fn load(&mut self, saved: serde_json::Value) -> Result<(), String> {
        self.0.load(saved)
    }
}

impl Sink for Trapped<()> {
    fn begin(&mut self, _log: &str) -> Result<u64, String> {
        self.1.place(At::Begin);
        Ok(0)
    }

    fn write(&mut self, _events: &[LabelEvent]) -> Result<(), String> {
        count!(self.1, Write);
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.1.place(At::End);
        Ok(())
    }
}

fn run_of(dir: &Path, at: At, teacher: Painter) -> RunBuilder {
    let trap = Trap::new(at);
    let [corpus, refinery, sink] = [(); 3].map(|()| trap.clone());
    let config = config(dir);
    let kind = config.distill.refinery;
    Run::builder(config)
        .corpus(move || {
            corpus.place(At::OpenCorpus);
            Ok(Trapped(Texts::new(TEXTS), corpus.clone()))
        })
        .teacher(Trapped(teacher, trap))
        .refinery(move |labels| {
            count!(refinery, NewRefinery);
            Trapped(new_refinery(kind, labels), refinery.clone())
        })
        .sink(move || {
            sink.place(At::NewSink);
            Trapped((), sink.clone())
        })
}

#[tokio::test]
async fn the_part_is_named_and_the_next_run_goes_on() {
    let straight = tempfile::tempdir().unwrap();
    run_of(straight.path(), At::Nowhere, Painter::new()).start().join().await.unwrap();
    let expected = labels(straight.path());
    for (at, named) in [
        (At::OpenCorpus, "corpus"),
        (At::Row(0), "corpus"),
        (At::Row(150), "corpus"),
        (At::Identity, "teacher"),
        (At::Key(100), "teacher"),
        (At::Ask(100), "teacher"),
        (At::EarlyAsk(100), "teacher"),
        (At::NoMore, "teacher"),
        (At::NewRefinery(0), "refinery"),
        (At::NewRefinery(1), "refinery"),
        (At::Target(60), "refinery"),
        (At::Posterior(60), "refinery"),
        (At::Refit(1), "refinery"),
        (At::Save(2), "refinery"),
        (At::NewSink, "sink"),
        (At::Begin, "sink"),
        (At::Write(0), "sink"),
        (At::End, "sink"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let run = run_of(folder.path(), at, Painter::new()).start();
        let ended =
            tokio::time::timeout(Duration::from_secs(30), run.join()).await.unwrap_or_else(|_| panic!("{at:?}"));
        match ended {
            Err(Error::Panicked { stage, message }) => {
                assert_eq!(stage, named, "{at:?}");
                assert!(message.contains("caught in"), "{at:?}: {message}");
            }
            other => panic!("{at:?}: {other:?}"),
        }
        // The lock is held until the last thread has ended: none is left.
        let view = RunDir::view(folder.path());
        assert!(view.is_err() || !view.unwrap().is_live(), "{at:?}");
        run_of(folder.path(), At::Nowhere, Painter::new()).start().join().await.unwrap_or_else(|error| {
            panic!("{at:?}: {error}");
        });
        assert_eq!(labels(folder.path()), expected, "{at:?}");
    }
}

/// What was asked at the same time was paid for: it comes back, and is kept.
#[tokio::test]
async fn what_is_in_flight_beside_a_panic_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let asked = Arc::new(AtomicU64::new(0));
    let teacher = Painter::new().slow(Duration::from_millis(300)).counted(&asked);
    let ended = run_of(folder.path(), At::Ask(20), teacher).start().join().await;
    assert!(matches!(ended, Err(Error::Panicked { stage: "teacher", .. })), "{ended:?}");
    let mut kept = 0;
    RunDir::view(folder.path())
        .unwrap()
        .answers(|_| {
            kept += 1;
            Ok(())
        })
        .unwrap();
    assert!(kept >= 20);
    assert_eq!(kept, asked.load(Ordering::SeqCst));
}
