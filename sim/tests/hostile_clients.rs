//! Hostile clients: what each says, byte by byte, and what it gets for it, while a stream beside it loses nothing and memory stays
//! flat. What is legal but unusual is served.

#![allow(missing_docs)]

use std::collections::BTreeMap;
use std::time::Duration;

use rtmp_relay::inbound::Ending;
use rtmp_relay::limits::LOG_BYTES;
use sim::wire::{self, kind};
use sim::{Deed, Encounter, World, ms, secs};

mod beside;

use beside::Does;

/// A villain, and what it gets.
struct Case {
    name: String,
    deeds: Vec<Deed>,
    /// How the relay counts its end, and says it; `None` where it stays until it leaves by itself.
    ends: Option<(Ending, &'static str)>,
    /// Between its beginning and its end, or its last answer.
    takes: (Duration, Duration),
    heap: usize,
}

fn case(name: impl Into<String>) -> Case {
    let takes = (Duration::ZERO, secs(1));
    Case { name: name.into(), deeds: Vec::new(), ends: None, takes, heap: beside::HEAP_MAX }
}

impl Does for Case {
    fn does(mut self, deed: Deed) -> Self {
        self.deeds.push(deed);
        self
    }
}

impl Case {
    /// The relay ends it.
    fn ends(mut self, ending: Ending, told: &'static str) -> Self {
        self.ends = Some((ending, told));
        self
    }

    fn breaks_the_protocol(self, told: &'static str) -> Self {
        self.ends(Ending::Protocol, told)
    }

    fn refused(self, told: &'static str) -> Self {
        self.ends(Ending::Finished, told)
    }

    /// It is still there and is answered.
    fn served(self) -> Self {
        self.says(wire::ping(0x5e4e)).hears(wire::pong(0x5e4e))
    }

    fn between(mut self, from: Duration, to: Duration) -> Self {
        self.takes = (from, to);
        self
    }

    fn within(self, to: Duration) -> Self {
        self.between(Duration::ZERO, to)
    }

    fn grows(mut self, heap: usize) -> Self {
        self.heap = heap;
        self
    }

