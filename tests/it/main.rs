//! Integration tests: the real program in real run directories, against real servers on loopback.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

// The loopback server of examples/replay_server.
#[path = "../../examples/replay_server/server.rs"]
mod server;
// A project in a folder of its own, and the program run in it.
mod support;

// Nothing hangs, nothing paid for is cut off, what cannot go well ends early.
mod flow;
// What came once stays: kills, and the same bytes in the end.
mod kill;
// The program dies, or fails, at every named place of every durable step.
mod failpoints;
// A damaged, lost or junk store, journal, label log or checkpoint.
mod damage;
// The same labels whatever happened on the way, from the logs alone.
mod function;
// Any file of a run directory deleted or damaged in any way.
mod ruins;
// Run directories that older programs left.
mod formats;
// A corpus that grows, settings that change, a task that is another.
mod change;
// Everything that goes wrong says what to do, with the right exit code.
mod mistakes;
// The openai teacher against the loopback server.
mod openai;
// What is asked of whom, in which mode, and when again.
mod asking;
// A server that misbehaves in every way there is.
mod faults;
// Several processes that ask for one run.
#[cfg(feature = "shared")]
mod shared;
// A configuration from a look at a corpus.
mod init;
// Plans, costs, and the cap.
mod money;
// The first texts alone, and what a plan then says.
mod people;
mod pilot;
// Batch files out and in.
mod batch;
// Labels that people give.
mod correct;
// Looking at a run directory without changing it.
mod views;
// Following the labels while they are written.
mod tail;
// The page of a run.
#[cfg(feature = "page")]
mod page;
// A run in one HTML file.
mod report;
// How a run is shown: on a terminal, without one, to a program.
mod terminal;
// A student behind an address.
#[cfg(feature = "page")]
mod service;
// What one verb takes and says, the others do.
mod commands;
// Labels as tables, and as tools import them.
mod export;
// Files that are no corpus.
mod corpora;
// Readers that went away, and messages that cannot be written.
mod streams;
// Gold labels and audited samples, whole or not.
mod gold;
// The student as a product, and the audit.
mod product;
// Runs that are part of a program.
mod embed;
// configs/ and examples/ are what the program says they are.
mod shipped;
// Batches of texts in, batches of labels out.
#[cfg(feature = "parquet")]
mod predict_arrow;
// Labels in parts, by processes that know nothing of each other.
mod predict_parts;
// The same in an object store.
#[cfg(feature = "cloud")]
mod predict_cloud;
// A program whose caller is gone.
mod caller;
// schemas/ has the program's, and what runs read and write is as they say.
mod schemas;
// The reference of configuration keys is that of the schema.
mod reference;
// Every block of code and configuration in the README and the book is run, and every link leads somewhere.
mod docs;
