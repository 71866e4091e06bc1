//! What either session makes of everything it can be told, in every phase: two reviewed pages.
//!
//! A page begins with the graph of its phases and goes on with a table for each: what was said, where it led, what came of it.

#![allow(missing_docs, clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use bytes::BytesMut;
use rtmp_relay::limits::COMMAND_BYTES;
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::writer::{self, Header, Lane};
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, INITIAL_SIZE, Reader};
use rtmp_relay::rtmp::client::{self, Target};
use rtmp_relay::rtmp::command::{Command, Status, code};
use rtmp_relay::rtmp::control::{self, UserControl};
use rtmp_relay::rtmp::message::type_id;
use rtmp_relay::rtmp::server::{self, Request, Role};
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{ClientSession, Error, Message, ServerSession};

/// A session and its owner.
trait Machine {
    /// Where all paths begin.
    fn new() -> Self;

    /// Lets it hear bytes of its peer.
    fn hear(&mut self, bytes: &[u8]);

    /// Does what its owner may do, by name.
    fn owner(&mut self, act: &str);

    /// What has come of it since the last call: what was sent, and what the owner was told.
    fn outcome(&mut self) -> Result<Vec<String>, Error>;

    /// How far it has come.
    fn phase(&self) -> Phase;
}

/// What a session may be told: a name, and the peer's bytes, or none where its owner acts.
type Word = (&'static str, Option<Vec<u8>>);

/// Words that are no messages.
const HANDSHAKES: [&str; 2] = ["C0, C1, C2", "S0, S1, S2"];

/// A phase, and the words that lead to it.
type State = (&'static str, &'static [&'static str]);

fn say<M: Machine>(machine: &mut M, words: &[Word], name: &str) {
    let (_, bytes) = words.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("nobody says {name}"));
    match bytes {
        Some(bytes) => machine.hear(bytes),
        None => machine.owner(name),
    }
}

/// The page of one kind of session. Each word is said to a fresh session that was led to its state.
fn page<M: Machine>(states: &[State], words: &[Word]) -> String {
    let (mut graph, mut tables) = (BTreeMap::<_, BTreeSet<_>>::new(), String::new());
    for (state, path) in states {
        let led = || {
            let mut machine = M::new();
            path.iter().for_each(|word| {
                say(&mut machine, words, word);
                machine.outcome().unwrap();
            });
            machine.outcome().unwrap();
            machine
        };
        let before = led().phase();
        let _ = writeln!(tables, "\n## {state}: {before}");
        let mut nothing = Vec::new();
        for (word, bytes) in words {
            // Before its end there are no messages, and after it no handshake.
            if bytes.is_some() && HANDSHAKES.contains(word) != (before == Phase::Handshake) {
                continue;
            }
            let mut machine = led();
            say(&mut machine, words, word);
            let outcome = machine.outcome();
            let after = machine.phase();
            let came = match &outcome {
                Ok(came) => came.join(", "),
                Err(error) => format!("error: {error}"),
            };
            if after != before || outcome.is_err() {
                let to = if outcome.is_err() { "(error)".to_owned() } else { format!("{after:?}") };
                graph.entry((format!("{before:?}"), to)).or_default().insert(*word);
            }
            if after == before && came.is_empty() {
                nothing.push(*word);
                continue;
            }
            let moved = if after == before { String::new() } else { format!(" ⇒ {after:?}") };
            let _ = writeln!(tables, "{}", format!("{word:<32}{moved:<16} {came}").trim_end());
        }
        if !nothing.is_empty() {
            let _ = writeln!(tables, "nothing comes of: {}", nothing.join(" | "));
        }
    }
    let edge = |((from, to), words): (&(String, String), &BTreeSet<&str>)| {
        format!("{from:>12} ─► {to:<12} {}\n", words.iter().copied().collect::<Vec<_>>().join(" | "))
    };
    graph.iter().map(edge).collect::<String>() + &tables
}

/// A message of the peer.
fn message(type_id: u8, stream: u32, payload: &[u8]) -> Option<Vec<u8>> {
    // A chunk stream of its own for each type: whatever came before, this one begins anew.
    let lane = Lane { chunk_stream: 10 + type_id, type_id };
    Some(writer::message(lane, Header::Start { time: 0, stream }, payload, INITIAL_SIZE).to_vec())
}

fn call(name: &str, transaction: f64, stream: u32, arguments: &[Amf0]) -> Option<Vec<u8>> {
    Some(Command::new(name, transaction, Amf0::Null, arguments.to_vec()).message(stream, INITIAL_SIZE).to_vec())
}

fn status(stream: u32, status: &Status) -> Option<Vec<u8>> {
    Some(status.command().message(stream, INITIAL_SIZE).to_vec())
}

/// Words that either end may say at any time.
fn control_words() -> Vec<Word> {
    vec![
        ("Set Chunk Size", Some(control::set_chunk_size(INITIAL_SIZE).to_vec())),
        ("Acknowledgement", Some(control::acknowledgement(0xf000_0000).to_vec())),
        ("Window Acknowledgement Size", Some(control::window_ack_size(5_000_000).to_vec())),
        ("Set Peer Bandwidth", Some(control::set_peer_bandwidth(5_000_000).to_vec())),
        ("PingRequest", Some(UserControl::PingRequest(7).message().to_vec())),
        ("user control event 31", message(type_id::USER_CONTROL, 0, &[0, 31, 0, 0, 0, 1])),
        ("user control, empty", message(type_id::USER_CONTROL, 0, &[])),
        ("audio", message(type_id::AUDIO, 1, b"\xaf\x01sound")),
        ("video", message(type_id::VIDEO, 1, b"\x27\x01\0\0\0picture")),
        ("data", message(type_id::DATA, 1, b"\x02\0\x0aonTextData\x05")),
        ("data that is no AMF0", message(type_id::DATA, 1, b"\xff\xff")),
        ("shared object (type 19)", message(19, 0, b"\0\x04so")),
        ("aggregate (type 22)", message(22, 1, &[])),
        ("a type nobody knows (99)", message(99, 0, b"?")),
        ("a command that is no string", message(type_id::COMMAND, 0, &[0; 9])),
        ("a command over the limit", message(type_id::COMMAND, 0, &[0; COMMAND_BYTES + 1])),
        ("a command cut short", message(type_id::COMMAND, 0, b"\x02\0\x07conn")),
    ]
}

/// Whole messages in what a session sends, in few words.
#[derive(Default)]
struct Sent {
    reader: Reader,
    unread: BytesMut,
}

impl Sent {
    fn words(&mut self, bytes: &[u8]) -> Vec<String> {
        self.unread.extend_from_slice(bytes);
        let mut words = Vec::new();
        while let Some(message) = self.reader.read(&mut self.unread).unwrap() {
            words.push(format!("← {}", in_short(&message)));
        }
        words
    }
}

fn in_short(message: &Message) -> String {
    match message.type_id {
        type_id::SET_CHUNK_SIZE => "Set Chunk Size".to_owned(),
        type_id::USER_CONTROL => format!("{:?}", UserControl::parse(&message.payload).unwrap()),
        type_id::WINDOW_ACK_SIZE => "Window Acknowledgement Size".to_owned(),
        type_id::SET_PEER_BANDWIDTH => "Set Peer Bandwidth".to_owned(),
        type_id::COMMAND => {
            let call = Command::parse(&message.payload).unwrap().unwrap();
            let status = call.arguments.first().map(Status::from_amf).unwrap_or_else(|| Status::error("", ""));
            match status.code.as_str() {
                "" => format!("{} #{}", call.name, call.transaction),
                code => format!("{} {code} ({})", call.name, status.level),
            }
        }
        other => format!("type {other}"),
    }
}

/// The server's end, and the request that its owner has to answer.
struct Server {
    session: ServerSession,
    request: Option<Request>,
    sent: Sent,
}

impl Machine for Server {
    fn new() -> Self {
        Server { session: ServerSession::new([0x5a; 1528]), request: None, sent: Sent::default() }
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.session.input().extend_from_slice(bytes);
    }

    fn owner(&mut self, act: &str) {
        match (act, self.request.take()) {
            ("OWNER accepts", Some(request)) => {
                self.session.accept(request);
            }
            ("OWNER rejects", Some(request)) => {
                self.session.reject(request, &Status::error(code::PUBLISH_BAD_NAME, "in use"));
            }
            ("OWNER ends the stream", _) => self.session.end_of_stream(),
            // A request is a value: without one there is nothing to accept.
            _ => {}
        }
    }

    fn outcome(&mut self) -> Result<Vec<String>, Error> {
        let mut came = Vec::new();
        while let Some(output) = self.session.poll()? {
            match output {
                Output::Transmit(bytes) if bytes.len() == 1 + 2 * 1536 => came.push("← S0, S1, S2".to_owned()),
                Output::Transmit(bytes) => came.extend(self.sent.words(&bytes)),
                Output::Event(server::Event::Request(request)) => {
                    came.push(format!("asks to {}", format!("{:?}", request.role).to_lowercase()));
                    self.request = Some(request);
                }
                Output::Event(server::Event::Message(message)) => came.push(format!("hands on {}", in_short(&message))),
                Output::Event(server::Event::Stopped) => came.push("has stopped".to_owned()),
            }
        }
        Ok(came)
    }

    fn phase(&self) -> Phase {
        self.session.phase()
    }
}

/// The client's end.
struct Client<const PUBLISHES: bool> {
    session: ClientSession,
    sent: Sent,
}

impl<const PUBLISHES: bool> Machine for Client<PUBLISHES> {
    fn new() -> Self {
        let target = Target {
            role: if PUBLISHES { Role::Publish } else { Role::Play },
            url: Url::parse("rtmp://server.example/live").unwrap(),
            name: "show".to_owned().into(),
            agent: "test".to_owned(),
            chunk_size: DEFAULT_SIZE,
        };
        let mut client = Client { session: ClientSession::new(target, &[0x5a; 1528]), sent: Sent::default() };
        assert_eq!(client.outcome().unwrap(), ["← C0, C1"]);
        client
    }

    fn hear(&mut self, bytes: &[u8]) {
        self.session.input().extend_from_slice(bytes);
    }

    fn owner(&mut self, act: &str) {
        assert_eq!(act, "OWNER finishes");
        self.session.finish();
    }

    fn outcome(&mut self) -> Result<Vec<String>, Error> {
        let mut came = Vec::new();
        while let Some(output) = self.session.poll()? {
            match output {
                Output::Transmit(bytes) if bytes.len() == 1 + 1536 => came.push("← C0, C1".to_owned()),
                Output::Transmit(bytes) if bytes.len() == 1536 => came.push("← C2".to_owned()),
                Output::Transmit(bytes) => came.extend(self.sent.words(&bytes)),
                Output::Event(client::Event::Started(stream)) => came.push(format!("has started on stream {stream}")),
                Output::Event(client::Event::Refused(phase, status)) => {
                    came.push(format!("refused {phase}: {:?}", status.code));
                }
                Output::Event(client::Event::Ended(status)) => came.push(format!("ended: {:?}", status.code)),
                Output::Event(client::Event::Reconnect(to)) => {
                    came.push(format!("is sent elsewhere: {:?}", to.map(|url| url.tc_url())));
                }
                Output::Event(client::Event::Message(message)) => came.push(format!("hands on {}", in_short(&message))),
            }
        }
        Ok(came)
    }

    fn phase(&self) -> Phase {
        self.session.phase()
    }
}

fn snapshot(name: &str, page: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, page));
}