    fn play(&self) {
        let ends = self.ends.is_some();
        let met = meet(self.deeds.clone(), self.takes.1 + secs(1), self.heap, |gone, seen| gone || !ends && seen.done);
        assert_eq!(met.gone, ends, "gone by itself: {:?}\n{}", met.seen, met.log);
        for deed in &self.deeds {
            let Deed::Hear(bytes) = deed else { continue };
            assert!(met.seen.has_heard(bytes), "it has not heard {}, but {:?}", bytes.escape_ascii(), met.seen);
        }
        match self.ends {
            Some((ending, told)) => {
                assert_eq!(met.ended, ending, "{}", met.log);
                beside::is_told(&met.log, told);
            }
            None => assert!(met.seen.done, "it has not done all: {:?}", met.seen),
        }
        beside::within("it", met.took, self.takes.0, self.takes.1);
    }
}

/// What became of a villain.
struct Met {
    /// Whether the relay has let it go before it was called back.
    gone: bool,
    took: Duration,
    ended: Ending,
    seen: Encounter,
    log: String,
}

/// Lets a villain loose until it is `over`, given whether it has gone, or for so long; then calls it back. The stream beside it
/// loses nothing, and the heap grows by no more than `heap`.
fn meet(deeds: Vec<Deed>, limit: Duration, heap: usize, over: impl Fn(bool, &Encounter) -> bool) -> Met {
    let mut world = beside::world(1, &[]).villain("villain");
    world.run(secs(1));
    let (visitors, endings) = (world.visitors("relay"), world.endings("relay"));
    let has_gone = |world: &World| world.endings("relay") != endings;
    let before = beside::Heap::now();
    let seen = world.attack("villain", "relay", deeds);
    let began = world.now();
    while world.now() < began + limit && !over(has_gone(&world), &seen.borrow()) {
        world.run(ms(10));
    }
    let (took, gone) = (world.now() - began, has_gone(&world));
    world.dismiss("villain");
    while world.visitors("relay") > visitors && world.now() < began + limit + secs(2) {
        world.run(ms(10));
    }
    let growth = before.growth();
    assert_eq!(world.visitors("relay"), visitors, "visitors, when it has gone");
    let ended = match since(&endings, world.endings("relay"))[..] {
        [(ended, 1)] => ended,
        ref others => panic!("it has ended more than once: {others:?}"),
    };
    // Otherwise it depends on whether it has read to the end.
    assert!(gone || matches!(ended, Ending::Closed | Ending::Lost), "{ended:?}");
    let log = world.story();
    beside::the_log_is_clean(&log);
    beside::nothing_is_lost(&mut world);
    let limit = heap + beside::HEAP_A_SECOND * took.as_secs() as usize;
    assert!(growth <= limit, "the heap has grown by {growth} bytes, over {limit}");
    Met { gone, took, ended, seen: seen.take(), log }
}

/// Endings that there were not before.
fn since(before: &BTreeMap<Ending, u64>, now: BTreeMap<Ending, u64>) -> Vec<(Ending, u64)> {
    let new = now.into_iter().map(|(ending, count)| (ending, count - before.get(&ending).copied().unwrap_or(0)));
    new.filter(|(_, count)| *count > 0).collect()
}

fn play(cases: fn() -> Vec<Case>) {
    let _alone = beside::alone();
    let mut failures = String::new();
    for case in &cases() {
        beside::judge(&mut failures, &case.name, || case.play());
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// A client past its handshake.
fn met(name: impl Into<String>) -> Case {
    case(name).says([wire::hello(), wire::echo()].concat())
}

/// A client past `connect`.
fn connected(name: impl Into<String>) -> Case {
    met(name).says(wire::connect("live")).hears("NetConnection.Connect.Success")
}

/// A client that publishes.
fn publishing(name: impl Into<String>) -> Case {
    connected(name).says([wire::create_stream(), wire::publish("villain")].concat()).hears("NetStream.Publish.Start")
}

/// A client that plays the control stream.
fn playing(name: impl Into<String>) -> Case {
    connected(name).says([wire::create_stream(), wire::play("control")].concat()).hears("NetStream.Play.Start")
}

const SHAKING: &str = "timed out in the handshake";

fn handshakes() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [0, 1, 2, 4, 31, 32, 255] {
        let wrong = case(format!("C0 is {version}")).says([version]);
        cases.push(wrong.breaks_the_protocol("in the handshake: malformed C0 (RTMP 1.0 §5.2.2)"));
    }
    for version in [6, 8, 9] {
        let encrypted = case(format!("C0 is {version}, which is encrypted RTMP")).says([version]);
        cases.push(encrypted.ends(Ending::Unsupported, "unsupported: encrypted RTMP"));
    }
    for method in ["GET", "POST", "HEAD"] {
        let http = case(format!("HTTP's {method}")).says(format!("{method} / HTTP/1.1\r\nHost: relay\r\n\r\n"));
        cases.push(http.ends(Ending::Unsupported, "unsupported: HTTP on an RTMP port"));
    }
    let half = wire::hello()[..800].to_vec();
    let reply = [3, 0, 0, 0, 0];
    let slow = |case: Case| case.ends(Ending::TimedOut, SHAKING).between(secs(5), ms(5_500));
    cases.extend([
        case("a TLS hello")
            .says(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
            .ends(Ending::Unsupported, "unsupported: TLS on a plain RTMP port"),
        case("it leaves without a word").does(Deed::Close).ends(Ending::Closed, "closed by the peer in the handshake"),
        case("it leaves inside C1")
            .says(&half)
            .does(Deed::Close)
            .ends(Ending::Closed, "closed by the peer in the handshake"),
        case("it closes its direction after C1")
            .says(wire::hello())
            .does(Deed::Shut)
            .ends(Ending::Closed, "closed by the peer in the handshake"),
        case("it resets when S0 has come")
            .says(wire::hello())
            .does(Deed::Deaf)
            .does(Deed::Wait(ms(200)))
            .does(Deed::Close)
            .ends(Ending::Lost, "connection lost in the handshake"),
        slow(case("it never says a word")),
        slow(case("it says C0 and no more").says([3])),
        slow(case("C1 lacks its last byte").says(&wire::hello()[..1536])),
        slow(case("C2 never comes").says(wire::hello()).hears(reply)),
        slow(case("C2 lacks its last byte").says(wire::hello()).says(&wire::echo()[1..])),
        slow(case("slow-loris: a byte of C1 every 100 ms").drips(wire::hello(), 1, ms(100))),
        slow(case("slow-loris: C1 and C2 in bytes, each in good time").drips(
            [wire::hello(), wire::echo()].concat(),
            1,
            ms(5),
        )),
        slow(case("slow-loris: C1 at once, C2 a byte every 50 ms").says(wire::hello()).drips(wire::echo(), 1, ms(50))),
        case("C1 and C2 of nothing but zeros").says([3]).says([0; 2 * wire::SIZE]).served(),
        case("C1 and C2 of nothing but ones").says([3]).says([0xff; 2 * wire::SIZE]).served(),
        case("C1 offers a digest and has none")
            .says([3, 0, 0, 0, 0, 128, 0, 7, 2])
            .says([7; 1528])
            .says([0; 1536])
            .served(),
        case("a whole session before S0").says([wire::hello(), wire::echo(), wire::connect("live")].concat()).served(),
        met("a second hello instead of chunks").says(wire::hello()).breaks_the_protocol("malformed chunk header"),
        met("a second handshake, to the echo")
            .says([wire::hello(), wire::echo()].concat())
            .breaks_the_protocol("malformed chunk header"),
    ]);
    cases
}

fn chunks() -> Vec<Case> {
    let mut cases = Vec::new();
    for size in [0, 0x8000_0000, 0x8000_0001, 0xffff_ffff] {
        let wrong = met(format!("chunk size {size:#x}")).says(wire::control(kind::SET_CHUNK_SIZE, size));
        cases.push(wrong.breaks_the_protocol("malformed Set Chunk Size (RTMP 1.0 §5.4.1)"));
    }
    for size in [1, 2, 127, 129, 65_537, 0xff_ffff, 0x100_0000, 0x7fff_ffff] {
        let command = [wire::text("connect"), wire::number(1.0), wire::object(&[("app", wire::text("live"))])].concat();
        let odd = met(format!("chunk size {size:#x} is legal")).says(wire::control(kind::SET_CHUNK_SIZE, size));
        let sent = wire::in_chunks(size as usize, 3, 0, kind::COMMAND, 0, &command);
        let ping = wire::in_chunks(size as usize, 2, 0, kind::USER_CONTROL, 0, &[0, 6, 1, 2, 3, 4]);
        cases.push(odd.says(sent).hears("NetConnection.Connect.Success").says(ping).hears([0, 7, 1, 2, 3, 4]));
    }
    for (what, length) in [("nothing", 0), ("one byte", 1), ("three bytes", 3)] {
        let short = |kind, what| met(what).says(wire::message(2, 0, kind, 0, &vec![0; length]));
        cases.extend([
            short(kind::SET_CHUNK_SIZE, format!("Set Chunk Size of {what}"))
                .breaks_the_protocol("malformed Set Chunk Size"),
            short(kind::ABORT, format!("Abort of {what}")).breaks_the_protocol("malformed Abort (RTMP 1.0 §5.4.2)"),
            short(kind::ACKNOWLEDGEMENT, format!("an acknowledgement of {what}")).served(),
            short(kind::USER_CONTROL, format!("a user control message of {what}")).served(),
            short(kind::WINDOW, format!("a window of {what}")).served(),
            short(kind::BANDWIDTH, format!("a bandwidth of {what}")).served(),
        ]);
    }
    for id in [2, 63, 64, 319, 320, 65_599] {
        let far = met(format!("chunk stream {id} is legal")).says(wire::message(
            id,
            0,
            kind::USER_CONTROL,
            0,
            &wire::pong(9),
        ));
        cases.push(far.served());
    }
    for id in [0, 1, 5, 16, 23, 24, 127, 255] {
        let unknown = connected(format!("message type {id}, which nobody knows"));
        let message = wire::message(5, 0, if id == 1 { 7 } else { id }, 1, &[0xa5; 300]);
        cases.push(unknown.says(message).served());
    }
    let promise = |id| [wire::header(id, 0, 0xff_ffff, kind::VIDEO, 1), vec![0]].concat();
    // Its one byte goes to the end of what is promised only with this size.
    let large = wire::control(kind::SET_CHUNK_SIZE, 0xff_ffff);
    let promises = |n: u32| -> Vec<u8> {
        (4..4 + n).flat_map(|id| wire::header(id, 0, 0xff_ffff, kind::VIDEO, 1).into_iter().chain([0; 128])).collect()
    };
    let fill = vec![0x55; 60_000];
    cases.extend([
        met("16 MB are promised and never come")
            .says(&large)
            .says(promise(5))
            .ends(Ending::TimedOut, "timed out in connect")
            .between(secs(10), ms(10_500)),
        met("16 MB are promised on each of 60 chunk streams").says(promises(60)).served(),
        met("16 MB are promised on each of 300 chunk streams")
            .says(promises(300))
            .breaks_the_protocol("open chunk streams over the limit of 64"),
        met("64 chunk streams are legal")
            .says((2..66).flat_map(|id| wire::message(id, 0, kind::VIDEO + 100, 0, &[])).collect::<Vec<_>>())
            .served(),
        met("65 chunk streams")
            .says((3..68).flat_map(|id| wire::message(id, 0, kind::VIDEO + 100, 0, &[])).collect::<Vec<_>>())
            .breaks_the_protocol("open chunk streams over the limit of 64"),
        connected("16 MB that lack their last byte")
            .says(&large)
            .says(wire::header(5, 0, 0xff_ffff, kind::VIDEO, 1))
            .says([0; 15])
            .again(&fill, 0xff_fff0 / 60_000)
            .says(vec![0; 0xff_ffff - 15 - 60_000 * (0xff_fff0 / 60_000) - 1])
            .ends(Ending::TimedOut, "timed out in createStream")
            .between(secs(10), ms(10_900))
            .grows(40 << 20),
        met("a type 2 header begins a chunk stream")
            .says([0x85, 0, 0, 0])
            .breaks_the_protocol("malformed chunk header"),
        met("a type 3 header begins a chunk stream").says([0xc5]).breaks_the_protocol("malformed chunk header"),
        met("a type 1 header begins a chunk stream, as librtmp's pings do")
            .says([0x42, 0, 0, 0, 0, 0, 6, 4])
            .says(wire::pong(1))
            .served(),
        met("the length changes inside a message")
            .says(wire::header(5, 0, 300, kind::VIDEO, 1))
            .says([0; 128])
            .says(wire::header(5, 0, 301, kind::VIDEO, 1))
            .breaks_the_protocol("the length has changed inside a message"),
        met("a type 0 header of the same length inside a message is taken for type 3")
            .says(wire::header(5, 0, 200, kind::VIDEO + 100, 1))
            .says([0; 128])
            .says(wire::header(5, 0, 200, kind::VIDEO + 100, 1))
            .says([0; 72])
            .served(),
        met("text instead of chunks")
            .says("Hello, is anybody there? I would like to stream, please.\n")
            .ends(Ending::TimedOut, "timed out in connect")
            .between(secs(10), ms(10_500)),
        met("ones instead of chunks").again([0xff; 1000], 10).breaks_the_protocol("malformed chunk header"),
        met("zeros instead of chunks are empty messages of no type").again([0; 1200], 10).served(),
        met("an Abort of what was never begun").says(wire::control(kind::ABORT, 77)).served(),
        met("an Abort inside a message")
            .says(wire::header(5, 0, 300, kind::VIDEO, 1))
            .says([0; 128])
            .says(wire::control(kind::ABORT, 5))
            .served(),
        met("16 MB are begun and aborted a thousand times")
            .again([promise(5), vec![0; 127], wire::control(kind::ABORT, 5)].concat(), 1_000)
            .served(),
        met("the chunk size changes a thousand times")
            .again(
                [
                    wire::control(kind::SET_CHUNK_SIZE, 1),
                    wire::in_chunks(1, 2, 0, kind::SET_CHUNK_SIZE, 0, &[0, 0, 0, 128]),
                ]
                .concat(),
                1_000,
            )
            .served(),
        connected("a connection's time is 0xffffff, and it says so again in each chunk")
            .says(wire::message(
                3,
                0xff_ffff,
                kind::COMMAND,
                0,
                &[wire::text("createStream"), wire::number(7.0), wire::null(), wire::text(&"x".repeat(300))].concat(),
            ))
            .hears(b"_result\0\x40\x1c")
            .served(),
        connected("a connection's time is 2^32 - 1")
            .says(wire::message(
                3,
                u32::MAX,
                kind::COMMAND,
                0,
                &[wire::text("createStream"), wire::number(7.0), wire::null()].concat(),
            ))
            .hears(b"_result\0\x40\x1c")
            .served(),
        met("slow-loris: a chunk header a byte a second")
            .drips(wire::connect("live"), 1, secs(1))
            .ends(Ending::TimedOut, "timed out in connect")
            .between(secs(10), ms(10_500)),
        met("slow-loris: a ping every 100 ms and never a word else")
            .does(Deed::Again(wire::ping(1).into(), 200, ms(100)))
            .ends(Ending::TimedOut, "timed out in connect")
            .between(secs(10), ms(10_500)),
        connected("slow-loris: a new stream every 100 ms and none asked for")
            .does(Deed::Again(wire::create_stream().into(), 200, ms(100)))
            .ends(Ending::TimedOut, "timed out in createStream")
            .between(secs(10), ms(10_900)),
        met("it leaves inside a chunk")
            .says(&wire::connect("live")[..20])
            .does(Deed::Wait(ms(50)))
            .does(Deed::Close)
            .ends(Ending::Closed, "closed by the peer in connect"),
    ]);
    cases
}

/// A string of so many bytes that are promised.
fn promised_text(length: u16) -> Vec<u8> {
    [&[2][..], &length.to_be_bytes()].concat()
}

fn nested(depth: usize) -> Vec<u8> {
    [b"\x03\0\x01a".repeat(depth), vec![5], b"\0\0\x09".repeat(depth)].concat()
}

fn values() -> Vec<Case> {
    let call = |value: Vec<u8>| wire::command("anything", 9.0, &[value]);
    let unknown = "No such method";
    let mut cases = Vec::new();
    let malformed: Vec<(&str, Vec<u8>)> = vec![
        ("objects inside each other, one over the limit", nested(16)),
        ("objects inside each other, nine thousand of them", nested(9_000)),
        ("arrays inside each other, ten thousand of them", b"\x0a\0\0\0\x01".repeat(10_000)),
        ("ECMA arrays inside each other without end", b"\x08\0\0\0\x01\0\x01a".repeat(5_000)),
        ("4,097 values", [&b"\x0a\0\0\x10\x01"[..], &[5; 4_097]].concat()),
        ("a hundred thousand nulls in an array", [&b"\x0a\0\x01\x86\xa0"[..], &[5; 60_000]].concat()),
        ("an array of 4 GiB", b"\x0a\xff\xff\xff\xff".to_vec()),
        ("a string longer than its message", promised_text(65_535)),
        ("a long string of 4 GiB", b"\x0c\xff\xff\xff\xff".to_vec()),
        ("XML of 2 GiB", b"\x0f\x7f\xff\xff\xff<a/>".to_vec()),
        ("a key longer than its message", b"\x03\xff\xffkey".to_vec()),
        ("a class name longer than its message", b"\x10\xff\xff".to_vec()),
        ("a number cut short", b"\0\x40".to_vec()),
        ("a date cut short", b"\x0b\0\0".to_vec()),
        ("a reference cut short", b"\x07\0".to_vec()),
        ("marker 0x12, of no type", vec![0x12]),
        ("marker 0xff, of no type", vec![0xff]),
        ("an object's end without an object", vec![9]),
    ];
    for (name, value) in malformed {
        cases.push(
            connected(format!("a command with {name}"))
                .says(call(value))
                .breaks_the_protocol("in createStream: malformed command (RTMP 1.0 §7.2)"),
        );
    }
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("objects inside each other up to the limit", nested(15)),
        ("4,000 values", [&b"\x0a\0\0\x0f\xa0"[..], &[5; 4_000]].concat()),
        ("an ECMA array that counts 4 Gi and has one", b"\x08\xff\xff\xff\xff\0\x01a\x05\0\0\x09".to_vec()),
        ("an object without an end", b"\x03\0\x01a\x05".to_vec()),
        ("an object whose end is cut short", b"\x03\0\x01a\x05\0\0".to_vec()),
        ("the same key a thousand times", [&[3][..], &b"\0\x01a\x05".repeat(1_000), b"\0\0\x09"].concat()),
        ("a value in AMF3", b"\x11\x0a\x0b\x01".to_vec()),
        ("a movie clip", vec![4]),
        ("a record set", vec![14]),
        ("a reference to nothing", b"\x07\xff\xff".to_vec()),
        ("bytes that are no UTF-8", b"\x02\0\x04\xff\xfe\xc0\x80".to_vec()),
        ("a date of NaN", b"\x0b\x7f\xf8\0\0\0\0\0\0\x7f\xff".to_vec()),
        ("a string of 60,000 bytes", wire::text(&"x".repeat(60_000))),
    ];
    for (name, value) in odd {
        cases.push(connected(format!("a command with {name} is read")).says(call(value)).hears(unknown).served());
    }
    cases
}

fn commands() -> Vec<Case> {
    let mut cases = Vec::new();
    for (what, transaction) in [("NaN", f64::NAN), ("infinite", f64::INFINITY), ("negative", -1.0), ("huge", 1e300)] {
        let call = connected(format!("a call whose transaction id is {what}")).says(wire::command(
            "createStream",
            transaction,
            &[wire::null()],
        ));
        cases.push(call.hears([b"_result\0", &transaction.to_be_bytes()[..]].concat()).served());
    }
    for name in ["", "\0", "../../etc/passwd", "\x1b[2J", "onBWDone", "publish\0", "PUBLISH", "a name of two words"] {
        let call = connected(format!("a call of {name:?}, which nobody knows")).says(wire::command(
            name,
            9.0,
            &[wire::null()],
        ));
        cases.push(call.hears("NetConnection.Call.Failed").served());
    }
    let name = |command: &str| wire::command(command, 0.0, &[wire::null(), wire::text("control")]);
    for command in ["FCUnpublish", "deleteStream", "closeStream", "releaseStream", "FCPublish"] {
        cases.push(connected(format!("{command} of the stream beside it, by a stranger")).says(name(command)).served());
    }
    let late = |case: Case| case.ends(Ending::TimedOut, "timed out in connect").between(secs(10), ms(10_500));
    let refused = "publishing refused: This is no stream name";
    let bad_name = "NetStream.Publish.BadName";
    let app = |app: Vec<u8>| wire::command("connect", 1.0, &[wire::object(&[("app", app)])]);
    let request = |app_is: Vec<u8>| [app(app_is), wire::publish("villain")].concat();
    cases.extend([
        late(met("it publishes before connect").says(wire::publish("villain"))),
        late(met("it plays before connect").says(wire::play("control"))),
        late(
            met("it publishes and plays and stops before connect")
                .says([wire::publish("villain"), wire::play("villain"), name("FCUnpublish")].concat()),
        ),
        met("video before connect")
            .says(wire::message(4, 0, kind::VIDEO, 1, b"\x17\x01\0\0\0"))
            .breaks_the_protocol("unexpected media before connect"),
        met("audio before connect")
            .says(wire::message(4, 0, kind::AUDIO, 1, b"\xaf\x01"))
            .breaks_the_protocol("unexpected media before connect"),
        met("metadata before connect")
            .says(wire::message(4, 0, kind::DATA, 1, &wire::text("onMetaData")))
            .breaks_the_protocol("unexpected media before connect"),
        met("media before connect, in an aggregate")
            .says(wire::message(4, 0, kind::AGGREGATE, 1, b"\x09\0\0\x02\0\0\0\0\0\0\0\x17\x01\0\0\0\x0d"))
            .breaks_the_protocol("unexpected media before connect"),
        connected("it connects twice").says(wire::connect("live")).hears("NetConnection.Connect.Rejected").served(),
        connected("it connects a hundred times").again(wire::connect("live"), 100).served(),
        met("it connects to no application")
            .says(wire::command("connect", 1.0, &[]))
            .hears("NetConnection.Connect.Success")
            .served(),
        met("it connects, and the object is a number")
            .says(wire::command("connect", 1.0, &[wire::number(7.0)]))
            .hears("NetConnection.Connect.Success")
            .served(),
        met("it publishes to an application that is a number")
            .says(request(wire::number(7.0)))
            .hears("NetStream.Publish.Start")
            .served(),
        met("it publishes to an application of 60,000 bytes")
            .says(request(wire::text(&"a".repeat(60_000))))
            .hears(bad_name)
            .refused(refused),
        met("it calls itself something of 60,000 bytes")
            .says(
                [
                    wire::command(
                        "connect",
                        1.0,
                        &[wire::object(&[("app", wire::text("live")), ("flashVer", wire::text(&"x".repeat(60_000)))])],
                    ),
                    wire::publish("villain"),
                ]
                .concat(),
            )
            .hears("NetStream.Publish.Start")
            .served(),
        met("a command of 64 KiB and one byte")
            .says(wire::message(
                3,
                0,
                kind::COMMAND,
                0,
                &[wire::text("connect"), wire::number(1.0), wire::text(&"x".repeat(65_515))].concat(),
            ))
            .breaks_the_protocol("command over the limit of 65536"),
        met("an empty command").says(wire::message(3, 0, kind::COMMAND, 0, &[])).served(),
        met("a command whose name is a number")
            .says(wire::message(3, 0, kind::COMMAND, 0, &wire::number(1.0)))
            .served(),
        met("a command in a format other than AMF0 or AMF3")
            .says(wire::message(3, 0, kind::COMMAND3, 0, &[9, 9, 9]))
            .served(),
        met("garbage instead of a command")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[0x77; 50]))
            .breaks_the_protocol("in connect: malformed command"),
        connected("a call that wants no answer").says(wire::command("nothing", 0.0, &[wire::null()])).served(),
        connected("answers and statuses that nobody has asked for")
            .says(
                [
                    wire::command("_result", 1.0, &[]),
                    wire::command("_error", 2.0, &[]),
                    wire::command(
                        "onStatus",
                        0.0,
                        &[wire::null(), wire::status("error", "NetConnection.Connect.Closed", "")],
                    ),
                ]
                .concat(),
            )
            .served(),
        connected("a thousand streams are created").again(wire::create_stream(), 1_000).within(secs(3)).served(),
        connected("media is sent that nobody has asked for")
            .again(wire::message(4, 0, kind::VIDEO, 1, &[0x17; 5_000]), 20)
            .served(),
        connected("shared objects")
            .says(
                [wire::message(3, 0, kind::OBJECT, 0, &[7; 40]), wire::message(3, 0, kind::OBJECT3, 0, &[7; 40])]
                    .concat(),
            )
            .served(),
        connected("FCPublish of a name of 60,000 bytes")
            .says(wire::command("FCPublish", 4.0, &[wire::null(), wire::text(&"x".repeat(60_000))]))
            .hears("onFCPublish")
            .served(),
        connected("it publishes on message stream 0")
            .says(wire::command("publish", 3.0, &[wire::null(), wire::text("villain")]))
            .hears("NetStream.Publish.Start")
            .served(),
        connected("it publishes on message stream 2^32 - 1")
            .says(wire::command_on(u32::MAX, "publish", 3.0, &[wire::null(), wire::text("villain")]))
            .hears("NetStream.Publish.Start")
            .served(),
        connected("it publishes no name, so that the application is the stream")
            .says(wire::command_on(1, "publish", 3.0, &[]))
            .hears("NetStream.Publish.Start")
            .served(),
        connected("it publishes a number")
            .says(wire::command_on(1, "publish", 3.0, &[wire::null(), wire::number(7.0)]))
            .hears("NetStream.Publish.Start")
            .served(),
        connected("it publishes a stream that has a publisher")
            .says(wire::publish("control"))
            .hears(bad_name)
            .refused("publishing refused: the name is in use"),
        connected("it publishes a stream that has a publisher, under another spelling")
            .says(wire::publish("control?x=1"))
            .hears(bad_name)
            .refused("publishing refused: the name is in use"),
        connected("it is refused and does not let go")
            .does(Deed::Deaf)
            .says(wire::publish(".."))
            .refused(refused)
            .between(secs(1), ms(1_500)),
        publishing("it publishes twice").says(wire::publish("villain")).hears("Publishing already").served(),
        publishing("it publishes another stream too")
            .says(wire::publish("other"))
            .hears("One stream a connection")
            .served(),
        publishing("it publishes the stream beside it too")
            .says(wire::publish("control"))
            .hears("One stream a connection")
            .served(),
        publishing("it publishes and plays").says(wire::play("control")).hears("One stream a connection").served(),
        publishing("it publishes a thousand times").again(wire::publish("villain"), 1_000).within(secs(3)).served(),
        playing("it plays twice").says(wire::play("control")).served(),
        playing("it plays and publishes").says(wire::publish("villain")).served(),
        playing("it plays and sends media")
            .again(wire::message(4, 0, kind::VIDEO, 1, b"\x17\x01\0\0\0mine"), 50)
            .served(),
        playing("it seeks, pauses and says what buffer it has, a thousand times")
            .again(
                [
                    wire::command_on(1, "pause", 0.0, &[wire::null(), vec![1, 1], wire::number(0.0)]),
                    wire::command_on(1, "seek", 0.0, &[wire::null(), wire::number(1e9)]),
                    wire::message(2, 0, kind::USER_CONTROL, 0, &[0, 3, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff]),
                ]
                .concat(),
                1_000,
            )
            .within(secs(4))
            .served(),
        playing("it plays and stops in one breath")
            .says(wire::command("deleteStream", 0.0, &[wire::null(), wire::number(1.0)]))
            .ends(Ending::Finished, "playing started"),
        connected("it plays what nobody publishes").says(wire::play("nobody")).hears("NetStream.Play.Start").served(),
        publishing("it unpublishes the stream beside it, which is its own")
            .says(wire::command("FCUnpublish", 5.0, &[wire::null(), wire::text("control")]))
            .hears("onFCUnpublish")
            .ends(Ending::Finished, "publishing stopped")
            .between(secs(1), ms(1_500)),
    ]);
    cases
}

