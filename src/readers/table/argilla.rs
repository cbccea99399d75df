//! What Argilla 2 reads from disk (`rg.Dataset.from_disk`): a folder with the dataset, its settings and its records.

use serde_json::{Map, Value, json};

use super::row::{Held, Row, Shape};
use crate::domain::label::LabelSet;

/// The files of the folder: the records, and what is known before them.
pub(super) const RECORDS: &str = "records.json";
/// See [`RECORDS`].
pub(super) const SETTINGS: &str = ".argilla/settings.json";
/// See [`RECORDS`].
pub(super) const DATASET: &str = ".argilla/dataset.json";

/// The question that a person answers.
const QUESTION: &str = "label";

/// A row as a record: our label is a suggestion, which a person accepts or changes.
pub(super) fn record(row: &Row, shape: &Shape) -> Value {
    let mut metadata = Map::new();
    if let Some(held) = row.label {
        metadata.insert("confidence".to_owned(), json!(held.confidence()));
        metadata.insert("by".to_owned(), json!(row.by(shape)));
        metadata.extend(held.margin().map(|margin| ("margin".to_owned(), json!(margin))));
    }
    let candidates: Vec<&str> = row.candidates.iter().map(|&(label, _)| shape.labels.name(label)).collect();
    if !candidates.is_empty() {
        metadata.insert("candidates".to_owned(), json!(candidates));
    }
    for (index, column) in shape.columns.iter().enumerate() {
        let value = row.field(index).into_owned();
        if !value.is_null() {
            metadata.insert(column.name.clone(), plain(value));
        }
    }
    let suggestion =
        |held: Held| json!({"value": shape.labels.name(held.label), "score": held.confidence(), "agent": "candist"});
    let suggestions: Map<String, Value> =
        row.label.map(|held| (QUESTION.to_owned(), suggestion(held))).into_iter().collect();
    json!({
        "id": row.id,
        "fields": {"text": row.text.as_deref().unwrap_or_default()},
        "metadata": metadata,
        "suggestions": suggestions,
        "responses": {},
        "vectors": {},
        "status": "pending",
    })
}

/// Metadata are words and numbers.
fn plain(value: Value) -> Value {
    match value {
        Value::Array(_) | Value::Object(_) | Value::Bool(_) => Value::String(value.to_string()),
        value => value,
    }
}

/// The dataset's own entry.
pub(super) fn dataset(task: &str) -> Value {
    json!({"name": task, "status": "ready", "allow_extra_metadata": true})
}

/// One text, one question with the task's labels, and what can be sorted and filtered by.
pub(super) fn settings(task: &str, labels: &LabelSet) -> Value {
    let options: Vec<Value> =
        labels.iter().map(|label| json!({"value": label.name, "text": label.name, "description": null})).collect();
    let metadata = |name: &str, title: &str, settings: Value| json!({"name": name, "title": title, "settings": settings, "visible_for_annotators": true});
    let share = || json!({"type": "float", "min": 0.0, "max": 1.0});
    let terms = || json!({"type": "terms", "values": null});
    json!({
        "guidelines": null,
        "allow_extra_metadata": true,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "fields": [{
            "name": "text", "title": "Text", "required": true, "description": null,
            "settings": {"type": "text", "use_markdown": false},
        }],
        "questions": [{
            "name": QUESTION, "title": task, "required": true, "description": null,
            "settings": {"type": "label_selection", "options": options, "visible_options": null},
        }],
        "vectors": [],
        "metadata": [
            metadata("confidence", "Confidence", share()),
            metadata("margin", "Margin", share()),
            metadata("by", "Where the label comes from", terms()),
            metadata("candidates", "Candidates", terms()),
        ],
        "mapping": null,
    })
}
