//! Runs that a worker asks for, as their trainers set them up, and what it spends on each.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, OnceLock};

use tokio::sync::{Mutex, Semaphore};

use super::database::Session;
use super::folder::Folder;
use super::purse::SharedPurse;
use super::runs::Open;
use crate::config::TeacherConfig;
use crate::domain::label::LabelSet;
use crate::teacher::Teacher;
use crate::teacher::ledger::{Ledger, Purse};

/// A teacher of a run that is served.
pub(super) struct Served {
    pub(super) teacher: Arc<dyn Teacher>,
    /// What may be claimed at a time.
    pub(super) room: Arc<Semaphore>,
    /// Why it cannot be asked from here, once that was found out.
    pub(super) broken: OnceLock<String>,
    /// Whether the trainer knows.
    pub(super) told: AtomicBool,
}

impl Served {
    pub(super) fn new(config: &TeacherConfig, teacher: Arc<dyn Teacher>) -> Self {
        // A few more than may be in flight, so that the next one is there when one comes back.
        let room = match config {
            TeacherConfig::OpenAi(openai) => openai.limits.max_in_flight + openai.limits.max_in_flight / 4 + 1,
            TeacherConfig::Recorded(_) => 1,
        };
        Self { teacher, room: Arc::new(Semaphore::new(room)), broken: OnceLock::new(), told: AtomicBool::new(false) }
    }

    pub(super) fn breaks(&self, reason: &str) {
        // The first reason is the cause of those that follow.
        let _ = self.broken.set(reason.to_owned());
    }
}

/// A run that is served, as its trainer of one epoch set it up.
pub(super) struct Serving {
    pub(super) run: i64,
    pub(super) epoch: i64,
    pub(super) labels: Option<LabelSet>,
    /// None where they cannot be set up from here.
    pub(super) teachers: Vec<Arc<Served>>,
    pub(super) ledger: Arc<Ledger>,
    /// As last seen.
    pub(super) asked_all: bool,
    pub(super) stopped: bool,
    /// Holds what the teachers read.
    pub(super) folder: Option<Folder>,
}

impl Serving {
    pub(super) fn new(open: &Open, ledger: Arc<Ledger>) -> Self {
        Self {
            run: open.run,
            epoch: open.epoch,
            labels: None,
            teachers: Vec::new(),
            ledger,
            asked_all: false,
            stopped: false,
            folder: None,
        }
    }
}

/// What this worker spends on a run, whichever trainer it has.
#[derive(Clone)]
pub(super) struct Account {
    pub(super) ledger: Arc<Ledger>,
    pub(super) purse: Option<Arc<SharedPurse>>,
}

impl Account {
    pub(super) fn new(side: &Arc<Mutex<Session>>, worker: i64, run: i64, capped: bool) -> Self {
        if !capped {
            return Self { ledger: Ledger::new(None), purse: None };
        }
        let purse = SharedPurse::new(Arc::clone(side), worker, run);
        let ledger = Ledger::from_purse(Arc::clone(&purse) as Arc<dyn Purse>);
        Self { ledger, purse: Some(purse) }
    }
}
