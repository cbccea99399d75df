//! A refinery of one's own: how far the teacher's first label counts against the student, which never saw it.
//!
//! `cargo run --example own_refinery`

#![expect(clippy::print_stdout, reason = "an example")]

use candist::{CandidateSet, Config, Refinery, Result, Run, softmax};
use futures::StreamExt;

/// The teacher's first label has this share of the say, the student the rest.
struct Shares {
    labels: usize,
    teacher: f32,
}

impl Refinery for Shares {
    /// It stands as `by` in the labels.
    fn name(&self) -> &str {
        "shares"
    }

    /// Where it differs from that of an earlier run, labels are written anew; no teacher is asked for it.
    fn identity(&self) -> String {
        format!("shares 1, teacher {}", self.teacher)
    }

    /// What the student learns. In the warm-up nothing is known of it: all labels alike.
    fn target(&self, candidates: &CandidateSet, logits: Option<&[f32]>) -> Option<Vec<f32>> {
        Some(self.posterior(candidates, logits.unwrap_or(&vec![0.0; self.labels])))
    }

    /// What the label is taken from. Where no teacher named one, the student has all the say.
    fn posterior(&self, candidates: &CandidateSet, logits: &[f32]) -> Vec<f32> {
        let student = softmax(logits);
        let Some(first) = candidates.labels().first() else { return student };
        let of_teacher = |label| if label == first.index() { self.teacher } else { 0.0 };
        student.iter().enumerate().map(|(label, p)| of_teacher(label) + (1.0 - self.teacher) * p).collect()
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let config = Config::load("examples/reviews/reviews.toml".as_ref(), Some(dir.path().join("run")))?;
    let run = Run::builder(config).refinery(|labels| Shares { labels, teacher: 0.4 }).start();
    let mut labels = run.labels(0);
    while let Some(event) = labels.next().await.transpose()? {
        println!("{}: {:?} -> {} ({:.2})", event.id, event.candidates, event.label, event.confidence);
    }
    run.join().await?;
    Ok(())
}
