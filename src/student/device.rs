//! Where a student computes, and libtorch's CUDA part, which the program is not linked with: it is loaded when asked for.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use tch::Device;

use crate::config::DeviceChoice;
use crate::error::{Error, Result};

const LIBRARY: &str = "libtorch_cuda.so";
/// Set in the program's second life, so that there is no third.
const LOADED: &str = "CANDIST_CUDA_LOADED";

/// The device as chosen, if it is there.
pub(super) fn device(choice: DeviceChoice) -> Result<Device> {
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(Device::cuda_if_available()),
        DeviceChoice::Cuda(number) if i64::from(number) < tch::Cuda::device_count() => {
            Ok(Device::Cuda(number as usize))
        }
        DeviceChoice::Cuda(number) => Err(Error::Device {
            message: format!(
                "CUDA device {number} is not there: {}",
                match cuda_library() {
                    None => format!(
                        "libtorch has no {LIBRARY} here; set LIBTORCH to a CUDA build of libtorch 2.11.0, or the device to \
                         \"cpu\""
                    ),
                    Some(_) =>
                        "no such NVIDIA GPU, or no driver for it, is found; set the device to \"cpu\"".to_owned(),
                }
            ),
        }),
    }
}

/// Starts the program again with libtorch's CUDA part loaded, if `choice` may need it and it is there. To be called before
/// anything else is done. Without it, or if it is loaded already, this does nothing, and opening a student says what is missing.
pub fn load_cuda(choice: DeviceChoice) {
    if choice == DeviceChoice::Cpu || std::env::var_os(LOADED).is_some() || tch::Cuda::device_count() > 0 {
        return;
    }
    let (Some(library), Ok(program)) = (cuda_library(), std::env::current_exe()) else { return };
    let mut preload = library.into_os_string();
    if let Some(before) = std::env::var_os("LD_PRELOAD") {
        preload.push(":");
        preload.push(before);
    }
    // Comes back only if it fails; then the CPU part is what there is.
    let error =
        Command::new(program).args(std::env::args_os().skip(1)).env("LD_PRELOAD", preload).env(LOADED, "1").exec();
    tracing::warn!("cannot start again with {LIBRARY}: {error}");
}

/// Beside the CPU part that is loaded, or in $LIBTORCH.
fn cuda_library() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let loaded = maps.lines().find_map(|line| {
        let path = line.get(line.find('/')?..)?;
        path.ends_with("/libtorch_cpu.so").then(|| PathBuf::from(path).with_file_name(LIBRARY))
    });
    let named = std::env::var_os("LIBTORCH").map(|folder| PathBuf::from(folder).join("lib").join(LIBRARY));
    loaded.into_iter().chain(named).find(|path| path.is_file())
}
