//! The candidate prompt: "identify ... with all possible choices" (CanDist, arXiv 2506.03857, CA_all), ranked.

use std::fmt::Write;

use crate::config::Task;

/// The system message: the same bytes for every sample, so that providers' prompt caches hit.
pub(super) fn system_message(task: &Task) -> String {
    let mut message = format!(
        "{}, with all possible choices, from the labels below.\n\n\
         Reply with a JSON array of the label names that may be right, the likeliest first, and nothing else. \
         Name one label if you are sure, several if you are not. Use the names exactly as they are written.\n\nLabels:\n",
        task.instruction.trim().trim_end_matches(['.', ':'])
    );
    for label in task.labels.iter() {
        let _ = match &label.description {
            Some(description) => writeln!(message, "- {}: {description}", label.name),
            None => writeln!(message, "- {}", label.name),
        };
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::label::{Label, LabelSet};

    #[test]
    fn the_prompt_names_every_label_with_its_description() {
        let label = |name: &str, description: Option<&str>| Label {
            name: name.into(),
            description: description.map(Into::into),
            aliases: vec![format!("never shown {name}")],
        };
        let task = Task {
            name: "t".into(),
            instruction: "Identify the intent.".into(),
            labels: LabelSet::new(vec![label("refund", Some("wants money back")), label("other", None)]).unwrap(),
        };
        let message = system_message(&task);
        assert!(message.starts_with("Identify the intent, with all possible choices"));
        assert!(message.ends_with("- refund: wants money back\n- other\n"));
        assert!(!message.contains("never shown"));
    }
}
