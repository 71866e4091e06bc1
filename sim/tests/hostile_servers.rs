//! Hostile servers: what each answers a destination, byte by byte, and what the destination makes of it, while a stream beside it
//! loses nothing and memory stays flat. What is legal but unusual is published to.

#![allow(missing_docs)]

use std::time::Duration;

use rtmp_relay::destination::{State, Status};
use sim::wire::{self, kind};
use sim::{Deed, World, ms, secs};

mod beside;

use beside::Does;

/// A villain, and what a destination gets from it.
struct Case {
    name: String,
    /// With each connection.
    deeds: Vec<Deed>,
    outcome: Outcome,
    takes: Duration,
    heap: usize,
}

/// What a destination makes of it.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// It is lost, for an error of this class and in these words.
    Lost(&'static str, &'static str),
    /// It is live, and the log says this of it.
    Live(&'static str),
}

fn case(name: impl Into<String>) -> Case {
    let outcome = Outcome::Live("destination live");
    Case { name: name.into(), deeds: Vec::new(), outcome, takes: secs(4), heap: beside::HEAP_MAX }
}

impl Does for Case {
    fn does(mut self, deed: Deed) -> Self {
        self.deeds.push(deed);
        self
    }
}

impl Case {
    fn leaves(self) -> Self {
        self.does(Deed::Wait(ms(50))).does(Deed::Close)
    }

    fn resets(self) -> Self {
        self.does(Deed::Deaf).does(Deed::Wait(ms(400))).does(Deed::Close)
    }

    fn lost(mut self, class: &'static str, text: &'static str) -> Self {
        self.outcome = Outcome::Lost(class, text);
        self
    }

    /// It takes this long until a destination has lost its patience twice.
    fn slowly(mut self) -> Self {
        self.takes = secs(26);
        self
    }

    fn within(mut self, takes: Duration) -> Self {
        self.takes = takes;
        self
    }

    fn and_the_log_says(mut self, told: &'static str) -> Self {
        self.outcome = Outcome::Live(told);
        self
    }

    fn grows(mut self, heap: usize) -> Self {
        self.heap = heap;
        self
    }

    fn play(&self) {
        let heap = beside::Heap::now();
        let mut world = stage(self.deeds.clone());
        let began = world.now();
        match self.outcome {
            Outcome::Lost(class, text) => {
                let twice = |world: &World| {
                    let status = status(world);
                    status.attempts >= 3 && status.last_error.as_deref() == Some(text)
                };
                while world.now() < began + self.takes && !twice(&world) {
                    world.run(ms(10));
                }
                let (log, status) = (world.story(), status(&world));
                assert_eq!(status.last_error.as_deref(), Some(text), "{log}");
                assert!(status.attempts >= 3, "{} attempts in {:?}", status.attempts, self.takes);
                assert_ne!(status.state, State::Live);
                let line = format!("destination lost: {text} destination=villain class={class} ");
                let lives = log.matches("destination live destination=villain").count();
                assert!(
                    (1..=lives.max(1)).contains(&log.matches(&line).count()),
                    "{line} is said once a session:\n{log}"
                );
            }
            Outcome::Live(told) => {
                let answered = |world: &World| {
                    let seen = world.sprung("villain");
                    status(world).state == State::Live && seen.last().is_some_and(|seen| seen.borrow().done)
                };
                while world.now() < began + self.takes && !answered(&world) {
                    world.run(ms(10));
                }
                world.run(secs(1));
                let (log, status) = (world.story(), status(&world));
                assert!(answered(&world), "{status:?}, {:?}\n{log}", world.sprung("villain"));
                assert_eq!(status.state, State::Live, "{log}");
                beside::is_told(&log, told);
            }
        }
        let took = world.now() - began;
        finish(world);
        let (growth, limit) = (heap.growth(), self.heap + beside::HEAP_A_SECOND * took.as_secs() as usize);
        assert!(growth <= limit, "the heap has grown by {growth} bytes, over {limit}");
    }
}

/// A world whose second destination meets the villain, with every connection anew.
fn stage(deeds: Vec<Deed>) -> World {
    let mut world = beside::world(1, &[&format!("rtmp://villain/live/{}", beside::KEY)]).villain_server("villain");
    world.trap("villain", deeds);
    world.run(ms(50));
    world
}

fn status(world: &World) -> Status {
    world.status("relay", "villain")
}

