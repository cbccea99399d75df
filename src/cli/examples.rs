//! What stands at the end of each verb's help: command lines that are as true as the code, for a test parses every one.

pub(super) const INIT: &str = "Examples:
  candist init messages.csv                     # asks for what it cannot see
  candist init messages.csv --text-field body --labels refund,delivery,other --provider openai --yes
  candist init messages.csv --labels-from intent --provider ollama --model llama3.1 --out intents.toml";

pub(super) const CHECK: &str = "Examples:
  candist check support.toml                    # is the configuration right, and all that it names?
  candist check --deep runs/support             # every line of a run against its checksum";

pub(super) const PLAN: &str = "Examples:
  candist plan support.toml                     # requests, tokens, cost, time; nothing is sent
  candist plan support.toml --show 3            # also the first three prompts, as they would be sent
  candist plan support.toml --gold gold.csv     # after a pilot: how good the answers are
  candist plan support.toml --gold-field intent # the same, by a column of the corpus";

pub(super) const RUN: &str = "Examples:
  candist run support.toml                      # stop it with Ctrl-C; the same command goes on
  candist run support.toml --limit 50           # a pilot: the first 50 texts; their answers count later
  candist run support.toml --run-dir runs/two   # into another run directory
  candist run support.toml --retry-failures     # ask again where answers named no label
  candist run support.toml --json 2> log.jsonl  # for a program: progress, messages, a summary";

#[cfg(feature = "shared")]
pub(super) const WORK: &str = "Examples:
  candist work postgres://candist@db.example.org/team       # until Ctrl-C; what is on its way is waited for
  candist work postgres://candist@db.example.org/team --run support --until-complete";

#[cfg(feature = "shared")]
pub(super) const IMPORT_ANSWERS: &str = "Examples:
  candist import-answers postgres://candist@db.example.org/team runs/support
  candist import-answers postgres://candist@db.example.org/team candist-unsent-4711.jsonl";

pub(super) const STATUS: &str = "Examples:
  candist status runs/support                   # how far it is, what it cost, what failed
  candist status --watch support.toml           # the display of a run, from another terminal
  candist status --json runs/support            # for a program";

pub(super) const TAIL: &str = "Examples:
  candist tail runs/support --latest            # the labels as they are now, one line a text
  candist tail -f runs/support --final          # final labels as they come, until the run is complete
  candist tail support.toml --label refund --min-confidence 0.9";

#[cfg(feature = "page")]
pub(super) const SERVE: &str = "Examples:
  candist serve runs/support                    # then open the address that it prints
  candist serve support.toml --listen 127.0.0.1:0
  candist serve runs/support --listen 0.0.0.0:8088 --host box.example";

pub(super) const EXPORT: &str = "Examples:
  candist export support.toml --labels labels.parquet
  candist export support.toml --labels labels.csv --join
  candist export runs/support --labels - --min-confidence 0.9 --label refund | head
  candist export runs/support --labels doubtful.csv --doubtful 200 --text
  candist export runs/support --for label-studio --out tasks.json
  candist export runs/support --student my-student";

pub(super) const EVAL: &str = "Examples:
  candist eval runs/support --gold gold.jsonl
  candist eval support.toml --gold-field intent           # by a column of the corpus itself
  candist eval runs/support --gold people.csv --gold-field intent --id-field nr
  candist eval support.toml --gold gold.jsonl --details   # label by label, and what is taken for what";

pub(super) const CORRECT: &str = "Examples:
  candist correct runs/support --set 17 refund  # one text; exports have it at once
  candist correct runs/support corrected.csv    # rows with id and label
  candist correct support.toml --take-back 17   # as if nobody had said it";

pub(super) const AUDIT: &str = "Examples:
  candist audit runs/support --sample 200 > sample.jsonl  # then fill in \"gold\" in each line
  candist audit runs/support --gold sample.jsonl
  candist audit runs/one runs/two --gold sample.jsonl     # which run is better?
  candist audit runs/support                              # by the sample that was labelled on its page
  candist audit runs/support --filled > sample.jsonl      # that sample, to recalibrate an export by
  candist audit runs/support --end --correct              # ends that; its labels become corrections
  candist audit runs/support --drop                       # or gives it up, where nothing of it is labelled";

pub(super) const REPORT: &str = "Examples:
  candist report runs/support --out support.html          # then open it in a browser
  candist report support.toml --out support.html --gold gold.jsonl
  candist report runs/support --out support.html --audited sample.jsonl --check
  candist report runs/support > support.html              # the same bytes for the same files";

pub(super) const FAILURES: &str = "Examples:
  candist failures runs/support                 # what failed, why, and the raw answers
  candist failures --json support.toml";

pub(super) const PREDICT: &str = "Examples:
  candist predict --student my-student new.jsonl
  candist predict --student my-student --lines --min-confidence 0.8 < texts.txt
  candist predict --student my-student --input 's3://corpus/2026/*.parquet' --output s3://labels --part 3/8
  candist predict --student my-student --serve   # answers what is posted to 127.0.0.1:8089/v1/predict";

pub(super) const BATCH: &str = "Examples:
  candist batch export support.toml --out batches         # files for the provider's batch service
  candist batch import support.toml results.jsonl         # its results; then run";

pub(super) const BATCH_EXPORT: &str = "Examples:
  candist batch export support.toml --out batches";

pub(super) const BATCH_IMPORT: &str = "Examples:
  candist batch import support.toml results-1.jsonl results-2.jsonl";

pub(super) const SCHEMA: &str = "Examples:
  candist schema config > config.json           # all keys of a configuration, for an editor";

pub(super) const COMPLETIONS: &str = "Examples:
  candist completions bash > ~/.local/share/bash-completion/completions/candist
  candist completions zsh > ~/.zfunc/_candist
  candist completions fish > ~/.config/fish/completions/candist.fish";

/// Exit codes, at the end of the program's help.
pub(super) const EXIT_CODES: &str = "Examples:
  candist init messages.csv --out support.toml  # first: writes a configuration
  candist check support.toml                    # is all as it should be?
  candist run support.toml                      # then annotate, and distil
  candist status --watch support.toml           # from another terminal

Exit codes: 0 complete (what failed is listed), 1 failed, 2 wrong usage, configuration or input, 3 incomplete but resumable \
(texts are unanswered; run the same command again), 130 stopped by Ctrl-C, SIGTERM or SIGHUP (resumable).";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use crate::cli::Cli;

    /// The words of a command line up to what is for the shell.
    fn words(line: &str) -> Vec<String> {
        let end = line.find([' ', '\t']).map_or(line.len(), |_| {
            [" #", " > ", " < ", " 2> ", " | "].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len())
        });
        line[..end].split_whitespace().map(str::to_owned).collect()
    }

    fn examples(command: &clap::Command, found: &mut Vec<String>, without: &mut Vec<String>) {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        if !help.contains("Examples:") {
            without.push(command.get_name().to_owned());
        }
        found.extend(help.lines().map(str::trim).filter(|line| line.starts_with("candist ")).map(str::to_owned));
        for verb in command.get_subcommands() {
            examples(verb, found, without);
        }
    }

    #[test]
    fn every_verb_has_examples_and_every_example_parses() {
        let (mut found, mut without) = (Vec::new(), Vec::new());
        examples(&Cli::command(), &mut found, &mut without);
        assert_eq!(without, [""; 0]);
        assert!(found.len() > 20);
        for line in found {
            if let Err(error) = Cli::try_parse_from(words(&line)) {
                panic!("{line}\n{error}");
            }
        }
    }
}
