//! Bugs that others shipped with, by their numbers in the list of them: what sessions say and what a log makes of it. Those
//! that need sockets or a network are in `tcp`, `flv_files` and `sim`, those of the chunk stream in `chunk`.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use std::time::Duration;

use rtmp_relay::config::{self, Config};
use rtmp_relay::flv::file::{Reader, Tag};
use rtmp_relay::flv::{self, Kind, Role as What};
use rtmp_relay::ingest::Ingest;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, INITIAL_SIZE};
use rtmp_relay::rtmp::client::{self, Target};
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::rtmp::control::{self, WINDOW};
use rtmp_relay::rtmp::message::type_id;
use rtmp_relay::rtmp::server::{Event, Role, ServerSession};
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::{Url, stream_path};
use rtmp_relay::rtmp::{ClientSession, Message, Payload};
use rtmp_relay::stream::log::Limits;
use rtmp_relay::stream::{Cursor, Directory, Hops, Join, Name};
use support::chunks::{Chunks, Form, Planned, Said, set_chunk_size};
use support::recording::HANDSHAKE;
use support::server::{self, Told};

/// C0, C1, C2, or S0, S1, S2.
fn handshake() -> Vec<u8> {
    [&[3][..], &[0; 2 * 1536]].concat()
}

/// A command in chunks of 128 bytes.
fn call(name: &str, transaction: f64, stream: u32, arguments: &[Amf0]) -> Vec<u8> {
    Command::new(name, transaction, Amf0::Null, arguments.to_vec()).message(stream, INITIAL_SIZE).to_vec()
}

fn connect(app: &str) -> Vec<u8> {
    let object = Amf0::object([("app", app.into()), ("tcUrl", "rtmp://relay/app".into())]);
    Command::new("connect", 1.0, object, []).message(0, INITIAL_SIZE).to_vec()
}

/// A message of any type, on a chunk stream of its own.
fn message(type_id: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let payload = payload.to_vec();
    let csid = 32 + u32::from(type_id % 16);
    Planned { fmt: 0, csid, form: Form::Shortest, time: 0, type_id, msid: stream, payload, repeats: true }
        .bytes(INITIAL_SIZE)
}

/// All there is of control and of types that mean nothing here.
fn odd_words() -> Vec<Vec<u8>> {
    vec![
        control::acknowledgement(7).to_vec(),
        control::window_ack_size(5_000_000).to_vec(),
        control::set_peer_bandwidth(5_000_000).to_vec(),
        message(type_id::USER_CONTROL, 0, &[0, 31, 0, 0, 0, 1]),
        message(type_id::USER_CONTROL, 0, &[0, 32, 0, 0, 0, 1]),
        message(type_id::USER_CONTROL, 0, &[0xff]),
        message(7, 0, b"of the edge server"),
        message(16, 0, b"shared object in AMF3"),
        message(19, 0, b"shared object"),
        message(255, 0, b""),
        call("onBWDone", 0.0, 0, &[Amf0::Number(8192.0)]),
        call("|RtmpSampleAccess", 0.0, 1, &[Amf0::Boolean(false)]),
    ]
}

/// A session that lets everybody publish and play, and has heard `words`.
fn server_after(words: &[Vec<u8>]) -> (ServerSession, Vec<Told>) {
    let (mut session, mut told) = (server::session(), Vec::new());
    server::hear(&mut session, &words.concat(), &mut told).unwrap();
    (session, told)
}

fn publisher() -> Vec<Vec<u8>> {
    let publish = call("publish", 5.0, 1, &["show".into(), "live".into()]);
    vec![handshake(), connect("live"), call("createStream", 4.0, 0, &[]), publish]
}

/// What the server has said, after its handshake.
fn replies(told: &[Told]) -> Vec<Said> {
    let bytes = told.iter().filter_map(|told| if let Told::Reply(bytes) = told { Some(&bytes[..]) } else { None });
    Chunks::new(&bytes.collect::<Vec<_>>().concat(), HANDSHAKE).messages()
}

fn handed(told: Vec<Told>) -> Vec<Message> {
    told.into_iter().filter_map(|told| if let Told::Message(message) = told { Some(message) } else { None }).collect()
}

fn commands(said: &[Said]) -> Vec<(u32, Command)> {
    let commands = said.iter().filter(|said| said.type_id == type_id::COMMAND);
    commands.map(|said| (said.msid, Command::parse(&said.payload).unwrap().unwrap())).collect()
}

