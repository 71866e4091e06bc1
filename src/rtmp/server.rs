//! The server's end of a connection: an encoder that publishes or a player that plays.
//!
//! ```text
//! Handshake ─► Connect ─► Idle ─► Asked ─► Publishing ─┐
//!                          ▲       │ └───► Playing ────┤
//!                          │       └─reject► Closing   │
//!                          └───── closeStream ─────────┘ (the owner closes; one request a connection)
//! ```

use bytes::BytesMut;

use super::amf0::Amf0;
use super::capabilities::{Announce, Capabilities};
use super::chunk::DEFAULT_SIZE;
use super::command::{Command, Status, code};
use super::control::{self, UserControl, WINDOW};
use super::handshake::{Handshake, Random};
use super::message::type_id;
use super::session::{Input, Output, Phase, Session, Wire};
use super::{Error, Message, Secret};
use crate::limits::COMMAND_BYTES;

/// The server's end.
///
/// It has no socket: whoever has one puts what it reads into `input` and polls until there is nothing left to do. Here the
/// other end is a [`ClientSession`](super::ClientSession), and the network two lines of code.
///
/// ```
/// use rtmp_relay::rtmp::client::{ClientSession, Target};
/// use rtmp_relay::rtmp::server::{Event, Role, ServerSession};
/// use rtmp_relay::rtmp::session::{Output, Phase, Session};
/// use rtmp_relay::rtmp::{handshake, url::Url};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut url = Url::parse("rtmp://localhost/live/show")?;
/// let name = url.name.take().ok_or("no stream name")?;
/// let target = Target { role: Role::Publish, url, name, agent: "FMLE/3.0".into(), chunk_size: 4096 };
/// let mut client = ClientSession::new(target, &handshake::random(1));
/// let mut server = ServerSession::new(handshake::random(2));
///
/// while client.phase() != Phase::Media {
///     while let Some(output) = client.poll()? {
///         if let Output::Transmit(bytes) = output {
///             server.input().extend_from_slice(&bytes);
///         }
///     }
///     while let Some(output) = server.poll()? {
///         match output {
///             Output::Transmit(bytes) => client.input().extend_from_slice(&bytes),
///             Output::Event(Event::Request(request)) => {
///                 assert_eq!((request.app.expose(), request.name.expose()), ("live", "show"));
///                 server.accept(request);
///             }
///             Output::Event(Event::Message(_) | Event::Stopped) => {}
///         }
///     }
/// }
/// assert_eq!(server.phase(), Phase::Media);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct ServerSession {
    wire: Wire<Event>,
    state: State,
    streams: u32,
    /// What the peer has announced, if it has.
    peer: Option<Capabilities>,
}

/// What the peer has done.
#[derive(Debug)]
pub enum Event {
    /// It asks to publish or play: `accept` or `reject` the request, and nothing is read until then.
    Request(Request),
    /// A message of the publisher: media, data or something unknown.
    Message(Message),
    /// It ended its stream, in so many words: FCUnpublish, closeStream or deleteStream.
    Stopped,
}

/// What a peer asks for. Used once, by `accept` or `reject`.
#[derive(Debug)]
pub struct Request {
    /// Publish or play.
    pub role: Role,
    /// The application of `connect`, as sent.
    pub app: Secret,
    /// The name in `publish` or `play`, as sent.
    pub name: Secret,
    /// `flashVer` of `connect`: what the peer calls itself.
    pub agent: String,
    /// `tcUrl` of `connect`: where the peer believes it is.
    pub tc_url: Secret,
    stream: u32,
}

/// What a peer is to a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It sends the stream.
    Publish,
    /// It wants the stream.
    Play,
}

#[derive(Debug)]
enum State {
    Handshake,
    Connect,
    Idle(Connected),
    Asked,
    Streaming { role: Role, name: String, stream: u32 },
    Closing,
}

#[derive(Debug)]
struct Connected {
    app: Secret,
    agent: String,
    tc_url: Secret,
}

impl ServerSession {
    /// A session before its first byte. `random` goes into S1.
    pub fn new(random: Random) -> Self {
        ServerSession { wire: Wire::new(Handshake::server(random)), state: State::Handshake, streams: 0, peer: None }
    }

