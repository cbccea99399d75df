//! The page's addresses in the form of OpenAPI 3.1, made from the types that they answer with.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::audit_shapes::{AuditNow, AuditQueue, NewAuditLabel, NewDraw, NewEnd, NewTaking, Taken, ToAudit};
use super::shapes::{About, Corrected, Correction, Detail, Estimates, Fault, Overview, Page, Review, StatusNow};
use crate::readers::certificate::AuditCertificate;

/// A field that may follow the question mark: its name, the type of its value, what it is for.
type Field = (&'static str, &'static str, &'static str);

const LABELS: [Field; 15] = [
    ("offset", "integer", "Rows that are passed over."),
    ("limit", "integer", "Rows that are given: 100, and 1000 at most."),
    ("sort", "string", "position (if missing), confidence, margin, id or label. What has none comes last."),
    ("desc", "integer", "1: the other way round."),
    ("label", "string", "Only texts with this label."),
    ("by", "string", "Only labels that come from there."),
    ("min", "number", "Only labels with this confidence, or more."),
    ("max", "number", "Only labels with less confidence; 1 lets all through."),
    ("final", "integer", "1: only final labels. 0: only others."),
    ("disagree", "integer", "1: only texts of which some teacher named another label first."),
    ("corrected", "integer", "1: only labels that a person gave. 0: only others."),
    ("failed", "integer", "1: only texts that no teacher named a label for. 0: only others."),
    ("audited", "integer", "1: only texts of the sample of the audit that goes on. 0: only others."),
    ("contains", "string", "Only texts that contain this, or whose id does, in any case."),
    ("token", "string", "Where the server has one: kept as a cookie."),
];

const REVIEW: [Field; 5] = [
    ("order", "string", "doubtful (if missing), random, disagree or label."),
    ("label", "string", "Only texts with this label."),
    ("offset", "integer", "Rows that are passed over."),
    ("limit", "integer", "Rows that are given: 50, and 200 at most."),
    ("seed", "integer", "Of the random order."),
];

const FOUND: [Field; 2] = [
    ("looked", "integer", "Texts that a person gave a label: 0 if missing, and 100000 at most."),
    ("changed", "integer", "Of these, texts that had another label."),
];

const AUDIT: [Field; 2] = [
    ("epsilon", "number", "The share of wrong labels that the threshold allows: 0.05 if missing."),
    ("delta", "number", "The chance that it allows for there to be more: 0.05 if missing."),
];

const FIGURES: Field = ("figures", "integer", "1: figures also of an audit that is not labelled to its end.");

const NEXT: [Field; 2] = [
    ("offset", "integer", "Texts that are passed over."),
    ("limit", "integer", "Texts that are given: 50, and 200 at most."),
];

const EVENTS: [Field; 2] = [
    ("from", "integer", "The first offset; a header Last-Event-ID comes first."),
    ("final", "string", "Only final labels, each when it becomes final or changes after that."),
];

const POSITION: Field = ("position", "integer", "The text's place among the arrivals, from 0.");

/// The document, its keys in the order in which one reads them.
pub(crate) fn openapi() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .for_serialize()
        .into_generator();
    let paths = paths(&mut generator);
    let schemas: Map<String, Value> = generator.take_definitions(true).into_iter().collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "The page of a candist run",
            "description": "What `candist serve` answers. Errors have a status of 4xx or 5xx and say what to do. A server that \
                            listens beyond this machine wants its token as `Authorization: Bearer`, as a cookie, or once as \
                            `?token=`.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn paths(generator: &mut SchemaGenerator) -> Value {
    let page = schema::<Page>(generator);
    let position = [POSITION];
    let mut paths = json!({
        "/": {"get": other("The page.", "text/html", &[])},
        "/assets/{name}": {"get": other("A file of the page.", "application/octet-stream", &in_path(&[("name", "string", "Its name.")]))},
        "/healthz": {"get": other("Whether the server is there.", "application/json", &[])},
        "/report": {"get": other("A report of the run, to read, print and hand on.", "text/html", &[])},
        "/metrics": {"get": other("Run and server in numbers, for Prometheus.", "text/plain", &[])},
        "/labels": {"get": other(
            "Label events, each a line of labels.jsonl, also while a run writes them. An event's id is its offset + 1. Another \
             log in the old one's place begins with an event `new-log`.",
            "text/event-stream", &in_query(&EVENTS))},
        "/api/v1/openapi.json": {"get": other("This document.", "application/json", &[])},
        "/api/v1/run": {"get": answer("What is shown.", schema::<About>(generator), &[])},
        "/api/v1/status": {"get": answer("How far the run is.", schema::<StatusNow>(generator), &[])},
        "/api/v1/stream": {"get": other(
            "That something changed: events `status` (as /api/v1/status) and `labels` ({\"events\", \"version\"}).",
            "text/event-stream", &[])},
        "/api/v1/overview": {"get": answer("All texts, counted.", schema::<Overview>(generator), &[])},
        "/api/v1/labels": {"get": answer("Texts with their labels.", page, &in_query(&LABELS))},
        "/api/v1/labels/{position}": {"get": answer("One text with all that is known of it.", schema::<Detail>(generator), &in_path(&position))},
        "/api/v1/review": {"get": answer("What to look at next.", schema::<Review>(generator), &in_query(&REVIEW))},
        "/api/v1/estimates": {"get": answer("How right labels are said to be.", schema::<Estimates>(generator), &in_query(&FOUND))},
        "/api/v1/corrections": {"post": correction(generator)},
        "/api/v1/corrections/{position}": {"delete": changing(answer("Takes a correction back.", schema::<Corrected>(generator), &taking_back()))},
    });
    if let (Some(paths), Value::Object(audit)) = (paths.as_object_mut(), audit_paths(generator)) {
        paths.extend(audit);
    }
    paths
}

