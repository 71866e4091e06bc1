//! A connection that somebody opened to us, until it says what it wants: to publish, or to play.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::time::{Instant, timeout_at};
use tracing::debug;

use crate::feed::Feed;
use crate::limits::{HANDSHAKE, REQUEST};
use crate::net::connection::Error;
use crate::net::{Connection, Stream};
use crate::rtmp::handshake::{Random, SIZE};
use crate::rtmp::server::{Event, Request, Role};
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::{ServerSession, url};
use crate::stream::{Directory, Name};
use crate::{ingest, player};

/// An inbound connection: a server's session, and a feed once it plays.
pub type Inbound<S> = Connection<S, ServerSession, Feed>;

/// What every inbound connection of a relay is given.
#[derive(Debug, Clone)]
pub struct House {
    /// The streams.
    pub directory: Arc<Directory>,
    /// Who this relay is to others, so that it knows its own streams when they come round.
    pub identity: u64,
}

/// Serves one connection to its end.
pub async fn serve<S: Stream>(
    stream: S,
    peer: SocketAddr,
    house: House,
    mut random: fastrand::Rng,
) -> Result<(), Error> {
    let mut connection = Connection::new(stream, ServerSession::new(random_bytes(&mut random)));
    let request = request(&mut connection).await?;
    let path = url::stream_path(request.app.expose(), request.name.expose());
    let name = Name::new(&path);
    debug!(%peer, role = ?request.role, stream = ?name, "asked");
    match request.role {
        Role::Publish => ingest::serve(connection, request, name, peer, &house).await,
        Role::Play => player::serve(connection, request, name, peer, &house).await,
    }
}

/// Random bytes for a handshake. They need not be secret.
pub fn random_bytes(random: &mut fastrand::Rng) -> Random {
    let mut bytes = [0; SIZE - 8];
    random.fill(&mut bytes);
    bytes
}

/// Waits for the peer to ask for something, a deadline for each phase.
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
