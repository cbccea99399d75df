//! What a handle promises: when a run ends, what is told then, and who may begin after it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use candist::config::RefineryKind;
use candist::{Error, LabelEvent, Run, RunBuilder, RunHandle};
use futures::StreamExt;

use super::parts::{Painter, Texts, config, labels, until};

const TEXTS: u64 = 300;

fn run_of(dir: &Path, texts: u64, teacher: Painter) -> RunBuilder {
    Run::builder(config(dir)).corpus(move || Ok(Texts::new(texts))).teacher(teacher)
}

/// The labels of a run that nothing disturbs.
async fn undisturbed(texts: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    run_of(folder.path(), texts, Painter::new()).start().join().await.unwrap();
    labels(folder.path())
}

async fn streamed(run: &RunHandle, from: u64) -> String {
    let events: Vec<LabelEvent> = run.labels(from).map(Result::unwrap).collect().await;
    events.iter().map(LabelEvent::to_line).collect()
}

#[tokio::test]
async fn the_stream_is_the_log_and_ends_with_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(folder.path(), TEXTS, Painter::new()).start();
    let (all, late) = tokio::join!(streamed(&run, 0), streamed(&run, 100));
    let outcome = run.join().await.unwrap();
    let log = labels(folder.path());
    assert_eq!(outcome.new_events, log.lines().count() as u64);
    assert!(all == log && all.ends_with(&late) && late.lines().count() + 100 == all.lines().count());
    // Of a run that is over, and of one that has nothing to do.
    assert_eq!(streamed(&run, 0).await, log);
    let again = run_of(folder.path(), TEXTS, Painter::new()).start();
    assert_eq!(streamed(&again, 0).await, log);
    assert_eq!(again.join().await.unwrap().new_events, 0);
}

#[tokio::test]
async fn the_stream_of_a_run_that_never_begins_ends() {
    let folder = tempfile::tempdir().unwrap();
    let slow = Painter::new().slow(Duration::from_millis(200));
    let first = run_of(folder.path(), TEXTS, slow).start();
    until("the first answer", || first.progress().asked.get() > 0).await;
    let second = run_of(folder.path(), TEXTS, Painter::new()).start();
    assert_eq!(streamed(&second, 0).await, "");
    assert!(matches!(second.join().await, Err(Error::Busy { .. })));
    assert!(second.progress().phase().is_over());
    first.stop();
    assert!(matches!(first.join().await, Err(Error::Interrupted)));

    let nothing = Run::builder(config(folder.path())).start();
    assert_eq!(streamed(&nothing, 0).await, "");
    let told = nothing.join().await.unwrap_err().to_string();
    assert!(told.contains("Run::builder(config).corpus(..)"), "{told}");
}

#[tokio::test]
async fn the_stream_has_no_label_of_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    run_of(folder.path(), TEXTS, Painter::new()).start().join().await.unwrap();
    let mut other = config(folder.path());
    other.distill.refinery = RefineryKind::Single;
    let run = Run::builder(other).corpus(|| Ok(Texts::new(TEXTS))).teacher(Painter::new()).start();
    let all = streamed(&run, 0).await;
    run.join().await.unwrap();
    assert_eq!(all, labels(folder.path()));
}

#[tokio::test]
async fn a_join_that_is_given_up_loses_nothing_and_an_error_is_given_once() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(folder.path(), TEXTS, Painter::new().slow(Duration::from_millis(30))).start();
    assert!(tokio::time::timeout(Duration::from_millis(100), run.join()).await.is_err());
    run.stop();
    run.stop();
    assert!(matches!(run.join().await, Err(Error::Interrupted)));
    let told = run.join().await.unwrap_err();
    assert!(matches!(&told, Error::Ended { message } if message.contains("stopped")), "{told}");

    let run = run_of(folder.path(), TEXTS, Painter::new()).start();
    let (one, other) = tokio::join!(run.join(), run.join());
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(labels(folder.path()), undisturbed(TEXTS).await);
}

