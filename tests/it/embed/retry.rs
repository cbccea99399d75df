//! Asking again about what failed.

use std::path::Path;

use candist::{
    Answer, AnswerKey, AskError, Asked, BoxFuture, LabelEvent, Outcome, Result, Run, Sample, Teacher, latest,
};

use super::parts::{Painter, Texts, config};

const TEXTS: u64 = 240;

/// Does not see every fourth colour, until it has glasses.
struct ShortSighted {
    painter: Painter,
    has_glasses: bool,
}

impl Teacher for ShortSighted {
    fn name(&self) -> &str {
        "short-sighted"
    }

    fn identity(&self) -> String {
        "short-sighted".to_owned()
    }

    fn key(&self, sample: &Sample, draw: u32) -> AnswerKey {
        self.painter.key(sample, draw)
    }

    fn attempts(&self) -> u32 {
        2
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        let number: u64 = sample.id.0.parse().unwrap();
        let sees = self.has_glasses || !number.is_multiple_of(4);
        let answer = if sees { self.painter.answer(sample) } else { Answer::default() };
        Box::pin(async move { Ok(Asked::free(answer)) })
    }
}

async fn run(dir: &Path, has_glasses: bool, retry: bool) -> Outcome {
    let teacher = ShortSighted { painter: Painter::new(), has_glasses };
    let run = Run::builder(config(dir)).corpus(|| Ok(Texts::new(TEXTS))).teacher(teacher).retry_failures(retry);
    run.start().join().await.unwrap()
}

fn by_the_student(dir: &Path) -> u64 {
    let mut count = 0;
    let look = |event: &LabelEvent, _: &str| -> Result<()> {
        count += u64::from(event.candidates.is_empty());
        Ok(())
    };
    latest(dir, look).unwrap();
    count
}

/// They are the hard texts, and no sign that answers do not fit the task.
#[tokio::test]
async fn failures_that_fail_again_end_no_run_and_answers_to_them_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for retry in [false, true] {
        assert_eq!(run(folder.path(), false, retry).await.failures.samples, TEXTS / 4);
        assert_eq!(by_the_student(folder.path()), TEXTS / 4);
    }
    // Where the label stays the same, what it comes of is told all the same.
    assert_eq!(run(folder.path(), true, true).await.failures.samples, 0);
    assert_eq!(by_the_student(folder.path()), 0);
}
