//! What is fuzzed: any bytes, and what has to be so whatever they are. The fuzzers in `bin` look for bytes of which it is not;
//! `tests/corpus.rs` replays what they have found worth keeping.

#![allow(dead_code, unreachable_pub)] // each user takes its part

use bytes::{Bytes, BytesMut};
use rtmp_relay::flv::{self, Kind, file};
use rtmp_relay::limits::PARTIAL_BYTES;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::client::{self, ClientSession, Target};
use rtmp_relay::rtmp::handshake::{Handshake, SIZE, Step};
use rtmp_relay::rtmp::server::{self, Role, ServerSession};
use rtmp_relay::rtmp::session::{Output, Session};
use rtmp_relay::rtmp::{chunk, url::Url};

/// Replies may be longer than what they answer, but not without bound: so many times, and so much at the beginning.
const REPLIES: (usize, usize) = (64, 16_384);

/// Takes any bytes, and panics if something is not so.
pub type Fuzzed = fn(&[u8]);

/// All of them, by name.
pub const ALL: [(&str, Fuzzed); 6] = [
    ("handshake", handshake),
    ("chunks", chunks),
    ("amf0", amf0),
    ("server", server),
    ("client", client),
    ("flv", flv),
];

/// Cuts the rest of the input in pieces of so many bytes.
fn pieces(data: &[u8]) -> Option<(usize, &[u8])> {
    let (&size, data) = data.split_first()?;
    Some((usize::from(size) + 1, data))
}

/// Both ends come to the same however their input is cut, and leave what follows alone.
pub fn handshake(data: &[u8]) {
    let Some((size, data)) = pieces(data) else { return };
    let random = [0x5a; SIZE - 8];
    for begin in [Handshake::server as fn(_) -> _, |random| Handshake::client(&random).0] {
        let whole = shake(begin(random), [data].into_iter());
        assert_eq!(whole, shake(begin(random), data.chunks(size)));
    }
}

/// What it sends, what it leaves, or that it fails.
fn shake<'a>(handshake: Handshake, cut: impl Iterator<Item = &'a [u8]>) -> Option<(Vec<u8>, Vec<u8>)> {
    let (mut input, mut sent) = (BytesMut::new(), Vec::new());
    let mut handshake = Some(handshake);
    for piece in cut {
        input.extend_from_slice(piece);
        while let Some(state) = handshake.take() {
            match state.step(&mut input).ok()? {
                Step::Incomplete(state) => {
                    handshake = Some(state);
                    break;
                }
                Step::Reply(state, bytes) => {
                    sent.extend_from_slice(&bytes);
                    handshake = Some(state);
                }
                Step::Done(last) => sent.extend(last.into_iter().flatten()),
            }
        }
    }
    Some((sent, input.to_vec()))
}

/// Messages are the same however their chunks are cut, and have no more bytes than came.
pub fn chunks(data: &[u8]) {
    let Some((size, data)) = pieces(data) else { return };
    let whole = messages([data].into_iter());
    assert_eq!(whole, messages(data.chunks(size)));
    assert!(whole.0.iter().map(|(.., payload)| payload.len()).sum::<usize>() <= data.len().min(PARTIAL_BYTES));
}

/// Timestamp, type, stream and payload of each, and how it ended.
type Messages = (Vec<(u32, u8, u32, Vec<u8>)>, Option<String>);

fn messages<'a>(cut: impl Iterator<Item = &'a [u8]>) -> Messages {
    let (mut reader, mut input, mut messages) = (chunk::Reader::default(), BytesMut::new(), Vec::new());
    for piece in cut {
        input.extend_from_slice(piece);
        loop {
            match reader.read(&mut input) {
                Ok(Some(m)) => messages.push((m.timestamp, m.type_id, m.stream, m.payload.to_vec())),
                Ok(None) => break,
                Err(error) => return (messages, Some(error.to_string())),
            }
        }
    }
    (messages, None)
}

/// What has been read can be written, and is the same when it is read again.
pub fn amf0(data: &[u8]) {
    let Ok(values) = Amf0::read_all(data) else { return };
    let written = |values: &[Amf0]| {
        let mut out = BytesMut::new();
        values.iter().for_each(|value| value.write(&mut out));
        out
    };
    let first = written(&values);
    let again = Amf0::read_all(&first).expect("what was written can be read");
    // By their bytes: not a number is not equal to itself.
    assert_eq!(first, written(&again));
}

/// What comes of a session's input.
#[derive(Debug, PartialEq)]
enum Told {
    Sent(Bytes),
    Said(String),
}

/// A server's session, from one of several beginnings, hears bytes, or whole messages of any kind.
pub fn server(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let play = |size| {
        let mut session = ServerSession::new([0x5a; SIZE - 8]);
        let mut story = Vec::new();
        let heard = hears(&mut session, &beginning(how), size, &mut story, answer_request)
            .and_then(|()| hears(&mut session, &heard(how, data), size, &mut story, answer_request));
        story.push(Told::Said(format!("{heard:?} {}", session.phase())));
        story
    };
    fn answer_request(session: &mut ServerSession, event: server::Event) -> String {
        let told = format!("{event:?}");
        if let server::Event::Request(request) = event {
            session.accept(request);
        }
        told
    }
    assert_eq!(play(usize::MAX), play(7));
}

