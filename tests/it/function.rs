//! Labels are a function of configuration and input log, however arrivals, late answers, ends, stops and kills are interleaved.
//!
//! `CANDIST_CASES` says how many histories; `make soak` takes more.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use candist::internal::{RunLock, rng};
use candist::{
    Answer, AnswerKey, AskError, Asked, BoxFuture, Config, Corpus, Error, LabelId, Result, Row, Run, RunHandle, Sample,
    SampleId, Teacher, check_deep,
};
use proptest::prelude::*;
use proptest::test_runner::{Config as Cases, TestRunner};
use rand::Rng;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::support::count;

/// Names the folder of the history that a process of its own is to go on with, to be killed.
const CHILD: &str = "CANDIST_HISTORY";
const LABELS: u64 = 5;

const CONFIG: &str = r#"
[task]
name = "function"
instruction = "Choose"
labels = ["one", "two", "three", "four", "five"]
[corpus]
path = "none.jsonl"
[[teachers]]
kind = "recorded"
name = "unused"
path = "none.jsonl"
[student]
dimension = 4
buckets = 128
[distill]
folds = 2
block = 2
memory = 16
max_passes = 3
[run]
dir = "run"
checkpoint_every_s = 0.0
"#;

/// What the world is like in the next run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct World {
    texts: u64,
    /// Texts whose answers name no label.
    hopeless: BTreeSet<u64>,
    /// Decides who cannot be reached, and who answers when.
    weather: u64,
    /// Whether everyone is reached, and at once.
    is_fair: bool,
    retry: bool,
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The corpus grows; of the new texts, so many eighths have useless answers.
    Grow { texts: u64, hopeless: u64 },
    /// Answers of all texts become useful, and failures are asked about again.
    Retry,
    /// A run to its end.
    Run,
    /// A run that is stopped after it wrote some lines.
    Stop(u64),
    /// A run that is dropped.
    Drop(u64),
    /// A run that is killed.
    Kill(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => (1..25_u64, 0..3_u64).prop_map(|(texts, hopeless)| Step::Grow { texts, hopeless }),
        1 => Just(Step::Retry),
        1 => Just(Step::Run),
        1 => (0..60_u64).prop_map(Step::Stop),
        1 => (1..60_u64).prop_map(Step::Drop),
        2 => (0..60_u64).prop_map(Step::Kill),
    ]
}

fn hash(parts: &[u64]) -> u64 {
    rng(0, "history", parts).random()
}

fn sample(number: u64) -> Sample {
    let words = ["card", "money", "transfer", "lost", "where", "my", "fee", "cash"];
    let word = |place| words[usize::try_from(hash(&[number, place]) % 8).unwrap()];
    let text = format!("{} {} {} {number}", word(0), word(1), word(2));
    Sample { id: SampleId(format!("text-{number}")), text }
}

/// The first texts of an endless corpus, some of them twice.
struct Texts(std::vec::IntoIter<u64>);

impl Texts {
    fn of(world: &World) -> Self {
        let rows: Vec<u64> =
            (0..world.texts).flat_map(|n| [Some(n), (n % 7 == 3).then_some(n / 2)]).flatten().collect();
        Self(rows.into_iter())
    }
}

impl Corpus for Texts {
    fn next_row(&mut self) -> Result<Option<Row>> {
        Ok(self.0.next().map(|number| Row { line: number + 1, sample: Ok(sample(number)) }))
    }
}

struct Scripted(World);

impl Teacher for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn identity(&self) -> String {
        "scripted".to_owned()
    }

    fn key(&self, sample: &Sample, _: u32) -> AnswerKey {
        AnswerKey::of(&[&sample.text])
    }

    fn attempts(&self) -> u32 {
        3
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        let World { hopeless, weather, is_fair, .. } = &self.0;
        let number: u64 = sample.id.0.trim_start_matches("text-").parse().unwrap();
        let luck = hash(&[*weather, number]);
        Box::pin(async move {
            if !is_fair {
                tokio::time::sleep(Duration::from_micros(luck % 4000)).await;
            }
            if !is_fair && luck.is_multiple_of(11) {
                return Err(AskError::Failed("nobody is there".to_owned()));
            }
            let first = hash(&[number, 77]) % LABELS;
            let named = if hopeless.contains(&number) { vec![] } else { vec![first, (first + number) % LABELS] };
            let mut labels: Vec<LabelId> = named.iter().map(|&n| LabelId(u16::try_from(n).unwrap())).collect();
            labels.dedup();
            Ok(Asked::free(Answer::naming(labels)))
        })
    }
}

/// A run directory with what it was made of.
struct History {
    folder: TempDir,
    world: World,
}

