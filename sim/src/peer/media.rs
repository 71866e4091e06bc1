//! Media: what peers send and get, message by message.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use rtmp_relay::flv::Kind;
use tracing::{debug, info};

use crate::trace::Trace;

/// One message of audio, video or metadata, as a peer sent or received it.
#[derive(Clone, PartialEq, Eq)]
pub struct Media {
    /// Simulated time.
    pub at: Duration,
    /// Which series.
    pub kind: Kind,
    /// Its timestamp, in milliseconds.
    pub time: u32,
    /// Its payload.
    pub payload: Bytes,
}

/// All that a peer sent or received, in order.
pub type Tape = Vec<Media>;

/// What the encoders here send is easily told apart; nothing of the product is asked.
impl Media {
    pub(crate) fn new(at: Duration, kind: Kind, time: u32, payload: &[u8]) -> Self {
        Media { at, kind, time, payload: Bytes::copy_from_slice(payload) }
    }

    /// Whether it is metadata or a sequence header.
    pub fn is_preamble(&self) -> bool {
        self.kind == Kind::Data || self.payload.get(1) == Some(&0) || self.payload.starts_with(b"\x90hvc1")
    }

    /// Whether it is a key frame.
    pub fn is_key(&self) -> bool {
        self.kind == Kind::Video && (self.payload.starts_with(b"\x17\x01") || self.payload.starts_with(b"\x93hvc1"))
    }
}

impl Media {
    /// Encoder session and number within its kind; none for metadata and headers.
    pub fn label(&self) -> Option<(u8, u32)> {
        let at = match self.kind {
            Kind::Data => return None,
            Kind::Audio => 2,
            Kind::Video => 5,
        };
        match self.payload.get(at..at + 5) {
            Some(&[session, a, b, c, d]) if !self.is_preamble() => Some((session, u32::from_be_bytes([a, b, c, d]))),
            _ => None,
        }
    }
}

/// `metadata`, `video header`, `key 1.60`, `audio 1.94`: encoder session and number.
impl fmt::Display for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == Kind::Data {
            return f.write_str("metadata");
        }
        let name = match (self.kind, self.is_key()) {
            (Kind::Video, true) => "key",
            (Kind::Video, false) => "video",
            (Kind::Audio | Kind::Data, _) => "audio",
        };
        match self.label() {
            Some((session, number)) => write!(f, "{name} {session}.{number}"),
            None => write!(f, "{name} header"),
        }
    }
}

impl fmt::Debug for Media {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} at {} ms", self.time)
    }
}

/// Remembers a message that a peer has got.
pub(crate) fn note(trace: &Trace, tape: &mut Tape, type_id: u8, time: u32, payload: &[u8]) {
    let Some(kind) = Kind::from_tag_type(type_id) else { return };
    let media = Media::new(trace.now(), kind, time, payload);
    debug!("{media:?}");
    if media.is_preamble() {
        info!("gets {media:?}");
    } else if tape.last().is_none_or(Media::is_preamble) {
        info!("gets {media:?} and what follows");
    }
    tape.push(media);
}
