//! Viewers over HTTP: what they are sent, who they may be, and that they cost nobody anything.

#![allow(missing_docs, clippy::unwrap_used)]

mod caller;
mod peers;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use caller::{Caller, Steered};
use peers::{Encoder, PATIENCE, Player, until, video};
use rtmp_relay::config::{self, Config};
use rtmp_relay::flv::Kind;
use rtmp_relay::flv::file::{DURATION_AT, FILE_SIZE_AT, LAST_TIMESTAMP_AT, Reader, Tag};
use rtmp_relay::gate::{Access, Key, Keys, Rules, Who};
use rtmp_relay::inbound::Ending;
use rtmp_relay::limits::{STALL, VIEWERS};
use rtmp_relay::recorder::Rule;
use rtmp_relay::stream::Takeover;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

const TOKEN: &str = "correct-horse-battery-staple";

/// Somebody who has been let in.
struct Viewer {
    stream: BufReader<TcpStream>,
    /// The file as far as it has come.
    file: Vec<u8>,
    reader: Reader,
}

impl Viewer {
    async fn of(relay: &Steered, path: &str) -> Viewer {
        Viewer::on(TcpStream::connect(relay.api.address).await.unwrap(), relay.api.address, path).await
    }

    async fn on(stream: TcpStream, host: SocketAddr, path: &str) -> Viewer {
        let mut viewer = Viewer { stream: BufReader::new(stream), file: Vec::new(), reader: Reader::new() };
        viewer.stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).await.unwrap();
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(viewer.stream.read_line(&mut head).await.unwrap(), 0, "{head}");
        }
        assert!(head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: video/x-flv"), "{head}");
        viewer
    }

    /// The next tag; none at the end of the answer.
    async fn next(&mut self) -> Option<Tag> {
        let next = async {
            loop {
                if let Some(tag) = self.reader.read_tag().unwrap() {
                    return Some(tag);
                }
                let mut size = String::new();
                self.stream.read_line(&mut size).await.unwrap();
                let mut piece = vec![0; usize::from_str_radix(size.trim(), 16).unwrap()];
                self.stream.read_exact(&mut piece).await.unwrap();
                self.stream.read_exact(&mut [0; 2]).await.unwrap();
                if piece.is_empty() {
                    return None;
                }
                self.reader.push(&piece);
                self.file.extend_from_slice(&piece);
            }
        };
        timeout(PATIENCE, next).await.expect("something to see")
    }

    /// Everything to the end: the whole file.
    async fn rest(mut self) -> Vec<u8> {
        while self.next().await.is_some() {}
        self.file
    }

    /// The next picture and its time.
    async fn picture(&mut self) -> (Vec<u8>, u32) {
        loop {
            let tag = self.next().await.unwrap();
            if tag.kind == Kind::Video && tag.payload[1] == 1 {
                return (tag.payload.to_vec(), tag.timestamp);
            }
        }
    }
}

fn playing(key: &str) -> Rules {
    let keys = Keys::parse([&key.to_owned().into()]).unwrap();
    Rules::all(Access::default(), Access { who: Who::Keys(keys), ..Access::default() }, Takeover::Refuse)
}

fn token() -> config::Api {
    let token = Key::parse(&TOKEN.to_owned().into()).unwrap();
    config::Api { token: Some(token), ..config::Api::default() }
}

/// A second of pictures and sound, the first of them a key frame.
async fn second(encoder: &mut Encoder, number: u32) {
    for n in 0..25 {
        let time = number * 1000 + n * 40;
        encoder.send(Kind::Video, time, &video(n == 0, (number * 25 + n) as usize)).await;
        encoder.send(Kind::Audio, time + 5, b"\xaf\x01sound").await;
    }
}

/// The file without what only a file that has ended can know.
fn without_numbers(mut file: Vec<u8>) -> Vec<u8> {
    for at in [DURATION_AT, FILE_SIZE_AT, LAST_TIMESTAMP_AT] {
        file[at as usize..][..8].fill(0);
    }
    file
}

