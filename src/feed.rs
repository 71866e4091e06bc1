//! A feed: a cursor on a stream's log, put into the chunks of one outgoing session.
//!
//! It is where streams and connections meet. Times start at zero with the session's first frame; messages in step with the
//! log are sent as the bytes everybody shares, and only a series' first one after a join, a jump or a preamble gets a header
//! of its own.

use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;

use crate::flv::Kind;
use crate::net::{Filled, Source};
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::chunk::writer::{self, Header, Lane};
use crate::stream::cursor::Read;
use crate::stream::{Cursor, Frame, Join, Log, Preamble};

/// Puts a log's frames on one session's message stream.
#[derive(Debug)]
pub struct Feed {
    cursor: Cursor,
    session: Session,
}

/// What one outgoing session has been sent.
#[derive(Debug)]
struct Session {
    stream: u32,
    chunk_size: usize,
    metadata: Metadata,
    /// The time of the first frame: the session's zero.
    base: Option<u64>,
    /// The time each series has reached. It never goes back.
    reached: [u64; 3],
    /// Series whose next message cannot lean on the one before.
    fresh: [bool; 3],
    preamble: Option<Arc<Preamble>>,
    messages: u64,
}

/// How a session wants its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metadata {
    /// As a player does: `onMetaData` alone.
    Plain,
    /// As a server does, from its publisher: behind `@setDataFrame`.
    SetDataFrame,
}

/// `@setDataFrame` as an AMF0 string.
const SET_DATA_FRAME: &[u8] = b"\x02\x00\x0d@setDataFrame";

/// What a feed has done, for status lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Messages put, headers and metadata among them.
    pub messages: u64,
    /// Frames jumped over.
    pub skipped: u64,
    /// Media time not put yet.
    pub lag: Duration,
}

impl Feed {
    /// A feed that sends `log` on message stream `stream`, in chunks of up to `chunk_size` bytes.
    pub fn new(log: Arc<Log>, join: Join, stream: u32, chunk_size: usize, metadata: Metadata) -> Self {
        let session = Session {
            stream,
            chunk_size,
            metadata,
            base: None,
            reached: [0; 3],
            fresh: [true; 3],
            preamble: None,
            messages: 0,
        };
        Feed { cursor: Cursor::new(log, join), session }
    }

    /// What it has done so far.
    pub fn stats(&self) -> Stats {
        Stats { messages: self.session.messages, skipped: self.cursor.skipped(), lag: self.cursor.lag() }
    }
}

impl Source for Feed {
    fn fill(&mut self, max: usize, put: &mut dyn FnMut(Bytes)) -> Filled {
        let session = &mut self.session;
        let mut bytes = 0;
        let read = self.cursor.read(|frame, jumped| {
            session.put(frame, jumped, &mut |slice| {
                bytes += slice.len();
                put(slice);
            });
            bytes < max
        });
        match read {
            _ if bytes > 0 => Filled::Some,
            Read::More => Filled::Some,
            Read::Level => Filled::Level,
            Read::Ended => Filled::Ended,
        }
    }

    fn wake(&mut self, waker: Waker) {
        self.cursor.wake(waker);
    }
}

impl Session {
    fn put(&mut self, frame: &Frame, jumped: bool, put: &mut impl FnMut(Bytes)) {
        let base = *self.base.get_or_insert_with(|| {
            self.reached = [frame.time; 3];
            frame.time
        });
        if jumped {
            self.fresh = [true; 3];
        }
        if !self.preamble.as_ref().is_some_and(|sent| Arc::ptr_eq(sent, &frame.preamble)) {
            let time = frame.time.max(base);
            let sent = self.preamble.replace(frame.preamble.clone());
            for item in frame.preamble.since(sent.as_deref()) {
                let payload = match (item.kind, self.metadata) {
                    (Kind::Data, Metadata::SetDataFrame) => [SET_DATA_FRAME, &item.payload].concat().into(),
                    _ => item.payload.clone(),
                };
                self.own(item.kind, Header::Start { time: wrap(time - base), stream: self.stream }, &payload, put);
                self.fresh[item.kind as usize] = true;
                self.reached[item.kind as usize] = time;
            }
        }
        // A frame older than what its series has reached (audio that follows the first key frame in the log, but not in time)
        // is sent at that time, and the series stays fresh: the shared delta of the next one would shift it for good.
        let reached = &mut self.reached[frame.kind as usize];
        let early = frame.time < *reached;
        *reached = frame.time.max(*reached);
        let fresh = std::mem::replace(&mut self.fresh[frame.kind as usize], early);
        if !fresh && self.chunk_size == DEFAULT_SIZE && !frame.wire.is_empty() {
            self.messages += 1;
            return put(frame.wire.clone());
        }
        let header = match fresh {
            true => Header::Start { time: wrap(*reached - base), stream: self.stream },
            false => Header::Delta(frame.delta),
        };
        self.own(frame.kind, header, &frame.payload, put);
    }

    /// A message that no other session sends just so.
    fn own(&mut self, kind: Kind, header: Header, payload: &Bytes, put: &mut impl FnMut(Bytes)) {
        self.messages += 1;
        writer::slices(Lane::of(kind), header, payload, self.chunk_size, put);
    }
}

/// RTMP's clock has 32 bits and starts again after 49 days (§4).
fn wrap(time: u64) -> u32 {
    time as u32
}