/// Names by which nobody is served.
const BAD_NAMES: [(&str, &str); 13] = [
    (".", "."),
    ("..", ".."),
    ("../x", "../x"),
    ("../../../../etc/passwd", "of a file above"),
    ("a/../b", "a/../b"),
    ("a/./b", "a/./b"),
    ("a\0b", "with NUL in it"),
    ("a\nb", "of two lines"),
    ("\r\n\r\nHTTP/1.1 200 OK", "of HTTP's lines"),
    ("\x1b[2J\x1b[31mred", "that clears the screen"),
    ("a\x07b", "that rings the bell"),
    ("a\x7fb", "with DEL in it"),
    ("a\u{85}b", "with a control character of Latin 1"),
];

/// Unusual names that are names.
const GOOD_NAMES: [(&str, &str); 13] = [
    ("a/", "with nothing after its slash"),
    ("a//b", "with nothing between its slashes"),
    ("", "of no bytes"),
    ("%2e%2e%2fx", "with dots in percent"),
    ("...", "of three dots"),
    ("C:\\x", "of a Windows path"),
    ("stream with spaces", "with spaces"),
    ("日本語🎥", "beyond ASCII"),
    ("a?b=../../c", "whose query goes up"),
    ("{app}{stream}", "that looks like a place to fill in"),
    ("'; DROP TABLE streams; --", "of SQL"),
    ("<script>alert(1)</script>", "of HTML"),
    ("$(reboot) `reboot` %s%n", "of a shell"),
];

