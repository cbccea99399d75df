//! A student of a program's own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use candist::config::RefineryKind;
use candist::{
    Encoded, Encoding, Error, Example, Fold, Objective, Result, Rows, Run, RunBuilder, Step, Student, export_student,
};
use safetensors::tensor::{Dtype, SafeTensors, TensorView, serialize};

use super::parts::{COLOURS, Painter, Texts, config, labels};

const WORDS: usize = 64;

/// Counts which words stand with which labels, in every copy.
struct Counting {
    labels: usize,
    copies: Vec<Vec<f32>>,
    /// Whether it lets itself be asked of texts together as they arrive, and has them read ahead; it says the same of them.
    together: bool,
    /// How often it was asked of one text alone.
    alone: Arc<AtomicUsize>,
}

fn words(text: &str) -> Encoded {
    let word = |word: &str| word.bytes().fold(0, |hash, byte| (31 * hash + u32::from(byte)) % WORDS as u32);
    Encoded { ids: text.split(' ').map(word).collect(), ..Encoded::default() }
}

impl Counting {
    fn new(labels: usize, copies: usize) -> Self {
        Self { labels, copies: vec![vec![0.0; labels * WORDS]; copies], together: false, alone: Arc::default() }
    }

    fn row(&self, copy: &[f32], text: &Encoded) -> Vec<f32> {
        let count = |label: usize| text.ids.iter().map(|&word| copy[label * WORDS + word as usize]).sum::<f32>();
        (0..self.labels).map(|label| count(label).ln_1p()).collect()
    }
}

impl Student for Counting {
    fn encode(&self, text: &str) -> Encoded {
        words(text)
    }

    fn encoding(&self) -> Option<Encoding> {
        let encoding: Encoding = Arc::new(words);
        self.together.then_some(encoding)
    }

    fn is_steady_in_company(&self) -> bool {
        self.together
    }

    fn logits(&self, fold: Fold, texts: &[&Encoded]) -> Rows {
        Rows::new(self.labels, texts.iter().flat_map(|text| self.row(&self.copies[fold], text)).collect())
    }

    fn out_of_sample(&self, texts: &[(&Encoded, Fold)]) -> Rows {
        self.alone.fetch_add(usize::from(texts.len() == 1), Ordering::SeqCst);
        Rows::new(self.labels, texts.iter().flat_map(|(text, fold)| self.row(&self.copies[*fold], text)).collect())
    }

    fn predict(&self, texts: &[&Encoded]) -> Rows {
        self.logits(0, texts)
    }

