//! Who may publish and play, on real sockets.

#![allow(missing_docs, clippy::unwrap_used)]

mod peers;

use std::collections::HashMap;
use std::time::Duration;

use peers::{Encoder, PATIENCE, Player, Server, answer, connect, until, video};
use rtmp_relay::config::{Config, file};
use rtmp_relay::flv::Kind;
use rtmp_relay::inbound::Ending;
use rtmp_relay::net::connection::NoSource;
use rtmp_relay::rtmp::server::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

async fn config(yaml: &str) -> Config {
    let config = file::parse(yaml, HashMap::new()).unwrap().resolve().await.unwrap();
    Config { listen: "127.0.0.1:0".parse().unwrap(), ..config }
}

async fn server(yaml: &str) -> Server {
    Server::with(config(yaml).await).await
}

/// Whether somebody may: the code of a refusal.
async fn may(role: Role, server: &Server, name: &str) -> Result<(), String> {
    let mut connection = connect::<NoSource>(role, server.address, name).await;
    answer(&mut connection).await.map(drop)
}

const DENIED: &str = "NetStream.Publish.Denied";
const FAILED: &str = "NetStream.Play.Failed";

#[tokio::test]
async fn a_key_for_publishing_and_another_for_playing() {
    let server = server("access: {publish_key: PUBLISH, play_key: PLAY}").await;
    let denied = |code: &str| Err(code.to_owned());
    for (role, name, answer) in [
        (Role::Publish, "live/a?key=PUBLISH", Ok(())),
        (Role::Publish, "live/b?token=PUBLISH&x=y", Ok(())),
        (Role::Publish, "live/c", denied(DENIED)),
        (Role::Publish, "live/c?key=PLAY", denied(DENIED)),
        (Role::Publish, "live/c?key=publish", denied(DENIED)),
        (Role::Play, "live/a?key=PLAY", Ok(())),
        (Role::Play, "live/a?key=PUBLISH", denied(FAILED)),
        (Role::Play, "live/a", denied(FAILED)),
    ] {
        assert_eq!(may(role, &server, name).await, answer, "{role:?} {name}");
    }
    until("five are counted", || server.visitors.endings().get(&Ending::Denied) == Some(&5)).await;
}

#[tokio::test]
async fn who_is_denied_while_the_relay_ends_is_counted() {
    let server = server("access: {publish_key: PUBLISH}").await;
    let visitors = server.visitors.clone();
    let mut rival = connect::<NoSource>(Role::Publish, server.address, "live/a").await;
    assert_eq!(answer(&mut rival).await, Err(DENIED.to_owned()));
    // It stays, and the relay waits a while for it to go first.
    server.end().await;
    assert_eq!(visitors.endings().get(&Ending::Denied), Some(&1));
}

#[tokio::test]
async fn the_first_entry_for_a_stream_decides_and_another_configuration_counts_for_who_comes_next() {
    let yaml = "stream_access:\n  - streams: [\"open/*\"]\n    access: {}\naccess: {publish_key: PUBLISH}";
    let server = server(yaml).await;
    let mut encoder = Encoder::publish(server.address, "live/a?key=PUBLISH").await.unwrap();
    assert_eq!(may(Role::Publish, &server, "open/a").await, Ok(()));
    assert!(may(Role::Publish, &server, "live/b").await.is_err());
    server.control.apply(config("access: {publish_key: ANOTHER}").await).await.unwrap();
    assert!(may(Role::Publish, &server, "live/b?key=PUBLISH").await.is_err());
    assert_eq!(may(Role::Publish, &server, "live/b?key=ANOTHER").await, Ok(()));
    // Who was there before stays.
    let mut player = Player::play(server.address, "live/a").await;
    encoder.headers().await;
    encoder.send(Kind::Video, 0, &video(true, 0)).await;
    encoder.end().await;
    assert_eq!(player.rest().await.last().unwrap().2, video(true, 0));
}

