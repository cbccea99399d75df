//! All parts of the index together.

use std::collections::BTreeMap;

use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::part::Counts;
use super::sorted::{Bounds, Sorted};
use super::young::LOCK_TRY;
use super::*;

fn known(position: Position) -> KnownSample {
    KnownSample { position, text_hash: TextHash([7; 16]) }
}

fn id(number: u64) -> SampleId {
    SampleId(format!("id-{number}"))
}

fn key(number: u64) -> AnswerKey {
    AnswerKey(short_hash(&[&number.to_le_bytes()]))
}

fn at(number: u64, attempt: u32) -> AnswerAt {
    AnswerAt { span: Span { offset: number * 10 + u64::from(attempt), len: 10 }, attempt }
}

/// So many samples with an answer each, and how far that goes.
fn filled(dir: &Path, samples: u64) -> (Index, Applied) {
    let index = Index::open(dir).unwrap();
    for number in 0..samples {
        assert!(index.put_answer(key(number), at(number, 1)).unwrap());
        assert!(index.put_sample(&id(number), &known(number)).unwrap());
    }
    let answers = Extent { bytes: 30, lines: samples };
    (index, Applied { answers, keys: samples, samples, ..Applied::default() })
}

/// Waits until all that is full is sorted.
fn rest(index: &Index) -> Arc<Parts> {
    index.keeper().wait().unwrap();
    index.parts()
}

fn is_damaged<T>(opened: &Result<T>) -> bool {
    matches!(opened, Err(Error::StoreDamaged { .. }))
}

#[test]
fn a_lock_that_goes_soon_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    drop(filled(dir.path(), 3));
    let file = std::fs::File::options().write(true).open(files::young_path(dir.path(), 0).join("db")).unwrap();
    file.lock().unwrap();
    let holder = std::thread::spawn(move || {
        std::thread::sleep(20 * LOCK_TRY);
        drop(file);
    });
    Index::open(dir.path()).unwrap();
    holder.join().unwrap();
}

#[test]
fn what_is_missing_or_changed_is_damage() {
    let cases: [fn(&Young); 4] = [
        |young| drop(young.ids.remove(id_key(&id(1))).unwrap()),
        |young| drop(young.answers.remove(key(1).0).unwrap()),
        |young| drop(young.answers.insert(key(1).0, b"junk").unwrap()),
        |young| {
            let other = young.answers.get(key(2).0).unwrap().unwrap();
            young.answers.insert(key(1).0, other).unwrap();
        },
    ];
    for damage in cases {
        let dir = tempfile::tempdir().unwrap();
        let (index, applied) = filled(dir.path(), 3);
        index.verify(&applied, &|| false).unwrap();
        damage(&index.parts().young);
        assert!(is_damaged(&index.verify(&applied, &|| false)));
    }
}

#[test]
fn what_is_missing_or_changed_of_a_file_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (index, applied) = filled(dir.path(), 10 * FULL);
    index.set_applied(&applied).unwrap();
    let parts = rest(&index);
    assert!(!parts.sorted.is_empty() && parts.retired.is_none());
    let paths: Vec<_> = parts.sorted.iter().map(|shelved| shelved.part.path().to_owned()).collect();
    drop((index, parts));
    for path in paths {
        let whole = std::fs::read(&path).unwrap();
        let len = whole.len();
        let contents = u64::from_le_bytes(*whole.last_chunk().unwrap()) as usize;
        // A filter, its checksum, an entry of either kind, and what stands behind the blocks.
        for place in [0, 4095, 4096 + 10, len - 12 - contents - 4090, len - 30, len - 1] {
            let mut bytes = whole.clone();
            bytes[place] ^= 1;
            std::fs::write(&path, bytes).unwrap();
            assert!(
                is_damaged(&Index::open(dir.path()).and_then(|index| index.verify(&applied, &|| false))),
                "{place}"
            );
        }
        // A block where another should be, whole as it is: the last of the entries in place of the first, and of the filter.
        for place in [0, 1] {
            let mut bytes = whole.clone();
            bytes.copy_within(len - 12 - contents - 4096..len - 12 - contents, place * 4096);
            std::fs::write(&path, bytes).unwrap();
            assert!(is_damaged(&Index::open(dir.path()).and_then(|index| index.verify(&applied, &|| false))));
        }
        for len in [0, 7, 4096, len - 1] {
            std::fs::write(&path, &whole[..len]).unwrap();
            assert!(is_damaged(&Index::open(dir.path())), "{len}");
        }
        std::fs::remove_file(&path).unwrap();
        assert!(is_damaged(&Index::open(dir.path())));
        std::fs::write(&path, whole).unwrap();
    }
    Index::open(dir.path()).unwrap().verify(&applied, &|| false).unwrap();
    std::fs::remove_dir_all(dir.path()).unwrap();
    assert_eq!(Index::open(dir.path()).unwrap().applied().unwrap(), Applied::default());
}

