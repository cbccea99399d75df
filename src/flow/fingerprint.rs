//! What a run's answers and labels depend on, as hashes: a run directory goes on only with the same.

use std::sync::Arc;

use super::run::Plan;
use crate::config::Combine;
use crate::domain::event::By;
use crate::domain::input::Names;
use crate::domain::sample::{short_hash, to_hex};
use crate::error::Result;
use crate::store::Identity;
use crate::student;
use crate::teacher::Teacher;

fn hash(parts: &[String]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(String::as_bytes).collect();
    to_hex(short_hash(&parts))
}

/// The identity of a run as planned, with `teachers` asked.
pub(crate) fn identity(plan: &Plan, teachers: &[Arc<dyn Teacher>]) -> Result<Identity> {
    let config = &plan.config;
    let mut asking: Vec<String> = teachers.iter().map(|teacher| teacher.identity()).collect();
    if config.combine != Combine::Union {
        asking.push(format!("combine:{:?}", config.combine));
    }
    // A struct of names and numbers: serialising it cannot fail.
    let student = student::identity(&config.student)? + &serde_json::to_string(&config.distill).unwrap_or_default();
    let own = plan.own_refinery();
    let mut labelling = vec![student.clone()];
    labelling.extend(own.map(|(name, _)| format!("refinery:{name}")));
    let before: Vec<String> = std::iter::once(student).chain(asking.iter().cloned()).collect();
    let names = Names {
        labels: config.task.labels.clone(),
        teachers: teachers.iter().map(|teacher| teacher.name().to_owned()).collect(),
    };
    Ok(Identity {
        task: config.task.name.clone(),
        names: Arc::new(names),
        asking: hash(&asking),
        labelling: hash(&labelling),
        before: hash(&before),
        refinery: By::refinery(own.map_or(config.distill.refinery.name(), |(name, _)| name)),
    })
}
