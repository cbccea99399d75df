//! Power cuts and kills at random steps: what was acknowledged is there, in order, and nothing torn is read.
//!
//! `CANDIST_POWER_CUTS` says how many seeds; `make soak` takes thousands.

use std::path::Path;
use std::sync::Arc;

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use tempfile::TempDir;

use super::in_order::InOrder;
use super::index::Index;
use super::mark::AsLeft;
use super::open::{Opened, Wanted, open_logs};
use super::{ANSWERS, INPUTS, LABELS};
use crate::base::disk::Disk;
use crate::base::durable::replace_file_on;
use crate::base::random::rng;
use crate::base::sealed;
use crate::base::simulated_disk::SimulatedDisk;
use crate::domain::answer::{Answer, AnswerKey, AnswerRecord};
use crate::domain::candidates::Opinion;
use crate::domain::event::{By, LabelEvent, Rest, Source, StoredEvent};
use crate::domain::input::{InputLine, Names, NewInput, Outcome};
use crate::domain::label::{Label, LabelId, LabelSet};
use crate::domain::sample::{Sample, SampleId, TextHash};
use crate::error::{Error, Result};
use crate::store::{Digest, Labelled, RowKey, answer_line};

const DIR: &str = "/run";
/// Of eight inputs, one is the corpus' end, one brings new answers and one a person's label.
const CYCLE: u64 = 8;
/// Of these, samples that arrive; they are the first.
const ARRIVALS: u64 = 5;

fn seeds() -> u64 {
    std::env::var("CANDIST_POWER_CUTS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(300)
}

fn names() -> Arc<Names> {
    let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
    let labels = LabelSet::new(vec![label("a"), label("b"), label("c")]).unwrap();
    Arc::new(Names { labels, teachers: vec!["one".into()] })
}

/// Samples that arrive with the first `inputs` inputs.
fn samples_of(inputs: u64) -> u64 {
    inputs / CYCLE * ARRIVALS + (inputs % CYCLE).min(ARRIVALS)
}

fn outcome(number: u64) -> Outcome {
    let labels = vec![LabelId(u16::try_from(number % 3).unwrap())];
    Outcome { opinions: vec![Opinion { teacher: 0, labels, weights: vec![] }], failure: None }
}

/// The input of this number: always the same.
fn input(number: u64) -> NewInput {
    let position = samples_of(number);
    match number % CYCLE {
        5 => NewInput::Answers(position / 2, outcome(number)),
        6 => NewInput::Correct(position / 3, (!number.is_multiple_of(3)).then_some(LabelId(2))),
        7 => NewInput::End,
        _ => {
            let text = "text ".repeat(usize::try_from(number * 31 % 40).unwrap());
            NewInput::Arrive(Sample { id: sample_id(position), text }, outcome(number))
        }
    }
}

fn sample_id(position: u64) -> SampleId {
    SampleId(format!("id-{position}"))
}

/// The answer of this number: always the same.
fn answer(number: u64) -> AnswerRecord {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_le_bytes());
    let raw = Some("raw ".repeat(usize::try_from(number * 17 % 50).unwrap()));
    AnswerRecord {
        key: AnswerKey(key),
        id: sample_id(number),
        text_hash: TextHash::of("text"),
        teacher: "one".into(),
        attempt: 1,
        answer: Answer { labels: vec![LabelId(1)], raw, ..Answer::default() },
    }
}

/// The label event at this offset, always the same: two for each sample.
fn event(offset: u64) -> Labelled {
    let position = offset / 2;
    let revision = u32::try_from(offset % 2).unwrap();
    let event = StoredEvent {
        position,
        label: LabelId(u16::try_from(offset % 3).unwrap()),
        confidence: 0.5,
        source: Source::Refinery,
        revision,
        student: offset,
        is_final: revision == 1,
        previous: (revision == 1).then(|| offset - 1),
    };
    let others = vec![(LabelId(u16::try_from((offset + 1) % 3).unwrap()), 0.25)];
    Labelled { event, margin: 0.25, others, id: sample_id(position), candidates: vec![LabelId(1)] }
}

