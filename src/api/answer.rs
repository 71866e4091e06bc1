//! An answer: JSON, or other text.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;

/// Something as JSON.
pub(super) struct Json<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        text("application/json", serde_json::to_string(&self.0).expect("plain values are JSON"))
    }
}

/// Text of some kind, true now and not later.
pub(super) fn text(kind: &'static str, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Something that is there now.
pub(super) fn created<T: Serialize>(place: &str, what: T) -> Response {
    let mut response = Json(what).into_response();
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(LOCATION, HeaderValue::try_from(place).expect("names are letters and digits"));
    response
}

/// Done, and nothing to say about it.
pub(super) fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}
