//! A report of a run: one HTML file for a person to read, print and hand on, made from the run's files alone.
//!
//! First everything is counted (`rows`, `answers`, `judged`, `chosen`, put together by `facts`), in a few passes over the logs that hold
//! some 80 bytes a text; then it is shown (`show`, by way of `html` and `svg`). Three things are kept: the same files give the same bytes (no
//! clock takes part), nothing that a text, an id or a label says becomes markup, and the file loads nothing from anywhere.

mod answers;
mod chosen;
mod counts;
mod facts;
mod html;
mod judged;
mod people;
mod rows;
mod show;
mod state;
mod svg;

use std::io::Write;
use std::path::Path;

use self::facts::Facts;
use self::html::Html;
use super::gold::GoldLabels;
use super::table::TableOptions;
use super::table::guard::{Earlier, refuse_others, refuse_ours};
use super::table::target::Target;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::store::RunView;

/// What a report is known by: in the head of every one.
const MARK: &str = "<meta name=\"generator\" content=\"candist report\">";

/// What a report tells besides what the run itself says.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportOptions<'a> {
    /// Right labels, to judge those of the run by.
    pub gold: Option<GoldLabels<'a>>,
    /// A sample that a person filled in: what [`draw`](crate::draw) gave.
    pub audited: Option<&'a Path>,
    /// Whether every line of the logs is checked, as [`check_deep`](crate::check_deep) does.
    pub check: bool,
}

/// Whoever waits may not wait any more: asked at every line that is read.
#[derive(Clone, Copy)]
pub(super) struct Patience<'a>(&'a dyn Fn() -> bool);

impl Patience<'_> {
    /// An error where nobody waits.
    fn check(self) -> Result<()> {
        if (self.0)() { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// The report of the run that `view` looks at, as HTML. Works beside a run: it tells what was there.
///
/// # Errors
///
/// Those of reading the logs; [`Error::Unfit`] and [`Error::InputLine`] for gold labels or a sample that cannot be used, or are of another
/// corpus.
pub fn report(view: &RunView, options: &ReportOptions<'_>) -> Result<String> {
    report_while(view, options, &|| false)
}

/// The same, until `is_over`: then [`Error::Interrupted`].
pub(crate) fn report_while(view: &RunView, options: &ReportOptions<'_>, is_over: &dyn Fn() -> bool) -> Result<String> {
    let facts = Facts::of(view, options, Patience(is_over))?;
    let mut html = Html::default();
    show::page(&facts, &mut html);
    Ok(html.finish())
}

/// Writes the report to the file at `path`, whole or not at all, or without one to standard output. `config` is that of the run, where it
/// is known: no file of its corpus is written over.
///
/// # Errors
///
/// Those of [`report`]; [`Error::Unfit`] where the file is in the run directory, is of the corpus, or is there and no report;
/// [`Error::RunFile`] where it cannot be written.
pub fn write_report(
    view: &RunView,
    options: &ReportOptions<'_>,
    config: Option<Config>,
    path: Option<&Path>,
) -> Result<()> {
    if let Some(path) = path {
        refuse_ours(view, &TableOptions { config, ..TableOptions::default() }, path)?;
        refuse_others(path, &Earlier::Text(MARK))?;
    }
    // First, for the logs may take a while to read.
    let (target, mut file) = Target::open(path)?;
    let html = report(view, options)?;
    file.write_all(html.as_bytes()).map_err(target.failed())?;
    target.put()
}
