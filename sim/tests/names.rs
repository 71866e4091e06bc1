//! A destination's name: no address, a dead one before a good one, another one tomorrow. It is asked for anew each time.

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

fn world(destinations: &[&str]) -> World {
    World::seeded(9)
        .relay("relay", destinations)
        .server("dead", |_| Answer::Accept)
        .server("alive", |_| Answer::Accept)
        .server("beside", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(40))])
}

/// What an attempt may take that loses no time: ways there and back through the network.
const PROMPT: std::time::Duration = ms(500);

#[test]
fn interop_55_a_dead_address_before_a_good_one_costs_a_quarter_of_a_second_and_no_attempt() {
    let mut world = world(&["two-faced"]);
    world.spread_name("two-faced", &["dead", "alive"]);
    world.hold("relay", "dead");
    world.until(secs(1), |world| world.status("relay", "two-faced").attempts == 1);
    let asked = world.now();
    world.until(ms(250) + PROMPT, |world| world.status("relay", "two-faced").state == State::Live);
    assert!(world.now() - asked >= ms(250), "the first address has a head start");
    world.run(secs(3));
    let status = world.status("relay", "two-faced");
    assert_eq!((status.attempts, status.last_error), (1, None));
    assert_eq!((world.sessions("alive").len(), world.sessions("dead").len()), (1, 0));
    laws::begins_with_preamble_and_key(&world.sessions("alive")[0].tape);
}

#[test]
fn a_name_that_has_no_address_keeps_nobody_from_starting_and_is_asked_for_anew_each_time() {
    let mut world = world(&["nowhere", "beside"]);
    world.spread_name("nowhere", &[]);
    world.until(secs(2), |world| world.status("relay", "beside").state == State::Live);
    let status = world.status("relay", "nowhere");
    assert_eq!(status.state, State::BackingOff);
    let said = status.last_error.expect("an error");
    assert!(said.starts_with("the host name cannot be resolved"), "{said}");

    world.spread_name("nowhere", &["alive"]);
    world.until(secs(2), |world| world.status("relay", "nowhere").state == State::Live);
    world.spread_name("nowhere", &["dead"]);
    world.crash("alive");
    world.until(secs(2), |world| world.sessions("dead").len() == 1);
    assert_eq!(world.sessions("beside").len(), 1, "nobody else has noticed");
}
