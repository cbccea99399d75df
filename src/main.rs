//! The program `candist`, without libtorch.

// What looks at a run takes and gives back large pieces of memory; the C library's allocator returns each to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    candist::cli::candist()
}
