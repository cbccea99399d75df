//! Requests as they would be sent, for a person to read: what `candist plan --show N` prints.

use std::io::Write;

use anyhow::Result;
use candist::{Preview, PreviewedRequest};
use serde_json::Value;

use super::messages::{one_line, printable};
use super::{grouped, money};

/// Prints all of them, each with its text's id.
pub(super) fn show(previews: &[Preview], out: &mut dyn Write) -> Result<()> {
    for preview in previews {
        let id = one_line(&preview.id.0);
        if preview.requests.is_empty() {
            writeln!(out, "==== {id}: looked up in a recording, nothing is sent\n")?;
        }
        for request in &preview.requests {
            writeln!(out, "==== {id}, as {} would be asked", one_line(&request.teacher))?;
            head(request, out)?;
            for message in request.body.get("messages").and_then(Value::as_array).into_iter().flatten() {
                let part = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
                writeln!(out, "\n[{}]\n{}", part("role"), printable(part("content")))?;
            }
            writeln!(out)?;
        }
    }
    Ok(())
}

/// Where it goes, with what, and what it takes.
fn head(request: &PreviewedRequest, out: &mut dyn Write) -> Result<()> {
    let times = if request.draws > 1 { format!(", {} times", request.draws) } else { String::new() };
    writeln!(out, "POST {}{times}", one_line(&request.url))?;
    let parameters = request.body.as_object().into_iter().flatten().filter_map(|(name, value)| match value {
        _ if name == "messages" => None,
        // The schema repeats the labels, which the prompt has too.
        Value::Object(form) => Some(format!("{name} {}", form.get("type").and_then(Value::as_str).unwrap_or("{..}"))),
        Value::String(text) => Some(format!("{name} {}", one_line(text))),
        other => Some(format!("{name} {other}")),
    });
    writeln!(out, "{}", parameters.collect::<Vec<_>>().join(", "))?;
    let tokens = |expected, most| format!("{} tokens (at most {})", grouped(expected), grouped(most));
    write!(out, "prompt {}", tokens(request.prompt, request.prompt_bound))?;
    write!(out, ", answer {}", tokens(request.completion, request.completion_bound))?;
    match request.cost {
        Some((expected, most)) => writeln!(out, ", cost {} (at most {})", money(expected), money(most))?,
        None => writeln!(out)?,
    }
    Ok(())
}
