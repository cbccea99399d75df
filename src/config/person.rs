//! The checked configuration of people: files of labels that they gave, `kind = "human"`.

use std::path::{Path, PathBuf};

use super::annotators::Key;
use super::fields::{required, resolve};
use super::raw_teacher::RawTeacher;
use super::settings as set;
use super::{Problem, Problems};

/// A person's labels, in a file of any format of a corpus. They are taken as corrections: final, and learned from.
#[derive(Debug, Clone)]
pub struct PersonConfig {
    /// Who gave the labels; kept with each.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Its column of labels.
    pub label_field: String,
    /// Its column of ids.
    pub id_field: String,
    /// Its column of texts: the hash of a text is the id of a row that has none.
    pub text_field: String,
}

/// Keys of the kind "human".
const KEYS: [&str; 6] = ["kind", "name", "path", "label_field", "id_field", "text_field"];

/// A person. It goes by its file's name where it has none of its own.
pub(super) fn person(raw: RawTeacher, base: &Path, key: Key<'_>, problems: &mut Problems) -> Option<PersonConfig> {
    for name in raw.given_besides(&KEYS) {
        problems.push(Problem::at(&key(&name), "belongs to teachers that are asked; this one is \"human\""));
    }
    let path = required(&key("path"), raw.path, "the file of labels", problems)?;
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    Some(PersonConfig {
        name: required(&key("name"), raw.name.or(stem), "a name: the path has none", problems)?,
        path: resolve(base, path),
        label_field: raw.label_field.unwrap_or_else(|| set::LABEL_FIELD.to_owned()),
        id_field: raw.id_field.unwrap_or_else(|| set::ID_FIELD.to_owned()),
        text_field: raw.text_field.unwrap_or_else(|| set::TEXT_FIELD.to_owned()),
    })
}
