//! A sink of one's own: labels into a table that is level with the run, whatever either of them was stopped by.
//!
//! `cargo run --example own_sink`

#![expect(clippy::print_stdout, reason = "an example")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candist::{Config, LabelEvent, Result, Run, Sink};

/// A user's table: a row for each text, and how much of which label log is in it.
#[derive(Default)]
struct Table {
    labels: BTreeMap<String, String>,
    log: String,
    next: u64,
}

struct IntoTable(Arc<Mutex<Table>>);

impl Sink for IntoTable {
    /// Says from which event on it wants them. Another log begins with other settings: what came of these is void.
    fn begin(&mut self, log: &str) -> Result<u64, String> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if table.log != log {
            *table = Table { log: log.to_owned(), ..Table::default() };
        }
        Ok(table.next)
    }

    /// In a database, one transaction: the rows, and up to where they go.
    fn write(&mut self, events: &[LabelEvent]) -> Result<(), String> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            table.labels.insert(event.id.clone(), event.label.clone());
            table.next = event.offset + 1;
        }
        Ok(())
    }
}

#[tokio::main]
pub(crate) async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let config = Config::load("examples/reviews/reviews.toml".as_ref(), Some(dir.path().join("run")))?;
    let table = Arc::new(Mutex::new(Table::default()));
    let filled = Arc::clone(&table);
    Run::builder(config).sink(move || IntoTable(Arc::clone(&filled))).start().join().await?;
    let table = table.lock().unwrap_or_else(PoisonError::into_inner);
    println!(
        "{} texts in the table, from {} events: {:?}",
        table.labels.len(),
        table.next,
        table.labels.first_key_value()
    );
    Ok(())
}
