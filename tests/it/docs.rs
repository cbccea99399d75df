//! The book and the README: every block of code and configuration in them is run.
//!
//! A page's blocks run in order in one folder (`folder`), so that a tutorial is a test from end to end. `fences` says what a
//! block's first line may tell. Blocks in Python need the Python package: they run where `CANDIST_PYTHON` names an
//! interpreter that has it (`make check-python` does so).

mod fences;
mod folder;
mod links;

use std::path::{Path, PathBuf};

use candist::Config;
use candist::config::TeacherConfig;
use fences::{Fence, fences, says};
use folder::Folder;

use crate::schemas::validate;
use crate::support::{Finished, repository};

/// Blocks that cannot run here, by the beginning of their reason. Few, and each for a reason.
const IGNORED: [&str; 3] = ["it is what runs this", "it needs a package that was built", "it needs a stream of Arrow"];

/// The languages of blocks; `text` and `csv` are what one reads, unless they say otherwise.
const LANGUAGES: [&str; 8] = ["toml", "sh", "console", "python", "json", "text", "csv", "jsonl"];

/// What fragments of a configuration stand in.
const BASE: &str = r#"
[task]
name = "support"
labels = ["card", "cash", "transfer", "top-up", "exchange", "account"]
[corpus]
path = "messages.jsonl"
[[teachers]]
kind = "openai"
base_url = "https://api.openai.com/v1"
model = "gpt-4o-mini"
price = { input = 0.15, output = 0.60 }
[run]
"#;

