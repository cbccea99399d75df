//! Panics as errors that name the stage they came from, also where code of the user's own runs on a stage's thread.
//!
//! A panic ends its run and no more: not the process, which may have other runs, and not with a thread that vanishes
//! while others wait for it. What was being changed is not used again, so it does not matter how it was left.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use crate::error::{Error, Result};

/// A panic that knows its stage: what [`in_stage`] makes of one.
struct InStage {
    stage: &'static str,
    /// What the panic said.
    message: String,
}

/// Does `work` as a part of `stage`: should it panic, whoever catches that with [`panicked`] names this stage, and not
/// the one whose thread it is. The innermost stage wins.
pub(crate) fn in_stage<T>(stage: &'static str, work: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| resume_unwind(Box::new(seen_in(stage, panic))))
}

/// Does `work`; a panic in it is an error of `stage`, or of the stage within which it was.
pub(crate) fn caught<T>(stage: &'static str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| Err(panicked(stage, panic)))
}

/// The error that a caught panic of `stage` is.
pub(crate) fn panicked(stage: &'static str, panic: Box<dyn Any + Send>) -> Error {
    let InStage { stage, message } = seen_in(stage, panic);
    Error::Panicked { stage, message }
}

fn seen_in(stage: &'static str, panic: Box<dyn Any + Send>) -> InStage {
    match panic.downcast::<InStage>() {
        Ok(within) => *within,
        Err(panic) => InStage { stage, message: message(panic.as_ref()) },
    }
}

/// The text of a caught panic. `panic!` makes a string of it; what was thrown otherwise has none.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_stage_is_named() {
        let within = || in_stage("refinery", || panic!("labels: {}", 3));
        let told = caught("student", || -> Result<()> { in_stage("pass", within) }).unwrap_err().to_string();
        assert!(told.contains("refinery") && told.contains("labels: 3"), "{told}");
        let told = caught("student", || -> Result<()> { panic!("plain") }).unwrap_err().to_string();
        assert!(told.contains("student") && told.contains("plain"), "{told}");
        assert_eq!(caught("student", || Ok(in_stage("refinery", || 7))).unwrap(), 7);
    }
}
