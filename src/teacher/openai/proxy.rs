//! Which proxy requests go through: none, unless the environment names one and it cannot see what is inside.
//!
//! A proxy gets an https request as an encrypted tunnel, but an http request with key and text to read. So http goes through
//! none, and what stays on this machine never leaves it.

use reqwest::{NoProxy, Proxy, Url};

use crate::config::is_loopback;

/// A proxy, and its address as it may be told.
#[derive(Debug)]
pub(super) struct Chosen {
    pub(super) proxy: Proxy,
    pub(super) told: String,
}

/// The proxy for requests to `url` by the variables of the environment, which `variable` looks up.
pub(super) fn choose(url: &Url, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Chosen>, String> {
    if url.scheme() != "https" || is_loopback(url) {
        return Ok(None);
    }
    const NAMES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
    // An empty variable is how people unset one.
    let set = |name: &&str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let Some((name, value)) = NAMES.iter().find_map(|name| Some((*name, set(name)?))) else { return Ok(None) };
    // Its value may hold a password: it is not repeated.
    let wrong = |why: String| {
        format!(
            "the proxy in {name} cannot be used ({why}): set it to http://HOST:PORT or https://HOST:PORT, or unset it"
        )
    };
    // `HOST:PORT` is what most tools take, too. The scheme is that of the way to the proxy; what goes through it is
    // encrypted either way.
    let value = if value.contains("://") { value } else { format!("http://{value}") };
    let mut shown = Url::parse(&value).map_err(|error| wrong(error.to_string()))?;
    if !matches!(shown.scheme(), "http" | "https") {
        return Err(wrong(format!("it is a {} proxy", shown.scheme())));
    }
    let proxy = Proxy::https(&value).map_err(|_| wrong("it is no address".to_owned()))?.no_proxy(NoProxy::from_env());
    // Both fail only for addresses that can have neither.
    let _ = (shown.set_username(""), shown.set_password(None));
    let (host, shown) = (url.host_str().unwrap_or_default(), shown.as_str().trim_end_matches('/'));
    // Whether it names this host is for reqwest to decide; what is told must be true in both cases.
    let unless = ["NO_PROXY", "no_proxy"].iter().any(|name| set(name).is_some());
    let unless = if unless { ", unless NO_PROXY names it" } else { "" };
    Ok(Some(Chosen { proxy, told: format!("requests to {host} go through the proxy {shown} ({name}){unless}") }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        choose(&url.parse().unwrap(), variable).map(|chosen| chosen.map(|chosen| chosen.told))
    }

    #[test]
    fn only_what_is_encrypted_and_leaves_the_machine_goes_through_a_proxy() {
        let all =
            ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"].map(|name| (name, "http://me:secret@p:3128"));
        for url in [
            "http://127.0.0.1:1/v1",
            "https://127.0.0.1:1",
            "https://localhost",
            "https://[::1]",
            "http://x.example/v1",
        ] {
            assert_eq!(told(url, &all), Ok(None), "{url}");
        }
        let through = told("https://x.example/v1", &all).unwrap().unwrap();
        assert_eq!(through, "requests to x.example go through the proxy http://p:3128 (HTTPS_PROXY)");
        let bare = [("all_proxy", "p:3128"), ("NO_PROXY", "y.example")];
        let through = told("https://x.example/v1", &bare).unwrap().unwrap();
        assert!(through.contains("http://p:3128 (all_proxy), unless NO_PROXY names it"), "{through}");
        assert_eq!(told("https://x.example/v1", &[("HTTP_PROXY", "p:1"), ("HTTPS_PROXY", " ")]), Ok(None));
    }

    #[test]
    fn a_proxy_that_cannot_be_used_is_named_without_its_password() {
        let error = told("https://x.example", &[("ALL_PROXY", "socks5://me:secret@p:1")]).unwrap_err();
        assert!(error.contains("ALL_PROXY") && error.contains("socks5") && !error.contains("secret"), "{error}");
    }
}