/// The one recording in a folder, once it is complete.
async fn recorded(folder: &Path) -> Vec<u8> {
    let complete = || {
        let mut files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|extension| extension == "flv"))
    };
    until("a recording", || complete().is_some()).await;
    std::fs::read(complete().unwrap()).unwrap()
}

#[tokio::test]
async fn a_viewer_is_sent_the_bytes_that_a_recording_of_the_same_stream_has() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config { recordings: vec![Rule::every(folder.path().into())], ..Config::default() };
    let relay = Steered::start(config).await;
    let mut encoder = Encoder::publish(relay.address, "live/inst/show").await.unwrap();
    encoder.headers().await;
    second(&mut encoder, 0).await;
    let mut viewer = Viewer::of(&relay, "/live/inst/show.flv").await;
    assert_eq!(viewer.picture().await, (video(true, 0), 0));
    encoder.send(Kind::Audio, 999, b"\xaf\x00another").await;
    encoder.send(Kind::Data, 999, b"\x02\0\x0aonCuePoint\x05").await;
    second(&mut encoder, 1).await;
    encoder.end().await;
    let (seen, recorded) = (viewer.rest().await, recorded(folder.path()).await);
    assert!(without_numbers(seen.clone()) == without_numbers(recorded), "{} bytes", seen.len());
}

#[tokio::test]
async fn a_late_viewer_starts_with_a_key_frame_at_zero_and_sees_the_end() {
    let relay = Steered::start(Config::default()).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    for number in 0..3 {
        second(&mut encoder, number).await;
    }
    until("three seconds", || relay.directory.live()[0].1.newest_time() == Some(2965)).await;
    let mut viewer = Viewer::of(&relay, "/live/show.flv").await;
    let mut begins = Vec::new();
    for _ in 0..4 {
        let tag = viewer.next().await.unwrap();
        begins.push((tag.kind, tag.timestamp, String::from_utf8_lossy(&tag.payload[..2]).into_owned()));
    }
    let at_zero = |kind, payload: &[u8]| (kind, 0, String::from_utf8_lossy(payload).into_owned());
    let expected = [
        at_zero(Kind::Data, b"\x02\0"),
        at_zero(Kind::Audio, b"\xaf\0"),
        at_zero(Kind::Video, b"\x17\0"),
        at_zero(Kind::Video, b"\x17\x01"),
    ];
    assert_eq!(begins, expected);
    assert_eq!(viewer.picture().await, (video(false, 51), 40), "the newest second");
    assert_eq!(relay.api.get("/api/v1/streams/live/show").await.json()["players"], 1);
    encoder.end().await;
    let file = viewer.rest().await;
    assert!(file.ends_with(b"sound\0\0\0\x12"), "it ends with a whole tag");
    until("nobody", || relay.visitors.count() == 0).await;
    let journal = relay.api.get("/api/v1/journal?after=0").await.json();
    let codes: Vec<_> =
        journal["entries"].as_array().unwrap().iter().map(|entry| entry["code"].as_str().unwrap()).collect();
    for code in ["player.started", "player.ended"] {
        assert!(codes.contains(&code), "{codes:?}");
    }
    assert_eq!(relay.visitors.endings().into_iter().collect::<Vec<_>>(), [(Ending::Finished, 2)]);
}

