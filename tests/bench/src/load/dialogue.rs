//! What the load says in RTMP, by the product's own sessions.

use std::net::SocketAddr;

use anyhow::{Result, bail};
use rtmp_relay::net::{Connection, Source, Stream};
use rtmp_relay::rtmp::chunk::DEFAULT_SIZE;
use rtmp_relay::rtmp::client::{self, ClientSession, Target};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{Message, handshake, server};

/// An event that may be a message of a stream.
pub(super) trait Media {
    /// The message.
    fn message(self) -> Option<Message>;
}

impl Media for Message {
    fn message(self) -> Option<Message> {
        Some(self)
    }
}

impl Media for server::Event {
    fn message(self) -> Option<Message> {
        match self {
            server::Event::Message(message) => Some(message),
            server::Event::Request(_) | server::Event::Stopped => None,
        }
    }
}

impl Media for client::Event {
    fn message(self) -> Option<Message> {
        match self {
            client::Event::Message(message) => Some(message),
            client::Event::Started(_)
            | client::Event::Refused(..)
            | client::Event::Ended(_)
            | client::Event::Reconnect(_) => None,
        }
    }
}

/// Asks `server` for stream `number`.
pub(super) fn client(role: Role, server: SocketAddr, number: u16) -> ClientSession {
    let url = Url::parse(&format!("rtmp://{server}/live")).expect("a URL of ours");
    let name = format!("s{number}").into();
    let target = Target { role, url, name, agent: "FMLE/3.0 (compatible; bench)".to_owned(), chunk_size: DEFAULT_SIZE };
    ClientSession::new(target, &handshake::random(u64::from(number)))
}

/// Waits for the server's yes, and says on which message stream.
pub(super) async fn started<S: Stream, M: Source>(connection: &mut Connection<S, ClientSession, M>) -> Result<u32> {
    loop {
        while let Some(event) = connection.event()? {
            match event {
                client::Event::Started(stream) => return Ok(stream),
                client::Event::Refused(phase, status) => bail!("refused {phase}: {}", status.code),
                client::Event::Ended(_) | client::Event::Reconnect(_) | client::Event::Message(_) => {}
            }
        }
        connection.receive().await?;
    }
}
