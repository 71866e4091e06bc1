//! One relay, five servers; one of them dies and comes back, and the other four do not notice.
//!
//! ```text
//!  obs ─► relay ─┬─► youtube, twitch, facebook, archive
//!                └─► kick                   crashes after 4 s, is back after 8 s
//! ```

use std::time::Duration;

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

const UNHARMED: [&str; 4] = ["youtube", "twitch", "facebook", "archive"];

/// A wait is up to a quarter longer than the cap, 5 s; connecting takes a few round trips; a GOP has 2 s.
fn back() -> Duration {
    secs(5).mul_f64(1.25) + secs(1) + secs(2)
}

fn is_back(world: &World) -> bool {
    world.sessions("kick").last().is_some_and(|session| session.closed.is_none() && session.tape.len() > 3)
}

#[test]
fn one_server_crashes_and_comes_back_and_the_others_miss_nothing() {
    for seed in 0..2 {
        let mut world = World::seeded(seed)
            .relay("relay", &["youtube", "twitch", "kick", "facebook", "archive"])
            .server("youtube", |_| Answer::Accept)
            .server("twitch", |_| Answer::Accept)
            .server("kick", |_| Answer::Accept)
            .server("facebook", |_| Answer::Accept)
            .server("archive", |_| Answer::Accept)
            .encoder("obs", "relay/live/show", &[Act::Publish(secs(14)), Act::Stop]);
        world.run(secs(4));
        world.crash("kick");
        world.run(secs(4));
        assert_ne!(world.status("relay", "kick").state, State::Live);
        world.bounce("kick");
        world.until(back(), is_back);
        world.run(secs(16).saturating_sub(world.now()));

        let sent = world.sent("obs");
        for server in UNHARMED {
            let sessions = world.sessions(server);
            assert_eq!(sessions.len(), 1, "{server}");
            let tape = &sessions[0].tape;
            laws::begins_with_preamble_and_key(tape);
            laws::keeps_pace(&sent, tape);
            laws::arrives_within(ms(200), &sent, tape);
            assert!(tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)), "{server}");
        }
        let sessions = world.sessions("kick");
        laws::one_session_at_a_time(&sessions);
        for session in sessions.iter().filter(|session| session.began.is_some()) {
            laws::begins_with_preamble_and_key(&session.tape);
            laws::time_never_goes_back(&session.tape);
            assert_eq!(session.tape[0].time, 0, "each session begins at zero");
        }
        assert_eq!(laws::runs(&sent, &sessions[0].tape).len(), 1);
        laws::misses_nothing(&sent, &sessions.last().expect("it came back").tape);
        assert_eq!(world.status("relay", "kick").reconnects, 1);
    }
}

/// Connections to it are refused for 20 s, in which waits would grow to 16 s without the cap.
#[test]
fn a_server_that_was_down_for_long_is_back_within_the_retry_cap() {
    let mut world = World::seeded(1).relay("relay", &["kick"]).server("kick", |_| Answer::Accept).encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(40)), Act::Stop],
    );
    world.run(secs(1));
    world.crash("kick");
    world.run(ms(100));
    world.partition("relay", "kick");
    world.run(secs(20));
    let attempts = world.status("relay", "kick").attempts;
    assert!((7..=12).contains(&attempts), "tried {attempts} times");
    world.repair("relay", "kick");
    world.bounce("kick");
    world.until(back(), is_back);
}

/// Key frames are 4 s apart, and a session begins in a GOP that is under 2 s old, or else with the next.
#[test]
fn interop_56_a_server_that_is_back_long_after_a_key_frame_begins_with_the_next() {
    for (bounced, began) in [(ms(2_500), 4_000), (ms(4_500), 4_000), (ms(6_500), 8_000)] {
        let mut world = World::seeded(1).relay("relay", &["kick"]).server("kick", |_| Answer::Accept).encoder(
            "obs",
            "relay/live/show",
            &[Act::KeyEvery(secs(4)), Act::Publish(secs(9)), Act::Stop],
        );
        world.run(secs(1));
        world.crash("kick");
        world.run(bounced - secs(1));
        world.bounce("kick");
        world.run(secs(10) - world.now());

        let (sent, sessions) = (world.sent("obs"), world.sessions("kick"));
        let tape = &sessions.last().expect("it came back").tape;
        laws::begins_with_preamble_and_key(tape);
        laws::misses_nothing(&sent, tape);
        let first = sent.iter().find(|media| media.payload == tape[3].payload);
        assert_eq!(first.map(|media| media.time), Some(began), "back after {bounced:?}");
    }
}
