//! Puts messages together from chunks. Liberal: what real encoders send is read, however it is cut.

use std::collections::BTreeMap;

use bytes::{Buf, BytesMut};

use super::{EXTENDED, INITIAL_SIZE, MAX_SIZE};
use crate::limits::{CHUNK_STREAMS, PARTIAL_BYTES};
use crate::rtmp::message::type_id;
use crate::rtmp::{Error, Message, Payload};

const MALFORMED_HEADER: Error = Error::Malformed { what: "chunk header", section: "§5.3.1" };

/// One direction of one connection.
#[derive(Debug)]
pub struct Reader {
    size: usize,
    streams: BTreeMap<u32, ChunkStream>,
    current: Option<Chunk>,
    partial: usize,
}

/// The chunk whose header has been read and whose bytes are arriving.
#[derive(Debug)]
struct Chunk {
    stream: u32,
    left: usize,
}

/// What later headers of a chunk stream leave out.
#[derive(Debug, Default)]
struct ChunkStream {
    timestamp: u32,
    delta: u32,
    length: usize,
    type_id: u8,
    message_stream: u32,
    extended: Option<u32>,
    payload: Option<Payload>,
}

/// A chunk header as it stands on the wire.
struct Header {
    format: u8,
    stream: u32,
    timestamp: u32,
    length: usize,
    type_id: u8,
    message_stream: u32,
    extended: bool,
    bytes: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Reader { size: INITIAL_SIZE, streams: BTreeMap::new(), current: None, partial: 0 }
    }
}