fn names() -> Vec<Case> {
    let mut cases = Vec::new();
    let long = ["x".repeat(513), "x".repeat(10_000), "x".repeat(60_000)];
    let long = long.iter().map(|name| (name.as_str(), format!("of {} bytes", name.len())));
    let bad = BAD_NAMES.iter().map(|(name, what)| (*name, (*what).to_owned())).chain(long);
    for (name, what) in bad {
        let publish = connected(format!("it publishes a name {what}")).says(wire::publish(name));
        cases.push(publish.hears("NetStream.Publish.BadName").refused("publishing refused: This is no stream name"));
        let play = connected(format!("it plays a name {what}")).says(wire::play(name));
        cases.push(play.hears("NetStream.Play.StreamNotFound").refused("playing refused: This is no stream name"));
    }
    for (name, what) in GOOD_NAMES {
        let publish = connected(format!("it publishes a name {what}, which is legal")).says(wire::publish(name));
        cases.push(publish.hears("NetStream.Publish.Start").served());
    }
    for (app, what) in [
        ("..", ".."),
        ("live/../other", "that goes up"),
        ("a\0b", "with NUL in it"),
        ("\x1b[2J", "that clears the screen"),
    ] {
        let publish = met(format!("it publishes to an application {what}"))
            .says(wire::connect(app))
            .says(wire::publish("villain"));
        cases.push(publish.hears("NetStream.Publish.BadName").refused("publishing refused: This is no stream name"));
    }
    let bytes = [&b"\x02\0\x05\xff\xfea\xc0\x80"[..]].concat();
    cases.push(
        connected("it publishes a name that is no UTF-8, which is read with replacements")
            .says(wire::command_on(1, "publish", 3.0, &[wire::null(), bytes]))
            .hears("NetStream.Publish.Start")
            .served(),
    );
    cases.push(
        connected("it publishes a name of 507 bytes, which with its application is the longest")
            .says(wire::publish(&"x".repeat(507)))
            .hears("NetStream.Publish.Start")
            .served(),
    );
    cases
}

