//! Labels that people gave, as `corrections.jsonl` has them: held against the texts that have arrived, for it names them by id and
//! hash, and the table has neither.

use std::path::{Path, PathBuf};

use super::arrival::text_at;
use super::rows::Table;
use crate::domain::label::LabelId;
use crate::domain::sample::{SampleId, TextHash};
use crate::error::Result;
use crate::store::Corrections;

/// See the module.
#[derive(Debug)]
pub(super) struct Given {
    dir: PathBuf,
    /// `None` before there is anything to read.
    corrections: Option<Corrections>,
    /// Of texts that had not arrived when they were read.
    waiting: Vec<SampleId>,
    /// Texts that had arrived then.
    arrived: usize,
}

impl Given {
    /// Of the run directory `dir`; nothing is read yet.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), corrections: None, waiting: Vec::new(), arrived: 0 }
    }

    /// Whether there may be something new for `table`.
    pub(super) fn is_due(&self, table: &Table) -> bool {
        let has_news = self.corrections.as_ref().map_or_else(|| Corrections::are_in(&self.dir), Corrections::has_news);
        has_news || (!self.waiting.is_empty() && self.arrived < table.rows().len())
    }

    /// What was decided since of texts of `table`, by position.
    ///
    /// # Errors
    ///
    /// Those of reading the log; what could not be read is read the next time.
    pub(super) fn read(&mut self, table: &Table) -> Result<Vec<(u32, Option<LabelId>)>> {
        let new = || Corrections::of(&self.dir, table.names.labels.clone());
        let corrections = self.corrections.get_or_insert_with(new);
        let news = corrections.read()?;
        let mut ids = std::mem::take(&mut self.waiting);
        ids.extend(news);
        self.arrived = table.rows().len();
        let mut decided = Vec::new();
        for id in ids {
            let Some(position) = table.ids.position(&id.0) else {
                self.waiting.push(id);
                continue;
            };
            if let Some(said) = hash_at(table, position).and_then(|hash| corrections.get(&id, hash)) {
                decided.push((position, said.label));
            }
        }
        Ok(decided)
    }

    /// Lines that cannot be read.
    pub(super) fn damaged(&self) -> u64 {
        self.corrections.as_ref().map_or(0, |corrections| corrections.damaged().len() as u64)
    }
}

/// The hash of the text at `position`; `None` where its line cannot be read.
pub(super) fn hash_at(table: &Table, position: u32) -> Option<TextHash> {
    let (lines, _) = table.inputs.as_ref()?;
    let (_, text) = text_at(lines, table.row(position)?.text_at)?;
    Some(TextHash::of(&text))
}
