//! What there is to do: the parts of an input, and the folder in which they are done. The same in every process that is told the
//! same, from the student and from the input as it is listed.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use super::{PartFormat, PartsOptions};
use crate::base::ranged::Ranged;
use crate::base::regular::open_regular;
use crate::config::{CorpusConfig, CorpusFormat, Precision, TextFrom};
use crate::corpus::pieces::{Piece, cut};
use crate::corpus::{Corpus, Settings, pieces};
use crate::error::{Error, Result};
use crate::objects::{Listed, Object, Place};

/// Parts that an input is cut into, about, where they are neither too small to be worth their names nor larger than who labels
/// one wants to lose.
const PARTS: u64 = 64;
const LEAST_BYTES: u64 = 64 << 10;
const MOST_BYTES: u64 = 64 << 20;
/// Digits of each hash in the name of a folder.
const DIGITS: usize = 16;

/// See the module.
pub(super) struct Job {
    input: Place,
    folder: Place,
    student: String,
    hash: String,
    objects: Vec<Listed>,
    /// Each with the place of its object.
    parts: Vec<(usize, Piece)>,
    corpus: CorpusConfig,
    settings: Settings,
    format: PartFormat,
    min_confidence: f64,
}

impl Job {
    /// Lists the input, and looks into what is so large that it may be cut.
    ///
    /// # Errors
    ///
    /// Those of the stores; [`Error::Unfit`] where there is nothing to read, and for an output within the input.
    pub(super) fn of(options: &PartsOptions, precision: Precision) -> Result<Self> {
        let (input, output) = (Place::of(&options.input)?, Place::of(&options.output)?);
        let objects = input.list()?;
        let (student, hash) = (student_hash(&options.student)?, input_hash(options, precision, &objects));
        let digits = |hash: &str| hash.chars().take(DIGITS).collect::<String>();
        let folder = output.join(&format!("{}-{}", digits(&student), digits(&hash)));
        let mut job = Self {
            input,
            folder,
            student,
            hash,
            objects,
            parts: Vec::new(),
            corpus: options.corpus.clone(),
            settings: options.settings,
            format: options.format,
            min_confidence: options.min_confidence,
        };
        if job.input.would_list(&job.objects, &job.folder.join(&job.name(0))) {
            let message = "would be read as input the next time: write labels to another folder".to_owned();
            return Err(Error::Unfit { path: output.as_path(), message });
        }
        job.check()?;
        job.parts = job.cut()?;
        Ok(job)
    }

    /// An input of which nothing can be used is a mistake (another format, texts under another name), and told before anything is
    /// labelled. One such object among others is not: its rows are counted.
    fn check(&self) -> Result<()> {
        let mut refused = Ok(());
        for listed in &self.objects {
            let object = self.input.open(listed)?;
            let source: Arc<dyn Ranged> = Arc::clone(&object) as _;
            match pieces::is_sound(&source, &self.called(listed), &self.corpus, self.settings) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(error) => {
                    object.unchanged()?;
                    refused = refused.and(Err(error));
                }
            }
        }
        refused
    }

    fn cut(&self) -> Result<Vec<(usize, Piece)>> {
        let total: u64 = self.objects.iter().map(|listed| listed.size).sum();
        let bytes = (total / PARTS).clamp(LEAST_BYTES, MOST_BYTES);
        let mut parts = Vec::new();
        for (place, listed) in self.objects.iter().enumerate() {
            if listed.size <= bytes {
                parts.push((place, Piece::Whole));
                continue;
            }
            let object = self.input.open(listed)?;
            let source: Arc<dyn Ranged> = Arc::clone(&object) as _;
            let pieces = cut(&source, &self.called(listed), &self.corpus, self.settings, bytes);
            // Why it could not be read says more than what it looked like then.
            object.unchanged()?;
            parts.extend(pieces?.into_iter().map(|piece| (place, piece)));
        }
        Ok(parts)
    }

    /// What an object is called in messages.
    fn called(&self, listed: &Listed) -> std::path::PathBuf {
        self.input.called(listed).into()
    }

    /// How many parts there are.
    pub(super) fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Those of the student, and of all else that decides what is written.
    pub(super) fn hashes(&self) -> (&str, &str) {
        (&self.student, &self.hash)
    }

    pub(super) fn format(&self) -> PartFormat {
        self.format
    }

    pub(super) fn min_confidence(&self) -> f64 {
        self.min_confidence
    }

    /// Where all of it goes.
    pub(super) fn folder(&self) -> &Place {
        &self.folder
    }

    /// What a part is called in the folder.
    pub(super) fn name(&self, part: usize) -> String {
        format!("part-{part:05}.{}", self.format.extension())
    }

    /// The records of parts. Its name begins as those do that readers of tables pass over.
    pub(super) fn records(&self) -> Place {
        self.folder.join("_parts")
    }

    pub(super) fn record(&self, part: usize) -> Place {
        self.records().join(&format!("{part:05}.json"))
    }

    pub(super) fn manifest(&self) -> Place {
        self.folder.join("_manifest.json")
    }

    /// The rows of a part, from its object as it was listed.
    ///
    /// # Errors
    ///
    /// Those of the store; [`Error::Unfit`] where the object was changed since, or is no corpus.
    pub(super) fn open(&self, part: usize) -> Result<Opened> {
        let of_this = self.parts.get(part).and_then(|(place, piece)| Some((self.objects.get(*place)?, piece)));
        let (listed, piece) = of_this.ok_or_else(|| Error::gone("part"))?;
        let object = self.input.open(listed)?;
        let source: Arc<dyn Ranged> = Arc::clone(&object) as _;
        let rows = pieces::open_piece(&source, &self.called(listed), piece, &self.corpus, self.settings);
        let rows = rows.map_err(|error| object.unchanged().err().unwrap_or(error))?;
        Ok(Opened { rows, object, called: listed.name.clone(), counted_from: piece.counted_from() })
    }
}