fn video(payload: &[u8]) -> Vec<u8> {
    wire::message(6, 0, kind::VIDEO, 1, payload)
}

/// An aggregate of so many messages of nothing.
fn aggregate(messages: usize) -> Vec<u8> {
    wire::message(6, 0, kind::AGGREGATE, 1, &b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b".repeat(messages))
}

fn media() -> Vec<Case> {
    let garbled: Vec<(&str, u8, Vec<u8>)> = vec![
        ("video of no bytes", kind::VIDEO, vec![]),
        ("audio of no bytes", kind::AUDIO, vec![]),
        ("data of no bytes", kind::DATA, vec![]),
        ("video of one byte", kind::VIDEO, vec![0x17]),
        ("an enhanced header without its FourCC", kind::VIDEO, b"\x90hv".to_vec()),
        ("multitrack video of no track", kind::VIDEO, b"\x96".to_vec()),
        (
            "multitrack video whose track is longer than its message",
            kind::VIDEO,
            b"\x96\x10avc1\0\xff\xff\xff".to_vec(),
        ),
        ("multitrack audio of a kind nobody knows", kind::AUDIO, b"\x95\xf1Opus".to_vec()),
        ("ModEx that goes on for ever", kind::VIDEO, b"\x97".repeat(5_000)),
        ("ModEx longer than its message", kind::VIDEO, b"\xa7\xff\xff\xffx".to_vec()),
        ("a sequence header of nothing", kind::VIDEO, b"\x17\0\0\0\0".to_vec()),
        ("an unknown codec", kind::VIDEO, b"\x1f\x01\0\0\0".to_vec()),
        ("metadata that is garbage", kind::DATA, [wire::text("@setDataFrame"), vec![0x77; 90]].concat()),
        ("metadata ten thousand deep", kind::DATA, [wire::text("onMetaData"), nested(10_000)].concat()),
        ("metadata of 70,000 bytes", kind::DATA, [wire::text("onMetaData"), wire::text(&"x".repeat(70_000))].concat()),
        ("metadata in AMF3", kind::DATA3, [vec![0], wire::text("onMetaData"), vec![0x11, 0x0a]].concat()),
        ("an aggregate of garbage", kind::AGGREGATE, vec![0x99; 700]),
        ("an aggregate cut short", kind::AGGREGATE, b"\x09\0\x10\0\0\0\0\0\0\0\0\x17".to_vec()),
        ("an aggregate in an aggregate", kind::AGGREGATE, b"\x16\0\0\x01\0\0\0\0\0\0\0\x16\0\0\0\x0c".to_vec()),
        ("a chunk size in an aggregate", kind::AGGREGATE, b"\x01\0\0\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x0f".to_vec()),
        ("a command of garbage", kind::COMMAND, vec![0x77; 50]),
    ];
    let mut cases: Vec<Case> = Vec::new();
    for (name, kind, payload) in garbled {
        cases.push(
            publishing(format!("{name}, from a publisher")).says(wire::message(6, 0, kind, 1, &payload)).served(),
        );
    }
    for (what, times) in [
        ("backwards", [900_000, 500, 100, 0]),
        ("by 2^31", [0, 1 << 31, 0, 1 << 31]),
        ("over the end", [u32::MAX - 1, u32::MAX, 0, 1]),
        ("at random", [7, 3_000_000_000, 12, 99_999_999]),
    ] {
        let jumps = times.iter().flat_map(|time| wire::message(6, *time, kind::VIDEO, 1, b"\x17\x01\0\0\0x"));
        cases.push(publishing(format!("a publisher whose time jumps {what}")).says(jumps.collect::<Vec<_>>()).served());
    }
    let config = |n: u32| video(&[b"\x94", &n.to_be_bytes()[..], b"x"].concat());
    let headers: Vec<u8> = (0..2_000).flat_map(|n| [config(n), video(b"\x17\x01\0\0\0x")].concat()).collect();
    let tracks: Vec<u8> =
        (0..=255u8).flat_map(|track| video(&[b"\x96\0avc1", &[track][..], &[1; 60]].concat())).collect();
    let large_header = |n: u8| {
        [
            wire::control(kind::SET_CHUNK_SIZE, 0x10_0000),
            wire::in_chunks(0x10_0000, 6, 0, kind::VIDEO, 1, &[&b"\x17\0\0\0\0"[..], &vec![n; 500_000]].concat()),
            wire::in_chunks(0x10_0000, 6, 0, kind::VIDEO, 1, b"\x17\x01\0\0\0x"),
        ]
        .concat()
    };
    cases.extend([
        publishing("a publisher that sends nothing for half a minute")
            .ends(Ending::TimedOut, "timed out while streaming")
            .between(secs(30), ms(30_500)),
        publishing("slow-loris: a publisher whose frames come in bytes, one every 100 ms, is not silent")
            .drips(video(b"\x17\x01\0\0\0x"), 1, ms(100))
            .within(secs(4))
            .served(),
        publishing("a command of 64 KiB and one byte, from a publisher")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[0; 65_537]))
            .breaks_the_protocol("while streaming: command over the limit of 65536"),
        publishing("a configuration for each of 2,000 codecs, and a picture after each")
            .says(headers)
            .within(secs(3))
            .grows(2 << 20)
            .served(),
        publishing("headers of 256 tracks").says(tracks).within(secs(2)).served(),
        publishing("headers of 500 kB, each another, and a picture after each")
            .again(large_header(1), 1)
            .does(Deed::Wait(ms(400)))
            .says((2..90).flat_map(large_header).collect::<Vec<_>>())
            .within(secs(90))
            .grows(LOG_BYTES * 3 / 2)
            .served(),
        publishing("100,000 messages of nothing")
            .again([0x06u8, 0, 0, 0, 0, 0, 0, 8, 1, 0, 0, 0].repeat(1_000), 100)
            .within(secs(3))
            .grows(LOG_BYTES * 3 / 2)
            .served(),
        publishing("100,000 messages of nothing, in aggregates")
            .again(aggregate(1_000), 100)
            .within(secs(4))
            .grows(LOG_BYTES * 3 / 2)
            .served(),
    ]);
    cases
}

