//! Relays on real sockets.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use rtmp_relay::destination::State;
use rtmp_relay::flv::{Kind, file};
use rtmp_relay::net::Connection;
use rtmp_relay::net::connection::{Error, NoSource};
use rtmp_relay::rtmp::ServerSession;
use rtmp_relay::rtmp::server::{Event, Role};
use rtmp_relay::rtmp::session::Session;

mod peers;

use peers::{Encoder, PATIENCE, Player, Server, accepted, until, video};

const ANYWHERE: &str = "127.0.0.1:0";

#[tokio::test]
async fn a_player_that_joins_in_mid_gop_has_its_key_frame_within_300_ms() {
    let server = Server::start(ANYWHERE, &[], None).await;
    let mut encoder = Encoder::publish(server.address, "live/show").await.unwrap();
    encoder.headers().await;
    for n in 0..50 {
        encoder.send(Kind::Video, 33 * n as u32, &video(n % 60 == 0, n)).await;
    }
    let asked = Instant::now();
    let mut player = Player::play(server.address, "live/show").await;
    let mut got = Vec::new();
    while got.len() < 3 {
        got.push(player.next().await.unwrap().payload.to_vec());
    }
    let took = asked.elapsed();
    assert_eq!(got[2], video(true, 0), "audio header, video header, key frame");
    assert!(took < Duration::from_millis(300), "{took:?}");
}

#[tokio::test]
async fn interop_39_and_interop_51_a_second_publisher_is_refused_and_the_first_one_goes_on() {
    let server = Server::start(ANYWHERE, &[], None).await;
    let mut first = Encoder::publish(server.address, "live/show").await.unwrap();
    let mut player = Player::play(server.address, "live/show").await;
    first.headers().await;
    for n in 0..20 {
        // Each of them asks for releaseStream and FCPublish first.
        let refused = Encoder::publish(server.address, "live/show?token=x").await.map(|_| ()).unwrap_err();
        assert_eq!(refused, "NetStream.Publish.BadName");
        first.send(Kind::Video, 33 * n, &video(n == 0, n as usize)).await;
    }
    first.end().await;
    let played: Vec<_> = player.rest().await.into_iter().map(|(.., payload)| payload).skip(2).collect();
    assert_eq!(played, (0..20).map(|n| video(n == 0, n)).collect::<Vec<_>>());
}

#[tokio::test]
async fn interop_66_destinations_receive_the_same_stream_and_one_that_is_killed_comes_back() {
    let sinks = [
        Server::start(ANYWHERE, &[], None).await,
        Server::start(ANYWHERE, &[], None).await,
        Server::start(ANYWHERE, &[], None).await,
    ];
    let names = ["a", "b", "c"];
    let destinations: Vec<_> = names.into_iter().zip(sinks.iter().map(|s| s.address)).collect();
    let relay = Server::start(ANYWHERE, &destinations, None).await;
    let mut players = Vec::new();
    for sink in &sinks {
        players.push(Player::play(sink.address, "live/show").await);
    }
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let live = |count: usize| relay.board.statuses().iter().filter(|s| s.state == State::Live).count() == count;
    until("three are live", || live(3)).await;
    encoder.headers().await;
    let mut n = 0;
    let mut frames = async |encoder: &mut Encoder, count: usize| {
        for _ in 0..count {
            encoder.send(Kind::Video, 33 * n as u32, &video(n % 30 == 0, n)).await;
            encoder.send(Kind::Audio, 33 * n as u32, format!("\u{2f}sound {n}").as_bytes()).await;
            n += 1;
        }
    };
    frames(&mut encoder, 100).await;
    let [a, b, c] = sinks;
    let address = c.address;
    c.kill().await;
    until("one is gone", || live(2)).await;
    frames(&mut encoder, 100).await;
    let c = Server::start(&address.to_string(), &[], None).await;
    let mut back = Player::play(address, "live/show").await;
    until("it is back", || live(3)).await;
    frames(&mut encoder, 100).await;
    encoder.end().await;

    players.pop();
    let untouched = [players[0].rest().await, players[1].rest().await];
    assert_eq!(untouched[0].len(), 2 + 600);
    assert_eq!(untouched[0], untouched[1]);
    let payloads = |all: &[(u8, u32, Vec<u8>)]| all.iter().map(|(.., payload)| payload.clone()).collect::<Vec<_>>();
    let (sent, back) = (payloads(&untouched[0]), payloads(&back.rest().await));
    assert_eq!(back[..2], sent[..2], "headers first");
    assert_eq!(&back[2][..5], b"\x17\x01\0\0\0", "then a key frame");
    assert!(back.len() > 100 && sent.ends_with(&back[2..]), "then everything that was sent, to the end");
    let status = relay.board.statuses().into_iter().find(|s| s.name == "c").unwrap();
    assert_eq!(status.reconnects, 1);
    drop((a, b, c));
}

