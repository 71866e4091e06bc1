//! The handshake, as clients see it: what real ones send, and our answer checked as ffmpeg and Flash players check it, by an
//! HMAC and keys of the tests' own.

#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use proptest::prelude::*;
use rtmp_relay::rtmp::ServerSession;
use rtmp_relay::rtmp::handshake::{Handshake, SIZE, random};
use rtmp_relay::rtmp::session::{Output, Phase, Session};
use sha2::{Digest, Sha256};
use support::hex::hex;
use support::recording::{HANDSHAKE, Recording};

const TAIL: &str = "f0eec24a8068bee82e00d0d1029e7e576eec5d2d29806fab93b8e636cfeb31ae";

/// RFC 2104. A key longer than a block of 64 bytes counts by its hash.
fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    let pad = |with: u8| (0..64).map(|n| key.get(n).unwrap_or(&0) ^ with).collect::<Vec<u8>>();
    let inner = Sha256::digest([&pad(0x36), message].concat());
    Sha256::digest([&pad(0x5c)[..], &inner].concat()).to_vec()
}

fn player_key() -> Vec<u8> {
    [b"Genuine Adobe Flash Player 001", &hex(TAIL)[..]].concat()
}

fn server_key() -> Vec<u8> {
    [b"Genuine Adobe Flash Media Server 001", &hex(TAIL)[..]].concat()
}

/// The digest in C1 or S1 that is right for `key`, and the scheme by which it is.
fn digest(hello: &[u8], key: &[u8]) -> Option<(u8, Vec<u8>)> {
    [(0, 772), (1, 8)].into_iter().find_map(|(scheme, offset)| {
        let sum: usize = hello[offset..offset + 4].iter().map(|b| usize::from(*b)).sum();
        let at = sum % 728 + offset + 4;
        let (found, rest) = (&hello[at..at + 32], [&hello[..at], &hello[at + 32..]].concat());
        (hmac(key, &rest) == found).then(|| (scheme, found.to_vec()))
    })
}

/// Whether S2, or C2, is signed for the one whose digest it answers.
fn is_signed(echo: &[u8], key: &[u8], digest: &[u8]) -> bool {
    hmac(&hmac(key, digest), &echo[..SIZE - 32]) == echo[SIZE - 32..]
}

/// A C1 of `7 i + seed`, signed by `scheme`, as in the worked vectors.
fn offer(scheme: u8, seed: usize) -> Vec<u8> {
    let mut hello = hex("00000000 80000702");
    hello.extend((0..SIZE - 8).map(|i| (7 * i + seed) as u8));
    let offset = if scheme == 0 { 772 } else { 8 };
    let sum: usize = hello[offset..offset + 4].iter().map(|b| usize::from(*b)).sum();
    let at = sum % 728 + offset + 4;
    let rest = [&hello[..at], &hello[at + 32..]].concat();
    hello[at..at + 32].copy_from_slice(&hmac(&player_key()[..30], &rest));
    hello
}

/// What our server answers to C0 and this C1: S0, S1 and S2, which come in one write.
fn answer(hello: &[u8], seed: u64) -> Vec<u8> {
    let mut session = ServerSession::new(random(seed));
    session.input().extend_from_slice(&[&[3], hello].concat());
    let Some(Output::Transmit(bytes)) = session.poll().unwrap() else { panic!("no answer") };
    assert!(bytes.len() == HANDSHAKE && session.poll().unwrap().is_none(), "one write");
    bytes.to_vec()
}

#[test]
fn the_checks_of_these_tests_agree_with_the_worked_vectors() {
    for (scheme, finished) in [
        (1, "1782efd82e21f26bc5cfc44ccefc974b1247ff22dfb0cdad3731a71c61bf3e8f"),
        (0, "79e50da09f716866cd8b926b65cba36f1049df63a5043eae08064d71044627ff"),
    ] {
        let hello = offer(scheme, 3);
        assert_eq!(Sha256::digest(&hello)[..], hex(finished));
        assert_eq!(digest(&hello, &player_key()[..30]).map(|(scheme, _)| scheme), Some(scheme));
    }
    let random: Vec<u8> = (0..SIZE - 32).map(|i| (7 * i + 41) as u8).collect();
    for (digest, signature) in [
        (
            "d7b6e64cd1b2926fcefa707ca4f5152518b81679b4e8d971e91cfb6b99c5e4fa",
            "8133abf09d7b97341a327186f15f88fba0307c0eac8cd31058411290a90d1eaf",
        ),
        (
            "c4a0f1e99e5b3d4fd3fca94784305f2077e8da24c24f356cbb1bef57bb788596",
            "b4d39ffdd25106516fb144f614222e35813984dbc8f038b0dc9530e9c909a94a",
        ),
    ] {
        assert!(is_signed(&[random.clone(), hex(signature)].concat(), &player_key(), &hex(digest)));
    }
}

