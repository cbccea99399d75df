//! `candist predict`: an exported student, texts in, one JSON line out for each that could be read, in their order.
//! Nothing is held but some chunks of texts, so it works in a pipe without an end. Or Arrow batches in and out, or requests over HTTP.

use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::config::{CorpusConfig, CorpusFormat, DeviceChoice, Precision, TextFrom, delimiter, encoding, pattern};
use candist::internal::{CHUNK, CHUNK_BYTES, Crew, Settings, local_folder, read, read_file};
use candist::{Corpus, Error, Prediction, Predictor, Row, Sample};
use clap::Args;
use indicatif::HumanCount;

use super::again::start_again_to_compute;
#[cfg(feature = "parquet")]
use super::arrow_stream::{self, Columns, Said};
use super::confidence;
use super::exit::Exit;
use super::folded::Folded;
use super::predict_parts::{self, Labelling, PartsArgs};
#[cfg(feature = "page")]
use super::predict_serve::{self, ServiceArgs};

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The folder of the student, or its URI.
    #[arg(long, value_name = "DIR")]
    student: String,
    /// The texts: JSONL, JSON, CSV, TSV, Parquet or plain lines, also compressed; without it, or with -, standard input.
    input: Option<PathBuf>,
    /// What the input is: jsonl, json, csv, tsv, lines or parquet; else what its name or its beginning says. With arrow,
    /// Arrow IPC streams in and out.
    ///
    /// Of an Arrow stream each batch (columns of --text-field and, if it is there, --id-field) is answered at once by a
    /// batch of as many rows: id, label, confidence, candidates and, where there was no text, error.
    #[arg(long, value_name = "FORMAT", value_parser = format)]
    format: Option<Format>,
    /// The input has one text a line, whose number is its id: the same as --format lines.
    #[arg(long, conflicts_with = "format")]
    lines: bool,
    /// The field or column of the text.
    #[arg(long, value_name = "NAME", default_value = "text", conflicts_with = "text")]
    text_field: String,
    /// The text as a template of several columns, e.g. "{{ title }}. {{ body }}".
    #[arg(long, value_name = "TEMPLATE")]
    text: Option<String>,
    /// csv: what stands between cells; else what the header has.
    #[arg(long, value_name = "SIGN", value_parser = delimiter)]
    delimiter: Option<u8>,
    /// The encoding, where it is not UTF-8: latin1, windows-1252, utf-16le, ...
    #[arg(long, value_name = "NAME", value_parser = encoding)]
    encoding: Option<String>,
    /// lines: a regular expression whose named groups are the columns.
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    pattern: Option<String>,
    /// The field or column of the id; without it in a row, the text's hash.
    #[arg(long, value_name = "NAME", default_value = "id")]
    id_field: String,
    /// Where the student is less sure, 0 to 1, give no label but the likeliest ones as candidates.
    #[arg(long, value_name = "P", default_value_t = 0.0, value_parser = confidence)]
    min_confidence: f64,
    /// Exit with 1 where a line could not be read.
    #[arg(long)]
    strict: bool,
    /// Where an encoder computes: cpu, cuda, cuda:NUMBER or auto.
    #[arg(long, default_value = "cpu")]
    device: DeviceChoice,
    /// What an encoder computes in: fp32, or bf16, which some processors and cards do twice as fast.
    #[arg(long, default_value = "fp32")]
    precision: Precision,
    /// Threads that label, each by itself; labels are the same with any number [default: as many as there are processors].
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: Option<u32>,
    #[command(flatten)]
    parts: PartsArgs,
    #[cfg(feature = "page")]
    #[command(flatten)]
    service: ServiceArgs,
}

/// What the input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    /// Rows of a corpus in; lines out.
    Rows(CorpusFormat),
    /// Batches in, batches out.
    #[cfg(feature = "parquet")]
    Arrow,
}

