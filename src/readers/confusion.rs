//! Right and wrong by label: precision, recall and F1 of each, and which labels are taken for which.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::label::{LabelId, LabelSet};

/// How good the distilled labels are, label by label.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Details {
    /// The mean of the labels' F1, over those that gold has.
    pub macro_f1: f64,
    /// Every label of the task, in its order.
    pub labels: Vec<LabelFigures>,
    /// Labels that were given for others, the most frequent first.
    pub confusions: Vec<Confusion>,
}

/// One label. A figure that would divide by nothing is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LabelFigures {
    /// Its name.
    pub label: String,
    /// Texts whose gold label it is.
    pub support: u64,
    /// Texts whose distilled label it is.
    pub given: u64,
    /// Share of `given` that is right.
    pub precision: Option<f64>,
    /// Share of `support` that is found.
    pub recall: Option<f64>,
    /// Harmonic mean of both.
    pub f1: Option<f64>,
}

/// A label given for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Confusion {
    /// The right one.
    pub gold: String,
    /// The one that was given.
    pub label: String,
    /// How often.
    pub texts: u64,
}

/// Counts pairs of gold and given label. Sparse: most labels are never taken for most others. Sorted, so that equal
/// counts give equal output.
#[derive(Debug, Default)]
pub(super) struct Pairs(BTreeMap<(LabelId, LabelId), u64>);

impl Pairs {
    pub(super) fn add(&mut self, gold: LabelId, given: LabelId) {
        *self.0.entry((gold, given)).or_default() += 1;
    }

    /// The figures. Labels that gold never has count for nothing in the macro F1, those that it has and the run never
    /// gives count as 0.
    pub(super) fn details(&self, labels: &LabelSet) -> Details {
        let ids = (0..labels.len()).filter_map(|id| u16::try_from(id).ok()).map(LabelId);
        let figures: Vec<LabelFigures> = ids.map(|id| self.figures(id, labels)).collect();
        let f1: Vec<f64> =
            figures.iter().filter(|label| label.support > 0).map(|label| label.f1.unwrap_or_default()).collect();
        let mut confusions: Vec<Confusion> = self
            .0
            .iter()
            .filter(|((gold, given), _)| gold != given)
            .map(|(&(gold, given), &texts)| Confusion {
                gold: labels.name(gold).to_owned(),
                label: labels.name(given).to_owned(),
                texts,
            })
            .collect();
        // Stable: those as frequent stay in the task's order.
        confusions.sort_by_key(|confusion| std::cmp::Reverse(confusion.texts));
        Details { macro_f1: f1.iter().sum::<f64>() / f1.len().max(1) as f64, labels: figures, confusions }
    }

    /// Of one label. F1 is `2pr / (p + r)` with `p = right / given` and `r = right / support`, which is `2 right /
    /// (support + given)`: so it is there, as 0, also where one of the two is not.
    fn figures(&self, id: LabelId, labels: &LabelSet) -> LabelFigures {
        let sum = |part: &dyn Fn(&(LabelId, LabelId)) -> bool| -> u64 {
            self.0.iter().filter(|(pair, _)| part(pair)).map(|(_, texts)| texts).sum()
        };
        let (support, given) = (sum(&|(gold, _)| *gold == id), sum(&|(_, given)| *given == id));
        let right = self.0.get(&(id, id)).copied().unwrap_or_default();
        let share = |of: u64| (of > 0).then(|| right as f64 / of as f64);
        LabelFigures {
            label: labels.name(id).to_owned(),
            support,
            given,
            precision: share(given),
            recall: share(support),
            f1: (support + given > 0).then(|| 2.0 * right as f64 / (support + given) as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::label::Label;

    #[test]
    fn the_figures_by_hand() {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: Vec::new() };
        let labels = LabelSet::new(["a", "b", "c"].map(label).into()).unwrap();
        let mut pairs = Pairs::default();
        for (gold, given) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 0), (1, 0)] {
            pairs.add(LabelId(gold), LabelId(given));
        }
        let details = pairs.details(&labels);
        let near = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-9;
        let [a, b, c] = details.labels.as_slice() else { panic!() };
        assert!(near(a.precision, 0.5) && near(a.recall, 2.0 / 3.0) && near(a.f1, 4.0 / 7.0), "{a:?}");
        assert!(near(b.precision, 0.5) && near(b.recall, 1.0 / 3.0) && near(b.f1, 0.4), "{b:?}");
        assert_eq!((c.support, c.given, c.precision, c.recall, c.f1), (0, 0, None, None, None));
        assert!(near(Some(details.macro_f1), (4.0 / 7.0 + 0.4) / 2.0));
        let confusions: Vec<_> =
            details.confusions.iter().map(|c| (c.gold.as_str(), c.label.as_str(), c.texts)).collect();
        assert_eq!(confusions, [("b", "a", 2), ("a", "b", 1)]);
    }
}
