//! HTTP to one server: the key, the time limits, the size limit. No key and no text leaves for another host.
//!
//! What comes in here is cleaned of the key before anything else sees it: body and error texts go into files and
//! messages. Headers are not: only numbers and dates are read of them.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, StatusCode, Url, redirect};

use super::proxy;
use super::redact::Redactor;
use crate::config::HttpConfig;

/// The path of the API below a base address.
const PATH: &str = "chat/completions";

/// A whole reply of whatever status.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

/// Where a request got lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// On its way there or back.
    Underway,
    /// Nobody took the connection: nothing was sent.
    Unsent,
    /// This process has no room for another connection: nothing was sent.
    Here,
}

/// A request without a whole reply.
#[derive(Debug)]
pub(super) struct Lost {
    /// What happened, in words, without the key.
    pub(super) message: String,
    /// Whether it may have been read there, and charged.
    pub(super) place: Where,
}

impl Lost {
    /// A reply came, but not a usable one.
    pub(super) fn underway(message: String) -> Self {
        Self { message, place: Where::Underway }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Http {
    client: Client,
    url: Url,
    redactor: Redactor,
    /// Counted as they come: what a server says of its reply's length is not believed.
    max_reply_bytes: usize,
    /// The proxy that it uses, in words.
    proxy: Option<String>,
}

/// The key that `config` names, read from the environment, without the spaces around it; none where it names no
/// variable. An error where the variable is not set, or empty.
pub(super) fn key(config: &HttpConfig) -> Result<Option<String>, String> {
    config.api_key_env.as_deref().map(key_in).transpose()
}

impl Http {
    /// Sets up HTTP with `key`, which goes into every request. Connects to nobody.
    pub(super) fn new(config: &HttpConfig, key: Option<&str>, max_in_flight: usize) -> Result<Self, String> {
        let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        if let (Some(key), Some(variable)) = (key, &config.api_key_env) {
            // Azure and others want the bare key in a header of their own.
            let (name, value) = match &config.api_key_header {
                Some(name) => (header_name(name)?, key.to_owned()),
                None => (AUTHORIZATION, format!("Bearer {key}")),
            };
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| format!("the API key in {variable} has characters that no header can carry"))?;
            // So that no debug output prints it.
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        let url = address(&config.base_url)?;
        let chosen = proxy::choose(&url, |name| std::env::var(name).ok())?;
        let client = Client::builder()
            .default_headers(headers)
            // Three limits of time: of the whole request, of connecting, and of silence in the middle of a reply.
            .timeout(config.timeout)
            .connect_timeout(config.connect_timeout)
            .read_timeout(config.read_timeout)
            .redirect(redirect::Policy::none())
            // A connection for each request in flight is kept: a new one costs a handshake.
            .pool_max_idle_per_host(max_in_flight)
            // A connection that a firewall forgot fails at last instead of hanging.
            .tcp_keepalive(Duration::from_secs(30))
            // The environment's proxies would get http requests to read, also those to this machine.
            .no_proxy();
        let (client, proxy) = match chosen {
            Some(chosen) => (client.proxy(chosen.proxy), Some(chosen.told)),
            None => (client, None),
        };
        Ok(Self {
            client: client.build().map_err(|error| format!("cannot set up HTTP: {error}"))?,
            url,
            redactor: Redactor::new(key),
            max_reply_bytes: config.max_reply_bytes,
            proxy,
        })
    }

    /// The proxy that requests go through, in words.
    pub(super) fn proxy(&self) -> Option<&str> {
        self.proxy.as_deref()
    }

    /// The address that requests go to. Of a query only the names, but for a version's: a value may be a secret.
    pub(super) fn shown_url(&self) -> String {
        let mut shown = self.url.clone();
        shown.set_query(None);
        let pairs: Vec<String> = self.url.query_pairs().map(|(name, value)| shown_pair(&name, &value)).collect();
        if pairs.is_empty() { shown.to_string() } else { format!("{shown}?{}", pairs.join("&")) }
    }

    /// Takes the key out of what a server sends back.
    pub(super) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    /// Sends a request and reads the whole reply. Once: who sends it again decides that with the ledger and the gate.
    pub(super) async fn post(&self, body: Vec<u8>) -> Result<Response, Lost> {
        let mut response =
            self.client.post(self.url.clone()).body(body).send().await.map_err(|error| self.lost(&error))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.lost(&error))? {
            if body.len() + chunk.len() > self.max_reply_bytes {
                return Err(Lost::underway(format!("the reply is longer than {} bytes", self.max_reply_bytes)));
            }
            body.extend_from_slice(&chunk);
        }
        self.redactor.clean(&mut body);
        Ok(Response { status, headers, body })
    }

    /// Why a request has no reply, and how far it came: by the innermost cause, since the outer ones only say "error
    /// sending request".
    fn lost(&self, error: &reqwest::Error) -> Lost {
        // reqwest's own text holds the URL only; the cause says what happened.
        let mut cause: &dyn std::error::Error = error;
        let mut is_full = too_many_files(cause);
        while let Some(deeper) = cause.source() {
            cause = deeper;
            is_full |= too_many_files(cause);
        }
        if is_full {
            let message =
                "too many files are open for another connection: raise the limit (ulimit -n), or lower max_in_flight";
            return Lost { message: message.to_owned(), place: Where::Here };
        }
        let mut message = if error.is_timeout() { "no reply in time".to_owned() } else { cause.to_string() };
        self.redactor.clean_text(&mut message);
        Lost { message, place: if error.is_connect() { Where::Unsent } else { Where::Underway } }
    }
}

/// EMFILE (24), of this process, or ENFILE (23), of the machine, by their numbers on Linux.
fn too_many_files(error: &(dyn std::error::Error + 'static)) -> bool {
    let code = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::raw_os_error);
    matches!(code, Some(23 | 24))
}

/// The key in `variable`. Neither its value nor a part of it gets into the error.
fn key_in(variable: &str) -> Result<String, String> {
    std::env::var(variable)
        .ok()
        .map(|key| key.trim().to_owned())
        .filter(|key| !key.is_empty())
        .ok_or_else(|| format!("the environment variable {variable} holds no API key: export {variable}=..."))
}

fn shown_pair(name: &str, value: &str) -> String {
    format!("{name}={}", if name == "api-version" { value } else { ".." })
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    // Not repeated: it may be the key, put into the wrong place.
    name.parse().map_err(|_| "api_key_header is no name of a header, like \"api-key\"".to_owned())
}

/// The address of the API; a query of the base address (Azure's `api-version`) stays behind the path.
fn address(base: &str) -> Result<Url, String> {
    let mut url = Url::parse(base).map_err(|error| format!("base_url {base:?} is no address: {error}"))?;
    let path = format!("{}/{PATH}", url.path().trim_end_matches('/'));
    url.set_path(&path);
    Ok(url)
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
    fn too_many_open_files_are_told_from_a_server_that_is_down() {
        for (code, here) in [(24, true), (23, true), (111, false)] {
            assert_eq!(too_many_files(&std::io::Error::from_raw_os_error(code)), here, "{code}");
        }
    }
}
