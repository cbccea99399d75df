//! The input log's events: what happened, in the order in which the student takes it in. No I/O.
//!
//! The log is the whole input of a student: a text, and what each teacher said of it. So the labels are a function of
//! configuration and input log, and nothing that a label depends on lives anywhere else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::candidates::{CandidateSet, Opinion};
use super::label::{LabelId, LabelSet};
use super::sample::{Position, Sample, SampleId};

/// What came of asking about a sample. There are candidates, or a failure says why not.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Outcome {
    /// What each teacher said that was asked, in the order in which their labels rank. An empty one named no label;
    /// who was not asked is not there.
    pub opinions: Vec<Opinion>,
    /// Why there are no candidates, where there are none.
    pub failure: Option<String>,
}

impl Outcome {
    /// Whether no teacher named a label.
    #[must_use]
    pub(crate) fn names_nothing(&self) -> bool {
        self.opinions.iter().all(|opinion| opinion.labels.is_empty())
    }

    /// The candidates: empty for a failure. The order of opinions decides their ranking, so the log keeps it.
    #[must_use]
    pub(crate) fn candidates(&self) -> CandidateSet {
        CandidateSet::merge(self.opinions.iter().cloned())
    }
}

/// An event that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum NewInput {
    /// A sample was asked about for the first time; it gets the next position when it is written, and keeps it.
    Arrive(Sample, Outcome),
    /// A sample that arrived before has new answers, which take the place of all the old ones, for whoever reads on
    /// from here.
    Answers(Position, Outcome),
    /// A person gave a sample that arrived before its label, or (`None`) took it back.
    Correct(Position, Option<LabelId>),
    /// The corpus ended here, for now: the student settles. More may arrive after it.
    End,
}

/// An event of the log.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Input {
    /// See [`NewInput::Arrive`].
    Arrive {
        /// How many arrived before.
        position: Position,
        /// The text and its name.
        sample: Sample,
        /// What the teachers said.
        outcome: Outcome,
    },
    /// See [`NewInput::Answers`].
    Answers {
        /// Whose.
        position: Position,
        /// What the teachers say now.
        outcome: Outcome,
    },
    /// See [`NewInput::Correct`].
    Correct {
        /// Whose.
        position: Position,
        /// The label that it has from here on.
        label: Option<LabelId>,
    },
    /// See [`NewInput::End`].
    End {
        /// How many samples arrived before.
        samples: u64,
    },
}

/// The names that the log writes for what the program counts. So a log can be read without the configuration, and by
/// a program that counts otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    /// The task's labels.
    pub labels: LabelSet,
    /// The teachers, in the order of the configuration.
    pub teachers: Vec<String>,
}

/// What one teacher said, as the log has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Asked {
    /// Who was asked.
    pub teacher: String,
    /// The labels that it named, likeliest first; none where the answer named none of the task's.
    pub labels: Vec<String>,
    /// One weight a label, where it gave any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f32>,
}

/// One line of `inputs.jsonl`, without its checksum.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum InputLine {
    /// The first line: whose log this is.
    Begin {
        /// Version of the log's format.
        format: u32,
        /// Random name of the run directory, 32 hexadecimal digits.
        run: String,
        /// The task's name.
        task: String,
        /// Its labels, in order.
        labels: Vec<String>,
        /// The teachers, in the order of the configuration.
        teachers: Vec<String>,
        /// Hash of all that answers depend on: prompts, models, parameters.
        asking: String,
        /// The CRC-32 at the end of every line.
        #[serde(default, skip_serializing)]
        crc: String,
    },
    /// A sample was asked about.
    Arrive {
        /// How many arrived before.
        position: u64,
        /// The sample's id.
        id: String,
        /// The text.
        text: String,
        /// Who was asked, and what they said.
        asked: Vec<Asked>,
        /// Why there are no candidates, where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// The CRC-32 at the end of every line.
        #[serde(default, skip_serializing)]
        crc: String,
    },
    /// A sample that arrived before has new answers.
    Answers {
        /// Whose.
        position: u64,
        /// Who was asked, and what they say now.
        asked: Vec<Asked>,
        /// Why there are no candidates, where there are none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// The CRC-32 at the end of every line.
        #[serde(default, skip_serializing)]
        crc: String,
    },
    /// A person gave a sample that arrived before its label, or took it back.
    Correct {
        /// Whose.
        position: u64,
        /// The label; none where it was taken back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        label: Option<String>,
        /// The CRC-32 at the end of every line.
        #[serde(default, skip_serializing)]
        crc: String,
    },
    /// The corpus ended here, for now.
    End {
        /// How many samples arrived before.
        samples: u64,
        /// The CRC-32 at the end of every line.
        #[serde(default, skip_serializing)]
        crc: String,
    },
}

impl Names {
    /// The line of `input`, the next sample being `position`. Its checksum is added when it is sealed.
    #[must_use]
    pub(crate) fn line(&self, input: &NewInput, position: Position) -> InputLine {
        let crc = String::new();
        match input {
            NewInput::Arrive(sample, outcome) => InputLine::Arrive {
                position,
                id: sample.id.0.clone(),
                text: sample.text.clone(),
                asked: self.asked(outcome),
                failure: outcome.failure.clone(),
                crc,
            },
            NewInput::Answers(position, outcome) => InputLine::Answers {
                position: *position,
                asked: self.asked(outcome),
                failure: outcome.failure.clone(),
                crc,
            },
            NewInput::Correct(position, label) => {
                let label = label.map(|label| self.labels.name(label).to_owned());
                InputLine::Correct { position: *position, label, crc }
            }
            NewInput::End => InputLine::End { samples: position, crc },
        }
    }

