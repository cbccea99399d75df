//! Labels in parts from and to a server on loopback that speaks as much of S3 as is needed, and misbehaves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, Uri};

use crate::predict_parts::{joined, printed, project};
use crate::support::{Finished, Project};

#[derive(Default)]
struct Bucket {
    /// By path, with how often each was put.
    objects: BTreeMap<String, (Vec<u8>, u32)>,
    /// Requests by method and path.
    asked: Vec<String>,
    /// So many requests are answered with 503.
    busy: u32,
    /// All are refused.
    is_closed: bool,
    /// Lists are refused.
    is_unlisted: bool,
    /// A condition to put is answered with 501.
    knows_no_condition: bool,
    /// Pieces of uploads that are not complete.
    pieces: BTreeMap<String, Vec<u8>>,
    /// What an object is changed to when a range of it was read.
    change: Option<(String, Vec<u8>)>,
}

impl Bucket {
    fn put(&mut self, path: &str, content: &[u8]) {
        let puts = self.objects.get(path).map_or(0, |(_, puts)| *puts);
        self.objects.insert(path.to_owned(), (content.to_vec(), puts + 1));
    }

    fn answer(&mut self, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> Response<Body> {
        self.asked.push(format!("{method} {}", uri.path()));
        let status = |status: StatusCode| Response::builder().status(status).body(Body::empty()).unwrap();
        if self.is_closed {
            return status(StatusCode::FORBIDDEN);
        }
        if self.busy > 0 {
            self.busy -= 1;
            return status(StatusCode::SERVICE_UNAVAILABLE);
        }
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let path = uri.path().to_owned();
        if let Some(query) = uri.query().filter(|query| query.contains("list-type=2")) {
            if self.is_unlisted {
                return status(StatusCode::FORBIDDEN);
            }
            return Response::new(Body::from(self.list(&path, query)));
        }
        let found = self.objects.get(&path).cloned();
        if uri.query().is_some_and(|query| query.contains("upload")) {
            return self.in_pieces(method, path, body);
        }
        if *method == Method::PUT {
            if self.knows_no_condition && header("if-none-match").is_some() {
                return status(StatusCode::NOT_IMPLEMENTED);
            }
            if header("if-none-match") == Some("*") && found.is_some() {
                return status(StatusCode::PRECONDITION_FAILED);
            }
            self.put(&path, body);
            return Response::builder().header("ETag", "\"new\"").body(Body::empty()).unwrap();
        }
        let Some((content, version)) = found else { return status(StatusCode::NOT_FOUND) };
        let tag = format!("\"v{version}\"");
        if header("if-match").is_some_and(|wanted| wanted != tag) {
            return status(StatusCode::PRECONDITION_FAILED);
        }
        let answer = Response::builder().header("ETag", tag).header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        if *method == Method::HEAD {
            return answer.header("Content-Length", content.len()).body(Body::empty()).unwrap();
        }
        let range = header("range").and_then(|range| range.strip_prefix("bytes=")?.split_once('-'));
        let Some((from, to)) = range else { return answer.body(Body::from(content)).unwrap() };
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap());
        if let Some((path, content)) = self.change.take() {
            self.put(&path, &content);
        }
        let range = format!("bytes {from}-{to}/{}", content.len());
        let answer = answer.status(StatusCode::PARTIAL_CONTENT).header("Content-Range", range);
        answer.body(Body::from(content[from..=to].to_vec())).unwrap()
    }

    /// An upload: begun, given a piece, or complete.
    fn in_pieces(&mut self, method: &Method, path: String, body: &[u8]) -> Response<Body> {
        if *method == Method::PUT {
            self.pieces.entry(path).or_default().extend_from_slice(body);
            return Response::builder().header("ETag", "\"piece\"").body(Body::empty()).unwrap();
        }
        if let Some(content) = self.pieces.remove(&path) {
            self.put(&path, &content);
            return Response::new(Body::from(
                "<CompleteMultipartUploadResult><ETag>new</ETag></CompleteMultipartUploadResult>",
            ));
        }
        Response::new(Body::from(
            "<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>",
        ))
    }

    fn list(&self, bucket: &str, query: &str) -> String {
        let prefix = query.split('&').find_map(|pair| pair.strip_prefix("prefix=")).unwrap_or("").replace("%2F", "/");
        let root = format!("{}/", bucket.trim_end_matches('/'));
        let entry = |(path, (content, version)): (&String, &(Vec<u8>, u32))| {
            let key = path.strip_prefix(&root).filter(|key| key.starts_with(&prefix))?;
            Some(format!(
                "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>\"v{version}\"</ETag>\
                 <Size>{}</Size></Contents>",
                content.len()
            ))
        };
        format!("<ListBucketResult>{}</ListBucketResult>", self.objects.iter().filter_map(entry).collect::<String>())
    }
}

/// The server, until dropped.
struct Store {
    bucket: Arc<Mutex<Bucket>>,
    url: String,
    _runtime: tokio::runtime::Runtime,
}

async fn answered(
    State(bucket): State<Arc<Mutex<Bucket>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    bucket.lock().unwrap().answer(&method, &uri, &headers, &body)
}