impl History {
    fn new() -> Self {
        let history = Self { folder: tempfile::tempdir().unwrap(), world: World::default() };
        std::fs::write(history.path("config.toml"), CONFIG).unwrap();
        history
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Bytes that were written to the logs so far.
    fn written(&self) -> u64 {
        let len = |name: &str| self.path("run").join(name).metadata().map_or(0, |file| file.len());
        len("answers.jsonl") + len("inputs.jsonl") + len("labels.jsonl")
    }

    /// Waits until some lines were written, or until `ended`.
    fn wait(&self, lines: u64, mut ended: impl FnMut() -> bool) {
        let (until, patience) = (self.written() + 100 * lines, Instant::now() + Duration::from_secs(5));
        while self.written() < until && !ended() && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn take(&mut self, step: &Step) {
        self.world.weather += 1;
        match *step {
            Step::Grow { texts, hopeless } => {
                let new = self.world.texts..self.world.texts + texts;
                self.world.hopeless.extend(new.clone().filter(|&n| hash(&[n, 5]) % 8 < hopeless));
                self.world.texts = new.end;
            }
            Step::Retry => {
                self.world.hopeless.clear();
                self.world.retry = true;
                self.run_to_the_end();
                self.world.retry = false;
            }
            Step::Run => self.run_to_the_end(),
            Step::Stop(lines) => self.in_process(|run| {
                self.wait(lines, || run.progress().phase().is_over());
                run.stop();
                futures::executor::block_on(run.join())
            }),
            Step::Drop(lines) => self.in_process(|run| {
                self.wait(lines, || run.progress().phase().is_over());
                drop(run);
                Ok(())
            }),
            Step::Kill(lines) => self.kill(lines),
        }
    }

    fn run_to_the_end(&self) {
        self.in_process(|run| futures::executor::block_on(run.join()));
    }

    /// Starts a run, which must end well or as one that was stopped.
    fn in_process<T>(&self, drive: impl FnOnce(RunHandle) -> Result<T>) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let guard = runtime.enter();
        let ended = drive(start(self.folder.path(), &self.world));
        drop(guard);
        assert!(
            matches!(ended, Ok(_) | Err(Error::Interrupted | Error::NothingUsable { .. })),
            "{}",
            ended.err().map(|error| error.to_string()).unwrap_or_default()
        );
        let patience = Instant::now() + Duration::from_secs(60);
        while RunLock::take(&self.path("run")).is_err() {
            assert!(Instant::now() < patience, "the run directory is never let go of");
            std::thread::sleep(Duration::from_millis(1));
        }
        match check_deep(&self.path("run")) {
            Ok(found) => assert!(found.iter().all(|report| report.problems.is_empty()), "{found:?}"),
            // Stopped before it began.
            Err(error) => assert!(matches!(error, Error::NoRun { .. }), "{error}"),
        }
    }

    /// Another process runs, and is killed.
    fn kill(&self, lines: u64) {
        std::fs::write(self.path("world.json"), serde_json::to_string(&self.world).unwrap()).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["function::a_child_to_be_killed", "--exact"])
            .env(CHILD, self.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.wait(lines, || child.try_wait().unwrap().is_some());
        // It may have come to its end.
        let _ = child.kill();
        child.wait().unwrap();
    }
}

fn start(folder: &Path, world: &World) -> RunHandle {
    let config = Config::load(&folder.join("config.toml"), None).unwrap();
    let texts = world.clone();
    Run::builder(config)
        .corpus(move || Ok(Texts::of(&texts)))
        .teacher(Scripted(world.clone()))
        .retry_failures(world.retry)
        .start()
}

#[test]
fn a_child_to_be_killed() {
    let Some(folder) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let world: World = serde_json::from_str(&std::fs::read_to_string(folder.join("world.json")).unwrap()).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let ended = runtime.block_on(async { start(&folder, &world).join().await });
    assert!(matches!(ended, Ok(_) | Err(Error::NothingUsable { .. })));
}

fn replay(steps: &[Step]) {
    let mut history = History::new();
    history.take(&Step::Grow { texts: 6, hopeless: 1 });
    for step in steps {
        let before = history.read("run/labels.jsonl");
        history.take(step);
        let after = history.read("run/labels.jsonl");
        // A kill may have cut the log back; what is written again is the same.
        assert!(after.starts_with(&before) || before.starts_with(&after), "a label was taken back by {step:?}");
    }
    history.world.is_fair = true;
    history.run_to_the_end();
    let (inputs, answers, labels) =
        (history.read("run/inputs.jsonl"), history.read("run/answers.jsonl"), history.read("run/labels.jsonl"));
    assert!(!labels.is_empty());
    std::fs::remove_dir_all(history.path("run")).unwrap();
    std::fs::create_dir(history.path("run")).unwrap();
    std::fs::write(history.path("run/inputs.jsonl"), &inputs).unwrap();
    std::fs::write(history.path("run/answers.jsonl"), &answers).unwrap();
    history.run_to_the_end();
    assert!(history.read("run/labels.jsonl") == labels, "the two logs alone give other labels");
    assert_eq!((history.read("run/inputs.jsonl"), history.read("run/answers.jsonl")), (inputs, answers));
}

#[test]
fn labels_are_a_function_of_configuration_and_input_log() {
    let cases = u32::try_from(count("CANDIST_CASES", 6)).unwrap();
    let mut runner =
        TestRunner::new(Cases { cases, max_shrink_iters: 20, failure_persistence: None, ..Cases::default() });
    runner
        .run(&prop::collection::vec(step(), 2..8), |steps| {
            replay(&steps);
            Ok(())
        })
        .unwrap();
}
