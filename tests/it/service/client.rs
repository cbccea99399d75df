//! A service at work, and a client that speaks HTTP by hand: it can be slow, and can break off.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::Project;

/// The program as it answers, until dropped.
pub(super) struct Service {
    child: Child,
    /// `host:port`.
    pub(super) address: String,
    /// What it said up to its address, and the line after that where one was asked for.
    pub(super) said: String,
}

impl Service {
    pub(super) fn start(project: &Project, more: &[&str]) -> Self {
        Self::with(project, "student", more, 1)
    }

    /// By the student in `folder`; reads so many lines of what it says.
    pub(super) fn with(project: &Project, folder: &str, more: &[&str], lines: usize) -> Self {
        let serve = if more.contains(&"--serve") { vec![] } else { vec!["--serve", "127.0.0.1:0"] };
        let mut child = project.start(&[&["predict", "--student", folder], serve.as_slice(), more].concat());
        let mut err = BufReader::new(child.stderr.take().unwrap());
        let mut said = String::new();
        for _ in 0..lines {
            err.read_line(&mut said).unwrap();
        }
        let url = said.split_whitespace().find_map(|word| word.strip_prefix("http://"));
        let address = url.and_then(|url| url.strip_suffix("/v1/predict"));
        let address = address.unwrap_or_else(|| panic!("no address in {said:?}")).to_owned();
        std::thread::spawn(move || std::io::copy(&mut err, &mut std::io::sink()));
        Self { child, address, said }
    }

    pub(super) fn client(&self) -> Client {
        Client::to(&self.address)
    }

    /// One request by a connection of its own.
    pub(super) fn ask(&self, request: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.client().ask(request, headers, body)
    }

    /// Texts in JSON.
    pub(super) fn predict(&self, body: &str) -> Answer {
        self.ask("POST /v1/predict", &["Content-Type: application/json"], body.as_bytes())
    }

    pub(super) fn metric(&self, name: &str) -> f64 {
        let metrics = self.ask("GET /metrics", &[], b"").text();
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {name} in {metrics}")).parse().unwrap()
    }

    /// Until `name` is at least `least`.
    pub(super) fn wait_for(&self, name: &str, least: f64) {
        let patience = Instant::now() + Duration::from_secs(60);
        while self.metric(name) < least {
            assert!(Instant::now() < patience, "{name} stays {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// How it ended, and after how long.
    pub(super) fn end(mut self) -> (Option<i32>, Duration) {
        let begin = Instant::now();
        (self.child.wait().unwrap().code(), begin.elapsed())
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    host: String,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// What is wrong.
    #[track_caller]
    pub(super) fn error(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text());
        self.json()["error"].as_str().unwrap().to_owned()
    }
}

impl Client {
    pub(super) fn to(address: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream), host: address.to_owned() }
    }

    pub(super) fn ask(&mut self, request: &str, headers: &[&str], body: &[u8]) -> Answer {
        self.send(request, headers, body, body.len());
        self.read()
    }

    /// Sends the head, and the first bytes of the body.
    pub(super) fn send(&mut self, request: &str, headers: &[&str], body: &[u8], sent: usize) {
        let mut head = format!("{request} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        if !headers.iter().any(|header| header.starts_with("Host: ")) {
            head += &format!("Host: {}\r\n", self.host);
        }
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        head += "\r\n";
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes()).unwrap();
        // Who refuses a body need not read all of it.
        let _ = stream.write_all(&body[..sent]);
    }

    pub(super) fn more(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    pub(super) fn read(&mut self) -> Answer {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.stream.read_line(&mut head).unwrap() > 0, "it broke off after {head:?}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        let length = answer.header("content-length").unwrap().parse().unwrap();
        answer.body = vec![0; length];
        self.stream.read_exact(&mut answer.body).unwrap();
        answer
    }
}
