//! Enhanced RTMP: what ffmpeg 7 and 9 sent, through two relays to players; and what the two ends of a connection announce.

#![allow(missing_docs, clippy::unwrap_used)]

use rtmp_relay::destination::State;
use rtmp_relay::flv::{Codec, Kind, Need};
use rtmp_relay::rtmp::capabilities::Announce;
use rtmp_relay::rtmp::client::{self, ClientSession, Target};
use rtmp_relay::rtmp::server::{self, Role};
use rtmp_relay::rtmp::session::{Output, Session};
use rtmp_relay::rtmp::url::Url;
use rtmp_relay::rtmp::{ServerSession, handshake};

mod peers;
mod support;

use peers::{Encoder, Player, Server, until};
use support::chunks::{Chunks, Said};
use support::recording::{HANDSHAKE, Recording};

const ANYWHERE: &str = "127.0.0.1:0";

/// `"@setDataFrame"`, which players are not given.
const SET_DATA_FRAME: usize = 16;

/// What a payload does, by this test's own reading of E-RTMP v2 ("Enhanced Video", "Enhanced Audio") and FLV E.4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Metadata,
    Header,
    Key,
    Other,
}

fn is(said: &Said) -> Is {
    let (first, second) = (said.payload[0], said.payload[1]);
    match (said.type_id, first & 0x8f, first & 0xf0) {
        (18, ..) => Is::Metadata,
        // SequenceStart, Metadata; of one track or with its id.
        (9, 0x80 | 0x84, _) => Is::Header,
        (9, 0x86, _) if second & 0x0f == 0 => Is::Header,
        (9, 0x81 | 0x83, 0x90) => Is::Key,
        // SequenceStart, MultichannelConfig; the same.
        (8, 0x80 | 0x84, 0x90) => Is::Header,
        (8, 0x85, 0x90) if matches!(second & 0x0f, 0 | 4) => Is::Header,
        (8, _, 0xa0) if second == 0 => Is::Header,
        _ => Is::Other,
    }
}

/// The recording's media, and what a reader has to get that starts at key frame number `key`.
fn recorded(name: &str) -> (Vec<Said>, impl Fn(usize) -> Vec<Vec<u8>>) {
    let recording = Recording::load(name);
    let media: Vec<_> = Chunks::new(&recording.bytes, HANDSHAKE).messages();
    let media: Vec<_> = media.into_iter().filter(|said| [8, 9, 18].contains(&said.type_id)).collect();
    let sent = media.clone();
    let expected = move |key: usize| {
        let keys: Vec<_> = (0..sent.len()).filter(|at| is(&sent[*at]) == Is::Key).collect();
        let start = if key == usize::MAX { keys[keys.len() - 1] } else { keys[key] };
        let (before, after) = sent.split_at(start);
        let metadata =
            before.iter().filter(|said| is(said) == Is::Metadata).map(|said| &said.payload[SET_DATA_FRAME..]);
        let headers = before.iter().filter(|said| is(said) == Is::Header).map(|said| &said.payload[..]);
        metadata.chain(headers).chain(after.iter().map(|said| &said.payload[..])).map(<[u8]>::to_vec).collect()
    };
    (media, expected)
}

/// Through a relay and from there through another: to players who were there first, to one who comes late.
async fn passes_untouched(name: &str) {
    let (media, expected) = recorded(name);
    let far = Server::start(ANYWHERE, &[], None).await;
    let near = Server::start(ANYWHERE, &[("far", far.address)], None).await;
    let mut players = [Player::play(near.address, "live/show").await, Player::play(far.address, "live/show").await];
    let mut encoder = Encoder::publish(near.address, "live/show").await.unwrap();
    until("the destination is live", || near.board.statuses()[0].state == State::Live).await;
    for said in &media {
        encoder.send(Kind::from_tag_type(said.type_id).unwrap(), said.time, &said.payload).await;
    }
    for player in &mut players {
        same(&take(player, expected(0).len()).await, &expected(0));
    }
    let mut late = Player::play(near.address, "live/show").await;
    same(&take(&mut late, expected(usize::MAX).len()).await, &expected(usize::MAX));
    encoder.end().await;
    for player in players.iter_mut().chain([&mut late]) {
        assert!(player.rest().await.is_empty());
    }
    assert!(near.board.statuses()[0].unannounced.is_empty(), "a relay announces everything");
}

/// The payloads of the next messages.
async fn take(player: &mut Player, count: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    while got.len() < count
        && let Some(message) = player.next().await
    {
        got.push(message.payload.to_vec());
    }
    got
}

fn same(got: &[Vec<u8>], expected: &[Vec<u8>]) {
    let heads = |payloads: &[Vec<u8>]| -> Vec<String> {
        payloads.iter().map(|p| format!("{:02x?} of {}", &p[..p.len().min(8)], p.len())).collect()
    };
    assert_eq!(heads(got), heads(expected));
    assert!(got == expected, "to the byte");
}

#[tokio::test]
async fn interop_65_hevc_of_ffmpeg_7_passes_untouched_and_comes_late_with_its_headers() {
    passes_untouched("ffmpeg/7.0-publish-hevc").await;
}

