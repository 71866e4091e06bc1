//! Cuts messages into chunks. Conservative: chunk stream ids below 32, type 0 and type 1 headers for new messages, type 3
//! for continuations only, the extended timestamp repeated on each of them.

use bytes::{BufMut, Bytes, BytesMut};

use super::{EXTENDED, id};
use crate::flv::Kind;
use crate::rtmp::Payload;
use crate::rtmp::message::type_id;

/// The header of a new message (§5.3.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Type 0: an absolute time in milliseconds, and the message stream.
    Start {
        /// Milliseconds.
        time: u32,
        /// Message stream id.
        stream: u32,
    },
    /// Type 1: milliseconds since the message before it on the same chunk stream, whose message stream it shares.
    Delta(u32),
}

/// Which chunk stream a message goes on, and as what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Chunk stream id, one of `chunk::id`.
    pub chunk_stream: u8,
    /// Message type id.
    pub type_id: u8,
}

impl Lane {
    /// Where a media series goes: one chunk stream each, so that nothing else changes what a delta is added to.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Audio => Lane { chunk_stream: id::AUDIO, type_id: type_id::AUDIO },
            Kind::Video => Lane { chunk_stream: id::VIDEO, type_id: type_id::VIDEO },
            Kind::Data => Lane { chunk_stream: id::DATA, type_id: type_id::DATA },
        }
    }
}

/// A whole message in one buffer. For commands and control.
pub fn message(lane: Lane, header: Header, payload: &[u8], chunk_size: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(18 + payload.len() + 5 * (payload.len() / chunk_size));
    put_header(lane, header, payload.len(), &mut out);
    for (n, chunk) in payload.chunks(chunk_size).enumerate() {
        if n > 0 {
            put_continuation(lane, header, &mut out);
        }
        out.extend_from_slice(chunk);
    }
    out.freeze()
}

/// A message as slices around a payload that is shared, not copied. For media.
pub fn slices(lane: Lane, header: Header, payload: &Bytes, chunk_size: usize, mut put: impl FnMut(Bytes)) {
    let mut head = BytesMut::with_capacity(18);
    put_header(lane, header, payload.len(), &mut head);
    put(head.freeze());
    let mut separator = BytesMut::with_capacity(5);
    put_continuation(lane, header, &mut separator);
    let separator = separator.freeze();
    for start in (0..payload.len()).step_by(chunk_size) {
        if start > 0 {
            put(separator.clone());
        }
        put(payload.slice(start..payload.len().min(start + chunk_size)));
    }
}

/// The bytes that every session in step with the log sends for a message, and the payload within them. The bytes are
/// empty where the message needs more than one chunk of `chunk_size`: then each session cuts it by `slices`.
pub fn shared(lane: Lane, delta: u32, payload: Payload, chunk_size: usize) -> (Bytes, Bytes) {
    if payload.len() > chunk_size {
        return (Bytes::new(), payload.into_bytes());
    }
    let mut head = [0; 12];
    let mut rest = &mut head[..];
    put_header(lane, Header::Delta(delta), payload.len(), &mut rest);
    let used = 12 - rest.len();
    payload.with_header(&head[..used])
}

fn put_header(lane: Lane, header: Header, length: usize, out: &mut impl BufMut) {
    let length = u32::try_from(length).ok().filter(|l| *l < 1 << 24).expect("a payload came in by a 24 bit length");
    let (format, time) = match header {
        Header::Start { time, .. } => (0, time),
        Header::Delta(delta) => (1, delta),
    };
    out.put_u8(format << 6 | lane.chunk_stream);
    out.put_uint(time.min(EXTENDED).into(), 3);
    out.put_uint(length.into(), 3);
    out.put_u8(lane.type_id);
    if let Header::Start { stream, .. } = header {
        out.put_u32_le(stream);
    }
    if time >= EXTENDED {
        out.put_u32(time);
    }
}

fn put_continuation(lane: Lane, header: Header, out: &mut impl BufMut) {
    out.put_u8(3 << 6 | lane.chunk_stream);
    let (Header::Start { time, .. } | Header::Delta(time)) = header;
    if time >= EXTENDED {
        out.put_u32(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
        digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).expect("ASCII"), 16).expect("hex")).collect()
    }

    #[test]
    fn the_specifications_second_example_is_byte_exact() {
        // RTMP 1.0 §5.3.2.2: 307 bytes of video in three chunks.
        let lane = Lane { chunk_stream: 4, type_id: 9 };
        let bytes = message(lane, Header::Start { time: 1000, stream: 12346 }, &[0xab; 307], 128);
        assert_eq!(bytes.len(), 321);
        assert_eq!(bytes[..12], hex("04 0003e8 000133 09 3a300000")[..]);
        assert_eq!((bytes[12 + 128], bytes[12 + 128 + 1 + 128]), (0xc4, 0xc4));
    }

    #[test]
    fn interop_2_interop_3_extended_timestamps_are_repeated_on_continuations() {
        // iizukanao/node-rtsp-rtmp-server#127 left them out, KallDrexx/rust-media-libs#23 wrote 0.
        let lane = Lane { chunk_stream: 6, type_id: 9 };
        for (time, first, next) in [
            (0xff_fffe, "06 fffffe 00008c 09 01000000", "c6"),
            (0xff_ffff, "06 ffffff 00008c 09 01000000 00ffffff", "c6 00ffffff"),
            (0x100_0000, "06 ffffff 00008c 09 01000000 01000000", "c6 01000000"),
        ] {
            let expected = [hex(first), vec![0; 128], hex(next), vec![0; 12]].concat();
            assert_eq!(message(lane, Header::Start { time, stream: 1 }, &[0; 140], 128), expected);
            // A delta without a message stream, in the same field.
            let expected = [&[0x40 | expected[0]], &expected[1..8], &expected[12..]].concat();
            assert_eq!(message(lane, Header::Delta(time), &[0; 140], 128), expected);
        }
    }

    #[test]
    fn slices_and_one_buffer_are_the_same_bytes() {
        for length in [0, 1, 127, 128, 129, 1000] {
            for header in [Header::Start { time: 7, stream: 1 }, Header::Delta(40), Header::Delta(0x100_0000)] {
                let lane = Lane { chunk_stream: 6, type_id: 9 };
                let payload = Bytes::from(vec![5; length]);
                let mut cut = Vec::new();
                slices(lane, header, &payload, 128, |b| cut.extend_from_slice(&b));
                assert_eq!(cut, message(lane, header, &payload, 128));
                if let Header::Delta(delta) = header {
                    let (wire, kept) = shared(lane, delta, Payload::from(&payload[..]), 128);
                    assert_eq!(kept, payload);
                    assert!(wire.is_empty() == (length > 128) && (wire.is_empty() || wire == cut));
                }
            }
        }
    }
}
