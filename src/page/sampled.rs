//! Which texts of the table are in the sample of the audit that goes on, as `audit.jsonl` has it: by id and hash there, by position here.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::given::hash_at;
use super::rows::Table;
use crate::error::Result;
use crate::store::{AuditText, Audits};

/// See the module.
#[derive(Debug)]
pub(super) struct Sampled {
    dir: PathBuf,
    /// `None` before there is anything to read.
    audits: Option<Audits>,
    /// By the sample of this seed, after so many draws.
    of: Option<(u64, usize)>,
    found: HashSet<u32>,
    /// Texts of the sample that had not arrived, or had another text.
    missing: Vec<AuditText>,
    /// Texts that had arrived then.
    arrived: usize,
}

impl Sampled {
    /// Of the run directory `dir`; nothing is read yet.
    pub(super) fn of(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), audits: None, of: None, found: HashSet::new(), missing: Vec::new(), arrived: 0 }
    }

    /// Whether there may be something new for `table`.
    pub(super) fn is_due(&self, table: &Table) -> bool {
        let has_news = self.audits.as_ref().map_or_else(|| Audits::are_in(&self.dir), Audits::has_news);
        has_news || (!self.missing.is_empty() && self.arrived < table.rows().len())
    }

    /// The texts of `table` that are in the sample.
    ///
    /// # Errors
    ///
    /// Those of reading the log; what could not be read is read the next time.
    pub(super) fn read(&mut self, table: &Table) -> Result<HashSet<u32>> {
        let audits = self.audits.get_or_insert_with(|| Audits::of(&self.dir, table.names.labels.clone()));
        audits.read()?;
        let audit = audits.open();
        let of = audit.map(|audit| (audit.seed, audit.draws.len()));
        // A label changes no sample, and each text of one is a line to read.
        if of != self.of {
            (self.of, self.found) = (of, HashSet::new());
            self.missing = audit.map(|audit| audit.texts.clone()).unwrap_or_default();
        }
        if !self.missing.is_empty() {
            let (found, missing) = positions(table, &self.missing);
            self.found.extend(found);
            (self.missing, self.arrived) = (missing, table.rows().len());
        }
        Ok(self.found.clone())
    }

    /// Lines that cannot be read.
    pub(super) fn damaged(&self) -> u64 {
        self.audits.as_ref().map_or(0, |audits| audits.damaged().len() as u64)
    }
}

/// Where `texts` are in `table`, and those that are not there, or have another text there.
pub(super) fn positions(table: &Table, texts: &[AuditText]) -> (HashSet<u32>, Vec<AuditText>) {
    let (mut found, mut missing) = (HashSet::new(), Vec::new());
    for text in texts {
        let position = table.ids.position(&text.id.0);
        match position.filter(|position| hash_at(table, *position) == Some(text.text_hash)) {
            Some(position) => drop(found.insert(position)),
            None => missing.push(text.clone()),
        }
    }
    (found, missing)
}
