//! Texts of an audit's sample are not corrected while the audit goes on.

use crate::domain::sample::{SampleId, TextHash};
use crate::error::{Error, Result};
use crate::store::{Audits, RunView};

/// An error where a text of `texts`, by id and hash, is of the sample of an audit that goes on: whoever corrects it makes its label right
/// by definition. A sample that is drawn just now, while something is corrected, is not in the way of that: nobody knew of it.
///
/// # Errors
///
/// [`Error::Unfit`], and [`Error::RunFile`] where `audit.jsonl` cannot be read.
pub(super) fn refuse_audited<'a>(view: &RunView, texts: impl Iterator<Item = (&'a str, TextHash)>) -> Result<()> {
    let mut audits = Audits::of(view.dir(), view.labels().clone());
    audits.read()?;
    let Some(audit) = audits.open() else { return Ok(()) };
    let mut audited: Vec<&str> =
        texts.filter(|(id, hash)| audit.has(&SampleId((*id).to_owned()), *hash)).map(|(id, _)| id).collect();
    audited.sort_unstable();
    let Some(first) = audited.first() else { return Ok(()) };
    let more = if audited.len() > 1 { format!(" and {} more", audited.len() - 1) } else { String::new() };
    let message = format!("is audited by a sample that has the text {first:?}{more}: {IN_SAMPLE}");
    Err(Error::Unfit { path: view.dir().to_owned(), message })
}

/// Why a text of a sample is not corrected, and what to do.
pub(crate) const IN_SAMPLE: &str = "corrected, it would be right by definition, and the audit worth nothing. Nothing was kept. Correct other \
                                    texts, or end the audit first (on the page, or with `candist audit RUN --end`; --drop where nothing of it is \
                                    labelled)";
