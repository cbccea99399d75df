//! Where a student computes, and where libtorch's CUDA part is, which nothing here is linked with.

use std::path::PathBuf;

use tch::Device;

use crate::config::DeviceChoice;
use crate::error::{Error, Result};

const LIBRARY: &str = "libtorch_cuda.so";

/// The device as chosen, if it is there. `Auto` is the first card, or the processor.
///
/// # Errors
///
/// [`Error::Device`] for a card that is not there, with what is missing: libtorch's CUDA part, or the card.
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

/// libtorch's CUDA part, if `choice` may need it, and it is there and not loaded. A program that is started again with it in
/// LD_PRELOAD has it.
#[must_use]
pub fn missing_cuda(choice: DeviceChoice) -> Option<PathBuf> {
    if choice == DeviceChoice::Cpu || tch::Cuda::device_count() > 0 {
        return None;
    }
    cuda_library()
}

/// Beside the CPU part that is loaded, or in $LIBTORCH, in this order: the two parts must be of one build.
fn cuda_library() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let loaded = maps.lines().find_map(|line| {
        let path = line.get(line.find('/')?..)?;
        path.ends_with("/libtorch_cpu.so").then(|| PathBuf::from(path).with_file_name(LIBRARY))
    });
    let named = std::env::var_os("LIBTORCH").map(|folder| PathBuf::from(folder).join("lib").join(LIBRARY));
    loaded.into_iter().chain(named).find(|path| path.is_file())
}
