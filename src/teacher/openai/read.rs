//! From the body of a reply to an answer.
//!
//! Whatever a model says is an answer: it was paid for, it is kept as it came, and what is wrong with it is a
//! [`Problem`] beside it. Only what is no chat completion at all is an error, and then the server is to blame.

use super::parse;
use super::wire::{Choice, Reply};
use crate::domain::answer::{Answer, Problem, ProblemKind};
use crate::domain::label::{LabelId, LabelSet};

/// Names outside the label set that are told, and how much of each.
const TOLD: usize = 5;
const TOLD_CHARS: usize = 60;

/// Reads the body of a reply; says why it is none.
///
/// The weights of the labels are the probabilities that the model states, or else those of its tokens, or none; never a
/// mixture, whose numbers could not be compared.
pub(super) fn answer(body: &[u8], labels: &LabelSet) -> Result<Answer, String> {
    let reply: Reply =
        serde_json::from_slice(body).map_err(|error| format!("the reply is no chat completion ({error})"))?;
    let choice = reply.choices.first().ok_or("the reply has no choices")?;
    let content = choice.message.text();
    let parse::Found { labels: found, from, thinks } = parse::find(&content, labels);
    let problem = problem(choice, &found, thinks);
    // A model that refuses names nothing, whatever it seems to name.
    let refused = problem.as_ref().is_some_and(|problem| problem.kind == ProblemKind::Refused);
    let ranked = if refused { Vec::new() } else { found.ranked };
    let weights = match (&found.weights, refused) {
        // One weight a label, or none: a refusal has no labels.
        (_, true) => Vec::new(),
        (weights, _) if !weights.is_empty() => found.weights,
        _ => token_weights(choice, (&content, from), &ranked, labels),
    };
    Ok(Answer {
        labels: ranked,
        weights,
        raw: Some(choice.message.raw().unwrap_or(content)),
        model: reply.model.clone(),
        usage: reply.usage(),
        cost: reply.cost(),
        seconds: None,
        problem,
    })
}