/// Longer lines are not read: a bound on memory, whatever comes in.
const MAX_LINE_BYTES: usize = 16 << 20;
/// What a message tells the user to change: options here, not keys of a configuration.
const SETTINGS: Settings = Settings {
    what: "texts",
    text_field: "--text-field",
    text: "--text",
    format: "--format",
    max_line_bytes: None,
    once: true,
    line_numbers: true,
};
pub(super) fn run(args: &PredictArgs) -> Result<Exit> {
    // Each thread computes alone.
    start_again_to_compute(args.device, 1);
    #[cfg(feature = "page")]
    if let Some(option) = args.service.without_service() {
        let message = "is for --serve alone: leave it out, or add --serve".to_owned();
        return Err(Error::Unfit { path: PathBuf::from(option), message }.into());
    }
    if let Some(error) = args.parts.without_parts() {
        return Err(error.into());
    }
    if let (Some(input), Some(output)) = (&args.parts.input, &args.parts.output) {
        return label_parts(args, [input.clone(), output.clone()]);
    }
    let (student, _copied) = local_folder(&args.student)?;
    let predictor = opened(&student, args.device, args.threads, args.precision)?;
    #[cfg(feature = "page")]
    if let Some(listen) = args.service.serve {
        return predict_serve::run(&args.service, listen, predictor, &student, args.min_confidence);
    }
    let crew = Crew::of(predictor);
    #[cfg(feature = "parquet")]
    if args.format == Some(Format::Arrow) {
        return answer_batches(args, crew);
    }
    let unread = print_labels(open(args)?.as_mut(), crew, args.min_confidence)?;
    if unread.count() > 0 {
        let more = unread.more();
        tracing::warn!("{} line(s) could not be read: they have no label{more}", HumanCount(unread.count()));
    }
    Ok(if args.strict && unread.count() > 0 { Exit::Failed } else { Exit::Complete })
}

/// Prints a line for each row of `input` that can be read; gives the others.
fn print_labels(input: &mut dyn Corpus, mut crew: Crew, min_confidence: f64) -> Result<Folded> {
    let (mut out, labels) = (std::io::stdout(), crew.labels());
    let (mut unread, mut failed, mut gone) = (Folded::default(), None, Ok(()));
    let next = || {
        let (mut rows, mut bytes) = (Vec::with_capacity(CHUNK), 0);
        while rows.len() < CHUNK && bytes < CHUNK_BYTES && failed.is_none() {
            match input.next_row() {
                Ok(Some(Row { sample: Ok(sample), .. })) => {
                    bytes += sample.text.len();
                    rows.push(sample);
                }
                Ok(Some(Row { line, sample: Err(reason) })) => unread.add(line, reason),
                Ok(None) => break,
                // What came before an error is labelled: it cannot be had again from a pipe.
                Err(error) => failed = Some(error),
            }
        }
        Ok(Some(rows).filter(|rows| !rows.is_empty()))
    };
    let say = |predictor: &Predictor, rows: Vec<Sample>| {
        let texts: Vec<&str> = rows.iter().map(|sample| sample.text.as_str()).collect();
        let mut lines = Vec::new();
        for (sample, p) in rows.iter().zip(predictor.probabilities(&texts)?.iter()) {
            let said = Prediction::new(&sample.id.0, p, &labels, min_confidence);
            // Nothing of it can fail: these are strings and a number that is finite.
            serde_json::to_writer(&mut lines, &said).unwrap_or_default();
            lines.push(b'\n');
        }
        Ok(lines)
    };
    // Whoever reads along gets what there is.
    let print = |lines: Vec<u8>| {
        gone = out.write_all(&lines).and_then(|()| out.flush());
        gone.as_ref().map_or(Err(Error::Interrupted), |()| Ok(()))
    };
    let labelled = crew.label(next, say, print);
    // A reader that went away is told as that.
    gone?;
    labelled?;
    failed.map_or(Ok(unread), |error| Err(error.into()))
}

