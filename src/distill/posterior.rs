//! `posterior`: candidates as evidence, not as a fence. posterior_i(c) is proportional to p~_i(c) L_i(c), with p~ the
//! calibrated out-of-sample student and L the rank likelihood. The label may lie outside the candidates when the
//! student is sure enough. With one rank likelihood for all ranks and nothing outside, this is `renormalise`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::calibration::Calibration;
use super::likelihood::{RankLikelihood, by_rank};
use super::refinery::{Evidence, Refinery};
use crate::label::LabelId;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Posterior {
    likelihood: RankLikelihood,
    calibration: Calibration,
}

impl Posterior {
    pub(super) fn new(labels: usize) -> Self {
        Self { likelihood: RankLikelihood::prior(), calibration: Calibration::new(labels) }
    }
}

impl Refinery for Posterior {
    fn target(&self, candidates: &[LabelId], logits: &[f32]) -> Vec<f32> {
        let mut row = self.calibration.probabilities(logits);
        let likelihood = self.likelihood.of(candidates.len(), row.len());
        let mut factors = vec![likelihood.each_other; row.len()];
        for (label, listed) in candidates.iter().zip(&likelihood.listed) {
            if let Some(factor) = factors.get_mut(label.index()) {
                *factor = *listed;
            }
        }
        row.iter_mut().zip(factors).for_each(|(p, factor)| *p *= factor);
        let sum: f64 = row.iter().sum();
        row.iter().map(|p| (p / sum) as f32).collect()
    }

    fn refit(&mut self, evidence: &Evidence<'_>) {
        let labels = self.calibration.labels();
        self.calibration = Calibration::fit(evidence, &self.likelihood, labels);
        let samples: Vec<(Vec<f64>, f64)> = evidence
            .iter()
            .filter(|(candidates, _)| !candidates.is_empty())
            .map(|(candidates, logits)| by_rank(candidates, &self.calibration.probabilities(logits)))
            .collect();
        self.likelihood = RankLikelihood::fit(&samples, labels);
    }

    fn save(&self) -> Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    fn load(&mut self, saved: Value) -> Result<(), String> {
        let loaded: Self = serde_json::from_value(saved).map_err(|error| error.to_string())?;
        if !loaded.calibration.fits(self.calibration.labels()) {
            return Err("it is for another number of labels".to_owned());
        }
        *self = loaded;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::refinery::tests::ids;
    use super::*;
    use crate::student::{Rows, argmax};

    #[test]
    fn by_hand() {
        // Logits all alike: p~ = (1/4, ...). L = (0.6, 0.3) for the candidates, 0.1 / 2 for the others.
        let posterior = Posterior::new(4).posterior(&ids(&[2, 0]), &[0.0; 4]);
        let expected = [0.3, 0.05, 0.6, 0.05];
        assert!(posterior.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-6), "{posterior:?}");
    }

    #[test]
    fn a_sure_student_overrules_and_an_unsure_one_does_not() {
        let refinery = Posterior::new(4);
        assert_eq!(argmax(&refinery.posterior(&ids(&[2, 0]), &[0.0, 9.0, 0.0, 0.0])), Some(1));
        assert_eq!(argmax(&refinery.posterior(&ids(&[2, 0]), &[0.0, 1.0, 0.0, 0.0])), Some(2));
        assert_eq!(argmax(&refinery.posterior(&[], &[0.0, 1.0, 0.0, 0.0])), Some(1));
    }

    #[test]
    fn what_was_learned_is_saved_and_for_other_labels_refused() {
        let candidates = ids(&[1]);
        let evidence = Evidence {
            candidates: vec![&candidates; 4],
            logits: Rows::new(2, vec![0.0, 3.0, 0.0, 3.0, 0.0, 3.0, 3.0, 0.0]),
        };
        let mut fitted = Posterior::new(2);
        fitted.refit(&evidence);
        assert_ne!(fitted, Posterior::new(2));
        let mut loaded = Posterior::new(2);
        // By way of text, as in a checkpoint: not a bit may be lost.
        loaded.load(serde_json::from_str(&fitted.save().to_string()).unwrap()).unwrap();
        assert_eq!(loaded, fitted);
        assert!(Posterior::new(3).load(fitted.save()).is_err());
    }
}
