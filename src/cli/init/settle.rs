//! From flags and answers to what a new configuration says. A flag goes before a question, a question before a proposal;
//! where nobody can be asked, what has no good proposal is missing, and all of that is told at once.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use candist::Config;
use candist::config::CorpusConfig;
use candist::internal::{Choice, Glimpse, glimpse, lacks};

use super::InitArgs;
use super::ask::Person;
use super::labels::{Labels, Source, labels};
use super::paths::seen_from;
use super::presets::{MODEL, Provider};
use super::template::{Settled, Teacher, quoted};
use crate::cli::grouped;
use crate::cli::messages::one_line;

/// Rows that columns are proposed by.
const LOOKED_AT: u64 = 10_000;
/// Columns that are shown, and how much of a value.
const SHOWN: usize = 30;
const SHOWN_CHARS: usize = 40;
/// What the model is asked where nobody says it better.
const INSTRUCTION: &str = "Identify the label of this text";

/// What is missing where nobody can be asked: flags, with what they are for.
#[derive(Debug, Default)]
struct Missing(Vec<String>);

impl Missing {
    fn add(&mut self, flag: &str) {
        self.0.push(flag.to_owned());
    }

    fn tell(self) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        bail!(
            "nobody can be asked here, and there is missing:\n  {}\nAdd these, or run `candist init` on a terminal; nothing was written",
            self.0.join("\n  ")
        )
    }
}

/// Settles everything for the configuration in `folder`; `person` is asked what no flag says, if there is one.
pub(super) fn settle(args: &InitArgs, folder: &Path, person: &mut Option<Person<'_>>) -> Result<(Settled, Labels)> {
    let mut missing = Missing::default();
    let corpus = corpus(args, person, &mut missing)?;
    if person.is_none() {
        without_a_question(args, &mut missing);
    }
    let Some((path, config, seen)) = corpus else {
        missing.tell()?;
        bail!("there is no corpus");
    };
    let text_field = text_field(args, &seen, person, &mut missing)?;
    missing.tell()?;
    let id_field = id_field(args, &seen, &text_field, person)?;
    let labels = task_labels(args, &config, &seen, &text_field, person)?;
    let instruction = match (&args.instruction, person.as_mut()) {
        (Some(instruction), _) => instruction.clone(),
        (None, Some(person)) => {
            let not_empty =
                |text: &str| if text.is_empty() { Err("say it in a sentence".to_owned()) } else { Ok(text.to_owned()) };
            person.ask("What is the model to do, in a sentence", Some(INSTRUCTION), not_empty)?
        }
        (None, None) => INSTRUCTION.to_owned(),
    };
    if instruction.trim_end().ends_with(['?', '!']) {
        tracing::info!(
            "the prompt goes on after the instruction, \"{instruction}, with all possible choices, from the labels below\": it reads \
             better as the beginning of such a sentence"
        );
    }
    let teacher = teacher(args, folder, person)?;
    let settled = Settled {
        schema: super::SCHEMA,
        name: args.name.clone().unwrap_or_else(|| name_of(&path)),
        instruction,
        labels: labels.labels.clone(),
        corpus: path.iter().map(|path| seen_from(folder, path)).collect::<Result<String>>()?,
        corpus_keys: args.corpus_keys(),
        text_field,
        id_field,
        gold: labels.gold.clone(),
        teacher,
    };
    Ok((settled, labels))
}

/// Flags that are missing where nobody is asked.
fn without_a_question(args: &InitArgs, missing: &mut Missing) {
    if args.source().is_none() {
        missing.add("--labels A,B,C   the labels (or --labels-from COLUMN, or --labels-file FILE)");
    }
    let Some(provider) = args.provider else {
        let names: Vec<String> = Provider::all().iter().map(|provider| provider.name()).collect();
        return missing.add(&format!("--provider NAME  who is asked: {}", names.join(", ")));
    };
    match provider.preset() {
        None if args.recording.is_none() => missing.add("--recording FILE the file of answers"),
        Some(preset) => {
            if preset.base_url.is_none() && args.base_url.is_none() {
                missing.add(&format!("--base-url URL   the API's address, e.g. {}", preset.example));
            }
            if preset.model.is_none() && args.model.is_none() {
                missing.add(&format!("--model NAME     {}", preset.model_is));
            }
        }
        None => {}
    }
}

