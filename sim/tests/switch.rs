//! A destination is switched off and on again, whatever it is doing.

use std::cell::Cell;
use std::rc::Rc;

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

/// One that is sent to a server which does this until it is well.
fn world(answer: Answer) -> (World, Rc<Cell<bool>>) {
    let well = Rc::new(Cell::new(false));
    let is_well = well.clone();
    let world = World::seeded(5)
        .relay("relay", &["kick", "youtube"])
        .server("kick", move |_| if is_well.get() { Answer::Accept } else { answer })
        .server("youtube", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(40)), Act::Stop]);
    (world, well)
}

#[test]
fn interop_59_stop_and_start_work_in_every_state() {
    for (answer, state) in [
        (Answer::Silence("connect"), State::Connecting),
        (Answer::Silence(""), State::Connecting),
        (Answer::Accept, State::Live),
        (Answer::Deaf(ms(500), secs(5)), State::Degraded),
        (Answer::Close(100_000), State::BackingOff),
        (Answer::Refuse("connect", "NetConnection.Connect.Rejected"), State::Rejected),
        (Answer::Refuse("publish", "NetStream.Publish.Denied"), State::Rejected),
        (Answer::Refuse("publish", "NetStream.Publish.BadName"), State::BackingOff),
    ] {
        let (mut world, well) = world(answer);
        world.until(secs(8), |world| world.status("relay", "kick").state == state);
        world.switch("relay", "kick", false);
        world.until(secs(2), |world| world.status("relay", "kick").state == State::Disabled);
        let before = world.sessions("kick").len();
        world.run(secs(3));
        // The simulated network loses the end of a connection whose peer does not read.
        let deaf = state == State::Degraded;
        let all_closed = world.sessions("kick").iter().all(|session| session.closed.is_some());
        assert!(all_closed || deaf, "{state:?}: all are closed");
        assert_eq!(world.sessions("kick").len(), before, "{state:?}: nothing is tried");
        well.set(true);
        world.switch("relay", "kick", true);
        world.until(secs(1), |world| world.status("relay", "kick").state == State::Live);
        world.run(secs(1));
        if !deaf {
            laws::one_session_at_a_time(&world.sessions("kick"));
        }
        assert_eq!(world.sessions("youtube").len(), 1, "{state:?}: the other one goes on");
    }
}

#[test]
fn switched_twenty_times_a_second_it_is_what_it_was_last() {
    let (mut world, well) = world(Answer::Accept);
    well.set(true);
    world.run(secs(2));
    for turn in 0..20 {
        world.switch("relay", "kick", turn % 2 == 1);
        world.run(ms(50));
    }
    world.until(secs(2), |world| world.status("relay", "kick").state == State::Live);
    world.run(secs(1));
    laws::one_session_at_a_time(&world.sessions("kick"));
    assert_eq!(world.sessions("kick").iter().filter(|session| session.closed.is_none()).count(), 1);
}
