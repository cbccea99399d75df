//! candist annotates a text corpus with an LLM that names *candidate labels*, keeps every paid answer, and distils the
//! candidates into one label per text with a small student that trains while the answers come in.
//!
//! ```text
//! corpus    rows, one at a time                                           Corpus
//!  intake   what is known is not asked again
//!  asking   many at a time; an answer counts when it is on disk           Teacher
//!  placing  in corpus order, into the input log
//!  student  learns from all candidates; with the refinery, the label      Student, Refinery
//!  labels   one event a line, handed on and followed as they come         Sink, RunHandle::labels, Tail
//! ```
//!
//! A program starts runs as the command line does, and gives them parts of its own where it wants to:
//!
//! ```no_run
//! # async fn example() -> candist::Result<()> {
//! let config = candist::Config::load("configs/quickstart.toml".as_ref(), None)?;
//! let run = candist::Run::builder(config).start();
//! let outcome = run.join().await?;
//! println!("{} texts got no candidate", outcome.failures.samples);
//! # Ok(())
//! # }
//! ```
//!
//! | to | there is |
//! |---|---|
//! | run | [`Config`], [`Run`], [`RunHandle`], [`Progress`] |
//! | give it parts of one's own | [`Corpus`], [`Teacher`], [`Refinery`], [`Sink`]; `examples/` has one of each |
//! | look at a run directory, also beside a run | [`RunDir::view`], [`Tail`], [`latest`] |
//! | hand labels on as a table | [`write_table`], [`export_for`] |
//! | give labels, and take them back | [`correct`] |
//! | judge labels | [`evaluate`], [`audit`], [`draw`]; by what was audited on the run's page, [`own_audit`] |
//! | know before what a run asks and costs | [`plan`], [`check`] |
//! | label without an LLM | [`export_student`], [`Predictor`] |
//! | ask by a provider's batch files | [`batch`] |
//! | ask for a run from several machines | [`work`] |
//! | label many texts, in parts, on several machines | [`predict_parts`] |
//! | label for other programs, over HTTP | [`StudentService`] |
//! | show a run in a browser | [`PageServer`] |
//! | tell of a run in one file | [`report`], [`write_report`] |
//!
//! ARCHITECTURE.md draws how it works inside.

// The command line speaks of the library as any other program does.
#[cfg(feature = "cli")]
extern crate self as candist;

mod audit;
mod base;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
pub mod config;
mod corpus;
mod distill;
mod domain;
mod error;
mod flow;
#[cfg(feature = "page")]
mod http;
#[doc(hidden)]
pub mod internal;
mod objects;
#[cfg(feature = "page")]
mod page;
mod parts;
mod readers;
#[cfg(feature = "page")]
mod service;
#[cfg(feature = "shared")]
mod shared;
mod store;
mod student;
mod teacher;

// What is labelled, and what is said of it.
pub use domain::answer::{Answer, AnswerKey, AnswerRecord, Problem, ProblemKind, Usage};
pub use domain::candidates::{CandidateSet, Opinion};
pub use domain::event::{By, LabelEvent, Other};
pub use domain::label::{Label, LabelId, LabelSet, LabelSetError};
pub use domain::sample::{Sample, SampleId, TextHash};

// A run, and its parts.
pub use config::Config;
pub use corpus::{Corpus, Row, Samples};
pub use distill::{Evidence, Refinery, new_refinery};
pub use domain::progress::{Counter, Phase, Progress};
pub use domain::status::{NewLabel, Pause, Status};
pub use flow::pipeline::Outcome;
pub use flow::plan::{Run, RunBuilder};
pub use flow::run::RunHandle;
pub use futures::future::BoxFuture;
pub use store::Sink;
pub use student::{
    Encoded, Encoding, Example, Fold, Frozen, Loss, Objective, Rows, Snapshot, Step, Student, argmax, softmax,
};
pub use teacher::{Addresses, AskError, Asked, Labels, Permit, Teacher, labels_in};

// What reads a run, and what comes before and after one.
pub use audit::{correct_audited, draw_audit, draw_more, drop_audit, end_audit, label_audited};
pub use flow::batch;
pub use flow::correct::{Corrected, NewCorrection, correct};
#[cfg(feature = "page")]
pub use page::{PageAddress, PageOptions, PageServer};
pub use parts::{
    Manifest, PartFormat, PartRecord, PartsOptions, PartsSummary, Share as PartShare, Told, predict_parts,
};
pub use readers::audit::{Audit, AuditOptions, Share, TestStep, Threshold, ToLabel, audit, draw};
pub use readers::audited::{AuditedSets, Calibrated, Moved};
pub use readers::certificate::{AuditCertificate, LogFacts, Methods, SampleFacts};
pub use readers::certified::{AuditProgress, audit_progress, own_audit, own_certificate, own_sample};
pub use readers::check::{check, few_texts};
pub use readers::confusion::{Confusion, Details, LabelFigures};
pub use readers::corrected::{CorrectionCounts, correction_counts};
pub use readers::deep::{FileReport, check_deep};
pub use readers::distribution::{DOUBTFUL, Distribution, distribution};
pub use readers::evaluate::{Evaluation, EvaluationOptions, HeldOut, evaluate};
pub use readers::export::export_student;
pub use readers::failed::failed_answers;
pub use readers::finals::Finals;
pub use readers::gold::{GoldLabels, GoldRows};
pub use readers::judging::{Judged, OnGold};
pub use readers::latest::latest;
pub use readers::measured::Measured;
pub use readers::plan::{
    ASSUMED_LATENCY, FEW_TEXTS, Plan, PlanOptions, TeacherPlan, Tokens, plan, plan_anew, plan_with,
};
pub use readers::preview::{Preview, PreviewedRequest};
pub use readers::report::{ReportOptions, report, write_report};
pub use readers::schema::{Schema, json_schema};
pub use readers::spending::{Sums, spending};
pub use readers::table::{Compression, TableFormat, TableOptions, TableSummary, Tool, export_for, write_table};
#[cfg(feature = "page")]
pub use service::{ServiceOptions, StudentService};
#[cfg(feature = "shared")]
pub use shared::{Draft, Imported, Mirror, WorkOptions, WorkProgress, Worked, import_answers, is_trained_here, work};
pub use store::{Failure, FailureCounts, FailureKind, Follow, RunDir, RunView, Tail, Totals, ViewCounts};
pub use student::{Prediction, Predictor, missing_cuda};
pub use teacher::missing_keys;

pub use error::{Error, Result, with_causes};
