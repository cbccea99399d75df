//! A corpus of one's own: the reviews of a shop's table, in place of a file.
//!
//! `cargo run --example own_corpus`

#![expect(clippy::print_stdout, reason = "an example")]

use candist::{Config, Corpus, Result, Row, Run, RunDir, Sample, latest};

/// A row of the table.
type Review = (u32, Option<&'static str>);

const TABLE: [Review; 5] = [
    (1, Some("It arrived two weeks late.")),
    (2, Some("The handle broke on the first day.")),
    (3, None),
    (4, Some("Far too expensive for what it is.")),
    (9, Some("The box was open and a part was missing.")),
];

/// What a query gives, one row after the other.
struct Query(std::array::IntoIter<Review, 5>);

impl Corpus for Query {
    fn next_row(&mut self) -> Result<Option<Row>> {
        let Some((number, text)) = self.0.next() else { return Ok(None) };
        let sample = match text {
            Some(text) => Ok(Sample::new(format!("review-{number:02}"), text)),
            // Counted and listed; the run goes on.
            None => Err("the review has no text".to_owned()),
        };
        Ok(Some(Row { line: number.into(), sample }))
    }

    fn name(&self) -> String {
        "shop.reviews".to_owned()
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let dir = folder.path().join("run");
    let config = Config::load("examples/reviews/reviews.toml".as_ref(), Some(dir.clone()))?;
    Run::builder(config).corpus(|| Ok(Query(TABLE.into_iter()))).start().join().await?;
    for failure in RunDir::view(&dir)?.failures()? {
        println!("{}: {}", failure.id, failure.reason);
    }
    latest(&dir, |event, _| -> Result<()> {
        println!("{}: {} ({:.2})", event.id, event.label, event.confidence);
        Ok(())
    })?;
    Ok(())
}
