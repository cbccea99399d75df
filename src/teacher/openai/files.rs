//! How many connections this process has room for: each is an open file, and so is all else that a run needs. Where the
//! limit is passed, it is not only requests that fail: a log that cannot be opened ends the run.

/// Files that a run needs besides connections: store, logs, checkpoints, the corpus, the runtime's own.
const OTHERS: usize = 48;
/// Connections that are worth trying even where there is no room.
const FEWEST: usize = 4;

/// The most connections that there is room for, and the files that may be open; nothing where that cannot be told.
pub(super) fn room() -> Option<(usize, usize)> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let most = soft_limit(&limits)?;
    Some((most.saturating_sub(OTHERS).max(FEWEST), most))
}

/// `Max open files            1024                 524288               files`
fn soft_limit(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// `wanted` requests in flight, or as many as there is room for; says so.
pub(super) fn fit(wanted: usize, teacher: &str) -> usize {
    match room() {
        Some((room, most)) if room < wanted => {
            tracing::warn!(
                "teacher {teacher:?}: max_in_flight is lowered from {wanted} to {room}, since no more than {most} files may be \
                 open: raise that limit (ulimit -n) for more"
            );
            room
        }
        _ => wanted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_read_where_there_is_one() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(soft_limit(limits), Some(1024));
        assert_eq!(soft_limit(&limits.replace("1024  ", "unlimited")), None);
        assert_eq!(soft_limit(""), None);
    }
}
