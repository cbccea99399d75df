//! The program, started again with what libtorch reads only when it is loaded: its CUDA part, which the program is not linked
//! with, and how its threads wait for each other.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use candist::config::DeviceChoice;
use candist::missing_cuda;

/// Set in the program's second life, so that there is no third.
const SECOND_LIFE: &str = "CANDIST_STARTED_AGAIN";
/// How OpenMP's threads wait. By default they spin, which takes the cores from everything else there is, and makes a student of
/// small operations many times slower where cores are shared.
const WAITING: &str = "OMP_WAIT_POLICY";
const PRELOAD: &str = "LD_PRELOAD";

/// Starts the program again if computing on `device` with `threads` threads needs it. To be called before anything else is
/// done. Where libtorch's CUDA part is not there this does nothing about it, and opening a student says what is missing.
pub(super) fn start_again_to_compute(device: DeviceChoice, threads: u32) {
    if std::env::var_os(SECOND_LIFE).is_some() {
        return;
    }
    let mut changes: Vec<(&str, OsString)> = Vec::new();
    if let Some(library) = missing_cuda(device) {
        let mut preload = library.into_os_string();
        if let Some(before) = std::env::var_os(PRELOAD) {
            preload.push(":");
            preload.push(before);
        }
        changes.push((PRELOAD, preload));
    }
    if threads > 1 && std::env::var_os(WAITING).is_none() {
        changes.push((WAITING, "PASSIVE".into()));
    }
    let (false, Ok(program)) = (changes.is_empty(), std::env::current_exe()) else { return };
    // Comes back only if it fails; then it goes on as it is.
    let error = Command::new(program).args(std::env::args_os().skip(1)).envs(changes).env(SECOND_LIFE, "1").exec();
    tracing::warn!("cannot start again with what libtorch needs: {error}");
}
