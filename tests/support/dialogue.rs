//! Both sides of a connection as a page to read: `→` the client, `←` our answers, `[…]` how far the session has come.
//!
//! The client is heard one message at a time, so every answer stands below what it answers. What the client said is
//! decoded by `chunks`, our answers by the product's own reader.

use std::fmt::Write;

use bytes::{Buf, BytesMut};
use rtmp_relay::flv::{self, Kind};
use rtmp_relay::rtmp::amf0::Amf0;
use rtmp_relay::rtmp::chunk::{DEFAULT_SIZE, Reader};
use rtmp_relay::rtmp::client::{self, Target};
use rtmp_relay::rtmp::command::Command;
use rtmp_relay::rtmp::control::UserControl;
use rtmp_relay::rtmp::message::type_id;
use rtmp_relay::rtmp::server::Role;
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{ClientSession, Message};

use super::chunks::{Chunks, Said};
use super::hex::{digest, runs};
use super::recording::{HANDSHAKE, Recording};
use super::server::{self, Told};

/// A recorded client, talked to by our server's session.
pub(crate) struct Dialogue {
    /// The page.
    pub(crate) page: String,
    /// What the client said, by `chunks`.
    pub(crate) said: Vec<Said>,
    /// What the session handed to its owner: media and data.
    pub(crate) handed: Vec<Message>,
    /// All we sent after the handshake.
    pub(crate) replies: Vec<u8>,
}

/// Lets a fresh session hear the recording.
pub(crate) fn with(recording: &Recording) -> Dialogue {
    let said = Chunks::new(&recording.bytes, HANDSHAKE).messages();
    let mut page = Page::default();
    let mut dialogue = Dialogue { page: String::new(), said, handed: Vec::new(), replies: Vec::new() };
    let (hello, rest) = recording.bytes.split_at(1 + 1536);
    let (mut session, mut told) = (server::session(), Vec::new());

    page.phase(session.phase());
    page.line(format!("→ C0 version {}, C1 {}", hello[0], clock(&hello[1..])));
    server::hear(&mut session, hello, &mut told).expect("C0 and C1");
    let Some(Told::Reply(answer)) = told.pop() else { panic!("no S0, S1, S2 but {told:?}") };
    let echo = if answer[1 + 1536..] == hello[1..] { "repeats C1" } else { "does not repeat C1" };
    page.line(format!("← S0 version {}, S1 {}, S2 {echo}", answer[0], clock(&answer[1..])));
    page.line("→ C2".to_owned());
    server::hear(&mut session, &rest[..1536], &mut told).expect("C2");

    let (mut reader, mut replies) = (Reader::default(), BytesMut::new());
    let mut heard = HANDSHAKE;
    for said in &dialogue.said {
        page.phase(session.phase());
        page.said(said);
        server::hear(&mut session, &recording.bytes[heard..said.end], &mut told).expect("a good client");
        heard = said.end;
        for told in told.drain(..) {
            match told {
                Told::Reply(bytes) => {
                    dialogue.replies.extend_from_slice(&bytes);
                    replies.extend_from_slice(&bytes);
                    while let Some(message) = reader.read(&mut replies).expect("our own chunks") {
                        page.reply(&message);
                    }
                }
                Told::Asked { role, app, name, agent, stream } => page.line(format!(
                    "  asks to {} app={app:?} name={name:?} on stream {stream}, calls itself {agent:?}: accepted",
                    format!("{role:?}").to_lowercase()
                )),
                Told::Message(message) => dialogue.handed.push(message),
                Told::Stopped => page.line("  has stopped".to_owned()),
            }
        }
    }
    page.phase(session.phase());
    if recording.bytes.len() > heard {
        page.line(format!("→ {} bytes of a message that never ends", recording.bytes.len() - heard));
    }
    page.line(format!("→ {}", recording.ending));
    assert_eq!((replies.len(), reader.partial()), (0, 0), "our last answer is whole");
    dialogue.page = page.text;
    dialogue
}

