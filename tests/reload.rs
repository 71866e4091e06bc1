//! The built program with a configuration file that changes in mid-show. In front of each destination stands a forwarder that
//! notes the ports it is connected to from, and behind each a player that keeps what it gets.

#![cfg(unix)]
#![allow(missing_docs, clippy::unwrap_used)]

mod peers;
mod program;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use peers::{Encoder, Player, Server, until, video};
use program::Program;
use rtmp_relay::flv::Kind;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// A server, the forwarder in front of it, and a player behind it.
struct Place {
    address: SocketAddr,
    ports: Arc<Mutex<Vec<u16>>>,
    player: Player,
    server: Server,
    _forwarder: JoinSet<()>,
}

impl Place {
    async fn open() -> Place {
        let server = Server::start("127.0.0.1:0", &[], None).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, to) = (listener.local_addr().unwrap(), server.address);
        let ports = Arc::new(Mutex::new(Vec::new()));
        let seen = ports.clone();
        let mut forwarder = JoinSet::new();
        forwarder.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut from, peer)) = listener.accept().await {
                seen.lock().unwrap().push(peer.port());
                connections.spawn(async move {
                    let mut to = TcpStream::connect(to).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut from, &mut to).await;
                });
            }
        });
        let player = Player::play(server.address, "live/show").await;
        Place { address, ports, player, server, _forwarder: forwarder }
    }

    fn ports(&self) -> Vec<u16> {
        self.ports.lock().unwrap().clone()
    }
}

/// Every stream to each of them.
fn yaml(places: &[Place]) -> String {
    let mut text = "destinations:\n".to_owned();
    for (number, place) in places.iter().enumerate() {
        text += &format!("  - name: number-{number}\n    url: rtmp://{}/live\n", place.address);
    }
    text
}

/// Four seconds of 100 frames a second, with a key frame in each fifth of one.
async fn show(mut encoder: Encoder) -> Vec<Vec<u8>> {
    encoder.headers().await;
    let mut sent = Vec::new();
    for number in 0..400 {
        let frame = video(number % 20 == 0, number);
        encoder.send(Kind::Video, number as u32 * 10, &frame).await;
        sent.push(frame);
        sleep(Duration::from_millis(10)).await;
    }
    encoder.end().await;
    sent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seventh_destination_is_added_and_no_other_socket_changes() {
    let mut places = Vec::new();
    for _ in 0..7 {
        places.push(Place::open().await);
    }
    let program = Program::start(&yaml(&places[..6]));
    let encoder = Encoder::publish(program.address, "live/show").await.unwrap();
    let showing = tokio::spawn(show(encoder));
    until("six live", || places[..6].iter().all(|place| place.ports().len() == 1)).await;
    let ports: Vec<_> = places.iter().map(Place::ports).collect();

    // A broken file changes nothing and says where it is broken.
    program.rewrite(&yaml(&places).replace("- name: number-6", "- nam: number-6"));
    program.says("the configuration is not changed").await;
    program.says("relay.yaml:14:5: unknown key \"nam\": did you mean \"name\"?").await;
    assert_eq!(places[6].ports(), [0; 0]);

    program.rewrite(&yaml(&places));
    program.hang_up();
    program.says("the configuration is changed: added number-6; 6 destinations unchanged").await;
    until("the seventh is live", || places[6].ports().len() == 1).await;

    let sent = showing.await.unwrap();
    for (place, before) in places[..6].iter_mut().zip(ports) {
        assert_eq!(place.player.frames().await, sent);
        assert_eq!(place.ports(), before, "the same connection to the end");
    }
    let seventh = places[6].player.frames().await;
    assert_eq!(seventh, sent[sent.len() - seventh.len()..], "all there was from its beginning on");
    assert!(seventh.len() >= 20 && seventh[0][0] == b'\x17', "which was a key frame");
    assert_eq!(places[6].ports().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_or_key_is_noticed_without_a_signal() {
    let mut places = vec![Place::open().await, Place::open().await];
    let key = |program: &Program| program.file.with_file_name("key");
    let with_key_file = |places: &[Place]| yaml(places) + "    stream_key_file: key\n";
    let program = Program::start(&yaml(&places[..1]));
    std::fs::write(key(&program), "one\n").unwrap();
    let encoder = Encoder::publish(program.address, "live/show").await.unwrap();
    let showing = tokio::spawn(show(encoder));
    until("the first is live", || places[0].ports().len() == 1).await;
    program.rewrite(&with_key_file(&places));
    program.says("added number-1; 1 destinations unchanged").await;
    let mut second = Player::play(places[1].server.address, "live/another").await;
    std::fs::write(key(&program), "another\n").unwrap();
    program.says("changed number-1; 1 destinations unchanged").await;
    let sent = showing.await.unwrap();
    assert_eq!(places[0].player.frames().await, sent);
    assert_eq!(places[0].ports().len(), 1);
    assert!(!second.frames().await.is_empty(), "sent with the new key");
}
