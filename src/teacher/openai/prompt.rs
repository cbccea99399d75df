//! The prompt: a system message that is the same bytes for every sample (providers' prompt caches hit), few-shot
//! examples, and the text. The built-in wording follows CanDist (arXiv 2506.03857): SA, CA_add and CA_all.
//!
//! A text is only ever a value, never a part of a template: no text of a corpus can reach the template's language.

use std::borrow::Cow;

use minijinja::{Environment, UndefinedBehavior, context};
use serde::Serialize;

use super::examples::Examples;
use crate::config::{Mode, PromptConfig, Task};
use crate::domain::sample::short_hash;

const SYSTEM: &str = include_str!("prompts/system.jinja");

/// Length of the texts with which a template is tried.
const PROBE: usize = 32;

/// A message of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Message<'a> {
    pub(super) role: &'static str,
    pub(super) content: Cow<'a, str>,
}

impl<'a> Message<'a> {
    fn new(role: &'static str, content: impl Into<Cow<'a, str>>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Makes the messages of a request.
#[derive(Debug)]
pub(super) struct Prompter {
    /// Rendered once, when the teacher is set up: nothing in it depends on a text.
    system: String,
    examples: Option<Examples>,
    /// The template of the user message, if it is more than the text.
    user: Option<Environment<'static>>,
    /// The template as it was written, for the fingerprint.
    user_source: Option<String>,
}

impl Prompter {
    /// Reads templates and examples; says what is wrong with them and where.
    pub(super) fn new(config: &PromptConfig, task: &Task) -> Result<Self, String> {
        let source = config.system.as_deref().unwrap_or(SYSTEM);
        // Names and descriptions; aliases are for reading answers, and would invite the model to use them.
        let labels: Vec<_> =
            task.labels.iter().map(|label| context! { name => label.name, description => label.description }).collect();
        let system = environment(source, "system")
            .and_then(|environment| {
                environment.get_template("system")?.render(context! {
                    // The template goes on with it in the middle of a sentence.
                    instruction => task.instruction.trim().trim_end_matches(['.', ':']),
                    labels,
                    mode => config.mode,
                    probabilities => config.probabilities,
                    form => form(config),
                })
            })
            .map_err(|error| format!("the template `system` cannot be used: {error:#}"))?;
        let prompter = Self {
            system: system.trim_end().to_owned(),
            examples: config.examples.as_ref().map(|examples| Examples::read(examples, &task.labels)).transpose()?,
            user: config
                .user
                .clone()
                .map(|source| environment(&source, "user"))
                .transpose()
                .map_err(|error| format!("the template `user` cannot be used: {error:#}"))?,
            user_source: config.user.clone(),
        };
        // A mistake in the template shows with the first text; better now.
        // Two texts of one length: a template that only counts characters is caught too.
        if prompter.user_message(&"a".repeat(PROBE))? == prompter.user_message(&"b".repeat(PROBE))? {
            return Err(
                "the template `user` says the same about every text: put {{ text }} where the text belongs".to_owned()
            );
        }
        Ok(prompter)
    }

    /// What all answers depend on besides the texts. Of the system message what it says, not how the template is
    /// written: mending a template so that it says the same asks nobody again.
    pub(super) fn fingerprint(&self) -> [u8; 16] {
        let examples = self.examples.as_ref().map(Examples::fingerprint).unwrap_or_default();
        short_hash(&[self.system.as_bytes(), &examples, self.user_source.as_deref().unwrap_or_default().as_bytes()])
    }

    /// The messages that begin every request.
    pub(super) fn prefix(&self) -> Vec<Message<'_>> {
        let mut messages = vec![Message::new("system", self.system.as_str())];
        messages.extend(self.examples.iter().flat_map(Examples::fixed).flat_map(shot));
        messages
    }

    /// All messages of a request about `text`: what is the same for all first, the text last.
    pub(super) fn messages<'a>(&'a self, text: &'a str) -> Result<Vec<Message<'a>>, String> {
        let mut messages = self.prefix();
        messages.extend(self.examples.iter().flat_map(|examples| examples.nearest(text)).flat_map(shot));
        messages.push(Message::new("user", self.user_message(text)?));
        Ok(messages)
    }

    /// What is said about `text`: itself, or what the user's template makes of it.
    fn user_message<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, String> {
        let Some(environment) = &self.user else { return Ok(Cow::Borrowed(text)) };
        environment
            .get_template("user")
            .and_then(|template| template.render(context! { text }))
            .map(Cow::Owned)
            .map_err(|error| format!("the template `user` cannot be used: {error:#}"))
    }
}

/// An example as an exchange that took place: models go on as they seem to have begun.
fn shot<'a>((text, answer): (&'a str, &'a str)) -> [Message<'a>; 2] {
    [Message::new("user", text), Message::new("assistant", answer)]
}