/// A client's session does, of either kind.
pub fn client(data: &[u8]) {
    let Some((&how, data)) = data.split_first() else { return };
    let role = if how & 0x80 == 0 { Role::Publish } else { Role::Play };
    let play = |size| {
        let mut url = Url::parse("rtmp://h/live/show").expect("a URL");
        let name = url.name.take().expect("a name");
        let target = Target { role, url, name, agent: "fuzz".to_owned(), chunk_size: 4096 };
        let mut session = ClientSession::new(target, &[0x5a; SIZE - 8]);
        let mut story = Vec::new();
        let told = |_: &mut ClientSession, event: client::Event| format!("{event:?}");
        let heard = hears(&mut session, &answers(how), size, &mut story, told)
            .and_then(|()| hears(&mut session, &heard(how, data), size, &mut story, told));
        story.push(Told::Said(format!("{heard:?} {}", session.phase())));
        session.finish();
        story
    };
    assert_eq!(play(usize::MAX), play(7));
}

/// Lets it hear `bytes` in pieces of this size, and puts what comes of it into the story.
fn hears<S: Session>(
    session: &mut S,
    bytes: &[u8],
    size: usize,
    story: &mut Vec<Told>,
    act: fn(&mut S, S::Event) -> String,
) -> Result<(), rtmp_relay::rtmp::Error> {
    let mut sent = 0;
    for piece in bytes.chunks(size) {
        session.input().extend_from_slice(piece);
        while let Some(output) = session.poll()? {
            match output {
                Output::Transmit(bytes) => {
                    sent += bytes.len();
                    // How much has been taken in when a read ends depends on the read.
                    let acknowledgement = bytes.len() == 16 && bytes[7] == 3;
                    story.extend((!acknowledgement).then(|| Told::Sent(bytes)));
                }
                Output::Event(event) => story.push(Told::Said(act(session, event))),
            }
        }
    }
    assert!(sent <= REPLIES.0 * bytes.len() + REPLIES.1, "{sent} bytes are sent for {}", bytes.len());
    Ok(())
}

/// The input as it is, or taken for messages: type, stream, two bytes of time, one of length, payload.
fn heard(how: u8, mut data: &[u8]) -> Vec<u8> {
    if how & 0x40 == 0 {
        return data.to_vec();
    }
    let mut bytes = Vec::new();
    while let Some((&[type_id, stream, high, low, length], rest)) = data.split_first_chunk() {
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        data = rest;
        let lane = Lane { chunk_stream: 3 + type_id % 8, type_id };
        let time = u32::from_be_bytes([high, low, 0, 0]);
        bytes.extend_from_slice(&writer::message(lane, Header::Start { time, stream: stream.into() }, payload, 128));
    }
    bytes
}

fn call(name: &str, transaction: f64, stream: u32, arguments: &[Amf0]) -> Bytes {
    let mut out = BytesMut::new();
    Amf0::from(name).write(&mut out);
    Amf0::Number(transaction).write(&mut out);
    arguments.iter().for_each(|argument| argument.write(&mut out));
    let lane = Lane { chunk_stream: 3, type_id: 20 };
    writer::message(lane, Header::Start { time: 0, stream }, &out, 128)
}

/// What a client has said before the input begins.
fn beginning(how: u8) -> Vec<u8> {
    let hello = [&[3][..], &[0; SIZE], &[0; SIZE]].concat();
    let steps = [
        Bytes::from(hello),
        call("connect", 1.0, 0, &[Amf0::object([("app", "live".into()), ("objectEncoding", Amf0::Number(0.0))])]),
        call("createStream", 2.0, 0, &[Amf0::Null]),
        call(if how & 0x20 == 0 { "publish" } else { "play" }, 3.0, 1, &[Amf0::Null, "show".into(), "live".into()]),
    ];
    steps[..usize::from(how & 7).min(steps.len())].concat()
}

/// What a server has answered before the input begins.
fn answers(how: u8) -> Vec<u8> {
    let hello = [&[3][..], &[0; 2 * SIZE]].concat();
    let status = |code: &str| Amf0::object([("level", "status".into()), ("code", code.into())]);
    let steps = [
        Bytes::from(hello),
        call("_result", 1.0, 0, &[Amf0::Null, status("NetConnection.Connect.Success")]),
        call("_result", 4.0, 0, &[Amf0::Null, Amf0::Number(1.0)]),
        call("onStatus", 0.0, 1, &[Amf0::Null, status("NetStream.Publish.Start")]),
    ];
    steps[..usize::from(how & 7).min(steps.len())].concat()
}

/// A file's tags are the same however it is cut, can be written, and any payload is something.
pub fn flv(data: &[u8]) {
    for kind in Kind::ALL {
        let _ = (flv::classify(kind, data), flv::metadata(data));
    }
    let Some((size, data)) = pieces(data) else { return };
    let whole = tags([data].into_iter());
    assert_eq!(whole, tags(data.chunks(size)));
    let mut again = BytesMut::from(&file::header(true, true)[..]);
    for (kind, time, payload) in &whole.0 {
        file::write_tag(*kind, *time, payload, &mut again).expect("it was a tag before");
        let _ = flv::classify(*kind, payload);
    }
    // A file's time is signed, so its highest bit is not written.
    let written = whole.0.into_iter().map(|(kind, time, payload)| (kind, time & 0x7fff_ffff, payload));
    assert_eq!(tags([&again[..]].into_iter()).0, written.collect::<Vec<_>>());
    let _ = file::metadata_tag(Some(data));
}

/// Kind, time and payload of each, and how it ended.
type Tags = (Vec<(Kind, u32, Bytes)>, Option<String>);

fn tags<'a>(cut: impl Iterator<Item = &'a [u8]>) -> Tags {
    let (mut reader, mut tags) = (file::Reader::new(), Vec::new());
    for piece in cut {
        reader.push(piece);
        loop {
            match reader.read_tag() {
                Ok(Some(tag)) => tags.push((tag.kind, tag.timestamp, tag.payload)),
                Ok(None) => break,
                Err(error) => return (tags, Some(error.to_string())),
            }
        }
    }
    (tags, None)
}
