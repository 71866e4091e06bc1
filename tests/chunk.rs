//! The chunk stream, bytes against bytes (RTMP 1.0 §5.3): whatever a peer may write the reader understands, and what the
//! writer writes both readers understand, the product's and that of `support::chunks`.
//!
//! Wire bytes stand in tables as `support::hex` reads them, messages as `TYPE @TIME [STREAM] PAYLOAD`.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::{BTreeMap, VecDeque};
use std::iter;

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;
use rtmp_relay::limits::{CHUNK_STREAMS, PARTIAL_BYTES};
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, INITIAL_SIZE, MAX_SIZE, Reader, id};
use rtmp_relay::rtmp::command::Command;
use rtmp_relay::rtmp::{Error, Payload, control};
use support::chunks::{Chunks, Form, Planned, abort, basic_header, set_chunk_size};
use support::hex::{hex, runs};
use support::server::{self, Told};

/// A message as both readers see it: type, time, message stream, payload.
type Read = (u8, u32, u32, Vec<u8>);

/// What the product's reader makes of `wire` in pieces of these sizes, the rest in one, and the error it ends with.
fn read_in(pieces: impl IntoIterator<Item = usize>, wire: &[u8]) -> (Vec<Read>, Option<Error>) {
    let (mut reader, mut input, mut messages, mut rest) = (Reader::default(), BytesMut::new(), Vec::new(), wire);
    for piece in pieces.into_iter().chain([usize::MAX]) {
        let (arrived, later) = rest.split_at(piece.min(rest.len()));
        input.extend_from_slice(arrived);
        rest = later;
        loop {
            match reader.read(&mut input) {
                Ok(Some(message)) => {
                    messages.push((message.type_id, message.timestamp, message.stream, message.payload.to_vec()));
                }
                Ok(None) => break,
                Err(error) => return (messages, Some(error)),
            }
        }
    }
    (messages, None)
}

/// What it makes of `wire`, which is fine and ends with a message.
fn read(wire: &[u8]) -> Vec<Read> {
    let (messages, error) = read_in([], wire);
    let (reader, unread) = reader_after(wire);
    assert_eq!((error, reader.partial(), unread), (None, 0, 0), "an error, unfinished and unread bytes");
    messages
}

/// What the second reader makes of it.
fn read_by_the_other(wire: &[u8]) -> Vec<Read> {
    let messages = Chunks::new(wire, 0).messages();
    assert_eq!(messages.last().map_or(0, |said| said.end), wire.len(), "it ends with a message");
    messages.into_iter().map(|said| (said.type_id, said.time, said.msid, said.payload)).collect()
}

/// The messages in `wire`, one after the other, and what is wrong with it, if anything is.
fn say(wire: &[u8]) -> String {
    let read = read_in([], wire);
    assert_eq!(read, read_in(iter::repeat_n(1, wire.len()), wire), "at once and byte by byte");
    let (messages, error) = read;
    let says = |(type_id, time, stream, payload): &Read| match payload.is_empty() {
        true => format!("{type_id} @{time} [{stream}] empty"),
        false => format!("{type_id} @{time} [{stream}] {}", runs(payload)),
    };
    messages.iter().map(says).chain(error.map(|error| error.to_string())).collect::<Vec<_>>().join(", ")
}

fn assert_says(table: &[(&str, &str, &str)]) {
    for (what, wire, messages) in table {
        assert_eq!(say(&hex(wire)), *messages, "{what}: {wire}");
    }
}

/// The reader after `wire`, which is fine as far as it goes, and how many bytes of it are unread.
fn reader_after(wire: &[u8]) -> (Reader, usize) {
    let (mut reader, mut input) = (Reader::default(), BytesMut::from(wire));
    while reader.read(&mut input).unwrap().is_some() {}
    (reader, input.len())
}

/// Bytes of messages that `wire` leaves unfinished.
fn unfinished_after(wire: &[u8]) -> usize {
    reader_after(wire).0.partial()
}

#[test]
fn the_specifications_examples_are_read() {
    assert_says(&[
        (
            "§5.3.2.1, audio every 20 ms",
            "03 0003e8 000020 08 39300000 a0*32  83 000014 a1*32  c3 a2*32  c3 a3*32",
            "8 @1000 [12345] a0*32, 8 @1020 [12345] a1*32, 8 @1040 [12345] a2*32, 8 @1060 [12345] a3*32",
        ),
        (
            "§5.3.2.2, video in three chunks",
            "04 0003e8 000133 09 3a300000 b0*128  c4 b1*128  c4 b2*51",
            "9 @1000 [12346] b0*128 b1*128 b2*51",
        ),
    ]);
}

