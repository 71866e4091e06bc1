//! The door for viewers: `GET /app/name.flv` is a stream, as an FLV file that goes on for as long as the stream does.
//!
//! It is no call of the API. Whoever may play the stream over RTMP may see it here, with the same key (`?key=…`); so may those who
//! show the API's token.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use hyper::Method;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT, X_CONTENT_TYPE_OPTIONS,
};

use super::desk::Desk;
use super::problem::{Code, Problem};
use crate::net::Network;
use crate::stream::Name;
use crate::viewer::{Door, Refused, Viewer, Wish};

/// What a path ends with that is a stream.
const EXTENSION: &str = ".flv";

/// Who calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Peer(pub(super) SocketAddr);

/// Whether a call may come without the token: the gate is asked about it.
pub(super) fn is_for_the_gate(path: &str, headers: &HeaderMap) -> bool {
    path.ends_with(EXTENSION) && !headers.contains_key(AUTHORIZATION)
}

/// Sends a stream, where the rest of the path is one. The caller has shown the token, if there is one, or comes to ask the gate.
pub(super) async fn watch<N: Network>(
    desk: Arc<Desk>,
    door: Arc<Door<N>>,
    path: String,
    request: Request,
) -> Result<Response, Problem> {
    let name = path.strip_suffix(EXTENSION).and_then(Name::new).ok_or(Code::NoSuchPath)?;
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        return Err(Code::NoSuchMethod.into());
    }
    let headers = request.headers();
    let Peer(peer) = *request.extensions().get().expect("the listener says who calls");
    let query = request.uri().query().unwrap_or_default().to_owned().into();
    let agent = headers.get(USER_AGENT).map(|agent| String::from_utf8_lossy(agent.as_bytes())).unwrap_or_default();
    let vouched = desk.present().api.token.is_some() && headers.contains_key(AUTHORIZATION);
    let wish = Wish { stream: &name, query: &query, peer, agent: &agent, vouched };
    let viewer = door.admit(wish).await.map_err(|refused| match refused {
        Refused::NotThere => Code::NoSuchStream.into(),
        Refused::Full => Problem::saying(Code::TooMany, refused.to_string()),
        Refused::Denied(denied) => Problem::saying(Code::Denied, denied.to_string()),
    })?;
    let mut response = Response::new(body(viewer));
    for (name, value) in
        [(CONTENT_TYPE, "video/x-flv"), (CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

fn body(viewer: Viewer) -> Body {
    let bytes = unfold(viewer, async |mut viewer| {
        let bytes = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(bytes)), viewer))
    });
    Body::from_stream(bytes)
}
