//! What can end a run. Every message names the path, key or id it is about and says what to do.
//!
//! One type for all stages: an error crosses threads and rooms unchanged, up to whoever started the run. Causes are
//! sources, not parts of the text: [`with_causes`] shows both.

mod problems;

use std::path::{Path, PathBuf};

pub(crate) use self::problems::Problem;
pub use self::problems::Problems;

/// A result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can end a run. (A bad row or a useless answer does not: it becomes a failure record.)
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be read.
    #[error(
        "cannot read the configuration {}: check the path. (A run directory is read by `candist status`, `tail`, and \
         `check --deep`)", path.display()
    )]
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
    /// An object store does not answer, or not as it should.
    #[error(
        "cannot {action} {object}: see that the store can be reached; the same command goes on\n  because: {message}"
    )]
    Object {
        /// What was tried.
        action: &'static str,
        /// Which object.
        object: String,
        /// What the store said.
        message: String,
    },
    /// What several machines share cannot be used, or no longer.
    #[error("{message}")]
    Shared {
        /// What is wrong and what to do.
        message: String,
    },
    /// The database that several machines share does not answer; it may, later.
    #[error("{message}")]
    Away {
        /// Which, why, and what to do.
        message: String,
    },
    /// A part of labels holds something else than was computed.
    #[error(
        "{object} holds other bytes than were computed here: another machine type or build may have written it, or it was \
         changed. Move its folder away, and run the same command again on machines of one type"
    )]
    OtherPart {
        /// The part.
        object: String,
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
    /// A file or folder that was named is not what it was named for, or not yet.
    #[error("{} {message}", path.display())]
    Unfit {
        /// The file or folder.
        path: PathBuf,
        /// What it is instead and what to do, as the rest of a sentence that begins with the path.
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
    /// Most of a teacher's first answers name no label of the task.
    #[error(
        "teacher {teacher:?} stopped the run: {reason}\nMend that first: the same configuration would be stopped again, \
         and some 50 answers more be paid for."
    )]
    Misfit {
        /// The teacher.
        teacher: String,
        /// What it answers, and likely causes.
        reason: String,
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
    /// What there is no memory for cannot be kept in the folder of temporary files.
    #[error("cannot keep what there is no memory for in {}: see that there is room, or let TMPDIR name a folder that has some", path.display())]
    Temporary {
        /// The folder.
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
    /// The manifest says something that cannot be.
    #[error("{} cannot be used: {message}. Move it away and run again: it is made anew", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// A line of the input log cannot be used.
    #[error(
        "{}:{line}: this line of the input log {message}. What came after it was consumed with it, so it cannot be left out. \
         Put the file back from a copy, or move it away (do not delete it) and run again: the texts arrive anew in the \
         corpus' order, with the answers that are stored, and labels are written anew", path.display()
    )]
    InputLog {
        /// The log.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong.
        message: String,
    },
    /// The manifest is that of another run directory.
    #[error(
        "{} is of another run directory than the inputs.jsonl beside it: remove it and run again, it is made anew",
        path.display()
    )]
    OtherRun {
        /// The manifest.
        path: PathBuf,
    },
    /// The folder is somebody's, and no run directory.
    #[error("{} has files in it and is no run directory: choose an empty or new folder for run.dir", path.display())]
    NotOurs {
        /// The folder.
        path: PathBuf,
    },
    /// A run directory of an older candist, of which more is asked than it can say before it is taken up.
    #[error("{} was written by an older candist: `candist run CONFIG` takes it up, without asking again", path.display())]
    Unconverted {
        /// The run directory.
        path: PathBuf,
    },
    /// A run directory without a student.
    #[error(
        "there is no student in {} yet: the first checkpoint comes after some seconds of training, the last when the run is \
         complete. Let `candist run CONFIG` go on", path.display()
    )]
    NoStudent {
        /// The run directory.
        path: PathBuf,
    },
    /// No teacher named a label for any text: there is nothing to learn from.
    #[error(
        "none of {samples} texts has an answer that names a label of the task, so nothing was labelled. `candist failures RUN` \
         shows the answers; see that task.labels are spelled as the model writes them, and run with --retry-failures"
    )]
    NothingUsable {
        /// Texts.
        samples: u64,
    },
    /// More than the program counts.
    #[error("there are too many {what}: the most is {most}. Split the corpus into several run directories")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The most.
        most: u64,
    },
    /// A refinery of one's own gave what is no distribution over the labels.
    #[error("the refinery cannot be used: {message}. What was labelled before is kept")]
    Refinery {
        /// What is wrong.
        message: String,
    },
    /// A user's own sink failed.
    #[error("a sink of labels failed: {message}. What it was given is in labels.jsonl; run again to go on")]
    Sink {
        /// What it said.
        message: String,
    },
    /// The record of what was spent cannot be read.
    #[error(
        "{} is damaged ({message}). Do not delete it: keep it under another name and put {{\"at_most\": \"AMOUNT\"}} into \
         spend.json beside it, AMOUNT being all that this run may have cost so far by the provider's bill. Then run again",
        path.display()
    )]
    Spend {
        /// The file.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Another process has the run directory.
    #[error("another candist runs in {}: wait for it or stop it; `candist tail`, `status`, `serve` and `correct` work beside it, and what is corrected it learns from by itself", path.display())]
    Busy {
        /// The run directory.
        path: PathBuf,
    },
    /// A server cannot listen at its address.
    #[error(
        "cannot listen at {address}: another program may listen there, or it is none of this machine's. Choose another address (--listen ADDR, of predict --serve ADDR); with port 0 a free one is taken"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        source: std::io::Error,
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
    #[error("{} belongs to another task: {difference}. Give this task a run directory of its own (`--run-dir DIR`; and \
         a run.shared_name, where run.shared is set)", path.display())]
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
    #[error("the store {} is damaged: {message}. It is a cache: the next run makes it anew from the logs", path.display())]
    StoreDamaged {
        /// The store.
        path: PathBuf,
        /// What was found.
        message: String,
    },
    /// Replaying the answers gave another label than before.
    #[error(
        "labels.jsonl:{}: this label came out differently than it was written before:\n  before: {before}\n  now:    {now}\n\
         This happens when labels.jsonl was edited, or with another build or machine. Move labels.jsonl away and run again: \
         the labels are written anew from inputs.jsonl, and no answer is asked again.", offset + 1
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
    #[error("cannot read {}", path.display())]
    Labels {
        /// The log.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A line of the label log is no event.
    #[error("{}: the line at byte {at} is no label event ({message}). `candist run` mends the log", path.display())]
    LabelLine {
        /// The log.
        path: PathBuf,
        /// Where the line begins.
        at: u64,
        /// Why.
        message: String,
    },
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
    /// A stage panicked: a bug, in candist or in a part of the program's own.
    #[error(
        "the {stage} panicked ({message}). What was stored is safe: mend it where it is a part of your own program, else \
         please report this; then run again to go on"
    )]
    Panicked {
        /// What was at work: "corpus", "teacher", "refinery", "sink", "student", "store", ...
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
    /// The run has ended before, with an error that was given to whoever joined it first.
    #[error("the run has ended: {message}")]
    Ended {
        /// That error's text, with its causes.
        message: String,
    },
    /// A run that was built in a program lacks what its configuration does not name.
    #[error("the run has no {part}: its configuration names none, so give it one by `Run::builder(config).{part}(..)`")]
    Lacks {
        /// What is missing.
        part: &'static str,
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
        "{wanted} more thread(s) cannot be started: raise the limit of processes (`ulimit -u`) or of memory, or lower the number \
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
    /// For whoever finds a stage's channel closed. The stage's own error says why, and is the one to show.
    pub(crate) fn gone(stage: &'static str) -> Self {
        Self::Gone { stage }
    }

    /// That a thread cannot be started.
    pub(crate) fn no_thread(source: std::io::Error) -> Self {
        Self::Threads { wanted: 1, source }
    }

    /// Makes an I/O error into one about a file of the run directory. `action` goes between "cannot" and the path.
    pub(crate) fn run_file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::RunFile { action, path, source }
    }
}

/// An error with all that caused it, a line each.
#[must_use]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.map(ToString::to_string).fold(error.to_string(), |told, cause| {
        // Some errors tell their causes themselves.
        if told.contains(&cause) { told } else { format!("{told}\n  because: {cause}") }
    })
}