fn environment(source: &str, name: &'static str) -> Result<Environment<'static>, minijinja::Error> {
    let mut environment = Environment::new();
    // A misspelt variable is an error, not an empty place.
    environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
    environment.set_keep_trailing_newline(false);
    environment.add_template_owned(name, source.to_owned())?;
    Ok(environment)
}

/// The JSON that is asked for, as an example in the system message: what servers without schemas go by.
fn form(config: &PromptConfig) -> &'static str {
    match (config.mode, config.probabilities) {
        (Mode::Single, false) => r#"{"labels": ["label"]}"#,
        (Mode::Single, true) => r#"{"labels": [{"label": "label", "probability": 0.9}]}"#,
        (_, false) => r#"{"labels": ["likeliest label", "next label"]}"#,
        (_, true) => {
            r#"{"labels": [{"label": "likeliest label", "probability": 0.7}, {"label": "next label", "probability": 0.2}]}"#
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Choose, ExamplesConfig, Output};
    use crate::domain::label::{Label, LabelSet};
    use std::io::Write;

    fn task() -> Task {
        let label = |name: &str, description: Option<&str>| Label {
            name: name.into(),
            description: description.map(Into::into),
            aliases: vec![format!("never shown {name}")],
        };
        Task {
            name: "t".into(),
            instruction: "Identify the intent.".into(),
            labels: LabelSet::new(vec![label("refund", Some("wants money back")), label("other", None)]).unwrap(),
        }
    }

    fn config(mode: Mode) -> PromptConfig {
        PromptConfig {
            mode,
            probabilities: false,
            system: None,
            user: None,
            examples: None,
            output: Output::JsonSchema,
            logprobs: false,
            draws: 1,
            temperature: 0.3,
            max_tokens: 256,
        }
    }

    fn contents(messages: Vec<Message<'_>>) -> Vec<String> {
        messages.into_iter().map(|message| format!("{}: {}", message.role, message.content)).collect()
    }

    #[test]
    fn the_prompt_names_every_label_with_its_description() {
        for (mode, wording) in [
            (Mode::Candidates, "Identify the intent, with all possible choices, from the labels below.\n\nName every"),
            (Mode::Single, "Identify the intent, from the labels below.\n\nName the one label"),
            (Mode::CandidatesIfUnsure, "If you are unsure, name other potential choices"),
        ] {
            let prompter = Prompter::new(&config(mode), &task()).unwrap();
            let messages = contents(prompter.messages("where is it? {{ labels }}").unwrap());
            assert!(messages[0].contains(wording), "{}", messages[0]);
            assert!(messages[0].ends_with("- refund: wants money back\n- other"), "{}", messages[0]);
            assert!(
                !messages[0].contains("never shown") && messages[0].contains("{\"labels\": [\"l"),
                "{}",
                messages[0]
            );
            // The text is a value, never a template.
            assert_eq!(messages[1], "user: where is it? {{ labels }}");
        }
        let asked = PromptConfig { probabilities: true, ..config(Mode::Candidates) };
        let messages = contents(Prompter::new(&asked, &task()).unwrap().prefix());
        assert!(messages[0].contains("the probability, from 0 to 1") && messages[0].contains("\"probability\": 0.7"));
    }

    #[test]
    fn templates_of_the_user_take_the_place_of_the_built_in_ones() {
        let own = PromptConfig {
            system: Some("{% for label in labels %}<{{ label.name }}>{% endfor %} {{ form }}".into()),
            user: Some("Text: {{ text }}\nAnswer:".into()),
            ..config(Mode::Single)
        };
        let prompter = Prompter::new(&own, &task()).unwrap();
        let messages = contents(prompter.messages("a & b").unwrap());
        assert_eq!(messages, ["system: <refund><other> {\"labels\": [\"label\"]}", "user: Text: a & b\nAnswer:"]);
        for (system, user, named) in [
            (Some("{{ lables }}"), None, "`system`"),
            (None, Some("{{ txt }}"), "`user`"),
            (None, Some("{% if"), "`user`"),
            (None, Some("Which label?"), "{{ text }}"),
            (None, Some("A text of {{ text | length }} characters"), "{{ text }}"),
        ] {
            let wrong = PromptConfig {
                system: system.map(str::to_owned),
                user: user.map(str::to_owned),
                ..config(Mode::Single)
            };
            let error = Prompter::new(&wrong, &task()).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn fixed_examples_belong_to_the_prefix_and_nearest_ones_follow_the_text() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let line = |text: &str, label: &str| format!("{{\"text\": \"{text}\", \"label\": \"{label}\"}}\n");
        let lines = [line("money back please", "refund"), line("hello there", "other"), line("good day", "Other")];
        file.write_all(lines.concat().as_bytes()).unwrap();
        let with = |choose| {
            let examples = Some(ExamplesConfig { path: file.path().into(), shots: 2, choose });
            Prompter::new(&PromptConfig { examples, ..config(Mode::Candidates) }, &task()).unwrap()
        };
        let fixed = with(Choose::Fixed);
        assert_eq!(fixed.prefix().len(), 5);
        assert_eq!(fixed.messages("x").unwrap()[..5], fixed.messages("y").unwrap()[..5]);
        let nearest = with(Choose::Nearest);
        assert_eq!(nearest.prefix().len(), 1);
        let messages = contents(nearest.messages("please give my money back").unwrap());
        // The most like comes last, next to the text.
        assert_eq!(messages[3..5], ["user: money back please", "assistant: {\"labels\":[\"refund\"]}"]);
        assert_eq!(messages[5], "user: please give my money back");
        assert_ne!(fixed.fingerprint(), nearest.fingerprint());
    }
}