/// What is wrong with a reply, if anything is. The first that holds is told, and the order is that of cause and effect:
/// a model that refuses, or is cut off, also names nothing, and that would say less.
fn problem(choice: &Choice, found: &parse::Labels, thinks: bool) -> Option<Problem> {
    let of = |kind, message: String| Some(Problem { kind, message });
    let finish = choice.finish_reason.as_deref();
    if let Some(refusal) = choice.message.refusal() {
        return of(ProblemKind::Refused, format!("the model refused: {}", excerpt(refusal)));
    }
    if finish == Some("content_filter") {
        return of(ProblemKind::Refused, "the provider's filter stopped the answer".to_owned());
    }
    if thinks {
        let message =
            "the answer is cut off while the model still thinks aloud: raise max_tokens, or have it think less";
        return of(ProblemKind::CutOff, message.to_owned());
    }
    if finish == Some("length") {
        return of(ProblemKind::CutOff, "the answer is cut off at max_tokens".to_owned());
    }
    if !found.off_list.is_empty() {
        let told: Vec<String> = found.off_list.iter().take(TOLD).map(|name| excerpt(name)).collect();
        let more = found.off_list.len().saturating_sub(TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        return of(ProblemKind::OffList, format!("named what is no label of the task: {}{more}", told.join(" | ")));
    }
    if found.ranked.is_empty() {
        return of(ProblemKind::Empty, "the answer names no label".to_owned());
    }
    None
}

/// The beginning of `text`, in characters: what a model says may be as long as the whole reply.
fn excerpt(text: &str) -> String {
    let mut excerpt: String = text.chars().take(TOLD_CHARS).collect();
    if excerpt.len() < text.len() {
        excerpt.push('…');
    }
    excerpt
}

/// The probability of each label's name as it was generated. Empty unless all are known. The answer begins at `from`:
/// names before that are thoughts.
///
/// By the chain rule it is the product over the name's tokens, each given those before: `exp(sum of logprob)`. A token
/// that reaches over an end of the name (`"re` with its quotation mark) counts whole, for there is no telling its parts
/// apart. A label that the model wrote otherwise than the task (an alias, another case) is not found, and then no label
/// has a weight.
fn token_weights(choice: &Choice, (content, from): (&str, usize), ranked: &[LabelId], labels: &LabelSet) -> Vec<f32> {
    let tokens = choice.tokens();
    if tokens.is_empty() {
        return Vec::new();
    }
    // Servers may take fences and spaces off the content, but not off the tokens.
    let generated: String = tokens.iter().map(|(token, _)| *token).collect();
    let Some(offset) = generated.find(content) else { return Vec::new() };
    // Names are looked for in the order in which they were named, each after the one before: a name that is a part of
    // one before it is not found inside that one.
    let mut from = from;
    let weight = |&label: &LabelId| {
        let name = labels.name(label);
        let start = from + content.get(from..)?.find(name)?;
        let end = start + name.len();
        from = end;
        // Places are in bytes of the content, tokens in bytes of all that was generated: `offset` is between the two.
        let mut at = 0;
        let mut sum = 0.0;
        for (token, logprob) in &tokens {
            let (token_start, token_end) = (at, at + token.len());
            if token_start < offset + end && token_end > offset + start {
                sum += logprob;
            }
            at = token_end;
        }
        // Fewer tokens than the name has: the server cut the list short.
        (at >= offset + end).then_some(sum.exp().clamp(0.0, 1.0) as f32)
    };
    ranked.iter().map(weight).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    fn labels() -> LabelSet {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        LabelSet::new(vec![label("refund"), label("other")]).unwrap()
    }

    fn read(choice: serde_json::Value) -> Answer {
        let body = serde_json::json!({"model": "m", "choices": [choice], "usage": {"prompt_tokens": 9}});
        answer(body.to_string().as_bytes(), &labels()).unwrap()
    }

    fn content(content: &str, finish: &str) -> serde_json::Value {
        serde_json::json!({"message": {"content": content}, "finish_reason": finish})
    }

    #[test]
    fn every_useless_answer_has_its_kind_and_is_kept_raw() {
        let refusal = serde_json::json!({"message": {"content": null, "refusal": "I cannot. Try other."}});
        for (choice, kind, kept) in [
            (content(r#"{"labels": ["lottery", "other"]}"#, "stop"), Some(ProblemKind::OffList), 1),
            (content(r#"{"labels": []}"#, "stop"), Some(ProblemKind::Empty), 0),
            (content(r#"{"labels": ["refund", "oth"#, "length"), Some(ProblemKind::CutOff), 1),
            (content("refund", "content_filter"), Some(ProblemKind::Refused), 0),
            (refusal, Some(ProblemKind::Refused), 0),
            (content(r#"{"labels": ["refund", "other"]}"#, "stop"), None, 2),
        ] {
            let answer = read(choice.clone());
            assert_eq!(answer.problem.as_ref().map(|problem| problem.kind), kind, "{choice}");
            assert_eq!(answer.labels.len(), kept, "{choice}");
            assert_eq!(answer.raw.as_deref(), Some(choice["message"]["content"].as_str().unwrap_or_default()));
            assert_eq!(answer.usage.unwrap().prompt_tokens, 9);
        }
    }

    #[test]
    fn token_probabilities_weigh_the_labels() {
        let token = |text: &str, p: f64| serde_json::json!({"token": text, "logprob": p.ln()});
        let tokens =
            [token("[\"re", 0.5), token("fund", 0.5), token("\", \"", 0.1), token("other", 0.25), token("\"]", 0.1)];
        let fenced = [[token("```json", 0.5)].as_slice(), &tokens, &[token("```", 0.5)]].concat();
        let mut choice = content(r#"["refund", "other"]"#, "stop");
        choice["logprobs"] = serde_json::json!({"content": fenced});
        assert_eq!(read(choice.clone()).weights, [0.25, 0.25]);
        choice["logprobs"] = serde_json::json!({"content": tokens});
        assert_eq!(read(choice).weights, [0.25, 0.25]);
    }

    #[test]
    fn thoughts_weigh_nothing_and_are_kept() {
        let token = |text: &str, p: f64| serde_json::json!({"token": text, "logprob": p.ln()});
        let mut choice = content("<think>refund</think>refund", "stop");
        choice["logprobs"] = serde_json::json!({"content": [
            token("<think>", 0.5), token("refund", 0.125), token("</think>", 0.5), token("refund", 0.75),
        ]});
        let answer = read(choice);
        assert_eq!(answer.weights, [0.75]);
        assert_eq!(answer.raw.as_deref(), Some("<think>refund</think>refund"));
        let parts = serde_json::json!([
            {"type": "thinking", "thinking": "other", "text": "other"}, {"type": "text", "text": "refund"},
        ]);
        let answer = read(serde_json::json!({"message": {"content": parts, "reasoning_content": "other"}}));
        assert_eq!(answer.labels, [LabelId(0)]);
        assert!(answer.raw.unwrap().contains("thinking"));
        let unended = read(content("<think>refund", "stop"));
        assert_eq!((unended.labels.len(), unended.problem.unwrap().kind), (0, ProblemKind::CutOff));
    }

    #[test]
    fn what_is_no_completion_says_so() {
        for body in ["<html>", "{}", r#"{"choices": []}"#, r#"{"choices": [{}]}"#] {
            assert!(answer(body.as_bytes(), &labels()).is_err(), "{body}");
        }
    }
}
