//! The page's own files, which are part of the program. Each has a tag of its content: a browser asks again, and is told that
//! nothing has changed.

use axum::body::Body;
use axum::http::header::{self, HeaderMap, HeaderValue};
use axum::http::{Response, StatusCode};

/// A file of the page.
struct Asset {
    name: &'static str,
    bytes: &'static [u8],
}

// `ASSETS`: what is in src/page/assets, written by build.rs.
include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// By how a name ends.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, end)| end) {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// The file `name`, or that it is as the browser has it; `None` where there is none.
pub(super) fn asset(name: &str, asked: &HeaderMap) -> Option<Response<Body>> {
    let asset = ASSETS.iter().find(|asset| asset.name == name)?;
    let hash = blake3::hash(asset.bytes).to_hex();
    let tag = format!("\"{}\"", hash.get(..32).unwrap_or_default());
    let has = asked.get(header::IF_NONE_MATCH).and_then(|tags| tags.to_str().ok());
    let is_known = has.is_some_and(|tags| tags.split(',').any(|known| known.trim() == tag));
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(asset.bytes) });
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.extend(HeaderValue::from_str(&tag).ok().map(|tag| (header::ETAG, tag)));
    Some(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_there_with_their_types() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/page/assets");
        let mut count = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if content_type(&name) != "application/octet-stream" {
                assert!(asset(&name, &HeaderMap::new()).is_some(), "{name}");
                count += 1;
            }
        }
        assert_eq!(count, ASSETS.len());
        assert!(asset("../mod.rs", &HeaderMap::new()).is_none());
    }

    #[test]
    fn what_a_browser_has_is_not_sent_again() {
        let first = asset("index.html", &HeaderMap::new()).unwrap();
        let mut asked = HeaderMap::new();
        asked.insert(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone());
        assert_eq!(asset("index.html", &asked).unwrap().status(), StatusCode::NOT_MODIFIED);
        asked.insert(header::IF_NONE_MATCH, HeaderValue::from_static("\"other\""));
        assert_eq!(asset("index.html", &asked).unwrap().status(), StatusCode::OK);
    }
}
