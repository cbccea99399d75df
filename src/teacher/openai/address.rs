//! What teachers share: by address and key the gate and the breaker, by model too the limits per minute and the
//! dialect.
//!
//! What is shared is what the provider counts together. Entries stay for the life of the `Addresses` that holds them,
//! which is as many as a program's configurations name.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::breaker::Breaker;
use super::dialect::Dialects;
use super::gate::Gate;
use super::limits::Sent;
use super::memory::Memory;
use super::stop::Stop;
use crate::config::{OpenAiConfig, is_loopback};
use crate::domain::sample::{short_hash, to_hex};
use crate::teacher::peers::Peers;

/// An address as one key sees it: providers limit accounts. The key itself is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Account {
    base_url: String,
    key: Option<[u8; 16]>,
}

impl Account {
    pub(super) fn of(config: &OpenAiConfig, key: Option<&str>) -> Self {
        Self { base_url: config.http.base_url.clone(), key: key.map(|key| short_hash(&[b"key", key.as_bytes()])) }
    }
}

/// What requests to one address have in common.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) gate: Arc<Gate>,
    pub(super) breaker: Breaker,
    /// What other processes call it.
    name: String,
    peers: Option<Arc<dyn Peers>>,
}

impl Address {
    /// Nothing is sent for `length` from now, and what is sent by other processes waits too.
    pub(super) fn rest(&self, length: Duration) {
        self.gate.rest(length);
        self.tell_peers(length);
    }

    /// Other processes send nothing for `length` either.
    pub(super) fn tell_peers(&self, length: Duration) {
        if let Some(peers) = &self.peers {
            peers.pause(&self.name, length);
        }
    }
}

/// See the module.
#[derive(Debug, Default)]
pub(in crate::teacher) struct Shared {
    addresses: HashMap<Account, Arc<Address>>,
    sent: HashMap<(Account, String), Arc<Sent>>,
    dialects: HashMap<(Account, String), Arc<Dialects>>,
    /// What was said of addresses, so that several teachers there do not say it again.
    told: HashSet<String>,
    /// Other processes that ask the same.
    peers: Option<Arc<dyn Peers>>,
}

impl Shared {
    #[cfg(feature = "shared")]
    pub(in crate::teacher) fn with_peers(peers: Arc<dyn Peers>) -> Self {
        Self { peers: Some(peers), ..Self::default() }
    }

    /// Others found that an address wants nothing for so long: whichever key asks there.
    #[cfg(feature = "shared")]
    pub(in crate::teacher) fn rest(&self, name: &str, length: Duration) {
        self.addresses.values().filter(|address| address.name == name).for_each(|address| address.gate.rest(length));
    }

    #[cfg(feature = "shared")]
    pub(in crate::teacher) fn names(&self) -> Vec<String> {
        self.addresses.values().map(|address| address.name.clone()).collect()
    }

    pub(super) fn peers(&self) -> Option<Arc<dyn Peers>> {
        self.peers.clone()
    }

    pub(super) fn address(&mut self, account: &Account) -> Arc<Address> {
        let peers = self.peers.clone();
        let new = || {
            let name =
                to_hex(short_hash(&[b"address", account.base_url.as_bytes(), machine(&account.base_url).as_bytes()]));
            Arc::new(Address { gate: Gate::new(), breaker: Breaker::default(), name, peers })
        };
        Arc::clone(self.addresses.entry(account.clone()).or_insert_with(new))
    }

    /// What is sent to `model`: providers limit each model of an account by itself.
    pub(super) fn sent(&mut self, account: &Account, model: &str) -> Arc<Sent> {
        Arc::clone(self.sent.entry((account.clone(), model.to_owned())).or_default())
    }

    /// The dialect for what `place` names; begins with what the run remembers.
    pub(super) fn dialects(
        &mut self,
        account: &Account,
        place: &str,
        config: &OpenAiConfig,
        run: &Set,
    ) -> Arc<Dialects> {
        // By account too: a provider may let one key use what it refuses another.
        let key = (account.clone(), place.to_owned());
        let new = || Arc::new(Dialects::new(config.prompt.output, config.prompt.logprobs, run.memory.recall(place)));
        Arc::clone(self.dialects.entry(key).or_insert_with(new))
    }

    /// Whether `message` is told for the first time.
    pub(super) fn is_news(&mut self, message: &str) -> bool {
        self.told.insert(message.to_owned())
    }
}

/// The name of a model at an address, and of what it is asked for first, in files: a hash, since addresses may hold secrets.
pub(super) fn place(config: &OpenAiConfig) -> String {
    let first = format!("{:?} {}", config.prompt.output, config.prompt.logprobs);
    to_hex(short_hash(&[config.http.base_url.as_bytes(), config.model.as_bytes(), first.as_bytes()]))
}

/// The name of what limits per minute are for, in files. Without the key: a hash of it on disk could be tried out
/// against guesses, and who changes keys within a minute waits a little too long at worst.
pub(super) fn limited(config: &OpenAiConfig) -> String {
    to_hex(short_hash(&[config.http.base_url.as_bytes(), config.model.as_bytes()]))
}

/// What [`limited`] is called among several machines.
pub(super) fn limited_everywhere(config: &OpenAiConfig) -> String {
    let url = &config.http.base_url;
    to_hex(short_hash(&[url.as_bytes(), config.model.as_bytes(), machine(url).as_bytes()]))
}

/// Which machine an address is on, where it is one on each: `localhost` here is not that of others.
fn machine(url: &str) -> String {
    let is_here = reqwest::Url::parse(url).is_ok_and(|url| is_loopback(&url));
    if is_here { std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default() } else { String::new() }
}

/// The teachers of one run.
#[derive(Debug)]
pub(in crate::teacher) struct Set {
    /// Of the run's directory, for all of its teachers.
    pub(super) memory: Arc<Memory>,
    stops: HashMap<Account, Arc<Stop>>,
}

impl Set {
    /// Teachers of the run in `dir`.
    pub(in crate::teacher) fn new(dir: &Path) -> Self {
        Self { memory: Arc::new(Memory::read(dir)), stops: HashMap::new() }
    }

    /// What stops those at one address.
    pub(super) fn stop(&mut self, account: &Account) -> Arc<Stop> {
        Arc::clone(self.stops.entry(account.clone()).or_default())
    }
}
