//! What a student computes on and with: the device, libtorch's threads, and where random numbers come from.
//!
//! The number of threads decides the last bits of sums, and so it is part of what labels depend on. libtorch keeps it in
//! two places: with each thread that computes (OpenMP's and MKL's settings for it), and once for the process, where a thread
//! takes it from at its first operation. So a number that is set once, at the start, holds neither in another thread nor after
//! another student was made. Every thread sets its own before it computes for a student: [`Compute::begin`].
//!
//! How threads wait for each other is not ours to say once the program runs: OpenMP reads OMP_WAIT_POLICY when it is loaded.
//! Where cores are shared and there are several threads, set it to PASSIVE (the program does).
//!
//! Nothing draws from libtorch's generator on a processor: it is one for the process, and whoever else draws from it would
//! change what a student becomes. Random numbers are keyed by the seed, the purpose and the step ([`Compute::rng`]).

use std::cell::Cell;

#[cfg(feature = "encoder")]
use rand_chacha::ChaCha8Rng;
use tch::Device;

use super::device::device;
#[cfg(feature = "encoder")]
use crate::base::random::rng;
use crate::base::threads::can_start;
use crate::config::{DeviceChoice, StudentConfig, StudentKind};
use crate::error::Result;

thread_local! {
    /// Whether this thread was given a number of threads by us.
    static BEGUN: Cell<bool> = const { Cell::new(false) };
}

/// See the module. Students borrow it; several may share one, and several with different ones may compute at once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Compute {
    /// Where an encoder's tensors are; `ngram` is always on the processor.
    device: Device,
    /// At least 1.
    threads: i32,
    seed: u64,
}

impl Compute {
    /// On a device as chosen, with `threads` threads (1 starts none besides the caller's) and random numbers by `seed`. An
    /// error if the device is not there or the threads cannot be had.
    ///
    /// # Errors
    ///
    /// [`Error::Threads`](crate::error::Error::Threads) and [`Error::Device`](crate::error::Error::Device).
    pub(crate) fn new(choice: DeviceChoice, threads: u32, seed: u64) -> Result<Self> {
        // libtorch's own threads end the process where they cannot be started.
        can_start(threads.saturating_sub(1))?;
        Ok(Self { device: device(choice)?, threads: i32::try_from(threads.max(1)).unwrap_or(1), seed })
    }

    /// As a student's settings say.
    pub(crate) fn of(config: &StudentConfig) -> Result<Self> {
        let choice = match &config.kind {
            StudentKind::Ngram(_) => DeviceChoice::Cpu,
            StudentKind::Encoder(encoder) => encoder.device,
        };
        Self::new(choice, config.threads, config.seed)
    }

    /// Makes the calling thread compute as this says, whatever it or another thread computed before. To be called before
    /// every use of libtorch; costs less than a smallest operation where nothing is to be changed.
    pub(crate) fn begin(&self) {
        // Asking makes libtorch set the thread up, with what the process was last given; what is set before would be lost.
        let now = tch::get_num_threads();
        if now != self.threads || !BEGUN.get() {
            tch::set_num_threads(self.threads);
            BEGUN.set(true);
        }
    }

    /// A generator for one use: the same for the same seed, purpose and steps.
    #[cfg(feature = "encoder")]
    #[must_use]
    pub(crate) fn rng(&self, purpose: &str, steps: &[u64]) -> ChaCha8Rng {
        rng(self.seed, purpose, steps)
    }

    /// Whether tensors are in the processor's memory.
    pub(super) fn is_on_processor(&self) -> bool {
        self.device == Device::Cpu
    }

    /// Where tensors are.
    #[cfg(feature = "encoder")]
    pub(super) fn device(&self) -> Device {
        self.device
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Barrier};

    use tch::{Kind, Tensor};

    use super::super::{Encoded, Example, Loss, Objective, Student, new_on};
    use super::*;
    use crate::config::{DistillConfig, NgramConfig, RefineryKind};

    const LABELS: usize = 300;
    const TEXTS: usize = 300;

    fn student(kind: &StudentKind, threads: u32, seed: u64) -> Box<dyn Student> {
        let config = StudentConfig { kind: kind.clone(), learning_rate: 0.05, seed, threads };
        let distill = DistillConfig {
            refinery: RefineryKind::Posterior,
            folds: 2,
            block: TEXTS,
            replay: 0,
            memory: TEXTS,
            max_passes: Some(0),
        };
        new_on(Arc::new(Compute::of(&config).unwrap()), &config, &distill, LABELS, None).unwrap()
    }