/// What was acknowledged.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    answers: u64,
    inputs: u64,
    labels: Digest,
}

/// What outlives a process besides the disk.
struct World {
    index: Index,
    names: Arc<Names>,
    _folder: TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { index: Index::open(folder.path()).unwrap(), names: names(), _folder: folder }
    }

    /// The first line of the input log, as a run writes it that finds none.
    fn begin(&self, disk: &SimulatedDisk) -> Result<()> {
        let path = Path::new(DIR).join(INPUTS);
        if disk.content(&path).is_some_and(|content| !content.is_empty()) {
            return Ok(());
        }
        replace_file_on(disk, &path, self.header().as_bytes())
    }

    fn header(&self) -> String {
        let line = InputLine::Begin {
            format: 1,
            run: "r".into(),
            task: "t".into(),
            labels: ["a", "b", "c"].map(str::to_owned).to_vec(),
            teachers: self.names.teachers.clone(),
            asking: "x".into(),
            crc: String::new(),
        };
        sealed::seal(&serde_json::to_string(&line).unwrap())
    }

    /// Opens everything as a run does: a damaged cache is made anew.
    fn open(&self, disk: &SimulatedDisk, certified: Option<Digest>) -> Result<Opened<SimulatedDisk>> {
        let left = AsLeft { answers: false, inputs: false, labels: false };
        let wanted =
            Wanted { dir: Path::new(DIR), names: &self.names, refinery: &By::Posterior, certified, stop: &|| false };
        for _ in 0..3 {
            match open_logs(disk, &wanted, self.index.clone(), left, &mut Vec::new()) {
                Err(Error::StoreDamaged { .. }) => self.lose_caches(disk)?,
                opened => return opened,
            }
        }
        panic!("the caches cannot be made anew");
    }

    fn lose_caches(&self, disk: &SimulatedDisk) -> Result<()> {
        self.index.clear();
        for name in ["inputs", "events"] {
            let path = Path::new(DIR).join("store").join(name);
            disk.create(&path).map_err(Error::run_file("create", &path))?;
        }
        Ok(())
    }

    fn content(&self, disk: &SimulatedDisk, name: &str) -> String {
        String::from_utf8_lossy(&disk.content(&Path::new(DIR).join(name)).unwrap()).into_owned()
    }

    fn lines_of_answers(&self, count: u64) -> String {
        (0..count).map(|number| answer_line::seal(&answer(number), &self.names.labels)).collect()
    }

    fn lines_of_inputs(&self, count: u64) -> String {
        let line = |number| {
            let line = self.names.line(&input(number), samples_of(number));
            sealed::seal(&serde_json::to_string(&line).unwrap())
        };
        self.header() + &(0..count).map(line).collect::<String>()
    }

    fn lines_of_labels(&self, count: u64) -> String {
        let line = |offset| {
            let Labelled { event, margin, others, id, candidates } = event(offset);
            let rest = Rest { margin: Some(margin), others: Some(&others) };
            LabelEvent::new(offset, &event, &rest, &id, &candidates, &self.names.labels, &By::Posterior).to_line()
        };
        (0..count).map(line).collect()
    }

    /// The logs hold what was told, and nothing that was not written; from now on, all that they hold counts as told.
    fn check(&self, disk: &SimulatedDisk, opened: &Opened<SimulatedDisk>, told: &mut Told, is_certified: bool) {
        let counts = opened.inputs.reader().counts();
        assert!(counts.events >= told.inputs, "{} of {} inputs", counts.events, told.inputs);
        assert_eq!(counts.samples, samples_of(counts.events));
        assert_eq!(self.content(disk, INPUTS), self.lines_of_inputs(counts.events));
        let answers = opened.applied.answers.lines;
        assert!(answers >= told.answers, "{answers} of {} answers", told.answers);
        assert_eq!(self.content(disk, ANSWERS), self.lines_of_answers(answers));
        let reader = opened.answers.reader();
        assert!((0..answers).all(|number| reader.find(answer(number).key).unwrap() == Some(answer(number))));
        // What the check of the index counts on.
        assert_eq!((opened.applied.samples, opened.applied.keys), (counts.samples, answers));
        let labels = opened.events.len();
        assert!(!is_certified || labels >= told.labels.lines, "{labels} of {} labels", told.labels.lines);
        assert!(self.content(disk, LABELS).starts_with(&self.lines_of_labels(labels)));
        *told = Told { answers, inputs: counts.events, ..*told };
    }

    /// Opens and works until the disk stops, or for some time.
    fn live(&self, disk: &SimulatedDisk, told: &mut Told, rng: &mut ChaCha8Rng, groups: u64) -> Result<()> {
        self.begin(disk)?;
        // Without a checkpoint nothing vouches for the labels.
        let certified = rng.random_bool(0.7).then_some(told.labels).filter(|labels| labels.lines > 0);
        let mut opened = self.open(disk, certified)?;
        self.check(disk, &opened, told, certified.is_some());
        told.labels = certified.unwrap_or_default();
        let mut offset = certified.map_or(0, |labels| labels.lines);
        for _ in 0..groups {
            let many = rng.random_range(1..12);
            match rng.random_range(0..4) {
                0 => {
                    let records: Vec<_> = (told.answers..told.answers + many).map(answer).collect();
                    let spans = opened.answers.append(&records)?;
                    opened.answers.index(&records, spans, &mut opened.applied)?;
                    told.answers += many;
                }
                1 => {
                    let new: Vec<_> = (told.inputs..told.inputs + many).map(input).collect();
                    opened.inputs.append(&new, &mut opened.applied)?;
                    told.inputs += many;
                }
                2 => {
                    let until = (offset + many).min(2 * samples_of(told.inputs));
                    opened.events.append(offset, &(offset..until).map(event).collect::<Vec<_>>())?;
                    offset = until;
                }
                _ => {
                    opened.events.sync()?;
                    let digest = opened.events.digest(offset)?;
                    told.labels = if digest.lines > told.labels.lines { digest } else { told.labels };
                }
            }
            if rng.random_bool(0.7) {
                self.index.set_applied(&opened.applied)?;
            }
        }
        Ok(())
    }

    /// Works to the end: the labels are those of an undisturbed run.
    fn finish(&self, disk: &SimulatedDisk, told: &mut Told) {
        self.begin(disk).unwrap();
        let certified = Some(told.labels).filter(|labels| labels.lines > 0);
        let mut opened = self.open(disk, certified).unwrap();
        self.check(disk, &opened, told, certified.is_some());
        let all = 2 * samples_of(told.inputs);
        opened.events.append(0, &(0..all).map(event).collect::<Vec<_>>()).unwrap();
        opened.events.close().unwrap();
        assert_eq!(self.content(disk, LABELS), self.lines_of_labels(all));
    }
}

