//! A server never sees two of us: a session waits until the last one to the same server and key is over.
//!
//! ```text
//!  obs ─► live/one ─┐
//!                   ├─ relay ─► youtube      one key
//!  cam ─► live/two ─┘
//! ```

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

/// An encoder ends its stream and starts it again while the server has yet to read the end of the first.
#[test]
fn a_stream_that_begins_again_waits_until_the_server_has_seen_the_end() {
    for seed in 0..2 {
        let mut world = World::seeded(seed)
            .relay("relay", &["youtube"])
            .server("youtube", |n| if n == 0 { Answer::Deaf(ms(500), secs(3)) } else { Answer::Accept })
            .encoder("obs", "relay/live/show", &[Act::Publish(secs(2)), Act::Stop, Act::Publish(secs(4)), Act::Stop]);
        world.run(secs(8));
        let sessions = world.sessions("youtube");
        assert_eq!(sessions.len(), 2);
        laws::one_session_at_a_time(&sessions);
        for session in &sessions {
            laws::begins_with_preamble_and_key(&session.tape);
            assert_eq!(session.commands.last().map(|(_, name)| name.as_str()), Some("deleteStream"));
        }
    }
}

#[test]
fn a_key_is_handed_to_the_next_stream_when_the_first_is_over() {
    for seed in 0..4 {
        let mut world = World::seeded(seed)
            .relay("relay", &["rtmp://youtube/live2/KEY"])
            .server("youtube", |_| Answer::Accept)
            .encoder("obs", "relay/live/one", &[Act::Publish(secs(2)), Act::Stop])
            .encoder("cam", "relay/live/two", &[Act::Wait(secs(1)), Act::Publish(secs(3)), Act::Stop]);
        world.run(ms(1_500));
        let [first, second] = &world.statuses("relay")[..] else { panic!("a row for each stream") };
        assert_eq!((&first.state, &second.state), (&State::Live, &State::Blocked));
        assert_eq!(second.reason.as_deref(), Some("key in use by live/one"));
        world.run(secs(4));
        let sessions = world.sessions("youtube");
        assert_eq!(sessions.len(), 2);
        laws::one_session_at_a_time(&sessions);
        for (session, encoder) in sessions.iter().zip(["obs", "cam"]) {
            laws::begins_with_preamble_and_key(&session.tape);
            laws::misses_nothing(&world.sent(encoder), &session.tape);
        }
    }
}
