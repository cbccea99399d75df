//! A loopback server with the OpenAI chat completions API that answers from recordings: try candist's HTTP without a bill.
//!
//! ```sh
//! cargo run --release --example replay_server -- --corpus examples/banking77/pool.jsonl \
//!     examples/banking77/teacher_gpt-4.jsonl examples/banking77/teacher_gpt-3.5.jsonl --latency-ms 20
//! ```
//!
//! `model` chooses the recording by its teacher's name; any other model gets the answers of all, merged.
//! `GET /stats` tells how many requests came, how many of them repeated one, and how many were in flight at most.

#![expect(clippy::print_stdout, reason = "an example that talks to the terminal")]

mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use server::{Answers, Behaviour};

#[derive(Debug, Parser)]
struct Args {
    /// Recordings: JSONL with id, labels and teacher.
    #[arg(required = true)]
    recordings: Vec<PathBuf>,
    /// The texts of the recordings: JSONL with id and text.
    #[arg(long)]
    corpus: PathBuf,
    /// Milliseconds until an answer comes.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 8077)]
    port: u16,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let answers = Answers::read(&args.corpus, &args.recordings)?;
    let behaviour = Behaviour { latency: Duration::from_millis(args.latency_ms), ..Behaviour::default() };
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], args.port))).await?;
    println!("answering on http://{}/v1", listener.local_addr()?);
    server::serve(listener, server::Replay::new(answers, behaviour)).await
}