#[tokio::test]
async fn interop_52_rejected_publishers_leave_the_destination_one_session() {
    let sink = Server::start(ANYWHERE, &[], None).await;
    let relay = Server::start(ANYWHERE, &[("sink", sink.address)], None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut player = Player::play(sink.address, "live/show").await;
    until("it is live", || relay.board.statuses().iter().all(|status| status.state == State::Live)).await;
    encoder.headers().await;
    for n in 0..20 {
        assert!(Encoder::publish(relay.address, "live/show").await.is_err());
        encoder.send(Kind::Video, 33 * n, &video(n == 0, n as usize)).await;
    }
    let statuses = relay.board.statuses();
    assert_eq!((statuses.len(), statuses[0].attempts, statuses[0].reconnects), (1, 1, 0));
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 2 + 20);
}

#[tokio::test]
async fn interop_54_and_interop_64_destinations_that_are_dead_from_the_start_hurt_nobody() {
    // Ports that somebody else has just given back: nobody listens there.
    let free = [0; 3].map(|_| std::net::TcpListener::bind(ANYWHERE).unwrap().local_addr().unwrap());
    let dead: Vec<_> = ["a", "b", "c"].into_iter().zip(free).collect();
    let relay = Server::start(ANYWHERE, &dead, None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut player = Player::play(relay.address, "live/show").await;
    encoder.headers().await;
    for n in 0..50 {
        encoder.send(Kind::Video, 33 * n, &video(n == 0, n as usize)).await;
    }
    until("all have been tried", || relay.board.statuses().iter().all(|status| status.attempts > 1)).await;
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 2 + 50);
}

#[tokio::test]
async fn interop_37_and_interop_38_the_connection_of_a_rejected_publisher_is_closed_at_once_and_cleanly() {
    let server = Server::start(ANYWHERE, &[], None).await;
    let _first = Encoder::publish(server.address, "live/show").await.unwrap();
    let mut rejected: Connection<_, _, NoSource> = peers::connect(Role::Publish, server.address, "live/show").await;
    assert_eq!(peers::answer(&mut rejected).await, Err("NetStream.Publish.BadName".to_owned()));
    let asked = Instant::now();
    let ended = loop {
        match rejected.receive().await {
            Ok(_) => while rejected.event().unwrap().is_some() {},
            Err(error) => break error,
        }
    };
    assert!(matches!(ended, Error::Closed { .. }), "an end, not a reset: {ended}");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
}

#[tokio::test]
async fn interop_35_a_server_that_takes_its_time_is_sent_nothing_before_it_has_said_yes() {
    let listener = tokio::net::TcpListener::bind(ANYWHERE).await.unwrap();
    let relay = Server::start(ANYWHERE, &[("slow", listener.local_addr().unwrap())], None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut player = Player::play(relay.address, "live/show").await;
    let (stream, _) = listener.accept().await.unwrap();
    let mut server: Connection<_, _, NoSource> = Connection::new(stream, ServerSession::new([7; 1528]));
    let request = loop {
        match server.event().unwrap() {
            Some(Event::Request(request)) => break request,
            Some(other) => panic!("{other:?}"),
            None => server.receive().await.unwrap(),
        };
    };
    encoder.headers().await;
    for n in 0..50 {
        encoder.send(Kind::Video, 33 * n, &video(n == 0, n as usize)).await;
    }
    // When a player has had it all, an overhasty destination would have sent it too.
    for _ in 0..52 {
        player.next().await.unwrap();
    }
    let early = tokio::time::timeout(Duration::from_millis(20), server.receive()).await;
    assert!(early.is_err() && server.session.input().is_empty(), "{early:?}");
    server.session.accept(request);
    let mut types = Vec::new();
    while types.len() < 3 {
        match server.event().unwrap() {
            Some(Event::Message(message)) => types.push(message.type_id),
            Some(other) => panic!("{other:?}"),
            None => {
                server.receive().await.unwrap();
            }
        }
    }
    assert_eq!(types, [8, 9, 9], "headers and a key frame");
}

#[tokio::test]
async fn interop_82_the_end_of_a_sequence_and_a_time_hours_away_are_no_part_of_a_recordings_duration() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ANYWHERE, &[], Some(folder.path())).await;
    let mut encoder = Encoder::publish(server.address, "live/show").await.unwrap();
    encoder.headers().await;
    for n in 0..50 {
        let time = if n == 30 { 9_000_000 } else { 40 * n };
        encoder.send(Kind::Video, time, &video(n == 0, n as usize)).await;
    }
    encoder.send(Kind::Video, 7_200_000, b"\x17\x02\0\0\0").await;
    encoder.end().await;
    until("the recording has begun", || std::fs::read_dir(folder.path()).unwrap().next().is_some()).await;
    server.end().await;
    let file = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let bytes = std::fs::read(file).unwrap();
    let duration = f64::from_be_bytes(*bytes[file::DURATION_AT as usize..].first_chunk().unwrap());
    assert!((1.9..=2.1).contains(&duration), "{duration} s");
}