#[test]
fn interop_7_a_type_3_header_that_begins_a_message_repeats_the_last_delta() {
    // Where others went wrong: creytiv/re#183, #184 (two attempts), #169 and cats-oss/VideoCast-Swift#42 (refused it).
    assert_says(&[
        // The delta after type 0 is that header's time (§5.3.1.2.4).
        ("after type 0", "04 000010 000001 08 01000000 aa  c4 bb", "8 @16 [1] aa, 8 @32 [1] bb"),
        ("after type 0 at 0", "04 000000 000001 08 01000000 aa  c4 bb", "8 @0 [1] aa, 8 @0 [1] bb"),
        (
            "after type 1",
            "04 000010 000001 08 01000000 aa  44 000005 000002 09 bb*2  c4 cc*2",
            "8 @16 [1] aa, 9 @21 [1] bb*2, 9 @26 [1] cc*2",
        ),
        (
            "after type 2, twice",
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
            "after messages of two chunks",
            "04 000010 000081 08 01000000 aa*128  c4 aa  84 000005 bb*128  c4 bb  c4 cc*128  c4 cc",
            "8 @16 [1] aa*129, 8 @21 [1] bb*129, 8 @26 [1] cc*129",
        ),
        (
            "after an empty message",
            "04 000010 000000 08 01000000  c4  c4",
            "8 @16 [1] empty, 8 @32 [1] empty, 8 @48 [1] empty",
        ),
    ]);
}

#[test]
fn a_type_3_header_inside_a_message_only_continues_it() {
    assert_says(&[
        ("of type 0", "04 000010 000081 08 01000000 aa*128  c4 bb", "8 @16 [1] aa*128 bb"),
        (
            "of type 1",
            "04 000010 000001 08 01000000 aa  44 000005 000081 09 bb*128  c4 cc",
            "8 @16 [1] aa, 9 @21 [1] bb*128 cc",
        ),
        (
            "of type 2",
            "04 000010 000081 08 01000000 aa*128  c4 aa  84 000005 bb*128  c4 cc",
            "8 @16 [1] aa*129, 8 @21 [1] bb*128 cc",
        ),
        // The extended timestamp is on every chunk (§5.3.1.3). Readers that did not expect it there: yutopp/go-rtmp#72,
        // illuspas/Node-Media-Server#25, KallDrexx/rust-media-libs#15.
        (
            "of type 0, extended",
            "06 ffffff 000101 09 01000000 01000000 aa*128  c6 01000000 bb*128  c6 01000000 cc",
            "9 @16777216 [1] aa*128 bb*128 cc",
        ),
        (
            "of type 1, extended",
            "06 000010 000001 09 01000000 aa  46 ffffff 000081 09 00ffffff bb*128  c6 00ffffff cc",
            "9 @16 [1] aa, 9 @16777231 [1] bb*128 cc",
        ),
        (
            "of types 2 and 3, extended",
            "06 000010 000081 09 01000000 aa*128  c6 aa
             86 ffffff 00ffffff bb*128  c6 00ffffff bb
             c6 00ffffff cc*128  c6 00ffffff cc",
            "9 @16 [1] aa*129, 9 @16777231 [1] bb*129, 9 @33554446 [1] cc*129",
        ),
        (
            "of a message that is not extended, after one that is",
            "06 ffffff 000001 09 01000000 01000000 aa  06 000007 000081 09 01000000 bb*128  c6 cc",
            "9 @16777216 [1] aa, 9 @7 [1] bb*128 cc",
        ),
    ]);
}

#[test]
fn interop_5_a_continuation_may_leave_its_extended_timestamp_out() {
    // OBS before 30.1 and old librtmp (obsproject/obs-studio#10097); rml_rtmp wrote 0 there (KallDrexx/rust-media-libs#23).
    assert_says(&[
        (
            "of type 0",
            "04 ffffff 000102 12 01000000 01000000 aa*128  c4 bb*128  c4 cc*2  04 000007 000001 08 01000000 dd",
            "18 @16777216 [1] aa*128 bb*128 cc*2, 8 @7 [1] dd",
        ),
        (
            "of type 1",
            "04 000010 000001 12 01000000 aa  44 ffffff 000084 12 00ffffff bb*128  c4 cc*4",
            "18 @16 [1] aa, 18 @16777231 [1] bb*128 cc*4",
        ),
        (
            "but the next message does not",
            "04 ffffff 000084 12 01000000 01000000 aa*128  c4 bb*4  c4 01000000 cc*128  c4 dd*4",
            "18 @16777216 [1] aa*128 bb*4, 18 @33554432 [1] cc*128 dd*4",
        ),
        (
            "a rest of less than four bytes waits for what follows, since it may be the beginning of the field",
            "04 ffffff 000083 12 01000000 01000000 aa*128  c4 bb*3",
            "",
        ),
        // The price. One that repeats the field as it should is always understood.
        (
            "a payload that looks like the field is taken for it, and four bytes of what follows for the payload",
            "04 ffffff 000084 12 01000000 01000000 aa*128  c4 01000000  04 000000 000001 08 01000000 bb",
            "18 @16777216 [1] aa*128 04 00*3",
        ),
        (
            "the same with the field",
            "04 ffffff 000084 12 01000000 01000000 aa*128  c4 01000000 01000000  04 000000 000001 08 01000000 bb",
            "18 @16777216 [1] aa*128 01 00*3, 8 @0 [1] bb",
        ),
    ]);
}

