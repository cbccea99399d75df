//! What two teachers say first of the texts that both answered: how often they agree, and how often by chance.

use crate::domain::candidates::CandidateSet;
use crate::domain::label::LabelId;

/// All pairs of teachers.
pub(super) struct Pairs(Vec<Pair>);

impl Pairs {
    /// One pass over the samples a pair.
    pub(super) fn new(teachers: usize, labels: usize, samples: &[&CandidateSet]) -> Self {
        let pairs = (0..teachers).flat_map(|other| (0..other).map(move |one| [one, other]));
        Self(pairs.map(|pair| Pair::of(pair, labels, samples)).collect())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pair> {
        self.0.iter()
    }
}

pub(super) struct Pair {
    /// The teachers, by number.
    pub(super) of: [usize; 2],
    /// The texts that both answered.
    pub(super) count: u64,
    agreed: u64,
    /// How often each names each label.
    named: [Vec<u64>; 2],
}

impl Pair {
    fn of(of: [usize; 2], labels: usize, samples: &[&CandidateSet]) -> Self {
        let mut pair = Self { of, count: 0, agreed: 0, named: [vec![0; labels], vec![0; labels]] };
        for candidates in samples {
            let [Some(first), Some(second)] = of.map(|teacher| first_of(candidates, teacher)) else {
                continue;
            };
            pair.count += 1;
            pair.agreed += u64::from(first == second);
            for (named, label) in pair.named.iter_mut().zip([first, second]) {
                named.get_mut(label.index()).into_iter().for_each(|count| *count += 1);
            }
        }
        pair
    }

    /// The share of texts on which both name the same label; 0 where there is no text.
    pub(super) fn agreed(&self) -> f64 {
        self.share(self.agreed)
    }

    /// The share on which they would if each named its labels as often as it does, but at random:
    /// `sum over labels c of m_1(c) m_2(c)`.
    pub(super) fn by_chance(&self) -> f64 {
        let [first, second] = &self.named;
        first.iter().zip(second).map(|(a, b)| self.share(*a) * self.share(*b)).sum()
    }

    /// Cohen's kappa, (agreed - by chance) / (1 - by chance): at most 1, and 0 where nothing can be told.
    pub(super) fn kappa(&self) -> f64 {
        let by_chance = self.by_chance();
        if by_chance < 1.0 { (self.agreed() - by_chance) / (1.0 - by_chance) } else { 0.0 }
    }

    fn share(&self, part: u64) -> f64 {
        part as f64 / self.count.max(1) as f64
    }
}

/// What a teacher names first.
fn first_of(candidates: &CandidateSet, teacher: usize) -> Option<LabelId> {
    let opinion = candidates.opinions().iter().find(|opinion| usize::from(opinion.teacher) == teacher)?;
    opinion.labels.first().copied()
}