fn floods() -> Vec<Case> {
    let deaf = |name: &str, bytes: Vec<u8>| {
        connected(name)
            .does(Deed::Deaf)
            .does(Deed::Again(bytes.repeat(40).into(), 2_000, Duration::ZERO))
            .ends(Ending::Deaf, "it asks faster than it reads")
            .within(secs(10))
    };
    vec![
        deaf("pings, whose answers it does not read", wire::ping(7)),
        deaf("calls, whose answers it does not read", wire::command("what", 1.0, &[])),
        deaf("bandwidths, whose answers it does not read", wire::control(kind::BANDWIDTH, 1)),
        deaf("new streams, whose ids it does not read", wire::create_stream()),
        met("20,000 pings as fast as they go, which is faster than it reads")
            .says(wire::connect("live"))
            .again(wire::ping(7).repeat(100), 200)
            .ends(Ending::Deaf, "it asks faster than it reads")
            .within(secs(5)),
        connected("3,000 pings in one breath").says(wire::ping(7).repeat(3_000)).within(secs(5)).served(),
        connected("2,000 pings a second")
            .does(Deed::Again(wire::ping(7).repeat(20).into(), 400, ms(10)))
            .within(secs(8))
            .served(),
        connected("20,000 acknowledgements")
            .again(wire::control(kind::ACKNOWLEDGEMENT, 7).repeat(100), 200)
            .within(secs(5))
            .served(),
        connected("20,000 unknown user control events")
            .again(wire::user_control(999, 7).repeat(100), 200)
            .within(secs(5))
            .served(),
        connected("an acknowledgement is asked for after every byte")
            .says(wire::control(kind::WINDOW, 1))
            .again(wire::message(4, 0, 99, 0, &[0; 1_000]), 300)
            .served(),
        connected("an acknowledgement is asked for after 2^32 - 1 bytes")
            .says(wire::control(kind::WINDOW, u32::MAX))
            .served(),
        connected("an acknowledgement is asked for after none")
            .says(wire::control(kind::WINDOW, 0))
            .again(wire::message(4, 0, 99, 0, &[0; 1_000]), 300)
            .served(),
        connected("4 MB of messages that nobody knows")
            .again(wire::message(4, 0, 99, 0, &[0; 100_000]), 40)
            .within(secs(5))
            .served(),
        playing("a player that says 2,000 pings a second")
            .does(Deed::Again(wire::ping(7).repeat(20).into(), 400, ms(10)))
            .within(secs(5))
            .served(),
        playing("a player that leaves with bytes unread")
            .does(Deed::Deaf)
            .does(Deed::Wait(secs(1)))
            .does(Deed::Close)
            .ends(Ending::Lost, "connection lost")
            .within(secs(3)),
    ]
}