impl Store {
    fn start() -> Self {
        let bucket = Arc::<Mutex<Bucket>>::default();
        let app = Router::new().fallback(answered).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&bucket));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { bucket, url, _runtime: runtime }
    }

    /// With the project's texts and student in it.
    fn of(project: &Project) -> Self {
        let store = Self::start();
        for file in ["config.json", "model.safetensors"] {
            let content = std::fs::read(project.path("student").join(file)).unwrap();
            store.bucket.lock().unwrap().put(&format!("/b/student/{file}"), &content);
        }
        store.bucket.lock().unwrap().put("/b/texts/big.jsonl", project.read("big.jsonl").as_bytes());
        // As consoles mark a folder: listed without its slash, and not to be read by that name.
        store.bucket.lock().unwrap().put("/b/student/old/", b"");
        store
    }

    fn predict(&self, project: &Project, more: &[&str]) -> Finished {
        let args =
            ["predict", "--student", "s3://b/student", "--input", "s3://b/texts/*.jsonl", "--output", "s3://b/out"];
        let mut command = project.command(&[&args[..], more].concat());
        let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "a-secret-key"), ("AWS_REGION", "here")];
        command.envs(keys).env("AWS_ENDPOINT_URL", &self.url).env("AWS_ALLOW_HTTP", "true");
        let finished = Finished::of(command.output().unwrap());
        assert!(!finished.err.contains("a-secret-key"), "{}", finished.err);
        finished
    }

    /// What was written, by name in the folder of the job.
    fn out(&self) -> BTreeMap<String, Vec<u8>> {
        let bucket = self.bucket.lock().unwrap();
        let below = |path: &str| Some(path.strip_prefix("/b/out/")?.split_once('/')?.1.to_owned());
        bucket.objects.iter().filter_map(|(path, (content, _))| Some((below(path)?, content.clone()))).collect()
    }
}

#[test]
fn objects_are_labelled_as_files_are_and_put_once() {
    let project = project();
    let store = Store::of(&project);
    store.predict(&project, &["--part", "1/2"]).expect_exit(0).expect_said("still to come");
    // A server that is busy is asked again.
    store.bucket.lock().unwrap().busy = 3;
    let done = store.predict(&project, &[]).expect_exit(0);
    assert!(done.out.starts_with("s3://b/out/"), "{}", done.out);
    let out = store.out();
    assert_eq!(joined(&out), printed(&project, "big.jsonl"));
    assert!(out.contains_key("_manifest.json"));
    store.bucket.lock().unwrap().asked.clear();
    store.predict(&project, &[]).expect_exit(0);
    let bucket = store.bucket.lock().unwrap();
    assert!(!bucket.asked.iter().any(|asked| asked.starts_with("PUT")), "{:?}", bucket.asked);
    assert!(bucket.objects.values().all(|(_, puts)| *puts == 1));
}

#[test]
fn an_object_that_changes_while_it_is_read_is_refused() {
    let project = project();
    let store = Store::of(&project);
    let other = project.read("big.jsonl").replace("card", "CARD").into_bytes();
    // The student is in one place, and read first.
    store.predict(&project, &["--part", "0/64"]).expect_exit(0);
    store.bucket.lock().unwrap().change = Some(("/b/texts/big.jsonl".to_owned(), other));
    let done = Finished::of({
        let mut command =
            project.command(&["predict", "--student", "student", "--input", "s3://b/texts", "--output", "s3://b/out"]);
        command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key").env("AWS_REGION", "here");
        command.env("AWS_ENDPOINT_URL", &store.url).env("AWS_ALLOW_HTTP", "true").output().unwrap()
    });
    done.expect_exit(2).expect_said("s3://b/texts/big.jsonl was changed while it was read");
    assert!(store.out().keys().all(|name| !name.starts_with("part-")), "{:?}", store.out().keys());
}

#[test]
fn a_store_that_refuses_says_what_to_do() {
    let project = project();
    let store = Store::of(&project);
    store.bucket.lock().unwrap().is_closed = true;
    store.predict(&project, &[]).expect_exit(2).expect_said("check the credentials in the environment");
    // Of a list a store's client says less.
    *store.bucket.lock().unwrap() = Bucket { is_unlisted: true, is_closed: false, ..Bucket::default() };
    store.predict(&project, &[]).expect_exit(2).expect_said("check the credentials in the environment");
    assert!(store.out().is_empty());
}

#[test]
fn an_address_without_tls_is_to_be_allowed() {
    let project = project();
    let store = Store::of(&project);
    let args = ["predict", "--student", "student", "--input", "s3://b/texts", "--output", "labels"];
    let mut command = project.command(&args);
    command.env("AWS_ACCESS_KEY_ID", "id").env("AWS_SECRET_ACCESS_KEY", "key").env("AWS_REGION", "here");
    let done = Finished::of(command.env("AWS_ENDPOINT_URL", &store.url).output().unwrap());
    done.expect_exit(2).expect_said("AWS_ALLOW_HTTP=true");
}

#[test]
fn a_store_that_knows_no_condition_is_written_to_in_pieces() {
    let project = project();
    let store = Store::of(&project);
    store.bucket.lock().unwrap().knows_no_condition = true;
    store.predict(&project, &[]).expect_exit(0);
    assert_eq!(joined(&store.out()), printed(&project, "big.jsonl"));
}