/// Some processes one after the other on one disk, each ended at a random step.
fn survive(world: &World, seed: u64) {
    let mut rng = rng(seed, "power cuts", &[]);
    let (mut disk, mut told) = (SimulatedDisk::new(seed), Told::default());
    world.index.clear();
    for _ in 0..rng.random_range(1..6) {
        // Some end while they open.
        let most = if rng.random_bool(0.3) { 60 } else { 400 };
        disk.stop_after(rng.random_range(0..most));
        let groups = rng.random_range(0..30);
        if let Err(error) = world.live(&disk, &mut told, &mut rng, groups) {
            assert!(matches!(error, Error::RunFile { .. } | Error::TakenAway { .. }), "seed {seed}: {error}");
        }
        disk = if rng.random_bool(0.6) { disk.after_power_cut() } else { disk.after_kill() };
        if rng.random_bool(0.2) {
            world.lose_caches(&disk).unwrap();
        }
    }
    world.finish(&disk, &mut told);
}

#[test]
fn what_was_acknowledged_survives_power_cuts_and_kills() {
    let world = World::new();
    for seed in 0..seeds() {
        let survived = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| survive(&world, seed)));
        assert!(survived.is_ok(), "seed {seed}");
    }
}

#[test]
fn setting_a_damaged_answer_aside_survives_a_power_cut_at_every_step() {
    let world = World::new();
    let path = Path::new(DIR).join(ANSWERS);
    let lines = world.lines_of_answers(10);
    let (before, rest) = lines.split_at(world.lines_of_answers(2).len());
    let (damaged, after) = rest.split_at(rest.find('\n').unwrap() + 1);
    let left = format!("{before}{after}");
    for (steps, seed) in (0..25).flat_map(|steps| (0..8).map(move |seed| (steps, seed))) {
        let disk = SimulatedDisk::new(seed);
        world.index.clear();
        world.begin(&disk).unwrap();
        let mut opened = world.open(&disk, None).unwrap();
        let records: Vec<_> = (0..10).map(answer).collect();
        let spans = opened.answers.append(&records).unwrap();
        opened.answers.index(&records, spans, &mut opened.applied).unwrap();
        world.index.set_applied(&opened.applied).unwrap();
        disk.flip_bit(&path, before.len() + damaged.len() / 2);
        disk.stop_after(steps);
        let _stopped = world.open(&disk, None);
        let disk = disk.after_power_cut();
        let opened = world.open(&disk, None).unwrap();
        assert_eq!(world.content(&disk, ANSWERS), left, "{steps} {seed}");
        let reader = opened.answers.reader();
        for number in 0..10 {
            let expected = (number != 2).then(|| answer(number));
            assert_eq!(reader.find(answer(number).key).unwrap(), expected, "{steps} {seed}");
        }
        assert!(!world.content(&disk, "answers.damaged.jsonl").is_empty(), "{steps} {seed}");
    }
}