    fn asked(&self, outcome: &Outcome) -> Vec<Asked> {
        let asked = |opinion: &Opinion| Asked {
            teacher: self.teachers.get(usize::from(opinion.teacher)).cloned().unwrap_or_default(),
            labels: opinion.labels.iter().map(|&label| self.labels.name(label).to_owned()).collect(),
            weights: opinion.weights.clone(),
        };
        outcome.opinions.iter().map(asked).collect()
    }

    /// The event that `line` is, or why it is none of this task and these teachers. Whether it follows on those
    /// before it is not looked at here.
    pub(crate) fn input(&self, line: InputLine) -> Result<Input, String> {
        Ok(match line {
            InputLine::Begin { .. } => return Err("begins a log in the middle of one".to_owned()),
            InputLine::Arrive { position, id, text, asked, failure, .. } => Input::Arrive {
                position,
                sample: Sample { id: SampleId(id), text },
                outcome: Outcome { opinions: self.opinions(&asked)?, failure },
            },
            InputLine::Answers { position, asked, failure, .. } => {
                Input::Answers { position, outcome: Outcome { opinions: self.opinions(&asked)?, failure } }
            }
            InputLine::Correct { position, label, .. } => {
                Input::Correct { position, label: label.map(|name| self.label(&name)).transpose()? }
            }
            InputLine::End { samples, .. } => Input::End { samples },
        })
    }

    fn opinions(&self, asked: &[Asked]) -> Result<Vec<Opinion>, String> {
        asked.iter().map(|asked| self.opinion(asked)).collect()
    }

    /// By its exact name: what was written is our own spelling, and a near miss is damage.
    fn label(&self, name: &str) -> Result<LabelId, String> {
        self.labels.exact(name).ok_or_else(|| format!("names {name:?}, no label of the task"))
    }

    fn opinion(&self, asked: &Asked) -> Result<Opinion, String> {
        let teacher = self.teachers.iter().position(|name| *name == asked.teacher);
        let teacher = teacher.and_then(|place| u16::try_from(place).ok());
        Ok(Opinion {
            teacher: teacher.ok_or_else(|| format!("names {:?}, no teacher of this log", asked.teacher))?,
            labels: asked.labels.iter().map(|name| self.label(name)).collect::<Result<_, _>>()?,
            weights: asked.weights.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::label::Label;
    use super::*;
    use crate::base::sealed::{check, seal};
    use proptest::prelude::*;

    fn names() -> Names {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        Names {
            labels: LabelSet::new(vec![label("a"), label("B \"b\""), label("é")]).unwrap(),
            teachers: vec!["one".into(), "two".into()],
        }
    }

    fn opinion() -> impl Strategy<Value = Opinion> {
        (0..2_u16, prop::sample::subsequence(vec![0_u16, 1, 2], 0..=3), any::<bool>()).prop_flat_map(
            |(teacher, labels, weighed)| {
                let weights = prop::collection::vec(0.0001_f32..1.0, if weighed { labels.len() } else { 0 });
                weights.prop_map(move |weights| Opinion {
                    teacher,
                    labels: labels.iter().map(|&label| LabelId(label)).collect(),
                    weights,
                })
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            opinions in prop::collection::vec(opinion(), 0..4),
            failure in any::<Option<String>>(),
            (id, text) in any::<(String, String)>(),
            kind in 0..4,
            label in prop::option::of(0..3_u16),
        ) {
            let outcome = Outcome { opinions, failure };
            let sample = Sample { id: SampleId(id), text };
            let (new, expected) = match kind {
                0 => (
                    NewInput::Arrive(sample.clone(), outcome.clone()),
                    Input::Arrive { position: 7, sample, outcome },
                ),
                1 => (NewInput::Answers(3, outcome.clone()), Input::Answers { position: 3, outcome }),
                2 => {
                    let label = label.map(LabelId);
                    (NewInput::Correct(3, label), Input::Correct { position: 3, label })
                }
                _ => (NewInput::End, Input::End { samples: 7 }),
            };
            let line = seal(&serde_json::to_string(&names().line(&new, 7)).unwrap());
            let line = line.strip_suffix('\n').unwrap();
            prop_assert_eq!(check(line.as_bytes()), Ok(()));
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(names().input(serde_json::from_str(line).unwrap()), Ok(expected));
        }
    }

    #[test]
    fn what_is_of_another_task_is_said() {
        let of = |teacher: &str, label: &str| InputLine::Answers {
            position: 0,
            asked: vec![Asked { teacher: teacher.into(), labels: vec![label.into()], weights: vec![] }],
            failure: None,
            crc: String::new(),
        };
        assert!(names().input(of("one", "b")).unwrap_err().contains("\"b\", no label"));
        assert!(names().input(of("three", "a")).unwrap_err().contains("\"three\", no teacher"));
    }
}
