//! Paths in a configuration are relative to its folder, and those that a person types to the working directory.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};

/// `path` as the configuration in `folder` has to call it. Absolute paths stay.
///
/// # Errors
///
/// Where a path is not UTF-8, or `folder` is not there.
pub(super) fn seen_from(folder: &Path, path: &Path) -> Result<String> {
    let seen = if path.is_absolute() || folder.as_os_str().is_empty() {
        path.to_owned()
    } else if let Ok(inside) = path.strip_prefix(folder) {
        inside.to_owned()
    } else {
        let here = std::env::current_dir().context("there is no working directory")?;
        let folder = folder.canonicalize().with_context(|| format!("{} is no folder", folder.display()))?;
        // The working directory is what `path` begins at, whatever `path` is: it may be a pattern.
        way(&folder, &here.canonicalize().unwrap_or(here)).join(path)
    };
    seen.to_str().map(str::to_owned).with_context(|| format!("the path {} is not UTF-8", path.display()))
}

/// The way from one folder to another, both absolute and without links.
fn way(from: &Path, to: &Path) -> PathBuf {
    let (from, to): (Vec<Component>, Vec<Component>) = (from.components().collect(), to.components().collect());
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = from.iter().skip(common).map(|_| Component::ParentDir);
    up.chain(to.iter().skip(common).copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_leads_up_and_down() {
        for (from, to, expected) in
            [("/a/b", "/a/c", "../c"), ("/a", "/a/b/c", "b/c"), ("/a/b", "/", "../.."), ("/a", "/a", "")]
        {
            assert_eq!(way(Path::new(from), Path::new(to)), Path::new(expected), "{from} {to}");
        }
    }

    #[test]
    fn paths_are_seen_from_the_configurations_folder() {
        let seen = |folder: &str, path: &str| seen_from(Path::new(folder), Path::new(path)).unwrap();
        assert_eq!(seen("", "data/a.csv"), "data/a.csv");
        assert_eq!(seen("conf", "conf/data/*.csv"), "data/*.csv");
        assert_eq!(seen("conf", "/data/a.csv"), "/data/a.csv");
        let folder = tempfile::tempdir_in(".").unwrap();
        let name = folder.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(seen(name, "data/a.csv"), "../data/a.csv");
    }
}