/// What is said of the villain is short, clean and not the key; and nobody else has noticed it.
fn finish(mut world: World) {
    let status = status(&world);
    for text in status.reason.iter().chain(&status.last_error) {
        assert!(text.len() < 200 && !text.chars().any(char::is_control) && !text.contains(beside::KEY), "{text:?}");
    }
    beside::the_log_is_clean(&world.story());
    beside::nothing_is_lost(&mut world);
}

fn play(cases: fn() -> Vec<Case>) {
    let _alone = beside::alone();
    let mut failures = String::new();
    for case in &cases() {
        beside::judge(&mut failures, &case.name, || case.play());
    }
    assert!(failures.is_empty(), "\n{failures}");
}

/// S0, S1 and S2.
fn hello() -> Vec<u8> {
    [wire::hello(), wire::echo()].concat()
}

/// `_result` with this in it.
fn result(transaction: f64, value: Vec<u8>) -> Vec<u8> {
    wire::command("_result", transaction, &[wire::null(), value])
}

fn error(transaction: f64, code: &str, description: &str) -> Vec<u8> {
    wire::command("_error", transaction, &[wire::null(), wire::status("error", code, description)])
}

fn on_status(level: &str, code: &str) -> Vec<u8> {
    wire::command_on(1, "onStatus", 0.0, &[wire::null(), wire::status(level, code, "as you like it")])
}

fn connect_success() -> Vec<u8> {
    result(1.0, wire::status("status", "NetConnection.Connect.Success", ""))
}

fn stream(id: f64) -> Vec<u8> {
    result(4.0, wire::number(id))
}

fn start() -> Vec<u8> {
    on_status("status", "NetStream.Publish.Start")
}

/// A server that has been asked to connect.
fn asked_to_connect(name: impl Into<String>) -> Case {
    case(name).says(hello()).hears("connect")
}

/// A server that has been asked for a stream.
fn asked_for_a_stream(name: impl Into<String>) -> Case {
    asked_to_connect(name).says(connect_success()).hears("createStream")
}

/// A server that has been asked to publish.
fn asked_to_publish(name: impl Into<String>) -> Case {
    asked_for_a_stream(name).says(stream(1.0)).hears("publish\0\x40\x14")
}

/// A server that is published to.
fn published_to(name: impl Into<String>) -> Case {
    asked_to_publish(name).says(start()).hears(b"\x17\x01\0\0\0")
}

const NETWORK: &str = "network";

fn handshakes() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in [0, 1, 2, 4, 32, 255] {
        let wrong = case(format!("S0 is {version}")).says([version]);
        cases.push(wrong.lost(NETWORK, "protocol error in the handshake: malformed S0 (RTMP 1.0 §5.2.2)"));
    }
    for version in [6, 8, 9] {
        let encrypted = case(format!("S0 is {version}, which is encrypted RTMP")).says([version]);
        let text = "protocol error in the handshake: unsupported: encrypted RTMP (RTMPE)";
        cases.push(encrypted.lost(NETWORK, text));
    }
    for (what, greeting) in [
        ("SSH", "SSH-2.0-OpenSSH_9.2\r\n"),
        ("a mail server", "220 mail ESMTP\r\n"),
        ("Redis", "-ERR unknown command\r\n"),
    ] {
        let other = case(format!("{what} is there instead")).says(greeting);
        cases.push(other.lost(NETWORK, "protocol error in the handshake: malformed S0 (RTMP 1.0 §5.2.2)"));
    }
    let late = "timed out in the handshake";
    let closed = "closed by the peer in the handshake";
    cases.extend([
        case("HTTP is there instead")
            .says("HTTP/1.1 400 Bad Request\r\n\r\n")
            .lost(NETWORK, "protocol error in the handshake: unsupported: HTTP on an RTMP port"),
        case("TLS is there instead")
            .says(b"\x16\x03\x03\0\x02\x02\x28")
            .lost(NETWORK, "protocol error in the handshake: unsupported: TLS on a plain RTMP port"),
        case("it closes without a word, when it has heard C1")
            .hears([3, 0, 0, 0, 0])
            .does(Deed::Wait(ms(50)))
            .does(Deed::Shut)
            .lost(NETWORK, closed),
        case("it resets")
            .does(Deed::Deaf)
            .does(Deed::Wait(ms(100)))
            .does(Deed::Close)
            .lost(NETWORK, "connection lost in the handshake: Connection reset"),
        case("it closes inside S1").says(&hello()[..700]).does(Deed::Shut).lost(NETWORK, closed),
        case("it closes before the last byte of S2").says(&hello()[..3_072]).does(Deed::Shut).lost(NETWORK, closed),
        case("it never says a word").lost(NETWORK, late).slowly(),
        case("S0 and no more").says([3]).lost(NETWORK, late).slowly(),
        case("S2 never comes").says(wire::hello()).lost(NETWORK, late).slowly(),
        case("S2 lacks its last byte").says(&hello()[..3_072]).lost(NETWORK, late).slowly(),
        case("slow-loris: S1 in bytes, one every 20 ms").drips(hello(), 1, ms(20)).lost(NETWORK, late).slowly(),
        case("slow-loris: S1 in pieces, one every 5 s").drips(hello(), 1_000, secs(5)).lost(NETWORK, late).slowly(),
        case("S1 and S2 of zeros")
            .says([3])
            .says([0; 2 * wire::SIZE])
            .hears("connect")
            .says([connect_success(), stream(1.0), start()].concat()),
        case("S1 and S2 of ones")
            .says([3])
            .says([0xff; 2 * wire::SIZE])
            .hears("connect")
            .says([connect_success(), stream(1.0), start()].concat()),
        case("all its answers in one breath, before there are questions")
            .says([hello(), connect_success(), stream(1.0), start()].concat()),
        case("all its answers in bytes")
            .drips(&[hello(), connect_success(), stream(1.0), start()].concat()[3_000..], 1, ms(1))
            .lost(NETWORK, "protocol error in the handshake: malformed S0 (RTMP 1.0 §5.2.2)"),
        case("two handshakes")
            .says([hello(), hello()].concat())
            .lost(NETWORK, "protocol error in connect: malformed chunk header (RTMP 1.0 §5.3.1)"),
    ]);
    cases
}

