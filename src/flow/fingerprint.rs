//! What a run's answers and labels depend on, as hashes: a run directory goes on only with the same.
//!
//! What goes into a hash decides what a change of the configuration costs: with another `asking` texts are asked again,
//! with another `labelling` they are labelled again, and anything that is in neither may change freely. So nothing may
//! get in that changes no answer and no label, and nothing may be left out that does.

use std::sync::Arc;

use super::plan::Plan;
use crate::base::panic::in_stage;
use crate::config::{Combine, DistillConfig};
use crate::distill;
use crate::domain::event::By;
use crate::domain::input::Names;
use crate::domain::sample::{short_hash, to_hex};
use crate::error::Result;
use crate::store::Identity;
use crate::teacher::Teacher;

/// Passes at the end, at most, by default, when the first format was written.
const FORMAT_1_PASSES: u32 = 16;

/// Hexadecimal; no two lists of parts are taken for each other.
fn hash(parts: &[String]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    to_hex(short_hash(&parts))
}

/// The identity of a run as planned, with `teachers` asked.
pub(crate) fn identity(plan: &Plan, teachers: &[Arc<dyn Teacher>]) -> Result<Identity> {
    let config = &plan.config;
    let of_teachers = |of: fn(&dyn Teacher) -> String| -> Vec<String> {
        in_stage("teacher", || teachers.iter().map(|teacher| of(teacher.as_ref())).collect())
    };
    let mut asking = of_teachers(|teacher| teacher.identity());
    // Left out where it is the default, so that directories from before there was a choice go on.
    if config.combine != Combine::Union {
        asking.push(format!("combine:{:?}", config.combine));
    }
    // A struct of names and numbers: serialising it cannot fail.
    let student = plan.student().identity()? + &serde_json::to_string(&config.distill).unwrap_or_default();
    // The first format had a number of passes where none is said now.
    let passes = config.distill.max_passes.or(Some(FORMAT_1_PASSES));
    let distill = DistillConfig { max_passes: passes, ..config.distill.clone() };
    let student_before = plan.student().identity()? + &serde_json::to_string(&distill).unwrap_or_default();
    let refinery = plan.refinery()(config.task.labels.len());
    let mut labelling = vec![student];
    let identity = refinery.identity();
    // That of a configured one is in the settings of the distillation; its first version went without saying.
    if plan.has_own_refinery() || identity != format!("{} 1", refinery.name()) {
        labelling.push(format!("refinery:{identity}"));
    }
    labelling.push(format!("distiller:{}", distill::VERSION));
    if config.distill.max_passes == Some(0) {
        // What the stream taught was forgotten at the end, once.
        labelling.push("without passes:2".to_owned());
    }
    labelling.extend(plan.student().version().map(|version| format!("student:{version}")));
    // One hash of both, as the first format had it: by it an older directory is known to be of the same settings.
    let before: Vec<String> = std::iter::once(student_before).chain(asking.iter().cloned()).collect();
    let names =
        Names { labels: config.task.labels.clone(), teachers: of_teachers(|teacher| teacher.name().to_owned()) };
    Ok(Identity {
        task: config.task.name.clone(),
        names: Arc::new(names),
        asking: hash(&asking),
        labelling: hash(&labelling),
        before: hash(&before),
        refinery: By::refinery(refinery.name()),
    })
}