impl Reader {
    /// The next complete message in `input`, or `None` once it holds no more. Set Chunk Size and Abort have taken
    /// effect when they are returned (§5.4.1, §5.4.2).
    pub fn read(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Error> {
        loop {
            let chunk = match self.current.take() {
                Some(chunk) => chunk,
                None => match self.start(input)? {
                    Some(chunk) => chunk,
                    None => return Ok(None),
                },
            };
            let chunk_stream = self.streams.get_mut(&chunk.stream).expect("start() has put it there");
            let payload = chunk_stream
                .payload
                .get_or_insert_with(|| Payload::with_capacity(chunk_stream.length.min(input.len())));
            let arrived = chunk.left.min(input.len());
            if self.partial + arrived > PARTIAL_BYTES {
                return Err(Error::TooLarge { what: "bytes of unfinished messages", limit: PARTIAL_BYTES });
            }
            payload.extend(&input[..arrived]);
            input.advance(arrived);
            self.partial += arrived;
            if arrived < chunk.left {
                self.current = Some(Chunk { left: chunk.left - arrived, ..chunk });
                return Ok(None);
            }
            if payload.len() == chunk_stream.length {
                self.partial -= payload.len();
                let payload = chunk_stream.payload.take().expect("just filled");
                let message = Message {
                    timestamp: chunk_stream.timestamp,
                    type_id: chunk_stream.type_id,
                    stream: chunk_stream.message_stream,
                    payload,
                };
                self.obey(&message)?;
                return Ok(Some(message));
            }
        }
    }

    /// The chunk size in force, in bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Bytes held of messages that are not complete yet.
    pub fn partial(&self) -> usize {
        self.partial
    }

    /// Reads a header and says how many payload bytes follow it. Nothing is taken from `input` until all of it is there.
    fn start(&mut self, input: &mut BytesMut) -> Result<Option<Chunk>, Error> {
        let Some(header) = Header::parse(input)? else { return Ok(None) };
        let known = self.streams.get(&header.stream);
        if known.is_none() {
            // Type 1 on a new chunk stream is illegal, but librtmp's pings begin so.
            if header.format > 1 {
                return Err(MALFORMED_HEADER);
            }
            if self.streams.len() == CHUNK_STREAMS {
                return Err(Error::TooLarge { what: "open chunk streams", limit: CHUNK_STREAMS });
            }
        }
        let begun = known.is_some_and(|s| s.payload.is_some());
        let repeated = known.and_then(|s| s.extended).filter(|_| header.format == 3);
        let (mut bytes, mut timestamp) = (header.bytes, header.timestamp);
        if header.extended || repeated.is_some() {
            let Some(field) = peek_u32(input, bytes) else { return Ok(None) };
            if header.extended {
                timestamp = field;
            }
            // The field belongs on every type-3 chunk (§5.3.1.3), but OBS before 30.1 and old librtmp leave it out of
            // continuations. A sender that puts it there repeats the value, so a difference means payload.
            if header.extended || !begun || repeated == Some(field) {
                bytes += 4;
            }
        }
        let state = self.streams.entry(header.stream).or_default();
        if begun {
            // The specification wants type 3 here. The same length again is taken as that, another one is lost sync.
            if header.format < 2 && header.length != state.length {
                return Err(Error::Malformed {
                    what: "chunk header: the length has changed inside a message",
                    section: "§5.3.1",
                });
            }
        } else {
            match header.format {
                0 => (state.timestamp, state.delta) = (timestamp, timestamp),
                1 | 2 => (state.timestamp, state.delta) = (state.timestamp.wrapping_add(timestamp), timestamp),
                // After a type 0 the delta is that header's timestamp (§5.3.1.2.4), and FMLE means it.
                _ => state.timestamp = state.timestamp.wrapping_add(state.delta),
            }
            if header.format < 3 {
                state.extended = header.extended.then_some(timestamp);
            }
            if header.format < 2 {
                (state.length, state.type_id) = (header.length, header.type_id);
            }
            if header.format == 0 {
                state.message_stream = header.message_stream;
            }
        }
        input.advance(bytes);
        let had = state.payload.as_ref().map_or(0, |p| p.len());
        Ok(Some(Chunk { stream: header.stream, left: (state.length - had).min(self.size) }))
    }

    fn obey(&mut self, message: &Message) -> Result<(), Error> {
        match message.type_id {
            type_id::SET_CHUNK_SIZE => {
                let size = peek_u32(&message.payload, 0).filter(|size| (1..=0x7fff_ffff).contains(size));
                let size = size.ok_or(Error::Malformed { what: "Set Chunk Size", section: "§5.4.1" })?;
                self.size = (size as usize).min(MAX_SIZE);
            }
            type_id::ABORT => {
                let stream =
                    peek_u32(&message.payload, 0).ok_or(Error::Malformed { what: "Abort", section: "§5.4.2" })?;
                if let Some(payload) = self.streams.get_mut(&stream).and_then(|s| s.payload.take()) {
                    self.partial -= payload.len();
                }
            }
            _ => {}
        }
        Ok(())
    }
}

impl Header {
    /// Basic and message header (§5.3.1.1, §5.3.1.2), without the extended timestamp; `None` if not all of it is there.
    fn parse(input: &[u8]) -> Result<Option<Self>, Error> {
        let Some(&first) = input.first() else { return Ok(None) };
        let format = first >> 6;
        let (stream, basic) = match first & 0x3f {
            0 => match input.get(1) {
                Some(&a) => (64 + u32::from(a), 2),
                None => return Ok(None),
            },
            1 => match input.get(1..3) {
                Some(ab) => (64 + u32::from(ab[0]) + 256 * u32::from(ab[1]), 3),
                None => return Ok(None),
            },
            n => (u32::from(n), 1),
        };
        let bytes = basic + [11, 7, 3, 0][usize::from(format)];
        let Some(fields) = input.get(basic..bytes) else { return Ok(None) };
        let timestamp = if format < 3 { be24(&fields[0..3]) } else { 0 };
        Ok(Some(Header {
            format,
            stream,
            timestamp,
            length: if format < 2 { be24(&fields[3..6]) as usize } else { 0 },
            type_id: if format < 2 { fields[6] } else { 0 },
            message_stream: if format == 0 {
                u32::from_le_bytes([fields[7], fields[8], fields[9], fields[10]])
            } else {
                0
            },
            extended: timestamp == EXTENDED,
            bytes,
        }))
    }
}

fn be24(b: &[u8]) -> u32 {
    u32::from_be_bytes([0, b[0], b[1], b[2]])
}

fn peek_u32(b: &[u8], at: usize) -> Option<u32> {
    b.get(at..at + 4).map(|b| u32::from_be_bytes([b[0], b[1], b[2], b[3]]))
}
