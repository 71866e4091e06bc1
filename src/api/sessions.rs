//! Sessions: who publishes and plays here, and the end of one that should not.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tracing::info;
use utoipa::ToSchema;

use super::answer::{self, Json};
use super::call::Named;
use super::desk::{Desk, Moment};
use super::problem::{Code, Problem, Told};
use crate::inbound::visitors;
use crate::rtmp::server;

/// Every session.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Sessions {
    sessions: Vec<Session>,
}

/// A connection to us that publishes or plays.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Session {
    /// Its number; no other session has it as long as the relay runs.
    pub(super) id: u64,
    pub(super) role: Role,
    stream: String,
    peer: String,
    tls: bool,
    #[schema(format = DateTime)]
    since_at: String,
    pub(super) seconds: f64,
    /// Received from a publisher, sent to a player.
    bytes: u64,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Role {
    /// It sends us the stream
    Publish,
    /// It is sent the stream
    Play,
}

impl Session {
    /// All there are now, in the order they began.
    pub(super) fn now(desk: &Desk, now: &Moment) -> Vec<Session> {
        desk.visitors.sessions().iter().map(|session| Session::of(session, now)).collect()
    }

    fn of(session: &visitors::Session, now: &Moment) -> Self {
        Session {
            id: session.id,
            role: match session.role {
                server::Role::Publish => Role::Publish,
                server::Role::Play => Role::Play,
            },
            stream: session.stream.to_string(),
            peer: session.peer.ip().to_string(),
            tls: session.tls,
            since_at: now.at(session.since),
            seconds: now.since(session.since),
            bytes: session.bytes(),
        }
    }
}

/// Everybody who publishes and plays.
#[utoipa::path(get, path = "/api/v1/sessions", tag = "sessions", operation_id = "sessions", responses((status = OK, body = Sessions)))]
pub(super) async fn all(State(desk): State<Arc<Desk>>) -> Json<Sessions> {
    Json(Sessions { sessions: Session::now(&desk, &desk.now()) })
}

/// Ends a session. A publisher's stream goes on for the grace, for another publisher.
#[utoipa::path(delete, path = "/api/v1/sessions/{id}", tag = "sessions", operation_id = "kick",
    params(("id" = u64, Path, description = "the session's number")),
    responses((status = NO_CONTENT), (status = NOT_FOUND, body = Told, description = "no_such_session"))
)]
pub(super) async fn kick(State(desk): State<Arc<Desk>>, Named(id): Named) -> Result<Response, Problem> {
    let kicked = id.parse().is_ok_and(|id| desk.visitors.kick(id));
    if !kicked {
        return Err(Code::NoSuchSession.into());
    }
    info!(session = id, "session ended by the API");
    Ok(answer::done())
}
