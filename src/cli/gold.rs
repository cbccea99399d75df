//! Where gold labels are: a file, or a column of the run's own corpus.

use std::path::PathBuf;

use anyhow::Result;
use candist::{Config, Error, GoldLabels, GoldRows};
use clap::Args;

/// See the module. To be flattened into the arguments of a verb.
#[derive(Debug, Args)]
pub(super) struct GoldArgs {
    /// Gold labels: rows with id and label, in any format of a corpus.
    #[arg(long, value_name = "FILE")]
    gold: Option<PathBuf>,
    /// The field or column of the gold label [default: label]; without --gold, it is one of the corpus itself.
    #[arg(long, value_name = "NAME")]
    gold_field: Option<String>,
    /// The field or column of the id in such a file.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_field: String,
    /// The field or column of the text there: a row without id goes by its text's hash, as in a corpus without ids.
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_field: String,
}

impl GoldArgs {
    /// The labels that were asked for, if any were; `config` is that of the run, where it is known.
    pub(super) fn labels<'a>(&'a self, config: Option<&'a Config>) -> Result<Option<GoldLabels<'a>>> {
        let rows = match (&self.gold, &self.gold_field) {
            (None, None) => return Ok(None),
            (Some(path), _) => GoldRows::File(path),
            (None, Some(field)) => GoldRows::Corpus(match config {
                Some(config) => &config.corpus,
                None => {
                    let message = "alone is a column of the corpus, which a run directory does not name: give the configuration \
                                   (.toml) in its place, or the file with --gold";
                    let path = format!("--gold-field {field}").into();
                    return Err(Error::Unfit { path, message: message.to_owned() }.into());
                }
            }),
        };
        let label_field = self.gold_field.as_deref().unwrap_or("label");
        Ok(Some(GoldLabels { rows, label_field, id_field: &self.id_field, text_field: &self.text_field }))
    }
}
