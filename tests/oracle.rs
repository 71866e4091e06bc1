//! Chunks and AMF0 read by the product and by others: `rml_rtmp` and `rml_amf0`, which other people wrote and use, and for
//! chunks `support::chunks`. They agree on everything recorded; where they do not agree otherwise, a test says who is right.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use bytes::BytesMut;
use proptest::prelude::*;
use rml_amf0::Amf0Value;
use rml_rtmp::chunk_io::ChunkDeserializer;
use rtmp_relay::flv::file;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::Reader;
use rtmp_relay::rtmp::message::type_id;
use support::chunks::{Chunks, Form, Planned, abort, set_chunk_size};
use support::hex::hex;
use support::recording::{HANDSHAKE, fixture};

/// A message as every reader sees it: type, time, message stream, payload.
type Read = (u8, u32, u32, Vec<u8>);

fn ours(wire: &[u8]) -> Vec<Read> {
    let (mut reader, mut input, mut messages) = (Reader::default(), BytesMut::from(wire), Vec::new());
    while let Ok(Some(m)) = reader.read(&mut input) {
        messages.push((m.type_id, m.timestamp, m.stream, m.payload.to_vec()));
    }
    messages
}

/// What `rml_rtmp` makes of it, up to its first error.
fn theirs(wire: &[u8]) -> Vec<Read> {
    let (mut reader, mut messages) = (ChunkDeserializer::new(), Vec::new());
    let mut bytes = wire;
    while let Ok(Some(m)) = reader.get_next_message(bytes) {
        if let (type_id::SET_CHUNK_SIZE, Some(size)) = (m.type_id, m.data.first_chunk()) {
            reader.set_max_chunk_size(u32::from_be_bytes(*size) as usize).unwrap();
        }
        messages.push((m.type_id, m.timestamp.value, m.message_stream_id, m.data.to_vec()));
        bytes = &[];
    }
    messages
}

fn by_the_book(wire: &[u8]) -> Vec<Read> {
    Chunks::new(wire, 0).messages().into_iter().map(|m| (m.type_id, m.time, m.msid, m.payload)).collect()
}

/// Every recorded direction in `fixtures/`, without its handshake.
fn recordings() -> Vec<(PathBuf, Vec<u8>)> {
    let folders = fs::read_dir(fixture("")).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let files = folders.flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()));
    let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "bin")).collect();
    files.sort();
    assert!(files.len() >= 30, "{files:?}");
    files.into_iter().map(|path| (path.clone(), fs::read(path).unwrap()[HANDSHAKE..].to_vec())).collect()
}

#[test]
fn all_readers_read_the_same_messages_from_every_recording() {
    for (path, wire) in recordings() {
        let ours = ours(&wire);
        assert!(ours.len() >= 6, "{}: {}", path.display(), ours.len());
        assert!(ours == by_the_book(&wire), "{}: by the book", path.display());
        assert!(ours == theirs(&wire), "{}: rml_rtmp", path.display());
    }
}

/// A value as `rml_amf0` has it: it knows neither the order of properties nor an array from an object.
fn as_theirs(value: &Amf0) -> Amf0Value {
    let all = |values: &[(String, Amf0)]| values.iter().map(|(key, value)| (key.clone(), as_theirs(value))).collect();
    match value {
        Amf0::Number(number) => Amf0Value::Number(*number),
        Amf0::Boolean(boolean) => Amf0Value::Boolean(*boolean),
        Amf0::String(text) => Amf0Value::Utf8String(text.clone()),
        Amf0::Object(properties) | Amf0::EcmaArray(properties) => Amf0Value::Object(all(properties)),
        Amf0::StrictArray(values) => Amf0Value::StrictArray(values.iter().map(as_theirs).collect()),
        Amf0::Null => Amf0Value::Null,
        Amf0::Undefined => Amf0Value::Undefined,
        other => panic!("it has no {other}"),
    }
}

fn assert_same_values(payload: &[u8], whose: &str) {
    let ours: Vec<_> = Amf0::read_all(payload).unwrap().iter().map(as_theirs).collect();
    assert_eq!(ours, rml_amf0::deserialize(&mut Cursor::new(payload)).unwrap(), "{whose}");
}

