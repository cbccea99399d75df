//! `candist correct`: labels that a person gives, or takes back.

use std::path::PathBuf;

use anyhow::Result;
use candist::internal::{LabelColumn, LabelColumns, labels_of};
use candist::{Corrected, Error, LabelSet, NewCorrection, RunDir, RunView, correct};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;

use super::grouped;
use super::place::RunArg;

#[derive(Debug, Args)]
pub(super) struct CorrectArgs {
    #[command(flatten)]
    run: RunArg,
    /// Labels, in any format of a corpus: rows with id and label, one a text.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    /// Give one text its label; may be given several times.
    #[arg(long, num_args = 2, value_names = ["ID", "LABEL"])]
    set: Vec<String>,
    /// Take back what was said of one text; may be given several times.
    #[arg(long, value_name = "ID")]
    take_back: Vec<String>,
    /// Whoever gives the labels; kept with them.
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    who: Option<String>,
    /// A note that is kept with them.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// The field or column of the label in FILE.
    #[arg(long, value_name = "NAME", default_value = "label")]
    label_field: String,
    /// The field or column of the id in FILE.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_field: String,
    /// The field or column of the text in FILE: a row without id goes by its text's hash, as in a corpus without ids.
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_field: String,
}

pub(super) fn run(args: &CorrectArgs) -> Result<()> {
    #[cfg(feature = "shared")]
    if let Some(elsewhere) = args.run.elsewhere()? {
        let (said, run) =
            super::fetched::correct_there(&elsewhere, |dir| Ok(correct_in(&RunDir::view(dir)?, args)?.said()))?;
        tracing::info!(
            "{run}: {said}; whoever trains the run takes it in (`candist run CONFIG`, where nobody does), and it is seen then"
        );
        return Ok(());
    }
    let dir = args.run.dir()?;
    let view = RunDir::view(&dir)?;
    let done = correct_in(&view, args)?;
    let next = match (done.0.given + done.0.taken_back, view.is_live()) {
        (0, _) => "",
        (_, true) => "; the run takes it in",
        (_, false) if done.0.taken_back > 0 => {
            "; exports have what was given at once; a text whose correction was taken back has the run's own label after `candist run CONFIG`"
        }
        (_, false) => "; exports have it at once, and `candist run CONFIG` lets the student learn from it",
    };
    tracing::info!("{}: {}{next}", dir.display(), done.said());
    Ok(())
}

fn correct_in(view: &RunView, args: &CorrectArgs) -> Result<Done> {
    let config = args.run.config()?;
    // A configuration has what labels are called besides their names.
    let labels = config.as_ref().map_or(view.labels(), |config| &config.task.labels);
    let corrections = args.corrections(labels)?;
    if corrections.is_empty() {
        let message =
            "says nothing to correct: name a file of labels, or one text with --set ID LABEL or --take-back ID";
        return Err(Error::Unfit { path: "candist correct".into(), message: message.to_owned() }.into());
    }
    Ok(Done(correct(view, &corrections, args.who.as_deref())?))
}

/// What became of corrections, in words.
struct Done(Corrected);

impl Done {
    fn said(&self) -> String {
        let Self(done) = self;
        let counts = [(done.given, "corrected"), (done.taken_back, "taken back"), (done.same, "as it was said before")];
        let mut said: Vec<String> = counts
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, what)| format!("{} {what}", grouped(*count)))
            .collect();
        if done.replaced > 0 {
            said.push(format!("{} of which had another label of a person before", grouped(done.replaced)));
        }
        said.join(", ")
    }
}

impl CorrectArgs {
    fn corrections(&self, labels: &LabelSet) -> Result<Vec<NewCorrection>> {
        let new = |id: &str, label: Option<&str>| NewCorrection {
            id: id.to_owned(),
            label: label.map(|name| labels.resolve(name).map_or(name, |label| labels.name(label)).to_owned()),
            note: self.note.clone(),
        };
        let mut corrections = Vec::new();
        if let Some(file) = &self.file {
            let column = |name, named_by| LabelColumn { name, named_by };
            let columns = LabelColumns {
                label: column(&self.label_field, "--label-field"),
                id: column(&self.id_field, "--id-field"),
                text: column(&self.text_field, "--text-field"),
            };
            let named = labels_of(file, "corrections", columns, labels)?;
            corrections.extend(named.iter().map(|(id, label)| new(id, Some(labels.name(*label)))));
        }
        // Which of the two was typed last, nobody knows here.
        if let Some(id) = self.take_back.iter().find(|id| self.set.iter().step_by(2).any(|set| set == *id)) {
            let message = format!("both gives {id:?} a label and takes it back: say one of the two");
            return Err(Error::Unfit { path: "candist correct".into(), message }.into());
        }
        // Two values an occurrence, as clap sees to.
        corrections.extend(self.set.chunks_exact(2).filter_map(|pair| Some(new(pair.first()?, Some(pair.get(1)?)))));
        corrections.extend(self.take_back.iter().map(|id| new(id, None)));
        Ok(corrections)
    }
}
