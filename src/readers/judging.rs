//! How good stored answers are, by gold labels: what a pilot says of a teacher before the whole corpus is paid for.
//!
//! By the answers alone, whether their texts were labelled or not. What the student makes of them is for `evaluate`.

use std::collections::HashMap;

use serde::Serialize;

use super::audit::Share;
use super::gold::GoldLabels;
use crate::config::{Combine, Config};
use crate::domain::candidates::{CandidateSet, Opinion};
use crate::domain::label::LabelId;
use crate::domain::sample::Sample;
use crate::error::Result;
use crate::flow::known::{Known, opinion};

/// How good answers are on texts that have gold labels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judged {
    /// Who answered; `None` for all teachers together, as a run takes them.
    pub teacher: Option<String>,
    /// Texts with gold and a stored answer.
    pub texts: u64,
    /// The share whose first label is right: what asking for one label gives. `None` where there are no texts.
    pub first: Option<Share>,
    /// The share whose candidates hold the right label.
    pub coverage: Option<Share>,
    /// Mean number of candidates.
    pub mean_candidates: f64,
}

/// What gold labels say about the stored answers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OnGold {
    /// Texts with gold.
    pub gold: u64,
    /// Each teacher, and where there are several, all of them together at the end.
    pub judged: Vec<Judged>,
}

#[derive(Debug, Default, Clone)]
struct Counts {
    texts: u64,
    first: u64,
    covered: u64,
    candidates: u64,
}

impl Counts {
    fn add(&mut self, labels: &[LabelId], gold: LabelId) {
        self.texts += 1;
        self.first += u64::from(labels.first() == Some(&gold));
        self.covered += u64::from(labels.contains(&gold));
        self.candidates += labels.len() as u64;
    }

    fn judged(&self, teacher: Option<String>) -> Judged {
        let share = |right| (self.texts > 0).then(|| Share::of(right, self.texts));
        Judged {
            teacher,
            texts: self.texts,
            first: share(self.first),
            coverage: share(self.covered),
            mean_candidates: self.candidates as f64 / self.texts.max(1) as f64,
        }
    }
}

/// See the module.
#[derive(Debug)]
pub(super) struct Judging {
    gold: HashMap<String, LabelId>,
    combine: Combine,
    /// In the order of the configuration.
    teachers: Vec<(String, Counts)>,
    together: Counts,
}

impl Judging {
    /// Reads the gold labels, all of them: texts come in the corpus' order.
    pub(super) fn read(labels: GoldLabels<'_>, config: &Config, known: &Known) -> Result<Self> {
        let mut gold = HashMap::new();
        labels.read(&config.task.labels, |id, _, label| {
            gold.insert(id.to_owned(), label);
        })?;
        let teachers = known.teachers.iter().map(|teacher| (teacher.name().to_owned(), Counts::default())).collect();
        Ok(Self { gold, combine: config.combine, teachers, together: Counts::default() })
    }

    /// Judges what is stored of `sample`, where it has gold.
    pub(super) fn look(&mut self, sample: &Sample, known: &Known) -> Result<()> {
        let Some(&gold) = self.gold.get(&sample.id.0) else { return Ok(()) };
        let mut opinions: Vec<Opinion> = Vec::new();
        for (teacher, (_, counts)) in known.teachers.iter().zip(&mut self.teachers) {
            let stored = known.draws(teacher.as_ref(), sample)?;
            // With some draws missing it is not what a run would take.
            if stored.len() == teacher.draws() as usize {
                let opinion = opinion(&stored);
                counts.add(&opinion.labels, gold);
                opinions.push(opinion);
            }
        }
        if !opinions.is_empty() {
            if self.combine == Combine::Cascade {
                // The one that was asked last ranks first.
                opinions.reverse();
            }
            self.together.add(CandidateSet::merge(opinions).labels(), gold);
        }
        Ok(())
    }

    pub(super) fn result(self) -> OnGold {
        let is_one = self.teachers.len() == 1;
        let mut judged: Vec<Judged> =
            self.teachers.into_iter().map(|(name, counts)| counts.judged(Some(name))).collect();
        if !is_one {
            judged.push(self.together.judged(None));
        }
        OnGold { gold: self.gold.len() as u64, judged }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_by_hand() {
        let mut counts = Counts::default();
        assert_eq!(counts.judged(None).first, None);
        for labels in [[0].as_slice(), &[1, 0], &[1], &[]] {
            counts.add(&labels.iter().map(|&label| LabelId(label)).collect::<Vec<_>>(), LabelId(0));
        }
        let judged = counts.judged(None);
        let (first, coverage) = (judged.first.unwrap(), judged.coverage.unwrap());
        assert_eq!((judged.texts, first.estimate, coverage.estimate, judged.mean_candidates), (4, 0.25, 0.5, 1.0));
        assert!(first.low < 0.25 && coverage.high > 0.5);
    }
}
