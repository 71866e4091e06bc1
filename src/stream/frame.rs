//! A frame: one message of the stream, as it came; and the preamble: what a decoder must have been given before it.

use std::sync::Arc;

use bytes::Bytes;

use crate::flv::{Kind, Role};

/// One entry of the log.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Audio, video or data.
    pub kind: Kind,
    /// Milliseconds on the stream's own time line. Within a kind it never goes back.
    pub time: u64,
    /// Milliseconds since the frame before it of the same kind.
    pub delta: u32,
    /// The message payload exactly as the publisher encoded it, which is also an FLV tag body.
    pub payload: Bytes,
    /// The bytes every session in step with the log sends for it. Opaque here; empty where each session makes its own.
    pub wire: Bytes,
    /// Whether decoding may start here.
    pub start: bool,
    /// What is in force here.
    pub preamble: Arc<Preamble>,
}

impl Frame {
    /// Which publisher session it comes from.
    pub(super) fn session(&self) -> u64 {
        self.preamble.session
    }

    /// What the frame costs in memory, roughly. Payload and wire share one buffer.
    pub(super) fn bytes(&self) -> usize {
        self.payload.len() + size_of::<Frame>()
    }
}

/// Metadata and the sequence headers and configurations of every track, in the order the publisher first sent them.
#[derive(Debug, Clone, Default)]
pub struct Preamble {
    /// Which publisher session it belongs to. Those of two sessions have nothing in common.
    session: u64,
    items: Vec<Item>,
}

/// One message of a preamble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Audio, video, or data for the metadata.
    pub kind: Kind,
    /// Header or configuration; what replaces what.
    role: Role,
    track: u8,
    /// The message payload. Metadata begins with `onMetaData`, without `@setDataFrame`.
    pub payload: Bytes,
}

impl Preamble {
    /// The empty preamble of a new publisher session.
    pub fn new(session: u64) -> Self {
        Preamble { session, items: Vec::new() }
    }

    /// The preamble with `payload` in its place, or `None` if it is there already: an identical header is no change.
    pub fn with(&self, kind: Kind, role: Role, track: u8, payload: Bytes) -> Option<Self> {
        let item = Item { kind, role, track, payload };
        let mut preamble = self.clone();
        match preamble.items.iter_mut().find(|i| (i.kind, i.role, i.track) == (kind, role, track)) {
            Some(known) if *known == item => return None,
            Some(known) => *known = item,
            // Metadata first, whenever it comes.
            None if kind == Kind::Data => preamble.items.insert(0, item),
            None => preamble.items.push(item),
        }
        Some(preamble)
    }

    /// What a reader needs that has been given `sent`: all of it at first and from a new publisher session, else what changed.
    pub fn since<'a>(&'a self, sent: Option<&'a Preamble>) -> impl Iterator<Item = &'a Item> {
        let sent = sent.filter(|s| s.session == self.session).map_or(&[][..], |s| &s.items);
        self.items.iter().filter(move |item| !sent.contains(item))
    }

    /// The publisher's metadata.
    pub fn metadata(&self) -> Option<&Bytes> {
        self.items.iter().find(|i| i.kind == Kind::Data).map(|i| &i.payload)
    }

    /// The sequence header of the first video track.
    pub fn video_header(&self) -> Option<&Bytes> {
        self.items.iter().find(|i| i.kind == Kind::Video && i.role == Role::Header).map(|i| &i.payload)
    }

    /// Whether a header or configuration of this kind is there.
    pub fn has(&self, kind: Kind) -> bool {
        self.items.iter().any(|i| i.kind == kind)
    }
}
