//! Who says what of texts, by the configuration's [[teachers]]: teachers that are asked, and people whose labels are there.

use std::collections::HashSet;
use std::path::Path;

use super::person::{PersonConfig, person};
use super::raw_teacher::RawTeacher;
use super::teacher::{TeacherConfig, openai, recorded};
use super::{Problem, Problems};

/// Makes the full key of a setting.
pub(super) type Key<'a> = &'a dyn Fn(&str) -> String;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Annotators {
    pub(super) teachers: Vec<TeacherConfig>,
    pub(super) people: Vec<PersonConfig>,
}

/// Those that are right; each of the others has its problems told. Names must differ: answers and labels are kept under
/// them. With `is_capped` prices are needed.
pub(super) fn annotators(raw: Vec<RawTeacher>, base: &Path, is_capped: bool, problems: &mut Problems) -> Annotators {
    if raw.is_empty() {
        problems.push(Problem::at(
            "teachers",
            "is missing: add a [[teachers]] table with kind = \"recorded\" or \"openai\"",
        ));
    }
    let (mut found, mut names, count) = (Annotators::default(), HashSet::new(), raw.len());
    for (index, raw) in raw.into_iter().enumerate() {
        let key = |name: &str| format!("teachers.{index}.{name}");
        let Some(annotator) = annotator(raw, base, &key, problems) else { continue };
        if !names.insert(annotator.name().to_owned()) {
            let message = format!("is {:?}, as an earlier teacher's: give one of them another name", annotator.name());
            problems.push(Problem::at(&key("name"), message));
        }
        match annotator {
            Annotator::Teacher(teacher) => {
                // Without prices no worst case can be reserved: the cap would be a promise that nothing keeps.
                if is_capped && matches!(&teacher, TeacherConfig::OpenAi(openai) if openai.price.is_none()) {
                    let message = "is missing: run.max_cost can be kept only where prices are known";
                    problems.push(Problem::at(&key("price"), message));
                }
                found.teachers.push(teacher);
            }
            Annotator::Person(person) => found.people.push(person),
        }
    }
    if count > 0 && found.people.len() == count {
        let message =
            "has people alone: add a teacher that is asked about every text, with kind = \"recorded\" or \"openai\"";
        problems.push(Problem::at("teachers", message));
    }
    found
}

enum Annotator {
    Teacher(TeacherConfig),
    Person(PersonConfig),
}

impl Annotator {
    fn name(&self) -> &str {
        match self {
            Self::Teacher(teacher) => teacher.name(),
            Self::Person(person) => &person.name,
        }
    }
}

/// By its kind.
fn annotator(raw: RawTeacher, base: &Path, key: Key<'_>, problems: &mut Problems) -> Option<Annotator> {
    match raw.kind.as_deref() {
        Some("recorded") => recorded(raw, base, key, problems).map(Annotator::Teacher),
        Some("openai") => openai(raw, base, key, problems).map(Annotator::Teacher),
        Some("human") => person(raw, base, key, problems).map(Annotator::Person),
        other => {
            let message = match other {
                None => "is missing: \"recorded\", \"openai\" or \"human\"".to_owned(),
                Some(kind) => format!("is {kind:?}: \"recorded\", \"openai\" and \"human\" are the kinds there are"),
            };
            problems.push(Problem::at(&key("kind"), message));
            None
        }
    }
}

/// The kind that a key belongs to which is not everybody's.
pub(super) fn owner(key: &str) -> &'static str {
    match key {
        "path" => "recorded",
        "label_field" | "id_field" | "text_field" => "human",
        _ => "openai",
    }
}