/// A part that is read.
pub(super) struct Opened {
    pub(super) rows: Box<dyn Corpus>,
    /// What they are read from.
    pub(super) object: Arc<Object>,
    /// What that is called where a row is spoken of.
    pub(super) called: String,
    /// The byte after which its lines are counted, if they are not from the first one on.
    pub(super) counted_from: Option<u64>,
}

/// Of all that is read of a student's folder: its files, by name.
fn student_hash(folder: &Path) -> Result<String> {
    let mut hash = blake3::Hasher::new();
    for name in ["config.json", "model.safetensors", "tokenizer.json", "1_Pooling/config.json"] {
        let path = folder.join(name);
        if !path.exists() {
            continue;
        }
        hash.update(name.as_bytes()).update(b"\n");
        let read = open_regular(&path).and_then(|file| {
            let mut own = blake3::Hasher::new();
            own.update_reader(file)?;
            Ok(own.finalize())
        });
        let own = read.map_err(|error| Error::Model { path: path.clone(), message: error.to_string() })?;
        hash.update(own.as_bytes());
    }
    Ok(hash.finalize().to_hex().to_string())
}

/// Of the objects as they are listed, and of the options that decide what is written of them.
fn input_hash(options: &PartsOptions, precision: Precision, objects: &[Listed]) -> String {
    let corpus = &options.corpus;
    let text = match &corpus.text {
        TextFrom::Field(field) => json!({ "field": field }),
        TextFrom::Template(template) => json!({ "template": template }),
    };
    let format = CorpusFormat::ALL.iter().find(|(_, format)| Some(*format) == corpus.format).map(|(name, _)| *name);
    let mut all = json!({
        "candist": env!("CARGO_PKG_VERSION"),
        // Raised where the same input comes to other bytes. 2: an encoder computes with one of libtorch's threads.
        "parts": 2,
        "text": text,
        "id": corpus.id_field,
        "format": format,
        "delimiter": corpus.delimiter,
        "encoding": corpus.encoding,
        "pattern": corpus.pattern,
        "max_line_bytes": corpus.max_line_bytes,
        "min_confidence": options.min_confidence,
        "to": options.format.extension(),
        "objects": objects.iter().map(|listed| json!([listed.name, listed.size, listed.mark])).collect::<Vec<_>>(),
    });
    // Where it is the usual one, names are what they always were.
    if let (Precision::Bf16, Some(all)) = (precision, all.as_object_mut()) {
        all.insert("precision".to_owned(), json!("bf16"));
    }
    blake3::hash(all.to_string().as_bytes()).to_hex().to_string()
}
