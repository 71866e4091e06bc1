//! What a hop costs: publisher → relay → player on loopback, one message at a time, sockets and all.

#![allow(missing_docs, clippy::unwrap_used)]

use std::time::{Duration, Instant};

use rtmp_relay::flv::Kind;
use tokio::sync::mpsc;

mod peers;

use peers::{Encoder, PATIENCE, Player, Server, video};

const MESSAGES: usize = 1000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hop_adds_less_than_a_millisecond() {
    let server = Server::start("127.0.0.1:0", &[], None).await;
    let mut encoder = Encoder::publish(server.address, "live/show").await.unwrap();
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    let mut player = Player::play(server.address, "live/show").await;
    let (arrived, mut arrivals) = mpsc::channel(MESSAGES + 3);
    let playing = tokio::spawn(async move {
        while player.next().await.is_some() {
            arrived.send(Instant::now()).await.unwrap();
        }
    });
    let mut next = async || tokio::time::timeout(PATIENCE, arrivals.recv()).await.unwrap().unwrap();
    for _ in 0..3 {
        next().await;
    }
    let mut took = Vec::new();
    for n in 1..=MESSAGES {
        let sent = Instant::now();
        encoder.send(Kind::Video, n as u32, &video(false, n)).await;
        took.push(next().await - sent);
        // Spread over a second, as a stream is, so that what else the machine does is met too.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    encoder.end().await;
    playing.await.unwrap();
    took.sort();
    let (median, p99) = (took[MESSAGES / 2], took[MESSAGES * 99 / 100]);
    println!("latency of a hop: median {median:?}, p99 {p99:?}, max {:?}", took[MESSAGES - 1]);
    assert!(median < Duration::from_millis(1), "median {median:?}");
    assert!(p99 < Duration::from_millis(20), "p99 {p99:?}");
}
