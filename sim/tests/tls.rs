//! RTMPS between two relays, on the simulated network. What is in the records differs from run to run; their lengths and times
//! do not.
//!
//! ```text
//!  obs ─► edge ═TLS═► origin ─► viewer
//! ```

#![allow(missing_docs)]

use std::time::Duration;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, PKCS_ED25519, date_time_ymd};
use rtmp_relay::config::{self, Config, Route, Tls};
use rtmp_relay::destination::{State, Template};
use rtmp_relay::inbound::Ending;
use rtmp_relay::limits::HANDSHAKE;
use rtmp_relay::net::tls::{Identity, Trust};
use sim::{Act, Deed, World, laws, ms, secs};

/// A certificate in PEM, its key, and the authority's.
struct Card {
    certificate: String,
    key: String,
    authority: String,
}

fn card(change: impl FnOnce(&mut CertificateParams)) -> Card {
    let pair = || KeyPair::generate_for(&PKCS_ED25519).expect("a key");
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "an authority");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, pair()).expect("an authority");
    let mut params = CertificateParams::new(["origin".to_owned()]).expect("a name");
    params.distinguished_name.push(DnType::CommonName, "origin");
    change(&mut params);
    let key = pair();
    let certificate = params.signed_by(&key, &authority).expect("a certificate").pem();
    Card { certificate, key: key.serialize_pem(), authority: authority.pem() }
}

/// Nothing of a session is left from one world to the next: one that is resumed has a longer hello.
fn chain(world: World, card: &Card, publishing: Duration) -> World {
    let trust = Trust::only(card.authority.as_bytes()).expect("an authority");
    let url = Template::parse("rtmps://origin/{app}/{stream}").expect("a URL");
    let edge = Config {
        listen: config::listen(":1935").expect("an address"),
        destinations: vec![Route { trust, ..Route::new("origin".to_owned(), url) }],
        ..Config::default()
    };
    let identity = Identity::new(card.certificate.as_bytes(), card.key.as_bytes()).expect("an identity");
    let origin = Config {
        listen: config::listen(":1935").expect("an address"),
        tls: Some(Tls { listen: config::listen(":443").expect("an address"), identity }),
        ..Config::default()
    };
    world
        .relay_told("edge", edge)
        .relay_told("origin", origin)
        .encoder("obs", "edge/live/show", &[Act::Publish(publishing), Act::Stop])
        .player("viewer", "origin/live/show", ms(0))
        .villain("villain")
}

#[test]
fn a_stream_through_tls_is_the_stream_that_was_sent() {
    let card = card(|_| {});
    for seed in 0..2 {
        let mut world = chain(World::seeded(seed), &card, secs(7));
        world.run(secs(9));
        let (sent, played) = (world.sent("obs"), world.played("viewer"));
        laws::begins_with_preamble_and_key(&played);
        laws::time_never_goes_back(&played);
        laws::keeps_pace(&sent, &played);
        let frames = laws::misses_nothing(&sent, &played);
        assert!((537..541).contains(&frames), "{frames} frames");
    }
}

/// A trace without the bytes of segments and their hashes.
fn shape(trace: &str) -> Vec<&str> {
    let without_bytes =
        |line| ["TCP [", " bytes, "].iter().fold(line, |line: &str, at| line.split(at).next().unwrap_or(line));
    trace.lines().map(without_bytes).collect()
}

#[test]
fn the_same_seed_gives_the_same_trace_but_for_what_is_encrypted() {
    let card = card(|_| {});
    let traces = [1, 1, 2].map(|seed| {
        let mut world = chain(World::seeded_with_wire(seed), &card, secs(5));
        world.run(secs(2));
        world.crash("origin");
        world.run(ms(500));
        world.bounce("origin");
        world.run(secs(3));
        world.trace()
    });
    let traces = traces.each_ref().map(|trace| shape(trace));
    assert_eq!(traces[0].iter().zip(&traces[1]).find(|(a, b)| a != b), None);
    assert!(traces[0].len() == traces[1].len(), "one is longer");
    assert!(traces[0] != traces[2], "the seed changes nothing");
    assert!(traces[0].iter().filter(|line| line.contains("writes")).count() > 1000, "the wire is in the trace");
}

