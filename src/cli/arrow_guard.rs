//! Decoding what somebody else wrote. The Arrow crates check most of a damaged stream, and panic at some of it (buffers that
//! lie outside of their message); here that is an error of the stream, like any other.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    /// Whether this thread decodes: what it panics at is told by whoever asked for it.
    static DECODES: Cell<bool> = const { Cell::new(false) };
}

/// What `decode` gives, or what it panicked at. What it was working on must not be used after that.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let tell = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !DECODES.get() {
                tell(panic);
            }
        }));
    });
    DECODES.set(true);
    let decoded = panic::catch_unwind(AssertUnwindSafe(decode));
    DECODES.set(false);
    decoded.map_err(|cause| {
        let literal = cause.downcast_ref::<&str>().map(|text| (*text).to_owned());
        literal.or_else(|| cause.downcast_ref::<String>().cloned()).unwrap_or_else(|| "it is damaged".to_owned())
    })
}