#[test]
fn both_readers_of_amf0_read_the_same_values_from_every_recording_and_file() {
    let mut read = 0;
    for (path, wire) in recordings() {
        let values = ours(&wire).into_iter().filter(|m| [type_id::COMMAND, type_id::DATA].contains(&m.0));
        for (.., payload) in values {
            assert_same_values(&payload, &path.display().to_string());
            read += 1;
        }
    }
    for entry in fs::read_dir(fixture("flv")).unwrap() {
        let path = entry.unwrap().path();
        let mut reader = file::Reader::new();
        reader.push(&fs::read(&path).unwrap());
        while let Some(tag) = reader.read_tag().unwrap() {
            if tag.kind == rtmp_relay::flv::Kind::Data {
                assert_same_values(&tag.payload, &path.display().to_string());
                read += 1;
            }
        }
    }
    assert!(read > 200, "{read}");
}

/// Where `rml_rtmp` reads other messages than we do, or none: what the specification says, or, where it does not, which real
/// program depends on it.
#[test]
fn where_rml_rtmp_reads_something_else_it_is_not_right() {
    let planned = |csid: u32, length: usize| Planned {
        fmt: 0,
        csid,
        form: Form::Shortest,
        time: 40,
        type_id: 9,
        msid: 1,
        payload: vec![csid as u8; length],
        repeats: true,
    };
    let (video, audio) = (planned(6, 200), planned(4, 10));
    let (first, rest) = (video.chunk(true, &[6; 128]), video.chunk(false, &[6; 72]));
    let whole = (9, 40, 1, vec![6; 200]);
    let sound = (9, 40, 1, vec![4; 10]);
    let size = |size: u32| (1, 0, 0, size.to_be_bytes().to_vec());
    let cases: [(&str, Vec<u8>, Vec<Read>); 5] = [
        (
            // It has one buffer for all chunk streams. Every server that interleaves audio and video needs this.
            "§5.3: chunks of different chunk streams may be interleaved",
            [&first[..], &audio.bytes(128), &rest].concat(),
            vec![sound.clone(), whole.clone()],
        ),
        (
            // Of a message that has begun it waits for the whole length again, once that fits a chunk.
            "§5.4.1: a chunk size holds from the next chunk on, also inside a message",
            [&first[..], &set_chunk_size(4_096, 128), &rest].concat(),
            vec![size(4_096), whole.clone()],
        ),
        (
            "§5.4.2: an Abort drops what has come of the message",
            [&first[..], &abort(6, 128), &audio.bytes(128)].concat(),
            vec![(2, 0, 0, vec![0, 0, 0, 6]), sound.clone()],
        ),
        (
            // The specification has no word for it, and librtmp's pings begin so.
            "§5.3.1.2.2: type 1 on a fresh chunk stream takes message stream 0",
            hex("42 000000 000006 04 0006 00000007"),
            vec![(4, 0, 0, hex("0006 00000007"))],
        ),
        (
            // §5.3.1.3 wants the field on continuations. OBS before 30.1 leaves it out (obsproject/obs-studio#10097).
            "against §5.3.1.3: a continuation without the extended timestamp",
            [
                &Planned { time: 0x100_0000, repeats: false, ..video.clone() }.bytes(128)[..],
                &Planned { csid: 5, ..audio.clone() }.bytes(128),
            ]
            .concat(),
            vec![(9, 0x100_0000, 1, vec![6; 200]), sound.clone()],
        ),
    ];
    for (what, wire, expected) in cases {
        assert_eq!(ours(&wire), expected, "{what}");
        // In a debug build it panics over some of them.
        let theirs = std::panic::catch_unwind(|| theirs(&wire)).unwrap_or_default();
        assert_ne!(theirs, expected, "{what}: rml_rtmp has learned it");
    }
}

