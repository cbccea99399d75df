//! HTTP to one server: the key, the time limits, the size limit. No key and no text leaves for another host.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect};

use crate::config::HttpConfig;

/// The path of the API below a base address.
const PATH: &str = "chat/completions";

/// A reply of whatever status.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// A request without a whole reply.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) message: String,
    /// Nobody took the connection: nothing was sent.
    pub(super) unsent: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    key: Option<String>,
    max_reply_bytes: usize,
}

impl Http {
    /// Sets up HTTP; reads the key from the environment.
    pub(super) fn new(config: &HttpConfig, max_in_flight: usize) -> Result<Self, String> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let key = config.api_key_env.as_deref().map(key_in).transpose()?;
        if let (Some(key), Some(variable)) = (&key, &config.api_key_env) {
            let (name, value) = match &config.api_key_header {
                Some(name) => (header_name(name)?, key.clone()),
                None => (AUTHORIZATION, format!("Bearer {key}")),
            };
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| format!("the API key in {variable} has characters that no header can carry"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let client = Client::builder()
            .default_headers(headers)
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout)
            .redirect(redirect::Policy::none())
            .pool_max_idle_per_host(max_in_flight)
            .tcp_keepalive(Duration::from_secs(30))
            .build()
            .map_err(|error| format!("cannot set up HTTP: {error}"))?;
        Ok(Self { client, url: address(&config.base_url)?, key, max_reply_bytes: config.max_reply_bytes })
    }

    /// Sends a request and reads the whole reply.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<Response, Lost> {
        let mut response = self.client.post(self.url.clone()).body(body).send().await.map_err(|error| lost(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| lost(&error))? {
            if body.len() + chunk.len() > self.max_reply_bytes {
                let message = format!("the reply is longer than {} bytes", self.max_reply_bytes);
                return Err(Lost { message, unsent: false });
            }
            body.extend_from_slice(&chunk);
        }
        self.redact(&mut body);
        Ok(Response { status, headers, body })
    }

    /// Takes the key out of what a server sends back: it must not get into files or messages.
    fn redact(&self, body: &mut Vec<u8>) {
        let Some(key) = self.key.as_deref().map(str::as_bytes) else { return };
        let mut clean = Vec::new();
        let mut rest = body.as_slice();
        while let Some(at) = rest.windows(key.len()).position(|window| window == key) {
            let (before, from) = rest.split_at(at);
            clean.extend_from_slice(before);
            clean.extend_from_slice(b"[key]");
            rest = from.split_at(key.len()).1;
        }
        if !clean.is_empty() {
            clean.extend_from_slice(rest);
            *body = clean;
        }
    }
}

fn key_in(variable: &str) -> Result<String, String> {
    std::env::var(variable)
        .ok()
        .map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty())
        .ok_or_else(|| format!("the environment variable {variable} holds no API key: export {variable}=..."))
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    name.parse().map_err(|_| format!("api_key_header {name:?} is no name of a header"))
}

/// The address of the API; a query of the base address (Azure's `api-version`) stays behind the path.
fn address(base: &str) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|error| format!("base_url {base:?} is no address: {error}"))?;
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
}

fn lost(error: &reqwest::Error) -> Lost {
    // reqwest's own text holds the URL only; the cause says what happened.
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    let message = if error.is_timeout() { "no reply in time".to_owned() } else { cause.to_string() };
    Lost { message, unsent: error.is_connect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_goes_before_the_query() {
        for (base, expected) in [
            ("http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/chat/completions"),
            (
                "https://x.example/deployments/d?api-version=1",
                "https://x.example/deployments/d/chat/completions?api-version=1",
            ),
        ] {
            assert_eq!(address(base).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn a_key_that_is_echoed_is_taken_out() {
        let http = Http {
            client: Client::new(),
            url: address("http://127.0.0.1:1").unwrap(),
            key: Some("sk-1".to_owned()),
            max_reply_bytes: 9,
        };
        let mut body = b"wrong key sk-1, really sk-1".to_vec();
        http.redact(&mut body);
        assert_eq!(body, b"wrong key [key], really [key]");
    }
}