#[test]
fn a_client_that_signs_is_answered_with_signatures_by_its_own_scheme() {
    for (scheme, seed) in (0..2).flat_map(|scheme| (0..20).map(move |seed| (scheme, seed))) {
        let hello = offer(scheme, seed as usize);
        let answer = answer(&hello, seed);
        let (server, echo) = answer[1..].split_at(SIZE);
        assert_eq!(digest(server, &server_key()[..36]).map(|(scheme, _)| scheme), Some(scheme));
        let (_, offered) = digest(&hello, &player_key()[..30]).unwrap();
        assert!(is_signed(echo, &server_key(), &offered));
    }
}

#[test]
fn what_ffmpeg_and_vlc_offer_is_recognised_and_what_we_answer_they_accept() {
    for recording in ["ffmpeg/5.1-publish", "ffmpeg/5.1-play", "vlc/3.0-play"] {
        let bytes = Recording::load(recording).bytes;
        let hello = &bytes[1..1 + SIZE];
        let (scheme, offered) = digest(hello, &player_key()[..30]).expect("libavformat signs");
        let answer = answer(hello, 7);
        let (server, echo) = answer[1..].split_at(SIZE);
        // libavformat checks from this version on, and gives up where something is wrong.
        assert!(server[4] >= 3, "{recording}");
        assert_eq!(digest(server, &server_key()[..36]).map(|(scheme, _)| scheme), Some(scheme), "{recording}");
        assert!(is_signed(echo, &server_key(), &offered), "{recording}");
    }
}

#[test]
fn who_does_not_sign_or_signs_wrongly_is_given_a_plain_echo() {
    let mut wrong = offer(1, 3);
    wrong[1000] ^= 1;
    let mut denied = offer(1, 3);
    denied[4..8].fill(0);
    let unsigned = ["obs/29-publish", "gst/1.22-publish", "gst/1.22-play"];
    let unsigned = unsigned.map(|recording| Recording::load(recording).bytes[1..1 + SIZE].to_vec());
    for hello in unsigned.into_iter().chain([wrong, denied, vec![0xff; SIZE], vec![0; SIZE]]) {
        let answer = answer(&hello, 7);
        assert_eq!(answer[1..9], [0; 8], "time 0, version word 0");
        assert!(answer[1 + SIZE..] == hello[..], "an echo");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// livepeer/go-livepeer#452: Wirecast sends its handshake in pieces, and breaks on an answer in pieces. Whatever the bytes
    /// are, and however they come, it ends well; what follows it belongs to the chunk stream.
    #[test]
    fn interop_22_a_handshake_in_any_pieces_with_any_contents_is_one_answer_and_an_end(
        scheme in prop::option::of(0u8..2),
        contents in any::<u64>(),
        pieces in prop::collection::vec(1usize..900, 0..20),
    ) {
        let hello = match scheme {
            Some(scheme) => offer(scheme, contents as usize % 256),
            None => [&contents.to_be_bytes()[..], &random(contents)].concat(),
        };
        let bytes = [&[3], &hello[..], &random(!contents), &[1; 8], b"chunks"].concat();
        let (mut session, mut rest, mut writes) = (ServerSession::new(random(1)), &bytes[..], 0);
        for piece in pieces.into_iter().cycle().take(10_000).chain([usize::MAX]) {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            rest = later;
            session.input().extend_from_slice(now);
            if session.phase() == Phase::Handshake {
                while let Some(output) = session.poll().unwrap() {
                    prop_assert!(matches!(output, Output::Transmit(answer) if answer.len() == HANDSHAKE));
                    writes += 1;
                }
            }
        }
        prop_assert_eq!((writes, session.phase(), session.input().len()), (1, Phase::Connect, "chunks".len()));
    }
}

#[test]
fn our_client_signs_nothing() {
    let (_, hello) = Handshake::client(&random(7));
    assert_eq!(hello[..9], [3, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(digest(&hello[1..], &player_key()[..30]), None);
}
