//! A server's session whose owner accepts every request.

use bytes::Bytes;
use rtmp_relay::rtmp::server::{Event, Role};
use rtmp_relay::rtmp::session::{Output, Session};
use rtmp_relay::rtmp::{Error, Message, ServerSession};

/// What the session told its owner, and what it had sent.
#[derive(Debug)]
pub(crate) enum Told {
    Reply(Bytes),
    Asked { role: Role, app: String, name: String, agent: String, stream: u32 },
    Message(Message),
    Stopped,
}

impl PartialEq for Told {
    fn eq(&self, other: &Told) -> bool {
        fn parts(m: &Message) -> (u32, u8, u32, &[u8]) {
            (m.timestamp, m.type_id, m.stream, &m.payload)
        }
        match (self, other) {
            (Told::Reply(a), Told::Reply(b)) => a == b,
            (Told::Message(a), Told::Message(b)) => parts(a) == parts(b),
            (Told::Stopped, Told::Stopped) => true,
            (Told::Asked { .. }, Told::Asked { .. }) => format!("{self:?}") == format!("{other:?}"),
            _ => false,
        }
    }
}

/// A session that has heard nothing yet. S1 is all `5a`.
pub(crate) fn session() -> ServerSession {
    ServerSession::new([0x5a; 1528])
}

/// Lets `session` hear `bytes` and says what came of it.
pub(crate) fn hear(session: &mut ServerSession, bytes: &[u8], told: &mut Vec<Told>) -> Result<(), Error> {
    session.input().extend_from_slice(bytes);
    while let Some(output) = session.poll()? {
        told.push(match output {
            Output::Transmit(bytes) => Told::Reply(bytes),
            Output::Event(Event::Message(message)) => Told::Message(message),
            Output::Event(Event::Stopped) => Told::Stopped,
            Output::Event(Event::Request(request)) => {
                let (role, agent) = (request.role, request.agent.clone());
                let (app, name) = (request.app.expose().to_owned(), request.name.expose().to_owned());
                Told::Asked { role, app, name, agent, stream: session.accept(request) }
            }
        });
    }
    Ok(())
}
