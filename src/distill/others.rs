//! What a posterior says besides its largest share: which labels come next. For the lines of the label log alone; nothing is
//! learned from it.

use crate::domain::event::OTHERS;
use crate::domain::label::LabelId;

/// Less than this is not worth a place in a line.
const LEAST: f32 = 0.01;

/// Four digits: more mean nothing, and make lines longer.
pub(super) fn rounded(share: f32) -> f32 {
    (share * 1e4).round() / 1e4
}

/// The largest of `posterior` but for the one at `best`; 0 where there is no other.
pub(super) fn second(posterior: &[f32], best: usize) -> f32 {
    let others = posterior.iter().enumerate().filter(|(column, _)| *column != best);
    others.map(|(_, share)| *share).fold(0.0, f32::max)
}

/// The largest of `posterior` but for the one at `best`, as a label event has them: rounded, the largest first, and of equal
/// ones the task's first.
pub(super) fn others(posterior: &[f32], best: usize) -> Vec<(LabelId, f32)> {
    let mut others: Vec<(LabelId, f32)> = Vec::new();
    for (column, share) in posterior.iter().enumerate() {
        // Most of them, and to round is dear: nothing below this is rounded to as much as the least.
        if *share < LEAST - 1e-4 || column == best {
            continue;
        }
        let share = rounded(*share);
        if share < LEAST {
            continue;
        }
        let place = others.iter().position(|(_, other)| *other < share).unwrap_or(others.len());
        others.insert(place, (LabelId(u16::try_from(column).unwrap_or(u16::MAX)), share));
        others.truncate(OTHERS);
    }
    others
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_next_labels_are_named_in_their_order() {
        let named = |posterior: &[f32], best| {
            others(posterior, best).into_iter().map(|(label, share)| (label.0, share)).collect::<Vec<_>>()
        };
        assert_eq!(named(&[1.0], 0), []);
        // 0.00996 is written as 0.01; 0.00994 would be 0.0099.
        assert_eq!(named(&[0.00996, 0.00994, 0.7, 0.28], 2), [(3, 0.28), (0, 0.01)]);
        assert_eq!(named(&[0.1, 0.2, 0.1, 0.3, 0.1, 0.2], 3), [(1, 0.2), (5, 0.2), (0, 0.1), (2, 0.1)]);
    }

    proptest! {
        #[test]
        fn they_are_the_first_of_all_others(shares in prop::collection::vec(0.0_f32..1.0, 1..12), best in 0..12_usize) {
            let sum: f32 = shares.iter().sum::<f32>().max(1e-6);
            let posterior: Vec<f32> = shares.iter().map(|share| share / sum).collect();
            let mut all: Vec<(u16, f32)> = (0..).zip(posterior.iter().map(|&share| rounded(share))).collect();
            all.retain(|(column, share)| usize::from(*column) != best && *share >= LEAST);
            // A stable sort: of equal ones the first stays the first.
            all.sort_by(|a, b| b.1.total_cmp(&a.1));
            all.truncate(OTHERS);
            let found: Vec<_> = others(&posterior, best).into_iter().map(|(label, share)| (label.0, share)).collect();
            prop_assert_eq!(found, all);
        }
    }
}