    fn train(&mut self, batch: &[Example<'_>], _objective: Objective, rate: f64) -> Result<Step> {
        for (fold, copy) in self.copies.iter_mut().enumerate() {
            for example in batch.iter().filter(|example| example.held_out != fold) {
                let Some(target) = example.target else { continue };
                for (label, share) in target.iter().enumerate() {
                    example.text.ids.iter().for_each(|&id| copy[label * WORDS + id as usize] += rate as f32 * share);
                }
            }
        }
        Ok(Step::Taken)
    }

    fn skipped(&self) -> u64 {
        0
    }

    fn reset(&mut self) {
        self.copies.iter_mut().flatten().for_each(|count| *count = 0.0);
    }

    fn save(&self, path: &Path, notes: HashMap<String, String>) -> Result<()> {
        let bytes: Vec<u8> = self.copies.iter().flatten().flat_map(|count| count.to_le_bytes()).collect();
        let shape = vec![self.copies.len(), self.labels, WORDS];
        let counts = TensorView::new(Dtype::F32, shape, &bytes).unwrap();
        std::fs::write(path, serialize([("counts", counts)], Some(notes)).unwrap()).unwrap();
        Ok(())
    }

    fn load(&mut self, path: &Path) -> Result<HashMap<String, String>> {
        let file = std::fs::read(path).unwrap();
        let tensors = SafeTensors::deserialize(&file).unwrap();
        let counts = tensors.tensor("counts").unwrap();
        let mut counts = counts.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        self.copies.iter_mut().flatten().for_each(|count| *count = counts.next().unwrap());
        Ok(SafeTensors::read_metadata(&file).unwrap().1.metadata().clone().unwrap_or_default())
    }

    fn export(&self, _folder: &Path, _labels: &[String], _temperature: f64) -> Result<()> {
        unreachable!("a student of a program's own is not exported by candist")
    }
}

fn run_of(dir: &Path, identity: &str) -> RunBuilder {
    Run::builder(config(dir))
        .corpus(|| Ok(Texts::new(1000)))
        .teacher(Painter::new())
        .student(identity, |labels, copies| Ok(Counting::new(labels, copies)))
}

#[tokio::test]
async fn it_is_trained_kept_and_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let run = run_of(folder.path(), "counting 1").start();
    super::parts::until("the middle", || run.progress().events.get() > 100).await;
    run.stop();
    assert!(matches!(run.join().await, Err(Error::Interrupted)));
    assert!(run_of(folder.path(), "counting 1").start().join().await.unwrap().new_events > 0);
    let (there, straight) = (labels(folder.path()), tempfile::tempdir().unwrap());
    run_of(straight.path(), "counting 1").start().join().await.unwrap();
    assert!(there == labels(straight.path()));
    let last = there.lines().last().unwrap();
    assert!(COLOURS.iter().any(|colour| last.contains(colour)) && last.contains("\"final\":true"), "{last}");

    let told = export_student(folder.path(), &straight.path().join("student")).unwrap_err().to_string();
    assert!(told.contains("counting 1"), "{told}");
    assert_eq!(run_of(folder.path(), "counting 1").start().join().await.unwrap().new_events, 0);
    // Another one labels anew, from the same answers.
    assert!(run_of(folder.path(), "counting 2").start().join().await.unwrap().new_events > 1000);
}

#[tokio::test]
async fn texts_that_are_read_ahead_and_asked_of_together_get_the_labels_that_they_get_one_by_one() {
    // Gives the labels, and how often it was asked of a text alone when all of them were made anew from the logs.
    let labelled = async |together: bool, stops: bool| {
        let folder = tempfile::tempdir().unwrap();
        let run = |texts: u64, alone: &Arc<AtomicUsize>| {
            let alone = Arc::clone(alone);
            let mut config = config(folder.path());
            // Its word alone tells two candidates apart.
            (config.distill.block, config.distill.refinery) = (16, RefineryKind::Renormalise);
            let new = move |labels, copies| {
                Ok(Counting { together, alone: Arc::clone(&alone), ..Counting::new(labels, copies) })
            };
            let run = Run::builder(config).corpus(move || Ok(Texts::new(texts)));
            run.teacher(Painter::new()).student("counting 1", new).start()
        };
        let (before, anew) = (Arc::default(), Arc::default());
        if stops {
            // Within a block; the next run goes on from there.
            let first = run(90, &before);
            super::parts::until("a label", || first.progress().events.get() > 40).await;
            first.stop();
            let _ = first.join().await;
        }
        // The corpus ends within a block, and grows.
        run(90, &before).join().await.unwrap();
        run(500, &before).join().await.unwrap();
        let there = labels(folder.path());
        std::fs::remove_file(folder.path().join("labels.jsonl")).unwrap();
        ["checkpoints", "store"].iter().for_each(|cache| std::fs::remove_dir_all(folder.path().join(cache)).unwrap());
        run(500, &anew).join().await.unwrap();
        assert!(there == labels(folder.path()));
        (there, anew.load(Ordering::SeqCst))
    };
    let (one_by_one, alone) = labelled(false, false).await;
    let (together, company) = labelled(true, false).await;
    assert!(one_by_one == together && one_by_one == labelled(true, true).await.0);
    assert!(alone >= 500 && company < 50, "{alone} {company}");
}