    /// Lets the peer do what it asked for. For a player, media may follow on the message stream returned.
    pub fn accept(&mut self, request: Request) -> u32 {
        let stream = request.stream;
        self.wire.transmit(UserControl::StreamBegin(stream).message());
        match request.role {
            Role::Publish => self.status(stream, &Status::success(code::PUBLISH_START, "Publishing")),
            Role::Play => {
                self.status(stream, &Status::success(code::PLAY_RESET, "Playing from the start"));
                self.status(stream, &Status::success(code::PLAY_START, "Playing"));
            }
        }
        self.state = State::Streaming { role: request.role, name: request.name.expose().to_owned(), stream };
        stream
    }

    /// Says no. The owner sends what is queued and closes: some clients (OBS) wait until TCP ends.
    pub fn reject(&mut self, request: Request, status: &Status) {
        self.status(request.stream, status);
        self.state = State::Closing;
    }

    /// Takes back what was accepted. As after `reject`, the owner sends what is queued and closes.
    pub fn revoke(&mut self, status: &Status) {
        if let State::Streaming { stream, .. } = self.state {
            self.status(stream, status);
        }
        self.state = State::Closing;
    }

    /// Tells a player that its stream has ended.
    pub fn end_of_stream(&mut self) {
        if let State::Streaming { role: Role::Play, stream, .. } = self.state {
            self.wire.transmit(UserControl::StreamEof(stream).message());
            self.status(stream, &Status::success(code::PLAY_UNPUBLISH_NOTIFY, "The publisher has left"));
        }
        self.state = State::Closing;
    }

    /// Asks a peer that can do so to connect again, to the same place (E-RTMP v2 "Reconnect Request"). To be said before a close
    /// that is not about its stream.
    pub fn ask_to_reconnect(&mut self) {
        if self.peer.as_ref().is_some_and(Capabilities::reconnects) {
            self.status(0, &Status::success(code::RECONNECT_REQUEST, "This server is about to stop"));
        }
    }

    fn status(&mut self, stream: u32, status: &Status) {
        self.send(stream, &status.command());
    }

    fn send(&mut self, stream: u32, command: &Command) {
        let message = command.message(stream, self.wire.chunk_size);
        self.wire.transmit(message);
    }

    /// Answers a call that wants an answer.
    fn result(&mut self, call: &Command, value: Amf0) {
        if call.transaction != 0.0 {
            self.send(0, &Command::result(call.transaction, Amf0::Null, value));
        }
    }

    fn message(&mut self, message: Message) -> Result<(), Error> {
        if matches!(self.state, State::Closing) {
            return Ok(());
        }
        if let Some(values) = message.command() {
            if values.len() > COMMAND_BYTES {
                return Err(Error::TooLarge { what: "command", limit: COMMAND_BYTES });
            }
            let call = match Command::parse(values) {
                // No reason to end a stream: OBS has sent such (mediamtx#2986).
                Err(_) if matches!(self.state, State::Streaming { .. }) => None,
                call => call.map_err(|_| Error::Malformed { what: "command", section: "§7.2" })?,
            };
            return match call {
                Some(call) => self.call(message.stream, call),
                None => Ok(()),
            };
        }
        match (&self.state, message.type_id) {
            (State::Connect, type_id::AUDIO | type_id::VIDEO | type_id::DATA) => {
                Err(Error::Unexpected { what: "media", state: "before connect" })
            }
            (State::Streaming { role: Role::Publish, .. }, _) => {
                self.wire.event(Event::Message(message));
                Ok(())
            }
            // Media that nobody asked for, shared objects: dropped.
            _ => Ok(()),
        }
    }

    fn call(&mut self, stream: u32, call: Command) -> Result<(), Error> {
        match call.name.as_str() {
            "connect" => self.connect(&call),
            "createStream" => {
                self.streams += 1;
                self.result(&call, Amf0::Number(self.streams.into()));
            }
            "publish" => self.request(Role::Publish, stream, &call),
            "play" => self.request(Role::Play, stream, &call),
            "closeStream" | "deleteStream" | "FCUnpublish" => self.stop(&call),
            // Never acted on: anyone could end anyone's stream.
            "releaseStream" => self.result(&call, Amf0::Undefined),
            // FMLE, Wirecast and hardware wait for onFCPublish; GStreamer sends id 0 and wants no _result.
            "FCPublish" => {
                let status = Status::success(code::PUBLISH_START, call.text(0));
                self.send(0, &Command::new("onFCPublish", 0.0, Amf0::Null, [status.to_amf()]));
                self.result(&call, Amf0::Undefined);
            }
            "FCSubscribe" => {
                let status = Status::success(code::PLAY_START, call.text(0));
                self.send(0, &Command::new("onFCSubscribe", 0.0, Amf0::Null, [status.to_amf()]));
                self.result(&call, Amf0::Undefined);
            }
            "_checkbw" => self.result(&call, Amf0::Undefined),
            // A live stream has no length.
            "getStreamLength" => self.result(&call, Amf0::Number(0.0)),
            // A live stream has no past to go back to, and what is paused would only fall behind: these change nothing.
            "pause" | "seek" | "receiveAudio" | "receiveVideo" => {}
            "_result" | "_error" | "onStatus" => {}
            _ if call.transaction != 0.0 => {
                let status = Status::error(code::CALL_FAILED, "No such method");
                self.send(0, &Command::new("_error", call.transaction, Amf0::Null, [status.to_amf()]));
            }
            _ => {}
        }
        Ok(())
    }

