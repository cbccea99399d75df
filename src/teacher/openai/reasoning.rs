//! What a model thinks aloud, told from what it answers. Thoughts name labels that the model then drops, so they are never
//! read as an answer.
//!
//! Three forms: `<think>...</think>` and its like, `[THINK]...[/THINK]`, and channels
//! (`<|channel|>analysis<|message|>...<|end|>...<|channel|>final<|message|>...`). Where templates put the opening tag into the
//! prompt, a reply begins in the middle: what stands before a closing tag without an opening one is thought too.

use std::ops::Range;

/// Names of tags, in small letters.
const TAGS: [&str; 4] = ["think", "thinking", "reasoning", "thought"];
/// The longest tag with its brackets and what may stand after its name.
const TAG_BYTES: usize = 40;
/// The longest header of a message in a channel.
const HEADER_BYTES: usize = 120;
const CHANNEL: &str = "<|channel|>";
const MESSAGE: &str = "<|message|>";
/// The channel of answers.
const FINAL: &str = "final";

/// What of a reply is an answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Spoken {
    /// Its pieces, in order.
    pub(super) pieces: Vec<Range<usize>>,
    /// The reply ends while the model still thinks.
    pub(super) cut_off: bool,
}

/// What changes between thinking and speaking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Open,
    Close,
    /// Thinking begins or ends here, whatever was before.
    Channel {
        speaks: bool,
    },
    /// A control token that is neither.
    Control,
}

/// Finds what is spoken in `reply`. The work is linear in it.
pub(super) fn spoken(reply: &str) -> Spoken {
    let mut spoken = Spoken::default();
    let (mut from, mut thinks) = (0, false);
    let mut at = 0;
    while let Some(found) = reply.get(at..).and_then(|rest| rest.find(['<', '['])) {
        let start = at + found;
        let Some((mark, length)) = reply.get(start..).and_then(mark) else {
            at = start + 1;
            continue;
        };
        at = start + length;
        if !thinks {
            push(&mut spoken.pieces, reply, from..start);
        }
        match mark {
            Mark::Open => thinks = true,
            // Without an opening tag: it was in the prompt, and all so far is thought.
            Mark::Close if !thinks => spoken.pieces.clear(),
            Mark::Close => thinks = false,
            Mark::Channel { speaks } => thinks = !speaks,
            Mark::Control => {}
        }
        from = at;
    }
    if !thinks {
        push(&mut spoken.pieces, reply, from..reply.len());
    }
    spoken.cut_off = thinks;
    spoken
}

/// Adds a piece that says anything.
fn push(pieces: &mut Vec<Range<usize>>, reply: &str, piece: Range<usize>) {
    if reply.get(piece.clone()).is_some_and(|text| !text.trim().is_empty()) {
        pieces.push(piece);
    }
}

/// The mark that `text` begins with, and its bytes.
fn mark(text: &str) -> Option<(Mark, usize)> {
    if text.starts_with("<|") {
        return control(text);
    }
    let close = if text.starts_with('<') { '>' } else { ']' };
    // No tag is longer: a bracket without its end costs no more than this, however long the reply.
    let window = text.char_indices().map_while(|(at, c)| (at < TAG_BYTES).then_some(at + c.len_utf8())).last()?;
    let inside = text.get(1..window)?;
    let end = inside.find(close)?;
    let inside = inside.get(..end)?.trim();
    let (closes, name) = match inside.strip_prefix('/') {
        Some(name) => (true, name.trim()),
        None => (false, inside),
    };
    // `<think budget="9">`
    let word = name.split(char::is_whitespace).next().unwrap_or_default();
    let is_tag = if close == '>' {
        TAGS.iter().any(|tag| word.eq_ignore_ascii_case(tag))
    } else {
        // In small letters it may be anything, as `[think]` a label.
        word == "THINK"
    };
    let mark = if closes { Mark::Close } else { Mark::Open };
    is_tag.then_some((mark, end + 2))
}

/// A control token of the channel format. Of a channel's, the name after it and the token that ends the name.
fn control(text: &str) -> Option<(Mark, usize)> {
    if let Some(rest) = text.strip_prefix(CHANNEL) {
        let speaks = rest.trim_start().get(..FINAL.len()).is_some_and(|name| name.eq_ignore_ascii_case(FINAL));
        // Between name and message may stand more: ` <|constrain|>json`.
        let window = rest.char_indices().map_while(|(at, _)| (at <= HEADER_BYTES).then_some(at)).last().unwrap_or(0);
        let header = rest.get(..window).and_then(|header| header.find(MESSAGE)).map(|end| end + MESSAGE.len());
        return Some((Mark::Channel { speaks }, CHANNEL.len() + header.unwrap_or(0)));
    }
    // Between messages stands who speaks: `<|end|><|start|>assistant<|channel|>`.
    ["<|start|>assistant", "<|start|>", "<|return|>", "<|call|>", MESSAGE]
        .iter()
        .find(|token| text.starts_with(**token))
        .map(|token| (Mark::Control, token.len()))
        .or_else(|| text.starts_with("<|end|>").then_some((Mark::Channel { speaks: true }, "<|end|>".len())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(reply: &str) -> (String, bool) {
        let spoken = spoken(reply);
        (spoken.pieces.iter().map(|piece| reply[piece.clone()].trim()).collect::<Vec<_>>().join("|"), spoken.cut_off)
    }

    #[test]
    fn thoughts_are_left_out_in_every_form() {
        for (reply, expected) in [
            ("alpha", "alpha"),
            ("<think>beta</think>alpha", "alpha"),
            ("<Thinking effort=\"high\">beta</thinking >\n alpha", "alpha"),
            ("<reasoning>x < y [beta]</reasoning>alpha", "alpha"),
            ("alpha <think>beta</think>", "alpha"),
            // A tag that is talked about, and one that the prompt has.
            ("<think>I use <think> for beta</think>alpha", "alpha"),
            ("beta, as I <think>beta</think> said</think>alpha", "alpha"),
            ("beta</think>alpha", "alpha"),
            ("[THINK]beta[/THINK]alpha", "alpha"),
            ("<|channel|>analysis<|message|>beta<|end|><|start|>assistant<|channel|>final<|message|>alpha", "alpha"),
            ("<|channel|>analysis<|message|>beta<|channel|>final <|constrain|>json<|message|>alpha<|return|>", "alpha"),
            ("<|channel|>commentary to=f<|message|>beta<|end|>", ""),
            // What only looks like it.
            ("<thinker>[think] <b>alpha</b> <|im_end|>", "<thinker>[think] <b>alpha</b> <|im_end|>"),
            ("a < b <", "a < b <"),
        ] {
            assert_eq!(said(reply), (expected.to_owned(), false), "{reply:?}");
        }
    }

    #[test]
    fn who_never_stops_thinking_says_nothing_more() {
        for reply in ["<think>beta", "<think>beta</think><think>beta", "<|channel|>analysis<|message|>beta"] {
            assert_eq!(said(reply), (String::new(), true), "{reply:?}");
        }
    }
}
