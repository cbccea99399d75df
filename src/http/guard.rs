//! Who may ask what. Stands before all routes.
//!
//! A Host that is not ours: another name that leads to this machine is how a site of somebody else would read the page from a
//! browser that can reach it. An Origin, or a fetch, of another site. A change without a header that no form can send. And,
//! where a token is in force, whoever does not have it. Every answer, refusals included, is sent with the same policy.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri};

/// Nothing but what this server sends, no script or style within a page, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      font-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What a change needs, so that no form of another site can send it.
pub(crate) const CHANGES: HeaderName = HeaderName::from_static("x-candist");

/// What is let in.
#[derive(Debug)]
pub(crate) struct Guard {
    address: SocketAddr,
    /// Names besides those of the address, in lower case.
    hosts: Vec<String>,
    /// What a token has to hash to, where one is needed. Hashes are compared in a time that does not depend on them.
    token: Option<blake3::Hash>,
    /// Whether what is no GET changes something.
    changes: bool,
}

/// That a request is let in.
#[derive(Debug, PartialEq)]
pub(crate) enum Admitted {
    /// As it is.
    Yes,
    /// It had the token in its address: the browser is to keep it, and to go there without it.
    Keep {
        /// The cookie.
        cookie: String,
        /// Where to go.
        to: String,
    },
}

/// Why a request is not let in.
#[derive(Debug, PartialEq)]
pub(crate) struct Refused(pub(crate) StatusCode, pub(crate) &'static str);

const OTHER_HOST: Refused = Refused(
    StatusCode::FORBIDDEN,
    "this name is not the server's own: take the address that candist printed, or start it with --host NAME",
);
const OTHER_SITE: Refused =
    Refused(StatusCode::FORBIDDEN, "asked from another site: open the address that candist printed instead");
const NO_TOKEN: Refused = Refused(
    StatusCode::UNAUTHORIZED,
    "open the address that candist printed, with its token; a program sends the header Authorization: Bearer TOKEN",
);
const NO_HEADER: Refused = Refused(
    StatusCode::FORBIDDEN,
    "what changes something needs the header X-Candist: 1, so that no other site can send it",
);

/// Adds what every answer has.
pub(crate) fn protect(headers: &mut HeaderMap) {
    for (name, value) in HEADERS {
        // The report has a policy of its own, since its styles are part of it.
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    // What is said of a run is of the moment; assets say otherwise themselves.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

impl Guard {
    /// For a server at `address` that also goes by the names `hosts`.
    pub(crate) fn new(address: SocketAddr, hosts: &[String], token: Option<&str>) -> Self {
        let hosts = hosts.iter().map(|host| host.to_ascii_lowercase()).collect();
        Self { address, hosts, token: token.map(|token| blake3::hash(token.as_bytes())), changes: true }
    }

    /// The same where nothing can be changed: what is posted needs no header of its own. (A site of somebody else is
    /// refused all the same.)
    pub(crate) fn without_changes(self) -> Self {
        Self { changes: false, ..self }
    }

    /// Whether the request is let in. `is_open` is what needs no token: it says nothing of the run.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) fn admit(&self, request: &Parts, is_open: bool) -> Result<Admitted, Refused> {
        let host = host(request).ok_or(OTHER_HOST)?;
        if !self.is_ours(name(host)) {
            return Err(OTHER_HOST);
        }
        if !is_of_this_site(&request.headers, host) {
            return Err(OTHER_SITE);
        }
        let admitted = if is_open { Admitted::Yes } else { self.has_token(request)? };
        let changes = self.changes && !matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS);
        if changes && request.headers.get(CHANGES).is_none_or(|value| value != "1") {
            return Err(NO_HEADER);
        }
        Ok(admitted)
    }

    /// Whether `name` is one of the server's own. Which port it was reached by does not matter: a tunnel has its own.
    fn is_ours(&self, name: &str) -> bool {
        let ip = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name).parse::<IpAddr>().ok();
        let listens = self.address.ip();
        match ip {
            // An address is no name that somebody could have lead here.
            Some(ip) => ip.is_loopback() || ip == listens || listens.is_unspecified() || self.is_named(name),
            None => name.eq_ignore_ascii_case("localhost") || self.is_named(name),
        }
    }

    fn is_named(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name))
    }

    fn has_token(&self, request: &Parts) -> Result<Admitted, Refused> {
        let Some(token) = self.token else { return Ok(Admitted::Yes) };
        let is_it = |given: &str| blake3::hash(given.as_bytes()) == token;
        let bearer = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let bearer = bearer.and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|given| is_it(given.trim())) || self.cookies(&request.headers).any(is_it) {
            // In the address it would stay in the browser's history.
            return Ok(self.keep(&request.uri, &request.method, is_it).unwrap_or(Admitted::Yes));
        }
        self.keep(&request.uri, &request.method, is_it).ok_or(NO_TOKEN)
    }

    /// Cookies have no port, so each server's has its own name.
    fn cookie_name(&self) -> String {
        format!("candist-{}", self.address.port())
    }

    fn cookies<'a>(&self, headers: &'a HeaderMap) -> impl Iterator<Item = &'a str> + use<'a> {
        let name = self.cookie_name();
        let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
        let pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
        pairs.filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    fn keep(&self, uri: &Uri, method: &Method, is_it: impl Fn(&str) -> bool) -> Option<Admitted> {
        let given = uri.query()?.split('&').find_map(|pair| pair.strip_prefix("token="))?;
        if method != Method::GET || !is_it(given) {
            return None;
        }
        let rest: Vec<&str> =
            uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("token=")).collect();
        let query = if rest.is_empty() { String::new() } else { format!("?{}", rest.join("&")) };
        // One slash: with two, what follows would be another server's name.
        let to = format!("/{}{query}", uri.path().trim_start_matches(['/', '\\']));
        let cookie = format!("{}={given}; HttpOnly; SameSite=Strict; Path=/", self.cookie_name());
        Some(Admitted::Keep { cookie, to })
    }
}

