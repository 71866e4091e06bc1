//! Streams: what is published here, by whom, and who reads it.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use super::answer::Json;
use super::call::Named;
use super::desk::{Desk, Moment, seconds};
use super::problem::{Code, Problem, Told};
use crate::inbound::visitors::Session;
use crate::rtmp::server::Role;

/// Every stream.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Streams {
    streams: Vec<Stream>,
}

/// A stream that has a publisher, or had one a moment ago.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Stream {
    /// Application and name.
    #[schema(example = "live/show")]
    pub(super) name: String,
    app: String,
    stream: String,
    state: Stage,
    #[schema(format = DateTime)]
    since_at: String,
    pub(super) seconds: f64,
    publisher: Option<Publisher>,
    /// Players that read it here.
    players: usize,
    /// Destinations it is sent to, or would be if nothing were in the way.
    destinations: Vec<String>,
    /// Bytes of media since its beginning.
    bytes: u64,
    log: Held,
}

/// Whether its publisher is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = StreamState)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    /// It is
    Live,
    /// It has been lost and may come back, until the grace is over
    Lost,
}

/// Who publishes it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Publisher {
    session: u64,
    peer: String,
    tls: bool,
    /// What it calls itself.
    agent: String,
}

/// What is held of it, for readers that come late or fall behind.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
#[schema(as = Log)]
pub(super) struct Held {
    bytes: usize,
    seconds: f64,
}

impl Stream {
    /// All there are now, by name.
    pub(super) fn now(desk: &Desk, now: &Moment) -> Vec<Stream> {
        let (sessions, statuses) = (desk.visitors.sessions(), desk.board.statuses());
        let streams = desk.directory.streams().into_iter().map(|standing| {
            let of = |role: Role| {
                let name = &standing.name;
                sessions.iter().filter(move |session| session.role == role && session.stream == *name)
            };
            let destinations = statuses.iter().filter(|status| status.stream.as_ref() == Some(&standing.name));
            // One that another has followed may not have left yet.
            let publisher = of(Role::Publish).next_back().filter(|_| !standing.lost);
            Stream {
                name: standing.name.to_string(),
                app: standing.name.app().to_owned(),
                stream: standing.name.stream().to_owned(),
                state: if standing.lost { Stage::Lost } else { Stage::Live },
                since_at: now.at(standing.since),
                seconds: now.since(standing.since),
                publisher: publisher.map(Publisher::of),
                players: of(Role::Play).count(),
                destinations: destinations.map(|status| status.name.clone()).collect(),
                bytes: standing.log.appended(),
                log: Held { bytes: standing.log.bytes(), seconds: seconds(standing.log.span()) },
            }
        });
        streams.collect()
    }
}

impl Publisher {
    fn of(session: &Session) -> Self {
        Publisher {
            session: session.id,
            peer: session.peer.ip().to_string(),
            tls: session.tls,
            agent: session.agent.clone(),
        }
    }
}

/// Every stream, by name.
#[utoipa::path(get, path = "/api/v1/streams", tag = "streams", operation_id = "streams", responses((status = OK, body = Streams)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Streams> {
    Json(Streams { streams: Stream::now(&desk, &desk.now()) })
}

/// One stream. Slashes in its name are slashes of the path.
#[utoipa::path(get, path = "/api/v1/streams/{*name}", tag = "streams", operation_id = "stream",
    params(("name" = String, Path, description = "application and name", example = "live/show")),
    responses((status = OK, body = Stream), (status = NOT_FOUND, body = Told, description = "no_such_stream"))
)]
pub(super) async fn one(State(desk): State<Arc<Desk>>, Named(name): Named) -> Result<Json<Stream>, Problem> {
    let found = Stream::now(&desk, &desk.now()).into_iter().find(|stream| stream.name == name);
    found.map(Json).ok_or(Code::NoSuchStream.into())
}
