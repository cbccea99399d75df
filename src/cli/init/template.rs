//! The text of a new configuration: what was settled as keys, everything else as comments with its default.

use std::fmt::Write;

use super::labels::NewLabel;
use super::presets::{Preset, Provider};

/// Labels on one line, at most; more go one a line.
const ON_ONE_LINE: usize = 72;

/// What was settled.
#[derive(Debug)]
pub(super) struct Settled {
    /// Beside the configuration.
    pub(super) schema: &'static str,
    pub(super) name: String,
    pub(super) instruction: String,
    pub(super) labels: Vec<NewLabel>,
    /// As seen from the configuration's folder.
    pub(super) corpus: String,
    /// Keys that say what the corpus is, where that had to be said.
    pub(super) corpus_keys: Vec<(&'static str, String)>,
    /// A column, or a template of several.
    pub(super) text_field: String,
    /// `None` for the hash of the text.
    pub(super) id_field: Option<String>,
    /// The column of gold labels, where the corpus has one.
    pub(super) gold: Option<String>,
    pub(super) teacher: Teacher,
}

/// Who is asked.
#[derive(Debug)]
pub(super) enum Teacher {
    /// A server: which, with what differs from its preset.
    Server { provider: Provider, preset: Preset, base_url: String, model: String, allow_http: bool },
    /// A recording, as seen from the configuration's folder.
    Recorded(String),
}

/// `text` as TOML. As JSON writes it but for DEL, which TOML wants escaped too.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// The whole file.
pub(super) fn text(settled: &Settled) -> String {
    let mut text = format!(
        "#:schema ./{}\n\
         # Editors complete and check this file by the schema beside it (`candist schema config` prints it).\n\
         # Paths are relative to this file. What begins with `# ` and a key is a default, there to be changed.\n\n",
        settled.schema
    );
    // Writing to a string cannot fail.
    let _ = task(settled, &mut text);
    let _ = corpus(settled, &mut text);
    let _ = teacher(&settled.teacher, &mut text);
    text.push_str(REST);
    text
}

fn task(settled: &Settled, out: &mut String) -> std::fmt::Result {
    writeln!(out, "[task]\n# A run directory belongs to one task: its name and its labels.")?;
    writeln!(out, "name = {}", quoted(&settled.name))?;
    writeln!(
        out,
        "# What the model is asked to do, as a sentence of the prompt. The better it says what the labels are of, the"
    )?;
    writeln!(out, "# better the answers; changing it later asks again.")?;
    writeln!(out, "instruction = {}", quoted(&settled.instruction))?;
    writeln!(
        out,
        "# A label is its name, or a table: {{ name = \"..\", description = \"what it means\", aliases = [\"..\"] }}."
    )?;
    let label = |label: &NewLabel| match &label.description {
        None => quoted(&label.name),
        Some(meaning) => format!("{{ name = {}, description = {} }}", quoted(&label.name), quoted(meaning)),
    };
    let labels: Vec<String> = settled.labels.iter().map(label).collect();
    let line = labels.join(", ");
    if line.chars().count() <= ON_ONE_LINE {
        writeln!(out, "labels = [{line}]\n")
    } else {
        writeln!(out, "labels = [\n  {},\n]\n", labels.join(",\n  "))
    }
}

fn corpus(settled: &Settled, out: &mut String) -> std::fmt::Result {
    writeln!(
        out,
        "[corpus]\n# JSONL, JSON, CSV, TSV, Parquet or plain lines, also .gz and .zst; several as a list or by a pattern."
    )?;
    writeln!(out, "path = {}", quoted(&settled.corpus))?;
    for (key, value) in &settled.corpus_keys {
        writeln!(out, "{key} = {}", quoted(value))?;
    }
    for (key, line) in CORPUS {
        if !settled.corpus_keys.iter().any(|(set, _)| *set == key) {
            writeln!(out, "{line}")?;
        }
    }
    if settled.text_field.contains("{{") {
        writeln!(out, "# The text, made of several columns.\ntext = {}", quoted(&settled.text_field))?;
    } else {
        writeln!(
            out,
            "# The column, or field, of the text; or of several: text = \"{{{{ title }}}}. {{{{ body }}}}\""
        )?;
        writeln!(out, "text_field = {}", quoted(&settled.text_field))?;
    }
    match &settled.id_field {
        Some(id) => writeln!(
            out,
            "# Labels come out under this id; without one in a row, its text's hash is its id.\nid_field = {}",
            quoted(id)
        )?,
        None => writeln!(
            out,
            "# No column was chosen for the id: a text goes by its hash, and equal texts are one.\n# id_field = \"id\""
        )?,
    }
    if let Some(gold) = &settled.gold {
        // A column's name may hold a line feed, and a comment ends there.
        writeln!(
            out,
            "# Nothing that labels reads the gold labels in the column {}; `candist eval --gold-field` does.",
            quoted(gold)
        )?;
    }
    writeln!(out, "# max_line_bytes = 1048576         # a longer row is a bad one\n")
}

fn teacher(teacher: &Teacher, out: &mut String) -> std::fmt::Result {
    let Teacher::Server { provider, preset, base_url, model, allow_http } = teacher else {
        let Teacher::Recorded(path) = teacher else { return Ok(()) };
        writeln!(
            out,
            "# Answers from a file, one {{\"id\", \"labels\"}} a line; the answers.jsonl of another run is one."
        )?;
        writeln!(out, "[[teachers]]\nkind = \"recorded\"\npath = {}", quoted(path))?;
        return writeln!(
            out,
            "# name = \"..\"                      # under which its answers are kept; default: the file's name\n"
        );
    };
    writeln!(
        out,
        "# {}, by the OpenAI chat completions API. More [[teachers]] may follow; all are asked.",
        provider.name()
    )?;
    writeln!(out, "[[teachers]]\nkind = \"openai\"")?;
    writeln!(out, "base_url = {}", quoted(base_url))?;
    if *allow_http {
        writeln!(out, "allow_http = true                  # texts and key go over the network unencrypted")?;
    } else {
        writeln!(out, "# allow_http = false               # plain http to another machine")?;
    }
    writeln!(out, "# {}. A proposal: check that it is what you want, and what it costs.", capital(preset.model_is))?;
    writeln!(out, "model = {}", quoted(model))?;
    match preset.key {
        Some(key) => {
            writeln!(out, "api_key_env = {}    # the variable that holds the key; never the key itself", quoted(key))?
        }
        None => writeln!(
            out,
            "# api_key_env = \"API_KEY\"          # the variable that holds the key, where the server wants one"
        )?,
    }
    match preset.header {
        Some(header) => {
            writeln!(out, "api_key_header = {}        # of the bare key, as this provider wants it", quoted(header))?
        }
        None => writeln!(
            out,
            "# api_key_header = \"api-key\"       # where the key is not wanted as \"Authorization: Bearer KEY\""
        )?,
    }
    for note in preset.notes {
        writeln!(out, "# {note}")?;
    }
    for (key, value, why) in preset.settings {
        writeln!(out, "{:<34} # {why}", format!("{key} = {value}"))?;
    }
    for (key, line) in OPTIONAL {
        if !preset.settings.iter().any(|(set, ..)| *set == key) {
            writeln!(out, "{line}")?;
        }
    }
    writeln!(out, "{PRICE}")
}

fn capital(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map(|first| first.to_uppercase().collect::<String>() + characters.as_str()).unwrap_or_default()
}

/// Prices are never made up: what is there must be filled in before it can be used.
const PRICE: &str = "\
# Per million tokens, from your provider's list. With prices, `candist plan` says what a run costs, and run.max_cost bounds it.
# price = { input = \"?\", cached_input = \"?\", output = \"?\" }
";

/// Keys of a corpus that are told from it.
const CORPUS: [(&str, &str); 4] = [
    (
        "format",
        "# format = \"csv\"                   # where name and beginning do not say it; or \"jsonl\", \"json\", \"lines\", ..",
    ),
    ("delimiter", "# delimiter = \";\"                  # csv: where the header does not show it"),
    ("encoding", "# encoding = \"latin1\"              # where it is not UTF-8 and has no mark that says so"),
    (
        "pattern",
        "# pattern = \"(?<text>.*)\"          # lines: a regular expression whose named groups are the columns",
    ),
];

/// Keys of a server's teacher that have defaults.
const OPTIONAL: [(&str, &str); 24] = [
    ("name", "# name = \"..\"                      # under which its answers are kept; default: the model"),
    (
        "mode",
        "# mode = \"candidates\"              # all labels that may be right; or \"candidates-if-unsure\", \"single\"",
    ),
    (
        "output",
        "# output = \"auto\"                  # JSON schema, else JSON, else text; or \"json_schema\", \"json_object\", \"text\"",
    ),
    ("probabilities", "# probabilities = false            # ask for the probability of each label"),
    ("logprobs", "# logprobs = false                 # weigh labels by token probabilities, where the server has them"),
    ("draws", "# draws = 1                        # how often each text is asked about (self-consistency)"),
    ("temperature", "# temperature = 0.3                # of sampling"),
    ("max_tokens", "# max_tokens = 256                 # of an answer, at most"),
    ("examples", "# examples = \"examples.jsonl\"      # few-shot examples: {\"text\", \"label\"} a line"),
    ("shots", "# shots = 10                       # examples with each text; needs `examples`"),
    (
        "choose",
        "# choose = \"fixed\"                 # the first of the file; or \"nearest\" to each text; needs `examples`",
    ),
    (
        "system",
        "# system = \"..\"                    # the system message as a Jinja template, instead of the built-in one",
    ),
    ("user", "# user = \"{{ text }}\"              # the user message as a Jinja template"),
    ("max_in_flight", "# max_in_flight = 16               # requests at the same time, at most"),
    ("min_in_flight", "# min_in_flight = 1                # that an overloaded server is never slowed below"),
    ("requests_per_minute", "# requests_per_minute = 3000       # as your account allows; default: no limit"),
    ("tokens_per_minute", "# tokens_per_minute = 200000       # likewise, prompts and answers"),
    ("timeout_s", "# timeout_s = 60.0                 # until a request counts as lost"),
    ("connect_timeout_s", "# connect_timeout_s = 10.0         # until a connection counts as impossible"),
    ("read_timeout_s", "# read_timeout_s = 60.0            # without a byte, until a reply counts as lost"),
    ("max_retries", "# max_retries = 5                  # after errors that concern one request alone"),
    ("give_up_after_s", "# give_up_after_s = 300.0          # without any answer, until the run stops"),
    ("max_reply_bytes", "# max_reply_bytes = 1048576        # a longer reply counts as lost"),
    (
        "tokenizer",
        "# tokenizer = \"tokenizer.json\"     # of the model, to count prompts with; else they are estimated",
    ),
];

/// What has defaults that few change.
const REST: &str = "\
[run]
# dir = \"runs/NAME\"                # the run directory; default: named for the task, beside this file
# max_cost = \"5.00\"                # never passed, in the currency of the prices, which it needs
# window = 64                      # texts between the first unanswered and the last one asked; default: 4 x max_in_flight
# checkpoint_every_s = 5.0         # work that a crash may repeat
# shared = \"postgres://candist@db.example.org/team\"  # with a database, `candist work URL` on other machines asks for this run too
# shared_name = \"NAME\"             # what a shared run is called there; default: the task's name

[candidates]
# from = \"union\"                   # all teachers are asked; \"cascade\": the next one where those before are unsure

# The small model that learns from the candidates while they come.
[student]
# kind = \"ngram\"                   # words and parts of words; or \"encoder\": a pretrained transformer, better and slower
# model = \"models/MiniLM\"          # encoder: its Hugging Face folder
# vectors = \"vectors\"              # encoder: where vectors of texts are kept; default: in the run directory
# train_layers = 0                 # encoder: top layers that are trained too
# layer_decay = 1.0                # encoder: step size of a trained layer, as a multiple of that of the layer above it
# max_length = 128                 # encoder: tokens of a text that are read
# warmup_steps = 50                # encoder: steps in which the step size grows
# precision = \"fp32\"               # encoder: or \"bf16\"
# device = \"cpu\"                   # encoder: or \"cuda\", \"cuda:0\", \"auto\"
# dimension = 32                   # ngram: numbers of an n-gram
# buckets = 131072                 # ngram: hash buckets
# learning_rate = 0.05             # 0.0003 for an encoder
# seed = 0                         # of everything random
# threads = 1                      # labels are the same only for the same number

# How candidates and student make one label.
[distill]
# refinery = \"posterior\"           # or \"candist\", \"renormalise\", \"cc\", \"uniform\", \"single\"
# folds = 8                        # copies of the student, each trained without its own part of the texts
# block = 32                       # new texts a training step
# replay = 1                       # batches of earlier texts with each of these
# memory = 50000                   # texts that are remembered for replay and for the passes at the end
# max_passes = 8                   # passes over the memory at the end, at most (default: 6 to 16, by its size)
";

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