#[test]
fn interop_6_the_extended_timestamp_of_types_1_and_2_is_a_delta_modulo_2_to_the_32() {
    // Taken as absolute by ossrs/srs#4356, #4365; made clear in veovera/enhanced-rtmp#42.
    assert_says(&[
        (
            "type 1",
            "03 002af8 000001 08 01000000 aa  43 ffffff 000001 08 00fffc18 bb",
            "8 @11000 [1] aa, 8 @16787216 [1] bb",
        ),
        ("type 2", "03 002af8 000001 08 01000000 aa  83 ffffff 00fffc18 bb", "8 @11000 [1] aa, 8 @16787216 [1] bb"),
        // librtmp subtracts unsigned, and so says −16.
        (
            "backwards",
            "03 000064 000001 08 01000000 aa  43 ffffff 000001 09 fffffff0 bb",
            "8 @100 [1] aa, 9 @84 [1] bb",
        ),
        ("over the top", "03 ffffff 000001 08 01000000 ffffffff aa  83 000002 bb", "8 @4294967295 [1] aa, 8 @1 [1] bb"),
    ]);
}

#[test]
fn type_1_may_open_a_chunk_stream_and_types_2_and_3_may_not() {
    let malformed = "malformed chunk header (RTMP 1.0 §5.3.1)";
    assert_says(&[
        ("librtmp's ping", "42 000000 000006 04 0003 00000001", "4 @0 [0] 00 03 00*3 01"),
        ("type 1 with a delta", "42 00012c 000001 04 aa", "4 @300 [0] aa"),
        ("type 2", "84 000000 aa", malformed),
        ("type 3", "c4 aa", malformed),
        (
            "known on one, fresh on the other",
            "04 000000 000001 08 01000000 aa  c5 aa",
            &format!("8 @0 [1] aa, {malformed}"),
        ),
    ]);
}

/// What rtmpdump 2.4 says to play, after `connect`: type 1 on a fresh chunk stream, and type 3 for a new message. Others took
/// neither: creytiv/re#169, cats-oss/VideoCast-Swift#42.
#[test]
fn interop_8_interop_23_rtmpdump_is_understood() {
    assert_says(&[
        (
            "a ping as librtmp sends it",
            "42 000000 000006 04 0006 00003039  c2 0006 0000303a",
            "4 @0 [0] 00 06 00*2 30 39, 4 @0 [0] 00 06 00*2 30 3a",
        ),
        (
            "rtmpdump",
            "02 000000 000004 05 00000000 002625a0
             42 000000 00000a 04 0003 00000000 0000012c
             c2 0003 00000001 02255100",
            "5 @0 [0] 00 26 25 a0, 4 @0 [0] 00 03 00*6 01 2c, 4 @0 [0] 00 03 00*3 01 02 25 51 00",
        ),
    ]);
}

/// rtmpdump's writer takes type 3 where times are equal, nginx-rtmp's after type 0; readers differ in what they add then.
#[test]
fn interop_10_interop_11_no_message_of_ours_begins_with_type_3() {
    let mut onward = support::onward::Onward::new();
    // Times and sizes that are equal, and equal steps.
    for (type_id, timestamp) in [(9, 0), (9, 0), (8, 0), (8, 0), (9, 40), (9, 80), (8, 23), (8, 46), (8, 46), (9, 120)]
    {
        let payload = if type_id == 9 { hex("17 01 000000 aa*200") } else { hex("af 01 aa*200") };
        onward.message(rtmp_relay::rtmp::Message {
            timestamp,
            type_id,
            stream: 1,
            payload: Payload::from(&payload[..]),
        });
    }
    for wire in onward.wires() {
        let begins: Vec<_> = Chunks::new(&wire, 0).filter(|chunk| chunk.begins).map(|chunk| chunk.fmt).collect();
        assert!(begins.len() == 11 && begins.iter().all(|fmt| *fmt < 2), "{begins:?}");
    }
}

