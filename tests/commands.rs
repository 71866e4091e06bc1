//! Commands as servers and clients in the wild use them, against our sessions.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use bytes::BytesMut;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, INITIAL_SIZE, Reader};
use rtmp_relay::rtmp::client::{ClientSession, Event, Target};
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::rtmp::control::{self, UserControl};
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::Url;
use support::chunks::{Form, Planned};
use support::hex::hex;
use support::server::{self, Told};

/// Our client, and a server that answers as it is told.
struct Publisher {
    session: ClientSession,
    /// The commands the server has heard, and the message stream of each.
    said: Vec<(u32, Command)>,
    /// What the client told its owner.
    events: Vec<Event>,
    heard: (Reader, BytesMut),
}

impl Publisher {
    /// Past the handshake, which has its answer.
    fn new() -> Self {
        let target = Target {
            role: Role::Publish,
            url: Url::parse("rtmp://h/myapp").unwrap(),
            name: "KEY".to_owned().into(),
            agent: "test".to_owned(),
            chunk_size: DEFAULT_SIZE,
        };
        let mut session = ClientSession::new(target, &[7; 1528]);
        while session.poll().unwrap().is_some() {}
        let mut publisher = Publisher { session, said: Vec::new(), events: Vec::new(), heard: Default::default() };
        publisher.hears(&hex("03 00*1536 00*1536"));
        publisher
    }

    /// Lets it hear `bytes`, and says how many bytes it answers.
    fn hears(&mut self, bytes: &[u8]) -> usize {
        self.session.input().extend_from_slice(bytes);
        let mut sent = 0;
        while let Some(output) = self.session.poll().unwrap() {
            match output {
                Output::Transmit(bytes) if bytes[..] == [0; 1536] => {}
                Output::Transmit(bytes) => {
                    sent += bytes.len();
                    self.heard.1.extend_from_slice(&bytes);
                }
                Output::Event(event) => self.events.push(event),
            }
        }
        while let Some(message) = self.heard.0.read(&mut self.heard.1).unwrap() {
            if let Some(values) = message.command() {
                self.said.push((message.stream, Command::parse(values).unwrap().unwrap()));
            }
        }
        sent
    }

    /// Lets it hear a command.
    fn answer(&mut self, stream: u32, command: &Command) {
        self.hears(&command.message(stream, INITIAL_SIZE));
    }

    /// The call of this name, and the message stream it was made on.
    fn call(&self, name: &str) -> (u32, Command) {
        self.said.iter().find(|(_, call)| call.name == name).cloned().unwrap_or_else(|| panic!("no {name}"))
    }

    /// Answers what has to be answered and nothing else; the stream has this id.
    fn start(stream: u32) -> Self {
        let mut publisher = Publisher::new();
        let connect = publisher.call("connect").1;
        publisher.answer(0, &Command::result(connect.transaction, Amf0::Null, Amf0::Null));
        let create = publisher.call("createStream").1;
        publisher.answer(0, &Command::result(create.transaction, Amf0::Null, f64::from(stream).into()));
        publisher.call("publish");
        assert_eq!(publisher.session.phase(), Phase::Request);
        publisher.answer(stream, &Status::success(code::PUBLISH_START, "").command());
        assert!(matches!(publisher.events[..], [Event::Started(s)] if s == stream), "{:?}", publisher.events);
        publisher
    }
}

/// q191201771/lal#199, and nginx-rtmp: releaseStream and FCPublish have no answer. nareix/joy5#13, mediamtx#5558: YouTube refuses
/// a third argument that is not "live".
#[test]
fn interop_32_interop_33_interop_34_a_server_that_answers_three_calls_is_published_to_live() {
    let publisher = Publisher::start(1);
    let names: Vec<_> = publisher.said.iter().map(|(_, call)| call.name.as_str()).collect();
    assert_eq!(names, ["connect", "releaseStream", "FCPublish", "createStream", "publish"]);
    assert_eq!(publisher.call("publish").1.arguments, [Amf0::from("KEY"), "live".into()]);
}

/// gortmplib's client insists on 1.
#[test]
fn interop_47_the_servers_stream_id_is_the_one_that_is_published_on() {
    for stream in [1, 2, 5, 70_000] {
        let mut publisher = Publisher::start(stream);
        assert_eq!(publisher.call("publish").0, stream);
        publisher.session.finish();
        publisher.hears(&[]);
        assert_eq!(publisher.call("deleteStream").1.arguments, [Amf0::Number(stream.into())]);
    }
}

/// huiping192/HPRTMP#28: a client that waited for acknowledgements. illuspas/Node-Media-Server#629: a server whose number begins
/// again at 0xf0000000.
#[test]
fn interop_25_interop_28_acknowledgements_that_make_no_sense_hold_nothing_up() {
    let mut publisher = Publisher::start(1);
    for number in [0, 7, 7, 7, u64::from(u32::MAX), 0xf000_0000, 0, 1] {
        assert_eq!(publisher.hears(&control::acknowledgement(number)), 0);
    }
    assert_eq!((publisher.session.phase(), publisher.events.len()), (Phase::Media, 1));
}

