//! `candist predict --input .. --output ..`: labels of many texts, in parts, by any number of processes.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;
use candist::config::{CorpusConfig, DeviceChoice, Precision};
use candist::internal::{Settings, local_folder};
use candist::{Error, PartFormat, PartShare, PartsOptions, PartsSummary, Told, predict_parts};
use clap::Args;
use indicatif::HumanCount;

use super::exit::Exit;
use super::folded::Folded;
use super::predict::opened;

/// What only labels in parts need. To be flattened into the arguments of the verb.
#[derive(Debug, Args)]
pub(super) struct PartsArgs {
    /// Texts to label in parts: a file, a folder, a pattern ("texts/*.parquet"), or s3://, gs://, az:// with a bucket and any of these.
    ///
    /// Large files of JSON lines, Parquet, and CSV without quotes are cut into parts; others are a part each. Credentials and
    /// endpoints come from the environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT,
    /// AZURE_STORAGE_ACCOUNT_NAME, ...).
    #[arg(long, value_name = "URI", requires = "output", conflicts_with = "input")]
    #[arg(id = "parts_input")]
    pub(super) input: Option<String>,
    /// The folder or prefix that gets the labels of --input: one object a part, and _manifest.json when all parts are there.
    ///
    /// They go into a folder named by hashes of student and input, which is printed. A part that is there is not labelled again,
    /// and nothing is written over: the same command may run several times, at once, and again after a kill.
    #[arg(long, value_name = "URI", requires = "parts_input")]
    pub(super) output: Option<String>,
    /// input: label only this share of the parts: the process I of N, counted from 0 as SLURM_ARRAY_TASK_ID and
    /// JOB_COMPLETION_INDEX count.
    #[arg(long, value_name = "I/N", requires = "parts_input")]
    part: Option<PartShare>,
    /// input: what labels are written as [default: jsonl].
    #[arg(long, value_name = "FORMAT", requires = "parts_input", value_parser = format)]
    output_format: Option<PartFormat>,
}

impl PartsArgs {
    /// An option that is for parts alone, where one was given without them. (To clap that is no mistake where there is an input
    /// of the other kind, which conflicts with what it asks for.)
    pub(super) fn without_parts(&self) -> Option<Error> {
        let own = [
            ("--output", self.output.is_some()),
            ("--part", self.part.is_some()),
            ("--output-format", self.output_format.is_some()),
        ];
        let (option, _) = own.into_iter().find(|(_, given)| *given && self.input.is_none())?;
        let message = "is for labels in parts: give the texts as --input URI, with --output URI".to_owned();
        Some(Error::Unfit { path: PathBuf::from(option), message })
    }
}

/// The format of this name.
fn format(name: &str) -> Result<PartFormat, String> {
    PartFormat::ALL.iter().find(|(known, _)| *known == name).map(|(_, format)| *format).ok_or_else(|| {
        let names: Vec<&str> = PartFormat::ALL.iter().map(|(known, _)| *known).collect();
        format!("it can be: {}", names.join(", "))
    })
}

/// How the student is opened, and what of it is wanted.
pub(super) struct Labelling {
    pub(super) student: String,
    pub(super) device: DeviceChoice,
    pub(super) threads: Option<u32>,
    pub(super) precision: Precision,
    pub(super) min_confidence: f64,
    pub(super) strict: bool,
}

/// Time between two lines about how far it is.
const PACE: Duration = Duration::from_secs(5);

/// Labels the parts of `input`.
pub(super) fn run(
    args: &PartsArgs,
    [input, output]: [String; 2],
    corpus: CorpusConfig,
    settings: Settings,
    labelling: &Labelling,
) -> Result<Exit> {
    let (student, copied) = local_folder(&labelling.student)?;
    let predictor = opened(&student, labelling.device, labelling.threads, labelling.precision)?;
    let options = PartsOptions {
        student,
        input,
        output,
        corpus,
        settings,
        format: args.output_format.unwrap_or(PartFormat::Jsonl),
        min_confidence: labelling.min_confidence,
        share: args.part.unwrap_or(PartShare::ALL),
    };
    let teller = Mutex::new(Teller::default());
    let done = predict_parts(&options, predictor, &|told| {
        teller.lock().unwrap_or_else(PoisonError::into_inner).tell(told);
    });
    drop(copied);
    let summary = done?;
    teller.into_inner().unwrap_or_else(PoisonError::into_inner).end(&summary);
    end(&summary, labelling.strict)
}

/// Says how far it is.
#[derive(Default)]
struct Teller {
    /// By object, and the byte after which lines are counted.
    unread: BTreeMap<(String, Option<u64>), Folded>,
    labelled: (usize, u64),
    of: usize,
    said: Option<Instant>,
}

impl Teller {
    fn tell(&mut self, told: Told<'_>) {
        match told {
            Told::Job(folder, parts, own) => {
                self.of = own;
                tracing::info!("{folder}: this process is for {own} of {} part(s)", HumanCount(parts as u64));
            }
            Told::Unread(object, from, line, reason) => {
                let place = from.map_or_else(|| object.to_owned(), |from| format!("{object} after byte {from}"));
                let folded = self.unread.entry((object.to_owned(), from)).or_default();
                folded.add_of(&place, line, reason);
            }
            Told::Labelled(part) => {
                self.labelled = (self.labelled.0 + 1, self.labelled.1 + part.rows);
                if self.said.is_none_or(|said| said.elapsed() > PACE) {
                    let (parts, rows) = self.labelled;
                    tracing::info!("{parts} of {} part(s) labelled, {} row(s)", self.of, HumanCount(rows));
                    self.said = Some(Instant::now());
                }
            }
        }
    }

    fn end(&self, summary: &PartsSummary) {
        let rows: u64 = summary.own.iter().map(|part| part.rows).sum();
        let before = summary.own.len() - summary.labelled;
        let before = if before > 0 { format!(" ({before} of them before)") } else { String::new() };
        tracing::info!("{} part(s) labelled{before}, {} row(s)", summary.own.len(), HumanCount(rows));
        if summary.manifest.is_none() {
            let missing = HumanCount(summary.missing as u64);
            tracing::info!(
                "{missing} part(s) are still to come from other processes; the last one writes the manifest"
            );
        }
    }
}

/// Prints where the labels are, and gives the exit.
fn end(summary: &PartsSummary, strict: bool) -> Result<Exit> {
    let unread: u64 = summary.own.iter().map(|part| part.unread).sum();
    if unread > 0 {
        tracing::warn!("{} row(s) could not be read: they have no label", HumanCount(unread));
    }
    writeln!(std::io::stdout(), "{}", summary.folder)?;
    Ok(if strict && unread > 0 { Exit::Failed } else { Exit::Complete })
}

/// What is wrong with options that are for other forms of the verb.
#[cfg(feature = "parquet")]
pub(super) fn misplaced(option: &str) -> Error {
    let message = "is not for --input and --output: leave it out".to_owned();
    Error::Unfit { path: PathBuf::from(option), message }
}