#[test]
fn interop_12_a_new_header_inside_a_message_continues_it_or_is_lost_sync() {
    // ossrs/srs#2523. The specification allows type 3 only.
    let lost = "malformed chunk header: the length has changed inside a message (RTMP 1.0 §5.3.1)";
    assert_says(&[
        (
            "type 0, same length",
            "04 000010 000081 09 01000000 aa*128  04 000021 000081 09 01000000 bb",
            "9 @16 [1] aa*128 bb",
        ),
        ("type 1, same length", "04 000010 000081 09 01000000 aa*128  44 000021 000081 09 bb", "9 @16 [1] aa*128 bb"),
        ("type 2", "04 000010 000081 09 01000000 aa*128  84 000021 bb", "9 @16 [1] aa*128 bb"),
        ("type 0, another length", "04 000010 000081 09 01000000 aa*128  04 000021 000082 09 01000000 bb*2", lost),
        ("type 1, another length", "04 000010 000081 09 01000000 aa*128  44 000021 000001 09 bb", lost),
        (
            "another chunk stream",
            "04 000010 000081 09 01000000 aa*128  05 000021 000001 08 01000000 bb  c4 cc",
            "8 @33 [1] bb, 9 @16 [1] aa*128 cc",
        ),
    ]);
}

#[test]
fn interop_15_a_chunk_size_holds_from_the_next_chunk_on() {
    // sergey-dryabzhinsky/nginx-rtmp-module#17: bytes were lost that had come in the same segment.
    assert_says(&[
        (
            "for the next message",
            "02 000000 000004 01 00000000 00000002  04 000000 000003 09 01000000 aa*2 c4 bb",
            "1 @0 [0] 00*3 02, 9 @0 [1] aa*2 bb",
        ),
        (
            "smaller, for the rest of a message under way",
            "06 000000 000100 09 01000000 aa*128  02 000000 000004 01 00000000 00000040  c6 bb*64 c6 cc*64",
            "1 @0 [0] 00*3 40, 9 @0 [1] aa*128 bb*64 cc*64",
        ),
        (
            "larger, for the rest of a message under way",
            "06 000000 000201 09 01000000 aa*128  02 000000 000004 01 00000000 00001000  c6 bb*385",
            "1 @0 [0] 00*2 10 00, 9 @0 [1] aa*128 bb*385",
        ),
        (
            "one byte",
            "02 000000 000004 01 00000000 00000001
             02 000000 000004 01 00000000 00 c2 00 c2 00 c2 03  04 000000 000003 09 01000000 aa*3",
            "1 @0 [0] 00*3 01, 1 @0 [0] 00*3 03, 9 @0 [1] aa*3",
        ),
    ]);
}

#[test]
fn every_legal_chunk_size_is_taken_and_no_other() {
    for size in [1, 127, 128, 129, 60_000, 65_536, MAX_SIZE as u32, 0x100_0000, 0x7fff_ffff] {
        assert_eq!(reader_after(&set_chunk_size(size, 128)).0.size(), MAX_SIZE.min(size as usize));
    }
    let malformed = "malformed Set Chunk Size (RTMP 1.0 §5.4.1)";
    assert_says(&[
        ("zero", "02 000000 000004 01 00000000 00000000", malformed),
        ("the first bit", "02 000000 000004 01 00000000 80000080", malformed),
        ("cut short", "02 000000 000003 01 00000000 000080", malformed),
        ("empty", "02 000000 000000 01 00000000", malformed),
    ]);
}

#[test]
fn interop_16_an_abort_drops_what_is_unfinished_on_its_chunk_stream() {
    // Unsupported in bluenviron/gortmplib#59, sent with the wrong id by zenomt/rtmfp-cpp#19.
    let unfinished = "06 000010 000101 09 01000000 aa*128";
    let abort = "02 000000 000004 02 00000000 00000006";
    let abort_says = "2 @0 [0] 00*3 06";
    assert_says(&[
        (
            "then type 0",
            &format!("{unfinished} {abort} 06 000020 000001 08 02000000 bb"),
            &format!("{abort_says}, 8 @32 [2] bb"),
        ),
        (
            "then type 1",
            &format!("{unfinished} {abort} 46 000005 000001 08 bb"),
            &format!("{abort_says}, 8 @21 [1] bb"),
        ),
        (
            "then type 3, which begins a message",
            &format!("{unfinished} {abort} c6 bb*128 c6 bb*128 c6 bb"),
            &format!("{abort_says}, 9 @32 [1] bb*257"),
        ),
        (
            "and nothing else",
            &format!("05 000010 000081 12 01000000 cc*128 {unfinished} {abort} c5 dd"),
            &format!("{abort_says}, 18 @16 [1] cc*128 dd"),
        ),
        ("of nothing", &format!("{abort} 06 000020 000001 08 02000000 bb"), &format!("{abort_says}, 8 @32 [2] bb")),
        ("cut short", "02 000000 000003 02 00000000 000006", "malformed Abort (RTMP 1.0 §5.4.2)"),
    ]);
    assert_eq!(unfinished_after(&hex(unfinished)), 128);
    assert_eq!(unfinished_after(&hex(&format!("{unfinished} {abort}"))), 0);
}