/// One family for each way in which chunks can be wrong, the same as of clients, in the first answer.
fn chunks() -> Vec<Case> {
    let mut cases = Vec::new();
    let rest = || [connect_success(), stream(1.0), start()].concat();
    for size in [0, 0x8000_0000, 0xffff_ffff] {
        let wrong = asked_to_connect(format!("chunk size {size:#x}")).says(wire::control(kind::SET_CHUNK_SIZE, size));
        cases.push(wrong.lost(NETWORK, "protocol error in connect: malformed Set Chunk Size (RTMP 1.0 §5.4.1)"));
    }
    for size in [1, 2, 127, 0xff_ffff, 0x7fff_ffff] {
        let in_chunks = |stream, payload: &[u8]| wire::in_chunks(size as usize, 3, 0, kind::COMMAND, stream, payload);
        let success = [wire::text("_result"), wire::number(1.0), wire::null(), wire::status("status", "", "")].concat();
        let created = [wire::text("_result"), wire::number(4.0), wire::null(), wire::number(1.0)].concat();
        let started = [
            wire::text("onStatus"),
            wire::number(0.0),
            wire::null(),
            wire::status("status", "NetStream.Publish.Start", ""),
        ]
        .concat();
        let odd =
            asked_to_connect(format!("chunk size {size:#x} is legal")).says(wire::control(kind::SET_CHUNK_SIZE, size));
        cases.push(odd.says([in_chunks(0, &success), in_chunks(0, &created), in_chunks(1, &started)].concat()));
    }
    for (what, length) in [("nothing", 0), ("three bytes", 3)] {
        let short = |kind, what| asked_to_connect(what).says(wire::message(2, 0, kind, 0, &vec![0; length]));
        cases.extend([
            short(kind::SET_CHUNK_SIZE, format!("Set Chunk Size of {what}"))
                .lost(NETWORK, "protocol error in connect: malformed Set Chunk Size (RTMP 1.0 §5.4.1)"),
            short(kind::ABORT, format!("Abort of {what}"))
                .lost(NETWORK, "protocol error in connect: malformed Abort (RTMP 1.0 §5.4.2)"),
            short(kind::USER_CONTROL, format!("a user control message of {what}")).says(rest()),
            short(kind::WINDOW, format!("a window of {what}")).says(rest()),
            short(kind::BANDWIDTH, format!("a bandwidth of {what}")).says(rest()),
        ]);
    }
    for id in [0, 7, 16, 23, 127, 255] {
        let unknown = asked_to_connect(format!("message type {id}, which nobody knows"));
        cases.push(unknown.says(wire::message(5, 0, id, 1, &[0xa5; 300])).says(rest()));
    }
    let promises = |n: u32| -> Vec<u8> {
        (4..4 + n).flat_map(|id| [wire::header(id, 0, 0xff_ffff, kind::VIDEO, 1), vec![0; 128]].concat()).collect()
    };
    let many = |n: u32| -> Vec<u8> { (2..2 + n).flat_map(|id| wire::message(id, 0, 99, 0, &[])).collect() };
    let malformed = "protocol error in connect: malformed chunk header (RTMP 1.0 §5.3.1)";
    let too_many = "protocol error in connect: open chunk streams over the limit of 64";
    cases.extend([
        asked_to_connect("16 MB are promised on each of 60 chunk streams").says(promises(60)).says(rest()),
        asked_to_connect("16 MB are promised on each of 300 chunk streams").says(promises(300)).lost(NETWORK, too_many),
        asked_to_connect("64 chunk streams are legal").says(many(64)).says(rest()),
        asked_to_connect("65 chunk streams").says(many(65)).lost(NETWORK, too_many),
        asked_to_connect("a type 2 header begins a chunk stream").says([0x85, 0, 0, 0]).lost(NETWORK, malformed),
        asked_to_connect("a type 3 header begins a chunk stream").says([0xc5]).lost(NETWORK, malformed),
        asked_to_connect("ones instead of chunks").says([0xff; 5_000]).lost(NETWORK, malformed),
        asked_to_connect("zeros instead of chunks are empty messages of no type").says([0; 1_300]).says(rest()),
        asked_to_connect("the length changes inside a message").says(wire::header(5, 0, 300, kind::VIDEO, 1)).says([0; 128]).says(wire::header(5, 0, 301, kind::VIDEO, 1))
            .lost(NETWORK, "protocol error in connect: malformed chunk header: the length has changed inside a message (RTMP 1.0 §5.3.1)"),
        asked_to_connect("16 MB are promised and begun and aborted a thousand times").again([wire::header(5, 0, 0xff_ffff, kind::VIDEO, 1), vec![0; 128], wire::control(kind::ABORT, 5)].concat(), 1_000).says(rest()),
        asked_to_connect("answers on chunk stream 65,599").says(wire::message(65_599, 0, kind::COMMAND, 0, &[wire::text("_result"), wire::number(1.0)].concat())).says([stream(1.0), start()].concat()),
    ]);
    cases
}

