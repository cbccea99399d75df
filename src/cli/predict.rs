//! `candist predict`: an exported student, texts in, one JSON line out for each that could be read, in their order.
//! Nothing is held but a chunk of texts, so it works in a pipe without an end. Or Arrow batches in and out, or requests over HTTP.

use std::io::{BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
#[cfg(any(feature = "page", feature = "parquet"))]
use candist::Error;
use candist::config::{CorpusConfig, CorpusFormat, DeviceChoice, TextFrom, delimiter, encoding, pattern};
use candist::internal::{Settings, read, read_file};
use candist::{Corpus, Prediction, Predictor, Row};
use clap::Args;
use indicatif::HumanCount;

use super::again::start_again_to_compute;
#[cfg(feature = "parquet")]
use super::arrow_stream::{self, Columns, Said};
use super::confidence;
use super::exit::Exit;
use super::folded::Folded;
#[cfg(feature = "page")]
use super::predict_serve::{self, ServiceArgs};

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The folder of the student.
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
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
    /// Threads of libtorch.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=256))]
    threads: u32,
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

/// Texts that are predicted together. Where texts come slowly, in a pipe, the first waits for the last of its chunk.
const CHUNK: usize = 256;
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
    start_again_to_compute(args.device, args.threads);
    #[cfg(feature = "page")]
    if let Some(option) = args.service.without_service() {
        let message = "is for --serve alone: leave it out, or add --serve".to_owned();
        return Err(Error::Unfit { path: PathBuf::from(option), message }.into());
    }
    let predictor = Predictor::open(&args.student, args.device, args.threads)?;
    #[cfg(feature = "page")]
    if let Some(listen) = args.service.serve {
        return predict_serve::run(&args.service, listen, predictor, &args.student, args.min_confidence);
    }
    #[cfg(feature = "parquet")]
    if args.format == Some(Format::Arrow) {
        return answer_batches(args, &predictor);
    }
    let mut input = open(args)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut rows, mut unread) = (Vec::new(), Folded::default());
    loop {
        // What came before an error is labelled: it cannot be had again from a pipe.
        let (next, failed) = input.next_row().map_or_else(|error| (None, Some(error)), |next| (next, None));
        let ended = next.is_none();
        match next {
            Some(Row { sample: Ok(sample), .. }) => rows.push(sample),
            Some(Row { line, sample: Err(reason) }) => unread.add(line, reason),
            None => {}
        }
        if rows.len() == CHUNK || ended {
            let texts: Vec<&str> = rows.iter().map(|sample| sample.text.as_str()).collect();
            for (sample, p) in rows.iter().zip(predictor.probabilities(&texts)?.iter()) {
                serde_json::to_writer(
                    &mut out,
                    &Prediction::new(&sample.id.0, p, predictor.labels(), args.min_confidence),
                )?;
                out.write_all(b"\n")?;
            }
            // Whoever reads along gets what there is.
            out.flush()?;
            rows.clear();
        }
        if let Some(error) = failed {
            return Err(error.into());
        }
        if ended {
            break;
        }
    }
    if unread.count() > 0 {
        let more = unread.more();
        tracing::warn!("{} line(s) could not be read: they have no label{more}", HumanCount(unread.count()));
    }
    Ok(if args.strict && unread.count() > 0 { Exit::Failed } else { Exit::Complete })
}

/// The same by Arrow IPC streams.
#[cfg(feature = "parquet")]
fn answer_batches(args: &PredictArgs, predictor: &Predictor) -> Result<Exit> {
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
    let out = BufWriter::new(std::io::stdout().lock());
    let unread = arrow_stream::answer(input, &name, out, &columns, |texts| {
        let said = |p: &[f32]| {
            let Prediction { label, confidence, candidates, .. } =
                Prediction::new("", p, predictor.labels(), args.min_confidence);
            Said { label, confidence, candidates }
        };
        Ok(predictor.probabilities(texts)?.iter().map(said).collect())
    })?;
    if unread > 0 {
        tracing::warn!("{} row(s) had no text: they have no label, and their error says why", HumanCount(unread));
    }
    Ok(if args.strict && unread > 0 { Exit::Failed } else { Exit::Complete })
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

/// The texts, from a file or from standard input, which can be read once only; that is enough here.
fn open(args: &PredictArgs) -> Result<Box<dyn Corpus>> {
    let lines = (args.lines || args.pattern.is_some()).then_some(CorpusFormat::Lines);
    let named = args.format.and_then(|format| match format {
        Format::Rows(format) => Some(format),
        #[cfg(feature = "parquet")]
        Format::Arrow => None,
    });
    let config = CorpusConfig {
        format: named.or(lines),
        text: args.text.clone().map_or_else(|| TextFrom::Field(args.text_field.clone()), TextFrom::Template),
        id_field: args.id_field.clone(),
        delimiter: args.delimiter,
        encoding: args.encoding.clone(),
        pattern: args.pattern.clone(),
        max_line_bytes: MAX_LINE_BYTES,
        ..CorpusConfig::of(Vec::new())
    };
    Ok(match args.input.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => read_file(path, &config, SETTINGS)?,
        None => read(Box::new(BufReader::new(std::io::stdin())), Path::new("standard input"), &config, SETTINGS)?,
    })
}
