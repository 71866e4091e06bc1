//! What messages may be wrapped in, and what may be inside them: aggregates, AMF3's two types, AMF0 as encoders write it. Heard
//! by the server's session, and followed to what a player and a destination are sent.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::client::{self, ClientSession, Target};
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{Error, Message, Payload, ServerSession};
use support::chunks::{Form, Planned, set_chunk_size};
use support::hex::{hex, runs};
use support::onward::Onward;
use support::server::{self, Told};

/// Larger than any message here.
const CHUNK: usize = 4096;

/// A whole message on the wire.
fn message(type_id: u8, time: u32, payload: &[u8]) -> Vec<u8> {
    let payload = payload.to_vec();
    Planned { fmt: 0, csid: 3, form: Form::Shortest, time, type_id, msid: 1, payload, repeats: true }.bytes(CHUNK)
}

/// Handshake, and chunks of `CHUNK` bytes from then on.
fn opening() -> Vec<u8> {
    [hex("03 00*1536 00*1536"), set_chunk_size(CHUNK as u32, 128)].concat()
}

/// connect, createStream and publish, as messages of this type behind these bytes.
fn publishing(type_id: u8, format: &[u8]) -> Vec<u8> {
    let calls = [
        Command::new("connect", 1.0, Amf0::object([("app", "live".into())]), []),
        Command::new("createStream", 2.0, Amf0::Null, []),
        Command::new("publish", 3.0, Amf0::Null, ["show".into(), "live".into()]),
    ];
    calls.iter().flat_map(|call| message(type_id, 0, &[format, &call.payload()].concat())).collect()
}

/// A session that publishes has heard `wire`.
fn hears(wire: &[u8]) -> (ServerSession, Vec<Told>, Result<(), Error>) {
    let (mut session, mut told) = (server::session(), Vec::new());
    let heard = server::hear(&mut session, &[opening(), publishing(20, &[]), wire.to_vec()].concat(), &mut told);
    (session, told, heard)
}

/// The media and data among it, as `type @time payload`.
fn handed(told: &[Told]) -> Vec<String> {
    let text = |m: &Message| format!("{} @{} {}", m.type_id, m.timestamp, runs(&m.payload));
    told.iter().filter_map(|told| if let Told::Message(m) = told { Some(text(m)) } else { None }).collect()
}

#[test]
fn an_aggregate_is_heard_as_the_messages_in_it() {
    // The example of RTMP 1.0 §7.1.6 in bytes, then one that is cut short, between two that are not.
    let aggregate =
        hex("08 000004 0003e800 000000 af01aabb 0000000f  09 000007 0003fc00 000000 2701000000dead 00000012");
    let wire = [
        message(8, 4_980, &hex("af01 01")),
        message(22, 5_000, &aggregate),
        message(22, 5_040, &aggregate[..20]),
        message(22, 5_060, &[]),
        message(9, 5_080, &hex("2701000000 02")),
    ];
    let (_, told, heard) = hears(&wire.concat());
    assert_eq!(heard, Ok(()));
    assert_eq!(
        handed(&told),
        [
            "8 @4980 af 01*2",
            "8 @5000 af 01 aa bb",
            "9 @5020 27 01 00*3 de ad",
            "8 @5040 af 01 aa bb",
            "9 @5080 27 01 00*3 02",
        ]
    );
}

#[test]
fn an_aggregate_before_connect_is_media_before_connect() {
    let media = message(22, 0, &hex("08 000002 00000000 000000 af01 0000000d"));
    let heard = server::hear(&mut server::session(), &[opening(), media].concat(), &mut Vec::new());
    assert_eq!(heard, Err(Error::Unexpected { what: "media", state: "before connect" }));
}

#[test]
fn a_player_of_ours_takes_an_aggregate_apart_as_well() {
    let target = Target {
        role: Role::Play,
        url: Url::parse("rtmp://h/live").unwrap(),
        name: "show".to_owned().into(),
        agent: "test".to_owned(),
        chunk_size: CHUNK,
    };
    let mut session = ClientSession::new(target, &[7; 1528]);
    let aggregate = hex("08 000002 00000000 000000 af01 0000000d  09 000005 00001400 000000 1701000000 00000010");
    let answers = [
        opening(),
        message(20, 0, &Command::result(1.0, Amf0::Null, Amf0::Null).payload()),
        message(20, 0, &Command::result(4.0, Amf0::Null, 1.0.into()).payload()),
        message(20, 0, &Status::success(code::PLAY_START, "").command().payload()),
        message(22, 100, &aggregate),
    ];
    session.input().extend_from_slice(&answers.concat());
    let mut played = Vec::new();
    while let Some(output) = session.poll().unwrap() {
        if let Output::Event(client::Event::Message(message)) = output {
            played.push((message.type_id, message.timestamp));
        }
    }
    assert_eq!(played, [(8, 100), (9, 120)]);
}