fn nested(depth: usize) -> Vec<u8> {
    [b"\x03\0\x01a".repeat(depth), vec![5], b"\0\0\x09".repeat(depth)].concat()
}

fn values() -> Vec<Case> {
    let mut cases = Vec::new();
    let malformed: Vec<(&str, Vec<u8>)> = vec![
        ("objects inside each other, one over the limit", nested(16)),
        ("objects inside each other, nine thousand of them", nested(9_000)),
        ("arrays inside each other, ten thousand of them", b"\x0a\0\0\0\x01".repeat(10_000)),
        ("4,097 values", [&b"\x0a\0\0\x10\x01"[..], &[5; 4_097]].concat()),
        ("an array of 4 GiB", b"\x0a\xff\xff\xff\xff".to_vec()),
        ("a string longer than its message", b"\x02\xff\xff".to_vec()),
        ("a long string of 4 GiB", b"\x0c\xff\xff\xff\xff".to_vec()),
        ("a key longer than its message", b"\x03\xff\xffkey".to_vec()),
        ("a number cut short", b"\0\x40".to_vec()),
        ("a marker of no type", vec![0x12]),
    ];
    for (name, value) in malformed {
        cases.push(
            asked_to_connect(format!("connect is answered with {name}"))
                .says(result(1.0, value))
                .lost(NETWORK, "protocol error in connect: malformed command (RTMP 1.0 §7.2)"),
        );
    }
    let odd: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", vec![]),
        ("objects inside each other up to the limit", nested(15)),
        ("an ECMA array that counts 4 Gi and has none", b"\x08\xff\xff\xff\xff\0\0\x09".to_vec()),
        ("an object without an end", b"\x03\0\x01a\x05".to_vec()),
        ("a value in AMF3", vec![0x11, 0x0a, 0x0b, 1]),
        ("bytes that are no UTF-8", b"\x02\0\x04\xff\xfe\xc0\x80".to_vec()),
        ("a string of 60,000 bytes", wire::text(&"x".repeat(60_000))),
        (
            "a list of codecs without end",
            wire::object(&[("fourCcList", [&b"\x0a\0\0\x0f\x00"[..], &wire::text("hvc1").repeat(3_840)].concat())]),
        ),
        (
            "capabilities of NaN",
            wire::object(&[
                ("capsEx", wire::number(f64::NAN)),
                ("videoFourCcInfoMap", wire::object(&[("*", wire::number(-1e300))])),
            ]),
        ),
    ];
    for (name, value) in odd {
        cases.push(
            asked_to_connect(format!("connect is answered with {name}, which is read"))
                .says(result(1.0, value))
                .says([stream(1.0), start()].concat()),
        );
    }
    cases
}

