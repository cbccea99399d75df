//! A student behind an address, by the real program: requests and texts a second, and how long a request takes, with one client
//! and with sixteen, beside what `candist predict` makes of the same texts. `cargo bench --bench service`.
//!
//! The `ngram` student of a short run over the example corpus labels the corpus' texts. Clients speak HTTP by hand over a
//! connection each, as fast as they are answered, so they take processor time of their own: here, from the same cores.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing, reason = "a benchmark")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const LABELLED: &str = "teacher_gpt-4.jsonl";
/// How often `candist predict` gets the corpus.
const MANY: usize = 20;
/// How long each case is measured.
const TIME: Duration = Duration::from_secs(5);

/// The program in `dir`, which must succeed; how long it took.
fn candist(dir: &Path, args: &[&str]) -> Duration {
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_candist")).current_dir(dir).args(args).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    begin.elapsed()
}

/// A run over the example corpus, and its student in `student`. The texts are in pool.jsonl.
fn make_student(dir: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for file in ["pool.jsonl", LABELLED] {
        std::fs::copy(root.join("examples/banking77").join(file), dir.join(file)).unwrap();
    }
    let quickstart = std::fs::read_to_string(root.join("configs/quickstart.toml")).unwrap();
    let task = &quickstart[quickstart.find("[task]").unwrap()..quickstart.find("[corpus]").unwrap()];
    let config = format!(
        "{task}[corpus]\npath = \"pool.jsonl\"\n[[teachers]]\nkind = \"recorded\"\npath = \"{LABELLED}\"\n[distill]\n\
         max_passes = 1\n[run]\ndir = \"run\"\n"
    );
    std::fs::write(dir.join("config.toml"), config).unwrap();
    candist(dir, &["run", "config.toml"]);
    candist(dir, &["export", "config.toml", "--student", "student"]);
}

/// The program as it serves.
struct Service {
    child: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Service {
    fn start(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_candist"))
            .current_dir(dir)
            .args(["predict", "--student", "student", "--serve", "127.0.0.1:0", "--queue", "65536"])
            .args(more)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut line).unwrap();
        let url = line.split(' ').find_map(|word| word.strip_prefix("http://")).unwrap();
        Self { child, address: url.strip_suffix("/v1/predict").unwrap().to_owned() }
    }

    fn ask(&self, stream: &mut BufReader<TcpStream>, request: &str, body: &[u8]) -> String {
        let head = format!(
            "{request} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/x-ndjson\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.get_mut().write_all(&[head.as_bytes(), body].concat()).unwrap();
        let (mut line, mut length) = (String::new(), 0);
        while line != "\r\n" {
            line.clear();
            stream.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        BufReader::new(stream)
    }

    /// Texts of a batch, in the mean.
    fn batch(&self) -> f64 {
        let metrics = self.ask(&mut self.connect(), "GET /metrics", b"");
        let value = |name: &str| -> f64 {
            metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().parse().unwrap()
        };
        value("candist_service_batch_texts_sum") / value("candist_service_batch_texts_count")
    }
}

/// So many clients, with so many texts a request.
fn measure(dir: &Path, rows: &[&str], clients: usize, texts: usize, more: &[&str]) {
    let service = Service::start(dir, more);
    let begin = Instant::now();
    let mut times: Vec<Duration> = std::thread::scope(|scope| {
        let work = |number: usize| {
            let (service, mut times, mut stream) = (&service, Vec::new(), service.connect());
            let mut place = number * rows.len() / clients;
            while begin.elapsed() < TIME {
                let part: Vec<&str> = (place..place + texts).map(|place| rows[place % rows.len()]).collect();
                place += texts;
                let asked = Instant::now();
                let answer = service.ask(&mut stream, "POST /v1/predict", part.join("\n").as_bytes());
                times.push(asked.elapsed());
                assert_eq!(answer.lines().count(), texts, "{answer}");
            }
            times
        };
        let clients: Vec<_> = (0..clients).map(|number| scope.spawn(move || work(number))).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let took = begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let requests = times.len() as f64 / took;
    println!(
        "  {clients:>2} client(s), {texts:>3} text(s) a request{}: {requests:>8.0} requests/s {:>8.0} texts/s   p50 {:>7.2} ms   \
         p99 {:>7.2} ms   {:.1} texts a batch",
        more.get(1).map(|wait| format!(", gather {wait} ms")).unwrap_or_default(),
        requests * texts as f64,
        at(0.5),
        at(0.99),
        service.batch()
    );
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    make_student(dir);
    let pool = std::fs::read_to_string(dir.join("pool.jsonl")).unwrap();
    let rows: Vec<&str> = pool.lines().collect();
    // Many times over, so that loading the student is a small part of it.
    std::fs::write(dir.join("many.jsonl"), pool.repeat(MANY)).unwrap();
    std::fs::write(dir.join("one.jsonl"), rows[0]).unwrap();
    let fastest = |file: &str| (0..3).map(|_| candist(dir, &["predict", "--student", "student", file])).min().unwrap();
    let (took, start) = (fastest("many.jsonl"), fastest("one.jsonl"));
    let texts = MANY * rows.len();
    let rate = texts as f64 / took.saturating_sub(start).as_secs_f64();
    println!(
        "candist predict: {texts} texts in {:.2} s, of which {:.2} s to load the student: {rate:.0} texts/s",
        took.as_secs_f64(),
        start.as_secs_f64()
    );
    for (clients, texts) in [(1, 1), (16, 1), (1, 64), (16, 64)] {
        measure(dir, &rows, clients, texts, &[]);
    }
    // What waiting for more brings.
    for wait in ["0", "5"] {
        measure(dir, &rows, 1, 1, &["--gather-ms", wait]);
        measure(dir, &rows, 16, 1, &["--gather-ms", wait]);
    }
}
