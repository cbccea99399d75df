//! Sinks: every event, once, in order; also those of a run that could not hand them on.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use candist::{Error, LabelEvent, Run, RunBuilder, Sink};

use super::parts::{Painter, Texts, config, labels, until};

const TEXTS: u64 = 200;

/// A user's table: of which log it is, and its lines.
#[derive(Debug, Default, Clone)]
struct Table(Arc<Mutex<(String, String)>>);

impl Table {
    fn lines(&self) -> String {
        self.0.lock().unwrap().1.clone()
    }
}

/// Fills a table, until it fails.
struct Filling {
    table: Table,
    fails_at: usize,
}

impl Sink for Filling {
    fn begin(&mut self, log: &str) -> Result<u64, String> {
        let mut table = self.table.0.lock().unwrap();
        if table.0 != log {
            *table = (log.to_owned(), String::new());
        }
        Ok(table.1.lines().count() as u64)
    }

    fn write(&mut self, events: &[LabelEvent]) -> Result<(), String> {
        let mut table = self.table.0.lock().unwrap();
        for event in events {
            if table.1.lines().count() >= self.fails_at {
                return Err("the table is full".to_owned());
            }
            table.1.push_str(&event.to_line());
        }
        Ok(())
    }
}

fn run_into(dir: &Path, table: &Table, fails_at: usize) -> RunBuilder {
    let table = table.clone();
    run_of(dir, TEXTS).sink(move || Filling { table: table.clone(), fails_at })
}

fn run_of(dir: &Path, texts: u64) -> RunBuilder {
    Run::builder(config(dir)).corpus(move || Ok(Texts::new(texts))).teacher(Painter::new())
}

#[tokio::test]
async fn a_table_that_failed_is_made_level_by_the_next_run() {
    let (folder, table) = (tempfile::tempdir().unwrap(), Table::default());
    for fails_at in [0, 7, 130] {
        let ended = run_into(folder.path(), &table, fails_at).start().join().await;
        assert!(matches!(&ended, Err(Error::Sink { message }) if message == "the table is full"), "{ended:?}");
        assert_eq!(table.lines().lines().count(), fails_at);
    }
    run_into(folder.path(), &table, usize::MAX).start().join().await.unwrap();
    assert_eq!(table.lines(), labels(folder.path()));
    // Nothing is new: nothing comes.
    run_into(folder.path(), &table, 0).start().join().await.unwrap();
    // A new table of a run that is complete.
    let late = Table::default();
    run_into(folder.path(), &late, usize::MAX).start().join().await.unwrap();
    assert_eq!(late.lines(), table.lines());
}

#[tokio::test]
async fn a_log_of_other_settings_is_another_log() {
    let (folder, table) = (tempfile::tempdir().unwrap(), Table::default());
    run_into(folder.path(), &table, usize::MAX).start().join().await.unwrap();
    let before = table.lines();
    let mut other = config(folder.path());
    other.student.seed = 7;
    let filling = table.clone();
    Run::builder(other)
        .corpus(|| Ok(Texts::new(TEXTS)))
        .teacher(Painter::new())
        .sink(move || Filling { table: filling.clone(), fails_at: usize::MAX })
        .start()
        .join()
        .await
        .unwrap();
    assert_eq!(table.lines(), labels(folder.path()));
    assert_ne!(table.lines(), before);
}

/// Does not take its first event before the last answer is stored.
struct Waiting(PathBuf);

impl Sink for Waiting {
    fn write(&mut self, _events: &[LabelEvent]) -> Result<(), String> {
        let begin = Instant::now();
        while std::fs::read_to_string(&self.0).unwrap().lines().count() < TEXTS as usize {
            std::thread::sleep(Duration::from_millis(10));
            if begin.elapsed() > Duration::from_secs(20) {
                return Err("answers wait for the sink".to_owned());
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn a_slow_sink_holds_up_nothing_that_was_paid_for() {
    let folder = tempfile::tempdir().unwrap();
    let answers = folder.path().join("answers.jsonl");
    let mut few_at_a_time = config(folder.path());
    few_at_a_time.run.window = 8;
    Run::builder(few_at_a_time)
        .corpus(|| Ok(Texts::new(TEXTS)))
        .teacher(Painter::new().slow(Duration::from_millis(20)))
        .sink(move || Waiting(answers.clone()))
        .start()
        .join()
        .await
        .unwrap();
}

/// Takes its time, also after the last label.
struct Slow(Filling);

impl Sink for Slow {
    fn begin(&mut self, log: &str) -> Result<u64, String> {
        self.0.begin(log)
    }

    fn write(&mut self, events: &[LabelEvent]) -> Result<(), String> {
        std::thread::sleep(Duration::from_millis(300));
        self.0.write(events)
    }
}

#[tokio::test]
async fn a_run_waits_for_a_sink_that_is_behind() {
    let (folder, table) = (tempfile::tempdir().unwrap(), Table::default());
    let slow = table.clone();
    let run =
        run_of(folder.path(), TEXTS).sink(move || Slow(Filling { table: slow.clone(), fails_at: usize::MAX })).start();
    run.join().await.unwrap();
    assert_eq!(table.lines(), labels(folder.path()));
}

/// A sink that is far behind does not hold a stop up; the next run hands on what is missing.
#[tokio::test]
async fn a_stop_is_heeded_while_only_a_sink_is_left() {
    let (folder, table) = (tempfile::tempdir().unwrap(), Table::default());
    let slow = table.clone();
    let run =
        run_of(folder.path(), 2000).sink(move || Slow(Filling { table: slow.clone(), fails_at: usize::MAX })).start();
    let progress = Arc::clone(run.progress());
    until("the last label", || progress.pass.get() == 0 && progress.events.get() >= 4000).await;
    let begin = Instant::now();
    run.stop();
    // It may have been through with all but the sink, or not.
    let _ = run.join().await;
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    let filling = table.clone();
    let next = run_of(folder.path(), 2000).sink(move || Filling { table: filling.clone(), fails_at: usize::MAX });
    next.start().join().await.unwrap();
    assert_eq!(table.lines(), labels(folder.path()));
}
