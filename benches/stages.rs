//! Throughput of the stages on one core each: `make bench`, or `cargo bench --bench stages`.
//!
//! Texts are those of the quickstart. `items/s` are texts, answers or samples per second.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a benchmark")]

use candist::internal::{keep_answers, new_student, ngrams, open_corpus, place_samples};
use candist::{
    Answer, AnswerKey, AnswerRecord, Config, Encoded, Example, LabelId, Loss, Objective, Sample, SampleId, Student,
    TextHash,
};
use divan::Bencher;
use divan::counter::ItemsCount;

// As the program has it: libtorch's memory, too, is this one's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    divan::main();
}

fn config() -> Config {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/quickstart.toml");
    Config::load(path.as_ref(), None).unwrap()
}

fn samples() -> Vec<Sample> {
    let mut corpus = open_corpus(&config().corpus).unwrap();
    std::iter::from_fn(|| corpus.next_row().unwrap()).map(|row| row.sample.unwrap()).collect()
}

fn encoded(student: &dyn Student) -> Vec<Encoded> {
    samples().iter().map(|sample| student.encode(&sample.text)).collect()
}

fn student() -> Box<dyn Student> {
    let config = config();
    new_student(&config.student, &config.distill, config.task.labels.len(), None).unwrap()
}

/// A text to n-gram ids.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let samples = samples();
    bencher
        .counter(ItemsCount::new(samples.len()))
        .bench(|| samples.iter().map(|sample| ngrams(&sample.text, 1 << 17).ids.len()).sum::<usize>());
}

/// Training steps on batches of 32, of all copies; an item is one text for one copy.
#[divan::bench]
fn train(bencher: Bencher<'_, '_>) {
    let mut student = student();
    let texts = encoded(student.as_ref());
    let labels = config().task.labels.len();
    let mut target = vec![0.0; labels];
    target[3] = 1.0;
    let folds = config().distill.folds as usize;
    bencher.counter(ItemsCount::new(texts.len() * folds)).bench_local(|| {
        for batch in texts.chunks(32) {
            let batch: Vec<Example<'_>> = batch.iter().map(|text| Example::new(text, folds, &target)).collect();
            student.train(&batch, Loss::CrossEntropy.into(), 1.0).unwrap();
        }
    });
}

/// The same steps as the passes at the end have them: regularised towards a distribution of each text, each text held out from
/// one copy.
#[divan::bench]
fn train_regularised(bencher: Bencher<'_, '_>) {
    let mut student = student();
    let texts = encoded(student.as_ref());
    let labels = config().task.labels.len();
    let folds = config().distill.folds as usize;
    let steady = vec![1.0 / labels as f32; labels];
    let mut target = vec![0.0; labels];
    target[3] = 1.0;
    bencher.counter(ItemsCount::new(texts.len() * folds)).bench_local(|| {
        for (step, batch) in (0..).zip(texts.chunks(32)) {
            let example =
                |(place, text)| Example { steady: Some(&steady), ..Example::new(text, place % folds, &target) };
            let batch: Vec<Example<'_>> = batch.iter().enumerate().map(example).collect();
            let objective = Objective { loss: Loss::CrossEntropy, regularisation: 1.0, seed: step };
            student.train(&batch, objective, 1.0).unwrap();
        }
    });
}

/// Logits of each text from the copy that did not see it, 32 encoded texts at a time: before a training step.
#[divan::bench]
fn out_of_sample(bencher: Bencher<'_, '_>) {
    let student = student();
    let texts = encoded(student.as_ref());
    let folds = config().distill.folds as usize;
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        for batch in texts.chunks(32) {
            let batch: Vec<_> = batch.iter().enumerate().map(|(place, text)| (text, place % folds)).collect();
            divan::black_box(student.out_of_sample(&batch));
        }
    });
}

/// Logits of one text from one copy: what a text is labelled by when it arrives.
#[divan::bench]
fn predict_one(bencher: Bencher<'_, '_>) {
    let student = student();
    let texts = encoded(student.as_ref());
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        for text in &texts {
            divan::black_box(student.logits(0, &[text]));
        }
    });
}

/// Of all copies together, 256 encoded texts at a time.
#[divan::bench]
fn predict_new(bencher: Bencher<'_, '_>) {
    let student = student();
    let texts = encoded(student.as_ref());
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        for batch in texts.chunks(256) {
            divan::black_box(student.predict(&batch.iter().collect::<Vec<_>>()));
        }
    });
}

/// Logits from one copy of the student, 256 encoded texts at a time.
#[divan::bench]
fn predict(bencher: Bencher<'_, '_>) {
    let student = student();
    let texts = encoded(student.as_ref());
    bencher.counter(ItemsCount::new(texts.len())).bench_local(|| {
        for batch in texts.chunks(256) {
            divan::black_box(student.logits(0, &batch.iter().collect::<Vec<_>>()));
        }
    });
}

/// Answers made durable, 512 waiting at a time.
#[divan::bench(sample_count = 5)]
fn record(bencher: Bencher<'_, '_>) {
    const ANSWERS: u64 = 10_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inputs = || (tempfile::tempdir().unwrap(), (0..ANSWERS).map(answer).collect::<Vec<_>>());
    bencher.counter(ItemsCount::new(ANSWERS)).with_inputs(inputs).bench_local_values(|(dir, answers)| {
        runtime.block_on(keep_answers(dir.path(), config().task, answers, 512)).unwrap();
        dir
    });
}

/// New texts looked up and placed in the input log, 256 together; so many that the index sorts beside it, and each durable.
#[divan::bench(sample_count = 3, sample_size = 1)]
fn place(bencher: Bencher<'_, '_>) {
    const SAMPLES: usize = 500_000;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let texts = samples();
    let arrival = |(number, sample): (usize, &Sample)| {
        (Sample::new(format!("{number}"), format!("{number} {}", sample.text)), vec![LabelId(1)])
    };
    let inputs = || {
        let samples = texts.iter().cycle().take(SAMPLES).enumerate().map(arrival).collect::<Vec<_>>();
        (tempfile::tempdir().unwrap(), samples)
    };
    bencher.counter(ItemsCount::new(SAMPLES)).with_inputs(inputs).bench_local_values(|(dir, samples)| {
        runtime.block_on(place_samples(dir.path(), config().task, samples)).unwrap();
        dir
    });
}

fn answer(number: u64) -> AnswerRecord {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&number.to_be_bytes());
    AnswerRecord {
        key: AnswerKey(key),
        id: SampleId(format!("sample-{number}")),
        text_hash: TextHash(key),
        teacher: "teacher".to_owned(),
        attempt: 1,
        answer: Answer {
            labels: vec![LabelId(1)],
            raw: Some("[\"activate_my_card\"]".to_owned()),
            ..Answer::default()
        },
    }
}
