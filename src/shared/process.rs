//! Which process this is, so that one that was killed need not be waited for by who starts again beside it.

use std::path::Path;

/// ESRCH.
const NO_SUCH_PROCESS: i32 = 3;

/// A process, as the database has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    /// For people: machine and number.
    pub(super) name: String,
    /// Where its number means it: this boot of the machine, this namespace of numbers. Empty where that cannot be told.
    pub(super) machine: String,
    pub(super) number: i64,
}

impl Process {
    /// This one.
    pub(super) fn own() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let host = read("/proc/sys/kernel/hostname");
        let number = std::process::id();
        let boot = read("/proc/sys/kernel/random/boot_id");
        let machine = match std::fs::read_link("/proc/self/ns/pid") {
            Ok(namespace) if !boot.is_empty() => format!("{boot} {}", namespace.display()),
            _ => String::new(),
        };
        let host = if host.is_empty() { "somewhere" } else { &host };
        Self { name: format!("{host}:{number}"), machine, number: i64::from(number) }
    }

    /// Whether the process of this number on `machine` is known to be no more: only of this machine's that can be told.
    pub(super) fn has_ended(&self, machine: &str, number: i64) -> bool {
        // Where others' processes are hidden, nothing can be told.
        let shows_all = Path::new("/proc/1").exists();
        let is_there = match std::fs::read_to_string(Path::new("/proc").join(number.to_string()).join("stat")) {
            // After the name, which may hold anything: what it is doing. Z is one that ended and that nobody has asked about yet.
            Ok(stat) => !stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with(['Z', 'X'])),
            // The second where it ends while it is read. Whatever else keeps it from being read says nothing of it.
            Err(error) => error.kind() != std::io::ErrorKind::NotFound && error.raw_os_error() != Some(NO_SUCH_PROCESS),
        };
        !machine.is_empty() && machine == self.machine && shows_all && !is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_of_a_process_of_this_machine_it_is_known_that_it_has_ended() {
        let own = Process::own();
        assert!(!own.machine.is_empty());
        assert!(!own.has_ended(&own.machine, own.number));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let number = i64::from(child.id());
        // Also before anybody has asked how it ended.
        let patience = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while !own.has_ended(&own.machine, number) {
            assert!(std::time::Instant::now() < patience);
        }
        child.wait().unwrap();
        assert!(own.has_ended(&own.machine, number));
        assert!(!own.has_ended("another boot pid:[1]", number));
        assert!(!own.has_ended("", number));
    }
}
