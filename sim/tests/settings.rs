//! What is set for one destination is for that one.

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{Class, Settings, State};
use sim::{Act, Answer, World, ms, secs};

/// `kick` is sent to like this, `youtube` as ever.
fn world(settings: Settings, kick: Answer) -> World {
    let mut destinations =
        config::destinations(&["rtmp://kick/{app}/{stream}", "rtmp://youtube/{app}/{stream}"]).expect("URLs");
    destinations[0].settings = settings;
    let config = Config { listen: config::listen(":1935").expect("an address"), destinations, ..Config::default() };
    World::seeded(9)
        .relay_told("relay", config)
        .server("kick", move |_| kick)
        .server("youtube", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(70)), Act::Stop])
}

/// About 470 kbit/s.
#[test]
fn a_stream_with_too_many_bits_is_degraded_after_ten_seconds_and_blocked_after_thirty_and_the_other_goes_on() {
    let mut world = world(Settings { max_bitrate: Some(200_000), ..Settings::default() }, Answer::Accept);
    world.run(secs(9));
    assert_eq!(world.status("relay", "kick").state, State::Live);
    world.until(secs(4), |world| world.status("relay", "kick").state == State::Degraded);
    assert!(world.status("relay", "kick").reason.expect("a reason").contains("limit is 0.2 Mbit/s"));
    world.run(secs(28) - world.now());
    assert_eq!(world.status("relay", "kick").state, State::Degraded);
    world.until(secs(5), |world| world.status("relay", "kick").state == State::Blocked);
    assert_eq!(world.status("relay", "kick").class, Some(Class::TooMuch));
    world.run(secs(20));
    assert_eq!(world.sessions("kick").len(), 1, "it is not tried while the stream is what it is");
    assert_eq!(world.status("relay", "youtube").state, State::Live);
    assert_eq!(world.sessions("youtube").len(), 1);
}

#[test]
fn one_within_its_limit_is_left_alone() {
    let mut world = world(Settings { max_bitrate: Some(2_000_000), ..Settings::default() }, Answer::Accept);
    world.run(secs(50));
    assert_eq!(world.status("relay", "kick").state, State::Live);
}

#[test]
fn a_destination_waits_as_long_as_it_is_told_between_tries_and_for_a_server_that_takes_nothing() {
    let mut settings = Settings::default();
    settings.reconnect.initial = secs(1);
    settings.reconnect.max = secs(1);
    let mut refused = world(settings, Answer::Close(1));
    refused.run(secs(20));
    let opened: Vec<_> = refused.sessions("kick").iter().map(|session| session.opened).collect();
    for pair in opened.windows(2) {
        let wait = pair[1] - pair[0];
        assert!((ms(750)..ms(1_700)).contains(&wait), "{wait:?}");
    }
    assert!(opened.len() > 10);

    let mut settings = Settings::default();
    settings.timeouts.progress = secs(3);
    let mut deaf = world(settings, Answer::Deaf(secs(1), secs(60)));
    deaf.run(secs(9));
    assert!(deaf.status("relay", "kick").last_error.expect("an error").contains("taken nothing for 3 s"));
    assert_eq!(deaf.status("relay", "youtube").state, State::Live);
}