#[test]
fn entries_that_do_not_rise_are_damage_and_leave_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sorted-0-0");
    for keys in [[2, 1], [1, 1]] {
        let answers = keys.map(|first| Ok(([first; 16], at(0, 1))));
        let bounds = Bounds { least: 2, most: Counts { answers: 2, samples: 0 } };
        let written = Sorted::write(&path, bounds, Box::new(answers.into_iter()), Box::new(std::iter::empty()));
        assert!(is_damaged(&written), "{keys:?}");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

/// Its checksum may hold: what it says of its blocks must be what there is.
#[test]
fn an_end_that_does_not_fit_its_blocks_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    let (index, applied) = filled(dir.path(), 2 * FULL);
    index.set_applied(&applied).unwrap();
    let path = rest(&index).sorted[0].part.path().to_owned();
    drop(index);
    let whole = std::fs::read(&path).unwrap();
    let contents = u64::from_le_bytes(*whole.last_chunk().unwrap()) as usize;
    let (crc, begin) = (whole.len() - 12, whole.len() - 12 - contents);
    let changed = |place: usize, said: &[u8]| {
        let mut bytes = whole.clone();
        bytes[begin + place..begin + place + said.len()].copy_from_slice(said);
        let sum = crc32fast::hash(&bytes[begin..crc]).to_le_bytes();
        bytes[crc..crc + 4].copy_from_slice(&sum);
        std::fs::write(&path, bytes).unwrap();
        Index::open(dir.path()).unwrap_err().to_string()
    };
    // How many lines the filter of answers has, and how many entries there are, both behind the format's byte.
    for (place, number) in [(1, 0), (1, 64), (1, u64::MAX), (9, 1000), (9, u64::MAX)] {
        let said = changed(place, &u64::to_le_bytes(number));
        assert!(said.contains("not as it was written"), "{said}: {number} at {place}");
    }
    let said = changed(0, &[1]);
    assert!(said.contains("another version of candist wrote it"), "{said}");
    std::fs::write(&path, whole).unwrap();
    Index::open(dir.path()).unwrap().verify(&applied, &|| false).unwrap();
}

#[test]
fn what_is_written_meanwhile_does_not_disturb_the_check() {
    let dir = tempfile::tempdir().unwrap();
    let (index, applied) = filled(dir.path(), 3);
    index.put_sample(&id(3), &known(3)).unwrap();
    index.put_answer(key(1), at(9, 2)).unwrap();
    index.verify(&applied, &|| false).unwrap();
}

#[test]
fn the_later_try_stays_whatever_the_order() {
    let dir = tempfile::tempdir().unwrap();
    let (index, _) = filled(dir.path(), 3);
    assert!(index.put_answer(key(9), at(9, 2)).unwrap());
    assert!(!index.put_answer(key(9), at(9, 1)).unwrap());
    assert_eq!(index.answer(key(9)).unwrap(), Some(at(9, 2)));
}

#[test]
fn an_entry_that_is_lost_is_missed_when_its_part_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let (index, mut applied) = filled(dir.path(), 4 * FULL);
    // Its first try is in another part, so the sums of all parts do not tell. A put may let the next part begin behind it.
    let is_young = |attempt: &u32| {
        assert!(!index.put_answer(key(0), at(0, *attempt)).unwrap());
        rest(&index).young.answers.contains_key(key(0).0).unwrap()
    };
    assert!((2..9).find(is_young).is_some());
    applied.answers.lines += 1;
    index.set_applied(&applied).unwrap();
    let parts = rest(&index);
    assert!(parts.young.answers.remove(key(0).0).unwrap().is_some());
    index.verify(&applied, &|| false).unwrap();
    drop((index, parts));
    assert!(is_damaged(&Index::open(dir.path())));
}

