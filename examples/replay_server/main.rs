//! A loopback server with the OpenAI chat completions API that answers from recordings: try candist's HTTP without a bill.
//!
//! ```sh
//! cargo run --release --example replay_server -- --corpus examples/banking77/pool.jsonl \
//!     examples/banking77/teacher_gpt-4.jsonl examples/banking77/teacher_gpt-3.5.jsonl --latency-ms 20
//! ```
//!
//! Without recordings it makes answers up of a table that has the right labels, a share of them wrong:
//!
//! ```sh
//! cargo run --release --example replay_server -- --table packages.csv --text description --label section
//! ```
//!
//! `model` chooses the recording by its teacher's name; any other model gets the answers of all, merged.
//! `GET /stats` tells how many requests came, how many of them repeated one, how many were in flight at most, and more.
//!
//! It can be as difficult as real servers are: `--fault-rate 0.1` makes one request in ten go wrong in one of many ways
//! (`--fault` chooses which), `--requests-per-minute` and `--tokens-per-minute` set a quota, `--storm-after` refuses
//! everything for a while.

#![expect(clippy::print_stdout, reason = "an example that talks to the terminal")]

mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

use server::{Answers, Behaviour, Fault, Faults, HeaderStyle, Storm};

#[derive(Debug, Parser)]
struct Args {
    /// Recordings: JSONL with id, labels and teacher.
    #[arg(required_unless_present = "table")]
    recordings: Vec<PathBuf>,
    /// The texts of the recordings: JSONL with id and text.
    #[arg(long, required_unless_present = "table")]
    corpus: Option<PathBuf>,
    /// A table (CSV) of texts with their right labels, instead of recordings.
    #[arg(long, value_name = "FILE", requires_all = ["text", "label"], conflicts_with_all = ["recordings", "corpus"])]
    table: Option<PathBuf>,
    /// The table's column of the text.
    #[arg(long, value_name = "COLUMN")]
    text: Option<String>,
    /// The table's column of the right label.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// The share of the table's texts that are answered with a wrong label first.
    #[arg(long, default_value_t = 0.25)]
    noise: f64,
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 8077)]
    port: u16,
    /// Milliseconds until an answer comes.
    #[arg(long, default_value_t = 20)]
    latency_ms: u64,
    /// Up to so many milliseconds more, differing from request to request.
    #[arg(long, default_value_t = 0)]
    spread_ms: u64,
    /// The share of requests that go wrong.
    #[arg(long, default_value_t = 0.0)]
    fault_rate: f64,
    /// How requests go wrong; may be given several times. In every way there is, if not given.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<Fault>,
    /// Of everything random.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// After so many requests, refuse all for a while.
    #[arg(long, value_name = "REQUESTS")]
    storm_after: Option<u64>,
    /// For how long.
    #[arg(long, default_value_t = 10.0)]
    storm_seconds: f64,
    /// Their Retry-After header.
    #[arg(long)]
    retry_after: Option<String>,
    /// Refuse what is more.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// Refuse what is more.
    #[arg(long)]
    tokens_per_minute: Option<u32>,
    /// Whose headers tell about the quota.
    #[arg(long, value_name = "STYLE")]
    headers: Option<HeaderStyle>,
    /// Refuse requests for a JSON schema with this status.
    #[arg(long, value_name = "STATUS")]
    no_schema: Option<u16>,
    /// Refuse requests for a JSON object with this status.
    #[arg(long, value_name = "STATUS")]
    no_json_object: Option<u16>,
    /// Refuse requests with this parameter; may be given several times.
    #[arg(long, value_name = "PARAMETER")]
    unsupported: Vec<String>,
    /// Refuse requests without this key.
    #[arg(long)]
    key: Option<String>,
    /// Repeat the key in errors.
    #[arg(long)]
    echo_key: bool,
    /// Send every request there.
    #[arg(long, value_name = "URL")]
    redirect_to: Option<String>,
    /// Tokens of a completion, at least and at most; by its length, if not given.
    #[arg(long, num_args = 2, value_names = ["FROM", "TO"])]
    tokens: Vec<u64>,
    /// Tell what a completion cost: a millionth of a dollar for a token.
    #[arg(long)]
    report_cost: bool,
    /// Tell that half of the prompt was cached.
    #[arg(long)]
    cached: bool,
}

impl Args {
    fn answers(&self) -> anyhow::Result<Answers> {
        match (&self.table, &self.corpus) {
            (Some(table), _) => {
                let column = |name: &Option<String>| name.clone().unwrap_or_default();
                Answers::of_table(table, &column(&self.text), &column(&self.label), self.noise)
            }
            (None, Some(corpus)) => Answers::read(corpus, &self.recordings),
            (None, None) => anyhow::bail!("give recordings and their corpus, or a table"),
        }
    }

    fn behaviour(self) -> Behaviour {
        let length = Duration::from_secs_f64(self.storm_seconds.clamp(0.0, 1e6));
        let quota = self.requests_per_minute.is_some() || self.tokens_per_minute.is_some();
        let limits = (self.requests_per_minute.unwrap_or(u32::MAX), self.tokens_per_minute.unwrap_or(u32::MAX));
        Behaviour {
            latency: Duration::from_millis(self.latency_ms),
            latency_spread: Duration::from_millis(self.spread_ms),
            faults: Faults { seed: self.seed, rate: self.fault_rate, kinds: self.faults },
            storm: self.storm_after.map(|after| Storm { after, length, retry_after: self.retry_after }),
            quota_per_minute: quota.then_some(limits),
            headers: self.headers,
            no_schema: self.no_schema,
            no_json_object: self.no_json_object,
            unsupported: self.unsupported,
            key: self.key,
            echo_key: self.echo_key,
            redirect_to: self.redirect_to,
            tokens: self.tokens.first().copied().zip(self.tokens.last().copied()),
            report_cost: self.report_cost,
            cached: self.cached,
            ..Behaviour::default()
        }
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let answers = args.answers()?;
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], args.port))).await?;
    println!("answering on http://{}/v1", listener.local_addr()?);
    server::serve(listener, server::Replay::new(answers, args.behaviour())).await
}