/// Codes that servers refuse with, and how they are said.
const CODES: [(&str, &str, &str); 12] = [
    ("that is known", "NetConnection.Connect.Rejected", "NetConnection.Connect.Rejected"),
    ("that nobody knows", "NetConnection.Connect.BadDay", "NetConnection.Connect.BadDay"),
    ("of no bytes", "", "(no known code)"),
    ("that is not one", "Error 500", "(no known code)"),
    ("that is a path", "Net../../etc/passwd", "(no known code)"),
    ("with NUL in it", "NetConnection\0", "(no known code)"),
    ("of two lines", "NetConnection.\nERROR forged", "(no known code)"),
    ("that clears the screen", "Net\x1b[2J", "(no known code)"),
    ("beyond ASCII", "NetConnection.Überlast", "(no known code)"),
    ("that is the key", beside::KEY, "(no known code)"),
    ("that has the key in it", "NetConnection.Connect.Nk7canary5Qm", "(no known code)"),
    ("of 65 bytes", "NetConnection.Connect.Xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "(no known code)"),
];

fn refusals() -> Vec<Case> {
    let mut cases = Vec::new();
    let leak = |text: String| -> &'static str { text.leak() };
    for (what, code, said) in CODES {
        let refused =
            asked_to_connect(format!("connect is refused with a code {what}")).says(error(1.0, code, beside::KEY));
        cases.push(refused.lost("refused", leak(format!("refused in connect: {said}"))));
        let refused = asked_to_publish(format!("publish is refused with a code {what}")).says(on_status("error", code));
        cases.push(refused.lost("key_rejected", leak(format!("refused when asked to publish or play: {said}"))));
        let kicked = published_to(format!("a stream is ended with a code {what}")).says(on_status("error", code));
        cases.push(kicked.lost("kicked", leak(format!("ended by the server: {said}"))));
    }
    let long = "N".repeat(60_000);
    let login = "login_rejected";
    cases.extend([
        asked_to_connect("connect is refused with a code of 60,000 bytes").says(error(1.0, &long, "")).lost("refused", "refused in connect: (no known code)"),
        asked_to_connect("connect is refused with a description of 60,000 bytes").says(error(1.0, "NetConnection.Connect.Rejected", &long)).lost("refused", "refused in connect: NetConnection.Connect.Rejected"),
        asked_to_connect("connect is refused without a word").says(wire::command("_error", 1.0, &[])).lost("refused", "refused in connect: (no known code)"),
        asked_to_connect("connect is refused with a number").says(wire::command("_error", 1.0, &[wire::null(), wire::number(7.0)])).lost("refused", "refused in connect: (no known code)"),
        asked_to_connect("connect is refused by onStatus").says(on_status("ERROR", "NetConnection.Connect.Closed")).lost("refused", "refused in connect: NetConnection.Connect.Closed"),
        asked_to_connect("a password is asked for, and there is none").says(error(1.0, "NetConnection.Connect.Rejected", "[ code=403 need auth; authmod=adobe ]")).lost(login, "refused in connect: the server wants a user name and password: put them into the URL, as in rtmp://user:password@host/app/key"),
        asked_to_connect("a password is asked for, in a way nobody knows").says(error(1.0, "NetConnection.Connect.Rejected", "authmod=\x1b[2Jroot")).lost(login, "refused in connect: the server wants a kind of login that is not supported, only adobe and llnw"),
        asked_for_a_stream("createStream is refused").says(error(4.0, "NetConnection.Call.Failed", "")).lost("refused", "refused in createStream: NetConnection.Call.Failed"),
        asked_to_publish("publish is refused by _error").says(error(5.0, "NetStream.Publish.Denied", "")).lost("key_rejected", "refused when asked to publish or play: NetStream.Publish.Denied"),
        asked_to_publish("the name is in use").says(on_status("error", "NetStream.Publish.BadName")).lost("already_live", "refused when asked to publish or play: NetStream.Publish.BadName"),
        asked_to_publish("it says that the stream goes in a circle").says(on_status("error", "NetStream.Publish.Loop")).lost("loop", "refused when asked to publish or play: NetStream.Publish.Loop"),
        published_to("it unpublishes").says(on_status("status", "NetStream.Unpublish.Success")).lost("kicked", "ended by the server: NetStream.Unpublish.Success"),
        published_to("it refuses and refuses and refuses").again(on_status("error", "NetStream.Failed"), 100).lost("kicked", "ended by the server: NetStream.Failed"),
    ]);
    for (id, what) in [
        (0.0, "0"),
        (-1.0, "-1"),
        (f64::NAN, "NaN"),
        (f64::INFINITY, "infinite"),
        (4_294_967_296.0, "2^32"),
        (0.5, "a half"),
    ] {
        let wrong = asked_for_a_stream(format!("the new stream's id is {what}")).says(stream(id));
        cases.push(
            wrong.lost(
                NETWORK,
                "protocol error in createStream: malformed stream id of createStream (RTMP 1.0 §7.2.1.3)",
            ),
        );
    }
    for (value, what) in [(wire::text("1"), "a string"), (wire::null(), "null"), (vec![], "missing")] {
        let wrong = asked_for_a_stream(format!("the new stream's id is {what}")).says(result(4.0, value));
        cases.push(
            wrong.lost(
                NETWORK,
                "protocol error in createStream: malformed stream id of createStream (RTMP 1.0 §7.2.1.3)",
            ),
        );
    }
    cases
}

fn silences() -> Vec<Case> {
    let connect = "timed out in connect";
    let create = "timed out in createStream";
    let publish = "timed out when asked to publish or play";
    vec![
        asked_to_connect("connect is not answered").lost(NETWORK, connect).slowly(),
        asked_to_connect("connect is answered with a ping every 100 ms")
            .does(Deed::Again(wire::ping(1).into(), 300, ms(100)))
            .lost(NETWORK, connect)
            .slowly(),
        asked_to_connect("another call than connect is answered")
            .says(result(99.0, wire::null()))
            .lost(NETWORK, connect)
            .slowly(),
        asked_to_connect("createStream is answered before connect").says(stream(1.0)).lost(NETWORK, connect).slowly(),
        asked_to_connect("publish is answered before connect").says(start()).lost(NETWORK, connect).slowly(),
        asked_to_connect("slow-loris: the answer to connect in bytes, one every 500 ms")
            .drips(connect_success(), 1, ms(500))
            .lost(NETWORK, connect)
            .slowly(),
        asked_to_connect("it closes when asked to connect").leaves().lost(NETWORK, "closed by the peer in connect"),
        asked_for_a_stream("createStream is not answered").lost(NETWORK, create).slowly(),
        asked_for_a_stream("connect is answered again and again, and createStream not")
            .does(Deed::Again(connect_success().into(), 300, ms(100)))
            .lost(NETWORK, create)
            .slowly(),
        asked_for_a_stream("it closes when asked for a stream")
            .leaves()
            .lost(NETWORK, "closed by the peer in createStream"),
        asked_to_publish("publish is not answered").lost(NETWORK, publish).slowly(),
        asked_to_publish("publish is answered with a code that says nothing")
            .says(on_status("status", "NetStream.Publish.Perhaps"))
            .lost(NETWORK, publish)
            .slowly(),
        asked_to_publish("publish is answered with a warning")
            .says(on_status("warning", "NetStream.Publish.BadName"))
            .lost(NETWORK, publish)
            .slowly(),
        asked_to_publish("publish is answered with a status of nothing")
            .says(wire::command_on(1, "onStatus", 0.0, &[]))
            .lost(NETWORK, publish)
            .slowly(),
        asked_to_publish("it closes when asked to publish")
            .leaves()
            .lost("key_rejected", "closed by the peer when asked to publish or play"),
        published_to("it closes after the first key frame")
            .leaves()
            .lost(NETWORK, "closed by the peer while streaming"),
        published_to("it resets after the first key frame")
            .resets()
            .lost(NETWORK, "connection lost while streaming: Connection reset"),
    ]
}

fn answers() -> Vec<Case> {
    vec![
        asked_for_a_stream("the new stream's id is 2^32 - 1, which is legal")
            .says(stream(4_294_967_295.0))
            .says(start()),
        asked_for_a_stream("the new stream's id is 1,000,000, which is legal").says(stream(1e6)).says(start()),
        asked_to_publish("publish is answered with a plain result").says(result(5.0, wire::null())),
        asked_to_publish("publish is answered on message stream 77").says(wire::command_on(
            77,
            "onStatus",
            9.0,
            &[wire::null(), wire::status("", "NetStream.Publish.Start", "")],
        )),
        asked_to_publish("publish is answered twice").says(start().repeat(2)),
        asked_to_publish("publish is answered after calls of its own")
            .says(
                [
                    wire::command("onBWDone", 2.0, &[]),
                    wire::command("close", 0.0, &[]),
                    wire::command("connect", 1.0, &[]),
                    wire::command("publish", 3.0, &[wire::null(), wire::text("mine")]),
                ]
                .concat(),
            )
            .says(start()),
        asked_to_connect("connect is answered after media")
            .says(wire::message(6, 0, kind::VIDEO, 1, &[0x17; 5_000]).repeat(20))
            .says([connect_success(), stream(1.0), start()].concat()),
        asked_to_connect("a command of 64 KiB and one byte")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[0; 65_537]))
            .lost(NETWORK, "protocol error in connect: command over the limit of 65536"),
        asked_to_connect("a command of no bytes")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[]))
            .says([connect_success(), stream(1.0), start()].concat()),
        asked_to_connect("garbage instead of a command")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[0x77; 50]))
            .lost(NETWORK, "protocol error in connect: malformed command (RTMP 1.0 §7.2)"),
        published_to("garbage instead of a command, while it is published to").says(wire::message(
            3,
            0,
            kind::COMMAND,
            0,
            &[0x77; 50],
        )),
        published_to("a command of 64 KiB and one byte, while it is published to")
            .says(wire::message(3, 0, kind::COMMAND, 0, &[0; 65_537]))
            .lost(NETWORK, "protocol error while streaming: command over the limit of 65536"),
        published_to("chunk size 0, while it is published to")
            .says(wire::control(kind::SET_CHUNK_SIZE, 0))
            .lost(NETWORK, "protocol error while streaming: malformed Set Chunk Size (RTMP 1.0 §5.4.1)"),
        published_to("chunk size 1, while it is published to").says(wire::control(kind::SET_CHUNK_SIZE, 1)),
        published_to("text instead of chunks, while it is published to")
            .says([0xff; 300])
            .lost(NETWORK, "protocol error while streaming: malformed chunk header (RTMP 1.0 §5.3.1)"),
        published_to("media of its own").again(wire::message(6, 0, kind::VIDEO, 1, &[0x17; 50_000]), 40),
        published_to("aggregates of nothing")
            .again(wire::message(6, 0, kind::AGGREGATE, 1, &b"\x08\0\0\0\0\0\0\0\0\0\0\0\0\0\x0b".repeat(4_000)), 40)
            .within(secs(6)),
        published_to("16 MB of media on one message that lacks its last byte")
            .says(wire::control(kind::SET_CHUNK_SIZE, 0xff_ffff))
            .says(wire::header(6, 0, 0xff_ffff, kind::VIDEO, 1))
            .again([0; 0xffff], 255)
            .within(secs(20))
            .grows(40 << 20),
        published_to("an acknowledgement is asked for after every byte")
            .says(wire::control(kind::WINDOW, 1))
            .again(wire::message(4, 0, 99, 0, &[0; 1_000]), 300),
        published_to("an acknowledgement is asked for after none").says(wire::control(kind::WINDOW, 0)),
        published_to("acknowledgements of bytes that were never sent")
            .again(wire::control(kind::ACKNOWLEDGEMENT, u32::MAX), 1_000),
        published_to("2,000 pings a second")
            .does(Deed::Again(wire::ping(7).repeat(20).into(), 300, ms(10)))
            .within(secs(8)),
        published_to("20,000 unknown user control events")
            .again(wire::user_control(999, 7).repeat(100), 200)
            .within(secs(5)),
        published_to("pings, whose answers it does not read")
            .does(Deed::Deaf)
            .again(wire::ping(7).repeat(40), 2_000)
            .lost(NETWORK, "it asks faster than it reads while streaming")
            .within(secs(12)),
        asked_to_connect("bandwidths, whose answers it does not read")
            .does(Deed::Deaf)
            .again(wire::control(kind::BANDWIDTH, 1).repeat(40), 2_000)
            .lost(NETWORK, "it asks faster than it reads in connect")
            .within(secs(12)),
        published_to("it starts it again, many times").again(start(), 500),
    ]
}