fn audit_paths(generator: &mut SchemaGenerator) -> Value {
    let position = [POSITION];
    let now = |generator: &mut SchemaGenerator, summary| answer(summary, schema::<AuditNow>(generator), &[]);
    json!({
        "/audit/certificate": {"get": answer(
            "What the audit says, to keep: as it is now, or was at its end.",
            schema::<AuditCertificate>(generator), &in_query(&AUDIT))},
        "/api/v1/audit": {"get": answer("The run's own audit.", schema::<AuditNow>(generator), &[in_query(&AUDIT), in_query(&[FIGURES])].concat())},
        "/api/v1/audit/next": {"get": answer(
            "Texts of the sample to label, without what the run says of them.",
            schema::<AuditQueue>(generator), &in_query(&NEXT))},
        "/api/v1/audit/texts/{position}": {"get": answer(
            "A text of the sample, all of it.", schema::<ToAudit>(generator), &in_path(&position))},
        "/api/v1/audit/draw": {"post": sending::<NewDraw>(now(generator, "Draws a sample of the labels."), generator)},
        "/api/v1/audit/more": {"post": sending::<NewDraw>(now(generator, "Makes the sample larger."), generator)},
        "/api/v1/audit/labels": {"post": sending::<NewAuditLabel>(
            answer("Keeps what a person says of a text of the sample.", schema::<Corrected>(generator), &[]), generator)},
        "/api/v1/audit/labels/{position}": {"delete": changing(answer(
            "Takes it back.", schema::<Corrected>(generator), &taking_back()))},
        "/api/v1/audit/end": {"post": sending::<NewEnd>(now(generator, "Ends the audit, with its certificate."), generator)},
        "/api/v1/audit/corrections": {"post": sending::<NewTaking>(
            answer("Takes the labels of an audit that has ended as corrections.", schema::<Taken>(generator), &[]), generator)},
    })
}

/// What says whose label is taken back.
fn taking_back() -> Vec<Value> {
    let mut id = in_query(&[("id", "string", "The text's id: its place may have another text by now.")]);
    id.iter_mut().for_each(|id| id["required"] = true.into());
    let more = [
        ("text_hash", "string", "Hash of the text that was read: an id might be another's too."),
        (
            "label",
            "string",
            "What is taken back; where somebody has given another label since, it stands. Of corrections.",
        ),
        ("who", "string", "Whoever takes it back."),
    ];
    [in_path(&[POSITION]), id, in_query(&more)].concat()
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn in_query(fields: &[Field]) -> Vec<Value> {
    parameters("query", fields)
}

fn in_path(fields: &[Field]) -> Vec<Value> {
    parameters("path", fields)
}

fn parameters(place: &str, fields: &[Field]) -> Vec<Value> {
    let parameter = |(name, kind, description): &Field| json!({"name": name, "in": place, "required": place == "path", "description": description, "schema": {"type": kind}});
    fields.iter().map(parameter).collect()
}

fn answer(summary: &str, schema: Value, parameters: &[Value]) -> Value {
    operation(summary, "application/json", Some(schema), parameters)
}

fn other(summary: &str, kind: &str, parameters: &[Value]) -> Value {
    operation(summary, kind, None, parameters)
}

fn operation(summary: &str, kind: &str, schema: Option<Value>, parameters: &[Value]) -> Value {
    let content = schema.map_or_else(|| json!({}), |schema| json!({"schema": schema}));
    let fault = json!({"$ref": "#/components/schemas/Fault"});
    json!({
        "summary": summary,
        "parameters": parameters,
        "responses": {
            "200": {"description": "It.", "content": {kind: content}},
            "default": {"description": "What is wrong, and what to do.", "content": {"application/json": {"schema": fault}}},
        },
    })
}

/// What changes something needs a header.
fn changing(mut operation: Value) -> Value {
    if let Some(Value::Array(parameters)) = operation.get_mut("parameters") {
        parameters.push(json!({"name": "X-Candist", "in": "header", "required": true, "schema": {"const": "1"}}));
    }
    operation
}

fn correction(generator: &mut SchemaGenerator) -> Value {
    // Named by every operation's errors.
    let _ = generator.subschema_for::<Fault>();
    let operation = answer("Gives a text a label.", schema::<Corrected>(generator), &[]);
    sending::<Correction>(operation, generator)
}

/// What changes something takes a body.
fn sending<T: JsonSchema>(operation: Value, generator: &mut SchemaGenerator) -> Value {
    let (sent, mut operation) = (schema::<T>(generator), changing(operation));
    if let Some(operation) = operation.as_object_mut() {
        operation.insert(
            "requestBody".to_owned(),
            json!({"required": true, "content": {"application/json": {"schema": sent}}}),
        );
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        let document = openapi();
        let text = document.to_string();
        let references: Vec<&str> =
            text.split("\"$ref\":\"#").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert!(references.len() > 20);
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