fn all() -> Vec<Case> {
    [handshakes(), chunks(), values(), commands(), names(), media(), floods()].into_iter().flatten().collect()
}

#[test]
fn whoever_cannot_shake_hands_is_shown_out() {
    play(handshakes);
}

#[test]
fn chunks_may_be_odd_and_not_wrong() {
    play(chunks);
}

#[test]
fn values_are_read_as_far_as_they_go() {
    play(values);
}

#[test]
fn commands_are_answered_or_left_alone() {
    play(commands);
}

#[test]
fn names_are_data() {
    play(names);
}

#[test]
fn media_is_passed_on_and_looked_at_carefully() {
    play(media);
}

#[test]
fn floods_are_drunk_or_ended() {
    play(floods);
}

#[test]
fn there_are_more_than_a_hundred_of_them_and_no_two_are_the_same() {
    let _alone = beside::alone();
    beside::are_many(all().iter().map(|case| &case.name));
}

/// What ffmpeg says when it publishes, from its first byte on.
const RECORDED: &[u8] = include_bytes!("../../fixtures/ffmpeg/5.1-publish.c2s.bin");
/// So much of it is played, with some pictures.
const PLAYED: usize = 24_000;

/// Places in it: all over the handshake, dense in the commands, all over the media.
fn places() -> Vec<usize> {
    let places = (0..3_073).step_by(512).chain((3_073..3_500).step_by(5)).chain((3_500..PLAYED).step_by(1_009));
    places.collect()
}

