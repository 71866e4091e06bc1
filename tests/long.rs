//! Sessions longer than 4 h 39 min, where a timestamp no longer fits 24 bits, and such as begin before 31 or 32 bits are full:
//! from the encoder's chunks to what a player, a destination and a recording have. In no time.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use rtmp_relay::flv::file;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::command::Command;
use rtmp_relay::rtmp::{Message, Payload};
use support::chunks::{Form, Planned};
use support::flv;
use support::hex::hex;
use support::onward::Onward;
use support::server::{self, Told};

/// Between two pictures. A step of more than 10 s would be a jump.
const STEP: u64 = 9_000;
/// Sound comes this long after each picture.
const SOUND: u64 = 7;

/// How an encoder writes times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// In full with every message, on every chunk of it.
    Full,
    /// The same, but not on continuations: OBS before 30.1.
    FullOnce,
    /// The same with 31 bits: OBS.
    Full31,
    /// The first in full, then steps.
    Steps,
}

/// A message of 200 bytes, so that it is two chunks. They are no time a continuation may repeat.
fn payload(head: &str, n: u64) -> Vec<u8> {
    let mut payload = hex(head);
    payload.extend((n as u32).to_be_bytes());
    payload.resize(200, 0xe0 | n as u8);
    payload
}

fn picture(n: u64) -> Vec<u8> {
    payload(if n.is_multiple_of(10) { "17 01 000000" } else { "27 01 000000" }, n)
}

/// Sequence headers: the second one replaces the first.
fn header(n: u64) -> Vec<u8> {
    payload("17 00 000000", n)
}

fn sound(n: u64) -> Vec<u8> {
    payload("af 01", n)
}

/// What an encoder says that begins at `start` and goes on for `count` pictures, with another header before picture `change`.
fn encoder(style: Style, start: u64, count: u64, change: u64) -> Vec<u8> {
    let mut wire = hex("03 00*1536 00*1536");
    for (msid, call) in [
        Command::new("connect", 1.0, Amf0::object([("app", "live".into())]), []),
        Command::new("createStream", 2.0, Amf0::Null, []),
        Command::new("publish", 3.0, Amf0::Null, ["show".into(), "live".into()]),
    ]
    .iter()
    .enumerate()
    {
        wire.extend_from_slice(&call.message(u32::from(msid == 2), 128));
    }
    let mut last = [None; 2];
    let mut say = |series: usize, time: u64, payload: Vec<u8>| {
        let (csid, type_id) = [(6, 9), (4, 8)][series];
        let before: Option<u64> = last[series].replace(time);
        let (fmt, time) = match (style, before) {
            (Style::Steps, Some(before)) => (1, (time - before) as u32),
            (Style::Full31, _) => (0, time as u32 & 0x7fff_ffff),
            _ => (0, time as u32),
        };
        let (form, repeats) = (Form::Shortest, style != Style::FullOnce);
        wire.extend(Planned { fmt, csid, form, time, type_id, msid: 1, payload, repeats }.bytes(128));
    };
    for n in 0..count {
        let time = start + n * STEP;
        if n == 0 || n == change {
            say(0, time, header(n));
        }
        say(0, time, picture(n));
        say(1, time + SOUND, sound(n));
    }
    wire
}

/// What every reader has: type, time from the first picture on, payload.
fn expected(count: u64, change: u64) -> Vec<(u8, u32, Vec<u8>)> {
    let mut all = Vec::new();
    for n in 0..count {
        let time = (n * STEP) as u32;
        if n == 0 || n == change {
            all.push((9, time, header(n)));
        }
        all.push((9, time, picture(n)));
        all.push((8, time + SOUND as u32, sound(n)));
    }
    all
}

/// The messages of a publisher, as the session hands them over.
fn heard(wire: &[u8]) -> Vec<Message> {
    let mut told = Vec::new();
    server::hear(&mut server::session(), wire, &mut told).unwrap();
    told.into_iter().filter_map(|told| if let Told::Message(message) = told { Some(message) } else { None }).collect()
}

fn arrives_whole(style: Style, start: u64, count: u64, change: u64) {
    let what = format!("{style:?} from {start}");
    let messages = heard(&encoder(style, start, count, change));
    let expected = expected(count, change);
    assert_eq!(messages.len(), expected.len(), "{what}");

    let mut onward = Onward::new();
    for Message { timestamp, type_id, stream, payload } in &messages {
        let payload = Payload::from(&payload[..]);
        onward.message(Message { timestamp: *timestamp, type_id: *type_id, stream: *stream, payload });
    }
    for (reader, said) in ["player", "destination"].iter().zip(onward.sent()) {
        let said: Vec<_> = said.into_iter().map(|s| (s.type_id, s.time, s.payload)).collect();
        let first = said.iter().zip(&expected).position(|(a, b)| a != b);
        assert_eq!((said.len(), first), (expected.len(), None), "{reader}, {what}");
    }

    let mut reader = file::Reader::new();
    reader.push(&flv::record(messages));
    let tags = std::iter::from_fn(|| reader.read_tag().unwrap()).skip(1);
    let tags: Vec<_> = tags.map(|tag| (tag.kind.tag_type(), tag.timestamp, tag.payload.to_vec())).collect();
    let first = tags.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!((tags.len(), first), (expected.len(), None), "recording, {what}");
}

/// illuspas/Node-Media-Server#25, iizukanao/node-rtsp-rtmp-server#127, yutopp/go-rtmp#72, KallDrexx/rust-media-libs#15: dead
/// after 4 h 39 min. membraneframework/membrane_rtmp_plugin#43: recordings with times of 24 bits.
#[test]
fn interop_1_interop_4_interop_9_a_session_of_five_hours_arrives_whole_and_so_does_its_recording() {
    let count = 5 * 3600 * 1000 / STEP;
    assert!(count * STEP > 1 << 24);
    for style in [Style::Full, Style::FullOnce, Style::Full31, Style::Steps] {
        // A header changes after the 24 bits are full: its time is written in full to readers as well.
        arrives_whole(style, 0, count, count - 20);
    }
}

#[test]
fn a_session_goes_on_past_the_end_of_31_and_of_32_bits() {
    for style in [Style::Full, Style::FullOnce, Style::Full31, Style::Steps] {
        for bits in [24, 31, 32] {
            let start = (1 << bits) - 20 * STEP - 3;
            if style != Style::Full31 || bits < 32 {
                arrives_whole(style, start, 50, 30);
            }
        }
    }
}
