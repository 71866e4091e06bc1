//! A call: the name in its path, its query and its body, read as strictly as the configuration file.

use axum::RequestPartsExt;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body as _;
use hyper::header::CONTENT_TYPE;
use hyper::http::request::Parts;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::problem::{Code, Part, Problem};
use crate::limits::{API_BODY_BYTES, API_CALL};

/// What stands in the path where the route has a name.
pub(super) struct Named(pub(super) String);

/// What a call wants to change.
pub(super) struct Change {
    /// The body's keys and their values.
    pub(super) said: Map<String, Value>,
    /// Whether it is to be written into the configuration file too.
    pub(super) persist: bool,
}

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(name) = parts.extract::<Path<String>>().await.map_err(|_| Code::NotText)?;
        Ok(Named(name))
    }
}

impl<S: Send + Sync> FromRequest<S> for Change {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let asked = persist_in_query(request.uri().query().unwrap_or_default())?;
        let mut said = object(request).await?;
        let persist = match said.remove("persist") {
            None => asked,
            Some(Value::Bool(persist)) => persist || asked,
            Some(_) => return Err(Problem::part("persist", "here should be true or false")),
        };
        Ok(Change { said, persist })
    }
}

impl Change {
    /// Refuses keys that are not among those that are known here.
    pub(super) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let unknown = self.said.keys().filter(|key| !known.contains(&&***key));
        let what = |key: &String| Part {
            detail: format!("unknown key {key:?}: known here are {}", known.join(", ")),
            field: Some(key.clone()),
        };
        let parts: Vec<Part> = unknown.map(what).collect();
        if parts.is_empty() { Ok(()) } else { Err(Problem::all(parts)) }
    }
}

/// A word that is not understood is refused: who misspells it would wait for its effect.
fn persist_in_query(query: &str) -> Result<bool, Problem> {
    let mut persist = false;
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        match (&*key, &*value) {
            ("persist", "true") => persist = true,
            ("persist", "false") => persist = false,
            ("persist", _) => return Err(Problem::part("persist", "here should be true or false")),
            (other, _) => {
                return Err(Problem::part(other, &format!("unknown parameter {other:?}: known here is persist")));
            }
        }
    }
    Ok(persist)
}

/// The body, in time. None at all says nothing.
async fn object(request: Request) -> Result<Map<String, Value>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).cloned();
    let body = request.into_body();
    if body.is_end_stream() {
        return Ok(Map::new());
    }
    let kind = kind.as_ref().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(Code::NoJsonType.into());
    }
    let bytes =
        timeout(API_CALL, Limited::<Body>::new(body, API_BODY_BYTES).collect()).await.map_err(|_| Code::TooSlow)?;
    let bytes =
        bytes.map_err(|error| if error.is::<LengthLimitError>() { Code::TooLarge } else { Code::NotJson })?.to_bytes();
    // What is wrong with it is told by its place: the text may be a key.
    let broken = |error: serde_json::Error| {
        let detail = format!("the body is no object of JSON: line {}, column {}", error.line(), error.column());
        Problem::saying(Code::NotJson, detail)
    };
    serde_json::from_slice(&bytes).map_err(broken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_that_is_not_understood_is_refused() {
        for (query, persist) in [
            ("", Some(false)),
            ("persist=true", Some(true)),
            ("persist=false", Some(false)),
            ("persist=yes", None),
            ("persist", None),
            ("persit=true", None),
        ] {
            assert_eq!(persist_in_query(query).ok(), persist, "{query}");
        }
    }
}