/// The second either is refused or begins when nothing of the first is at work any more.
#[tokio::test]
async fn a_run_that_was_dropped_makes_room_and_is_never_worked_beside() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..5 {
        let (before, after) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let painter = || Painter::new().slow(Duration::from_millis(20));
        let run = run_of(folder.path(), 100_000, painter().counted(&before)).start();
        until("an answer", || before.load(Ordering::SeqCst) > 100).await;
        drop(run);
        let dropped = Instant::now();
        let second = loop {
            let second = run_of(folder.path(), 100_000, painter().counted(&after)).start();
            tokio::select! {
                ended = second.join() => assert!(matches!(ended, Err(Error::Busy { .. })), "{ended:?}"),
                () = until("an answer", || after.load(Ordering::SeqCst) > 0) => break second,
            }
            assert_eq!(after.load(Ordering::SeqCst), 0);
        };
        assert!(dropped.elapsed() < Duration::from_secs(4), "{:?}", dropped.elapsed());
        let asked = before.load(Ordering::SeqCst);
        until("more answers", || after.load(Ordering::SeqCst) > 50).await;
        assert_eq!(before.load(Ordering::SeqCst), asked);
        second.stop();
        assert!(matches!(second.join().await, Err(Error::Interrupted)));
    }
}

#[test]
fn a_runtime_that_goes_away_under_a_run_costs_nothing() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for wanted in [1, 40, 150, 290] {
        let (under, kept) = (runtime(), AtomicU64::new(0));
        let run = under.block_on(async {
            let run = run_of(folder.path(), TEXTS, Painter::new().slow(Duration::from_millis(5))).start();
            let placed = || run.progress().placed.get();
            until("an answer", || placed() >= wanted || run.progress().phase().is_over()).await;
            kept.store(placed(), Ordering::SeqCst);
            run
        });
        drop(under);
        let ended = runtime().block_on(run.join());
        assert!(matches!(ended, Err(Error::Interrupted)), "{ended:?} with {wanted}");
        // Nobody is left to hold the directory for long, and the stream ends though nobody said so.
        assert!(runtime().block_on(streamed(&run, 0)).lines().count() < 1000);
        let held = Instant::now();
        while candist::RunDir::view(folder.path()).unwrap().is_live() {
            assert!(held.elapsed() < Duration::from_secs(4));
        }
        let inputs = std::fs::read_to_string(folder.path().join("inputs.jsonl")).unwrap();
        assert!(inputs.lines().count() as u64 > kept.load(Ordering::SeqCst));
    }
    let asked = Arc::new(AtomicU64::new(0));
    runtime().block_on(async {
        run_of(folder.path(), TEXTS, Painter::new().counted(&asked)).start().join().await.unwrap();
        assert_eq!(labels(folder.path()), undisturbed(TEXTS).await);
    });
    assert!(asked.load(Ordering::SeqCst) < TEXTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_in_one_process_are_as_each_is_alone() {
    let alone = [undisturbed(TEXTS).await, undisturbed(TEXTS + 50).await];
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let start = |place: usize, texts| run_of(folders[place].path(), texts, Painter::new()).start();
    let (one, other) = (start(0, TEXTS), start(1, TEXTS + 50));
    let ended = tokio::join!(one.join(), other.join());
    assert!(ended.0.is_ok() && ended.1.is_ok());
    assert!(alone == [labels(folders[0].path()), labels(folders[1].path())]);
}

#[tokio::test]
async fn a_limit_reads_no_further_and_the_rest_comes_later() {
    let (folder, asked) = (tempfile::tempdir().unwrap(), Arc::new(AtomicU64::new(0)));
    let run = |texts: u64| run_of(folder.path(), texts, Painter::new().counted(&asked));
    let pilot = run(TEXTS).limit(10).start();
    let outcome = pilot.join().await.unwrap();
    assert!(outcome.limited && outcome.new_events >= 10);
    assert_eq!((pilot.progress().rows.get(), asked.load(Ordering::Relaxed)), (10, 10));
    // A limit that the corpus ends at, or before, is found out only where it is larger.
    for (limit, limited) in [(TEXTS, true), (TEXTS + 1, false)] {
        assert_eq!(run(TEXTS).limit(limit).start().join().await.unwrap().limited, limited);
    }
    assert!(!run(TEXTS).start().join().await.unwrap().limited);
    assert_eq!(asked.load(Ordering::Relaxed), TEXTS);
}