#[tokio::test]
async fn a_file_of_keys_is_read_again_while_it_runs() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "publish live/* ONE\n").unwrap();
    let server = server(&format!("access: {{key_file: {}}}", file.path().display())).await;
    assert_eq!(may(Role::Publish, &server, "live/a?key=ONE").await, Ok(()));
    assert!(may(Role::Publish, &server, "stage/a?key=ONE").await.is_err());
    std::fs::write(file.path(), "publish live/* TWO\n").unwrap();
    timeout(PATIENCE, async {
        while may(Role::Publish, &server, "live/b?key=TWO").await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .unwrap();
    assert!(may(Role::Publish, &server, "live/c?key=ONE").await.is_err());
}

#[tokio::test]
async fn addresses_are_let_in_or_not() {
    let open = server("access: {allow_publish: [\"127.0.0.0/8\"], deny: [\"192.0.2.1\"]}").await;
    assert_eq!(may(Role::Publish, &open, "live/a").await, Ok(()));
    let closed = server("access: {allow_publish: [\"192.0.2.0/24\"]}").await;
    assert_eq!(may(Role::Publish, &closed, "live/a").await, Err(DENIED.to_owned()));
    assert_eq!(may(Role::Play, &closed, "live/a").await, Ok(()));
    let shut = server("access: {deny: [\"127.0.0.1\"]}").await;
    assert_eq!(may(Role::Play, &shut, "live/a").await, Err(FAILED.to_owned()));
}

/// An HTTP server that answers like this, each time after a while.
async fn callback(reply: &'static str, after: Duration) -> (String, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/auth", listener.local_addr().unwrap());
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let read = stream.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..read]).into_owned();
            sleep(after).await;
            let reply = if request.contains("key=GOOD") { "HTTP/1.1 204 No Content\r\n\r\n" } else { reply };
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    (url, tasks)
}

#[tokio::test]
async fn an_http_server_is_asked_and_a_stream_beside_it_loses_nothing_whatever_it_answers() {
    for (reply, after) in [
        ("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n", Duration::ZERO),
        ("HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n", Duration::ZERO),
        ("HTTP/1.1 302 Found\r\nlocation: http://elsewhere/\r\n\r\n", Duration::ZERO),
        ("SSH-2.0-nonsense\r\n", Duration::ZERO),
        ("", Duration::ZERO),
        ("HTTP/1.1 403 Forbidden\r\n\r\n", Duration::from_secs(1)),
    ] {
        let (url, _tasks) = callback(reply, after).await;
        let server = server(&format!("access: {{auth_url: \"{url}\"}}")).await;
        let mut encoder = Encoder::publish(server.address, "live/a?key=GOOD").await.unwrap();
        let mut player = Player::play(server.address, "live/a?key=GOOD").await;
        encoder.headers().await;
        let show = async {
            for number in 0..100 {
                encoder.send(Kind::Video, number * 10, &video(number == 0, number as usize)).await;
                sleep(Duration::from_millis(2)).await;
            }
            encoder.end().await;
            player.rest().await
        };
        let (all, refused) = tokio::join!(show, may(Role::Publish, &server, "live/b?key=BAD"));
        assert_eq!(all.iter().filter(|(kind, ..)| *kind == 9).count(), 101, "{reply}");
        assert_eq!(refused, Err(DENIED.to_owned()), "{reply}");
    }
}

#[tokio::test]
async fn a_second_encoder_is_refused_or_replaces_the_first() {
    let frames = async |policy: &str| {
        let server = server(&format!("access: {{takeover: {policy}, publish_key: KEY}}")).await;
        let mut player = Player::play(server.address, "live/a").await;
        let mut first = Encoder::publish(server.address, "live/a?key=KEY").await.unwrap();
        first.headers().await;
        first.send(Kind::Video, 0, &video(true, 1)).await;
        assert!(Encoder::publish(server.address, "live/a?key=WRONG").await.is_err(), "whatever the policy");
        let second = Encoder::publish(server.address, "live/a?key=KEY").await;
        let refused = second.as_ref().err().cloned();
        let mut encoder = second.unwrap_or(first);
        encoder.headers().await;
        encoder.send(Kind::Video, 40, &video(true, 2)).await;
        encoder.end().await;
        let all = player.rest().await;
        (refused, all.iter().filter(|(kind, _, payload)| *kind == 9 && payload[1] == 1).count())
    };
    assert_eq!(frames("refuse").await, (Some("NetStream.Publish.BadName".to_owned()), 2));
    assert_eq!(frames("replace").await, (None, 2), "the players go on");
}
