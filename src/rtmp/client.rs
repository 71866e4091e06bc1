//! The client's end of a connection: it publishes one stream to a server, or plays one from it.
//!
//! ```text
//! Handshake ─► Connect ─► CreateStream ─► Request ─► Streaming ─► Closing
//!                └───────────────┴───────────┴─ Event::Refused
//! ```
//! Servers differ in what they answer. Only connect, createStream and publish (or play) are waited for; releaseStream,
//! FCPublish, FCUnpublish and deleteStream are said and never waited for.

use bytes::BytesMut;

use super::amf0::Amf0;
use super::capabilities::{Announce, Capabilities};
use super::command::{Command, Status, code};
use super::control::{self, UserControl, WINDOW};
use super::handshake::{Handshake, Random};
use super::server::Role;
use super::session::{Acknowledged, Input, Output, Phase, Session, Wire};
use super::url::{self, Url};
use super::{Error, Message, Secret};
use crate::flv::Need;
use crate::limits::COMMAND_BYTES;

/// Transaction ids. Each call is made once, so they are fixed.
const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const REQUEST: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;

/// Buffer length that a player announces, in milliseconds, as ffmpeg does.
const BUFFER_MS: u32 = 3000;

/// What to ask a server for.
#[derive(Debug, Clone)]
pub struct Target {
    /// Publish or play.
    pub role: Role,
    /// The server's address and application.
    pub url: Url,
    /// The stream's name or key.
    pub name: Secret,
    /// `flashVer`: what we call ourselves.
    pub agent: String,
    /// The chunk size we send with, in bytes.
    pub chunk_size: usize,
}

/// The client's end.
#[derive(Debug)]
pub struct ClientSession {
    wire: Wire<Event>,
    target: Target,
    state: State,
    /// What `connect` says of us.
    announce: Announce,
    /// What the server has announced, if it has.
    server: Option<Capabilities>,
    /// Nothing is asked for that anybody could see.
    rehearsal: bool,
}

/// What the server has done.
#[derive(Debug)]
pub enum Event {
    /// It lets us publish or play on this message stream; in a rehearsal, it would be asked on this one.
    Started(u32),
    /// It says no. Nothing comes after this.
    Refused(Phase, Status),
    /// It ended a stream that had started.
    Ended(Status),
    /// It asks us to connect again, there; or to a place that we do not go to (E-RTMP v2 "Reconnect Request").
    Reconnect(Result<Url, url::Error>),
    /// Media, data or something unknown of the stream we play.
    Message(Message),
}

#[derive(Debug)]
enum State {
    Handshake,
    Connect,
    CreateStream,
    Request { stream: u32 },
    Streaming { stream: u32 },
    Closing,
}

impl ClientSession {
    /// A session that has said hello. `random` goes into C1.
    pub fn new(target: Target, random: &Random) -> Self {
        let (handshake, hello) = Handshake::client(random);
        let mut wire = Wire::new(handshake);
        wire.transmit(hello);
        ClientSession {
            wire,
            target,
            state: State::Handshake,
            announce: Announce::Nothing,
            server: None,
            rehearsal: false,
        }
    }

    /// Lets it go as far as `createStream` and no further: neither the name nor the key is told.
    pub fn rehearsing(self) -> Self {
        ClientSession { rehearsal: true, ..self }
    }

    /// Lets `connect` say this of us. Without, it says nothing.
    pub fn announcing(self, announce: Announce) -> Self {
        ClientSession { announce, ..self }
    }

    /// What of this the server has not announced, in words.
    pub fn unannounced(&self, needs: &[Need]) -> Vec<String> {
        let takes = |need| self.server.as_ref().is_some_and(|server| server.takes(need));
        needs.iter().filter(|need| !takes(**need)).map(Need::to_string).collect()
    }

    /// What the server has acknowledged.
    pub fn acknowledged(&self) -> Acknowledged {
        self.wire.heard
    }

    /// Ends the stream, in so many words, so that the server can tell it from a loss.
    pub fn finish(&mut self) {
        if let State::Streaming { stream } = self.state {
            let name = self.target.name.expose().into();
            if self.target.role == Role::Publish {
                self.send(0, &Command::new("FCUnpublish", FC_UNPUBLISH, Amf0::Null, [name]));
            }
            self.send(0, &Command::new("deleteStream", 0.0, Amf0::Null, [Amf0::Number(stream.into())]));
        }
        self.state = State::Closing;
    }

    fn send(&mut self, stream: u32, command: &Command) {
        let message = command.message(stream, self.wire.chunk_size);
        self.wire.transmit(message);
    }

    fn connect(&mut self) {
        self.wire.announce_chunk_size(self.target.chunk_size);
        let tc_url = self.target.url.tc_url();
        let mut fields = vec![("app", self.target.url.app.expose().into())];
        match self.target.role {
            Role::Publish => {
                fields.extend([("type", "nonprivate".into()), ("flashVer", self.target.agent.as_str().into())])
            }
            Role::Play => fields.extend([("flashVer", self.target.agent.as_str().into())]),
        }
        fields.extend([("swfUrl", tc_url.as_str().into()), ("tcUrl", tc_url.as_str().into())]);
        fields.extend(self.announce.properties());
        self.send(0, &Command::new("connect", CONNECT, Amf0::object(fields), []));
        self.state = State::Connect;
    }