#[test]
fn days_are_those_of_the_simulated_clock() {
    // It is November 2023 there.
    for (change, word) in [
        ((|p| p.not_before = date_time_ymd(2024, 1, 1)) as fn(&mut CertificateParams), "not valid yet"),
        (|p| p.not_after = date_time_ymd(2023, 1, 1), "expired"),
    ] {
        let mut world = chain(World::seeded(3), &card(change), secs(5));
        world.run(secs(3));
        let status = world.status("edge", "origin");
        assert_eq!(status.state, State::Rejected);
        assert!(status.last_error.as_ref().is_some_and(|error| error.contains(word)), "{:?}", status.last_error);
        assert!(world.endings("origin").contains_key(&Ending::Tls));
    }
}

#[test]
fn a_server_that_is_not_trusted_is_tried_again_by_the_plan_of_its_class() {
    let mut world = chain(World::seeded(3), &card(|p| p.not_after = date_time_ymd(2023, 1, 1)), secs(200));
    world.run(ms(10));
    let mut tried = Vec::new();
    while world.now() < secs(190) {
        let attempts = world.status("edge", "origin").attempts;
        world.until(secs(80), |world| world.status("edge", "origin").attempts > attempts || world.now() >= secs(190));
        tried.push(world.now());
    }
    let status = world.status("edge", "origin");
    assert_eq!(status.class.map(|class| class.to_string()).as_deref(), Some("tls"));
    assert!(status.remedy().expect("it has failed").contains("rtmps://"));
    // 250 ms, doubled up to a minute, a quarter more or less; and an attempt takes a few round trips.
    let mut plan = ms(250);
    for pair in tried.windows(2).take(8) {
        let wait = pair[1] - pair[0];
        assert!((plan.mul_f64(0.74)..plan.mul_f64(1.26) + ms(300)).contains(&wait), "{wait:?} in {tried:?}");
        plan = (plan * 2).min(secs(60));
    }
    assert!(tried.len() >= 9, "{tried:?}");
}

#[test]
fn who_never_finishes_the_tls_handshake_is_left_and_disturbs_nobody() {
    let card = card(|_| {});
    let mut world = chain(World::seeded(4), &card, secs(15));
    world.run(secs(2));
    let hello: &[u8] = &[&[0x16, 3, 1, 1, 0, 1, 0, 0, 252, 3, 3][..], &[7; 200]].concat();
    let drip = |bytes: &[u8]| vec![Deed::Drip(bytes.to_vec().into(), 1, ms(100))];
    let mut loris = Vec::new();
    for _ in 0..20 {
        loris.push(world.attack("villain", "origin:443", Vec::new()));
        loris.push(world.attack("villain", "origin:443", drip(hello)));
        // A record that is announced and never whole.
        let announced = [&[0x16, 3, 1, 0x40, 0][..], &[1, 0, 0x3f, 0xfc]].concat();
        loris.push(world.attack("villain", "origin:443", drip(&announced)));
    }
    let rtmp = world.attack("villain", "origin:443", vec![Deed::Say(vec![3; 1537].into())]);
    world.run(ms(500));
    assert!(world.visitors("origin") >= 60, "they count");
    assert!(rtmp.borrow().ended.is_some(), "RTMP is ended at once");
    world.run(HANDSHAKE);
    assert_eq!(world.visitors("origin"), 2, "the edge and the viewer");
    assert!(loris.iter().all(|one| one.borrow().ended.is_some()));
    assert_eq!((world.endings("origin")[&Ending::TimedOut], world.endings("origin")[&Ending::Tls]), (60, 1));
    world.run(secs(12));
    laws::misses_nothing(&world.sent("obs"), &world.played("viewer"));
    assert_eq!(world.status("edge", "origin").reconnects, 0);
}
