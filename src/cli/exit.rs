//! Exit codes, and which error gives which. Scripts decide by them whether to run the same command again (3, 130), to
//! ask a person (2) or to give up (1); so a code is part of the interface, and listed in `--help`.

use std::process::ExitCode;

use candist::{Error, Outcome, with_causes};
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

/// What `error` ends the program with. Usage is what a person has to change first: a file, a path, a setting. All that
/// is not named here failed: of an error that is new nobody should think that running again helps.
fn exit_of(error: &Error) -> Exit {
    match error {
        Error::ConfigFile { .. }
        | Error::Config { .. }
        | Error::Input { .. }
        | Error::InputLine { .. }
        | Error::TeacherConfig { .. }
        | Error::Unfit { .. }
        | Error::NoRun { .. }
        | Error::Listen { .. }
        | Error::Model { .. }
        | Error::Device { .. }
        | Error::NotOurs { .. }
        | Error::NoStudent { .. }
        | Error::OtherTask { .. } => Exit::Usage,
        // No credit, no server, a cap that is reached: when that is mended, the same command goes on.
        Error::TeacherStopped { .. } | Error::Misfit { .. } | Error::Object { .. } | Error::Away { .. } => {
            Exit::Incomplete
        }
        Error::Interrupted => Exit::Interrupted,
        _ => Exit::Failed,
    }
}

/// Says what went wrong, on stderr, with its causes. A stop is what was asked for, so it is no error in the log.
pub(crate) fn report(error: &anyhow::Error) -> Exit {
    let exit = error.downcast_ref::<Error>().map_or(Exit::Failed, exit_of);
    let message = with_causes(error.as_ref());
    if exit == Exit::Interrupted {
        tracing::info!("{message}");
    } else {
        tracing::error!("{message}");
    }
    exit
}

/// The exit of a run that came to the end of its corpus. What failed is told, and is an error only in a `strict` run; what
/// is unanswered can still be answered.
pub(crate) fn with_failures(outcome: &Outcome, strict: bool) -> Exit {
    // All kinds at once: a run may well have some of each.
    let mut parts = Vec::new();
    for (count, what) in [
        (outcome.failures.samples, "text(s) got no candidate from any teacher (labelled by the student alone)"),
        (outcome.failures.unanswered, "text(s) could not be answered (run again to ask again)"),
        (outcome.failures.rows, "row(s) of the corpus could not be used (mend them and run again)"),
    ] {
        if count > 0 {
            parts.push(format!("{} {what}", HumanCount(count)));
        }
    }
    if parts.is_empty() {
        return Exit::Complete;
    }
    tracing::warn!("{}; `candist failures RUN` lists them", parts.join(", and "));
    match (outcome.failures.unanswered, strict) {
        // Unanswered texts come first: running again may still answer them, strict or not.
        (0, false) => Exit::Complete,
        (0, true) => Exit::Failed,
        _ => Exit::Incomplete,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candist::FailureCounts;
    use rust_decimal::Decimal;

    #[test]
    fn failures_are_no_error_unless_strict_and_unanswered_texts_can_be_gone_on_with() {
        for (samples, rows, unanswered, exits) in [
            (0, 0, 0, [Exit::Complete, Exit::Complete]),
            (1, 0, 0, [Exit::Complete, Exit::Failed]),
            (0, 1, 0, [Exit::Complete, Exit::Failed]),
            (1, 1, 1, [Exit::Incomplete, Exit::Incomplete]),
        ] {
            let failures = FailureCounts { samples, rows, unanswered };
            let outcome = Outcome { failures, new_events: 0, spent: Decimal::ZERO, limited: false };
            assert_eq!([false, true].map(|strict| with_failures(&outcome, strict)), exits);
        }
    }
}
