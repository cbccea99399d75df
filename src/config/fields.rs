//! Checks of single settings: each gives a value to go on with, and says what is wrong.
//!
//! What goes on in the place of a wrong value is never used: a configuration with a problem is refused as a whole. It
//! is there so that the checks after this one can find what else is wrong.

use std::ops::RangeInclusive;
use std::path::{Component, Path, PathBuf};

use rust_decimal::Decimal;

use super::raw_teacher::RawDecimal;
use super::settings::MOST_MONEY;
use super::{Problem, Problems};
use crate::domain::label::nearest;

/// `path` as seen from `base`, with `folder/..` taken out where that names the same place: through a symbolic link,
/// `..` leads elsewhere. Looks at the disk for that alone; the path need not be there.
pub(super) fn resolve(base: &Path, path: PathBuf) -> PathBuf {
    let mut resolved = PathBuf::new();
    for part in base.join(path).components() {
        let ends_in_folder = matches!(resolved.components().next_back(), Some(Component::Normal(_)));
        if part == Component::ParentDir && ends_in_folder && !resolved.is_symlink() {
            resolved.pop();
        } else {
            resolved.push(part);
        }
    }
    resolved
}

/// Whether `text` begins with `prefix`, in whatever case.
pub(super) fn has_prefix(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The value of a key that has no default. `what` tells what belongs there.
pub(super) fn required<T>(key: &str, value: Option<T>, what: &str, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.push(Problem::at(key, format!("is missing: {what}")));
    }
    value
}

/// The value or the default. A value out of `range` is a problem, and so is NaN, which is in no range.
pub(super) fn number<T: PartialOrd + Copy + std::fmt::Display>(
    key: &str,
    value: Option<T>,
    default: T,
    range: RangeInclusive<T>,
    problems: &mut Problems,
) -> T {
    match value {
        Some(value) if range.contains(&value) => value,
        Some(value) => {
            problems.push(Problem::at(key, format!("must be {} to {}, not {value}", range.start(), range.end())));
            // Any value in range will do: the configuration is refused anyway.
            *range.start()
        }
        None => default,
    }
}

/// The choice of this name; else a problem with the name that was meant, or with all there are.
pub(super) fn one_of<T: Copy>(key: &str, value: &str, choices: &[(&str, T)], problems: &mut Problems) -> Option<T> {
    if let Some((_, choice)) = choices.iter().find(|(name, _)| *name == value) {
        return Some(*choice);
    }
    let names = || choices.iter().map(|(name, _)| *name);
    // One guess, where it is close; else the whole list, which is short.
    let hint = match nearest(value, names()) {
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("it can be: {}", names().collect::<Vec<_>>().join(", ")),
    };
    problems.push(Problem::at(key, format!("is {value:?}; {hint}")));
    None
}

/// A decimal of at least 0 and at most [`MOST_MONEY`]; anything else is a problem, and 0 goes on in its place.
pub(super) fn decimal(key: &str, raw: RawDecimal, problems: &mut Problems) -> Decimal {
    let text = match &raw {
        // The shortest decimal that reads as this number: what was typed.
        RawDecimal::Number(number) => number.to_string(),
        RawDecimal::Text(text) => text.trim().to_owned(),
    };
    match text.parse::<Decimal>() {
        Ok(value) if (Decimal::ZERO..=Decimal::from(MOST_MONEY)).contains(&value) => value,
        _ => {
            problems.push(Problem::at(key, format!("must be a decimal from 0 to 1,000,000, not {text:?}")));
            Decimal::ZERO
        }
    }
}
