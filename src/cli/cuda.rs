//! libtorch's CUDA part, which the program is not linked with: it is started again with it when it is needed.

use std::os::unix::process::CommandExt;
use std::process::Command;

use candist::config::DeviceChoice;
use candist::missing_cuda;

/// Set in the program's second life, so that there is no third.
const LOADED: &str = "CANDIST_CUDA_LOADED";

/// Starts the program again with libtorch's CUDA part loaded, if `choice` may need it and it is there. To be called before
/// anything else is done. Without it, or if it is loaded already, this does nothing, and opening a student says what is missing.
pub(super) fn load_cuda(choice: DeviceChoice) {
    if std::env::var_os(LOADED).is_some() {
        return;
    }
    let (Some(library), Ok(program)) = (missing_cuda(choice), std::env::current_exe()) else { return };
    let mut preload = library.into_os_string();
    if let Some(before) = std::env::var_os("LD_PRELOAD") {
        preload.push(":");
        preload.push(before);
    }
    // Comes back only if it fails; then the CPU part is what there is.
    let error =
        Command::new(program).args(std::env::args_os().skip(1)).env("LD_PRELOAD", preload).env(LOADED, "1").exec();
    tracing::warn!("cannot start again with libtorch's CUDA part: {error}");
}