#[test]
fn interop_17_every_chunk_stream_id_is_read_in_every_form() {
    // bluenviron/mediamtx#4807 is a camera with an id above 63. An Abort names the id as a plain number. Chunks of four bytes,
    // so that a message of five is unfinished where a chunk ends.
    let unfinished = hex("000000 000005 09 01000000 aa*4");
    let opening = set_chunk_size(4, 128);
    let one_and_two_bytes = (3..=319).map(|csid| (csid, Form::Shortest));
    let three_bytes = (64..=65_599).map(|csid| (csid, Form::ThreeBytes));
    for (csid, form) in one_and_two_bytes.chain(three_bytes) {
        let mut wire = [&opening[..], &basic_header(0, csid, form), &unfinished].concat();
        if csid < 400 || csid % 61 == 0 {
            assert_eq!(unfinished_after(&[&wire[..], &abort(csid ^ 1, 4)].concat()), 4, "{csid}, {form:?}");
        }
        wire.extend(abort(csid, 4));
        assert_eq!(unfinished_after(&wire), 0, "{csid}, {form:?}");
    }
    assert_says(&[
        ("64 in two bytes and in three", "0000 000000 000081 09 01000000 aa*128 c10000 bb", "9 @0 [1] aa*128 bb"),
        ("319 in two bytes and in three", "00ff 000000 000081 09 01000000 aa*128 c1ff00 bb", "9 @0 [1] aa*128 bb"),
        (
            "320 and 65 are two",
            "010001 000000 000081 09 01000000 aa*128 0001 000000 000001 08 01000000 bb c10001 cc",
            "8 @0 [1] bb, 9 @0 [1] aa*128 cc",
        ),
    ]);
}

#[test]
fn nothing_is_taken_until_a_header_is_whole() {
    for (csid, form) in [(3, Form::Shortest), (64, Form::Shortest), (64, Form::ThreeBytes), (65_599, Form::Shortest)] {
        for (fmt, time) in [0, 1, 2, 3].into_iter().flat_map(|fmt| [(fmt, 0xff_fffe), (fmt, 0xff_ffff)]) {
            let payload = vec![0xaa; 2];
            let before = Planned { fmt: 0, csid, form, time, type_id: 9, msid: 1, payload, repeats: true };
            let header = Planned { fmt, ..before.clone() }.chunk(true, &[]);
            let (mut reader, mut input) = (Reader::default(), BytesMut::from(&before.bytes(128)[..]));
            assert!(reader.read(&mut input).unwrap().is_some());
            for (n, byte) in header.iter().enumerate() {
                input.extend_from_slice(&[*byte]);
                assert!(reader.read(&mut input).unwrap().is_none());
                let untaken = if n + 1 == header.len() { 0 } else { n + 1 };
                assert_eq!(input.len(), untaken, "type {fmt} at {time} on {csid}, {} bytes of {}", n + 1, header.len());
            }
        }
    }
}

#[test]
fn one_chunk_stream_more_than_the_limit_is_refused() {
    let wire: Vec<u8> = (2..).take(CHUNK_STREAMS).flat_map(|csid| message_on(csid, 1)).collect();
    assert_eq!(read(&wire).len(), CHUNK_STREAMS);
    // All of them may go on.
    let again: Vec<u8> = (2..).take(CHUNK_STREAMS).flat_map(|csid| message_on(csid, 2)).collect();
    assert_eq!(read(&[&wire[..], &again].concat()).len(), 2 * CHUNK_STREAMS);
    let (messages, error) = read_in([], &[wire, message_on(2 + CHUNK_STREAMS as u32, 1)].concat());
    let refused = Error::TooLarge { what: "open chunk streams", limit: CHUNK_STREAMS };
    assert_eq!((messages.len(), error), (CHUNK_STREAMS, Some(refused)));
}

fn message_on(csid: u32, length: usize) -> Vec<u8> {
    let form = Form::Shortest;
    Planned { fmt: 0, csid, form, time: 0, type_id: 9, msid: 1, payload: vec![0; length], repeats: true }.bytes(128)
}

#[test]
fn one_unfinished_byte_more_than_the_limit_is_refused() {
    const CHUNK: usize = PARTIAL_BYTES / 3;
    let begin =
        |csid: u32| [basic_header(0, csid, Form::Shortest), hex("000000 ffffff 09 01000000"), vec![0; CHUNK]].concat();
    let full = [set_chunk_size(CHUNK as u32, 128), begin(4), begin(5), begin(6)].concat();
    assert_eq!(unfinished_after(&full), PARTIAL_BYTES);
    let (_, error) = read_in([], &[&full[..], &hex("c4 00")].concat());
    assert_eq!(error, Some(Error::TooLarge { what: "bytes of unfinished messages", limit: PARTIAL_BYTES }));

    // What is aborted does not count, nor what is finished: the Abort itself, for one.
    let room = [set_chunk_size(CHUNK as u32, 128), begin(4), begin(5), abort(4, CHUNK), begin(4), begin(6)].concat();
    assert_eq!(unfinished_after(&room), PARTIAL_BYTES);
}