fn names(said: &[Said]) -> Vec<String> {
    commands(said).into_iter().map(|(_, command)| command.name).collect()
}

/// Our client, what it has sent and what it has told its owner.
struct Client {
    session: ClientSession,
    sent: Vec<u8>,
    events: Vec<client::Event>,
}

impl Client {
    fn new(role: Role) -> Self {
        let url = Url::parse("rtmp://server/live").unwrap();
        let target =
            Target { role, url, name: "show".to_owned().into(), agent: "test".into(), chunk_size: DEFAULT_SIZE };
        let mut client =
            Client { session: ClientSession::new(target, &[0; 1528]), sent: Vec::new(), events: Vec::new() };
        client.hears(&[]);
        client
    }

    /// One that may publish, on message stream 5, answered as little as possible.
    fn publishing() -> Self {
        let mut client = Client::new(Role::Publish);
        client.hears(&handshake());
        client.hears(&call("_result", 1.0, 0, &[Status::success(code::CONNECT_SUCCESS, "").to_amf()]));
        client.hears(&call("_result", 4.0, 0, &[Amf0::Number(5.0)]));
        client.hears(&Status::success(code::PUBLISH_START, "").command().message(5, INITIAL_SIZE));
        client
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.session.input().extend_from_slice(bytes);
        while let Some(output) = self.session.poll().unwrap() {
            match output {
                Output::Transmit(bytes) => self.sent.extend_from_slice(&bytes),
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    fn said(&self) -> Vec<Said> {
        Chunks::new(&self.sent, HANDSHAKE).messages()
    }
}

/// A publisher's messages, as `(kind, time, payload)`, in a recording: its tags.
fn recorded(messages: &[(Kind, u32, &[u8])]) -> Vec<Tag> {
    let message = |(kind, timestamp, payload): &(Kind, u32, &[u8])| Message {
        timestamp: *timestamp,
        type_id: kind.tag_type(),
        stream: 1,
        payload: Payload::from(*payload),
    };
    let mut reader = Reader::new();
    reader.push(&support::flv::record(messages.iter().map(message).collect()));
    std::iter::from_fn(|| reader.read_tag().unwrap()).filter(|tag| tag.kind != Kind::Data).collect()
}

const AVC: &[u8] = b"\x17\0\0\0\0\x01avcC";
const AAC: &[u8] = b"\xaf\0\x11\x90";
const KEY: &[u8] = b"\x17\x01\0\0\0key";
const INTER: &[u8] = b"\x27\x01\0\0\0inter";
const SOUND: &[u8] = b"\xaf\x01sound";

#[test]
fn interop_21_a_key_frame_of_12_mib_is_taken() {
    let key = [KEY, &vec![0xab; 12 << 20]].concat();
    let (mut session, mut told) = server_after(&publisher());
    let video = Planned {
        fmt: 0,
        csid: 6,
        form: Form::Shortest,
        time: 0,
        type_id: 9,
        msid: 1,
        payload: key.clone(),
        repeats: true,
    };
    let wire = [set_chunk_size(4096, INITIAL_SIZE), video.bytes(4096)].concat();
    server::hear(&mut session, &wire, &mut told).unwrap();
    assert!(handed(told)[0].payload[..] == key);
}

#[test]
fn interop_25_our_client_survives_acknowledgements_that_wrap_anywhere() {
    let mut client = Client::publishing();
    let sent = client.sent.len();
    for number in [0xefff_ffff, 0xf000_0000, 0, 1, u32::MAX.into(), 0] {
        client.hears(&control::acknowledgement(number));
    }
    assert_eq!((client.session.phase(), client.sent.len(), client.events.len()), (Phase::Media, sent, 1));
}

#[test]
fn interop_27_bytes_are_acknowledged_to_a_peer_that_has_asked_for_nothing() {
    let (mut session, mut told) = server_after(&publisher());
    let sound = message(type_id::AUDIO, 1, &vec![0xaf; 60_000]);
    for _ in 0..WINDOW as usize / sound.len() {
        server::hear(&mut session, &sound, &mut told).unwrap();
    }
    let acknowledged: Vec<_> = replies(&told).into_iter().filter(|said| said.type_id == 3).collect();
    assert_eq!(acknowledged.len(), 1, "at half of our own window");
}

#[test]
fn interop_28_our_client_waits_for_no_acknowledgement() {
    let mut client = Client::publishing();
    for _ in 0..1000 {
        client.hears(&control::acknowledgement(1));
    }
    client.hears(&control::window_ack_size(1));
    let events = (client.session.phase(), client.events.len());
    assert_eq!(events, (Phase::Media, 1), "the session counts nothing, and nothing but Started was said");
}

#[test]
fn interop_29_control_messages_between_publish_and_metadata_lose_nothing() {
    let (mut session, mut told) = server_after(&publisher());
    let data = b"\x02\0\x0d@setDataFrame\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09";
    let wire = [odd_words().concat(), set_chunk_size(4096, INITIAL_SIZE), message(type_id::DATA, 1, data)].concat();
    server::hear(&mut session, &wire, &mut told).unwrap();
    let handed = handed(told);
    assert_eq!(handed.last().map(|message| &message.payload[..]), Some(&data[..]));
}

#[test]
fn interop_30_and_interop_31_what_means_nothing_to_us_ends_no_session_in_any_phase() {
    for heard in 1..=publisher().len() {
        let (mut session, mut told) = server_after(&publisher()[..heard]);
        let phase = session.phase();
        odd_words().iter().for_each(|word| server::hear(&mut session, word, &mut told).unwrap());
        assert_eq!(session.phase(), phase);
    }
    let mut client = Client::publishing();
    odd_words().iter().for_each(|word| client.hears(word));
    assert_eq!((client.session.phase(), client.events.len()), (Phase::Media, 1));
}

#[test]
fn interop_32_the_third_argument_of_publish_is_live() {
    let said = commands(&Client::publishing().said());
    let (_, publish) = said.iter().find(|(_, command)| command.name == "publish").unwrap();
    assert_eq!((publish.text(0), publish.text(1)), ("show", "live"));
}

#[test]
fn interop_33_a_server_that_answers_only_connect_create_stream_and_publish_is_enough() {
    let client = Client::publishing();
    assert!(matches!(client.events[..], [client::Event::Started(5)]), "{:?}", client.events);
    let said = ["connect", "releaseStream", "FCPublish", "createStream", "publish"];
    assert_eq!(names(&client.said()), said);
}

#[test]
fn interop_36_a_publisher_that_is_rejected_is_never_told_that_it_may_publish() {
    let mut session = server::session();
    session.input().extend_from_slice(&publisher().concat());
    let (mut told, mut rejected) = (Vec::new(), 0);
    while let Some(output) = session.poll().unwrap() {
        match output {
            Output::Transmit(bytes) => told.push(Told::Reply(bytes)),
            Output::Event(Event::Request(request)) => {
                rejected += 1;
                session.reject(request, &Status::error(code::PUBLISH_DENIED, "no"));
            }
            Output::Event(other) => panic!("{other:?}"),
        }
    }
    let statuses = commands(&replies(&told)).into_iter().filter(|(_, command)| command.name == "onStatus");
    let statuses: Vec<_> = statuses.map(|(_, command)| Status::from_amf(&command.arguments[0])).collect();
    assert_eq!((rejected, statuses.len()), (1, 1));
    assert_eq!((statuses[0].level.as_str(), statuses[0].code.as_str()), ("error", "NetStream.Publish.Denied"));
}

#[test]
fn interop_40_a_data_message_nobody_understands_is_passed_on() {
    let odd: [&[u8]; 5] = [b"\x09", b"\x11\x0a\x01", b"\xff\xff\xff", b"\x02\xff\xffshort", b""];
    let words = odd.map(|payload| message(type_id::DATA, 1, payload));
    let (session, told) = server_after(&[publisher(), words.to_vec()].concat());
    assert_eq!(session.phase(), Phase::Media);
    assert!(handed(told).iter().map(|message| &message.payload[..]).eq(odd));
    // Nor does it do harm to the log.
    let odd = odd.map(|payload| (Kind::Data, 0, payload));
    assert_eq!(recorded(&[&odd[..], &[(Kind::Video, 0, AVC), (Kind::Video, 0, KEY)]].concat()).len(), 2);
}

/// The stream that is asked for by a client that connects to `app` and publishes `name`.
fn published(app: &str, name: &str) -> String {
    let publish = call("publish", 5.0, 1, &[name.into(), "live".into()]);
    let (_, told) = server_after(&[handshake(), connect(app), call("createStream", 4.0, 0, &[]), publish]);
    let asked = told.iter().find_map(|told| match told {
        Told::Asked { app, name, .. } => Some(stream_path(app, name)),
        _ => None,
    });
    asked.unwrap()
}

#[test]
fn interop_41_a_key_in_the_server_field_is_a_key() {
    for (app, name) in [("live", "key"), ("live/key", ""), ("live/", "key"), ("/live", "/key"), ("", "live/key")] {
        assert_eq!(published(app, name), "live/key", "{app} + {name}");
    }
    assert_eq!(published("", "key"), "key");
}

#[test]
fn interop_42_a_key_that_is_only_a_query_leaves_the_application() {
    assert_eq!(published("live", "?k=v"), "live");
    assert_eq!(published("key?k=v", ""), "key");
}

#[test]
fn interop_43_a_slash_inside_the_query_does_not_move_the_stream() {
    assert_eq!(published("live/key?x=a", "b"), published("live", "key?x=a/b"));
}

#[test]
fn interop_44_a_query_and_a_version_behind_the_application_are_no_part_of_the_name() {
    assert_eq!(published("live?clientConfigId=1&v=2", "key"), "live/key");
}

#[test]
fn interop_45_an_application_has_any_number_of_segments() {
    assert_eq!(published("live/test1", "key"), "live/test1/key");
    assert_eq!(published("a/b/c", "key"), "a/b/c/key");
}

#[test]
fn interop_47_we_publish_on_the_stream_we_were_given() {
    let mut client = Client::publishing();
    let said = commands(&client.said());
    assert_eq!(said.iter().find(|(_, command)| command.name == "publish").unwrap().0, 5);
    client.session.finish();
    client.hears(&[]);
    let said = commands(&client.said());
    assert_eq!(said.last().unwrap().1.arguments, [Amf0::Number(5.0)], "deleteStream");
}

#[test]
fn interop_48_fc_publish_has_its_answer_and_id_0_no_result() {
    for (id, expected) in [(3.0, vec!["_result", "onFCPublish", "_result"]), (0.0, vec!["_result", "onFCPublish"])] {
        let (_, told) = server_after(&[handshake(), connect("live"), call("FCPublish", id, 0, &["show".into()])]);
        assert_eq!(names(&replies(&told)), expected, "transaction id {id}");
    }
}

/// A day of it: every four hours it comes again, having ended its stream or having been lost.
#[tokio::test(start_paused = true)]
async fn interop_60_a_name_is_free_again_after_hours() {
    let (directory, name) = (Directory::new(Limits::default()), Name::new("live/show").unwrap());
    for round in 0..6 {
        let publication = directory.publish(name.clone(), Hops::default()).unwrap();
        assert_eq!(publication.resumed_at(), None, "nothing is left of the stream before");
        let mut ingest = Ingest::new(publication);
        ingest.message(Message { timestamp: 0, type_id: 9, stream: 1, payload: Payload::from(KEY) });
        match round % 2 {
            0 => ingest.end(),
            _ => drop(ingest),
        }
        tokio::time::advance(Duration::from_secs(4 * 3600)).await;
        directory.expire(Duration::from_secs(15));
        assert!(directory.live().is_empty());
    }
}

#[test]
fn interop_64a_goodbyes_of_a_rejected_publisher_reach_nothing() {
    let mut session = server::session();
    session.input().extend_from_slice(&publisher().concat());
    while let Some(output) = session.poll().unwrap() {
        if let Output::Event(Event::Request(request)) = output {
            session.reject(request, &Status::error(code::PUBLISH_BAD_NAME, "in use"));
        }
    }
    // As OBS 29 says them.
    let goodbyes = [
        call("FCUnpublish", 6.0, 0, &["show".into()]),
        call("deleteStream", 7.0, 0, &[Amf0::Number(1.0)]),
        call("closeStream", 0.0, 1, &[]),
        call("releaseStream", 8.0, 0, &["show".into()]),
    ];
    session.input().extend_from_slice(&goodbyes.concat());
    assert!(session.poll().unwrap().is_none(), "neither an answer nor an event");
    // Before anybody has said whether it may publish there is nothing to release either.
    let early = call("releaseStream", 2.0, 0, &["show".into()]);
    let (_, told) = server_after(&[handshake(), connect("live"), early, goodbyes[0].clone()]);
    assert!(!told.iter().any(|told| matches!(told, Told::Stopped)));
}

#[test]
fn interop_67_a_session_with_pictures_only_has_no_sound_of_the_one_before() {
    let directory = Directory::new(Limits::default());
    let mut preambles = Vec::new();
    for messages in [&[(8, AAC), (9, AVC), (9, KEY)][..], &[(9, AVC), (9, KEY)]] {
        let publication = directory.publish(Name::new("live/show").unwrap(), Hops::default()).unwrap();
        let log = publication.log().clone();
        let mut ingest = Ingest::new(publication);
        for (type_id, payload) in messages {
            ingest.message(Message { timestamp: 0, type_id: *type_id, stream: 1, payload: Payload::from(*payload) });
        }
        Cursor::new(log, Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX }).read(|frame, _| {
            preambles.push([Kind::Audio, Kind::Video].map(|kind| frame.preamble.has(kind)));
            true
        });
        // Lost, not ended: the second one goes on with the same log.
        drop(ingest);
    }
    assert_eq!(preambles, [[true, true], [false, true]]);
}

#[test]
fn interop_68_an_identical_header_is_no_change() {
    let gop = |time| [(Kind::Audio, time, AAC), (Kind::Video, time, AVC), (Kind::Video, time, KEY)];
    let tags = recorded(&[gop(0), gop(2000), gop(4000)].concat());
    let roles: Vec<_> = tags.iter().map(|tag| flv::classify(tag.kind, &tag.payload).role).collect();
    assert_eq!(roles, [What::Header, What::Header, What::Frame, What::Frame, What::Frame]);
}

#[test]
fn interop_70_a_source_that_sends_no_headers_is_relayed() {
    let tags = recorded(&[(Kind::Video, 0, KEY), (Kind::Audio, 10, SOUND), (Kind::Video, 33, INTER)]);
    assert!(tags.iter().map(|tag| &tag.payload[..]).eq([KEY, SOUND, INTER]));
    let tags = recorded(&[(Kind::Audio, 0, SOUND), (Kind::Audio, 23, SOUND)]);
    assert!(tags.iter().map(|tag| &tag.payload[..]).eq([SOUND, SOUND]));
}

#[test]
fn interop_72_a_composition_time_nobody_can_show_is_passed_on() {
    // −34 ms, and the most negative there is: shown before it is decoded.
    let (early, earliest) = (b"\x27\x01\xff\xff\xdeinter", b"\x27\x01\x80\0\0inter");
    let tags = recorded(&[(Kind::Video, 0, KEY), (Kind::Video, 33, early), (Kind::Video, 66, earliest)]);
    assert!(tags.iter().map(|tag| &tag.payload[..]).eq([KEY, early, earliest]));
}

#[test]
fn interop_73_times_of_a_session_never_go_back_within_a_track() {
    let sent = [
        (Kind::Video, 5000, KEY),
        (Kind::Audio, 4980, SOUND),
        (Kind::Video, 4990, INTER),
        (Kind::Audio, 10, SOUND),
        (Kind::Video, 5033, INTER),
    ];
    let tags = recorded(&sent);
    assert_eq!(tags.len(), sent.len());
    for kind in [Kind::Audio, Kind::Video] {
        let times: Vec<_> = tags.iter().filter(|tag| tag.kind == kind).map(|tag| tag.timestamp).collect();
        assert!(times.is_sorted(), "{kind:?} {times:?}");
    }
}

/// Where people paste a key, and what is left of it in print.
const PASTED: [(&str, &str); 5] = [
    ("rtmp://h/CANARY", "h"),
    ("rtmp://h/live/CANARY", "h"),
    ("rtmp://h/live/CANARY?CANARY=CANARY#CANARY", "h"),
    ("rtmp://h:1936/CANARY/CANARY/CANARY/CANARY", "h:1936"),
    ("rtmp://h/live?CANARY", "h"),
];

#[test]
fn interop_89_a_url_prints_neither_path_nor_query() {
    for (text, shown) in PASTED {
        let url = Url::parse(text).unwrap();
        assert_eq!(format!("{url} {url:?}"), format!("rtmp://{shown} rtmp://{shown}"), "{text}");
    }
}

#[test]
fn interop_90_a_configuration_and_its_errors_print_no_key() {
    for (text, _) in PASTED {
        let routes = config::destinations(&[text]).unwrap();
        let config = Config { destinations: routes, ..Config::default() };
        assert!(!format!("{config:?}").contains("CANARY"), "{config:?}");
        let twice = config::destinations(&[text, text]).unwrap_err();
        assert!(!format!("{twice} {twice:?}").contains("CANARY"), "{twice:?}");
    }
    for text in ["CANARY", "http://CANARY", "rtmp://h", "rtmp://CANARY:CANARY@h:CANARY/live/CANARY", "rtmp:///CANARY"] {
        if let Err(error) = config::destinations(&[text]) {
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{text}: {error:?}");
        }
    }
}
