//! Servers that say no, or nothing. The stream is offered again and again, ever more slowly, and never twice at once.
//!
//! ```text
//!  obs ─► relay ─► picky
//! ```

use std::time::Duration;

use rtmp_relay::destination::State;
use sim::{Act, Answer, Session, World, laws, ms, secs};

fn world(seed: u64, show: u64, answer: impl Fn(usize) -> Answer + 'static) -> World {
    World::seeded(seed).relay("relay", &["picky"]).server("picky", answer).encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(show)), Act::Stop],
    )
}

/// What a server has for each step.
const STEP: Duration = secs(10);

/// From the end of each connection to the beginning of the next.
fn waits(sessions: &[Session]) -> Vec<Duration> {
    laws::one_session_at_a_time(sessions);
    sessions.windows(2).map(|pair| pair[1].opened - pair[0].closed.expect("it is over")).collect()
}

/// Waits double from 250 ms to the cap, give or take a quarter and a few ways through the network.
fn waits_double(sessions: &[Session], cap: Duration) {
    for (n, wait) in waits(sessions).into_iter().enumerate() {
        let expected = (ms(250) * 2u32.pow(n as u32)).min(cap);
        let bounds = expected.mul_f64(0.75)..expected.mul_f64(1.25) + ms(100);
        assert!(bounds.contains(&wait), "wait {n} takes {wait:?}, not {bounds:?}");
    }
}

#[test]
fn a_key_in_use_is_tried_until_it_is_free() {
    for seed in 0..3 {
        let mut world = world(seed, 6, |n| match n {
            0 | 1 => Answer::Refuse("publish", "NetStream.Publish.BadName"),
            _ => Answer::Accept,
        });
        world.until(secs(2), |world| world.status("relay", "picky").state == State::BackingOff);
        let said = world.status("relay", "picky").last_error.expect("a reason");
        assert!(said.starts_with("refused when asked to publish or play: NetStream.Publish.BadName"), "{said}");
        world.run(secs(5));
        let status = world.status("relay", "picky");
        assert_eq!((status.state, status.attempts, status.reconnects), (State::Live, 3, 0));
        world.run(secs(3));

        let sessions = world.sessions("picky");
        assert_eq!(sessions.len(), 3);
        waits_double(&sessions, secs(30));
        assert!(sessions[..2].iter().all(|s| s.tape.is_empty()), "nothing is sent to who said no");
        laws::begins_with_preamble_and_key(&sessions[2].tape);
        laws::misses_nothing(&world.sent("obs"), &sessions[2].tape);
    }
}

#[test]
fn a_server_that_refuses_for_ever_is_asked_more_and_more_slowly() {
    let mut world = world(1, 70, |_| Answer::Refuse("connect", "NetConnection.Connect.Rejected"));
    for _ in 0..60 {
        world.run(secs(1));
        let status = world.status("relay", "picky");
        assert!(matches!(status.state, State::Rejected | State::Connecting), "it is {}", status.state);
        let said = status.last_error.expect("a reason");
        assert_eq!(said, "refused in connect: NetConnection.Connect.Rejected");
    }
    let sessions = world.sessions("picky");
    assert!((7..=9).contains(&sessions.len()), "asked {} times", sessions.len());
    waits_double(&sessions, secs(60));
    assert!(
        sessions.iter().all(|s| s.commands.iter().all(|(_, name)| name == "connect")),
        "after a no nothing is said"
    );
}

#[test]
fn a_server_that_falls_silent_is_left_after_ten_seconds_whatever_it_was_asked() {
    let steps = ["", "connect", "createStream", "publish"];
    let mut world = world(1, 50, move |n| steps.get(n).map_or(Answer::Accept, |step| Answer::Silence(step)));
    let said = [
        "timed out in the handshake",
        "timed out in connect",
        "timed out in createStream",
        "timed out when asked to publish or play",
    ];
    for (n, said) in said.into_iter().enumerate() {
        world.until(STEP + secs(6), |world| world.status("relay", "picky").state == State::BackingOff);
        assert_eq!(world.status("relay", "picky").last_error.as_deref(), Some(said));
        world.until(secs(6), |world| world.status("relay", "picky").attempts == n as u64 + 2);
    }
    world.run(secs(54) - world.now());

    let sessions = world.sessions("picky");
    assert_eq!(sessions.len(), 5);
    waits_double(&sessions, secs(5));
    for session in &sessions[..4] {
        let lasted = session.closed.expect("it is over") - session.opened;
        assert!((STEP..STEP + ms(500)).contains(&lasted), "{lasted:?}");
    }
    laws::begins_with_preamble_and_key(&sessions[4].tape);
    laws::misses_nothing(&world.sent("obs"), &sessions[4].tape);
}

#[test]
fn interop_53_a_server_that_closes_fifty_times_is_sent_to_again() {
    let mut world = world(5, 400, |n| if n < 50 { Answer::Close(2_000 + 700 * n) } else { Answer::Accept });
    world.until(secs(400), |world| world.sessions("picky").len() == 51);
    world.run(secs(4));
    let status = world.status("relay", "picky");
    assert_eq!((status.state, status.attempts), (State::Live, 51));
    let sessions = world.sessions("picky");
    laws::one_session_at_a_time(&sessions);
    sessions.iter().for_each(|session| laws::begins_with_preamble_and_key(&session.tape));
}
