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

use super::parts::{Parts, Shelved};
use super::sorted::Sorted;
use super::young::Young;
use crate::base::durable::{remove, rename, sync_folder_of};
use crate::base::failpoint::pass;
use crate::error::{Error, Result};

pub(super) fn young_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("young-{number}"))
}

pub(super) fn sorted_path(folder: &Path, numbers: &RangeInclusive<u64>) -> PathBuf {
    folder.join(format!("sorted-{}-{}", numbers.start(), numbers.end()))
}

/// Opens what there is in `folder`, and makes the first part where there is nothing.
///
/// # Errors
///
/// [`Error::StoreDamaged`] where a part is missing or damaged, [`Error::RunFile`].
pub(super) fn open(folder: &Path) -> Result<Parts> {
    adopt(folder)?;
    let mut named = Named::of(folder)?;
    // The one that goes furthest, where two begin with the same.
    named.sorted.sort_unstable_by_key(|numbers| (*numbers.start(), u64::MAX - numbers.end()));
    let mut next = 0;
    let mut sorted = Vec::new();
    for numbers in named.sorted {
        if *numbers.end() < next {
            remove(&sorted_path(folder, &numbers))?;
        } else if *numbers.start() == next {
            next = numbers.end() + 1;
            let part = Sorted::open(&sorted_path(folder, &numbers))?;
            sorted.push(Arc::new(Shelved { numbers, part }));
        } else {
            return Err(missing(folder, next));
        }
    }
    sorted.reverse();
    named.young.sort_unstable();
    for number in named.young.extract_if(.., |number| *number < next) {
        remove(&young_path(folder, number))?;
    }
    let open = |number| Young::open(young_path(folder, number), number).map(Arc::new);
    match named.young.as_slice() {
        [] if next == 0 => Ok(Parts { young: open(0)?, retired: None, sorted }),
        [number] if *number == next => Ok(Parts { young: open(next)?, retired: None, sorted }),
        [first, second] if *first == next && *second == next + 1 => {
            let retired = open(next)?;
            Ok(Parts { young: begun(folder, &retired)?, retired: Some(retired), sorted })
        }
        _ => Err(missing(folder, next)),
    }
}

/// The part after `retired`, which says how far all goes: as the one before does, where a kill came before it said so. What cannot
/// be opened of it is made anew, and the logs are taken in from where the one before ends.
fn begun(folder: &Path, retired: &Young) -> Result<Arc<Young>> {
    let path = young_path(folder, retired.number + 1);
    let open = || Young::open(path.clone(), retired.number + 1);
    let young = match open() {
        Err(Error::StoreDamaged { .. }) => remove(&path).and_then(|()| open())?,
        opened => opened?,
    };
    if let (None, Some(applied)) = (young.applied()?, retired.applied()?) {
        young.set_applied(&applied)?;
        young.flush()?;
    }
    Ok(Arc::new(young))
}

/// Makes the folder. Before the index had parts, all of it was sled's: that is the first part now.
fn adopt(folder: &Path) -> Result<()> {
    let aside = folder.with_extension("old");
    if folder.join("db").exists() {
        // One that is aside already is of an earlier try, and was made anew since by a version that knows no parts.
        remove(&aside)?;
        rename(folder, &aside).map_err(Error::run_file("rename", folder))?;
    }
    pass("index-aside")?;
    if folder.symlink_metadata().is_ok() && !folder.is_dir() {
        return Err(damaged(folder, "it is no folder"));
    }
    std::fs::create_dir_all(folder).map_err(Error::run_file("create", folder))?;
    let first = young_path(folder, 0);
    match (aside.exists(), first.exists()) {
        (true, true) => return Err(damaged(folder, "its index is there twice")),
        (true, false) => {
            let moved = rename(&aside, &first).and_then(|()| sync_folder_of(&aside));
            moved.map_err(Error::run_file("rename", &aside))?;
        }
        (false, _) => {}
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
            if let Some(number) = name.strip_prefix("young-").and_then(number) {
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
    let (from, to) = (number(from)?, number(to)?);
    (from <= to).then_some(from..=to)
}

/// As it is written by us: a name that says it otherwise is of another file.
fn number(written: &str) -> Option<u64> {
    let number: u64 = written.parse().ok()?;
    (number.to_string() == written && number < u64::MAX).then_some(number)
}

fn missing(folder: &Path, number: u64) -> Error {
    damaged(folder, format!("its parts do not follow each other from {number} on"))
}

fn damaged(folder: &Path, message: impl Into<String>) -> Error {
    Error::StoreDamaged { path: folder.to_owned(), message: message.into() }
}
