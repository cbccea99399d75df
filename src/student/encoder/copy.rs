//! What is trained of an encoder: top layers and head, with their optimizer. One copy.
//!
//! A step goes through the texts in parts, and adds up their gradients, which bounds memory by the largest part.
//! Losses are divided by the number of examples in all parts, so it is the same step as in one go.

use tch::{Device, Kind, Tensor};

use super::adamw::{Parameter, clip, descend};
use super::head::Head;
use super::layers::{Layer, Reads, forward};
use super::noise::Noise;
use super::packed::Packed;
use crate::error::Result;
use crate::student::checkpoint::{Loaded, Saved};
use crate::student::{Loss, Objective};

/// Gradients of a step are scaled to this norm at most.
const MOST_NORM: f64 = 1.0;
/// How much of a weight is lost in a step, as a multiple of the learning rate.
const DECAY: f64 = 0.01;
/// The head is new, and learns so much faster than the layers.
const HEAD_RATE: f64 = 10.0;

/// Texts of a training step that go through the layers together. Tensors are texts x labels, or have one value per
/// text. Nothing that is held out from the copy is in it.
pub(super) struct Part {
    pub(super) input: Packed,
    /// As the loss reads them; zeros where there is none.
    pub(super) targets: Tensor,
    /// 1 where there is a target, 0 where there is none.
    pub(super) has_target: Tensor,
    /// What is to be said of the perturbed text; zeros where there is none.
    pub(super) steady: Tensor,
    pub(super) has_steady: Tensor,
    /// The text of this part that each is mixed with, by number, which may be itself.
    pub(super) partners: Tensor,
    /// Its own weight in the mix, texts x 1; the other has the rest.
    pub(super) mixing: Tensor,
}

/// Of each row of logarithms with the distribution in the other, in nats: one value per text.
fn cross_entropy(log_p: &Tensor, targets: &Tensor) -> Tensor {
    -(log_p * targets).sum_dim_intlist([-1].as_slice(), false, Kind::Float)
}

/// See the module.
pub(super) struct Copy {
    /// Top layers; those after the first `trained` (the one that pools) stay as they are.
    pub(super) layers: Vec<Layer>,
    /// Layers that are trained, from the lowest on.
    trained: usize,
    /// The step size of a trained layer, as a multiple of that of the layer above it (Howard and Ruder 2018, arXiv
    /// 1801.06146).
    layer_decay: f64,
    pub(super) head: Head,
    /// What is trained, layers before head, in a fixed order, by which a checkpoint names them. Empty in the origin,
    /// which is never trained.
    parameters: Vec<Parameter>,
    /// Steps taken, for the optimizer's corrections; a step that was left out does not count.
    steps: u64,
}

impl Copy {
    /// The origin of copies: what [`Copy::trainable`] begins with.
    pub(super) fn new(layers: Vec<Layer>, trained: usize, layer_decay: f64, head: Head) -> Self {
        Self { layers, trained, layer_decay, head, parameters: Vec::new(), steps: 0 }
    }

