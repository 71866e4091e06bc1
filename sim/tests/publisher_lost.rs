//! An encoder's connection ends: with a goodbye, or without one, for good or for a moment.
//!
//! ```text
//!  obs ─► edge ─┬─► youtube
//!               ├─► viewer
//!               └─► origin ─► twitch
//! ```

use std::time::Duration;

use rtmp_relay::destination::State;
use rtmp_relay::limits::PUBLISHER_SILENCE;
use sim::{Act, Answer, Media, World, laws, ms, secs};

/// A lost publisher has this long to come back.
const GRACE: Duration = secs(15);

fn world(seed: u64, acts: &[Act]) -> World {
    World::seeded(seed)
        .relay("origin", &["twitch"])
        .publish_key("KEY")
        .relay("edge", &["youtube", "origin"])
        .server("youtube", |_| Answer::Accept)
        .server("twitch", |_| Answer::Accept)
        .encoder("obs", "edge/live/show?key=KEY", acts)
        .player("viewer", "edge/live/show", ms(0))
}

/// How a session was ended, in commands, and when the last one came.
fn goodbye(world: &World, server: &str, session: usize) -> (Vec<String>, Option<Duration>) {
    let commands = world.sessions(server)[session].commands.clone();
    let goodbyes = commands.into_iter().filter(|(_, name)| name == "FCUnpublish" || name == "deleteStream");
    let (times, names): (Vec<Duration>, Vec<String>) = goodbyes.unzip();
    (names, times.last().copied())
}

/// In the same session, after a pause as long as it was.
fn goes_on_with_preamble_and_key(tape: &[Media]) {
    let back = 3 + tape[3..].iter().position(Media::is_preamble).expect("the preamble comes again");
    laws::begins_with_preamble_and_key(&tape[back..]);
    let (paused, passed) = (tape[back + 3].time - tape[back - 1].time, tape[back + 3].at - tape[back - 1].at);
    let error = passed.abs_diff(ms(paused.into()));
    assert!(error < ms(100), "{passed:?} have passed, and {paused} ms on the stream's time line");
}

#[test]
fn interop_63_a_publisher_that_returns_within_the_grace_goes_on_in_the_same_sessions() {
    for seed in 0..2 {
        let acts = [Act::Publish(secs(3)), Act::Vanish, Act::Wait(secs(6)), Act::Publish(secs(3)), Act::Stop];
        let mut world = world(seed, &acts);
        world.run(secs(8));
        assert_eq!(world.status("edge", "youtube").state, State::Degraded, "nothing leaves, so it is not live");
        world.run(secs(6));

        let sent = world.sent("obs");
        let [youtube, twitch] = ["youtube", "twitch"].map(|server| world.sessions(server));
        assert_eq!((youtube.len(), twitch.len()), (1, 1), "the sessions go on");
        for tape in [&youtube[0].tape, &twitch[0].tape, &world.played("viewer")] {
            laws::begins_with_preamble_and_key(tape);
            laws::time_never_goes_back(tape);
            laws::arrives_within(ms(200), &sent, tape);
            laws::misses_nothing(&sent, tape);
        }
        for tape in [&youtube[0].tape, &world.played("viewer")] {
            goes_on_with_preamble_and_key(tape);
        }
        // The origin has had one publisher all the time, and passes on what is new.
        let again: Vec<String> = twitch[0].tape[3..].iter().filter(|m| m.is_preamble()).map(Media::to_string).collect();
        assert_eq!(again, ["video header"]);
    }
}

/// Nobody says that the first connection is dead.
#[test]
fn interop_49_and_interop_92_a_publisher_that_returns_from_another_network_takes_its_own_place() {
    for seed in 0..2 {
        let mut world = world(seed, &[Act::Publish(secs(12))]).encoder(
            "phone",
            "edge/live/show?key=KEY",
            &[Act::Wait(secs(6)), Act::Publish(secs(4)), Act::Stop],
        );
        world.run(secs(3));
        world.partition("obs", "edge");
        world.run(secs(8));

        let (obs, phone) = (world.sent("obs"), world.sent("phone"));
        let sent = [&obs[..], &phone].concat();
        let youtube = world.sessions("youtube");
        assert_eq!(youtube.len(), 1, "the session goes on");
        for tape in [&youtube[0].tape, &world.played("viewer")] {
            laws::begins_with_preamble_and_key(tape);
            laws::time_never_goes_back(tape);
            goes_on_with_preamble_and_key(tape);
            let runs = laws::runs(&sent, tape);
            let [before, after] = &runs[..] else { panic!("one gap, not {runs:?}") };
            assert_eq!(before.start, 0);
            assert_eq!(*after, obs.len() - 3..sent.len() - 6, "all of the phone's");
        }
        assert!(goodbye(&world, "youtube", 0).1.is_some(), "and ends with the phone's");
    }
}