type Corpus = (Option<PathBuf>, CorpusConfig, Glimpse);

/// The corpus, looked at.
fn corpus(args: &InitArgs, person: &mut Option<Person<'_>>, missing: &mut Missing) -> Result<Option<Corpus>> {
    let look = |path: &str| -> Result<Corpus> {
        if path == "-" {
            bail!(
                "standard input cannot be looked at: give a file with some of its rows, and then set corpus.path = \"-\""
            );
        }
        let config = corpus_at(path, &args.corpus_keys())?;
        let seen = glimpse(&config, LOOKED_AT)?;
        if seen.columns.is_empty() {
            let why = seen.first_bad.map_or_else(|| "it is empty".to_owned(), |(place, why)| format!("{place} {why}"));
            bail!("{path} has no row that can be read: {why}");
        }
        Ok((Some(path.into()), config, seen))
    };
    let given =
        args.corpus().map(|path| path.to_str().map(str::to_owned).context("the path of the corpus is not UTF-8"));
    let found = match (given.transpose()?, person.as_mut()) {
        (Some(path), _) => look(&path)?,
        (None, Some(person)) => person
            .ask("The corpus, a file with one text a row", None, |path| look(path).map_err(|error| told(&error)))?,
        (None, None) => {
            missing.add("CORPUS           the file of texts");
            return Ok(None);
        }
    };
    if let Some(person) = person.as_mut() {
        show(&found, person)?;
    }
    Ok(Some(found))
}

/// The settings of a corpus of which only the place is known, with the checks and defaults of a configuration.
fn corpus_at(path: &str, keys: &[(&str, String)]) -> Result<CorpusConfig> {
    let keys: String = keys.iter().map(|(key, value)| format!(", {key} = {}", quoted(value))).collect();
    let toml = format!(
        "task = {{ name = \"t\", labels = [\"a\", \"b\"] }}\ncorpus = {{ path = {}{keys} }}\nteachers = [{{ kind = \"recorded\", path = \"a\" }}]",
        quoted(path)
    );
    let config = Config::parse(&toml, Path::new(""), None).map_err(|problems| anyhow::anyhow!("{problems}"))?;
    Ok(config.corpus)
}

/// Its columns, as a table.
fn show((path, _, seen): &Corpus, person: &mut Person<'_>) -> Result<()> {
    let rows = if seen.whole {
        format!("{} rows", grouped(seen.rows))
    } else {
        format!("the first {} rows", grouped(seen.rows))
    };
    let path = path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
    let bad =
        if seen.bad_rows > 0 { format!(", {} of them cannot be read", grouped(seen.bad_rows)) } else { String::new() };
    person.tell(&format!("\n{}, {rows}{bad}; its columns:", one_line(&path)))?;
    let width = seen.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or(0).clamp(4, 24);
    for column in seen.columns.iter().take(SHOWN) {
        let example: String = one_line(&column.example).chars().take(SHOWN_CHARS).collect();
        person.tell(&format!(
            "  {:<width$} {:>6} filled {:>6} different {:>6.0} characters  {example}",
            one_line(&column.name),
            grouped(column.filled),
            grouped(column.distinct),
            column.mean_chars,
        ))?;
    }
    let more = seen.columns.len().saturating_sub(SHOWN);
    if more > 0 {
        person.tell(&format!("  and {more} more"))?;
    }
    person.tell("")
}

/// A column of this name, or what there is instead.
fn is_column(seen: &Glimpse, name: &str) -> Result<String, String> {
    if seen.column(name).is_some() {
        return Ok(name.to_owned());
    }
    let names: Vec<&str> = seen.columns.iter().map(|column| column.name.as_str()).collect();
    Err(format!("there is no column {name:?}; there are: {}", names.join(", ")))
}

/// A column, or a template of several.
fn is_text(seen: &Glimpse, text: &str) -> Result<String, String> {
    if !text.contains("{{") {
        return is_column(seen, text);
    }
    let columns: Vec<String> = seen.columns.iter().map(|column| column.name.clone()).collect();
    lacks(text, &columns).map_or_else(|| Ok(text.to_owned()), Err)
}

