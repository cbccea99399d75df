//! What can end a run. Every message names the path, key or id it is about and says what to do.

use std::path::{Path, PathBuf};

use crate::config::Problems;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can end a run. (A bad row or a useless answer does not: it becomes a failure record.)
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be read.
    #[error("cannot read the configuration {}: check the path", path.display())]
    ConfigFile {
        /// The configuration.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The configuration is wrong.
    #[error("{} cannot be used:\n{problems}\nMend the above and run again; `candist schema config` prints all keys.", path.display())]
    Config {
        /// The configuration.
        path: PathBuf,
        /// All that is wrong with it.
        problems: Problems,
    },
    /// An input file is missing or unreadable.
    #[error("cannot read the {what} {}: check the path", path.display())]
    Input {
        /// What the file is.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of an input file is unusable, and leaving it out would change the result.
    #[error("{}:{line}: {message}", path.display())]
    InputLine {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong and what to do.
        message: String,
    },
    /// A teacher cannot be set up as configured.
    #[error("teacher {teacher:?}: {message}")]
    TeacherConfig {
        /// The teacher.
        teacher: String,
        /// What is wrong and what to do.
        message: String,
    },
    /// A teacher cannot answer anything more for now.
    #[error(
        "teacher {teacher:?} stopped the run: {reason}\nAnswers received so far are stored; run the same command again to go on."
    )]
    TeacherStopped {
        /// The teacher.
        teacher: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file of the run directory cannot be written or read.
    #[error("cannot {action} {}: see that nothing else is in its place, the disk has room and the folder is writable", path.display())]
    RunFile {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file of the run directory was removed or replaced during the run.
    #[error(
        "{} was removed or replaced while the run was writing it: leave the run directory alone while candist runs, and \
         run the same command again. What was written to it since may be asked or labelled again.", path.display()
    )]
    TakenAway {
        /// The file.
        path: PathBuf,
    },
    /// The manifest cannot be read.
    #[error(
        "{} is damaged ({message}). Delete it and run again: it is made anew, answers are kept, and labels are compared \
         with those in labels.jsonl", path.display()
    )]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// The record of what was spent cannot be read.
    #[error(
        "{} is damaged ({message}). Put {{\"at_most\": \"AMOUNT\"}} there, AMOUNT being all that this run may have cost so \
         far, or delete it to count stored answers alone", path.display()
    )]
    Spend {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Another process has the run directory.
    #[error("another candist runs in {}: wait for it or stop it (`candist tail` and `candist status` work beside it)", path.display())]
    Busy {
        /// The run directory.
        path: PathBuf,
    },
    /// The folder is no run directory.
    #[error("{} is no run directory: it has no {missing}. Start one with `candist run CONFIG --run-dir {}`", path.display(), path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// What a run directory would have.
        missing: &'static str,
    },
    /// The run directory belongs to another task.
    #[error("{} belongs to another task: {difference}. Give this task a run directory of its own (`--run-dir DIR`)", path.display())]
    OtherTask {
        /// The run directory.
        path: PathBuf,
        /// What differs.
        difference: String,
    },
    /// The run directory was written by another version.
    #[error("{} has format {found}, this candist reads {known}: use the version that wrote it, or run with another --run-dir", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The store cannot be used and could not be repaired.
    #[error("the store {} is damaged: {message}. Delete that folder and run again: it is rebuilt from answers.jsonl", path.display())]
    StoreDamaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Replaying the answers gave another label than before.
    #[error(
        "label event {offset} came out differently than it was written before:\n  before: {before}\n  now:    {now}\n\
         This happens when labels.jsonl was edited, when the corpus was reordered since and store/ then lost, when \
         manifest.json was lost, or with another build. Move labels.jsonl and store/ away and run again: the labels are \
         written anew from answers.jsonl, and no answer is asked again."
    )]
    Replay {
        /// The event.
        offset: u64,
        /// As it stands in the log.
        before: String,
        /// As it is now.
        now: String,
    },
    /// The label log cannot be read.
    #[error("cannot read the label log")]
    Labels(#[source] Box<crate::readers::tail::TailError>),
    /// A checkpoint cannot be used.
    #[error("cannot use the checkpoint {}: {message}", path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// A student's model folder cannot be used.
    #[error("{}: {message}", path.display())]
    Model {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The device that a student should compute on is not there.
    #[error("{message}")]
    Device {
        /// What is missing, and what to do.
        message: String,
    },
    /// A thread ended by a panic: a bug.
    #[error(
        "the {stage} stopped unexpectedly ({message}). What was stored is safe; please report this, and run again to go on."
    )]
    Panicked {
        /// The thread.
        stage: &'static str,
        /// The panic's message.
        message: String,
    },
    /// A stage ended before the others; its own error says why.
    #[error("the {stage} stopped early; run the same command again to go on")]
    Gone {
        /// The stage.
        stage: &'static str,
    },
    /// The run was asked to stop.
    #[error("stopped; run the same command again to go on")]
    Interrupted,
    /// A student computes what is not finite: no label can be taken from it.
    #[error(
        "the student's numbers are not finite: {what}. Lower student.learning_rate, and check the model with `candist check \
         CONFIG`; answers received so far are stored, and the next run labels with them"
    )]
    NotFinite {
        /// Which numbers.
        what: String,
    },
    /// Threads cannot be started.
    #[error(
        "{wanted} more threads cannot be started: raise the limit of processes (`ulimit -u`) or of memory, or lower the number \
         of threads to compute with (student.threads, --threads)"
    )]
    Threads {
        /// How many.
        wanted: u32,
        /// Why.
        source: std::io::Error,
    },
}

impl Error {
    pub(crate) fn gone(stage: &'static str) -> Self {
        Self::Gone { stage }
    }

    /// Makes an I/O error into one about a file of the run directory.
    pub(crate) fn run_file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::RunFile { action, path, source }
    }
}

/// The text of a caught panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}
