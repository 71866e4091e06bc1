//! A message: what a chunk stream carries (RTMP 1.0 §5.3, §6.1).

use bytes::{BufMut, Bytes, BytesMut};

use crate::flv::Kind;
use crate::flv::file::Tag;

/// One complete message from a peer.
#[derive(Debug)]
pub struct Message {
    /// Milliseconds on the sender's time line, modulo 2^32.
    pub timestamp: u32,
    /// Message type id (§5.4, §7.1).
    pub type_id: u8,
    /// The message stream it belongs to; 0 is the connection itself.
    pub stream: u32,
    /// The bytes, exactly as sent.
    pub payload: Payload,
}

/// Message type ids (§5.4, §6.2, §7.1).
pub mod type_id {
    #![allow(missing_docs)]
    pub const SET_CHUNK_SIZE: u8 = 1;
    pub const ABORT: u8 = 2;
    pub const ACKNOWLEDGEMENT: u8 = 3;
    pub const USER_CONTROL: u8 = 4;
    pub const WINDOW_ACK_SIZE: u8 = 5;
    pub const SET_PEER_BANDWIDTH: u8 = 6;
    pub const AUDIO: u8 = 8;
    pub const VIDEO: u8 = 9;
    pub const DATA_AMF3: u8 = 15;
    pub const COMMAND_AMF3: u8 = 17;
    pub const DATA: u8 = 18;
    pub const COMMAND: u8 = 20;
    pub const AGGREGATE: u8 = 22;
}

impl Message {
    /// Which media series the message belongs to, if any.
    pub fn media(&self) -> Option<Kind> {
        match self.type_id {
            type_id::AUDIO => Some(Kind::Audio),
            type_id::VIDEO => Some(Kind::Video),
            type_id::DATA => Some(Kind::Data),
            _ => None,
        }
    }

    /// The AMF0 values of a command.
    pub fn command(&self) -> Option<&[u8]> {
        (self.type_id == type_id::COMMAND).then_some(&self.payload)
    }

    /// The message of type 18 or 20 inside one of type 15 or 17 (§7.1.1), which begin with a format byte; in what follows, AMF0,
    /// a marker announces each value in AMF3. Others stay what they are, and there is none inside an unknown format.
    pub fn without_format(self) -> Option<Self> {
        let type_id = match self.type_id {
            type_id::DATA_AMF3 => type_id::DATA,
            type_id::COMMAND_AMF3 => type_id::COMMAND,
            _ => return Some(self),
        };
        let payload = Payload::from(self.payload.strip_prefix(&[0])?);
        Some(Message { type_id, payload, ..self })
    }
}

impl From<&Tag> for Message {
    /// A file's tag as its publisher would send it.
    fn from(tag: &Tag) -> Self {
        let payload = Payload::from(&tag.payload[..]);
        Message { timestamp: tag.timestamp, type_id: tag.kind.tag_type(), stream: 1, payload }
    }
}

/// A payload with room in front for one chunk header, so that the buffer it came in is the buffer that goes out.
#[derive(Debug)]
pub struct Payload(BytesMut);

/// The longest header put there: type 1 with an extended timestamp.
const HEADROOM: usize = 12;

impl Payload {
    /// An empty payload; `expected` bytes are allocated, so the caller bounds it by what has arrived.
    pub fn with_capacity(expected: usize) -> Self {
        let mut bytes = BytesMut::with_capacity(HEADROOM + expected);
        bytes.put_bytes(0, HEADROOM);
        Payload(bytes)
    }

    /// Adds bytes of the peer at the end.
    pub fn extend(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The buffer with `header` directly before the payload, and the payload in it. Both share one allocation.
    pub fn with_header(mut self, header: &[u8]) -> (Bytes, Bytes) {
        let start = HEADROOM.checked_sub(header.len()).expect("a type-1 header is at most 12 bytes");
        self.0[start..HEADROOM].copy_from_slice(header);
        let wire = self.0.freeze().slice(start..);
        let payload = wire.slice(header.len()..);
        (wire, payload)
    }

    /// The payload alone.
    pub fn into_bytes(self) -> Bytes {
        self.0.freeze().slice(HEADROOM..)
    }
}

impl std::ops::Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0[HEADROOM..]
    }
}

impl From<&[u8]> for Payload {
    fn from(bytes: &[u8]) -> Self {
        let mut payload = Payload::with_capacity(bytes.len());
        payload.extend(bytes);
        payload
    }
}