/// What a kill may leave between any two steps.
#[test]
fn the_names_say_what_holds() {
    let dir = tempfile::tempdir().unwrap();
    let (index, applied) = filled(dir.path(), 20 * FULL);
    index.set_applied(&applied).unwrap();
    let sorted = rest(&index).sorted.len();
    let young = index.parts().young.number;
    drop(index);
    let old = files::young_path(dir.path(), young - 1);
    // The full part was sorted and is still there; another was half written.
    drop(Young::open(old.clone(), young - 1).unwrap());
    std::fs::write(dir.path().join("sorted-0-9.new"), "half").unwrap();
    let first = files::sorted_path(dir.path(), &(0..=0));
    let is_put_together = !first.exists();
    if is_put_together {
        std::fs::write(&first, "a part of another").unwrap();
    }
    let index = Index::open(dir.path()).unwrap();
    index.verify(&applied, &|| false).unwrap();
    assert_eq!((index.parts().sorted.len(), index.applied().unwrap()), (sorted, applied.clone()));
    drop(index);
    assert!(!old.exists() && !dir.path().join("sorted-0-9.new").exists());
    assert!(first.exists() != is_put_together);
    // The next part had begun, and said nothing yet.
    drop(Young::open(files::young_path(dir.path(), young + 1), young + 1).unwrap());
    let index = Index::open(dir.path()).unwrap();
    assert_eq!(index.applied().unwrap(), applied);
    assert_eq!(rest(&index).young.number, young + 1);
    index.verify(&applied, &|| false).unwrap();
    drop(index);
    std::fs::remove_dir_all(files::young_path(dir.path(), young + 1)).unwrap();
    assert!(is_damaged(&Index::open(dir.path())));
}

#[test]
fn what_has_the_name_of_a_part_and_is_none_is_damage_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("index");
    drop(filled(&folder, 20 * FULL));
    for nothing in ["sorted-00-63", "sorted-0-18446744073709551615", "young-01", "sorted-5", "notes.txt"] {
        std::fs::write(folder.join(nothing), "x").unwrap();
        Index::open(&folder).unwrap();
    }
    let folded = folder.join("sorted-0-9999");
    std::fs::create_dir(&folded).unwrap();
    assert!(is_damaged(&Index::open(&folder)));
    std::fs::remove_dir(&folded).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    assert!(is_damaged(&Index::open(&folder)));
}

#[test]
fn an_index_that_was_all_of_sled_is_the_first_part() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("index");
    let before = Young::open(folder.clone(), 0).unwrap();
    before.put_answer(&key(1).0, at(1, 1)).unwrap();
    before.keep_as_before_parts(&Applied { keys: 1, ..Applied::default() });
    drop(before);
    for _ in 0..2 {
        let index = Index::open(&folder).unwrap();
        assert_eq!((index.answer(key(1)).unwrap(), index.applied().unwrap().keys), (Some(at(1, 1)), 1));
    }
}

#[test]
fn the_check_ends_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let (index, applied) = filled(dir.path(), 3000);
    assert!(matches!(index.verify(&applied, &|| true), Err(Error::Interrupted)));
}

proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 12, ..Default::default() })]

    #[test]
    fn what_was_put_is_there_in_whatever_part(
        puts in prop::collection::vec((0..400_u64, any::<bool>()), 1..800), reopened in prop::collection::vec(0..800_usize, 0..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut index = Index::open(dir.path()).unwrap();
        let (mut tries, mut positions) = (BTreeMap::new(), BTreeMap::new());
        let mut applied = Applied::default();
        for (step, &(number, is_answer)) in puts.iter().enumerate() {
            if is_answer {
                let attempt = tries.entry(number).or_insert(0_u32);
                *attempt += 1;
                let is_first = index.put_answer(key(number), at(number, *attempt)).unwrap();
                prop_assert_eq!(is_first, *attempt == 1);
                applied.keys += u64::from(is_first);
            } else {
                let next = positions.len() as u64;
                let position = *positions.entry(number).or_insert(next);
                prop_assert_eq!(index.put_sample(&id(number), &known(position)).unwrap(), true);
                applied.samples = positions.len() as u64;
            }
            if reopened.contains(&step) {
                index.set_applied(&applied).unwrap();
                drop(index);
                index = Index::open(dir.path()).unwrap();
                prop_assert_eq!(&index.applied().unwrap(), &applied);
            }
        }
        index.verify(&applied, &|| false).unwrap();
        for index in [index.clone(), { rest(&index); index }] {
            for number in 0..400 {
                let expected = tries.get(&number).map(|attempt| at(number, *attempt));
                prop_assert_eq!(index.answer(key(number)).unwrap(), expected);
                let expected = positions.get(&number).map(|position| known(*position));
                prop_assert_eq!(index.known(&id(number)).unwrap(), expected);
            }
            index.verify(&applied, &|| false).unwrap();
        }
    }
}
