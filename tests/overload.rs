//! More than there is room for: too many visitors, and readers that take nothing while a stream comes fast. Nobody waits for them.

#![allow(missing_docs, clippy::unwrap_used)]

mod caller;
mod peers;

use std::time::{Duration, Instant};

use caller::Steered;
use peers::{Encoder, Player, accepted, through, until, video};
use rtmp_relay::config::{Config, Route};
use rtmp_relay::destination::Template;
use rtmp_relay::flv::Kind;
use rtmp_relay::inbound::{Ending, visitors};
use rtmp_relay::net::tls::Wire;
use rtmp_relay::rtmp::server::{Event, Role};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const PLAYERS: usize = 20;
const DESTINATIONS: usize = 3;
/// Pictures, 25 a second and a key frame every two seconds: a minute, of which the log keeps eight seconds.
const PICTURES: usize = 1500;
const GOP: usize = 50;
/// Times as fast as it was filmed.
const PACE: u32 = 20;
/// Those who take nothing do so for this long at most: after ten seconds they would be taken for dead.
const STALLED: Duration = Duration::from_secs(6);
/// One answer, or one picture's way into the relay, on a machine that others use too.
const PROMPT: Duration = Duration::from_secs(1);

fn small() -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket
}

/// The picture's number and whether it is a key frame; none if it is something else.
fn picture(payload: &[u8]) -> Option<(usize, bool)> {
    let text = payload.get(5..)?.strip_prefix(b"frame ")?;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    Some((std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?, payload[0] == 0x17))
}

/// Pictures that are missing, all of them between a picture and a key frame.
fn missing(pictures: &[(usize, bool)]) -> usize {
    let mut missing = 0;
    for pair in pictures.windows(2) {
        let ((before, _), (number, key)) = (pair[0], pair[1]);
        assert!(number > before, "{before} and then {number}");
        assert!(number == before + 1 || key, "{before} and then {number}, which nobody can decode");
        missing += number - before - 1;
    }
    missing
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_nothing_misses_whole_gops_and_nobody_waits_for_it() {
    let listener = {
        let socket = small();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        socket.listen(16).unwrap()
    };
    let server = listener.local_addr().unwrap();
    let route = |n| Route::new(format!("d{n}"), Template::parse(&format!("rtmp://{server}/live/{n}")).unwrap());
    let room = visitors::Limits { all: PLAYERS + 1, per_address: usize::MAX };
    let destinations = (0..DESTINATIONS).map(route).collect();
    let relay = Steered::start(Config { visitors: room, destinations, ..Config::default() }).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    encoder.headers().await;

    let (mut readers, done) = (JoinSet::new(), CancellationToken::new());
    for _ in 0..DESTINATIONS {
        let (mut inbound, done) = (accepted(&listener).await, done.clone());
        readers.spawn(async move {
            let _ = tokio::time::timeout(STALLED, done.cancelled()).await;
            let mut pictures = Vec::new();
            loop {
                match inbound.event().unwrap() {
                    Some(Event::Message(message)) => pictures.extend(picture(&message.payload)),
                    Some(Event::Stopped) => return pictures,
                    Some(Event::Request(_)) => {}
                    None => _ = inbound.receive().await.unwrap(),
                }
            }
        });
    }
    for _ in 0..PLAYERS {
        let stream = small().connect(relay.address).await.unwrap();
        let (mut player, done) =
            (Player::on(through(Wire::Plain(stream), Role::Play, "live/show")).await, done.clone());
        readers.spawn(async move {
            let _ = tokio::time::timeout(STALLED, done.cancelled()).await;
            let all = player.rest().await;
            all.iter().filter_map(|(_, _, payload)| picture(payload)).collect()
        });
    }

    // The house is full: whoever comes now is shown out at once.
    for _ in 0..200 {
        let mut stream = TcpStream::connect(relay.address).await.unwrap();
        assert!(!matches!(tokio::time::timeout(PROMPT, stream.read(&mut [0])).await.unwrap(), Ok(1..)));
    }
    assert_eq!((relay.visitors.count(), relay.visitors.endings()[&Ending::TooMany]), (PLAYERS + 1, 200));

    let watching = tokio::spawn({
        let (api, done) = (relay.api.clone(), done.clone());
        async move {
            let mut longest = Duration::ZERO;
            while !done.is_cancelled() {
                for path in ["/healthz", "/readyz", "/metrics"] {
                    let asked = Instant::now();
                    assert_eq!(api.get(path).await.status, 200, "{path}");
                    longest = longest.max(asked.elapsed());
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            longest
        }
    });

    let mut longest = Duration::ZERO;
    let mut tick = tokio::time::interval(Duration::from_millis(40) / PACE);
    for number in 0..PICTURES {
        tick.tick().await;
        let payload = [video(number % GOP == 0, number), vec![b' '; 20_000]].concat();
        let sent = Instant::now();
        encoder.send(Kind::Video, 40 * number as u32, &payload).await;
        while encoder.connection.is_blocked() {
            let _ = tokio::time::timeout(Duration::from_millis(1), encoder.connection.receive()).await;
        }
        longest = longest.max(sent.elapsed());
    }
    let log = relay.directory.live().pop().unwrap().1;
    until("all of it has come in", || log.newest_time() == Some(40 * (PICTURES as u64 - 1))).await;
    done.cancel();
    let answered = watching.await.unwrap();
    encoder.end().await;

    let mut lost = Vec::new();
    while let Some(pictures) = readers.join_next().await {
        let pictures: Vec<(usize, bool)> = pictures.unwrap();
        assert!(pictures[0].1, "a key frame first");
        assert_eq!(pictures.last().unwrap().0, PICTURES - 1, "and on to the end");
        lost.push(missing(&pictures));
    }
    println!("a picture was taken within {longest:?}, a call answered within {answered:?}; missed: {lost:?}");
    assert_eq!(lost.len(), PLAYERS + DESTINATIONS);
    assert!(lost.iter().all(|lost| *lost > 0), "it was not too much: {lost:?}");
    assert!(longest < PROMPT, "the publisher waited {longest:?}");
    assert!(answered < PROMPT, "a call waited {answered:?}");
}
