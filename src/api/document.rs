//! The OpenAPI document: generated from the routes and the types that they answer with.

use axum::response::Response;
use hyper::StatusCode;
use serde_json::{Value, json};
use utoipa::OpenApi;

use super::answer;
use super::changes::OF_THE_FILE;
use crate::config::file;

/// What no route says about itself.
#[derive(OpenApi)]
#[openapi(info(
    title = "rtmp-relay",
    description = "Times that end in `_at` are RFC 3339 in UTC, `_seconds` are seconds, `bitrate` is bits a second, `bytes` are bytes. \
                   Errors are application/problem+json with a stable `code`. Stream keys and URLs' paths are in no answer."
))]
pub(super) struct Document;

/// This document.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "relay", operation_id = "openapi",
    responses((status = OK, description = "OpenAPI 3.1"))
)]
pub(super) async fn document() -> Response {
    answer::text("application/json", super::openapi())
}

/// The document with what utoipa leaves to be done: axum's word for the rest of a path, the kind of text that problems are, a word for
/// every answer, and the token.
pub(super) fn finished(document: utoipa::openapi::OpenApi) -> String {
    let mut document = serde_json::to_value(document).expect("a document is JSON");
    let paths = document["paths"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let paths = paths.into_iter().map(|(path, mut item)| {
        for operation in item.as_object_mut().into_iter().flat_map(|item| item.values_mut()) {
            for (status, response) in operation["responses"].as_object_mut().into_iter().flatten() {
                finish(status, response);
            }
        }
        (path.replace("{*", "{"), item)
    });
    document["paths"] = paths.collect();
    let bodies = bodies();
    for (path, method, shape) in [
        ("/api/v1/destinations", "post", "NewDestination"),
        ("/api/v1/destinations/{name}", "patch", "DestinationChange"),
    ] {
        let schema = json!({"$ref": format!("#/components/schemas/{shape}")});
        document["paths"][path][method]["requestBody"] =
            json!({"required": true, "content": {"application/json": {"schema": schema}}});
    }
    for (name, schema) in bodies {
        document["components"]["schemas"][name] = schema;
    }
    document["components"]["securitySchemes"] = json!({"token": {"type": "http", "scheme": "bearer"}});
    document["security"] = json!([{}, {"token": []}]);
    serde_json::to_string_pretty(&document).expect("JSON is text")
}

/// What may be said of a destination: what the configuration file may, but for what reads files and runs commands.
fn bodies() -> Vec<(String, Value)> {
    let schema = file::schema().replace("#/$defs/", "#/components/schemas/Setting");
    let mut schema: Value = serde_json::from_str(&schema).expect("a schema is JSON");
    let mut shapes = schema["$defs"].as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut new = shapes.remove("Destination").expect("it has destinations");
    if let Some(keys) = new["properties"].as_object_mut() {
        keys.retain(|key, _| !OF_THE_FILE.contains(&&**key));
        let persist =
            json!({"type": "boolean", "description": "Write it into the configuration file too", "default": false});
        keys.insert("persist".to_owned(), persist);
    }
    let mut change = new.clone();
    change["description"] = json!("What is given takes the place of what was, null is the default (RFC 7396).");
    change.as_object_mut().map(|change| change.remove("required"));
    for value in change["properties"].as_object_mut().into_iter().flat_map(|keys| keys.values_mut()) {
        *value = json!({"anyOf": [value.take(), {"type": "null"}]});
    }
    let mut bodies = vec![("NewDestination".to_owned(), new), ("DestinationChange".to_owned(), change)];
    let mut at = 0;
    while let Some((_, body)) = bodies.get(at) {
        let text = body.to_string();
        let named = text.split("#/components/schemas/Setting").skip(1).filter_map(|rest| rest.split('"').next());
        let more: Vec<_> = named.filter_map(|name| Some((format!("Setting{name}"), shapes.remove(name)?))).collect();
        bodies.extend(more);
        at += 1;
    }
    bodies
}

fn finish(status: &str, response: &mut Value) {
    if response["description"].as_str().unwrap_or_default().is_empty() {
        let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
        response["description"] = json!(status.and_then(|status| status.canonical_reason()).unwrap_or_default());
    }
    if let Some(content) = response["content"].as_object_mut()
        && content.values().any(|of| of["schema"]["$ref"] == "#/components/schemas/Problem")
        && let Some(problem) = content.remove("application/json")
    {
        content.insert("application/problem+json".to_owned(), problem);
    }
}