#[test]
fn interop_13_interop_14_every_connection_and_direction_starts_with_chunks_of_128_bytes() {
    // The peer's chunk size taken for our own: Red5/red5-client#54. One that outlived its connection: ossrs/srs#454.
    assert_eq!((Reader::default().size(), INITIAL_SIZE), (128, 128));
    let connect = Command::new("connect", 1.0, Amf0::object([("app", "live".into())]), []);
    let create_stream = Command::new("createStream", 2.0, Amf0::Null, []);
    for size in [1, 128, 4096] {
        let announced = set_chunk_size(size as u32, 128);
        let again = set_chunk_size(size as u32, size);
        let said = [&announced[..], &connect.message(0, size), &again, &create_stream.message(0, size)];
        let mut told = Vec::new();
        let wire = [&hex("03 00*1536 00*1536")[..], &said.concat()].concat();
        server::hear(&mut server::session(), &wire, &mut told).unwrap();
        let answer = |told: &Told| match told {
            Told::Reply(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        let answers: Vec<u8> = told.iter().skip(1).flat_map(answer).collect();
        assert_eq!(read_by_the_other(&answers), read(&answers));
        let chunks: Vec<_> = Chunks::new(&answers, 0).map(|chunk| (chunk.type_id.unwrap(), chunk.payload)).collect();
        assert_eq!(chunks, [(5, 4), (6, 5), (1, 4), (20, 191), (20, 29)], "with a peer that sends chunks of {size}");
    }
}

#[test]
fn interop_20_an_answer_of_191_bytes_in_chunks_of_128_is_204_bytes() {
    // jgh-/VideoCore#199: clients that left the c3 in the middle of it.
    let server = Amf0::object([("fmsVer", "FMS/3,5,7,7009".into()), ("capabilities", 31.0.into())]);
    let information = Amf0::object([
        ("level", "status".into()),
        ("code", "NetConnection.Connect.Success".into()),
        ("description", "Connection succeeded.".into()),
        ("objectEncoding", 0.0.into()),
    ]);
    let answer = Command::result(1.0, server, information);
    let wire = answer.message(0, 128);
    assert_eq!((wire.len(), answer.payload().len(), wire[12 + 128]), (204, 191, 0xc3));
    assert_eq!(read(&wire), [(20, 0, 0, answer.payload().to_vec())]);
}

#[test]
fn interop_18_interop_19_our_chunk_stream_ids_fit_one_byte_and_the_strictest_server() {
    // nginx-rtmp closes on ids from 32 on, and ffmpeg misreads the continuations of those from 64 on: there are none.
    let ids = [id::CONTROL, id::CONNECTION, id::AUDIO, id::DATA, id::VIDEO, id::STREAM];
    assert!(ids.is_sorted_by(|a, b| a < b) && ids[0] == 2 && ids[5] <= 8, "{ids:?}");
}

/// A message as the product writes it, by each of the ways it has.
fn written(lane: Lane, header: Header, payload: &[u8], chunk_size: usize) -> Vec<Vec<u8>> {
    let mut slices = Vec::new();
    let payload = Bytes::copy_from_slice(payload);
    writer::slices(lane, header, &payload, chunk_size, |slice| slices.extend_from_slice(&slice));
    let mut ways = vec![writer::message(lane, header, &payload, chunk_size).to_vec(), slices];
    if let Header::Delta(delta) = header {
        let (wire, kept) = writer::shared(lane, delta, Payload::from(&payload[..]), chunk_size);
        assert_eq!((kept, wire.is_empty()), (payload.clone(), payload.len() > chunk_size));
        ways.extend((!wire.is_empty()).then(|| wire.to_vec()));
    }
    ways
}

#[test]
fn interop_1_times_come_back_from_where_the_field_is_extended() {
    // Streams that died after 4 h 39 min: iizukanao/node-rtsp-rtmp-server#127, illuspas/Node-Media-Server#25.
    let lane = Lane { chunk_stream: 6, type_id: 9 };
    let opening = writer::message(lane, Header::Start { time: 10, stream: 1 }, &[0], 128);
    for time in [0, 1, 0xff_fffe, 0xff_ffff, 0x100_0000, 0x7fff_ffff, 0x8000_0000, u32::MAX] {
        for length in [0, 1, 128, 129, 256, 257] {
            let payload: Vec<u8> = (0..length).map(|n| n as u8).collect();
            for (header, comes_back) in
                [(Header::Start { time, stream: 7 }, (time, 7)), (Header::Delta(time), (time.wrapping_add(10), 1))]
            {
                let expected = [(9, comes_back.0, comes_back.1, payload.clone())];
                for wire in written(lane, header, &payload, 128) {
                    let wire = [&opening[..], &wire].concat();
                    assert_eq!(read(&wire)[1..], expected, "{header:?}, {length} bytes");
                    assert_eq!(read_by_the_other(&wire)[1..], expected, "{header:?}, {length} bytes");
                }
            }
        }
    }
}

#[test]
fn interop_21_payloads_of_every_length_come_back_in_chunks_of_every_size() {
    let lane = Lane { chunk_stream: 6, type_id: 9 };
    // A 4K key frame can be larger than nginx-rtmp's limit of 1 MiB; the format's is 16 MiB less one byte.
    for (length, sizes) in [
        (0, &[1, 128, MAX_SIZE][..]),
        (1, &[1, 2, 128, MAX_SIZE]),
        (127, &[1, 126, 127, 128, 129]),
        (128, &[1, 127, 128, 129]),
        (129, &[1, 127, 128, 129]),
        (60_001, &[128, 60_000, 65_536]),
        (65_537, &[127, 60_000, 65_536, MAX_SIZE]),
        (12 << 20, &[60_000]),
        (MAX_SIZE, &[65_536, MAX_SIZE]),
    ] {
        let payload = [b"sixteen of them.".repeat(length / 16), vec![7; length % 16]].concat();
        for &size in sizes {
            let opening = control::set_chunk_size(size);
            let header = Header::Start { time: 40, stream: 1 };
            for wire in written(lane, header, &payload, size) {
                assert_eq!(wire.len(), 12 + length + length.saturating_sub(1) / size);
                let (messages, error) = read_in([5, 20, 1_000, 1 << 20], &[&opening[..], &wire].concat());
                assert!(messages[1..] == [(9, 40, 1, payload.clone())] && error.is_none(), "{length} in {size}");
            }
        }
    }
}

/// Times: ordinary ones, those around the extension, all.
fn times() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..3_000, 2 => 0xff_fffd_u32..=0x100_0002, 1 => any::<u32>()]
}

