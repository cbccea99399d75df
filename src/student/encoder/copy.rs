//! What is trained of an encoder: top layers and head, with their optimizer. One copy.

use tch::{Device, Kind, Tensor};

use super::adamw::{Parameter, clip, descend};
use super::layers::{Head, Layer, Reads, forward};
use super::packed::Packed;
use crate::error::Result;
use crate::student::Loss;
use crate::student::checkpoint::{Loaded, Saved};

/// Gradients of a step are scaled to this norm at most.
const MOST_NORM: f64 = 1.0;
/// How much of a weight is lost in a step, as a multiple of the learning rate.
const DECAY: f64 = 0.01;
/// The head is new, and learns so much faster than the layers.
const HEAD_RATE: f64 = 10.0;

/// See the module.
pub(super) struct Copy {
    /// Top layers; those after the first `trained` (the one that pools) stay as they are.
    pub(super) layers: Vec<Layer>,
    trained: usize,
    pub(super) head: Head,
    parameters: Vec<Parameter>,
    /// Steps done, for the optimizer's corrections.
    steps: u64,
}

impl Copy {
    pub(super) fn new(layers: Vec<Layer>, trained: usize, head: Head) -> Self {
        Self { layers, trained, head, parameters: Vec::new(), steps: 0 }
    }

    /// A copy of its own that can be trained.
    pub(super) fn trainable(&self) -> Self {
        let layers: Vec<Layer> = (0..)
            .zip(&self.layers)
            .map(
                |(number, layer)| {
                    if number < self.trained { layer.trainable() } else { layer.map(&Tensor::shallow_clone) }
                },
            )
            .collect();
        let head = self.head.trainable();
        let parameters = layers
            .iter()
            .take(self.trained)
            .flat_map(Layer::tensors)
            .map(|tensor| Parameter::new(tensor, 1.0))
            .chain(head.tensors().map(|tensor| Parameter::new(tensor, HEAD_RATE)))
            .collect();
        Self { layers, trained: self.trained, head, parameters, steps: 0 }
    }

    /// The mean of the weights of `copies`, which began with `origin`.
    pub(super) fn mean(origin: &Self, copies: &[Self]) -> Self {
        let _guard = tch::no_grad_guard();
        let mean = origin.trainable();
        for (number, parameter) in mean.parameters.iter().enumerate() {
            let all: Vec<&Tensor> =
                copies.iter().filter_map(|copy| copy.parameters.get(number)).map(|p| &p.value).collect();
            parameter.value.shallow_clone().copy_(&Tensor::stack(&all, 0).mean_dim([0].as_slice(), false, Kind::Float));
        }
        mean
    }

    /// Texts x labels.
    pub(super) fn forward(&self, input: &Packed, train: bool) -> Tensor {
        let input = input.with(input.x.shallow_clone());
        let top = forward(&self.layers, input, Reads::First, if train { self.trained } else { 0 });
        self.head.forward(&top.firsts().x, train)
    }

    /// One step of AdamW on the mean `loss` over the texts of all `parts`, each with its targets.
    pub(super) fn step(&mut self, parts: &[(Packed, Tensor)], loss: Loss, learning_rate: f64) {
        let count: i64 = parts.iter().map(|(_, targets)| targets.size().first().copied().unwrap_or(0)).sum();
        let values: Vec<Tensor> = self.parameters.iter().map(|parameter| parameter.value.shallow_clone()).collect();
        let mut gradients: Vec<Tensor> = Vec::new();
        for (input, targets) in parts {
            let log_p = self.forward(input, true).log_softmax(-1, Kind::Float);
            let sum = match loss {
                Loss::CrossEntropy => -(log_p * targets).sum(Kind::Float),
                Loss::Candidates => {
                    let inside = (log_p.exp() * targets).sum_dim_intlist([-1].as_slice(), false, Kind::Float);
                    -inside.clamp_min(1e-30).log().sum(Kind::Float)
                }
            };
            let part = Tensor::run_backward(&[sum / count], &values, false, false);
            if gradients.is_empty() {
                gradients = part;
            } else {
                gradients.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            }
        }
        if gradients.is_empty() {
            return;
        }
        let _guard = tch::no_grad_guard();
        self.steps += 1;
        clip(&mut gradients, MOST_NORM);
        descend(&mut self.parameters, &gradients, self.steps, learning_rate, DECAY);
    }

    /// Adds weights and optimizer to a checkpoint, under `name`.
    pub(super) fn save(&self, name: &str, saved: &mut Saved) {
        saved.add(&format!("{name}.steps"), &Tensor::from_slice(&[i64::try_from(self.steps).unwrap_or(i64::MAX)]));
        for (number, parameter) in self.parameters.iter().enumerate() {
            let parts = [("value", &parameter.value), ("mean", &parameter.mean), ("square", &parameter.square)];
            for (part, tensor) in parts {
                saved.add(&format!("{name}.{number}.{part}"), &tensor.to_device(Device::Cpu));
            }
        }
    }

    /// Takes weights and optimizer from a checkpoint.
    pub(super) fn load(&mut self, name: &str, loaded: &Loaded, device: Device) -> Result<()> {
        let _guard = tch::no_grad_guard();
        let steps = loaded.rows(&format!("{name}.steps"), i64::MAX)?;
        for (number, parameter) in self.parameters.iter_mut().enumerate() {
            let shape = parameter.value.size();
            let take = |part: &str| -> Result<Tensor> {
                Ok(loaded.floats(&format!("{name}.{number}.{part}"), &shape)?.to_device(device))
            };
            parameter.value.copy_(&take("value")?);
            parameter.mean.copy_(&take("mean")?);
            parameter.square.copy_(&take("square")?);
        }
        self.steps = u64::try_from(steps.int64_value(&[0])).unwrap_or(0);
        Ok(())
    }
}