fn text_field(
    args: &InitArgs,
    seen: &Glimpse,
    person: &mut Option<Person<'_>>,
    missing: &mut Missing,
) -> Result<String> {
    if let Some(field) = &args.text_field {
        return is_text(seen, field).map_err(|why| anyhow::anyhow!("--text-field: {why}"));
    }
    let proposal = seen.text();
    match (proposal, person.as_mut()) {
        (proposal, Some(person)) => {
            tell_why("the text", proposal.as_ref(), person)?;
            let name = proposal.as_ref().map(|choice| choice.name.as_str());
            person.ask("The column of the text, or a template like \"{{ title }}. {{ body }}\"", name, |name| {
                is_text(seen, name)
            })
        }
        (Some(Choice { name, why }), None) => {
            tracing::info!("the text is in the column {name:?}: {why} (--text-field names another)");
            Ok(name)
        }
        (None, None) => {
            let names: Vec<&str> = seen.columns.iter().map(|column| column.name.as_str()).collect();
            let bad = seen.first_bad.as_ref().map(|(place, why)| format!("; {place} {why}")).unwrap_or_default();
            let names = one_line(&names.join(", "));
            missing.add(&format!("--text-field NAME the column of the text: {names}{bad}"));
            Ok(String::new())
        }
    }
}

/// The proposal of a column, with its reason.
fn tell_why(what: &str, proposal: Option<&Choice>, person: &mut Person<'_>) -> Result<()> {
    match proposal {
        Some(Choice { name, why }) => person.tell(&format!("{name:?} is likely {what}: {why}.")),
        None => Ok(()),
    }
}

fn id_field(args: &InitArgs, seen: &Glimpse, text: &str, person: &mut Option<Person<'_>>) -> Result<Option<String>> {
    let read = |name: &str| match name {
        "-" => Ok(None),
        name if name == text => Err("is the column of the text: name another, or - for none".to_owned()),
        name => is_column(seen, name).map(Some),
    };
    if let Some(field) = &args.id_field {
        let found = read(field).map_err(|why| anyhow::anyhow!("--id-field: {why}"))?;
        if let Some(column) = found.as_deref().and_then(|name| seen.column(name))
            && column.distinct < column.filled
        {
            tracing::warn!(
                "the id {:?} has {} different values in {} rows: a row whose id was given to another text is a bad one",
                one_line(&column.name),
                grouped(column.distinct),
                grouped(column.filled)
            );
        }
        return Ok(found);
    }
    let proposal = seen.id(text);
    let name = proposal.as_ref().map_or("-", |choice| choice.name.as_str());
    match person.as_mut() {
        Some(person) => {
            tell_why("the id", proposal.as_ref(), person)?;
            person.ask("The column of the id (- for none: a text then goes by its hash)", Some(name), read)
        }
        None => {
            match &proposal {
                Some(Choice { name, why }) => {
                    tracing::info!("the id is in the column {name:?}: {why} (--id-field names another, - none)");
                }
                None => tracing::info!("no column has an id of its own for every row: texts go by their hash"),
            }
            Ok(proposal.map(|choice| choice.name))
        }
    }
}

fn task_labels(
    args: &InitArgs,
    config: &CorpusConfig,
    seen: &Glimpse,
    text: &str,
    person: &mut Option<Person<'_>>,
) -> Result<Labels> {
    let get = |source: Source| {
        if let Source::Column(column) = &source {
            is_column(seen, column).map_err(|why| anyhow::anyhow!("{why}"))?;
        }
        labels(&source, config)
    };
    let found = match (args.source(), person.as_mut()) {
        (Some(source), _) => get(source)?,
        (None, Some(person)) => {
            let proposal = seen.labels(text);
            tell_why("a column of labels", proposal.as_ref(), person)?;
            let name = proposal.map(|choice| format!("column {}", choice.name));
            let read = |text: &str| get(Source::parse(text)?).map_err(|error| told(&error));
            person.ask("The labels: a, b, c, or \"column NAME\", or \"file PATH\"", name.as_deref(), read)?
        }
        (None, None) => bail!("there are no labels"),
    };
    for line in &found.told {
        match person.as_mut() {
            Some(person) => person.tell(line)?,
            None => tracing::info!("{line}"),
        }
    }
    Ok(found)
}

