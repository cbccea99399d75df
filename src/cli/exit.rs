//! Exit codes, and which error gives which.

use std::process::ExitCode;

use candist::Error;
use candist::flow::pipeline::Outcome;
use indicatif::HumanCount;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All is done.
    Complete = 0,
    /// Something failed.
    Failed = 1,
    /// Wrong usage, configuration or input; clap uses the same code.
    Usage = 2,
    /// Not complete; the same command goes on.
    Incomplete = 3,
    /// Stopped by a signal; the same command goes on.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

fn exit_of(error: &Error) -> Exit {
    match error {
        Error::ConfigFile { .. }
        | Error::Config { .. }
        | Error::Input { .. }
        | Error::InputLine { .. }
        | Error::TeacherConfig { .. }
        | Error::NoRun { .. }
        | Error::Model { .. }
        | Error::Device { .. }
        | Error::OtherTask { .. } => Exit::Usage,
        Error::TeacherStopped { .. } => Exit::Incomplete,
        Error::Interrupted => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

/// Says what went wrong, on stderr.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    let exit = error.downcast_ref::<Error>().map_or(Exit::Failed, exit_of);
    let mut message = error.to_string();
    for cause in error.chain().skip(1) {
        message.push_str(&format!("\n  because: {cause}"));
    }
    if exit == Exit::Interrupted {
        tracing::info!("{message}");
    } else {
        tracing::error!("{message}");
    }
    exit.into()
}

/// The exit of a run that came to the end of its corpus.
pub(crate) fn with_failures(outcome: &Outcome) -> Exit {
    let mut parts = Vec::new();
    for (count, what) in [
        (outcome.failures.samples, "text(s) got no candidate from any teacher (labelled by the student alone)"),
        (outcome.failures.unanswered, "text(s) could not be answered (run again to ask again)"),
        (outcome.failures.rows, "row(s) of the corpus could not be read (mend them and run again)"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", HumanCount(count)));
        }
    }
    if parts.is_empty() {
        return Exit::Complete;
    }
    tracing::warn!("{}; `candist status DIR` lists them", parts.join(", and "));
    Exit::Incomplete
}
