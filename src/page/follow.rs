//! The thread that reads the logs as they grow and keeps the table: what a run wrote is shown a fraction of a second later.
//! It looks only: no lock, no write. What it finds wrong with the files it tells, and goes on.
//!
//! Inputs come first, since events name texts by id: an event whose text is not known yet has its arrival looked for, and
//! only then is an orphan.

use std::path::Path;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::given::Given;
use super::lines::Lines;
use super::rows::Table;
use super::sampled::Sampled;
use super::shapes::{RowsChanged, StatusNow};
use super::shared::{Pulse, Shared};
use crate::domain::event::LabelEvent;
use crate::domain::input::Input;
use crate::domain::status::Status;
use crate::error::{Error, Result, with_causes};
use crate::store::{Follow, FollowInput, INPUTS, InputTail, RunDir, RunView, Tail};

/// How often it looks. A look is some reads and stats.
const LOOK: Duration = Duration::from_millis(200);
/// Events that are taken in at once: readers wait for no more.
const TOGETHER: usize = 2048;
/// Bytes of texts, about, that are held for it.
const TEXTS: usize = 8 << 20;
/// Sentences about damage that are kept.
const TOLD: usize = 4;

/// The thread, until this is dropped.
#[derive(Debug)]
pub(super) struct Following {
    stop: Option<mpsc::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Following {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Follows the run in `dir` by a thread, "candist-page".
///
/// # Errors
///
/// [`Error::NoRun`] where there is none, [`Error::Unconverted`] where there is no input log yet, those of a log that cannot
/// be read, and [`Error::Threads`].
pub(super) fn follow(dir: &Path) -> Result<(Arc<Shared>, Following)> {
    let view = RunDir::view(dir)?;
    let mut inputs = InputTail::new(dir);
    let FollowInput::Begin(header, names) = inputs.poll()? else {
        return Err(Error::Unconverted { path: dir.to_owned() });
    };
    let mut table = Table::new(header.task, names);
    table.inputs = lines(inputs.file())?.map(|lines| (lines, inputs.end()));
    let (pulse, _) = watch::channel(Pulse::default());
    let shared = Arc::new(Shared { dir: dir.to_owned(), table: RwLock::new(table), pulse });
    let follower = Follower {
        view,
        shared: Arc::clone(&shared),
        inputs,
        labels: Tail::new(dir),
        given: Given::of(dir),
        sampled: Sampled::of(dir),
        damage: Damage::default(),
        is_reading: true,
    };
    follower.tell();
    let (stop, stopped) = mpsc::channel();
    let thread = std::thread::Builder::new()
        .name("candist-page".to_owned())
        .spawn(move || follower.run(&stopped))
        .map_err(Error::no_thread)?;
    Ok((shared, Following { stop: Some(stop), thread: Some(thread) }))
}

fn lines(file: Option<std::io::Result<std::fs::File>>) -> Result<Option<Lines>> {
    file.transpose().map(|file| file.map(Lines::new)).map_err(Error::run_file("open", Path::new("a log")))
}

/// What is wrong with the files.
#[derive(Debug, Default)]
struct Damage {
    inputs: u64,
    labels: u64,
    /// Events of texts that the input log does not have.
    orphans: u64,
    /// The first of each, in words.
    told: Vec<String>,
    /// Why a log cannot be read just now.
    unreadable: [Option<String>; 4],
}

impl Damage {
    fn tell(&mut self, what: impl FnOnce() -> String) {
        if self.told.len() < TOLD {
            self.told.push(what());
        }
    }
}

struct Follower {
    view: RunView,
    shared: Arc<Shared>,
    inputs: InputTail,
    labels: Tail,
    given: Given,
    sampled: Sampled,
    damage: Damage,
    is_reading: bool,
}

impl Follower {
    fn run(mut self, stopped: &mpsc::Receiver<()>) {
        let mut told = Instant::now();
        loop {
            let is_behind = self.look();
            self.is_reading &= is_behind;
            if !is_behind || told.elapsed() >= LOOK {
                self.tell();
                told = Instant::now();
            }
            let wait = if is_behind { Duration::ZERO } else { LOOK };
            if !matches!(stopped.recv_timeout(wait), Err(RecvTimeoutError::Timeout)) {
                return;
            }
        }
    }

    /// Takes in a part of what there is; true where there is more.
    fn look(&mut self) -> bool {
        if self.look_at_inputs() || self.look_at_labels() {
            return true;
        }
        self.look_at_corrections();
        self.look_at_audits();
        false
    }

    /// What people decided beside this page, or before it; what they decided here is in the table.
    fn look_at_corrections(&mut self) {
        if !self.given.is_due(&self.shared.table()) {
            return;
        }
        let decided = self.given.read(&self.shared.table());
        match decided {
            Ok(decided) => {
                self.damage.unreadable[2] = None;
                if decided.is_empty() {
                    return;
                }
                let mut table = self.shared.change();
                decided.into_iter().for_each(|(position, label)| table.give(position, label));
            }
            Err(error) => self.damage.unreadable[2] = Some(with_causes(&error)),
        }
    }

    /// What was drawn and said beside this page; every change is told, so that all pages show how far an audit is.
    fn look_at_audits(&mut self) {
        if !self.sampled.is_due(&self.shared.table()) {
            return;
        }
        let sampled = self.sampled.read(&self.shared.table());
        match sampled {
            Ok(sampled) => {
                self.damage.unreadable[3] = None;
                self.shared.change().sampled = sampled;
            }
            Err(error) => self.damage.unreadable[3] = Some(with_causes(&error)),
        }
    }

    fn look_at_inputs(&mut self) -> bool {
        let (mut batch, mut bytes): (Vec<(Input, u64)>, _) = (Vec::new(), 0);
        while batch.len() < TOGETHER && bytes < TEXTS {
            match self.inputs.poll() {
                Ok(FollowInput::Event(input, at)) => {
                    bytes += if let Input::Arrive { sample, .. } = &input { sample.text.len() } else { 0 };
                    batch.push((input, at));
                }
                Ok(FollowInput::Damaged(line, why)) => {
                    self.damage.inputs += 1;
                    self.damage.tell(|| format!("inputs.jsonl:{line}: this line {why}"));
                }
                Ok(FollowInput::Begin(header, names)) => {
                    // What was read before it is of another log.
                    self.begin(Table::new(header.task, names));
                    return true;
                }
                Ok(FollowInput::Waiting) => {
                    self.damage.unreadable[0] = None;
                    self.take_inputs(batch);
                    return false;
                }
                Err(error) => {
                    self.damage.unreadable[0] = Some(with_causes(&error));
                    self.take_inputs(batch);
                    return false;
                }
            }
        }
        self.take_inputs(batch);
        true
    }

    fn begin(&mut self, table: Table) {
        let end = self.inputs.end();
        let lines = lines(self.inputs.file()).ok().flatten().map(|lines| (lines, end));
        let mut shown = self.shared.change();
        let version = shown.version;
        *shown = table;
        (shown.inputs, shown.version) = (lines, version);
        drop(shown);
        self.given = Given::of(&self.shared.dir);
        self.sampled = Sampled::of(&self.shared.dir);
        // Its events name texts of this log.
        self.labels = Tail::new(&self.shared.dir);
        self.damage = Damage::default();
        self.is_reading = true;
    }

    fn take_inputs(&mut self, batch: Vec<(Input, u64)>) {
        if batch.is_empty() {
            return;
        }
        let mut table = self.shared.change();
        for (input, at) in batch {
            if let Err(why) = table.take_input(&input, at) {
                self.damage.inputs += 1;
                self.damage.tell(|| format!("inputs.jsonl: the line at byte {at} {why}"));
            }
        }
        let end = self.inputs.end();
        if let Some((_, read)) = &mut table.inputs {
            *read = end;
        }
    }

    fn look_at_labels(&mut self) -> bool {
        // What was damaged may be mended by now: a run cuts it off and writes it again.
        if self.damage.labels > 0 && self.labels.is_cut() {
            self.forget_labels();
            self.labels = Tail::new(&self.shared.dir);
        }
        let mut batch = Vec::new();
        while batch.len() < TOGETHER {
            match self.labels.poll() {
                Ok(Follow::Event(event, _)) => batch.push((event, self.labels.last())),
                Ok(Follow::NewLog) => {
                    self.forget_labels();
                    return true;
                }
                Ok(Follow::Waiting) => {
                    self.damage.unreadable[1] = None;
                    self.take_labels(batch);
                    return false;
                }
                Err(error @ Error::LabelLine { .. }) => {
                    self.damage.labels += 1;
                    self.damage.tell(|| error.to_string());
                }
                Err(error) => {
                    self.damage.unreadable[1] = Some(with_causes(&error));
                    self.take_labels(batch);
                    return false;
                }
            }
        }
        self.take_labels(batch);
        true
    }

    fn forget_labels(&mut self) {
        self.shared.change().forget_labels();
        self.is_reading = true;
        (self.damage.labels, self.damage.orphans) = (0, 0);
        self.damage.told.retain(|told| told.starts_with("inputs.jsonl"));
    }

    fn take_labels(&mut self, batch: Vec<(Box<LabelEvent>, u64)>) {
        let unknown = self.take_known_labels(batch);
        if unknown.is_empty() {
            return;
        }
        // An arrival is on disk before its label: it came after the last look.
        let of = self.shared.table().inputs.clone();
        while self.look_at_inputs() {}
        let now = self.shared.table().inputs.clone();
        if !of.zip(now).is_some_and(|((of, _), (now, _))| of.is_same(&now)) {
            // Another log has begun: these name texts of the one before, and its own labels are read from their beginning.
            return;
        }
        for (event, _) in self.take_known_labels(unknown) {
            self.damage.orphans += 1;
            self.damage
                .tell(|| format!("labels.jsonl:{}: is of a text that inputs.jsonl does not have", event.offset + 1));
        }
    }

    /// Takes in what it can; gives the rest.
    fn take_known_labels(&mut self, batch: Vec<(Box<LabelEvent>, u64)>) -> Vec<(Box<LabelEvent>, u64)> {
        let mut unknown = Vec::new();
        if batch.is_empty() {
            return unknown;
        }
        let mut table = self.shared.change();
        if table.labels.is_none() {
            table.labels = lines(self.labels.file()).ok().flatten();
        }
        for (event, at) in batch {
            match table.take_label(&event, at) {
                Ok(true) => {}
                Ok(false) => unknown.push((event, at)),
                Err(why) => {
                    self.damage.labels += 1;
                    self.damage.tell(|| format!("labels.jsonl:{} {why}", event.offset + 1));
                }
            }
        }
        unknown
    }

    /// Tells what there is now, if it is not what was told before.
    fn tell(&self) {
        let table = self.shared.table();
        let rows = RowsChanged { events: table.events, version: table.version };
        drop(table);
        let status = StatusNow {
            live: self.view.is_live(),
            status: last_word(&self.shared.dir),
            reading: self.is_reading,
            problems: self.problems(),
        };
        self.shared.pulse.send_if_modified(|pulse| {
            let is_new = pulse.rows != rows || *pulse.status != status;
            if is_new {
                *pulse = Pulse { rows, status: Arc::new(status) };
            }
            is_new
        });
    }

    fn problems(&self) -> Vec<String> {
        let (dir, damage) = (&self.shared.dir, &self.damage);
        let mut problems: Vec<String> = damage.unreadable.iter().flatten().cloned().collect();
        if !dir.join(INPUTS).exists() {
            let dir = dir.display();
            problems.push(format!("{dir} has no inputs.jsonl any more: what is shown is what was read before"));
        }
        if self.inputs.is_stuck() {
            problems.push("inputs.jsonl ends in damaged lines: the next `candist run` cuts them off".to_owned());
        }
        for (count, what) in [
            (damage.inputs, "line(s) of inputs.jsonl are damaged: put the file back from a copy"),
            (damage.labels, "line(s) of labels.jsonl are damaged: the next `candist run` mends them"),
            (self.given.damaged(), "line(s) of corrections.jsonl are damaged: give those labels again"),
            (self.sampled.damaged(), "line(s) of audit.jsonl are damaged: what they said is missing"),
            (damage.orphans, "label(s) are of texts whose lines in inputs.jsonl are damaged or missing"),
        ] {
            if count > 0 {
                problems.push(format!("{count} {what}"));
            }
        }
        problems.extend(damage.told.iter().cloned());
        problems
    }
}

/// What the latest process said of itself; `None` where there was none, or its word is lost.
fn last_word(dir: &Path) -> Option<Status> {
    std::fs::read(dir.join("status.json")).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{arrive, event, names};
    use super::*;
    use crate::base::sealed::seal;
    use crate::domain::input::{InputLine, NewInput, Outcome};
    use std::io::Write;

    fn line(line: &InputLine) -> String {
        seal(&serde_json::to_string(line).unwrap())
    }

    fn begin() -> String {
        let names = names();
        line(&InputLine::Begin {
            format: 1,
            run: "r".into(),
            task: "task".into(),
            labels: names.labels.iter().map(|label| label.name.clone()).collect(),
            teachers: names.teachers,
            asking: "a".into(),
            crc: String::new(),
        })
    }

    fn arrival(position: u64, id: &str) -> String {
        let Input::Arrive { sample, .. } = arrive(position, id, [None, None]) else { unreachable!() };
        line(&names().line(&NewInput::Arrive(sample, Outcome::default()), position))
    }

    fn append(dir: &Path, name: &str, text: &str) {
        let mut file = std::fs::OpenOptions::new().append(true).create(true).open(dir.join(name)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[track_caller]
    fn wait(shared: &Shared, holds: impl Fn(&Pulse) -> bool) -> Pulse {
        for _ in 0..400 {
            let pulse = shared.pulse();
            if holds(&pulse) {
                return pulse;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("{:?}", shared.pulse());
    }

    #[test]
    fn what_is_appended_is_taken_in_and_what_is_wrong_told() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path();
        assert!(matches!(follow(dir), Err(Error::NoRun { .. })));
        append(dir, "inputs.jsonl", &(begin() + &arrival(0, "a")));
        let (shared, _following) = follow(dir).unwrap();
        wait(&shared, |pulse| !pulse.status.reading && pulse.status.problems.is_empty());
        assert_eq!(shared.table().rows().len(), 1);
        // A label and its arrival at once, and a label of nobody.
        append(dir, "inputs.jsonl", &arrival(1, "b"));
        let labels = [event(0, "a", "x", 0.5), event(1, "b", "y", 0.5), event(2, "nobody", "y", 0.5)];
        append(dir, "labels.jsonl", &labels.map(|event| event.to_line()).concat());
        let pulse = wait(&shared, |pulse| pulse.rows.events == 2 && !pulse.status.problems.is_empty());
        assert!(pulse.status.problems[0].starts_with("1 label(s) are of texts"), "{pulse:?}");
        // Another input log: everything begins anew, its labels too.
        std::fs::rename(dir.join("inputs.jsonl"), dir.join("old")).unwrap();
        std::fs::rename(dir.join("labels.jsonl"), dir.join("old labels")).unwrap();
        wait(&shared, |pulse| pulse.status.problems.iter().any(|problem| problem.contains("no inputs.jsonl any more")));
        let before = shared.pulse().rows.version;
        append(dir, "inputs.jsonl", &(begin() + &arrival(0, "b")));
        append(dir, "labels.jsonl", &event(0, "b", "z", 0.5).to_line());
        let pulse = wait(&shared, |pulse| pulse.rows.events == 1 && pulse.status.problems.is_empty());
        assert!(pulse.rows.version > before);
        let table = shared.table();
        assert_eq!(
            (table.rows().len(), table.ids.position("b"), table.counts.labels.clone()),
            (1, Some(0), vec![0, 0, 1])
        );
    }
}