    /// A copy of its own that can be trained, with a new optimizer. What is not trained is shared, not copied.
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
        let above = |number: usize| {
            layers.iter().take(self.trained).skip(number + 1).filter(|layer| layer.is_counted()).count()
        };
        let rate = |number: usize| self.layer_decay.powi(i32::try_from(above(number)).unwrap_or(i32::MAX));
        let parameters = layers
            .iter()
            .take(self.trained)
            .enumerate()
            .flat_map(|(number, layer)| {
                let rate = rate(number);
                layer.tensors().map(move |tensor| Parameter::new(tensor, rate))
            })
            .chain(head.tensors().map(|tensor| Parameter::new(tensor, HEAD_RATE)))
            .collect();
        Self { layers, head, parameters, steps: 0, ..*self }
    }

    /// The mean of the weights of `copies`, which began with `origin`: one model that costs as much as one (Wortsman
    /// et al. 2022, arXiv 2203.05482).
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

    /// What the head reads: texts x hidden. With no layer trained, that is the input.
    fn pooled(&self, input: &Packed, noise: &Noise) -> Tensor {
        let input = input.with(input.x.shallow_clone());
        forward(&self.layers, input, Reads::First, self.trained, noise).firsts().x
    }

    /// Logits, texts x labels.
    pub(super) fn forward(&self, input: &Packed, noise: &Noise) -> Tensor {
        self.head.forward(&self.pooled(input, noise), noise)
    }

    /// One step of AdamW on what all `parts` together lose. Whether it was taken: not if the loss or a gradient is
    /// not finite; then weights and optimizer are as they were.
    pub(super) fn step(&mut self, parts: &[Part], objective: Objective, learning_rate: f64, noise: &Noise) -> bool {
        if parts.is_empty() {
            return true;
        }
        // Examples with a target, and with a steady distribution, over all parts; at least 1, to divide by.
        let count = |of: fn(&Part) -> &Tensor| -> f64 {
            parts.iter().map(|part| of(part).sum(Kind::Float).double_value(&[])).sum::<f64>().max(1.0)
        };
        // Means are over the whole step, so they are known before its first part.
        let (targets, steady) = (count(|part| &part.has_target), count(|part| &part.has_steady));
        let values: Vec<Tensor> = self.parameters.iter().map(|parameter| parameter.value.shallow_clone()).collect();
        let mut gradients: Vec<Tensor> = Vec::new();
        let mut losses: Vec<Tensor> = Vec::new();
        for part in parts {
            let mut loss = self.loss(part, objective.loss, noise).sum(Kind::Float) / targets;
            if objective.regularisation > 0.0 {
                let regularised = self.regularised(part, noise).sum(Kind::Float) / steady;
                loss += regularised * f64::from(objective.regularisation);
            }
            // The gradient of this part; its graph is freed with it, before the next one is made.
            let part = Tensor::run_backward(&[&loss], &values, false, false);
            losses.push(loss.detach());
            if gradients.is_empty() {
                gradients = part;
            } else {
                gradients.iter_mut().zip(&part).for_each(|(sum, part)| *sum += part);
            }
        }
        let _guard = tch::no_grad_guard();
        let loss = Tensor::stack(&losses, 0).sum(Kind::Float).double_value(&[]);
        // Clipping tells it on the way: nothing is asked twice of a large model. The norm is not finite if any of the
        // gradients is not.
        if !loss.is_finite() || !clip(&mut gradients, MOST_NORM).is_finite() {
            return false;
        }
        self.steps += 1;
        descend(&mut self.parameters, &gradients, self.steps, learning_rate, DECAY);
        true
    }

    /// Of each text with a target; 0 for the others. One value per text.
    fn loss(&self, part: &Part, loss: Loss, noise: &Noise) -> Tensor {
        let log_p = self.forward(&part.input, noise).log_softmax(-1, Kind::Float);
        let losses = match loss {
            Loss::CrossEntropy => cross_entropy(&log_p, &part.targets),
            Loss::Candidates => {
                let inside = (log_p.exp() * &part.targets).sum_dim_intlist([-1].as_slice(), false, Kind::Float);
                -inside.clamp_min(1e-30).log()
            }
        };
        losses * &part.has_target
    }

    /// The cross-entropy of each text under another dropout, and of each mixed with another of the part. What is
    /// mixed are pooled vectors, before the head: sequences of tokens have other lengths.
    fn regularised(&self, part: &Part, noise: &Noise) -> Tensor {
        // A second time through the layers, so dropout draws anew: that is the perturbation.
        let pooled = self.pooled(&part.input, noise);
        let log_p = self.head.forward(&pooled, noise).log_softmax(-1, Kind::Float);
        // Distributions are mixed as the texts are. Mixed texts share the layers' result, and only the head is gone
        // through again.
        let (own, others) = (&part.mixing, 1.0 - &part.mixing);
        let mix = |x: &Tensor| x * own + x.index_select(0, &part.partners) * &others;
        let mixed = self.head.forward(&mix(&pooled), noise).log_softmax(-1, Kind::Float);
        (cross_entropy(&log_p, &part.steady) + cross_entropy(&mixed, &mix(&part.steady))) * &part.has_steady
    }

    /// Adds weights and optimizer to a checkpoint, under `name`: `NAME.steps`, and for each parameter
    /// `NAME.NUMBER.value`, `mean` and `square`.
    pub(super) fn save(&self, name: &str, saved: &mut Saved) {
        saved.add(&format!("{name}.steps"), &Tensor::from_slice(&[i64::try_from(self.steps).unwrap_or(i64::MAX)]));
        for (number, parameter) in self.parameters.iter().enumerate() {
            let parts = [("value", &parameter.value), ("mean", &parameter.mean), ("square", &parameter.square)];
            for (part, tensor) in parts {
                saved.add(&format!("{name}.{number}.{part}"), &tensor.to_device(Device::Cpu));
            }
        }
    }

    /// Takes weights and optimizer from a checkpoint. After an error, some tensors may be of it and others not.
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
        let steps: Option<i64> = (steps.size() == [1]).then(|| steps.int64_value(&[0]));
        self.steps = steps.and_then(|steps| u64::try_from(steps).ok()).unwrap_or(0);
        Ok(())
    }
}