/// The same for AMF0: the section, bytes, and what our reader makes of them, which is what the section says.
#[test]
fn where_rml_amf0_reads_something_else_it_is_not_right() {
    let cases = [
        ("§2.3: every byte but 0 is true", "01 02", "true"),
        ("§2.14: long strings", "0c 00000002 6f6b", "\"ok\""),
        ("§2.13: dates", "0b 0000000000000000 0000", "date(0)"),
        ("§2.18: objects of a class", "10 0001 43 0001 61 05 0000 09", "C{a: null}"),
        ("§2.11: only with 09 behind it is an empty key the end", "03 0000 05 0000 09", r#"{"": null}"#),
        ("RFC 3629, and our log: text that is no UTF-8 is replaced", "02 0002 c328", "\"\u{fffd}(\""),
    ];
    for (what, bytes, text) in cases {
        let ours = Amf0::read_all(&hex(bytes)).unwrap();
        assert_eq!(ours.iter().map(Amf0::to_string).collect::<Vec<_>>().join(" "), text, "{what}");
        let theirs = rml_amf0::deserialize(&mut Cursor::new(hex(bytes)));
        assert!(theirs.is_err() || theirs.unwrap() == [Amf0Value::Boolean(false)], "{what}: rml_amf0 has learned it");
    }
    // A string cut short: it fills it up with zeros, and a name becomes another.
    let cut = hex("02 0004 6c69");
    assert!(Amf0::read_all(&cut).is_err());
    let theirs = rml_amf0::deserialize(&mut Cursor::new(&cut)).unwrap();
    assert_eq!(theirs, [Amf0Value::Utf8String("li\0\0".to_owned())]);
}

/// A message's header and length. What is illegal, or where `rml_rtmp` is wrong, is made legal by [`wire`].
type Draft = (u8, u32, u32, u8, u32, usize);

fn drafts() -> impl Strategy<Value = Vec<Draft>> {
    let times = prop_oneof![4 => 0u32..3_000, 2 => 0xff_fffd_u32..=0x100_0002, 1 => 0u32..0x7fff_ffff];
    let csids = prop::sample::select(vec![3u32, 4, 63, 64, 319, 320, 65_599]);
    let types = prop::sample::select(vec![8u8, 9, 18, 20, 255]);
    prop::collection::vec((0u8..4, csids, times, types, any::<u32>(), 0usize..600), 1..30)
}

/// The drafts one after the other, in chunks of `size` bytes.
fn wire(drafts: Vec<Draft>, size: usize) -> Vec<u8> {
    let (mut wire, mut last) = (set_chunk_size(size as u32, 128), BTreeMap::<u32, Planned>::new());
    for (n, (fmt, csid, time, type_id, msid, length)) in drafts.into_iter().enumerate() {
        let payload = (0..length).map(|at| (at + n) as u8).collect();
        let mut message = Planned { fmt, csid, form: Form::Shortest, time, type_id, msid, payload, repeats: true };
        match last.get(&csid) {
            None => message.fmt = 0,
            Some(last) => {
                if fmt >= 2 {
                    (message.type_id, message.payload) = (last.type_id, last.payload.clone());
                }
                if fmt == 3 {
                    message.time = last.time;
                }
            }
        }
        wire.extend(message.bytes(size));
        last.insert(csid, message);
    }
    wire
}

fn values() -> impl Strategy<Value = Amf0> {
    let leaf = prop_oneof![
        (prop::num::f64::NORMAL | prop::num::f64::ZERO | prop::num::f64::INFINITE).prop_map(Amf0::Number),
        any::<bool>().prop_map(Amf0::Boolean),
        any::<String>().prop_map(Amf0::String),
        Just(Amf0::Null),
        Just(Amf0::Undefined),
    ];
    leaf.prop_recursive(4, 32, 4, |value| {
        let properties = prop::collection::vec(("[a-z]{1,3}", value.clone()), 0..4);
        prop_oneof![
            properties.clone().prop_map(Amf0::Object),
            properties.prop_map(Amf0::EcmaArray),
            prop::collection::vec(value, 0..4).prop_map(Amf0::StrictArray),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn all_readers_read_the_same_messages(
        drafts in drafts(),
        size in prop::sample::select(vec![1usize, 2, 127, 128, 129, 4_096, 60_000]),
    ) {
        let (count, wire) = (1 + drafts.len(), wire(drafts, size));
        let ours = ours(&wire);
        prop_assert_eq!(ours.len(), count);
        prop_assert_eq!(&ours, &by_the_book(&wire));
        prop_assert_eq!(&ours, &theirs(&wire));
    }

    #[test]
    fn both_readers_of_amf0_read_the_same_values(values in prop::collection::vec(values(), 0..4)) {
        let mut payload = Vec::new();
        values.iter().for_each(|value| value.write(&mut payload));
        assert_same_values(&payload, "what we write");
    }

    #[test]
    fn what_another_writer_of_amf0_writes_we_read(values in prop::collection::vec(values(), 0..4)) {
        let values: Vec<_> = values.iter().map(as_theirs).collect();
        let payload = rml_amf0::serialize(&values).unwrap();
        let ours: Vec<_> = Amf0::read_all(&payload).unwrap().iter().map(as_theirs).collect();
        prop_assert_eq!(ours, values);
    }
}