fn lengths() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0usize..300, 2 => 126usize..=130, 1 => 300usize..4_000]
}

fn pieces() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..20, 20usize..1_000], 0..100)
}

/// A payload of its own for each message. Its bytes are at least 80, so that four of them are no time of less than 2^31.
fn payload(n: usize, length: usize) -> Vec<u8> {
    (0..length).map(|at| 0x80 | (at * 7 + n) as u8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_the_writer_writes_both_readers_read(
        drafts in prop::collection::vec((2u8..64, any::<bool>(), times(), any::<u32>(), lengths(), any::<prop::sample::Index>()), 1..30),
        chunk_size in prop::sample::select(vec![1, 2, 127, 128, 129, 4_096, DEFAULT_SIZE, 65_536, MAX_SIZE]),
        pieces in pieces(),
    ) {
        let mut wire = control::set_chunk_size(chunk_size).to_vec();
        let mut expected = vec![(1, 0, 0, (chunk_size as u32).to_be_bytes().to_vec())];
        let mut begun: BTreeMap<u8, (u32, u32)> = BTreeMap::new();
        for (n, (chunk_stream, start, time, stream, length, way)) in drafts.into_iter().enumerate() {
            let lane = Lane { chunk_stream, type_id: 3 + (n % 250) as u8 };
            let (header, after) = match (start, begun.get(&chunk_stream)) {
                (false, Some((before, stream))) => (Header::Delta(time), (before.wrapping_add(time), *stream)),
                _ => (Header::Start { time, stream }, (time, stream)),
            };
            begun.insert(chunk_stream, after);
            let payload = payload(n, length);
            wire.extend(way.get(&written(lane, header, &payload, chunk_size)));
            expected.push((lane.type_id, after.0, after.1, payload));
        }
        prop_assert_eq!(read_in(pieces, &wire), (expected.clone(), None));
        prop_assert_eq!(read_by_the_other(&wire), expected);

        // nginx-rtmp and gortmplib add nothing for a type 3 that begins a message after type 0, ffmpeg the header's time:
        // so there is none, not even where time and length are the same again. And its field is never anything but the
        // first one's.
        let mut field = BTreeMap::new();
        for chunk in Chunks::new(&wire, 0) {
            prop_assert!(if chunk.begins { chunk.fmt < 2 } else { chunk.fmt == 3 }, "type {}", chunk.fmt);
            if chunk.begins {
                field.insert(chunk.csid, chunk.extended);
            }
            prop_assert_eq!(Some(&chunk.extended), field.get(&chunk.csid));
        }
    }

    #[test]
    fn whatever_peers_may_write_is_read(
        drafts in prop::collection::vec(drafts(), 1..40),
        schedule in prop::collection::vec(any::<u8>(), 1..200),
        pieces in pieces(),
    ) {
        let conforming = drafts.iter().all(|draft| draft.repeats);
        let (wire, expected) = interleaved(&drafts, &schedule);
        prop_assert_eq!(read_in(pieces, &wire), (expected.clone(), None));
        if conforming {
            prop_assert_eq!(read_by_the_other(&wire), expected);
        }
    }

    #[test]
    fn damaged_bytes_are_read_without_a_panic_and_the_same_in_any_pieces(
        drafts in prop::collection::vec(drafts(), 1..10),
        schedule in prop::collection::vec(any::<u8>(), 1..20),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..10),
        pieces in pieces(),
    ) {
        let (mut wire, _) = interleaved(&drafts, &schedule);
        for (at, byte) in damage {
            *at.get_mut(&mut wire) = byte;
        }
        prop_assert_eq!(read_in(pieces, &wire), read_in([], &wire));
    }
}