/// Every page of the book.
fn pages() -> Vec<PathBuf> {
    let mut pages = Vec::new();
    let mut folders = vec![repository().join("docs/src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") && !path.ends_with("SUMMARY.md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// Runs the blocks of one page.
fn run_page(page: &Path) {
    let fences = fences(page);
    if fences.is_empty() {
        return;
    }
    let folder = Folder::new();
    // A page that begins before there is a configuration.
    if fences.iter().any(|fence| fence.text.contains("candist init") && fence.text.contains("--out support.toml")) {
        std::fs::remove_file(folder.path("support.toml")).unwrap();
    }
    let (mut python, mut printed) = (String::new(), String::new());
    for fence in &fences {
        assert!(LANGUAGES.contains(&fence.language.as_str()), "{}: {:?}", fence.place(), fence.language);
        if fence.attribute("ignore").is_none() {
            run_fence(&folder, fence, &mut python, &mut printed);
        }
    }
}

fn run_fence(folder: &Folder, fence: &Fence, before: &mut String, printed: &mut String) {
    if let Some(file) = fence.file() {
        folder.write(file, &fence.text);
    }
    match fence.language.as_str() {
        "toml" => configuration(folder, fence),
        "sh" => *printed = shell(folder, fence, &fence.text).out,
        "console" => console(folder, fence),
        "python" => python(folder, fence, before, printed),
        "json" | "jsonl" => json(fence),
        "text" if fence.attribute("output").is_some() => {
            let place = fence.place();
            assert!(says(&fence.text, printed), "{place}: expected\n{}\nprinted\n{printed}", fence.text);
        }
        _ => {}
    }
}

/// A whole configuration is right, and passes `candist check` where what it names is there; a fragment is right within
/// [`BASE`].
fn configuration(folder: &Folder, fence: &Fence) {
    let place = fence.place();
    if ["[task]", "[corpus]", "[[teachers]]"].iter().all(|table| fence.text.contains(table)) {
        let file = fence.file().unwrap_or("unnamed.toml");
        folder.write(file, &fence.text);
        let config = Config::load(&folder.path(file), None).unwrap_or_else(|error| panic!("{place}: {error}"));
        if is_there(&config) {
            shell(folder, fence, &format!("candist check {file}"));
        }
        return;
    }
    let fragment: toml::Table = toml::from_str(&fence.text).unwrap_or_else(|error| panic!("{place}: {error}"));
    let mut whole: toml::Table = toml::from_str(BASE).unwrap();
    merge(&mut whole, fragment);
    let whole = toml::to_string(&whole).unwrap();
    if let Err(problems) = Config::parse(&whole, &folder.path(""), None) {
        panic!("{place}:\n{problems}\nin\n{whole}");
    }
}

/// Whether the files that a configuration names are.
fn is_there(config: &Config) -> bool {
    let recordings = config.teachers.iter().filter_map(|teacher| match teacher {
        TeacherConfig::Recorded(recorded) => Some(&recorded.path),
        TeacherConfig::OpenAi(_) => None,
    });
    config.corpus.paths.iter().chain(recordings).all(|path| path.exists())
}

/// What `fragment` has stands in the place of what `whole` has.
fn merge(whole: &mut toml::Table, fragment: toml::Table) {
    for (key, value) in fragment {
        match (whole.get_mut(&key), value) {
            (Some(toml::Value::Table(old)), toml::Value::Table(new)) => merge(old, new),
            (_, value) => drop(whole.insert(key, value)),
        }
    }
}

fn shell(folder: &Folder, fence: &Fence, commands: &str) -> Finished {
    let ended = folder.shell(commands);
    let expected: i32 = fence.attribute("exit").map_or(0, |exit| exit.parse().unwrap());
    let place = fence.place();
    assert_eq!(ended.exit, Some(expected), "{place}:\n{commands}\n{}\n{}", ended.out, ended.err);
    assert!(!ended.err.contains("panicked"), "{place}: {}", ended.err);
    ended
}

/// Lines that begin with `$ ` are commands; what follows one is what it prints.
fn console(folder: &Folder, fence: &Fence) {
    for step in format!("\n{}", fence.text).split("\n$ ").skip(1) {
        let (command, expected) = step.split_once('\n').unwrap_or((step, ""));
        let printed = shell(folder, fence, command).out;
        let place = fence.place();
        let is_said = expected.trim().is_empty() || says(expected.trim_end(), printed.trim_end());
        assert!(is_said, "{place}: {command}: expected\n{expected}\nprinted\n{printed}");
    }
}

/// As in a notebook, a block begins where the last one of its page ended: those are run before it, once more.
fn python(folder: &Folder, fence: &Fence, before: &mut String, printed: &mut String) {
    let Some(python) = std::env::var_os("CANDIST_PYTHON") else { return };
    before.push_str(&fence.text);
    before.push('\n');
    let ended = Finished::of(folder.command(python.to_str().unwrap()).args(["-c", before.as_str()]).output().unwrap());
    assert_eq!(ended.exit, Some(0), "{}:\n{}\n{}", fence.place(), ended.out, ended.err);
    *printed = ended.out;
}

fn json(fence: &Fence) {
    for value in serde_json::Deserializer::from_str(&fence.text).into_iter::<serde_json::Value>() {
        let value = value.unwrap_or_else(|error| panic!("{}: {error}", fence.place()));
        if let Some(schema) = fence.attribute("schema") {
            validate(schema, &value, &fence.place());
        }
    }
}

/// Runs the pages of a part of the book; there are some.
fn run_part(part: &str) {
    let part = repository().join("docs/src").join(part);
    let pages: Vec<PathBuf> = pages().into_iter().filter(|page| page.starts_with(&part)).collect();
    assert!(!pages.is_empty(), "{}", part.display());
    pages.iter().for_each(|page| run_page(page));
}

#[test]
fn the_readme_runs() {
    run_page(&repository().join("README.md"));
}

#[test]
fn the_readme_of_the_python_package_runs() {
    run_page(&repository().join("python/README.md"));
}

#[test]
fn the_tutorial_runs() {
    run_part("tutorial.md");
}

#[test]
fn what_the_how_tos_say_runs() {
    run_part("how-to");
}

#[test]
fn what_the_reference_says_runs() {
    run_part("reference");
}

#[test]
fn what_the_explanations_say_runs() {
    run_part("index.md");
    run_part("explanation");
}

#[test]
fn few_blocks_are_left_out_and_each_for_a_known_reason() {
    let readme = repository().join("README.md");
    for page in pages().iter().chain([&readme]) {
        for fence in fences(page) {
            let Some(reason) = fence.attribute("ignore") else { continue };
            assert!(IGNORED.iter().any(|known| reason.starts_with(known)), "{}: {reason}", fence.place());
        }
    }
}
