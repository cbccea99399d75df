//! Runs that are part of a program.

#[path = "embed/handle.rs"]
mod handle;
#[path = "embed/panics.rs"]
mod panics;
#[path = "embed/parts.rs"]
mod parts;
#[path = "embed/retry.rs"]
mod retry;
#[path = "embed/sinks.rs"]
mod sinks;
#[path = "embed/stops.rs"]
mod stops;
#[path = "embed/student.rs"]
mod student;

// The examples: they run from the repository's root, as tests do.
#[path = "../../examples/label_stream.rs"]
mod label_stream;
#[path = "../../examples/live.rs"]
mod live;
#[path = "../../examples/own_corpus.rs"]
mod own_corpus;
#[path = "../../examples/own_refinery.rs"]
mod own_refinery;
#[path = "../../examples/own_sink.rs"]
mod own_sink;
#[path = "../../examples/own_teacher.rs"]
mod own_teacher;

#[test]
fn the_examples_run() {
    for main in
        [label_stream::main, live::main, own_corpus::main, own_refinery::main, own_sink::main, own_teacher::main]
    {
        main().unwrap();
    }
}