/// What a peer has in mind. It gets its header's type only where that is legal.
#[derive(Debug, Clone)]
struct Draft {
    fmt: u8,
    csid: u32,
    form: Form,
    time: u32,
    type_id: u8,
    msid: u32,
    length: usize,
    repeats: bool,
}

fn drafts() -> impl Strategy<Value = Draft> {
    let csids = prop::sample::select(vec![3, 4, 63, 64, 319, 320, 65_599]);
    let forms = prop::sample::select(vec![Form::Shortest, Form::ThreeBytes]);
    let types = prop::sample::select(vec![8, 9, 18, 20, 22, 255]);
    let repeats = prop::bool::weighted(0.9);
    (0u8..4, csids, forms, times(), types, any::<u32>(), lengths(), repeats).prop_map(
        |(fmt, csid, form, time, type_id, msid, length, repeats)| Draft {
            fmt,
            csid,
            form,
            time,
            type_id,
            msid,
            length,
            repeats,
        },
    )
}

/// The drafts on the wire, a chunk here and a chunk there as the schedule says, which also changes the chunk size now and
/// then; and the messages in the order in which they become complete.
fn interleaved(drafts: &[Draft], schedule: &[u8]) -> (Vec<u8>, Vec<Read>) {
    let mut lanes = planned(drafts);
    let (mut wire, mut expected, mut size) = (Vec::new(), Vec::new(), 128);
    for &choice in schedule.iter().cycle() {
        if lanes.is_empty() {
            break;
        }
        if choice >= 250 {
            let new = [1, 5, 64, 128, 129, 1_000][usize::from(choice - 250)];
            wire.extend(set_chunk_size(new as u32, size));
            expected.push((1, 0, 0, (new as u32).to_be_bytes().to_vec()));
            size = new;
        }
        let lane = usize::from(choice) % lanes.len();
        let (message, sent, time) = lanes[lane].front_mut().unwrap();
        let part = &message.payload[*sent..message.payload.len().min(*sent + size)];
        wire.extend(message.chunk(*sent == 0, part));
        *sent += part.len();
        if *sent == message.payload.len() {
            expected.push((message.type_id, *time, message.msid, message.payload.clone()));
            lanes[lane].pop_front();
            lanes.retain(|lane| !lane.is_empty());
        }
    }
    // A last chunk that leaves its extended timestamp out is known for one when four bytes have come after its header.
    wire.extend(hex("05 000000 000001 08 01000000 aa"));
    expected.push((8, 0, 1, vec![0xaa]));
    (wire, expected)
}

/// For each chunk stream its messages, how many bytes of each have been sent, and the time each has.
fn planned(drafts: &[Draft]) -> Vec<VecDeque<(Planned, usize, u32)>> {
    let mut lanes: BTreeMap<u32, VecDeque<(Planned, usize, u32)>> = BTreeMap::new();
    for (n, draft) in drafts.iter().enumerate() {
        let lane = lanes.entry(draft.csid).or_default();
        let Draft { csid, form, mut fmt, mut time, mut type_id, mut msid, mut length, repeats } = *draft;
        let (mut before, mut step) = (0, 0);
        match lane.back() {
            // A fresh chunk stream begins with type 0, or, from librtmp, type 1.
            None if fmt != 1 => fmt = 0,
            None => msid = 0,
            Some((last, _, last_time)) => {
                (before, step) = (*last_time, last.time);
                if fmt >= 1 {
                    msid = last.msid;
                }
                if fmt >= 2 {
                    (type_id, length) = (last.type_id, last.payload.len());
                }
            }
        }
        if fmt == 3 {
            time = step;
        }
        // See `payload`: only below this can a missing field be told.
        let repeats = repeats || time >= 1 << 31;
        let arrives = if fmt == 0 { time } else { before.wrapping_add(time) };
        lane.push_back((
            Planned { fmt, csid, form, time, type_id, msid, payload: payload(n, length), repeats },
            0,
            arrives,
        ));
    }
    lanes.into_values().collect()
}