#[tokio::test]
async fn a_viewer_that_takes_nothing_costs_nobody_anything_and_is_gone_in_time() {
    let relay = Steered::start(Config::default()).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    let mut player = Player::play(relay.address, "live/show").await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let stalled = socket.connect(relay.api.address).await.unwrap();
    let _stalled = Viewer::on(stalled, relay.api.address, "/live/show.flv").await;
    let began = Instant::now();
    // More than the log holds and sockets take: 64 MiB.
    let picture = [&b"\x27\x01\0\0\0"[..], &vec![7; 256 << 10]].concat();
    let sending = async {
        for n in 0..256u32 {
            let key = [&[if n % 64 == 0 { 0x17 } else { 0x27 }], &picture[1..]].concat();
            encoder.send(Kind::Video, n * 10, &key).await;
        }
        encoder.send(Kind::Data, 2560, b"\x02\0\x04done").await;
    };
    let playing = async {
        let mut pictures = 0;
        loop {
            let message = player.next().await.unwrap();
            match message.type_id {
                18 if message.payload.ends_with(b"done") => return pictures,
                9 if message.payload[1] == 1 => pictures += 1,
                _ => {}
            }
        }
    };
    assert_eq!(tokio::join!(sending, playing).1, 256, "the player has everything");
    assert_eq!(relay.visitors.count(), 3);
    while relay.visitors.count() > 2 {
        assert!(began.elapsed() < STALL + PATIENCE, "it is still there");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(relay.visitors.endings()[&Ending::TimedOut], 1);
}

#[tokio::test]
async fn who_may_not_play_may_not_look_either_and_the_token_opens_every_stream() {
    let relay = Steered::with(token(), Config { gate: playing("secret-key"), ..Config::default() }).await;
    let with = |token: &str| Caller { token: Some(token.to_owned()), ..relay.api.clone() };
    for (path, status, code) in [
        ("/live/show.flv", 403, "denied"),
        ("/live/show.flv?key=wrong", 403, "denied"),
        ("/live/show.flv?key=secret-key", 404, "no_such_stream"),
        ("/live/../show.flv?key=secret-key", 404, "no_such_path"),
        ("/.flv?key=secret-key", 404, "no_such_path"),
        ("/live/show", 401, "no_token"),
        ("/api/v1/streams/live/show.flv", 401, "no_token"),
        ("/api/v1/recordings/show.flv", 401, "no_token"),
    ] {
        let answer = relay.api.get(path).await;
        assert_eq!((answer.status, &*answer.code()), (status, code), "{path}");
        assert!(!answer.body.contains("secret-key"));
    }
    assert_eq!(relay.api.call("DELETE", "/api/v1/destinations/show.flv", None).await.status, 401);
    assert_eq!(with(TOKEN).call("POST", "/live/show.flv", None).await.code(), "no_such_method");
    assert_eq!(with("correct-horse-battery-stable").get("/live/show.flv?key=secret-key").await.status, 401);
    assert_eq!(with(TOKEN).get("/live/show.flv").await.code(), "no_such_stream");
    assert_eq!(relay.visitors.endings()[&Ending::Denied], 2);

    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    second(&mut encoder, 0).await;
    let mut viewer = Viewer::of(&relay, "/live/show.flv?key=secret-key").await;
    assert_eq!(viewer.picture().await.0, video(true, 0));
    // A reverse proxy and a script say HEAD, and are not kept.
    assert_eq!(with(TOKEN).call("HEAD", "/live/show.flv", None).await.status, 200);
    // The session can be ended like any other.
    let sessions = with(TOKEN).get("/api/v1/sessions").await.json();
    let session = sessions["sessions"].as_array().unwrap().iter().find(|session| session["role"] == "play").unwrap();
    assert_eq!(with(TOKEN).call("DELETE", &format!("/api/v1/sessions/{}", session["id"]), None).await.status, 204);
    viewer.rest().await;
}

#[tokio::test]
async fn one_viewer_too_many_is_told_so_and_the_api_still_answers() {
    let relay = Steered::start(Config::default()).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    second(&mut encoder, 0).await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(Viewer::of(&relay, "/live/show.flv").await);
    }
    let answer = relay.api.get("/live/show.flv").await;
    assert_eq!((answer.status, &*answer.code()), (503, "too_many"));
    assert_eq!(relay.api.get("/api/v1/streams/live/show").await.json()["players"], VIEWERS);
    viewers.pop();
    until("a place", || relay.visitors.count() == VIEWERS).await;
    Viewer::of(&relay, "/live/show.flv").await;
}
