//! How right the labels are said to be while people look at them: by confidences, from the counters that the table keeps, and by what
//! a person found, which is an estimate for all where texts come by chance. Nothing here reads a file.

use serde::Deserialize;

use super::counts::UNITS;
use super::rows::Table;
use super::shapes::{Estimates, Expected};
use super::shared::Shared;
use crate::readers::audit::Share;

/// Texts that somebody looked at in one sitting, at most: an interval takes as many steps.
const MOST_LOOKED: u64 = 100_000;

/// What a person found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Found {
    /// Texts that they gave a label.
    pub(super) looked: u64,
    /// Of these, texts that had another label.
    pub(super) changed: u64,
}

impl Found {
    /// Its share with the interval; `None` of nothing.
    ///
    /// # Errors
    ///
    /// A sentence that says what to do, where it cannot be.
    fn share(self) -> Result<Option<Share>, String> {
        if self.changed > self.looked || self.looked > MOST_LOOKED {
            return Err(format!(
                "give how many texts were looked at, {MOST_LOOKED} at most, and how many of these had another label"
            ));
        }
        Ok((self.looked > 0).then(|| Share::of(self.changed, self.looked)))
    }
}

/// By confidences; `doubt` is why they are a ranking, where the run says so.
pub(super) fn expected(table: &Table, doubt: Option<String>) -> Expected {
    let (labelled, confidence) = (table.counts.labelled, table.counts.confidence);
    Expected {
        labelled: u64::try_from(labelled).unwrap_or_default(),
        // Both are far below 2^53.
        right: (labelled > 0).then(|| confidence as f64 / (labelled * UNITS) as f64),
        calibration_doubt: doubt.filter(|_| table.events > 0),
    }
}

/// Both.
///
/// # Errors
///
/// Those of what was found.
pub(super) fn estimates(shared: &Shared, found: Found) -> Result<Estimates, String> {
    let changed = found.share()?;
    let doubt = shared.calibration_doubt();
    Ok(Estimates { expected: expected(&shared.table(), doubt), changed })
}

#[cfg(test)]
mod tests {
    use super::super::rows::tests::{arrive, event, names};
    use super::*;
    use crate::domain::label::LabelId;

    #[test]
    fn a_correction_counts_as_right_until_it_is_taken_back() {
        let mut table = Table::new("task".into(), names());
        let right = |table: &Table| expected(table, None).right;
        for (position, confidence) in [0.5, 0.7, 0.9, 0.1].into_iter().enumerate() {
            let id = position.to_string();
            table.take_input(&arrive(position as u64, &id, [Some(0), None]), 0).unwrap();
            if position < 3 {
                table.take_label(&event(position as u64, &id, "x", confidence), 0).unwrap();
            }
        }
        assert_eq!((expected(&table, None).labelled, right(&table)), (3, Some(0.7)));
        table.give(0, Some(LabelId(1)));
        assert_eq!(right(&table), Some(26_000.0 / 30_000.0));
        table.give(0, None);
        assert_eq!(right(&table), Some(0.7));
        let doubt = Some("there is one teacher".to_owned());
        assert_eq!(expected(&table, doubt.clone()).calibration_doubt, doubt);
        table.forget_labels();
        assert_eq!((right(&table), expected(&table, doubt).calibration_doubt), (None, None));
    }

    #[test]
    fn what_was_found_has_its_interval() {
        let share = |looked, changed| Found { looked, changed }.share();
        assert_eq!(share(0, 0), Ok(None));
        // The textbook's 10 of 20 at 95%: 0.272 to 0.728.
        let found = share(20, 10).unwrap().unwrap();
        assert!(found.estimate == 0.5 && (found.low - 0.272).abs() < 1e-4 && (found.high - 0.728).abs() < 1e-4);
        assert!(share(3, 4).is_err() && share(MOST_LOOKED + 1, 0).is_err());
    }
}
