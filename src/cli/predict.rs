//! `candist predict`: an exported student, texts in, one JSON line out for each that could be read, in their order.
//! Nothing is held but a chunk of texts, so it works in a pipe without an end. Or Arrow batches in and out.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::config::{CorpusConfig, DeviceChoice};
use candist::internal::{Settings, read_jsonl, read_lines};
use candist::{Corpus, Error, Predictor, Row, argmax};
use clap::{Args, ValueEnum};
use indicatif::HumanCount;
use serde::Serialize;

use super::again::start_again_to_compute;
#[cfg(feature = "parquet")]
use super::arrow_stream::{self, Columns, Said};
use super::confidence;
use super::exit::Exit;
use super::folded::Folded;

#[derive(Debug, Args)]
pub(super) struct PredictArgs {
    /// The folder of the student.
    #[arg(long, value_name = "DIR")]
    student: PathBuf,
    /// The texts; without it, or with -, standard input.
    input: Option<PathBuf>,
    /// How texts come in and labels go out.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// The input has one text a line, not one JSON object.
    #[arg(long)]
    lines: bool,
    /// The field of the text.
    #[arg(long, value_name = "NAME", default_value = "text")]
    text_field: String,
    /// The field of the id; without it in a line, the text's hash.
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
}

/// How texts come in and labels go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// One JSON object a line.
    Jsonl,
    /// Arrow IPC streams: a batch of texts in (columns of --text-field and, if it is there, --id-field), a batch of as many
    /// labels out, at once. A row without a text has its `error`.
    #[cfg(feature = "parquet")]
    Arrow,
}

/// Texts that are predicted together. Where texts come slowly, in a pipe, the first waits for the last of its chunk.
const CHUNK: usize = 256;
/// Longer lines are not read: a bound on memory, whatever comes in.
const MAX_LINE_BYTES: usize = 16 << 20;
/// What a message tells the user to change: options here, not keys of a configuration.
const SETTINGS: Settings = Settings { text_field: "--text-field", max_line_bytes: None };
/// The candidates of an uncertain text are the likeliest labels that together have this probability.
const COVERED: f32 = 0.9;

/// A line of output.
#[derive(Serialize)]
struct Prediction<'a> {
    id: &'a str,
    /// None where the student is less sure than asked for.
    label: Option<&'a str>,
    /// The probability of the likeliest label, four digits after the point.
    confidence: f64,
    /// Likeliest first; only where there is no label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<&'a str>,
}

pub(super) fn run(args: &PredictArgs) -> Result<Exit> {
    start_again_to_compute(args.device, args.threads);
    let predictor = Predictor::open(&args.student, args.device, args.threads)?;
    #[cfg(feature = "parquet")]
    if args.format == Format::Arrow {
        return answer_batches(args, &predictor);
    }
    let mut input = open(args)?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let (mut rows, mut unread) = (Vec::new(), Folded::default());
    loop {
        let next = input.next_row()?;
        let ended = next.is_none();
        match next {
            Some(Row { sample: Ok(sample), .. }) => rows.push(sample),
            Some(Row { line, sample: Err(reason) }) => unread.add(line, reason),
            None => {}
        }
        if rows.len() == CHUNK || ended {
            let texts: Vec<&str> = rows.iter().map(|sample| sample.text.as_str()).collect();
            for (sample, p) in rows.iter().zip(predictor.probabilities(&texts)?.iter()) {
                serde_json::to_writer(&mut out, &prediction(&sample.id.0, p, &predictor, args.min_confidence))?;
                out.write_all(b"\n")?;
            }
            // Whoever reads along gets what there is.
            out.flush()?;
            rows.clear();
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
    if args.lines {
        let message = "is for lines of text, and --format arrow reads columns: leave one of them out".to_owned();
        return Err(Error::Unfit { path: PathBuf::from("--lines"), message }.into());
    }
    let (input, name) = arrow_stream::open(args.input.as_deref())?;
    let columns = Columns { text: &args.text_field, id: &args.id_field };
    let out = BufWriter::new(std::io::stdout().lock());
    let unread = arrow_stream::answer(input, &name, out, &columns, |texts| {
        let said = |p: &[f32]| {
            let Prediction { label, confidence, candidates, .. } = prediction("", p, predictor, args.min_confidence);
            Said { label, confidence, candidates }
        };
        Ok(predictor.probabilities(texts)?.iter().map(said).collect())
    })?;
    if unread > 0 {
        tracing::warn!("{} row(s) had no text: they have no label, and their error says why", HumanCount(unread));
    }
    Ok(if args.strict && unread > 0 { Exit::Failed } else { Exit::Complete })
}

/// What is printed about a text whose labels have the probabilities `p`. The confidence is compared as it is printed:
/// who filters the output by the same number gets the same lines.
fn prediction<'a>(id: &'a str, p: &[f32], predictor: &'a Predictor, least: f64) -> Prediction<'a> {
    let name = |label: usize| predictor.labels().get(label).map_or("", String::as_str);
    let best = argmax(p).unwrap_or_default();
    let confidence = (f64::from(p.get(best).copied().unwrap_or_default()) * 1e4).round() / 1e4;
    if confidence >= least {
        return Prediction { id, label: Some(name(best)), confidence, candidates: Vec::new() };
    }
    let mut order: Vec<(usize, f32)> = p.iter().copied().enumerate().collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    let mut covered = 0.0;
    let candidates = order
        .into_iter()
        // Up to and with the label that reaches it.
        .take_while(|(_, p)| {
            let before = covered;
            covered += p;
            before < COVERED
        })
        .map(|(label, _)| name(label))
        .collect();
    Prediction { id, label: None, confidence, candidates }
}

/// The texts, from a file or from standard input, which can be read once only; that is enough here.
fn open(args: &PredictArgs) -> Result<Box<dyn Corpus>> {
    let path = args.input.clone().filter(|path| path != Path::new("-"));
    let input: Box<dyn BufRead + Send> = match &path {
        Some(path) => {
            let file = File::open(path);
            Box::new(BufReader::new(file.map_err(|source| Error::Input {
                what: "texts",
                path: path.clone(),
                source,
            })?))
        }
        None => Box::new(BufReader::new(std::io::stdin())),
    };
    let path = path.unwrap_or_else(|| PathBuf::from("standard input"));
    if args.lines {
        return Ok(read_lines(input, &path, MAX_LINE_BYTES)?);
    }
    let config = CorpusConfig {
        path,
        text_field: args.text_field.clone(),
        id_field: args.id_field.clone(),
        max_line_bytes: MAX_LINE_BYTES,
    };
    Ok(read_jsonl(input, &config, SETTINGS)?)
}
