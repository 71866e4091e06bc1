//! The relay as a whole: whether it is there, whether it is ready, how it is doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::desk::{Desk, Moment};
use crate::origin::Origin;

/// It answers.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Alive {
    alive: bool,
}

/// Whether it takes streams, and how many of them and their destinations there are.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Ready {
    ready: bool,
    streams: usize,
    /// Destinations by state; one that has several streams counts with each.
    destinations: BTreeMap<String, usize>,
}

/// The relay as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Status {
    version: &'static str,
    #[schema(format = DateTime)]
    started_at: String,
    pub(super) uptime_seconds: f64,
    rtmp: Rtmp,
    api: Listening,
    /// Streams that have a publisher, or had one a moment ago.
    streams: usize,
    /// Connections to us.
    visitors: usize,
    /// Connections that have ended, by how: a stable word.
    visitors_left: BTreeMap<&'static str, u64>,
    /// Whether there is a configuration file, and with it a place for what is to persist.
    config_file: bool,
}

/// Where encoders and players come in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Rtmp {
    listen: String,
    tls_listen: Option<String>,
}

/// Where somebody comes in.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Listening {
    listen: String,
}

impl Status {
    pub(super) fn now(desk: &Desk, now: &Moment) -> Self {
        Status {
            version: env!("CARGO_PKG_VERSION"),
            started_at: now.at(desk.began),
            uptime_seconds: now.since(desk.began),
            rtmp: Rtmp { listen: desk.rtmp.to_string(), tls_listen: desk.rtmps.map(|address| address.to_string()) },
            api: Listening { listen: desk.address.to_string() },
            streams: desk.directory.live().len(),
            visitors: desk.visitors.count(),
            visitors_left: desk.visitors.endings().into_iter().map(|(ending, count)| (ending.name(), count)).collect(),
            config_file: desk.keeper.is_some(),
        }
    }
}

/// Whether the process answers.
#[utoipa::path(get, path = "/healthz", tag = "health", security(()), responses((status = OK, body = Alive)))]
pub(super) async fn alive() -> Json<Alive> {
    Json(Alive { alive: true })
}

/// Whether the relay takes streams. Not while it is stopping.
#[utoipa::path(get, path = "/readyz", tag = "health", security(()), responses(
    (status = OK, body = Ready), (status = SERVICE_UNAVAILABLE, body = Ready, description = "it is stopping")
))]
pub(super) async fn ready(State(desk): State<Arc<Desk>>) -> Response {
    let mut destinations = BTreeMap::new();
    for status in desk.board.statuses() {
        *destinations.entry(status.state.to_string()).or_insert(0) += 1;
    }
    let ready = desk.is_ready();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Ready { ready, streams: desk.directory.live().len(), destinations })).into_response()
}

/// The relay as a whole.
#[utoipa::path(get, path = "/api/v1/status", tag = "relay", responses((status = OK, body = Status)))]
pub(super) async fn status(State(desk): State<Arc<Desk>>) -> Json<Status> {
    Json(Status::now(&desk, &desk.now()))
}

/// Where a setting has come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum From {
    /// The configuration file
    File,
    /// The command line or the environment
    Flags,
    /// The API
    Api,
}

impl std::convert::From<Origin> for From {
    fn from(origin: Origin) -> Self {
        match origin {
            Origin::File => From::File,
            Origin::Flags => From::Flags,
            Origin::Api => From::Api,
        }
    }
}
