//! A connection that somebody opened to us, until it says what it wants: to publish, or to play.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::feed::Feed;
use crate::limits::{HANDSHAKE, REQUEST};
use crate::net::connection::Error;
use crate::net::{Connection, Stream};
use crate::rtmp::server::{Event, Request};
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::{ServerSession, handshake, url};
use crate::stream::{Directory, Name};

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

/// Waits for a new connection's peer to say what it wants.
pub async fn ask<S: Stream>(stream: S, peer: SocketAddr, seed: u64) -> Result<Asked<S>, Error> {
    let mut connection = Connection::new(stream, ServerSession::new(handshake::random(seed)));
    let request = request(&mut connection).await?;
    let name = Name::new(&url::stream_path(request.app.expose(), request.name.expose()));
    debug!(%peer, role = ?request.role, stream = ?name, "asked");
    Ok(Asked { connection, request, name, peer })
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