#[test]
fn a_publisher_that_does_not_return_ends_its_stream_when_the_grace_is_over() {
    for seed in 0..2 {
        let mut world = world(seed, &[Act::Publish(secs(3)), Act::Vanish]);
        let over = secs(3) + GRACE;
        world.run(over - ms(100));
        for server in ["youtube", "twitch"] {
            assert_eq!(goodbye(&world, server, 0), (vec![], None));
        }
        world.run(secs(2));

        for server in ["youtube", "twitch"] {
            let (said, when) = goodbye(&world, server, 0);
            assert_eq!(said, ["FCUnpublish", "deleteStream"], "{server}");
            assert!(when < Some(over + ms(500)), "one grace for the whole chain, not until {when:?}");
            let sessions = world.sessions(server);
            assert_eq!(sessions.len(), 1);
            assert!(sessions[0].closed.is_some());
        }
        laws::misses_nothing(&world.sent("obs"), &world.played("viewer"));
        for (relay, destination) in [("edge", "youtube"), ("edge", "origin"), ("origin", "twitch")] {
            assert_eq!(world.status(relay, destination).state, State::Waiting);
        }
        assert!(world.story().contains("viewer    the stream has ended: NetStream.Play.UnpublishNotify"));
    }
}

/// Its link goes dead without a word from either end, and nobody comes to take its place.
#[test]
fn interop_50_a_publisher_that_is_cut_off_is_lost_once_it_has_been_silent() {
    let mut world = world(0, &[Act::Publish(secs(60))]);
    world.run(secs(3));
    world.partition("obs", "edge");
    let over = secs(3) + PUBLISHER_SILENCE + GRACE;
    world.run(over - secs(4));
    for server in ["youtube", "twitch"] {
        assert_eq!(goodbye(&world, server, 0), (vec![], None));
    }
    world.run(secs(5));
    for server in ["youtube", "twitch"] {
        assert_eq!(goodbye(&world, server, 0).0, ["FCUnpublish", "deleteStream"], "{server}");
        assert_eq!(world.sessions(server).len(), 1);
    }
}

#[test]
fn interop_62_a_clean_stop_is_passed_on_at_once_and_what_comes_next_is_a_new_stream() {
    for seed in 0..2 {
        let acts = [Act::Publish(secs(3)), Act::Stop, Act::Wait(secs(2)), Act::Publish(secs(3)), Act::Stop];
        let mut world = world(seed, &acts);
        world.run(secs(4));
        for server in ["youtube", "twitch"] {
            let (said, when) = goodbye(&world, server, 0);
            assert_eq!(said, ["FCUnpublish", "deleteStream"]);
            assert!(when < Some(ms(3_300)), "{server} hears of it after {when:?}");
        }
        world.run(secs(6));
        new_stream_in_a_new_session(&world);
    }
}

#[test]
fn interop_61_a_publisher_that_starts_again_at_once_is_not_sent_twice_at_once() {
    for seed in 0..2 {
        let mut world = world(seed, &[Act::Publish(secs(2)), Act::Stop, Act::Publish(secs(2)), Act::Stop]);
        world.run(secs(6));
        new_stream_in_a_new_session(&world);
    }
}

fn new_stream_in_a_new_session(world: &World) {
    let sent = world.sent("obs");
    for server in ["youtube", "twitch"] {
        let sessions = world.sessions(server);
        assert_eq!(sessions.len(), 2);
        laws::one_session_at_a_time(&sessions);
        for session in &sessions {
            laws::begins_with_preamble_and_key(&session.tape);
            assert_eq!(session.tape[3].time, 0);
        }
        let first = sessions[0].tape.len();
        assert_eq!(laws::runs(&sent, &sessions[0].tape), vec![0..first - 3]);
        laws::misses_nothing(&sent, &sessions[1].tape);
    }
}

/// It begins with its headers and takes its time for the rest, as cameras do that wait for a picture.
#[test]
fn interop_91_a_publisher_that_starts_slowly_is_not_lost() {
    let mut world = world(0, &[Act::Publish(ms(0)), Act::Wait(secs(25)), Act::Publish(secs(3)), Act::Stop]);
    world.run(secs(32));
    for server in ["youtube", "twitch"] {
        let sessions = world.sessions(server);
        assert_eq!(sessions.len(), 1, "{server}");
        laws::begins_with_preamble_and_key(&sessions[0].tape);
        laws::misses_nothing(&world.sent("obs"), &sessions[0].tape);
    }
}
