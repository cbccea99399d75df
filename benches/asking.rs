//! What asking costs without a student: 40,000 texts, 256 in flight, a server in this process that answers after 20 ms (so that no more than
//! 12,800 a second could be asked). The student that is there knows nothing and learns nothing; all else is a run's own, with its logs.
//! `make bench`, or `cargo bench --bench asking`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use candist::{Config, Encoded, Example, Fold, Objective, Result, Rows, Run, Sample, Samples, Step, Student};
use tokio::runtime::{Builder, Runtime};

const TEXTS: u64 = 40_000;
const SERVER: &str = "server";

/// Says nothing of any text.
struct Silent {
    labels: usize,
}

impl Student for Silent {
    fn encode(&self, _text: &str) -> Encoded {
        Encoded::default()
    }

    fn is_steady_in_company(&self) -> bool {
        true
    }

    fn logits(&self, _fold: Fold, texts: &[&Encoded]) -> Rows {
        self.predict(texts)
    }

    fn out_of_sample(&self, texts: &[(&Encoded, Fold)]) -> Rows {
        Rows::new(self.labels, vec![0.0; texts.len() * self.labels])
    }

    fn predict(&self, texts: &[&Encoded]) -> Rows {
        Rows::new(self.labels, vec![0.0; texts.len() * self.labels])
    }

    fn train(&mut self, _batch: &[Example<'_>], _objective: Objective, _rate: f64) -> Result<Step> {
        Ok(Step::Taken)
    }

    fn skipped(&self) -> u64 {
        0
    }

    fn reset(&mut self) {}

    fn save(&self, path: &Path, notes: HashMap<String, String>) -> Result<()> {
        std::fs::write(path, serde_json::to_vec(&notes).unwrap()).unwrap();
        Ok(())
    }

    fn load(&mut self, path: &Path) -> Result<HashMap<String, String>> {
        Ok(serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    }

    fn export(&self, _folder: &Path, _labels: &[String], _temperature: f64) -> Result<()> {
        Ok(())
    }
}

/// A runtime whose threads are known by their name.
fn server() -> (Runtime, String) {
    let runtime = Builder::new_multi_thread().thread_name(SERVER).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let answer = || async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let content = r#"{\"labels\": [\"label 3\", \"label 7\"]}"#;
        let head = r#"{"id":"a","object":"chat.completion","model":"m","choices":[{"index":0,"finish_reason":"stop","message":"#;
        let usage = r#""usage":{"prompt_tokens":600,"completion_tokens":12,"total_tokens":612}"#;
        let said = format!(r#"{head}{{"role":"assistant","content":"{content}"}}}}],{usage}}}"#);
        ([("content-type", "application/json")], said)
    };
    let routes = Router::new().route("/v1/chat/completions", post(answer));
    runtime.spawn(async { axum::serve(listener, routes).await });
    (runtime, url)
}

/// Processor seconds of this process so far: all, and those of the server's threads.
fn processor() -> (f64, f64) {
    let ticks = |path: &Path| {
        let stat = std::fs::read_to_string(path).unwrap_or_default();
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        // User and system time, in hundredths of a second.
        fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum::<f64>()
    };
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let of_server =
        |path: &std::path::PathBuf| std::fs::read_to_string(path.join("comm")).unwrap_or_default().trim() == SERVER;
    let server: f64 = threads.filter(of_server).map(|task| ticks(&task.join("stat"))).sum();
    (ticks(Path::new("/proc/self/stat")) / 100.0, server / 100.0)
}

fn config(url: &str, dir: &Path) -> Config {
    let labels: Vec<String> = (0..77).map(|label| format!("\"label {label}\"")).collect();
    let text = format!(
        "[task]\nname = \"asking\"\nlabels = [{}]\n[corpus]\npath = \"unread.jsonl\"\n\
         [[teachers]]\nkind = \"openai\"\nbase_url = \"{url}\"\nmodel = \"m\"\nmax_in_flight = 256\n\
         [distill]\nfolds = 2\nblock = 512\nreplay = 0\nmax_passes = 0\nrefinery = \"renormalise\"\n[run]\ndir = \"run\"\n",
        labels.join(", ")
    );
    Config::parse(&text, dir, None).unwrap()
}

// As the program has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --benches` only builds it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (_server, url) = server();
    let runtime = Runtime::new().unwrap();
    println!("asking without a student, {TEXTS} texts, 256 in flight, 20 ms an answer:");
    for _ in 0..3 {
        let folder = tempfile::tempdir_in(".").unwrap();
        let (began, before) = (Instant::now(), processor());
        let sample = |number: u64| {
            let text = format!("Message {number}: where is the card {} that I ordered for my account?", number % 977);
            Sample::new(format!("r{number}"), text)
        };
        let done = runtime.block_on(async {
            let run = Run::builder(config(&url, folder.path()))
                .corpus(move || Ok(Samples::new((0..TEXTS).map(sample))))
                .student("silent", |labels, _| Ok(Silent { labels }));
            run.start().join().await
        });
        assert!(done.unwrap().new_events >= TEXTS);
        let (wall, after) = (began.elapsed().as_secs_f64(), processor());
        let (all, server) = (after.0 - before.0, after.1 - before.1);
        let a_text = |seconds: f64| 1e3 * seconds / TEXTS as f64;
        println!(
            "  {:>6.0} texts/s, the whole run; processor {:.3} ms a text, and the server's {:.3}",
            TEXTS as f64 / wall,
            a_text(all - server),
            a_text(server)
        );
    }
}
