//! The lines of `requests.jsonl`.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::base::sealed;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Entry {
    /// All that was before this file: it begins with this line, twice, since no other can make up for it.
    Balance {
        /// What the answers in the store cost.
        #[serde(with = "rust_decimal::serde::str")]
        recorded: Decimal,
        /// What was spent, at most.
        #[serde(with = "rust_decimal::serde::str")]
        spent: Decimal,
        /// The most that any request may have cost.
        #[serde(with = "rust_decimal::serde::str")]
        worst: Decimal,
    },
    /// A request is about to be sent.
    Send {
        /// Its number in this file.
        number: u64,
        /// Milliseconds since 1970, by the wall clock.
        at: u64,
        /// Where the limits per minute are that it counts for; none without limits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
        /// Tokens that it takes at most.
        tokens: u32,
        /// What it costs at most.
        #[serde(with = "rust_decimal::serde::str")]
        worst: Decimal,
    },
    /// It came to an end.
    End {
        /// Its number.
        number: u64,
        /// What it cost; none if that is not known.
        #[serde(default, skip_serializing_if = "Option::is_none", with = "rust_decimal::serde::str_option")]
        cost: Option<Decimal>,
        /// Tokens that it took, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u32>,
    },
    /// Answers came in another way than by a request of ours.
    Spend {
        /// What they cost.
        #[serde(with = "rust_decimal::serde::str")]
        cost: Decimal,
    },
}

impl Entry {
    /// The line, with its checksum and line feed.
    pub(super) fn seal(&self) -> String {
        // Plain strings and numbers: serialising them cannot fail.
        sealed::seal(&serde_json::to_string(self).unwrap_or_default())
    }

    /// Reads a line; nothing if it is not as it was written.
    pub(super) fn open(line: &[u8]) -> Option<Self> {
        sealed::check(line).ok()?;
        serde_json::from_slice(line).ok()
    }
}