    fn bits(student: &dyn Student, texts: &[&Encoded]) -> Vec<u32> {
        let (out_of_sample, new) = (student.logits(0, texts), student.predict(texts));
        out_of_sample.iter().chain(new.iter()).flatten().map(|logit| logit.to_bits()).collect()
    }

    /// What a student becomes; `between` steps, the others may do what they like.
    fn learned(kind: &StudentKind, threads: u32, seed: u64, between: impl Fn()) -> Vec<u32> {
        let mut student = student(kind, threads, seed);
        let texts: Vec<Encoded> =
            (0..TEXTS).map(|i| student.encode(&format!("where is card {i} of my {} cards", i * i))).collect();
        let target = |i: usize| (0..LABELS).map(|c| f32::from(u8::from(c == i % 7))).collect::<Vec<f32>>();
        let targets: Vec<Vec<f32>> = (0..TEXTS).map(target).collect();
        let batch: Vec<Example<'_>> = texts
            .iter()
            .zip(&targets)
            .map(|(text, target)| Example { steady: Some(target), ..Example::new(text, 2, target) })
            .collect();
        for step in 0..4 {
            between();
            let objective = Objective { loss: Loss::CrossEntropy, regularisation: 0.5, seed: seed + step };
            student.train(&batch, objective, 1.0).unwrap();
        }
        between();
        let all = bits(student.as_ref(), &texts.iter().collect::<Vec<_>>());
        assert_eq!(tch::get_num_threads(), i32::try_from(threads).unwrap());
        all
    }

    fn kinds() -> Vec<StudentKind> {
        let ngram = StudentKind::Ngram(NgramConfig { dimension: 256, buckets: 1 << 14 });
        #[cfg(feature = "encoder")]
        let encoder = StudentKind::Encoder(crate::config::EncoderConfig {
            model: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/encoders/bert").into(),
            vectors: None,
            train_layers: 1,
            layer_decay: 1.0,
            max_length: 64,
            warmup_steps: 1,
            precision: crate::config::Precision::Fp32,
            device: DeviceChoice::Cpu,
        });
        vec![
            ngram,
            #[cfg(feature = "encoder")]
            encoder,
        ]
    }

    /// Two runs in one process, with threads and seeds of their own, while a third party uses libtorch as it likes.
    #[test]
    fn two_students_at_once_become_what_each_becomes_alone() {
        for kind in kinds() {
            let alone = [learned(&kind, 1, 5, || ()), learned(&kind, 2, 6, || ())];
            let (meet, over) = (Arc::new(Barrier::new(2)), Arc::new(AtomicBool::new(false)));
            let stranger = std::thread::spawn({
                let over = Arc::clone(&over);
                move || {
                    while !over.load(Ordering::Relaxed) {
                        tch::manual_seed(1);
                        tch::set_num_threads(3);
                        drop(Tensor::rand([1000], (Kind::Float, Device::Cpu)));
                    }
                }
            });
            let together = [(1, 5), (2, 6)].map(|(threads, seed)| {
                let (kind, meet) = (kind.clone(), Arc::clone(&meet));
                std::thread::spawn(move || {
                    // A number of this thread's own that must not hold.
                    tch::set_num_threads(4);
                    learned(&kind, threads, seed, || {
                        meet.wait();
                    })
                })
            });
            let together = together.map(|thread| thread.join().unwrap());
            over.store(true, Ordering::Relaxed);
            stranger.join().unwrap();
            assert_ne!(alone[0], alone[1]);
            assert!(together == alone, "{kind:?}");
        }
    }

    #[test]
    fn a_thread_that_computed_with_another_number_computes_with_its_own() {
        let one = Compute::new(DeviceChoice::Cpu, 1, 0).unwrap();
        let three = Compute::new(DeviceChoice::Cpu, 3, 0).unwrap();
        for compute in [&one, &three, &one] {
            compute.begin();
            assert_eq!(tch::get_num_threads(), compute.threads);
            std::thread::scope(|scope| {
                scope.spawn(|| three.begin());
            });
            assert_eq!(tch::get_num_threads(), compute.threads);
        }
    }
}