#[test]
fn a_session_with_one_bit_flipped_anywhere_is_served_or_ended() {
    let _alone = beside::alone();
    let mut outcomes = String::new();
    let mut failures = String::new();
    for (n, at) in places().into_iter().enumerate() {
        let (mut bytes, bit) = (RECORDED[..PLAYED].to_vec(), n % 8);
        bytes[at] ^= 1 << bit;
        let deeds = vec![Deed::Say(bytes.into())];
        beside::judge(&mut failures, &format!("byte {at}, bit {bit}"), || {
            let met = meet(deeds, secs(1), beside::HEAP_MAX, |gone, _| gone);
            let told = met.log.lines().rev().find_map(|line| line.split_once("connection ended: "));
            let refused = met.log.lines().rev().find_map(|line| line.split_once("publishing refused: "));
            let outcome = match (met.gone, refused, told) {
                (true, Some((_, why)), _) | (true, _, Some((_, why))) => why.split(" peer=").next().unwrap_or(why),
                (true, ..) => "stopped",
                (false, ..) if met.log.contains("stream=live/ff51") => "publishes",
                (false, ..) if met.log.matches("publishing started").count() > 1 => "publishes by another name",
                (false, ..) => "waits",
            };
            outcomes += &format!("{at:6}.{bit}  {outcome}\n");
        });
    }
    assert!(failures.is_empty(), "\n{failures}");
    insta::assert_snapshot!("flipped_clients", outcomes);
}
