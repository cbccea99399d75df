//! Labels as users see them: the event, and following the log.

mod event;
mod tail;

pub use event::{By, LabelEvent, StoredEvent};
pub use tail::{Follow, Tail, TailError};