#[tokio::test]
async fn interop_65_hevc_of_ffmpeg_9_passes_untouched_and_comes_late_with_its_headers() {
    passes_untouched("ffmpeg/9.0-publish-hevc").await;
}

#[tokio::test]
async fn interop_65_av1_and_opus_pass_untouched_and_come_late_with_their_headers() {
    passes_untouched("ffmpeg/9.0-publish-av1-opus").await;
}

#[tokio::test]
async fn interop_65_vp9_and_opus_pass_untouched_and_come_late_with_their_headers() {
    passes_untouched("ffmpeg/9.0-publish-vp9-opus").await;
}

#[tokio::test]
async fn interop_81_two_tracks_pass_untouched_and_come_late_with_the_headers_of_both() {
    passes_untouched("ffmpeg/9.0-publish-multitrack").await;
}

/// Two sessions that hear each other, until neither has anything to say. The server's owner accepts.
fn meet(client: &mut ClientSession, server: &mut ServerSession) -> (Vec<client::Event>, Vec<u8>) {
    let (mut events, mut answers) = (Vec::new(), Vec::new());
    loop {
        let mut idle = true;
        while let Some(output) = client.poll().unwrap() {
            idle = false;
            match output {
                Output::Transmit(bytes) => server.input().extend_from_slice(&bytes),
                Output::Event(event) => events.push(event),
            }
        }
        while let Some(output) = server.poll().unwrap() {
            idle = false;
            match output {
                Output::Transmit(bytes) => {
                    answers.extend_from_slice(&bytes);
                    client.input().extend_from_slice(&bytes);
                }
                Output::Event(server::Event::Request(request)) => _ = server.accept(request),
                Output::Event(_) => {}
            }
        }
        if idle {
            return (events, answers);
        }
    }
}

/// A client that announces this, and a server, once the client may publish or play; and all that the server has said.
fn met(announce: Announce, role: Role) -> (ClientSession, ServerSession, Vec<u8>) {
    let url = Url::parse("rtmp://host/live").unwrap();
    let (name, agent) = ("KEY".to_owned().into(), "test".to_owned());
    let target = Target { role, url, name, agent, chunk_size: 4096 };
    let mut client = ClientSession::new(target, &handshake::random(1)).announcing(announce);
    let mut server = ServerSession::new(handshake::random(2));
    let (events, answers) = meet(&mut client, &mut server);
    assert!(matches!(events[..], [client::Event::Started(_)]));
    (client, server, answers)
}

#[test]
fn a_server_answers_announcements_with_its_own_and_silence_as_ever() {
    for role in [Role::Publish, Role::Play] {
        for (announce, answered) in [(Announce::Nothing, false), (Announce::Forwarding, true)] {
            let (.., answers) = met(announce, role);
            for property in ["fourCcList", "videoFourCcInfoMap", "audioFourCcInfoMap", "capsEx"] {
                let found = answers.windows(property.len()).any(|bytes| bytes == property.as_bytes());
                assert_eq!(found, answered, "{announce:?}: {property}");
            }
        }
    }
}

#[test]
fn interop_81_what_a_server_did_not_announce_is_named() {
    let needs = [Need::Codec(Kind::Video, Codec::Hevc), Need::Multitrack, Need::ModEx];
    let (silent, ..) = met(Announce::Nothing, Role::Publish);
    assert_eq!(silent.unannounced(&needs), ["HEVC", "multitrack", "ModEx"]);
    let (asked, ..) = met(Announce::Forwarding, Role::Publish);
    assert!(asked.unannounced(&needs).is_empty());
}

#[test]
fn only_who_has_announced_it_is_asked_to_connect_again() {
    for role in [Role::Publish, Role::Play] {
        for (announce, asked) in [(Announce::Nothing, 0), (Announce::Forwarding, 0), (Announce::Reconnecting, 1)] {
            let (mut client, mut server, _) = met(announce, role);
            server.ask_to_reconnect();
            let (events, _) = meet(&mut client, &mut server);
            assert_eq!(events.len(), asked, "{announce:?}");
            for event in events {
                let client::Event::Reconnect(Ok(to)) = event else { panic!("{event:?}") };
                assert_eq!(to.tc_url(), "rtmp://host/live");
            }
        }
    }
}

#[tokio::test]
async fn a_relay_that_stops_asks_its_encoders_and_players_to_connect_again() {
    let relay = Server::start(ANYWHERE, &[], None).await;
    let url = format!("rtmp://{}/live", relay.address);
    let mut encoder = Encoder::publish(relay.address, "live/show").await.unwrap();
    let mut player = Player::play(relay.address, "live/show").await;
    relay.end().await;
    assert!(player.rest().await.is_empty());
    assert_eq!(player.asked.map(|to| to.tc_url()), Some(url.clone()));
    let asked = loop {
        if let Some(client::Event::Reconnect(to)) = encoder.connection.event().unwrap() {
            break to.unwrap();
        }
        encoder.connection.receive().await.expect("asked before it is closed");
    };
    assert_eq!(asked.tc_url(), url);
}
