//! The chunk stream, bytes against bytes (RTMP 1.0 §5.3). What the product writes its own reader and a second one must read
//! back; what any peer may write the product must read, in one piece and byte by byte.
//!
//! Wire bytes stand in tables as `support::hex` reads them; messages are said as `TYPE @TIME [STREAM] PAYLOAD`.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::iter;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rtmp_relay::limits::{CHUNK_STREAMS, PARTIAL_BYTES};
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, INITIAL_SIZE, MAX_SIZE, Reader, id};
use rtmp_relay::rtmp::command::Command;
use rtmp_relay::rtmp::{Error, Message, Payload};
use support::chunks::{self, Chunks, Form, Planned, basic_header, set_chunk_size};
use support::hex::{hex, runs};
use support::recording::HANDSHAKE;
use support::server;

/// A message as both readers see it: type, time, message stream, payload.
type Read = (u8, u32, u32, Vec<u8>);

fn plain(message: Message) -> Read {
    (message.type_id, message.timestamp, message.stream, message.payload.to_vec())
}

/// What the product's reader makes of `wire` in pieces of these sizes, the rest in one; and the error it ends with.
fn read_in(wire: &[u8], pieces: impl IntoIterator<Item = usize>) -> (Vec<Read>, Option<Error>) {
    let (mut reader, mut input, mut messages, mut rest) = (Reader::default(), BytesMut::new(), Vec::new(), wire);
    for piece in pieces.into_iter().chain([usize::MAX]) {
        let (arrived, later) = rest.split_at(piece.min(rest.len()));
        input.extend_from_slice(arrived);
        rest = later;
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => messages.push(plain(message)),
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

fn read(wire: &[u8]) -> Vec<Read> {
    let (messages, error) = read_in(wire, []);
    assert_eq!(error, None);
    messages
}

/// What the second reader makes of it.
fn read_by_the_other(wire: &[u8]) -> Vec<Read> {
    Chunks::new(wire, 0).messages().into_iter().map(|said| (said.type_id, said.time, said.msid, said.payload)).collect()
}

/// The messages in `wire`, one after the other, and what is wrong with it, if anything is.
fn say(wire: &[u8]) -> String {
    let (messages, error) = read_in(wire, []);
    assert_eq!(
        (&messages, &error),
        (&read_in(wire, iter::repeat_n(1, wire.len())).0, &read_in(wire, [1]).1),
        "in pieces"
    );
    let says = |(type_id, time, stream, payload): &Read| format!("{type_id} @{time} [{stream}] {}", runs(payload));
    messages.iter().map(says).chain(error.map(|error| error.to_string())).collect::<Vec<_>>().join(", ")
}

fn assert_says(table: &[(&str, &str, &str)]) {
    for (what, wire, messages) in table {
        assert_eq!(say(&hex(wire)), *messages, "{what}");
    }
}

/// What the peer still has to finish, after `wire`.
fn left_partial(wire: &[u8]) -> (Reader, usize) {
    let (mut reader, mut input) = (Reader::default(), BytesMut::from(wire));
    while reader.read(&mut input).unwrap().is_some() {}
    let partial = reader.partial();
    (reader, partial)
}

// Reading: types of headers, and what they leave out.

#[test]
fn the_specifications_examples_are_read() {
    assert_says(&[
        (
            "§5.3.2.1: audio every 20 ms",
            "03 0003e8 000020 08 39300000 a0*32  83 000014 a1*32  c3 a2*32  c3 a3*32",
            "8 @1000 [12345] a0*32, 8 @1020 [12345] a1*32, 8 @1040 [12345] a2*32, 8 @1060 [12345] a3*32",
        ),
        (
            "§5.3.2.2: a video message in three chunks",
            "04 0003e8 000133 09 3a300000 b0*128  c4 b1*128  c4 b2*51",
            "9 @1000 [12346] b0*128 b1*128 b2*51",
        ),
    ]);
}

#[test]
fn a_type_3_header_that_begins_a_message_repeats_the_last_delta() {
    // creytiv/re#183, #184, #169. After type 0 the delta is that header's time (§5.3.1.2.4).
    assert_says(&[
        ("after type 0", "04 000010 000001 08 01000000 aa  c4 bb", "8 @16 [1] aa, 8 @32 [1] bb"),
        ("after type 0 at 0", "04 000000 000001 08 01000000 aa  c4 bb", "8 @0 [1] aa, 8 @0 [1] bb"),
        (
            "after type 1",
            "04 000010 000001 08 01000000 aa  44 000005 000001 09 bb  c4 cc",
            "8 @16 [1] aa, 9 @21 [1] bb, 9 @26 [1] cc",
        ),
        (
            "after type 2",
            "04 000010 000001 08 01000000 aa  84 000005 bb  c4 cc  c4 dd",
            "8 @16 [1] aa, 8 @21 [1] bb, 8 @26 [1] cc, 8 @31 [1] dd",
        ),
        (
            "after type 0, extended",
            "04 ffffff 000001 08 01000000 01000000 aa  c4 01000000 bb",
            "8 @16777216 [1] aa, 8 @33554432 [1] bb",
        ),
        (
            "after type 1, extended",
            "04 000010 000001 08 01000000 aa  44 ffffff 000001 09 00ffffff bb  c4 00ffffff cc",
            "8 @16 [1] aa, 9 @16777231 [1] bb, 9 @33554446 [1] cc",
        ),
        (
            "after type 2, extended",
            "04 000010 000001 08 01000000 aa  84 ffffff 00ffffff bb  c4 00ffffff cc",
            "8 @16 [1] aa, 8 @16777231 [1] bb, 8 @33554446 [1] cc",
        ),
        (
            "after type 3 that began one",
            "04 000010 000081 08 01000000 aa*128  c4 aa  84 000005 bb*128  c4 bb  c4 cc*128  c4 cc",
            "8 @16 [1] aa*129, 8 @21 [1] bb*129, 8 @26 [1] cc*129",
        ),
    ]);
}

#[test]
fn a_type_3_header_inside_a_message_only_continues_it() {
    assert_says(&[
        ("of type 0", "04 000010 000081 08 01000000 aa*128  c4 bb", "8 @16 [1] aa*128 bb"),
        (
            "of type 1",
            "04 000010 000001 08 01000000 aa  44 000005 000081 09 aa*128  c4 bb  84 000001 cc*128  c4 dd",
            "8 @16 [1] aa, 9 @21 [1] aa*128 bb, 9 @22 [1] cc*128 dd",
        ),
        // The field belongs on every chunk (§5.3.1.3). What peers did that left it out or expected none:
        // KallDrexx/rust-media-libs#15, yutopp/go-rtmp#72, illuspas/Node-Media-Server#25.
        (
            "of type 0, extended",
            "06 ffffff 000101 09 01000000 01000000 aa*128  c6 01000000 bb*128  c6 01000000 cc",
            "9 @16777216 [1] aa*128 bb*128 cc",
        ),
        (
            "of type 1, extended",
            "06 000010 000001 09 01000000 aa  46 ffffff 000081 09 00ffffff aa*128  c6 00ffffff bb",
            "9 @16 [1] aa, 9 @16777231 [1] aa*128 bb",
        ),
        (
            "of type 2, extended",
            "06 000010 000081 09 01000000 aa*128 c6 aa  86 ffffff 00ffffff aa*128  c6 00ffffff bb",
            "9 @16 [1] aa*129, 9 @16777231 [1] aa*128 bb",
        ),
        (
            "of type 3, extended",
            "06 000010 000081 09 01000000 aa*128 c6 aa  86 ffffff 00ffffff aa*129  c6 00ffffff bb*128  c6 00ffffff bb",
            "9 @16 [1] aa*129",
        ),
        (
            "of a type that is not extended any more",
            "06 ffffff 000001 09 01000000 01000000 aa  06 000007 000081 09 01000000 aa*128  c6 bb",
            "9 @16777216 [1] aa, 9 @7 [1] aa*128 bb",
        ),
    ]);
}