#[test]
fn rows_are_known_in_whatever_order_they_come() {
    let (world, disk) = (World::new(), SimulatedDisk::new(1));
    replace_file_on(&disk, &Path::new(DIR).join(INPUTS), world.lines_of_inputs(400).as_bytes()).unwrap();
    let opened = world.open(&disk, None).unwrap();
    let reader = opened.inputs.reader();
    let all: Vec<RowKey> = (0..400)
        .filter_map(|number| match input(number) {
            NewInput::Arrive(sample, _) => Some(RowKey::of(&sample)),
            _ => None,
        })
        .collect();
    for seed in 0..40 {
        let mut rng = rng(seed, "rows", &[]);
        // A corpus of which parts changed places, were left out, came twice, or have another text or id.
        let mut rows: Vec<RowKey> = Vec::new();
        while rows.len() < 300 {
            let (from, len) = (rng.random_range(0..all.len()), rng.random_range(1..60));
            rows.extend(all.iter().skip(from).take(len).cloned());
            match rng.random_range(0..3) {
                0 => rows.push(RowKey { id: SampleId(format!("new {}", rows.len())), text_hash: TextHash([1; 16]) }),
                1 => rows.push(RowKey { text_hash: TextHash([2; 16]), ..all[from].clone() }),
                _ => {}
            }
        }
        let in_order = InOrder::default();
        for part in rows.chunks(rng.random_range(1..50)) {
            let expected: Vec<_> = part.iter().map(|row| world.index.known(&row.id).unwrap()).collect();
            assert_eq!(in_order.known(part, &reader, &world.index).unwrap(), expected);
        }
    }
    // In order, nothing is looked up in the index.
    world.index.clear();
    let (in_order, mut position) = (InOrder::default(), 0);
    for part in all.chunks(7) {
        for known in in_order.known(part, &reader, &world.index).unwrap() {
            assert_eq!(known.map(|known| known.position), Some(position));
            position += 1;
        }
    }
    assert_eq!(position, samples_of(400));
}
