//! Relays that send to each other in a circle: the stream goes round once at most, and the one that closes the circle says so.
//!
//! ```text
//!  obs ─► a ─► b ─╳─► a              obs ─► a ─► b ─► c ─╳─► a              obs ─► a ─╳─► a
//! ```

use rtmp_relay::destination::State;
use sim::{Act, World, laws, ms, secs};

const SHOW: [Act; 2] = [Act::Publish(secs(6)), Act::Stop];

/// The last of `relays` would send to `back`, and is not let.
fn is_blocked(world: &mut World, closes: &str, back: &str) {
    world.run(secs(2));
    for _ in 0..15 {
        world.run(ms(200));
        let status = world.status(closes, back);
        assert!(matches!(status.state, State::Blocked | State::Connecting), "{} is {}", status.name, status.state);
        assert_eq!(status.reconnects + status.messages, 0);
        if status.state == State::Blocked {
            let said = status.remedy().expect("it has failed");
            assert!(said.contains("circle"), "{said}");
        }
    }
    let attempts = world.status(closes, back).attempts;
    assert!((2..=6).contains(&attempts), "it is tried with backoff, and was {attempts} times");
}

#[test]
fn two_relays_that_feed_each_other() {
    for seed in 0..3 {
        let mut world = World::seeded(seed)
            .relay("a", &["b"])
            .relay("b", &["a"])
            .encoder("obs", "a/live/show", &SHOW)
            .player("at-a", "a/live/show", ms(0))
            .player("at-b", "b/live/show", ms(0));
        is_blocked(&mut world, "b", "a");
        assert_eq!(world.status("a", "b").state, State::Live);
        world.run(secs(3));
        for player in ["at-a", "at-b"] {
            laws::misses_nothing(&world.sent("obs"), &world.played(player));
        }
    }
}

#[test]
fn a_circle_under_another_name() {
    let mut world = World::seeded(1)
        .relay("a", &["b"])
        .relay("b", &["rtmp://a/live/again"])
        .encoder("obs", "a/live/show", &SHOW)
        .player("viewer", "a/live/again", ms(0));
    is_blocked(&mut world, "b", "a");
    assert_eq!(world.played("viewer"), []);
}

#[test]
fn a_circle_of_three() {
    let mut world =
        World::seeded(1).relay("a", &["b"]).relay("b", &["c"]).relay("c", &["a"]).encoder("obs", "a/live/show", &SHOW);
    is_blocked(&mut world, "c", "a");
    assert_eq!(world.status("a", "b").state, State::Live);
    assert_eq!(world.status("b", "c").state, State::Live);
}

#[test]
fn a_relay_that_feeds_itself_by_a_name_of_its_own() {
    let mut world = World::seeded(1).relay("a", &["rtmp://a/live/again"]).encoder("obs", "a/live/show", &SHOW);
    is_blocked(&mut world, "a", "a");
}
