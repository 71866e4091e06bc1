//! A connection that somebody opened to us, until it has said what it wants, to publish or to play, and may.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::feed::Feed;
use crate::gate::{Ask, Denied, Gate};
use crate::journal::Journal;
use crate::limits::{HANDSHAKE, REQUEST};
use crate::net::connection::Error;
use crate::net::{Connection, Network, Stream};
use crate::rtmp::command::{Status, code};
use crate::rtmp::server::{Event, Request, Role};
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::{ServerSession, handshake, url};
use crate::stream::{Directory, Name, Right};

pub mod visitors;

pub use visitors::{Ending, Visitors};

/// An inbound connection: a server's session, and a feed once it plays.
pub type Inbound<S> = Connection<S, ServerSession, Feed>;

/// What every inbound connection of a relay is given.
#[derive(Debug, Clone)]
pub struct House {
    /// The streams.
    pub directory: Arc<Directory>,
    /// Who is connected.
    pub visitors: Arc<Visitors>,
    /// Where it is told who has come and gone.
    pub journal: Journal,
    /// Who this relay is to others, so that it knows its own streams when they come round.
    pub identity: u64,
    /// The relay is ending.
    pub stop: CancellationToken,
}

/// What a peer wants, and where.
#[derive(Debug)]
pub struct Asked<S> {
    /// The connection it came on.
    pub connection: Inbound<S>,
    /// To accept or reject.
    pub request: Request,
    /// The stream it means; none if it cannot be one.
    pub name: Option<Name>,
    /// Where it comes from.
    pub peer: SocketAddr,
}

/// A peer that may do what it wants.
#[derive(Debug)]
pub struct Admitted<S> {
    /// The connection it came on.
    pub connection: Inbound<S>,
    /// To accept or reject.
    pub request: Request,
    /// The stream it means.
    pub name: Name,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Who it is to the stream.
    pub right: Right,
}

/// A peer that may not do what it wants, and has not been told so yet.
#[derive(Debug)]
pub struct Refused<S> {
    connection: Inbound<S>,
    request: Request,
    status: Status,
    why: Short,
}

/// Why a visit was cut short.
#[derive(Debug, thiserror::Error)]
pub enum Short {
    /// The connection was.
    #[error(transparent)]
    Connection(#[from] Error),
    /// It has named no stream.
    #[error("{} refused: This is no stream name", doing(.role))]
    Nameless {
        /// What it wanted.
        role: Role,
    },
    /// It may not do what it wanted.
    #[error("{} denied: {reason}", doing(.role))]
    Denied {
        /// What it wanted.
        role: Role,
        /// Why.
        reason: Denied,
    },
}

fn doing(role: &Role) -> &'static str {
    match role {
        Role::Publish => "publishing",
        Role::Play => "playing",
    }
}

/// Waits for a new connection's peer to say what it wants.
pub async fn ask<S: Stream>(stream: S, peer: SocketAddr, seed: u64) -> Result<Asked<S>, Error> {
    let mut connection = Connection::new(stream, ServerSession::new(handshake::random(seed)));
    let request = request(&mut connection).await?;
    let name = Name::new(&url::stream_path(request.app.expose(), request.name.expose()));
    debug!(%peer, role = ?request.role, stream = ?name, "asked");
    Ok(Asked { connection, request, name, peer })
}

/// Asks the gate.
pub async fn admit<S: Stream, N: Network>(asked: Asked<S>, gate: &Gate<N>) -> Result<Admitted<S>, Refused<S>> {
    let Asked { connection, request, name, peer } = asked;
    let role = request.role;
    let Some(name) = name else {
        let code = match role {
            Role::Publish => code::PUBLISH_BAD_NAME,
            Role::Play => code::PLAY_NOT_FOUND,
        };
        let status = Status::error(code, "This is no stream name");
        return Err(Refused { connection, request, status, why: Short::Nameless { role } });
    };
    let query = url::stream_query(request.app.expose(), request.name.expose());
    let Request { agent, tc_url, .. } = &request;
    match gate.may(&Ask { role, stream: &name, query: &query, peer, agent, tc_url }).await {
        Ok(right) => Ok(Admitted { connection, request, name, peer, right }),
        Err(reason) => {
            // OBS takes the first as final and asks its user for another key; librtmp and with it ffmpeg take the second.
            let code = match role {
                Role::Publish => code::PUBLISH_DENIED,
                Role::Play => code::PLAY_FAILED,
            };
            let status = Status::error(code, &reason.to_string());
            Err(Refused { connection, request, status, why: Short::Denied { role, reason } })
        }
    }
}

impl<S: Stream> Refused<S> {
    /// Tells it so, and that is the end of its connection.
    pub async fn turn_away(self) -> Short {
        turn_away(self.connection, self.request, &self.status).await;
        self.why
    }
}

/// Says no, and closes once that has left.
pub async fn turn_away<S: Stream>(mut connection: Inbound<S>, request: Request, status: &Status) {
    connection.session.reject(request, status);
    connection.close().await;
}

/// A deadline for each phase.
async fn request<S: Stream>(connection: &mut Inbound<S>) -> Result<Request, Error> {
    let opened = Instant::now();
    loop {
        while let Some(event) = connection.event()? {
            match event {
                Event::Request(request) => return Ok(request),
                Event::Message(_) | Event::Stopped => {}
            }
        }
        let phase = connection.session.phase();
        let deadline = opened + if phase == Phase::Handshake { HANDSHAKE } else { REQUEST };
        timeout_at(deadline, connection.receive()).await.map_err(|_| Error::TimedOut { phase })??;
    }
}