    fn create_stream(&mut self) {
        let name: Amf0 = self.target.name.expose().into();
        if self.rehearsal {
            // Some servers end whoever publishes under a name that is released.
        } else if self.target.role == Role::Publish {
            self.send(0, &Command::new("releaseStream", RELEASE_STREAM, Amf0::Null, [name.clone()]));
            self.send(0, &Command::new("FCPublish", FC_PUBLISH, Amf0::Null, [name]));
        } else {
            self.wire.transmit(control::window_ack_size(WINDOW));
        }
        self.send(0, &Command::new("createStream", CREATE_STREAM, Amf0::Null, []));
        self.state = State::CreateStream;
    }

    fn request(&mut self, stream: u32) {
        let name: Amf0 = self.target.name.expose().into();
        match self.target.role {
            // Always "live": YouTube refuses a publish whose third argument is something else.
            Role::Publish => self.send(stream, &Command::new("publish", REQUEST, Amf0::Null, [name, "live".into()])),
            Role::Play => {
                self.send(stream, &Command::new("play", REQUEST, Amf0::Null, [name, Amf0::Number(-2000.0)]));
                self.wire.transmit(UserControl::SetBufferLength(stream, BUFFER_MS).message());
            }
        }
        self.state = State::Request { stream };
    }

    fn refused(&mut self, status: Status) {
        let phase = self.phase();
        self.state = State::Closing;
        self.wire.event(Event::Refused(phase, status));
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        if let Some(values) = message.command() {
            if values.len() > COMMAND_BYTES {
                return Err(Error::TooLarge { what: "command", limit: COMMAND_BYTES });
            }
            let call = match Command::parse(values) {
                // No reason to end a stream.
                Err(_) if matches!(self.state, State::Streaming { .. }) => None,
                call => call.map_err(|_| Error::Malformed { what: "command", section: "§7.2" })?,
            };
            if let Some(call) = call {
                self.call(&call)?;
            }
        } else if matches!((&self.state, self.target.role), (State::Streaming { .. }, Role::Play)) {
            self.wire.event(Event::Message(message));
        }
        Ok(())
    }

    fn call(&mut self, call: &Command) -> Result<(), Error> {
        let first = call.arguments.first().unwrap_or(&Amf0::Null);
        match (&self.state, call.name.as_str()) {
            (State::Connect, "_result") if call.transaction == CONNECT => {
                self.server = Capabilities::read([&call.object, first]);
                self.create_stream();
            }
            (State::Connect, "_error") if call.transaction == CONNECT => self.refused(Status::from_amf(first)),
            (State::CreateStream, "_result") if call.transaction == CREATE_STREAM => {
                // Any id but 0, which is the connection. Servers start at 1; some tests count higher.
                let stream = first.as_f64().filter(|id| (1.0..=f64::from(u32::MAX)).contains(id));
                let malformed = Error::Malformed { what: "stream id of createStream", section: "§7.2.1.3" };
                let stream = stream.ok_or(malformed)? as u32;
                match self.rehearsal {
                    true => {
                        self.state = State::Closing;
                        self.wire.event(Event::Started(stream));
                    }
                    false => self.request(stream),
                }
            }
            (State::CreateStream, "_error") if call.transaction == CREATE_STREAM => {
                self.refused(Status::from_amf(first))
            }
            (State::Request { .. }, "_error") if call.transaction == REQUEST => self.refused(Status::from_amf(first)),
            // Some servers answer publish with a plain result.
            (&State::Request { stream }, "_result") if call.transaction == REQUEST => self.started(stream),
            (State::Closing, "onStatus") => {}
            (_, "onStatus") if first.get("code").and_then(Amf0::as_str) == Some(code::RECONNECT_REQUEST) => {
                let tc_url = first.get("tcUrl").and_then(Amf0::as_str).unwrap_or_default();
                self.wire.event(Event::Reconnect(self.target.url.moved(tc_url)));
            }
            (_, "onStatus") => self.status(Status::from_amf(first)),
            _ => {}
        }
        Ok(())
    }

    /// Accepted with any transaction id and on any message stream: servers differ.
    fn status(&mut self, status: Status) {
        match (&self.state, status.code.as_str()) {
            (&State::Request { stream }, code::PUBLISH_START | code::PLAY_START) => self.started(stream),
            (State::Connect | State::CreateStream | State::Request { .. }, _) if status.is_error() => {
                self.refused(status)
            }
            (State::Streaming { .. }, code) => {
                let over = [code::PLAY_STOP, code::PLAY_COMPLETE, code::PLAY_UNPUBLISH_NOTIFY, code::UNPUBLISH_SUCCESS];
                if status.is_error() || over.contains(&code) {
                    self.state = State::Closing;
                    self.wire.event(Event::Ended(status));
                }
            }
            _ => {}
        }
    }

    fn started(&mut self, stream: u32) {
        self.state = State::Streaming { stream };
        self.wire.event(Event::Started(stream));
    }
}

impl Session for ClientSession {
    type Event = Event;

    fn input(&mut self) -> &mut BytesMut {
        &mut self.wire.input
    }

    fn poll(&mut self) -> Result<Option<Output<Event>>, Error> {
        loop {
            if let Some(output) = self.wire.output.pop_front() {
                return Ok(Some(output));
            }
            match self.wire.read()? {
                Some(Input::Shaken) => self.connect(),
                Some(Input::Message(message)) => self.message(message)?,
                None if self.wire.output.is_empty() => return Ok(None),
                None => {}
            }
        }
    }

    fn phase(&self) -> Phase {
        match self.state {
            State::Handshake => Phase::Handshake,
            State::Connect => Phase::Connect,
            State::CreateStream => Phase::CreateStream,
            State::Request { .. } => Phase::Request,
            State::Streaming { .. } => Phase::Media,
            State::Closing => Phase::Closing,
        }
    }
}
