//! Whom a server lets in: options that the page of a run and a student's service have both.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Result;
use candist::Error;
use clap::Args;

/// See the module. To be flattened into the arguments of a verb.
#[derive(Debug, Args)]
pub(super) struct AccessArgs {
    /// Take the token from the first line of this file, instead of making one; it is then needed at any address.
    #[arg(long, value_name = "FILE", conflicts_with = "no_token")]
    token_file: Option<PathBuf>,
    /// Let everybody in who can reach the address: something in front of it decides who can.
    #[arg(long)]
    no_token: bool,
    /// A name that it is reached by, besides its address and localhost; may be given several times.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,
}

/// An address to listen at: a port is one of this machine alone, and `localhost` a name for it.
pub(super) fn address(typed: &str) -> Result<SocketAddr, String> {
    let loopback = |port: &str| port.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
    let (host, port) = typed.rsplit_once(':').unwrap_or(("", typed));
    let found = if ["", "localhost"].contains(&host) { loopback(port) } else { typed.parse().ok() };
    found.ok_or_else(|| "expected an address and a port, like 127.0.0.1:8090, or a port alone".to_owned())
}

/// Characters of a token, at least: a shorter one could be guessed.
const TOKEN: usize = 16;

impl AccessArgs {
    /// What whoever asks must have, where that was given.
    pub(super) fn token(&self) -> Result<Option<String>> {
        self.token_file.as_deref().map(token).transpose()
    }

    /// Whether everybody is let in.
    pub(super) fn is_open(&self) -> bool {
        self.no_token
    }

    /// Names of the server.
    pub(super) fn hosts(&self) -> Vec<String> {
        self.host.clone()
    }

    /// An option that was given, if any was.
    pub(super) fn given(&self) -> Option<&'static str> {
        let given = [
            ("--token-file", self.token_file.is_some()),
            ("--no-token", self.no_token),
            ("--host", !self.host.is_empty()),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }

    /// Says how others reach `address`, and warns where everybody who does can do `what`.
    pub(super) fn tell_reach(&self, address: SocketAddr, what: &str) {
        if address.ip().is_unspecified() && self.host.is_empty() {
            tracing::info!("from another machine, put this one's address in place of 127.0.0.1");
        }
        if self.no_token && !address.ip().is_loopback() {
            tracing::warn!("whoever can reach {address} can {what}: there is no token");
        }
    }
}

/// The token in a file.
fn token(path: &Path) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|source| Error::Input {
        what: "token",
        path: path.to_owned(),
        source,
    })?;
    let token = text.lines().next().unwrap_or_default().trim();
    let is_plain = token.chars().all(|character| character.is_ascii_alphanumeric() || "-_.~".contains(character));
    if token.len() < TOKEN || !is_plain {
        let message = format!(
            "has no token in its first line: write at least {TOKEN} letters, digits, `-`, `_`, `.` or `~` there \
             (`openssl rand -hex 16` makes some)"
        );
        return Err(Error::Unfit { path: path.to_owned(), message }.into());
    }
    Ok(token.to_owned())
}
