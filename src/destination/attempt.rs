//! An attempt: the way from a server's name to a stream that it has accepted, with a deadline for each step.

use std::net::SocketAddr;

use tokio::time::{Instant, timeout_at};

use super::approach::is_internal;
use super::reach::reach;
use super::{Approach, Destination, Error, Outbound};
use crate::net::{Connection, Network, connection};
use crate::rtmp::client::{ClientSession, Event, Target};
use crate::rtmp::command::Status;
use crate::rtmp::handshake;
use crate::rtmp::login::Login;
use crate::rtmp::server::Role;
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::url::Url;

/// How a TLS server answers who does not speak it: the alert record of TLS 1.0 and later (RFC 8446 §5.1).
const TLS_ALERT: [u8; 2] = [21, 3];

/// What a server has answered: the session and its message stream, or when it has said no, and how.
type Answer<N> = Result<(Outbound<N>, u32), (Phase, Status)>;

impl<N: Network> Destination<N> {
    /// Opens a session. A server that wants a user name and password asks in three connections, all of one attempt.
    pub async fn connect(&mut self, approach: &mut Approach) -> Result<(Outbound<N>, u32), Error> {
        let elsewhere = approach.take_elsewhere();
        let mut url = elsewhere.clone().unwrap_or_else(|| self.server.url.clone());
        let mut login = Login::new(&url);
        loop {
            let (phase, status) = match self.open(url, elsewhere.is_some(), approach).await? {
                Ok(opened) => return Ok(opened),
                Err(refused) => refused,
            };
            let next = if phase == Phase::Connect { login.answer(&status, self.random.u32(..))? } else { None };
            url = next.ok_or_else(|| Error::Refused(phase, self.refusal(phase, &status)))?;
        }
    }

    /// Name, TCP, TLS, handshake, connect, createStream, publish: a deadline for each.
    /// The connection is closed before an error is returned: a server must never see two of us.
    async fn open(&mut self, url: Url, elsewhere: bool, approach: &mut Approach) -> Result<Answer<N>, Error> {
        let patience = self.settings.timeouts.connect;
        let may_be = |address: &SocketAddr| !self.settings.public_only || !is_internal(address.ip());
        let may_go = |address: &SocketAddr| may_be(address) && (!elsewhere || approach.may_go(address.ip()));
        let reached = reach(&self.net, &url, &self.trust, patience, may_go).await;
        let (address, stream) = reached.map_err(|error| match error {
            Error::Internal if !elsewhere => Error::NotPublic,
            error => error,
        })?;
        if !elsewhere {
            approach.at_home(address.ip());
        }
        let target = Target {
            role: Role::Publish,
            url,
            name: self.server.name.clone(),
            agent: self.agent.clone(),
            chunk_size: self.settings.chunk_size,
        };
        let session =
            ClientSession::new(target, &handshake::random(self.random.u64(..))).announcing(approach.announce());
        let mut connection: Outbound<N> = Connection::new(stream, session);
        let mut phase = connection.session.phase();
        let mut deadline = Instant::now() + patience;
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Started(message_stream) => return Ok(Ok((connection, message_stream))),
                    Event::Refused(phase, status) => {
                        connection.close_or_abort().await;
                        return Ok(Err((phase, status)));
                    }
                    Event::Reconnect(Ok(url)) => {
                        connection.close_or_abort().await;
                        return Err(Error::Reconnect(Box::new(url)));
                    }
                    Event::Reconnect(Err(_)) | Event::Ended(_) | Event::Message(_) => {}
                }
            }
            if connection.session.phase() != phase {
                phase = connection.session.phase();
                deadline = Instant::now() + patience;
            }
            let late = |_| connection::Error::TimedOut { phase };
            if let Err(error) = timeout_at(deadline, connection.receive()).await.map_err(late).flatten() {
                let alert = phase == Phase::Handshake && connection.session.input().starts_with(&TLS_ALERT);
                return Err(if alert { Error::SpeaksTls } else { error.into() });
            }
        }
    }
}