/// A message on chunk stream 2.
fn control_message(type_id: u8, payload: &str) -> Vec<u8> {
    let payload = hex(payload);
    Planned { fmt: 0, csid: 2, form: Form::Shortest, time: 0, type_id, msid: 0, payload, repeats: true }.bytes(128)
}

/// bluenviron/gortmplib#75: FMS sends user control events 31 and 32. pedroSG94/RootEncoder#502: acknowledgements.
#[test]
fn interop_30_interop_31_unknown_control_is_ignored_by_client_and_server() {
    let oddities = [
        control_message(4, "001f 00000001"),
        control_message(4, "0020 00000001"),
        control_message(4, "001a"),
        control_message(4, "ffff 01*90"),
        control_message(4, "00"),
        control_message(4, ""),
        control_message(4, "0006 0001"),
        control_message(3, ""),
        control_message(3, "00000001"),
        control_message(5, "00"),
        control_message(16, "00"),
        control_message(0, "00*5"),
        control_message(255, "00*5"),
    ]
    .concat();
    let mut publisher = Publisher::start(1);
    assert_eq!(publisher.hears(&oddities), 0);
    assert_eq!((publisher.session.phase(), publisher.events.len()), (Phase::Media, 1));

    let (mut session, mut told) = (server::session(), Vec::new());
    server::hear(&mut session, &[hex("03 00*1536 00*1536"), oddities].concat(), &mut told).unwrap();
    assert_eq!((session.phase(), told.len()), (Phase::Connect, 1), "S0, S1 and S2 only");
}

/// What our server says to an encoder's calls: names, transaction ids and status codes.
fn answers(wire: &[u8]) -> (Vec<String>, Vec<Told>) {
    let (mut session, mut told) = (server::session(), Vec::new());
    server::hear(&mut session, &[&hex("03 00*1536 00*1536"), wire].concat(), &mut told).unwrap();
    let (mut reader, mut input, mut said) = (Reader::default(), BytesMut::new(), Vec::new());
    for reply in told.iter().skip(1) {
        let Told::Reply(bytes) = reply else { continue };
        input.extend_from_slice(bytes);
    }
    while let Some(message) = reader.read(&mut input).unwrap() {
        let Some(call) = message.command().and_then(|values| Command::parse(values).unwrap()) else { continue };
        let status = call.arguments.first().map(Status::from_amf).unwrap_or(Status::success("", ""));
        said.push(format!("{} {} {}", call.name, call.transaction, status.code).trim_end().to_owned());
    }
    (said, told)
}

fn call(name: &str, transaction: f64, arguments: &[Amf0]) -> Vec<u8> {
    Command::new(name, transaction, Amf0::Null, arguments.iter().cloned()).message(0, INITIAL_SIZE).to_vec()
}

/// vbence/stream-m#39, arut/nginx-rtmp-module#34, #681: Wirecast, Haivision and FMLE wait for onFCPublish. GStreamer's calls have id
/// 0, which wants no result.
#[test]
fn interop_48_fcpublish_is_answered_and_a_call_with_id_0_has_no_result() {
    let calls = [
        call("releaseStream", 2.0, &["key".into()]),
        call("FCPublish", 3.0, &["key".into()]),
        call("releaseStream", 0.0, &["key".into()]),
        call("FCPublish", 0.0, &["key".into()]),
        call("createStream", 4.0, &[]),
        call("nobody.knows", 5.0, &[]),
        call("nobody.knows", 0.0, &[]),
    ];
    let connect = Command::new("connect", 1.0, Amf0::object([("app", "live".into())]), []);
    let (said, _) = answers(&[&connect.message(0, INITIAL_SIZE)[..], &calls.concat()].concat());
    assert_eq!(
        said[1..],
        [
            "_result 2",
            "onFCPublish 0 NetStream.Publish.Start",
            "_result 3",
            "onFCPublish 0 NetStream.Publish.Start",
            "_result 4",
            "_error 5 NetConnection.Call.Failed",
        ]
    );
}

/// bluenviron/mediamtx#3302: a server that missed the metadata because of a chunk size after publish. GStreamer sends one.
#[test]
fn interop_29_control_between_publish_and_metadata_changes_nothing() {
    let connect = Command::new("connect", 1.0, Amf0::object([("app", "live".into())]), []);
    let publish = Command::new("publish", 0.0, Amf0::Null, ["key".into(), "live".into()]);
    let metadata = hex(r#"02 000a "onMetaData" 03 000009"#);
    let data = Planned {
        fmt: 0,
        csid: 4,
        form: Form::Shortest,
        time: 0,
        type_id: 18,
        msid: 1,
        payload: metadata.clone(),
        repeats: true,
    };
    let wire = [
        &connect.message(0, INITIAL_SIZE)[..],
        &call("createStream", 2.0, &[]),
        &publish.message(1, INITIAL_SIZE),
        &control::set_chunk_size(5),
        &control_message(5, "002625a0")[..16],
        &UserControl::StreamBegin(1).message()[..12 + 5],
        &[0xc2],
        &UserControl::StreamBegin(1).message()[12 + 5..],
        &data.bytes(5),
    ];
    let (_, told) = answers(&wire.concat());
    let handed = told.iter().filter_map(|told| if let Told::Message(m) = told { Some(&m.payload[..]) } else { None });
    assert_eq!(handed.collect::<Vec<_>>(), [&metadata[..]]);
}