/// `ReconnectRequest` to somewhere.
fn elsewhere(tc_url: &str) -> Vec<u8> {
    let information = [
        ("level", wire::text("status")),
        ("code", wire::text("NetConnection.Connect.ReconnectRequest")),
        ("tcUrl", wire::text(tc_url)),
    ];
    wire::command("onStatus", 0.0, &[wire::null(), wire::object(&information)])
}

fn diversions() -> Vec<Case> {
    let declined = "the server asks for a connection that is not made";
    let mut cases = Vec::new();
    let long = format!("rtmp://{}/live", "x".repeat(50_000));
    for (what, to) in [
        ("another protocol", "http://villain/live"),
        ("a file", "file:///etc/passwd"),
        ("a script", "javascript:alert(1)"),
        ("garbage", "\x1b[2J\0\n"),
        ("nowhere", "rtmp://"),
        ("a port that is none", "rtmp://villain:99999/live"),
        ("a user of its own", "rtmp://user:password@villain/live"),
    ] {
        let diverted = published_to(format!("it sends us to {what}")).says(elsewhere(to));
        cases.push(diverted.and_the_log_says(declined));
    }
    cases.extend([
        published_to("it sends us to a thousand bad places, which is said once")
            .again(elsewhere("http://x/y"), 1_000)
            .and_the_log_says(declined),
        published_to("it asks for a new connection each time")
            .says(elsewhere(""))
            .lost(NETWORK, "the server asks for a new connection again and again")
            .within(secs(30)),
        asked_to_connect("it sends us on before it answers")
            .says(elsewhere(""))
            .lost(NETWORK, "the server asks for a new connection again and again")
            .within(secs(30)),
        published_to("it sends us to a host of 50,000 letters").says(elsewhere(&long)).and_the_log_says(declined),
        asked_to_connect("it sends us to a host that is not there")
            .says(elsewhere("rtmp://nobody/live"))
            .lost(NETWORK, "the server asks for a new connection again and again")
            .within(secs(30)),
    ]);
    cases
}

