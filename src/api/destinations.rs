//! Destinations: where they stand.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::call::Named;
use super::desk::{Desk, Moment, seconds};
use super::problem::{Code, Problem, Told};
use super::status::From;
use crate::config::Route;
use crate::destination::Status;
use crate::guard;

/// Every destination.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Destinations {
    destinations: Vec<Destination>,
}

/// A server that streams are sent to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Destination {
    #[schema(example = "youtube")]
    pub(super) name: String,
    /// Whether anything is sent there at all.
    enabled: bool,
    /// Scheme, host and port.
    #[schema(example = "rtmps://a.rtmps.youtube.com:443")]
    server: String,
    /// The one that takes its place while it fails.
    backup_server: Option<String>,
    /// Whose server it is.
    #[schema(example = "youtube")]
    platform: Option<&'static str>,
    /// Patterns of the streams that go there.
    source_streams: Vec<String>,
    from: From,
    /// Where it stands with each stream, or where it stands without one.
    pub(super) streams: Vec<DestinationStatus>,
}

/// Where a destination stands with one stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct DestinationStatus {
    pub(super) stream: Option<String>,
    /// `disabled`, `waiting`, `connecting`, `live`, `degraded`, `backing_off`, `rejected`, `blocked` or `draining`.
    pub(super) state: String,
    #[schema(format = DateTime)]
    since_at: String,
    pub(super) seconds: f64,
    /// Why it stands there, where that needs a word.
    reason: Option<String>,
    /// The last error; it stays after a recovery.
    pub(super) error: Option<LastError>,
    /// When the next attempt is due, if it waits for one.
    #[schema(format = DateTime)]
    retry_at: Option<String>,
    pub(super) retry_in_seconds: Option<f64>,
    /// Connections tried.
    pub(super) attempts: u64,
    /// Sessions after the first.
    pub(super) reconnects: u64,
    /// The same by what ended the session before: a class of errors, `requested`, `primary_is_back` or `new_stream`.
    pub(super) reconnects_by_reason: BTreeMap<&'static str, u64>,
    pub(super) bytes_sent: u64,
    pub(super) messages_sent: u64,
    /// Frames left out: `lag`, the server was too slow; `log`, it was, and the log full before `max_lag`; `away`, they came
    /// while there was no session.
    pub(super) dropped_frames: BTreeMap<&'static str, u64>,
    /// Over the last second.
    pub(super) bitrate: u64,
    /// Media time that has not arrived at the server's host; where the system does not say, that has not left.
    pub(super) lag_seconds: f64,
    /// Media time that the server has not acknowledged, if it does. Most do once in a few megabytes.
    pub(super) acknowledged_lag_seconds: Option<f64>,
    /// Bytes that wait here for the server.
    pub(super) unsent_bytes: usize,
    /// Bytes that wait in the system until the server's host has acknowledged them, where the system says.
    pub(super) kernel_unsent_bytes: Option<usize>,
    /// How long an acknowledgement of TCP takes, where the system says.
    pub(super) round_trip_seconds: Option<f64>,
    /// In all sessions together.
    pub(super) connected_seconds: f64,
    /// Where it is sent, or was last tried to be.
    at: Option<At>,
    /// What the stream has and the server did not announce; it is sent all the same.
    unannounced: Vec<String>,
    /// What its platform does not like about the stream.
    pub(super) advice: Vec<Advice>,
}

/// One of a destination's servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Server)]
#[serde(rename_all = "lowercase")]
pub(super) enum At {
    /// The one that comes first
    Primary,
    /// The one that takes its place
    Backup,
}

/// Something that a platform does not like about a stream.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Advice {
    /// What it is about; stable.
    #[schema(example = "gop_too_long")]
    pub(super) matter: String,
    /// What is wrong and what to do about it.
    text: String,
    /// The platform is known to refuse such a stream.
    refused: bool,
    /// The limit is known, not guessed.
    confirmed: bool,
}