    fn connect(&mut self, call: &Command) {
        if !matches!(self.state, State::Connect) {
            let status = Status::error(code::CONNECT_REJECTED, "Connected already");
            return self.send(0, &Command::new("_error", call.transaction, Amf0::Null, [status.to_amf()]));
        }
        let text = |key| call.object.get(key).and_then(Amf0::as_str).unwrap_or_default().to_owned();
        self.wire.transmit(control::window_ack_size(WINDOW));
        self.wire.transmit(control::set_peer_bandwidth(WINDOW));
        // Before `_result`: ffmpeg sends with the size it was told by then, and with 128 if it was told none.
        self.wire.announce_chunk_size(DEFAULT_SIZE);
        let server = Amf0::object([("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into())]);
        let mut information = vec![
            ("level", "status".into()),
            ("code", code::CONNECT_SUCCESS.into()),
            ("description", "Connection succeeded.".into()),
            ("objectEncoding", 0.0.into()),
        ];
        // Who announces nothing gets what it has always got: an old client need not like what it does not know.
        self.peer = Capabilities::read([&call.object]);
        if self.peer.is_some() {
            information.extend(Announce::Reconnecting.properties());
        }
        self.send(0, &Command::result(call.transaction, server, Amf0::object(information)));
        let (app, tc_url) = (text("app").into(), text("tcUrl").into());
        self.state = State::Idle(Connected { app, agent: text("flashVer"), tc_url });
    }

    fn request(&mut self, role: Role, stream: u32, call: &Command) {
        let name = call.text(0);
        match std::mem::replace(&mut self.state, State::Closing) {
            State::Idle(connected) => {
                self.wire.event(Event::Request(Request {
                    role,
                    app: connected.app,
                    name: name.to_owned().into(),
                    agent: connected.agent,
                    tc_url: connected.tc_url,
                    stream,
                }));
                self.state = State::Asked;
            }
            State::Streaming { role: Role::Publish, name: current, stream: at } => {
                let status = match role == Role::Publish && name == current {
                    true => Status::success(code::PUBLISH_START, "Publishing already"),
                    false => Status::error(code::PUBLISH_BAD_NAME, "One stream a connection"),
                };
                self.status(stream, &status);
                self.state = State::Streaming { role: Role::Publish, name: current, stream: at };
            }
            other => self.state = other,
        }
    }

    /// FCUnpublish names a stream, deleteStream and closeStream mean this connection's. None reaches beyond it: OBS says
    /// all of them after a BadName, for the name that somebody else owns.
    fn stop(&mut self, call: &Command) {
        if call.name == "FCUnpublish" {
            let status = Status::success(code::UNPUBLISH_SUCCESS, call.text(0));
            self.send(0, &Command::new("onFCUnpublish", 0.0, Amf0::Null, [status.to_amf()]));
            self.result(call, Amf0::Undefined);
        }
        if let State::Streaming { role, stream, .. } = self.state {
            if role == Role::Publish {
                self.status(stream, &Status::success(code::UNPUBLISH_SUCCESS, "Unpublished"));
            }
            self.state = State::Closing;
            self.wire.event(Event::Stopped);
        }
    }
}

impl Session for ServerSession {
    type Event = Event;

    fn input(&mut self) -> &mut BytesMut {
        &mut self.wire.input
    }

    fn poll(&mut self) -> Result<Option<Output<Event>>, Error> {
        loop {
            if let Some(output) = self.wire.output.pop_front() {
                return Ok(Some(output));
            }
            // The owner has a request to answer first.
            if matches!(self.state, State::Asked) {
                return Ok(None);
            }
            match self.wire.read()? {
                Some(Input::Shaken) => self.state = State::Connect,
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
            State::Idle(_) => Phase::CreateStream,
            State::Asked => Phase::Request,
            State::Streaming { .. } => Phase::Media,
            State::Closing => Phase::Closing,
        }
    }
}