/// Our own client publishing, answered by the recorded bytes of a server. It ends its stream once it has started.
pub(crate) fn of_our_client(answers: &[u8]) -> String {
    let target = Target {
        role: Role::Publish,
        url: Url::parse("rtmp://nginx.example/live").expect("a URL"),
        name: "show".to_owned().into(),
        agent: "FMLE/3.0 (compatible; rtmp-relay)".to_owned(),
        chunk_size: DEFAULT_SIZE,
    };
    let mut session = ClientSession::new(target, &[0x5a; 1528]);
    let mut page = Page::default();
    let (mut reader, mut sent, mut heard) = (Reader::default(), BytesMut::new(), 0);
    let said = Chunks::new(answers, HANDSHAKE).messages();
    let last = said.last().expect("answers").end;
    let ends = [0, HANDSHAKE].into_iter().chain(said.iter().map(|said| said.end));
    for (n, end) in ends.enumerate() {
        match n {
            0 => {}
            1 => page.line("← S0, S1, S2".to_owned()),
            n => page.message("←", said[n - 2].type_id, said[n - 2].time, said[n - 2].msid, &said[n - 2].payload),
        }
        session.input().extend_from_slice(&answers[heard..end]);
        heard = end;
        while let Some(output) = session.poll().expect("a good server") {
            match output {
                Output::Transmit(bytes) if bytes.len() == 1537 => page.line("→ C0, C1".to_owned()),
                Output::Transmit(bytes) if bytes[..] == answers[1..1537] => page.line("→ C2 repeats S1".to_owned()),
                Output::Transmit(bytes) => sent.extend_from_slice(&bytes),
                Output::Event(client::Event::Started(stream)) => {
                    page.line(format!("  has started on stream {stream}"));
                    session.finish();
                }
                Output::Event(other) => page.line(format!("  {other:?}")),
            }
            while let Some(message) = reader.read(&mut sent).expect("our own chunks") {
                page.message("→", message.type_id, message.timestamp, message.stream, &message.payload);
            }
        }
        page.phase(session.phase());
    }
    assert_eq!((heard, sent.len(), reader.partial()), (last, 0, 0), "everything is heard, and what was said is whole");
    page.text
}

/// The eight bytes that C1 and S1 begin with.
fn clock(mut hello: &[u8]) -> String {
    format!("time {}, version word {:08x}", hello.get_u32(), hello.get_u32())
}

#[derive(Default)]
struct Page {
    text: String,
    phase: Option<Phase>,
    /// What sorts of media have been seen: the first of each has a line of its own.
    seen: Vec<String>,
    run: Run,
    /// The last data message, for the next one to be compared with.
    data: Vec<Amf0>,
}

/// Media that share a line.
#[derive(Default)]
struct Run {
    sorts: Vec<(String, usize)>,
    times: Vec<u32>,
    payloads: Vec<u8>,
}

