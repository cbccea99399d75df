//! A teacher of one's own: rules, in place of an LLM. They may name several labels, and need not be right; what they name none
//! for is labelled by the student.
//!
//! `cargo run --example own_teacher`

#![expect(clippy::print_stdout, reason = "an example")]

use candist::{Answer, AnswerKey, AskError, Asked, BoxFuture, Config, LabelSet, Result, Run, Sample, Teacher};
use futures::StreamExt;

/// A text with this in it may be about that.
const RULES: [(&str, &str); 10] = [
    ("late", "delivery"),
    ("parcel", "delivery"),
    ("deliver", "delivery"),
    ("broke", "defect"),
    ("leak", "defect"),
    ("does not", "defect"),
    ("cost", "price"),
    ("expensive", "price"),
    ("happy", "praise"),
    ("!", "praise"),
];

struct Rules(LabelSet);

impl Teacher for Rules {
    fn name(&self) -> &str {
        "rules"
    }

    /// Other rules would be another teacher.
    fn identity(&self) -> String {
        format!("{RULES:?}")
    }

    /// An answer is kept under this key, and asked for once.
    fn key(&self, sample: &Sample, _draw: u32) -> AnswerKey {
        AnswerKey::of(&[&self.identity(), &sample.text])
    }

    fn ask<'a>(&'a self, sample: &'a Sample, _draw: u32) -> BoxFuture<'a, Result<Asked, AskError>> {
        let fits = |(word, label): &(&str, &str)| self.0.exact(label).filter(|_| sample.text.contains(word));
        Box::pin(async move { Ok(Asked::free(Answer::naming(RULES.iter().filter_map(fits)))) })
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let config = Config::load("examples/reviews/reviews.toml".as_ref(), Some(dir.path().join("run")))?;
    let rules = Rules(config.task.labels.clone());
    let run = Run::builder(config).teacher(rules).start();
    let mut labels = run.labels(0);
    while let Some(event) = labels.next().await.transpose()? {
        println!("{}: {:?} -> {} ({:.2})", event.id, event.candidates, event.label, event.confidence);
    }
    run.join().await?;
    Ok(())
}
