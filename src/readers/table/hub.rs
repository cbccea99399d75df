//! A Hugging Face dataset: a folder that `datasets.load_dataset` opens, and that can be uploaded as it is.

use super::columns::Kind;
use super::row::Shape;

/// The files of the folder: the rows, and the card with the columns' types.
pub(super) const DATA: &str = "data/train-00000-of-00001.parquet";
/// See [`DATA`].
pub(super) const CARD: &str = "README.md";

/// What every card has in it.
pub(super) const MARK: &str = "annotated with candist";

/// The dataset's card. Its head is what is read: that the label is a class label, and the names of the classes.
pub(super) fn card(task: &str, shape: &Shape, rows: u64) -> String {
    let features: String = own(shape).chain(joined(shape)).map(|(name, of)| feature(&name, &of)).collect();
    let size = size_category(rows);
    format!(
        "---\n\
         task_categories:\n- text-classification\n\
         size_categories:\n- {size}\n\
         configs:\n- config_name: default\n  data_files:\n  - split: train\n    path: data/train-*.parquet\n\
         dataset_info:\n  features:\n{features}\
         ---\n\n\
         # {title}\n\n\
         {rows} texts with one label each, one of {labels}, {MARK}: LLMs named all labels that a text may have, and a \
         small model distilled them into one. `confidence` is the label's calibrated probability; `candidates` is what the \
         LLMs named, with what their answers say of each in `candidate_weights`.\n",
        title = task.replace(char::is_control, " "),
        labels = shape.labels.len(),
    )
}

/// What a column holds, as a card says it.
enum Of<'a> {
    Value(&'static str),
    List(&'static str),
    Class(Vec<&'a str>),
    Others,
}

fn own(shape: &Shape) -> impl Iterator<Item = (String, Of<'_>)> {
    shape.names().map(|name| {
        let of = match name {
            "label" => Of::Class(shape.labels.iter().map(|label| label.name.as_str()).collect()),
            "confidence" | "confidence_raw" | "margin" => Of::Value("float64"),
            "candidates" | "label_set" => Of::List("string"),
            "others" => Of::Others,
            "candidate_weights" => Of::List("float64"),
            "corrected" | "final" => Of::Value("bool"),
            _ => Of::Value("string"),
        };
        (name.to_owned(), of)
    })
}

fn joined(shape: &Shape) -> impl Iterator<Item = (String, Of<'_>)> {
    shape.columns.iter().map(|column| {
        let of = match column.kind {
            Kind::Int => "int64",
            Kind::Double => "float64",
            Kind::Bool => "bool",
            Kind::Text | Kind::Json => "string",
        };
        (column.name.clone(), Of::Value(of))
    })
}

fn feature(name: &str, of: &Of<'_>) -> String {
    let name = quoted(name);
    match of {
        Of::Value(of) => format!("  - name: {name}\n    dtype: {of}\n"),
        // The older word, which every version of `datasets` reads.
        Of::List(of) => format!("  - name: {name}\n    sequence: {of}\n"),
        Of::Others => {
            format!(
                "  - name: {name}\n    list:\n    - name: label\n      dtype: string\n    - name: confidence\n      dtype: float64\n"
            )
        }
        Of::Class(names) => {
            let names: String =
                names.iter().enumerate().map(|(id, name)| format!("          '{id}': {}\n", quoted(name))).collect();
            format!("  - name: {name}\n    dtype:\n      class_label:\n        names:\n{names}")
        }
    }
}

/// A string of JSON is one of YAML, but for what YAML takes for the end of a line, and does not print.
fn quoted(text: &str) -> String {
    let mut written = String::new();
    for character in serde_json::to_string(text).unwrap_or_default().chars() {
        match u32::from(character) {
            code @ (0x7f..=0x9f | 0x2028 | 0x2029 | 0xfeff | 0xfffe | 0xffff) => {
                written.push_str(&format!("\\u{code:04x}"))
            }
            _ => written.push(character),
        }
    }
    written
}

/// As the hub sorts datasets by size.
fn size_category(rows: u64) -> &'static str {
    match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        _ => "10M<n<100M",
    }
}

#[cfg(test)]
mod tests {
    use super::super::columns::Column;
    use super::*;
    use crate::domain::label::{Label, LabelSet};

    #[test]
    fn a_card_says_what_the_columns_hold() {
        let label = |name: &str| Label { name: name.into(), description: None, aliases: vec![] };
        let labels = LabelSet::new(["no", "a: \"b\"\u{2028}"].map(label).to_vec()).unwrap();
        let columns = vec![Column { field: "n".into(), name: "n".into(), kind: Kind::Int }];
        let card =
            card("mood", &Shape { labels, by: vec![], is_audited: false, least: None, has_text: true, columns }, 1234);
        assert!(card.starts_with("---\ntask_categories:\n") && card.matches("\n---\n").count() == 1);
        // Quoted, or YAML takes it for false.
        assert!(
            card.contains(
                "class_label:\n        names:\n          '0': \"no\"\n          '1': \"a: \\\"b\\\"\\u2028\"\n"
            )
        );
        assert!(card.contains("  - name: \"candidates\"\n    sequence: string\n"));
        assert!(card.contains("  - name: \"n\"\n    dtype: int64\n"));
        assert!(card.contains("- 1K<n<10K\n") && card.contains("# mood\n"));
    }
}
