//! The program as it serves a page, and what a client asks of it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::support::Project;

/// The program as it serves, until dropped.
pub(super) struct Served {
    child: Child,
    /// As it was printed, with a token where there is one.
    pub(super) printed: String,
    pub(super) runtime: tokio::runtime::Runtime,
    pub(super) client: Client,
}

impl Served {
    pub(super) fn start(project: &Project) -> Self {
        Self::with(project, &["--listen", "127.0.0.1:0"])
    }

    pub(super) fn with(project: &Project, more: &[&str]) -> Self {
        Self::by(project.start(&[&["serve", "run"], more].concat()))
    }

    /// By a program that prints the address in its first line.
    pub(super) fn by(mut child: Child) -> Self {
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        let printed = line.split_whitespace().find(|word| word.starts_with("http://"));
        let printed = printed.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        // What it says later is not waited for, and does not block it.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { child, printed, runtime, client }
    }

    pub(super) fn base(&self) -> &str {
        self.printed.split("/?").next().unwrap().trim_end_matches('/')
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base()))
    }

    pub(super) fn send(&self, request: RequestBuilder) -> (StatusCode, HeaderMap, String) {
        self.runtime.block_on(async {
            let response = request.send().await.unwrap();
            (response.status(), response.headers().clone(), response.text().await.unwrap())
        })
    }

    pub(super) fn get(&self, path: &str) -> Value {
        let (status, _, body) = self.send(self.ask(Method::GET, path));
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// All rows of a list, page by page, once the logs were read.
    pub(super) fn rows(&self, query: &str) -> Vec<Value> {
        self.read();
        let (mut rows, mut total) = (Vec::new(), 1);
        while (rows.len() as u64) < total {
            let page = self.get(&format!("/api/v1/labels?{query}&limit=37&offset={}", rows.len()));
            total = page["total"].as_u64().unwrap();
            rows.extend(page["rows"].as_array().unwrap().clone());
        }
        rows
    }

    /// Until the logs were read, and `holds`.
    pub(super) fn wait(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, overview) = (self.get("/api/v1/status"), self.get("/api/v1/overview"));
            if status["reading"] == json!(false) && holds(&overview) {
                return overview;
            }
            assert!(Instant::now() < patience, "{status}\n{overview}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Until the page has taken in what was said last, and `holds`.
    pub(super) fn wait_for_audit(&self, holds: impl Fn(&Value) -> bool) -> Value {
        let patience = Instant::now() + Duration::from_secs(60);
        loop {
            let now = self.get("/api/v1/audit");
            if holds(&now) {
                return now;
            }
            assert!(Instant::now() < patience, "{now}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn read(&self) -> Value {
        self.wait(|_| true)
    }

    /// Events of a stream until there are `wanted`: name, id, data.
    pub(super) fn events(&self, path: &str, seen: Option<u64>, wanted: usize) -> Vec<(String, String, String)> {
        let mut request = self.ask(Method::GET, path);
        if let Some(seen) = seen {
            request = request.header("last-event-id", seen);
        }
        let read = async {
            let mut response = request.send().await.unwrap();
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let mut text = String::new();
            while text.matches("\n\n").count() < wanted {
                let Ok(Some(more)) = response.chunk().await else { break };
                text.push_str(std::str::from_utf8(&more).unwrap());
            }
            text
        };
        let text = self.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(60), read).await.unwrap() });
        let field = |event: &str, name: &str| {
            let prefix = format!("{name}: ");
            event.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
        };
        let whole = text.rfind("\n\n").map_or("", |end| &text[..end]);
        let events = whole.split("\n\n").filter(|event| !event.starts_with(':') && !event.is_empty());
        events.map(|event| (field(event, "event"), field(event, "id"), field(event, "data"))).collect()
    }

    /// Gives a text a label, as the page does. The status, and what was said.
    pub(super) fn correct(&self, row: &Value, label: &str) -> (StatusCode, String) {
        let [position, id, hash] = ["position", "id", "text_hash"].map(|field| &row[field]);
        let correction = json!({"position": position, "id": id, "text_hash": hash, "label": label, "who": "anna"});
        let sent = self.ask(Method::POST, "/api/v1/corrections").header("x-candist", "1").json(&correction);
        let (status, _, body) = self.send(sent);
        (status, body)
    }

    /// Takes back what was said of a text.
    pub(super) fn take_back(&self, row: &Value) -> StatusCode {
        self.deleted(&format!("/api/v1/corrections/{}", row["position"]), row)
    }

    /// Takes back what was said at `path` of the text of `row`.
    pub(super) fn deleted(&self, path: &str, row: &Value) -> StatusCode {
        let fields = ["id", "text_hash"].into_iter().filter_map(|field| Some((field, row[field].as_str()?)));
        let named: Vec<_> = fields.chain([("who", "anna")]).collect();
        self.send(self.ask(Method::DELETE, path).query(&named).header("x-candist", "1")).0
    }

    /// As a power cut does.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// As Ctrl-C does; how it ended, and after how long.
    pub(super) fn interrupt(mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        let killed = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        let status = self.child.wait().unwrap();
        (status.code(), begin.elapsed())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
