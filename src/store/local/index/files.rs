//! The parts of the index by the names of their files. From the names alone follows what holds: a kill may come between any two
//! steps.
//!
//! | name | part |
//! |---|---|
//! | `young-N` | sled's folder: what was put since part N began |
//! | `sorted-N-M` | a file: the parts N to M |
//!
//! Part N+1 begins before N is written to `sorted-N-N`, and what a sorted part was made of is removed when it is in place. So parts may
//! be there that another has in it: they are removed.

use std::ffi::OsStr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::sorted::Sorted;
use super::young::Young;
use crate::base::durable::{remove, rename};
use crate::base::failpoint::pass;
use crate::error::{Error, Result};

/// The parts that the folder has, the newest first.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) young: Arc<Young>,
    /// Full, and to be sorted.
    pub(super) retired: Option<Arc<Young>>,
    pub(super) sorted: Vec<Arc<Shelved>>,
}

/// A sorted part, and which parts it is made of.
#[derive(Debug)]
pub(super) struct Shelved {
    pub(super) numbers: RangeInclusive<u64>,
    pub(super) part: Sorted,
}

pub(super) fn young(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("young-{number}"))
}

pub(super) fn sorted(folder: &Path, numbers: &RangeInclusive<u64>) -> PathBuf {
    folder.join(format!("sorted-{}-{}", numbers.start(), numbers.end()))
}

/// Opens what there is in `folder`, and makes the first part where there is nothing.
///
/// # Errors
///
/// [`Error::StoreDamaged`] where a part is missing or damaged, [`Error::RunFile`].
pub(super) fn open(folder: &Path) -> Result<Files> {
    adopt(folder)?;
    let mut named = Named::of(folder)?;
    // The one that goes furthest, where two begin with the same.
    named.sorted.sort_unstable_by_key(|numbers| (*numbers.start(), u64::MAX - numbers.end()));
    let mut next = 0;
    let mut parts = Vec::new();
    for numbers in named.sorted {
        if *numbers.end() < next {
            remove(&sorted(folder, &numbers))?;
        } else if *numbers.start() == next {
            next = numbers.end() + 1;
            let part = Sorted::open(&sorted(folder, &numbers))?;
            parts.push(Arc::new(Shelved { numbers, part }));
        } else {
            return Err(damaged(folder, format!("part {next} of the index is missing")));
        }
    }
    parts.reverse();
    named.young.sort_unstable();
    let mut youngest = Vec::new();
    for number in named.young {
        if number < next {
            remove(&young(folder, number))?;
        } else {
            youngest.push(number);
        }
    }
    let open = |number| Young::open(young(folder, number), number).map(Arc::new);
    match youngest.as_slice() {
        [] if next == 0 => Ok(Files { young: open(0)?, retired: None, sorted: parts }),
        [number] if *number == next => Ok(Files { young: open(next)?, retired: None, sorted: parts }),
        [first, second] if *first == next && *second == next + 1 => {
            Ok(Files { retired: Some(open(next)?), young: open(next + 1)?, sorted: parts })
        }
        _ => Err(damaged(folder, format!("part {next} of the index is missing"))),
    }
}

/// Makes the folder. Until version 0.1 had parts, all of it was sled's: that is the first part now.
fn adopt(folder: &Path) -> Result<()> {
    let aside = folder.with_extension("old");
    if folder.join("db").exists() && !aside.exists() {
        rename(folder, &aside).map_err(Error::run_file("rename", folder))?;
    }
    pass("index-aside")?;
    std::fs::create_dir_all(folder).map_err(Error::run_file("create", folder))?;
    if aside.exists() {
        rename(&aside, &young(folder, 0)).map_err(Error::run_file("rename", &aside))?;
    }
    pass("index-adopted")
}

/// What the names in a folder say.
#[derive(Debug, Default)]
struct Named {
    young: Vec<u64>,
    sorted: Vec<RangeInclusive<u64>>,
}

impl Named {
    fn of(folder: &Path) -> Result<Self> {
        let failed = || Error::run_file("read", folder);
        let mut named = Self::default();
        for entry in std::fs::read_dir(folder).map_err(failed())? {
            let entry = entry.map_err(failed())?;
            let name = entry.file_name();
            let name = name.to_str().unwrap_or_default();
            if let Some(number) = name.strip_prefix("young-").and_then(|number| number.parse().ok()) {
                named.young.push(number);
            } else if let Some(numbers) = name.strip_prefix("sorted-").and_then(numbers) {
                named.sorted.push(numbers);
            } else if Path::new(name).extension() == Some(OsStr::new("new")) {
                // That a kill left half written.
                remove(&entry.path())?;
            }
        }
        Ok(named)
    }
}

fn numbers(name: &str) -> Option<RangeInclusive<u64>> {
    let (from, to) = name.split_once('-')?;
    let (from, to) = (from.parse().ok()?, to.parse().ok()?);
    (from <= to).then_some(from..=to)
}

fn damaged(folder: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: folder.to_owned(), message: message.into() }
}
