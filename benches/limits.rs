//! What the machine and the libraries give by themselves, for candist's own figures to be held against: appending to a log, sled,
//! HTTP to this machine, and random rows of a table. `make bench`, or `cargo bench --bench limits`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark")]

use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use futures::StreamExt;
use tch::{Device, Kind, Tensor};

/// How many of `count` things a second, the fastest of three times.
fn rate(what: &str, count: u64, mut work: impl FnMut()) {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let begin = Instant::now();
        work();
        best = best.min(begin.elapsed());
    }
    println!("  {what:<76}{:>12.0} a second", count as f64 / best.as_secs_f64());
}

/// Lines as long as an answer's, so many for each `fdatasync`.
fn journal(folder: &std::path::Path) {
    const LINES: u64 = 200_000;
    let line = format!("{}\n", "x".repeat(190));
    for together in [256, 1] {
        let lines = if together == 1 { 2000 } else { LINES };
        rate(&format!("lines of 191 bytes appended, fdatasync after {together}"), lines, || {
            let mut file = File::create(folder.join("journal")).unwrap();
            for _ in 0..lines / together {
                file.write_all(line.repeat(usize::try_from(together).unwrap()).as_bytes()).unwrap();
                file.sync_data().unwrap();
            }
        });
    }
}

/// A hash, as the keys of entries are.
fn key(number: u64) -> [u8; 16] {
    u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes()
}

/// Memory that sled takes with growing numbers of entries (a text has two) and the cache that candist gives it.
fn memory_of_trees(folder: &std::path::Path) {
    let resident = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or_default() / 1024
    };
    let before = resident();
    let tree = sled::Config::new().path(folder.join("sled")).cache_capacity(16 << 20).open().unwrap();
    for million in 0..4 {
        let entries = million * 1_000_000..(million + 1) * 1_000_000;
        entries.for_each(|number| drop(tree.insert(key(number), &key(!number)).unwrap()));
        let what = format!("{} million entries in sled with a cache of 16 MB", million + 1);
        println!("  {what:<76}{:>12} MB", resident().saturating_sub(before));
    }
}

/// Entries as candist has them: a hash and where something stands.
fn trees(folder: &std::path::Path) {
    const ENTRIES: u64 = 200_000;
    let mut time = 0;
    let mut new = || {
        time += 1;
        sled::Config::new().path(folder.join(format!("sled-{time}"))).cache_capacity(64 << 20).open().unwrap()
    };
    rate("entries of 16 and 16 bytes into sled, one by one", ENTRIES, || {
        let tree = new();
        (0..ENTRIES).for_each(|number| drop(tree.insert(key(number), &key(!number)).unwrap()));
    });
    rate("the same, 256 a batch", ENTRIES, || {
        let tree = new();
        for first in (0..ENTRIES).step_by(256) {
            let mut batch = sled::Batch::default();
            (first..first + 256).for_each(|number| batch.insert(&key(number), &key(!number)));
            tree.apply_batch(batch).unwrap();
        }
    });
    let tree = new();
    (0..ENTRIES).for_each(|number| drop(tree.insert(key(number), &key(!number)).unwrap()));
    rate("entries of it looked up", ENTRIES, || {
        (0..ENTRIES).for_each(|number| assert!(tree.get(key(number)).unwrap().is_some()));
    });
}

/// Requests as candist sends them, to a server in this process that answers at once: both share the cores.
fn http() {
    const REQUESTS: u64 = 20_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let answer = "y".repeat(400);
    runtime.spawn(async { axum::serve(listener, Router::new().route("/", post(|| async { answer }))).await });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = "x".repeat(1500);
    rate("requests of reqwest to a server in its process, 256 in flight, both cores", REQUESTS, || {
        let asked = futures::stream::iter(0..REQUESTS).map(|_| {
            let (client, url, body) = (client.clone(), url.clone(), body.clone());
            tokio::spawn(async move { client.post(url).body(body).send().await.unwrap().bytes().await.unwrap().len() })
        });
        runtime.block_on(asked.buffer_unordered(256).for_each(|length| async { assert_eq!(length.unwrap(), 400) }));
    });
}

/// The rows of a step of training, as the `ngram` student has them with eight copies: 2,200 of a kilobyte, anywhere in 128 MB.
fn rows() {
    const STEPS: u64 = 200;
    tch::set_num_threads(1);
    let mut table = Tensor::zeros([1 << 17, 256], (Kind::Float, Device::Cpu));
    let places: Vec<Tensor> =
        (0..STEPS).map(|_| Tensor::randperm(1 << 17, (Kind::Int64, Device::Cpu)).narrow(0, 0, 2200)).collect();
    // A step is of 32 texts.
    rate("texts whose rows of the `ngram` student's table libtorch reads and adds to", 32 * STEPS, || {
        for places in &places {
            let rows = table.index_select(0, places);
            let _ = table.index_add_(0, places, &rows);
        }
    });
}

// As the program has it: libtorch's memory, too, is this one's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    // `cargo test --benches` only builds it.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in(".").unwrap();
    println!("what there is without candist, on one core but for HTTP:");
    memory_of_trees(folder.path());
    journal(folder.path());
    trees(folder.path());
    http();
    rows();
}