#[test]
fn a_publisher_that_says_everything_in_amf3s_types_is_understood() {
    let metadata =
        hex(r#"02 000d "@setDataFrame" 02 000a "onMetaData" 08 00000001 0005 "width" 00 4094000000000000 000009"#);
    let wire = [opening(), publishing(17, &[0]), message(15, 7, &[&[0], &metadata[..]].concat())].concat();
    let (mut session, mut told) = (server::session(), Vec::new());
    server::hear(&mut session, &wire, &mut told).unwrap();
    assert_eq!(session.phase(), Phase::Media);
    assert_eq!(handed(&told), [format!("18 @7 {}", runs(&metadata))]);
}

#[test]
fn interop_40_nothing_in_a_command_or_data_ends_a_stream_that_has_begun() {
    // bluenviron/mediamtx#2077 (a type 9 where a value should be), #2986 (OBS's Twitch VOD track).
    let call = r#"02 0004 "call" 00 4022000000000000"#;
    let odd = [
        message(17, 0, &hex(&format!("00 {call} 11 0a0b01 03 61 0603 62 01"))),
        message(17, 0, &hex(&format!("01 {call} 05"))),
        message(17, 0, &[]),
        message(15, 0, &hex("00 11 0603 61")),
        message(15, 0, &hex("0c 11 0603 61")),
        message(15, 0, &[]),
        message(16, 0, &hex("00 0001 78")),
        message(20, 0, &hex(&format!("{call} 03 0001 61 09"))),
        message(20, 0, &hex("41*41")),
        message(20, 0, &hex("0a00000001*1000 05")),
        message(18, 0, &hex("41*41")),
        message(18, 0, &hex("03 0001 61 09")),
        message(9, 40, &hex("2701000000 02")),
    ];
    let (session, told, heard) = hears(&odd.concat());
    assert_eq!((heard, session.phase()), (Ok(()), Phase::Media));
    assert_eq!(handed(&told).last().unwrap(), "9 @40 27 01 00*3 02");
    let answered = |told: &&Told| matches!(told, Told::Reply(bytes) if bytes.windows(6).any(|w| w == b"_error"));
    assert_eq!(told.iter().filter(answered).count(), 1, "of the calls the first can be read");
}

/// onMetaData with this behind its name.
fn metadata(value: &str) -> Vec<u8> {
    hex(&format!(r#"02 000a "onMetaData" {value}"#))
}

#[test]
fn metadata_is_passed_on_byte_by_byte_whatever_is_in_it() {
    for (what, value) in [
        ("an object", r#"03 0001 "a" 05 000009"#),
        ("a count that is wrong", r#"08 000000ff 0001 "a" 05 000009"#),
        ("no end", r#"08 00000001 0001 "a" 05"#),
        ("half an end", r#"08 00000001 0001 "a" 05 0000"#),
        ("a reference", r#"08 00000002 0001 "a" 03 000009 0001 "b" 07 0001 000009"#),
        ("a long string", r#"08 00000001 0001 "a" 0c 00000002 "hi" 000009"#),
        ("a date with a zone", r#"08 00000001 0001 "a" 0b 4278bcfe56800000 ffc4 000009"#),
        ("an array", r#"08 00000001 0001 "a" 0a 00000002 05 06 000009"#),
        ("unsupported, XML", r#"08 00000002 0001 "a" 0d 0001 "b" 0f 00000004 "<a/>" 000009"#),
        ("a typed object", r#"10 0003 "a.b" 0001 "x" 05 000009"#),
        ("AMF3", r#"11 0a0b01 03 "a" 0603 "b" 01"#),
        ("keys twice", r#"03 0001 "a" 05 0001 "a" 06 000009"#),
        ("a marker that does not exist", "42 42"),
        ("a hundred inside each other", "0a00000001*100 05"),
        ("a string that is no UTF-8", r#"08 00000001 0001 "a" 02 0003 ff00fe 000009"#),
    ] {
        let metadata = metadata(value);
        let key = hex("17 01 000000 00");
        let mut onward = Onward::new();
        for (type_id, payload) in [(18, &metadata), (9, &key)] {
            onward.message(Message { timestamp: 0, type_id, stream: 1, payload: Payload::from(&payload[..]) });
        }
        let [player, destination] = onward.sent().map(|said| said.into_iter().map(|s| s.payload).collect::<Vec<_>>());
        assert_eq!(player, [metadata.clone(), key.clone()], "{what}");
        assert_eq!(destination, [[hex(r#"02 000d "@setDataFrame""#), metadata].concat(), key], "{what}");
    }
}
