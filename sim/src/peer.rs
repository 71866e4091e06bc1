//! The peers of a world's relays: encoders, players and servers that do what a scenario says, and remember what they saw.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rtmp_relay::net::Network;
use rtmp_relay::rtmp::chunk;
use rtmp_relay::rtmp::client::{ClientSession, Event, Target};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::{Output, Session as _};
use rtmp_relay::rtmp::{handshake, url::Url};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::net::{Mss, Turmoil};

mod decoder;
mod encoder;
mod media;
mod player;
mod server;
mod show;
mod villain;

pub use encoder::Act;
pub(crate) use encoder::{Encoder, stop};
pub(crate) use media::note;
pub use media::{Media, Tape};
pub(crate) use player::Player;
pub(crate) use server::Server;
pub use server::{Answer, Session};
pub(crate) use show::{Picture, Show};
pub use villain::{Deed, Encounter, End};
pub(crate) use villain::{Orders, Villain};

/// A client gives up a wait for an answer after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// Something a world shares with its peers, who all live on its thread.
pub type Shared<T> = Rc<RefCell<T>>;

pub(crate) type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Where a client goes: `host/app/stream`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place(pub(crate) &'static str);

/// Without its query, where keys are: the trace is searched for what the relay prints of them.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.split('?').next().unwrap_or_default())
    }
}

/// The product's client session on a simulated stream, driven the plain way.
pub(crate) struct Client {
    pub(crate) stream: Mss,
    pub(crate) session: ClientSession,
    pub(crate) events: VecDeque<Event>,
}

impl Client {
    /// Connects, and comes back when it may publish or play.
    pub(crate) async fn open(place: Place, role: Role) -> Result<(Self, u32)> {
        let mut url = Url::parse(&format!("rtmp://{}", place.0))?;
        let name = url.name.take().ok_or("a place is host/app/stream")?;
        let network = Turmoil::default();
        let address = network.lookup(&url.host, url.port).await?[0];
        let stream = timeout(PATIENCE, network.connect(address)).await??;
        let target = Target { role, url, name, agent: "FMLE/3.0".to_owned(), chunk_size: chunk::DEFAULT_SIZE };
        let session = ClientSession::new(target, &[0; handshake::SIZE - 8]);
        let mut client = Client { stream, session, events: VecDeque::new() };
        loop {
            match timeout(PATIENCE, client.event()).await?? {
                Event::Started(stream) => return Ok((client, stream)),
                Event::Refused(phase, status) => Err(format!("refused {phase}: {}", status.code))?,
                Event::Reconnect(_) | Event::Ended(_) | Event::Message(_) => {}
            }
        }
    }

    /// What the server does next.
    pub(crate) async fn event(&mut self) -> Result<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            self.react().await?;
            if self.events.is_empty() {
                self.read().await?;
            }
        }
    }

    /// Cancel safe.
    pub(crate) async fn read(&mut self) -> io::Result<()> {
        match self.stream.read_buf(self.session.input()).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    /// Answers what has been read.
    pub(crate) async fn react(&mut self) -> Result<()> {
        while let Some(output) = self.session.poll()? {
            match output {
                Output::Transmit(bytes) => self.stream.write_all(&bytes).await?,
                Output::Event(event) => self.events.push_back(event),
            }
        }
        Ok(())
    }
}