/// Whom the request is addressed to, with its port; `None` where it says nothing, or two things.
fn host(request: &Parts) -> Option<&str> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = hosts.next()?.to_str().ok().filter(|host| !host.is_empty())?;
    let is_one = hosts.next().is_none() && request.uri.authority().is_none_or(|uri| uri.as_str() == host);
    is_one.then_some(host)
}

/// `host` without its port, which is digits: anything else after a colon makes it nobody's name.
fn name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// Whether no other site asks. Browsers say who asks where it matters; a program says nothing. Following a link to the page
/// from elsewhere is no harm.
fn is_of_this_site(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("null"));
    let is_origin = |origin: &str| {
        let authority = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host))
    };
    let is_foreign_fetch = text("sec-fetch-site").is_some_and(|site| !["same-origin", "none"].contains(&site))
        && text("sec-fetch-mode") != Some("navigate");
    text("origin").is_none_or(is_origin) && !is_foreign_fetch
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn guard(address: &str, token: Option<&str>) -> Guard {
        Guard::new(address.parse().unwrap(), &["Box.example".to_owned()], token)
    }

    fn ask(guard: &Guard, method: &str, uri: &str, headers: &[(&str, &str)]) -> Result<Admitted, u16> {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        guard.admit(&parts, false).map_err(|refused| refused.0.as_u16())
    }

    #[test]
    fn only_our_own_names_are_answered() {
        let loopback = guard("127.0.0.1:8088", None);
        for (host, is_ours) in [
            ("localhost:8088", true),
            ("LOCALHOST", true),
            ("127.0.0.1:9000", true),
            ("[::1]:8088", true),
            ("box.example:8088", true),
            ("192.168.0.7:8088", false),
            ("evil.example:8088", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("localhost:8088@evil.example", false),
            ("[::1]", true),
            ("[::2]:8088", false),
            ("", false),
        ] {
            assert_eq!(ask(&loopback, "GET", "/", &[("host", host)]).is_ok(), is_ours, "{host}");
        }
        assert!(ask(&loopback, "GET", "/", &[]).is_err());
        assert!(ask(&loopback, "GET", "/", &[("host", "localhost"), ("host", "localhost")]).is_err());
        assert!(ask(&loopback, "GET", "http://evil.example/", &[("host", "localhost")]).is_err());
        // Who listens everywhere is reached by any address of the machine, but by no name that was not given.
        let everywhere = guard("0.0.0.0:8088", None);
        for (host, is_ours) in [("192.168.0.7:8088", true), ("evil.example", false), ("box.example", true)] {
            assert_eq!(ask(&everywhere, "GET", "/", &[("host", host)]).is_ok(), is_ours, "{host}");
        }
    }

    #[test]
    fn other_sites_ask_nothing_and_changes_need_their_header() {
        let guard = guard("127.0.0.1:8088", None);
        let host = ("host", "localhost:8088");
        let get = |more: &[(&str, &str)]| ask(&guard, "GET", "/api/v1/run", &[&[host], more].concat()).is_ok();
        assert!(
            get(&[]) && get(&[("origin", "http://localhost:8088")]) && get(&[("origin", "https://LOCALHOST:8088")])
        );
        for origin in ["http://evil.example", "null", "http://localhost:8089", "http://localhost:8088.evil.example"] {
            assert!(!get(&[("origin", origin)]), "{origin}");
        }
        assert!(get(&[("sec-fetch-site", "same-origin")]));
        assert!(!get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(get(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        for method in ["POST", "DELETE", "PUT", "PATCH"] {
            assert_eq!(ask(&guard, method, "/", &[host]), Err(403), "{method}");
            assert_eq!(ask(&guard, method, "/", &[host, ("x-candist", "1")]), Ok(Admitted::Yes));
        }
    }

    #[test]
    fn where_nothing_can_be_changed_no_header_is_needed_and_other_sites_are_refused_still() {
        let guard = guard("127.0.0.1:8089", None).without_changes();
        let host = ("host", "localhost:8089");
        assert_eq!(ask(&guard, "POST", "/", &[host]), Ok(Admitted::Yes));
        assert_eq!(ask(&guard, "POST", "/", &[host, ("origin", "http://evil.example")]), Err(403));
        assert_eq!(ask(&guard, "POST", "/", &[host, ("sec-fetch-site", "cross-site")]), Err(403));
        assert_eq!(ask(&guard, "POST", "/", &[("host", "evil.example")]), Err(403));
    }

    #[test]
    fn a_token_is_taken_from_the_address_a_cookie_or_a_header() {
        let guard = guard("0.0.0.0:8088", Some("secret"));
        let host = ("host", "10.0.0.1:8088");
        let get = |uri: &str, more: &[(&str, &str)]| ask(&guard, "GET", uri, &[&[host], more].concat());
        assert_eq!(get("/", &[]), Err(401));
        assert_eq!(get("/?token=other", &[]), Err(401));
        let to = |to: &str| {
            let cookie = "candist-8088=secret; HttpOnly; SameSite=Strict; Path=/".to_owned();
            Ok(Admitted::Keep { cookie, to: to.to_owned() })
        };
        assert_eq!(get("/?token=secret", &[]), to("/"));
        assert_eq!(get("/x?a=1&token=secret&b=2", &[]), to("/x?a=1&b=2"));
        assert_eq!(get("//evil.example/?token=secret", &[]), to("/evil.example/"));
        assert_eq!(get("/", &[("cookie", "a=b; candist-8088=secret")]), Ok(Admitted::Yes));
        assert_eq!(get("/", &[("cookie", "candist-8089=secret")]), Err(401));
        assert_eq!(get("/", &[("authorization", "Bearer secret")]), Ok(Admitted::Yes));
        assert_eq!(get("/", &[("authorization", "Bearer secre")]), Err(401));
        assert_eq!(ask(&guard, "POST", "/?token=secret", &[host, ("x-candist", "1")]), Err(401));
    }
}