fn all() -> Vec<Case> {
    let families = [handshakes(), chunks(), values(), refusals(), silences(), answers(), diversions()];
    families.into_iter().flatten().collect()
}

#[test]
fn whoever_cannot_shake_hands_is_told_what_is_there() {
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
fn refusals_are_said_in_words_of_ours() {
    play(refusals);
}

#[test]
fn silence_has_an_end() {
    play(silences);
}

#[test]
fn answers_may_be_odd() {
    play(answers);
}

#[test]
fn nobody_is_sent_where_he_should_not_go() {
    play(diversions);
}

#[test]
fn there_are_more_than_a_hundred_of_them_and_no_two_are_the_same() {
    let _alone = beside::alone();
    beside::are_many(all().iter().map(|case| &case.name));
}

/// Places in a server's answers: all over the handshake, all of what follows.
fn places(length: usize) -> Vec<usize> {
    (0..3_073).step_by(512).chain(3_073..length).collect()
}

#[test]
fn answers_with_one_bit_flipped_anywhere_are_taken_or_said() {
    let _alone = beside::alone();
    let honest = [hello(), connect_success(), stream(1.0), start(), wire::ping(1)].concat();
    let (mut outcomes, mut failures) = (String::new(), String::new());
    for (n, at) in places(honest.len()).into_iter().enumerate() {
        let (mut bytes, bit) = (honest.clone(), n % 8);
        bytes[at] ^= 1 << bit;
        beside::judge(&mut failures, &format!("byte {at}, bit {bit}"), || {
            let heap = beside::Heap::now();
            let mut world = stage(vec![Deed::Say(bytes.into())]);
            world.run(ms(700));
            let status = status(&world);
            let outcome = match (&status.last_error, status.state) {
                (Some(error), _) => error.clone(),
                (None, state) => state.to_string(),
            };
            finish(world);
            assert!(heap.growth() <= beside::HEAP_MAX, "the heap has grown by {} bytes", heap.growth());
            outcomes += &format!("{at:6}.{bit}  {outcome}\n");
        });
    }
    assert!(failures.is_empty(), "\n{failures}");
    insta::assert_snapshot!("flipped_servers", outcomes);
}
