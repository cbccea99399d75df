//! The service's addresses in the form of OpenAPI 3.1, made from the types that are read and written.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::request::{Sent, Shape};
use crate::http::Fault;

/// What is answered about one text: as [`Prediction`](crate::student::Prediction) is written, or why there is none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Prediction")]
struct Said {
    /// As it was sent; without one, the text's hash; null where there was neither.
    id: Option<String>,
    /// Null where the student is less sure than asked for, or there is an `error`.
    label: Option<String>,
    /// The probability of the likeliest label, four digits after the point; null where there is an `error`.
    confidence: Option<f64>,
    /// The likeliest labels, likeliest first; only where the student was not sure enough.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    candidates: Vec<String>,
    /// Why the text was not labelled: it is null or empty.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// What is answered.
#[derive(Serialize, JsonSchema)]
struct Predictions {
    /// One for each text, in their order.
    predictions: Vec<Said>,
}

/// The document, its keys in the order in which one reads them.
pub(crate) fn openapi() -> Value {
    let settings = || {
        SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
    };
    // What may be left out is not the same of what is read and of what is written.
    let (mut read, mut written) = (settings().into_generator(), settings().for_serialize().into_generator());
    let paths = paths(&mut read, &mut written);
    let schemas: Map<String, Value> =
        [read, written].into_iter().flat_map(|mut generator| generator.take_definitions(true)).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "A student of candist",
            "description": "What `candist predict --serve` answers. Errors have a status of 4xx or 5xx and say what to do. A \
                            service that listens beyond this machine wants its token as `Authorization: Bearer`.",
            "version": env!("CARGO_PKG_VERSION"),
        },
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Value {
    generator.subschema_for::<T>().to_value()
}

fn paths(read: &mut SchemaGenerator, written: &mut SchemaGenerator) -> Value {
    let (sent, text) = (schema::<Sent>(read), schema::<Shape>(read));
    let (said, one) = (schema::<Predictions>(written), schema::<Said>(written));
    let fault = schema::<Fault>(written);
    let fault = |description: &str| json!({"description": description, "content": {"application/json": {"schema": fault.clone()}}});
    let get = |summary: &str, kind: &str| {
        json!({"get": {"summary": summary, "responses": {
            "200": {"description": "It.", "content": {kind: {}}},
            "default": fault("What is wrong, and what to do."),
        }}})
    };
    let least = "Where the student is less sure, no label but candidates. A body may say otherwise.";
    json!({
        "/v1/predict": {"post": {
            "summary": "Labels texts.",
            "description": "As one object, or as lines of JSON: then a text a line goes in and a prediction a line comes out.",
            "parameters": [{"name": "min_confidence", "in": "query", "required": false, "description": least,
                "schema": {"type": "number", "minimum": 0, "maximum": 1}}],
            "requestBody": {"required": true, "content": {
                "application/json": {"schema": sent},
                "application/x-ndjson": {"schema": text},
            }},
            "responses": {
                "200": {"description": "A prediction for each text, in their order.", "content": {
                    "application/json": {"schema": said},
                    "application/x-ndjson": {"schema": one},
                }},
                "400": fault("The body is not as it should be: what is wrong, and where."),
                "413": fault("More bytes or texts than a request may have: as many as it says."),
                "415": fault("The body is of another kind, or packed."),
                "429": fault("As many texts wait as may: come again after `Retry-After` seconds."),
                "default": fault("What is wrong, and what to do."),
            },
        }},
        "/v1/openapi.json": get("This document.", "application/json"),
        "/healthz": get("Whether the student is there; needs no token.", "application/json"),
        "/metrics": get("The service in numbers, for Prometheus.", "text/plain"),
    })
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
        assert!(references.len() > 8);
        for reference in references {
            assert!(document.pointer(reference).is_some(), "{reference}");
        }
    }
}
