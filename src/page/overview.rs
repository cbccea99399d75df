//! What the run is about, and its texts counted: made of the counters that the table keeps, whatever its size.

use super::rows::Table;
use super::shapes::{About, Agreement, ByCount, Changed, LabelCount, Overview, SizeCount, TaskLabel};
use super::shared::Shared;
use crate::domain::event::By;

/// What is shown; `descriptions` are those of labels, by name.
pub(super) fn about(shared: &Shared, descriptions: &[(String, String)], correctable: bool) -> About {
    let live = shared.pulse().status.live;
    let table = shared.table();
    let described = |name: &str| descriptions.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
    let label = |name: &String| TaskLabel { name: name.clone(), description: described(name) };
    // What gives labels besides the student, and people.
    let is_refinery = |by: &By| !matches!(by, By::Student | By::Person);
    let refinery = table.bys.iter().find(|(by, _)| is_refinery(by)).map(|(_, name)| name);
    About {
        task: table.task.clone(),
        labels: table.names.labels.iter().map(|known| label(&known.name)).collect(),
        teachers: table.names.teachers.clone(),
        directory: shared.dir.display().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        live,
        correctable,
        refinery: refinery.cloned(),
    }
}

/// All texts, counted.
pub(super) fn overview(shared: &Shared) -> Overview {
    let doubt = shared.calibration_doubt();
    let table = shared.table();
    let counts = &table.counts;
    let labelled = count(counts.labelled);
    Overview {
        texts: table.rows().len() as u64,
        labelled,
        finals: count(counts.finals),
        corrected: count(counts.corrected),
        failed: count(counts.failed),
        events: table.events,
        version: table.version,
        distribution: distribution(&table),
        confidence: counts.confidences.iter().map(|texts| count(*texts)).collect(),
        set_sizes: sizes(&counts.sizes),
        by: by(&table),
        agreement: agreement(&table),
        changes: table
            .changes
            .points(labelled)
            .into_iter()
            .map(|(texts, changed)| Changed { texts, changed })
            .collect(),
        calibration_doubt: doubt.filter(|_| table.events > 0),
    }
}

fn count(texts: i64) -> u64 {
    u64::try_from(texts).unwrap_or_default()
}

/// The most frequent first, then by name.
fn distribution(table: &Table) -> Vec<LabelCount> {
    let names = table.names.labels.iter().map(|label| label.name.clone());
    let mut counts: Vec<LabelCount> =
        names.zip(&table.counts.labels).map(|(label, texts)| LabelCount { label, count: count(*texts) }).collect();
    counts.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.label.cmp(&b.label)));
    counts
}

fn sizes(sizes: &[i64]) -> Vec<SizeCount> {
    let sizes = (0..).zip(sizes).skip(1).filter(|(_, texts)| **texts > 0);
    sizes.map(|(size, texts)| SizeCount { size, count: count(*texts) }).collect()
}

fn by(table: &Table) -> Vec<ByCount> {
    let names = table.bys.iter().zip(&table.counts.by).filter(|(_, texts)| **texts > 0);
    let mut by: Vec<ByCount> =
        names.map(|((_, name), texts)| ByCount { by: name.clone(), count: count(*texts) }).collect();
    by.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.by.cmp(&b.by)));
    by
}

fn agreement(table: &Table) -> Vec<Agreement> {
    let of = |(teacher, (answered, agrees)): (&String, &(i64, i64))| Agreement {
        teacher: teacher.clone(),
        answered: count(*answered),
        agrees: count(*agrees),
    };
    table.names.teachers.iter().zip(&table.counts.agreement).map(of).collect()
}