/// The same by Arrow IPC streams.
#[cfg(feature = "parquet")]
fn answer_batches(args: &PredictArgs, mut crew: Crew) -> Result<Exit> {
    let given = [
        ("--text", args.text.is_some()),
        ("--delimiter", args.delimiter.is_some()),
        ("--encoding", args.encoding.is_some()),
        ("--pattern", args.pattern.is_some()),
    ];
    if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
        let message = "is not for --format arrow, which reads one column of texts: leave one of them out".to_owned();
        return Err(Error::Unfit { path: PathBuf::from(option), message }.into());
    }
    let (input, name) = arrow_stream::open(args.input.as_deref())?;
    let columns = Columns { text: &args.text_field, id: &args.id_field };
    let out = std::io::BufWriter::new(std::io::stdout().lock());
    let (labels, window) = (crew.labels(), crew.window());
    let unread = arrow_stream::answer(input, &name, out, &columns, window, |texts| {
        let said = |p: &[f32]| {
            let Prediction { label, confidence, candidates, .. } = Prediction::new("", p, &labels, args.min_confidence);
            Said { label, confidence, candidates }
        };
        Ok(crew.probabilities(texts)?.iter().map(said).collect())
    })?;
    if unread > 0 {
        tracing::warn!("{} row(s) had no text: they have no label, and their error says why", HumanCount(unread));
    }
    Ok(if args.strict && unread > 0 { Exit::Failed } else { Exit::Complete })
}

/// The student, as the options say.
pub(super) fn opened(
    folder: &Path,
    device: DeviceChoice,
    threads: Option<u32>,
    precision: Precision,
) -> candist::error::Result<Predictor> {
    let predictor = Predictor::open(folder, device, threads)?;
    match precision {
        Precision::Fp32 => Ok(predictor),
        Precision::Bf16 => predictor.in_bf16(),
    }
}

/// The format of this name.
fn format(name: &str) -> Result<Format, String> {
    #[cfg(feature = "parquet")]
    if name == "arrow" {
        return Ok(Format::Arrow);
    }
    let named = CorpusFormat::ALL.iter().find(|(known, _)| *known == name);
    named.map(|(_, format)| Format::Rows(*format)).ok_or_else(|| {
        let mut names: Vec<&str> = CorpusFormat::ALL.iter().map(|(known, _)| *known).collect();
        if cfg!(feature = "parquet") {
            names.push("arrow");
        }
        format!("it can be: {}", names.join(", "))
    })
}

/// Labels of objects, in parts.
fn label_parts(args: &PredictArgs, places: [String; 2]) -> Result<Exit> {
    #[cfg(feature = "parquet")]
    if args.format == Some(Format::Arrow) {
        return Err(predict_parts::misplaced("--format arrow").into());
    }
    let labelling = Labelling {
        student: args.student.clone(),
        device: args.device,
        threads: args.threads,
        precision: args.precision,
        min_confidence: args.min_confidence,
        strict: args.strict,
    };
    predict_parts::run(&args.parts, places, config(args), SETTINGS, &labelling)
}

/// The texts, from a file or from standard input, which can be read once only; that is enough here.
fn open(args: &PredictArgs) -> Result<Box<dyn Corpus>> {
    let config = config(args);
    Ok(match args.input.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => read_file(path, &config, SETTINGS)?,
        None => read(Box::new(BufReader::new(std::io::stdin())), Path::new("standard input"), &config, SETTINGS)?,
    })
}

/// How rows are read.
fn config(args: &PredictArgs) -> CorpusConfig {
    let lines = (args.lines || args.pattern.is_some()).then_some(CorpusFormat::Lines);
    let named = args.format.and_then(|format| match format {
        Format::Rows(format) => Some(format),
        #[cfg(feature = "parquet")]
        Format::Arrow => None,
    });
    CorpusConfig {
        format: named.or(lines),
        text: args.text.clone().map_or_else(|| TextFrom::Field(args.text_field.clone()), TextFrom::Template),
        id_field: args.id_field.clone(),
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
        pattern: args.pattern.clone(),
        max_line_bytes: MAX_LINE_BYTES,
        ..CorpusConfig::of(Vec::new())
    }
}
