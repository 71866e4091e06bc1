//! What is set for one destination is for that one.

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{Class, Settings, State};
use rtmp_relay::flv::Kind;
use rtmp_relay::limits::MERGE;
use rtmp_relay::stream::Merge;
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

/// A segment is on its way for 1 to 30 ms.
const JITTER: std::time::Duration = ms(30);

#[test]
fn sound_that_is_merged_comes_with_the_next_picture_or_40_ms_late_and_nothing_is_lost_or_out_of_order() {
    let merging = Settings { merge: Merge::Audio, ..Settings::default() };
    let mut world = World::seeded(9)
        .relay_told("relay", {
            let urls = ["rtmp://kick/{app}/{stream}", "rtmp://youtube/{app}/{stream}"];
            let mut destinations = config::destinations(&urls).expect("URLs");
            destinations[0].settings = merging;
            Config { listen: config::listen(":1935").expect("an address"), destinations, ..Config::default() }
        })
        .server("kick", |_| Answer::Accept)
        .server("youtube", |_| Answer::Accept)
        // It falls silent here and there, once in mid-GOP right after a sound: nothing comes after it to go with.
        .encoder(
            "obs",
            "relay/live/show",
            &[
                Act::Publish(ms(4_010)),
                Act::Wait(secs(3)),
                Act::Publish(ms(2_025)),
                Act::Wait(secs(2)),
                Act::Publish(secs(2)),
                Act::Wait(secs(20)),
            ],
        );
    world.run(secs(15));
    let [merged, plain] = ["kick", "youtube"].map(|server| world.sessions(server)[0].tape.clone());
    assert_eq!(merged.len(), plain.len());
    let mut later = [(0, 0.0); Kind::ALL.len()];
    for (number, (merged, plain)) in merged.iter().zip(&plain).enumerate() {
        assert_eq!((merged.kind, merged.time, &merged.payload), (plain.kind, plain.time, &plain.payload), "{number}");
        let limit = if merged.kind == Kind::Audio { MERGE + JITTER } else { JITTER };
        assert!(merged.at.saturating_sub(plain.at) <= limit, "{merged:?} came at {:?} after {:?}", merged.at, plain.at);
        let (count, sum) = &mut later[merged.kind as usize];
        *count += 1;
        *sum += merged.at.as_secs_f64() - plain.at.as_secs_f64();
    }
    let [sound, picture] =
        [Kind::Audio, Kind::Video].map(|kind| later[kind as usize].1 / f64::from(later[kind as usize].0));
    assert!((0.005..0.040).contains(&sound), "sounds are {sound} s later");
    assert!(picture.abs() < 0.005, "pictures are {picture} s later");
}
