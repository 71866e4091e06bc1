//! Proof of delivery on real sockets: a destination is live while its server takes what it is sent, and says how far it is behind.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use rtmp_relay::destination::status::Delivered;
use rtmp_relay::destination::{State, Status};
use rtmp_relay::flv::Kind;
use rtmp_relay::rtmp::session::Session;
use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{MissedTickBehavior, interval};

mod peers;

use peers::{Encoder, PATIENCE, Player, Server, accepted, until, video};

const ANYWHERE: &str = "127.0.0.1:0";

/// One frame of a stream of a megabit a second, sent every so often.
const FRAME: Duration = Duration::from_millis(40);
const BYTES: usize = 5_000;

fn frame(n: usize) -> Vec<u8> {
    [&video(n.is_multiple_of(50), n)[..], &vec![0; BYTES]].concat()
}

/// A listener whose connections take no more than a few kilobytes that are not read.
fn small() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    socket.bind(ANYWHERE.parse().unwrap()).unwrap();
    socket.listen(8).unwrap()
}

fn status(relay: &Server) -> Status {
    relay.board.statuses().remove(0)
}

/// TCP says within three seconds what the socket, which has room for twenty of this stream, would hide.
#[tokio::test]
async fn a_server_that_stops_reading_is_not_live_long_before_the_socket_is_full_and_its_lag_grows() {
    let listener = small();
    let relay = Server::start(ANYWHERE, &[("deaf", listener.local_addr().unwrap())], None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut server = accepted(&listener).await;
    encoder.headers().await;
    let mut clock = interval(FRAME);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (began, mut stopped, mut n) = (Instant::now(), None, 0);
    let mut looks: Vec<Delivered> = Vec::new();
    let mut left_live = None;
    while looks.len() < 4 {
        assert!(began.elapsed() < 2 * PATIENCE, "{:?}", status(&relay));
        tokio::select! {
            biased;
            _ = clock.tick() => {
                encoder.send(Kind::Video, (n * FRAME.as_millis() as usize) as u32, &frame(n)).await;
                n += 1;
            }
            read = server.receive(), if stopped.is_none() => {
                read.unwrap();
                server.session.input().clear();
            }
        }
        let now = status(&relay);
        if stopped.is_none() && now.state == State::Live && now.bytes > 20 * BYTES as u64 {
            assert!(now.delivered.lag < Duration::from_secs(1), "{now:?}");
            stopped = Some(Instant::now());
        }
        if now.state == State::Degraded {
            left_live.get_or_insert_with(|| stopped.unwrap().elapsed());
            assert_eq!(now.reason.as_deref(), Some("the server takes nothing"));
            if looks.last() != Some(&now.delivered) {
                looks.push(now.delivered);
            }
        }
    }
    assert!(left_live.unwrap() < Duration::from_secs(6), "{left_live:?}");
    assert!(looks.windows(2).all(|pair| pair[1].lag > pair[0].lag + Duration::from_millis(500)), "{looks:?}");
    assert!(looks.iter().all(|look| look.unsent == 0), "the socket takes all of it: {looks:?}");
    if cfg!(target_os = "linux") {
        assert!(looks.iter().all(|look| look.kernel_unsent > Some(BYTES)), "{looks:?}");
        assert!(looks.iter().all(|look| look.round_trip.is_some()), "{looks:?}");
    }
    drop(server);
    let _server = accepted(&listener).await;
    until("it is back", || status(&relay).reconnects == 1).await;
    assert_eq!(status(&relay).reconnects_by_reason, [("network", 1)].into());
}

#[tokio::test]
async fn what_a_server_acknowledges_is_a_lag_of_its_own() {
    let sink = Server::start(ANYWHERE, &[], None).await;
    let relay = Server::start(ANYWHERE, &[("sink", sink.address)], None).await;
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut player = Player::play(sink.address, "live/show").await;
    until("it is live", || status(&relay).state == State::Live).await;
    encoder.headers().await;
    // Ours acknowledges every 1.25 MB.
    for n in 0..30 {
        let frame = [&video(n == 0, n)[..], &vec![0; 100_000]].concat();
        encoder.send(Kind::Video, 33 * n as u32, &frame).await;
    }
    until("it has acknowledged", || status(&relay).delivered.acknowledged_lag.is_some()).await;
    let delivered = status(&relay).delivered;
    let [lag, acknowledged] = [Some(delivered.lag), delivered.acknowledged_lag].map(Option::unwrap);
    // 2.5 of 3 MB, of 957 ms in all.
    assert!(lag <= acknowledged && acknowledged < Duration::from_millis(957), "{delivered:?}");
    until("all is delivered", || status(&relay).delivered.lag.is_zero()).await;
    if cfg!(target_os = "linux") {
        until("the kernel has nothing left", || status(&relay).delivered.kernel_unsent == Some(0)).await;
    }
    encoder.end().await;
    assert_eq!(player.rest().await.len(), 2 + 30);
}