/// Something that has gone wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct LastError {
    /// The kind of error; stable, and explained in docs/errors.md.
    #[schema(example = "key_rejected")]
    pub(super) class: &'static str,
    /// The error in words.
    text: String,
    /// What to do about it.
    advice: &'static str,
    /// When it came.
    #[schema(format = DateTime)]
    failed_at: String,
}

impl Destination {
    /// All there are now, in the order of the configuration.
    pub(super) fn now(desk: &Desk, now: &Moment) -> Vec<Destination> {
        let mut statuses: BTreeMap<String, Vec<DestinationStatus>> = BTreeMap::new();
        for status in desk.board.statuses() {
            statuses.entry(status.name.clone()).or_default().push(DestinationStatus::of(status, now));
        }
        let config = desk.present();
        let of = |route: &Route| Destination::of(route, statuses.remove(&route.name).unwrap_or_default());
        config.destinations.iter().map(of).collect()
    }

    fn of(route: &Route, streams: Vec<DestinationStatus>) -> Self {
        Destination {
            name: route.name.clone(),
            enabled: route.enabled,
            server: route.url.server(),
            backup_server: route.backup.as_ref().map(|backup| backup.server()),
            platform: route.settings.platform.map(|platform| &*platform.id),
            source_streams: route.streams.iter().map(ToString::to_string).collect(),
            from: route.from.into(),
            streams,
        }
    }

    /// The one of this name.
    pub(super) fn named(desk: &Desk, name: &str) -> Result<Destination, Problem> {
        let found = Destination::now(desk, &desk.now()).into_iter().find(|destination| destination.name == name);
        found.ok_or(Code::NoSuchDestination.into())
    }
}

impl DestinationStatus {
    fn of(status: Status, now: &Moment) -> Self {
        let error = status.class.zip(status.last_error.clone()).zip(status.failed_at);
        let at = if status.backup { At::Backup } else { At::Primary };
        DestinationStatus {
            connected_seconds: seconds(status.connected()),
            at: (status.attempts > 0 && status.stream.is_some()).then_some(at),
            stream: status.stream.map(|stream| stream.to_string()),
            state: status.state.to_string(),
            since_at: now.at(status.since),
            seconds: now.since(status.since),
            reason: status.reason,
            error: error.map(|((class, text), at)| LastError {
                class: class.code(),
                text,
                advice: class.advice(),
                failed_at: now.at(at),
            }),
            retry_at: status.retry_at.map(|at| now.at(at)),
            retry_in_seconds: status.retry_at.map(|at| now.until(at)),
            attempts: status.attempts,
            reconnects: status.reconnects,
            reconnects_by_reason: status.reconnects_by_reason,
            bytes_sent: status.bytes,
            messages_sent: status.messages,
            dropped_frames: status.dropped_by_reason,
            bitrate: status.bitrate,
            lag_seconds: seconds(status.delivered.lag),
            acknowledged_lag_seconds: status.delivered.acknowledged_lag.map(seconds),
            unsent_bytes: status.delivered.unsent,
            kernel_unsent_bytes: status.delivered.kernel_unsent,
            round_trip_seconds: status.delivered.round_trip.map(seconds),
            unannounced: status.unannounced,
            advice: status.advice.into_iter().map(Advice::of).collect(),
        }
    }
}

impl Advice {
    fn of(advice: guard::Advice) -> Self {
        let guard::Advice { matter, text, refused, confirmed } = advice;
        Advice { matter: matter.to_string(), text, refused, confirmed }
    }
}

/// Every destination, in the order of the configuration.
#[utoipa::path(get, path = "/api/v1/destinations", tag = "destinations", operation_id = "destinations", responses((status = OK, body = Destinations)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Destinations> {
    Json(Destinations { destinations: Destination::now(&desk, &desk.now()) })
}

/// One destination.
#[utoipa::path(get, path = "/api/v1/destinations/{name}", tag = "destinations", operation_id = "destination",
    params(("name" = String, Path)),
    responses((status = OK, body = Destination), (status = NOT_FOUND, body = Told, description = "no_such_destination"))
)]
pub(super) async fn one(State(desk): State<Arc<Desk>>, Named(name): Named) -> Result<Json<Destination>, Problem> {
    Destination::named(&desk, &name).map(Json)
}
