//! Commands: remote calls and their answers, in AMF0 (RTMP 1.0 §7.2).

use bytes::{Bytes, BytesMut};

use super::amf0::{self, Amf0};
use super::chunk::id;
use super::chunk::writer::{self, Header, Lane};
use super::message::type_id;

/// One call: `connect`, `publish`, `_result`, `onStatus`, …
#[derive(Debug, Clone, PartialEq)]
pub struct Command {
    /// What is called.
    pub name: String,
    /// Pairs an answer with its call; 0 wants none.
    pub transaction: f64,
    /// The command object, mostly null.
    pub object: Amf0,
    /// What follows it.
    pub arguments: Vec<Amf0>,
}

impl Command {
    /// A call.
    pub fn new(name: &str, transaction: f64, object: Amf0, arguments: impl IntoIterator<Item = Amf0>) -> Self {
        Command { name: name.to_owned(), transaction, object, arguments: arguments.into_iter().collect() }
    }

    /// The answer to call `transaction`.
    pub fn result(transaction: f64, object: Amf0, argument: Amf0) -> Self {
        Command::new("_result", transaction, object, [argument])
    }

    /// Reads a payload of type 20. Missing transaction ids and objects are taken as 0 and null.
    pub fn parse(payload: &[u8]) -> Result<Option<Self>, amf0::Error> {
        let mut values = Amf0::read_all(payload)?.into_iter();
        let Some(Amf0::String(name)) = values.next() else { return Ok(None) };
        let transaction = values.next().and_then(|v| v.as_f64()).unwrap_or(0.0);
        let object = values.next().unwrap_or(Amf0::Null);
        Ok(Some(Command { name, transaction, object, arguments: values.collect() }))
    }

    /// The text in place `n` of the arguments.
    pub fn text(&self, n: usize) -> &str {
        self.arguments.get(n).and_then(Amf0::as_str).unwrap_or_default()
    }

    /// The payload of type 20.
    pub fn payload(&self) -> BytesMut {
        let mut out = BytesMut::new();
        Amf0::from(self.name.as_str()).write(&mut out);
        Amf0::Number(self.transaction).write(&mut out);
        self.object.write(&mut out);
        self.arguments.iter().for_each(|a| a.write(&mut out));
        out
    }

    /// The message on message stream `stream`; 0 is the connection.
    pub fn message(&self, stream: u32, chunk_size: usize) -> Bytes {
        let chunk_stream = if stream == 0 { id::CONNECTION } else { id::STREAM };
        let lane = Lane { chunk_stream, type_id: type_id::COMMAND };
        writer::message(lane, Header::Start { time: 0, stream }, &self.payload(), chunk_size)
    }
}

/// The information object of `onStatus`, `_error` and some `_result`s (§7.2.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// `status`, `warning` or `error`. Peers differ in case, and in truth: decide on `code`.
    pub level: String,
    /// `NetStream.Publish.Start` and its like.
    pub code: String,
    /// For people. A peer's may hold our key.
    pub description: String,
}

/// Codes that are sent or decided on (§7.2.2; † not in the specification but in use).
pub mod code {
    #![allow(missing_docs)]
    pub const CONNECT_SUCCESS: &str = "NetConnection.Connect.Success";
    pub const CONNECT_REJECTED: &str = "NetConnection.Connect.Rejected";
    /// E-RTMP v2 "Reconnect Request".
    pub const RECONNECT_REQUEST: &str = "NetConnection.Connect.ReconnectRequest";
    pub const CALL_FAILED: &str = "NetConnection.Call.Failed";
    pub const PUBLISH_START: &str = "NetStream.Publish.Start";
    pub const PUBLISH_BAD_NAME: &str = "NetStream.Publish.BadName";
    /// Ours: the stream has come through this relay before.
    pub const PUBLISH_LOOP: &str = "NetStream.Publish.Loop";
    /// † OBS takes it as final.
    pub const PUBLISH_DENIED: &str = "NetStream.Publish.Denied";
    pub const UNPUBLISH_SUCCESS: &str = "NetStream.Unpublish.Success";
    pub const PLAY_RESET: &str = "NetStream.Play.Reset";
    pub const PLAY_START: &str = "NetStream.Play.Start";
    pub const PLAY_STOP: &str = "NetStream.Play.Stop";
    pub const PLAY_COMPLETE: &str = "NetStream.Play.Complete";
    pub const PLAY_FAILED: &str = "NetStream.Play.Failed";
    pub const PLAY_NOT_FOUND: &str = "NetStream.Play.StreamNotFound";
    pub const PLAY_UNPUBLISH_NOTIFY: &str = "NetStream.Play.UnpublishNotify";
}

impl Status {
    /// Something went as asked.
    pub fn success(code: &str, description: &str) -> Self {
        Status { level: "status".into(), code: code.into(), description: description.into() }
    }

    /// Something did not.
    pub fn error(code: &str, description: &str) -> Self {
        Status { level: "error".into(), code: code.into(), description: description.into() }
    }

    /// Reads an information object; anything missing is empty.
    pub fn from_amf(value: &Amf0) -> Self {
        let text = |key| value.get(key).and_then(Amf0::as_str).unwrap_or_default().to_owned();
        Status { level: text("level"), code: text("code"), description: text("description") }
    }

    /// Whether the peer says that something failed.
    pub fn is_error(&self) -> bool {
        self.level.eq_ignore_ascii_case("error")
    }

    /// The information object.
    pub fn to_amf(&self) -> Amf0 {
        Amf0::object([
            ("level", self.level.as_str().into()),
            ("code", self.code.as_str().into()),
            ("description", self.description.as_str().into()),
        ])
    }

    /// `onStatus` with this object.
    pub fn command(&self) -> Command {
        Command::new("onStatus", 0.0, Amf0::Null, [self.to_amf()])
    }
}