impl Page {
    fn line(&mut self, line: String) {
        let Run { sorts, times, payloads } = std::mem::take(&mut self.run);
        if let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) {
            let counts: Vec<_> = sorts.iter().map(|(sort, count)| format!("{count} × {sort}")).collect();
            let (counts, bytes) = (counts.join(", "), payloads.len());
            let span = if first == last { format!("@{first}") } else { format!("@{first}–{last}") };
            let _ = writeln!(self.text, "→ … {counts}: {bytes} bytes {span}, sha256 {}", digest(&payloads));
        }
        let _ = writeln!(self.text, "{line}");
    }

    fn phase(&mut self, phase: Phase) {
        if self.phase.replace(phase) != Some(phase) {
            self.line(format!("  [{phase}]"));
        }
    }

    fn said(&mut self, said: &Said) {
        let sort = match Kind::from_tag_type(said.type_id) {
            Some(Kind::Data) if Amf0::read_all(&said.payload).expect("AMF0") == self.data => "the same data".to_owned(),
            Some(kind @ (Kind::Audio | Kind::Video)) => sort(kind, &said.payload),
            Some(Kind::Data) | None => {
                return self.message("→", said.type_id, said.time, said.msid, &said.payload);
            }
        };
        if self.seen.contains(&sort) || said.type_id == type_id::DATA {
            match self.run.sorts.iter_mut().find(|(known, _)| *known == sort) {
                Some((_, count)) => *count += 1,
                None => self.run.sorts.push((sort, 1)),
            }
            self.run.times.push(said.time);
            self.run.payloads.extend_from_slice(&said.payload);
        } else {
            self.line(format!("→ {sort}: {} bytes @{}", said.payload.len(), said.time));
            self.seen.push(sort);
        }
    }

    fn reply(&mut self, message: &Message) {
        self.message("←", message.type_id, message.timestamp, message.stream, &message.payload);
    }

    /// Control, commands and data.
    fn message(&mut self, arrow: &str, type_id: u8, time: u32, stream: u32, payload: &[u8]) {
        let number = |at: usize| payload.get(at..at + 4).map_or(0, |mut four| four.get_u32());
        let text = match type_id {
            type_id::SET_CHUNK_SIZE => format!("Set Chunk Size {}", number(0)),
            type_id::ACKNOWLEDGEMENT => format!("Acknowledgement {}", number(0)),
            type_id::USER_CONTROL => {
                format!("{:?}", UserControl::parse(payload).expect("a user control event we know"))
            }
            type_id::WINDOW_ACK_SIZE => format!("Window Acknowledgement Size {}", number(0)),
            type_id::SET_PEER_BANDWIDTH => format!("Set Peer Bandwidth {}, limit type {}", number(0), payload[4]),
            type_id::DATA => {
                let before = std::mem::replace(&mut self.data, Amf0::read_all(payload).expect("AMF0"));
                spread("data".to_owned(), &news(&before, &self.data))
            }
            type_id::COMMAND => {
                let call = Command::parse(payload).expect("AMF0").expect("a command");
                let mut values = vec![call.object];
                values.extend(call.arguments);
                spread(format!("{} #{}", call.name, call.transaction), &values)
            }
            other => format!("type {other}: {}", runs(payload)),
        };
        // Control is about the connection and has no time.
        let place = match (stream, time) {
            (0, 0) => String::new(),
            (0, time) => format!(" @{time}"),
            (stream, 0) => format!(" on stream {stream}"),
            (stream, time) => format!(" on stream {stream} @{time}"),
        };
        self.line(format!("{arrow} {text}{place}"));
    }
}

/// What kind of media a payload is, in words.
fn sort(kind: Kind, payload: &[u8]) -> String {
    let tag = flv::classify(kind, payload);
    let kind = format!("{kind:?}").to_lowercase();
    match tag.role {
        flv::Role::Frame if tag.key => format!("{kind} {} key", tag.codec),
        flv::Role::Frame => format!("{kind} {}", tag.codec),
        role => format!("{kind} {} {}", tag.codec, format!("{role:?}").to_lowercase()),
    }
}

/// The values, without the properties that were the same in the message before.
fn news(before: &[Amf0], values: &[Amf0]) -> Vec<Amf0> {
    let new = |(n, value): (usize, &Amf0)| match (before.get(n).and_then(Amf0::properties), value.properties()) {
        (Some(old), Some(properties)) => {
            Amf0::Object(properties.iter().filter(|property| !old.contains(property)).cloned().collect())
        }
        _ => value.clone(),
    };
    values.iter().enumerate().map(new).collect()
}

/// Values behind a word: on one line, or with a line for each property where that would be too long to read.
fn spread(word: String, values: &[Amf0]) -> String {
    let line = values.iter().fold(word.clone(), |line, value| format!("{line} {value}"));
    if line.len() <= 100 {
        return line;
    }
    values.iter().fold(word, |mut text, value| match value.properties() {
        Some(properties) => {
            text += " {\n";
            properties.iter().for_each(|(key, value)| text += &format!("      {key}: {value}\n"));
            text + "  }"
        }
        None => format!("{text} {value}"),
    })
}
