//! What the program, its tests and its benches need besides the library's surface. Nothing of it is promised.

use std::path::Path;
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};

pub use crate::base::durable::replace_file;
pub use crate::base::ngrams::ngrams;
pub use crate::base::random::rng;
pub use crate::base::threads::can_start;
pub use crate::config::goes_unencrypted;
pub use crate::corpus::labelled::{LabelColumn, LabelColumns, labels_of};
pub use crate::corpus::{Settings, count as count_rows, lacks, open as open_corpus, read, read_file};
pub use crate::parts::{Copied, local_folder};
pub use crate::readers::glimpse::{Choice, Column, Glimpse, distinct_values, glimpse};
pub use crate::readers::latest::no_labels;
pub use crate::store::{OPENING_THREAD, RunLock};
pub use crate::student::{CHUNK, CHUNK_BYTES, Crew, new as new_student};
pub use crate::teacher::ledger::Ledger;
pub use crate::teacher::{Requests, Size, open_all as open_teachers};

use crate::config::Task;
use crate::domain::answer::AnswerRecord;
use crate::domain::candidates::Opinion;
use crate::domain::event::By;
use crate::domain::input::{Names, NewInput, Outcome};
use crate::domain::label::LabelId;
use crate::domain::sample::Sample;
use crate::error::{Error, Result};
use crate::store::{APPENDED_TOGETHER, Identity, RowKey, RunDir};

/// Keeps `records` in a new run directory `dir` for `task`, `waiting` of them at a time, each by a call of its own as a
/// run's tasks make them. They are durable when this returns. For measuring the store: its identity is of no
/// configuration.
///
/// # Errors
///
/// Those of a directory that cannot be taken, and of a store that cannot write.
pub async fn keep_answers(dir: &Path, task: Task, records: Vec<AnswerRecord>, waiting: usize) -> Result<()> {
    let (store, writer) = RunDir::own(dir, unconfigured(task))?.open()?;
    let keep = |record| store.answers.keep(vec![record]);
    futures::stream::iter(records).map(keep).buffer_unordered(waiting).try_collect::<()>().await?;
    drop(store);
    writer.join().unwrap_or_else(|_| Err(Error::gone("store")))
}

/// Places `samples`, each with what a teacher said of it, in the same way: looked up as rows of a corpus, and appended to the
/// input log as many together as a run appends. For measuring, too.
///
/// # Errors
///
/// Likewise.
pub async fn place_samples(dir: &Path, task: Task, samples: Vec<(Sample, Vec<LabelId>)>) -> Result<()> {
    let (store, writer) = RunDir::own(dir, unconfigured(task))?.open()?;
    let mut samples = samples.into_iter().peekable();
    while samples.peek().is_some() {
        let some: Vec<_> = samples.by_ref().take(APPENDED_TOGETHER).collect();
        let rows: Vec<_> = some.iter().map(|(sample, _)| RowKey::of(sample)).collect();
        let known = store.inputs.known_rows(&rows).await?;
        let new = some.into_iter().zip(known).filter(|(_, known)| known.is_none());
        let arrivals = new.map(|((sample, labels), _)| {
            let opinions = vec![Opinion { teacher: 0, labels, weights: Vec::new() }];
            NewInput::Arrive(sample, Outcome { opinions, failure: None })
        });
        store.inputs.append(arrivals.collect()).await?;
    }
    drop(store);
    writer.join().unwrap_or_else(|_| Err(Error::gone("store")))
}

fn unconfigured(task: Task) -> Identity {
    Identity {
        task: task.name,
        names: Arc::new(Names { labels: task.labels, teachers: vec!["teacher".to_owned()] }),
        asking: String::new(),
        labelling: String::new(),
        before: String::new(),
        refinery: By::Posterior,
    }
}
