//! What labelling tools and hubs import: the same rows, in the files that they read.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::array::Array;
use super::format::Compression;
use super::guard::{Earlier, refuse_others, refuse_ours};
use super::reading::Reading;
use super::row::{Row, Shape};
use super::target::{Stream, Target};
use super::{TableOptions, TableSummary, argilla, label_studio};
use crate::error::{Error, Result};
use crate::store::RunView;

/// A tool that imports what is written for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tool {
    /// Label Studio: a file of tasks with predictions, and beside it (`.xml`) the labelling configuration.
    LabelStudio,
    /// Argilla 2: a folder for `rg.Dataset.from_disk`, with suggestions.
    Argilla,
    /// A Hugging Face dataset: a folder for `datasets.load_dataset`, with class labels.
    HuggingFace,
}

/// Writes the labels that hold in the run of `view`, with their texts, as `tool` imports them: to the file, or the folder,
/// `out`. A folder must be new, or hold what an earlier call wrote, which is replaced file by file.
///
/// # Errors
///
/// Those of [`write_table`](super::write_table); [`Error::Unfit`] where `out` is somebody's folder.
pub fn export_for(view: &RunView, options: &TableOptions, tool: Tool, out: &Path) -> Result<TableSummary> {
    let options = &TableOptions { text: true, ..options.clone() };
    refuse_ours(view, options, out)?;
    match tool {
        Tool::LabelStudio => {
            let settings = out.with_extension("xml");
            if settings == out {
                let message =
                    "is where the labelling configuration goes: name the file of the tasks, such as tasks.json";
                return Err(Error::Unfit { path: settings, message: message.to_owned() });
            }
            refuse_ours(view, options, &settings)?;
            refuse_others(out, &Earlier::Rows(&["data", "predictions"]))?;
            refuse_others(&settings, &Earlier::Text(label_studio::MARK))?;
            let summary = array(view, options, out, label_studio::task)?;
            file(&settings, label_studio::configuration(view.labels()).as_bytes())?;
            Ok(summary)
        }
        Tool::Argilla => {
            folder(out, &[argilla::RECORDS, ".argilla"])?;
            refuse_others(&out.join(argilla::RECORDS), &Earlier::Rows(&["id", "fields", "suggestions"]))?;
            let summary = array(view, options, &beside(out, argilla::RECORDS)?, argilla::record)?;
            let json = |value: &Value| format!("{value:#}\n");
            file(&beside(out, argilla::SETTINGS)?, json(&argilla::settings(view.task(), view.labels())).as_bytes())?;
            file(&beside(out, argilla::DATASET)?, json(&argilla::dataset(view.task())).as_bytes())?;
            Ok(summary)
        }
        Tool::HuggingFace => hugging_face(view, options, out),
    }
}

#[cfg(feature = "parquet")]
fn hugging_face(view: &RunView, options: &TableOptions, out: &Path) -> Result<TableSummary> {
    use super::guard::TABLE;
    use super::hub;
    use super::parquet::{LabelColumn, Parquet};

    folder(out, &[hub::CARD, "data"])?;
    refuse_others(&out.join(hub::CARD), &Earlier::Text(hub::MARK))?;
    refuse_others(&out.join(hub::DATA), &TABLE)?;
    let (target, data) = Target::open(Some(&beside(out, hub::DATA)?))?;
    let reading = Reading::open(view, options)?;
    let (failed, shape) = (target.failed(), reading.shape());
    let stream = Stream::new(data, Compression::None).map_err(&failed)?;
    let writer = Parquet::new(stream, shape.clone(), LabelColumn::Class).map_err(&failed)?;
    let (stream, summary) = reading.write(&target, writer)?;
    stream.finish().map_err(&failed)?;
    target.put()?;
    file(&beside(out, hub::CARD)?, hub::card(view.task(), &shape, summary.rows).as_bytes())?;
    Ok(summary)
}

#[cfg(not(feature = "parquet"))]
fn hugging_face(_: &RunView, _: &TableOptions, out: &Path) -> Result<TableSummary> {
    super::TableFormat::Parquet.check(Compression::None, Some(out)).map(|()| TableSummary::default())
}

/// Writes the rows as a JSON array to the file `out`.
fn array(
    view: &RunView,
    options: &TableOptions,
    out: &Path,
    object: fn(&Row, &Shape) -> Value,
) -> Result<TableSummary> {
    let (target, file) = Target::open(Some(out))?;
    let reading = Reading::open(view, options)?;
    let failed = target.failed();
    let stream = Stream::new(file, Compression::None).map_err(&failed)?;
    let writer = Array::new(stream, reading.shape(), object).map_err(&failed)?;
    let (stream, summary) = reading.write(&target, writer)?;
    stream.finish().map_err(&failed)?;
    target.put()?;
    Ok(summary)
}

/// A whole file at once.
fn file(path: &Path, content: &[u8]) -> Result<()> {
    let (target, mut file) = Target::open(Some(path))?;
    file.write_all(content).map_err(target.failed())?;
    target.put()
}

/// Makes the folder `out`, which may hold `ours` and nothing else.
fn folder(out: &Path, ours: &[&str]) -> Result<()> {
    let unfit = |message: String| Error::Unfit { path: out.to_owned(), message };
    if out.exists() && !out.is_dir() {
        return Err(unfit("is a file: name a new folder".to_owned()));
    }
    fs::create_dir_all(out).map_err(Error::run_file("create", out))?;
    for entry in fs::read_dir(out).map_err(Error::run_file("read", out))? {
        let name = entry.map_err(Error::run_file("read", out))?.file_name();
        if !ours.iter().any(|ours| name == *ours) {
            let name = name.to_string_lossy().into_owned();
            return Err(unfit(format!("has {name:?} in it: choose an empty or new folder")));
        }
    }
    Ok(())
}

/// The file `name` in the folder `out`, whose own folder is made.
fn beside(out: &Path, name: &str) -> Result<PathBuf> {
    let path = out.join(name);
    let folder = path.parent().unwrap_or(out);
    fs::create_dir_all(folder).map_err(Error::run_file("create", folder))?;
    Ok(path)
}