#[tokio::test]
async fn garbage_ends_its_own_connection_only() {
    let server = Server::start(ANYWHERE, &[], None).await;
    let mut encoder = Encoder::publish(server.address, "live/show").await.unwrap();
    let mut player = Player::play(server.address, "live/show").await;
    encoder.headers().await;
    for n in 0..50 {
        let address = server.address;
        let garbage = std::thread::spawn(move || {
            let mut random = fastrand::Rng::with_seed(n);
            let mut socket = std::net::TcpStream::connect(address).unwrap();
            let mut bytes = vec![3; 3073];
            bytes.resize(3073 + random.usize(..5000), 0);
            random.fill(&mut bytes[1..]);
            bytes.truncate(random.usize(..bytes.len()));
            let _ = socket.write_all(&bytes);
            // The relay may have closed it before.
            let _ = socket.shutdown(std::net::Shutdown::Write);
            let _ = socket.read_to_end(&mut Vec::new());
        });
        encoder.send(Kind::Video, 33 * n as u32, &video(n == 0, n as usize)).await;
        tokio::task::spawn_blocking(move || garbage.join().unwrap()).await.unwrap();
    }
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 2 + 50);
}

#[tokio::test]
async fn interop_83_a_recording_has_every_frame_and_its_duration_and_is_whole_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(ANYWHERE, &[], Some(folder.path())).await;
    let mut encoder = Encoder::publish(server.address, "live/CANARY").await.unwrap();
    encoder.headers().await;
    for n in 0..100 {
        encoder.send(Kind::Video, 40 * n as u32, &video(n % 50 == 0, n)).await;
    }
    let path = || std::fs::read_dir(folder.path()).unwrap().next().map(|e| e.unwrap().path());
    let tags = || {
        let mut reader = file::Reader::new();
        reader.push(&path().map(|p| std::fs::read(p).unwrap()).unwrap_or_default());
        std::iter::from_fn(move || reader.read_tag().unwrap()).collect::<Vec<_>>()
    };
    // While it is being written, as after a crash: everything up to the last second is there.
    until("the file has all frames", || tags().len() == 3 + 100).await;
    encoder.end().await;
    server.end().await;
    let tags = tags();
    assert_eq!(tags[3].payload, video(true, 0));
    assert_eq!((tags[102].timestamp, &tags[102].payload[..]), (3960, &video(false, 99)[..]));
    let path = path().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let number = |at: u64| f64::from_be_bytes(bytes[at as usize..at as usize + 8].try_into().unwrap());
    assert_eq!((number(file::DURATION_AT), number(file::FILE_SIZE_AT)), (4.0, bytes.len() as f64));
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    assert!(name.contains("Z_live_") && !name.contains("CANARY"), "{name}");
}

#[tokio::test]
async fn shutdown_says_goodbye_to_everybody_and_does_not_wait_for_a_publisher() {
    let sink = Server::start(ANYWHERE, &[], None).await;
    let relay = Server::start(ANYWHERE, &[("sink", sink.address)], None).await;
    let mut player = Player::play(sink.address, "live/show").await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    assert_eq!(player.next().await.unwrap().type_id, 8);
    let asked = Instant::now();
    relay.end().await;
    assert!(asked.elapsed() < Duration::from_secs(4), "{:?}", asked.elapsed());
    // A clean end: the sink's own stream ends at once, without a grace period.
    assert_eq!(tokio::time::timeout(PATIENCE, player.rest()).await.unwrap().len(), 2);
    assert!(asked.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn an_encoder_that_has_ended_its_stream_may_close_first_but_not_stay() {
    let server = Server::start(ANYWHERE, &[], None).await;
    let encoder = Encoder::publish(server.address, "live/show").await.unwrap();
    let mut player = Player::play(server.address, "live/show").await;
    let asked = Instant::now();
    let stayed = tokio::spawn(encoder.stay());
    assert!(player.rest().await.is_empty());
    assert!(asked.elapsed() < Duration::from_millis(900), "players do not wait for it: {:?}", asked.elapsed());
    let stayed = stayed.await.unwrap();
    assert!((Duration::from_millis(900)..Duration::from_secs(5)).contains(&stayed), "{stayed:?}");
}

#[tokio::test]
async fn a_server_that_does_not_let_go_in_time_is_reset_before_the_next_session() {
    let listener = tokio::net::TcpListener::bind(ANYWHERE).await.unwrap();
    let relay = Server::start(ANYWHERE, &[("deaf", listener.local_addr().unwrap())], None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut session = accepted(&listener).await;
    until("it is live", || relay.board.statuses()[0].state == State::Live).await;
    // From here on it reads nothing, and more is sent than the network holds.
    encoder.headers().await;
    for n in 0..30 {
        let frame = [&video(n == 0, n)[..], &vec![0; 1 << 20]].concat();
        encoder.send(Kind::Video, 33 * n as u32, &frame).await;
    }
    encoder.end().await;
    until("the destination has ended", || relay.board.statuses()[0].state == State::Waiting).await;
    let ended = loop {
        match session.receive().await {
            Ok(_) => session.session.input().clear(),
            Err(error) => break error,
        }
    };
    assert!(matches!(&ended, Error::Lost { source, .. } if source.kind() == ErrorKind::ConnectionReset), "{ended}");
}
