//! Rows in which a person named labels, one a text: of a file in any format that a corpus may have, or of a run's own corpus,
//! where that has a column of them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use crate::config::CorpusConfig;
use crate::corpus::labelled::{LabelColumn, LabelColumns, LabelledFile, names, plain, resolve};
use crate::corpus::{Record, Settings, maker, records};
use crate::domain::label::{LabelId, LabelSet};
use crate::domain::sample::TextHash;
use crate::error::{Error, Result};

/// Gold labels: where they are, and in which columns.
#[derive(Debug, Clone, Copy)]
pub struct GoldLabels<'a> {
    /// The rows that have them.
    pub rows: GoldRows<'a>,
    /// The column of the label, by name or alias of the task.
    pub label_field: &'a str,
    /// The column of the id, read as a corpus' is. A corpus has its own.
    pub id_field: &'a str,
    /// The column of the text: its hash is the id of a row that has none. A corpus has its own.
    pub text_field: &'a str,
}

/// Rows in which a person named labels.
#[derive(Debug, Clone, Copy)]
pub enum GoldRows<'a> {
    /// Those of a file, in any format of a corpus. A row without a label is an error, and so are two labels of one text.
    File(&'a Path),
    /// Those of a run's corpus that have a label. Of several with one id the first of these counts.
    Corpus(&'a CorpusConfig),
}

/// Takes id, text and label.
type Each<'a> = &'a mut dyn FnMut(&str, Option<&str>, LabelId);

impl<'a> GoldLabels<'a> {
    /// A file with the columns `id`, or `text`, and `label`.
    pub fn file(path: &'a Path) -> Self {
        Self { rows: GoldRows::File(path), label_field: "label", id_field: "id", text_field: "text" }
    }

    /// Calls `each` with the id and the label of every text that has one, once, and of a corpus with the text too. Where there is
    /// none, that is an error.
    pub(super) fn read(self, labels: &LabelSet, mut each: impl FnMut(&str, Option<&str>, LabelId)) -> Result<()> {
        match self.rows {
            GoldRows::File(path) => self.read_file(path, labels, &mut each),
            GoldRows::Corpus(config) => self.read_corpus(config, labels, &mut each),
        }
    }

    fn read_file(self, path: &Path, labels: &LabelSet, each: Each<'_>) -> Result<()> {
        let file = LabelledFile::open(path, "gold labels", labels)?;
        if file.read(self.columns(), &mut |id, label| each(id, None, label))? == 0 {
            return Err(Error::Unfit {
                path: self.path(),
                message: format!("has no gold labels: expected {}", self.expected()),
            });
        }
        Ok(())
    }

    /// By the options that name them.
    pub(super) fn columns(self) -> LabelColumns<'a> {
        LabelColumns {
            label: LabelColumn { name: self.label_field, named_by: "--gold-field" },
            id: LabelColumn { name: self.id_field, named_by: "--id-field" },
            text: LabelColumn { name: self.text_field, named_by: "--text-field" },
        }
    }

    fn read_corpus(self, config: &CorpusConfig, labels: &LabelSet, each: Each<'_>) -> Result<()> {
        let settings = Settings::CONFIGURATION;
        let (sample_of, mut rows) = (maker(config, settings)?, records(config)?);
        let (mut seen, mut count, mut columns) = (HashSet::new(), 0, None);
        while let Some(Record { place, fields }) = rows.next_record()? {
            // Of a row that is none the run tells.
            let Ok(fields) = fields else { continue };
            let name = fields.get(self.label_field).and_then(plain);
            columns.get_or_insert_with(|| names(&fields));
            let Some(name) = name else { continue };
            let Ok(sample) = sample_of.sample(fields, Vec::new) else { continue };
            if seen.insert(TextHash::of(&sample.id.0)) {
                let wrong = |message| Error::InputLine { path: PathBuf::from(rows.file()), line: place, message };
                each(&sample.id.0, Some(&sample.text), resolve(labels, &name).map_err(wrong)?);
                count += 1;
            }
        }
        if count == 0 {
            let has = columns.map(|columns| format!("; its columns are {columns}")).unwrap_or_default();
            let message = format!("has no gold labels in a column {:?}{has}", self.label_field);
            return Err(Error::Unfit { path: self.path(), message });
        }
        Ok(())
    }

    /// What errors about all of it name.
    pub(super) fn path(self) -> PathBuf {
        match self.rows {
            GoldRows::File(path) => path.to_owned(),
            GoldRows::Corpus(config) => config.shown().into(),
        }
    }

    /// An example of a row, for errors.
    fn expected(self) -> String {
        format!("rows like {{{:?}: \"..\", {:?}: \"LABEL\"}}", self.id_field, self.label_field)
    }
}