#[test]
fn the_servers_end() {
    let show = || Amf0::from("show");
    let mut words: Vec<Word> = vec![
        ("C0, C1, C2", Some([&[3][..], &[0; 2 * 1536]].concat())),
        ("connect", call("connect", 1.0, 0, &[])),
        (
            "connect as AMF3 (type 17)",
            message(17, 0, &[&[0][..], &Command::new("connect", 1.0, Amf0::Null, []).payload()].concat()),
        ),
        ("releaseStream", call("releaseStream", 2.0, 0, &[show()])),
        ("FCPublish", call("FCPublish", 3.0, 0, &[show()])),
        ("FCPublish, id 0", call("FCPublish", 0.0, 0, &[show()])),
        ("createStream", call("createStream", 4.0, 0, &[])),
        ("_checkbw", call("_checkbw", 5.0, 0, &[])),
        ("publish", call("publish", 5.0, 1, &[show(), "live".into()])),
        ("publish, another name", call("publish", 6.0, 1, &["other".into(), "live".into()])),
        ("FCSubscribe", call("FCSubscribe", 5.0, 0, &[show()])),
        ("getStreamLength", call("getStreamLength", 5.0, 0, &[show()])),
        ("play", call("play", 5.0, 1, &[show(), Amf0::Number(-2000.0)])),
        ("pause", call("pause", 0.0, 1, &[Amf0::Boolean(true)])),
        ("FCUnpublish", call("FCUnpublish", 6.0, 0, &[show()])),
        ("closeStream", call("closeStream", 0.0, 1, &[])),
        ("deleteStream", call("deleteStream", 0.0, 0, &[Amf0::Number(1.0)])),
        ("a call nobody knows", call("walk", 9.0, 0, &[])),
        ("a call nobody knows, id 0", call("walk", 0.0, 0, &[])),
        ("onStatus", status(1, &Status::success("x", ""))),
    ];
    words.extend(control_words());
    words.extend(["OWNER accepts", "OWNER rejects", "OWNER ends the stream"].map(|act| (act, None)));
    let states: [State; 7] = [
        ("at first", &[]),
        ("shaken", &["C0, C1, C2"]),
        ("connected", &["C0, C1, C2", "connect"]),
        ("asked", &["C0, C1, C2", "connect", "createStream", "publish"]),
        ("publishing", &["C0, C1, C2", "connect", "createStream", "publish", "OWNER accepts"]),
        ("playing", &["C0, C1, C2", "connect", "createStream", "play", "OWNER accepts"]),
        ("rejected", &["C0, C1, C2", "connect", "createStream", "publish", "OWNER rejects"]),
    ];
    snapshot("server", &page::<Server>(&states, &words));
}