fn is_address(text: &str) -> Result<String, String> {
    if ["http://", "https://"].iter().any(|scheme| text.starts_with(scheme)) {
        Ok(text.to_owned())
    } else {
        Err(format!("{text:?} is no address: it begins with https:// or http://"))
    }
}

/// What makes of an answer what is wanted, or says what is wrong with it.
type Read = fn(&str) -> Result<String, String>;

fn is_said(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it has to be said".to_owned()) } else { Ok(text.to_owned()) }
}

fn teacher(args: &InitArgs, folder: &Path, person: &mut Option<Person<'_>>) -> Result<Teacher> {
    let provider = match (args.provider, person.as_mut()) {
        (Some(provider), _) => provider,
        (None, Some(person)) => ask_for_provider(person)?,
        (None, None) => bail!("there is no provider"),
    };
    let mut ask =
        |given: Option<&String>, question: &str, proposal: Option<&str>, read: Read| match (given, person.as_mut()) {
            (Some(given), _) => Ok(given.clone()),
            (None, Some(person)) => person.ask(question, proposal, read),
            (None, None) => proposal.map(str::to_owned).context("there is no answer"),
        };
    let Some(preset) = provider.preset() else {
        let given = args.recording.as_ref().map(|path| path.to_string_lossy().into_owned());
        let path = ask(given.as_ref(), "The file of answers, one {\"id\", \"labels\"} a line", None, is_said)?;
        return Ok(Teacher::Recorded(seen_from(folder, Path::new(&path))?));
    };
    // An address that the provider's is for everyone need not be asked for.
    let is_asked = preset.base_url.is_none_or(|url| url.starts_with("http://"));
    let base_url = match preset.base_url {
        Some(url) if !is_asked && args.base_url.is_none() => url.to_owned(),
        url => {
            let question = match url {
                Some(_) => "The server's address".to_owned(),
                None => format!("The API's address, e.g. {}", preset.example),
            };
            ask(args.base_url.as_ref(), &question, url, is_address)?
        }
    };
    let question =
        if preset.model_is == MODEL { "The model".to_owned() } else { format!("The model ({})", preset.model_is) };
    let model = ask(args.model.as_ref(), &question, preset.model, is_said)?;
    let allow_http = candist::internal::goes_unencrypted(&base_url);
    if allow_http {
        tracing::warn!("{base_url} is another machine, by plain http: texts and key go over the network unencrypted");
    }
    Ok(Teacher::Server { provider, preset, base_url, model, allow_http })
}

fn ask_for_provider(person: &mut Person<'_>) -> Result<Provider> {
    let names: Vec<String> = Provider::all().iter().map(|provider| provider.name()).collect();
    person.ask(&format!("Who is asked: {}", names.join(", ")), names.first().map(String::as_str), |text| {
        let found = Provider::all().iter().find(|provider| provider.name().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| format!("there is no {text:?}; there are: {}", names.join(", ")))
    })
}

/// The task is called as its corpus, without what no folder's name should have.
fn name_of(path: &Option<PathBuf>) -> String {
    let stem = path.as_ref().and_then(|path| path.file_name()).map(|name| name.to_string_lossy().into_owned());
    let stem = stem.unwrap_or_default();
    let stem = stem.split('.').find(|part| !part.is_empty()).unwrap_or_default();
    let name: String = stem.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '-' }).collect();
    let name = name.trim_matches('-').to_owned();
    if name.is_empty() { "task".to_owned() } else { name }
}

/// An error for a person who is asked again.
fn told(error: &anyhow::Error) -> String {
    candist::with_causes(error.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_named_for_its_corpus() {
        for (path, name) in [
            ("data/my messages.csv.gz", "my-messages"),
            ("pool.jsonl", "pool"),
            ("*.csv", "task"),
            (".hidden.csv", "hidden"),
            ("日本.csv", "日本"),
        ] {
            assert_eq!(name_of(&Some(path.into())), name, "{path}");
        }
    }
}
