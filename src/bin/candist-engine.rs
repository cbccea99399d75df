//! The program `candist-engine`, with libtorch: `candist` becomes it for the verbs that train or ask a student.

// A training step takes and gives back large pieces of memory; the C library's allocator returns each to the system. This
// one serves libtorch too (feature "override").
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    candist::cli::candist_engine()
}
