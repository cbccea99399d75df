//! Links of the book and of the pages beside it lead somewhere, and every page is in the table of contents.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::fences::without_fences;
use super::pages;
use crate::support::repository;

/// The targets of `[..](target)` in `text`.
fn targets(text: &str) -> Vec<String> {
    let text = without_fences(text);
    let mut targets = Vec::new();
    // What stands in backticks is code.
    let prose: String = text.split('`').step_by(2).collect::<Vec<_>>().join("");
    for piece in prose.split("](").skip(1) {
        let target = piece.split(')').next().unwrap_or_default().trim();
        targets.push(target.to_owned());
    }
    targets
}

/// A heading's name in an address, as mdBook and GitHub make it.
fn slug(heading: &str) -> String {
    let word = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c.to_ascii_lowercase()),
        _ => None,
    };
    heading.trim().chars().filter_map(word).collect()
}

/// The names of a page's headings.
fn anchors(text: &str) -> BTreeSet<String> {
    let text = without_fences(text);
    text.lines().filter_map(|line| Some(slug(line.strip_prefix('#')?.trim_start_matches('#')))).collect()
}

/// What is wrong with a link of `page`, if anything is.
fn problem(page: &Path, target: &str) -> Option<String> {
    if ["https://", "http://", "mailto:"].iter().any(|scheme| target.starts_with(scheme)) {
        return None;
    }
    let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if file.is_empty() { page.to_owned() } else { page.parent().unwrap().join(file) };
    if !path.exists() {
        return Some(format!("{}: nothing is at {target}", page.display()));
    }
    let is_missing = !anchor.is_empty() && !anchors(&std::fs::read_to_string(&path).unwrap()).contains(anchor);
    is_missing.then(|| format!("{}: {target} names no heading", page.display()))
}

#[test]
fn every_link_leads_somewhere() {
    let mut pages = pages();
    pages.extend(["README.md", "ARCHITECTURE.md", "docs/src/SUMMARY.md"].map(|name| repository().join(name)));
    let mut problems = Vec::new();
    for page in &pages {
        let text = std::fs::read_to_string(page).unwrap();
        problems.extend(targets(&text).iter().filter_map(|target| problem(page, target)));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_table_of_contents_has_every_page_once() {
    let book = repository().join("docs/src");
    let summary = std::fs::read_to_string(book.join("SUMMARY.md")).unwrap();
    let named: Vec<PathBuf> = targets(&summary).iter().map(|target| book.join(target)).collect();
    let once: BTreeSet<PathBuf> = named.iter().cloned().collect();
    assert_eq!(named.len(), once.len(), "a page is named twice");
    let there: BTreeSet<PathBuf> = pages().into_iter().filter(|page| page.starts_with(&book)).collect();
    assert_eq!(once, there);
}

#[test]
fn links_and_headings_are_found() {
    assert_eq!(targets("a [b](c.md#d) `[x](y)`\n```text\n[e](f)\n```\n[g](h)"), ["c.md#d", "h"]);
    assert_eq!(slug(" What is `promised`, really? "), "what-is-promised-really");
}