/// What servers say.
fn servers_words() -> Vec<Word> {
    let id = |id: f64| [Amf0::Number(id)];
    let information = |status: &Status| [status.to_amf()];
    let error = Status::error(code::CALL_FAILED, "no");
    let mut words: Vec<Word> = vec![
        ("S0, S1, S2", Some([&[3][..], &[0; 2 * 1536]].concat())),
        ("_result of connect", call("_result", 1.0, 0, &information(&Status::success(code::CONNECT_SUCCESS, "")))),
        ("_error of connect", call("_error", 1.0, 0, &information(&Status::error(code::CONNECT_REJECTED, "")))),
        ("_result of releaseStream", call("_result", 2.0, 0, &[])),
        ("_error of releaseStream", call("_error", 2.0, 0, &information(&error))),
        ("_result of FCPublish", call("_result", 3.0, 0, &[])),
        ("_result of createStream: 5", call("_result", 4.0, 0, &id(5.0))),
        ("_result of createStream: 0", call("_result", 4.0, 0, &id(0.0))),
        ("_error of createStream", call("_error", 4.0, 0, &information(&error))),
        ("_result of publish or play", call("_result", 5.0, 5, &[])),
        ("_error of publish or play", call("_error", 5.0, 5, &information(&error))),
        ("onBWDone", call("onBWDone", 0.0, 0, &[])),
        ("onFCPublish", call("onFCPublish", 0.0, 0, &information(&Status::success(code::PUBLISH_START, "")))),
        ("close", call("close", 0.0, 0, &[])),
        ("StreamBegin", Some(UserControl::StreamBegin(5).message().to_vec())),
        ("StreamEof", Some(UserControl::StreamEof(5).message().to_vec())),
    ];
    let codes = [
        code::PUBLISH_START,
        code::PLAY_RESET,
        code::PLAY_START,
        code::UNPUBLISH_SUCCESS,
        code::PLAY_STOP,
        code::PLAY_COMPLETE,
        code::PLAY_UNPUBLISH_NOTIFY,
        "NetStream.Data.Start",
    ];
    words.extend(codes.map(|code| (code, status(5, &Status::success(code, "")))));
    let codes = [code::PUBLISH_BAD_NAME, code::PLAY_NOT_FOUND, "NetConnection.Connect.Closed"];
    words.extend(codes.map(|code| (code, status(5, &Status::error(code, "")))));
    words.extend(control_words());
    words.push(("OWNER finishes", None));
    words
}

const PUBLISHER: [State; 6] = [
    ("at first", &[]),
    ("shaken", &["S0, S1, S2"]),
    ("connected", &["S0, S1, S2", "_result of connect"]),
    ("asking", &["S0, S1, S2", "_result of connect", "_result of createStream: 5"]),
    ("publishing", &["S0, S1, S2", "_result of connect", "_result of createStream: 5", code::PUBLISH_START]),
    ("refused", &["S0, S1, S2", "_result of connect", "_result of createStream: 5", code::PUBLISH_BAD_NAME]),
];

#[test]
fn the_clients_end_that_publishes() {
    snapshot("client_that_publishes", &page::<Client<true>>(&PUBLISHER, &servers_words()));
}

#[test]
fn the_clients_end_that_plays() {
    let mut states = PUBLISHER;
    states[4] = ("playing", &["S0, S1, S2", "_result of connect", "_result of createStream: 5", code::PLAY_START]);
    states[5] = ("refused", &["S0, S1, S2", "_result of connect", "_result of createStream: 5", code::PLAY_NOT_FOUND]);
    snapshot("client_that_plays", &page::<Client<false>>(&states, &servers_words()));
}
