//! Who has no right to a stream changes nothing about it, and who has may take it over.
//!
//! ```text
//!  obs ───► relay ─► youtube
//!  rival ─►   └────► viewer
//! ```

use rtmp_relay::inbound::Ending;
use sim::event::partition;
use sim::{Act, Answer, World, laws, ms, secs};

fn world(rival: &'static str, acts: &[Act]) -> World {
    World::seeded(3)
        .publish_key("KEY")
        .relay("relay", &["youtube"])
        .server("youtube", |_| Answer::Accept)
        .encoder("obs", "relay/live/show?key=KEY", &[Act::Publish(secs(10)), Act::Stop])
        .encoder("rival", rival, acts)
        .player("viewer", "relay/live/show", ms(0))
}

const AGAIN_AND_AGAIN: [Act; 4] =
    [Act::Wait(secs(2)), Act::Publish(secs(1)), Act::Wait(secs(1)), Act::Publish(secs(1))];

/// Everything that `obs` has sent, in one session, and nothing else.
fn nothing_has_changed(world: &World) {
    let sent = world.sent("obs");
    let youtube = world.sessions("youtube");
    assert_eq!(youtube.len(), 1);
    assert!(youtube[0].tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)));
    for tape in [&youtube[0].tape, &world.played("viewer")] {
        laws::misses_nothing(&sent, tape);
        laws::arrives_within(ms(200), &sent, tape);
    }
    assert!(world.sent("rival").is_empty());
}

#[test]
fn a_rival_without_the_key_changes_nothing_and_is_counted() {
    let mut world = world("relay/live/show?key=WRONG", &AGAIN_AND_AGAIN);
    world.run(secs(12));
    nothing_has_changed(&world);
    assert!(world.endings("relay")[&Ending::Denied] >= 1);
    let trace = world.trace();
    let printed = trace.lines().find(|line| line.contains("WRONG"));
    assert_eq!(printed, None, "what was shown is not printed");
}

#[test]
fn a_rival_with_the_key_beside_a_healthy_publisher_changes_nothing() {
    let mut world = world("relay/live/show?key=KEY", &AGAIN_AND_AGAIN);
    world.run(secs(12));
    nothing_has_changed(&world);
}

/// The first has been cut off for three seconds.
#[test]
fn only_who_has_the_key_follows_a_silent_publisher() {
    for (rival, let_in) in [("relay/live/show?key=KEY", true), ("relay/live/show", false)] {
        let acts = [Act::Wait(secs(6)), Act::Publish(secs(2)), Act::Stop];
        let mut world = world(rival, &acts).after(secs(3), partition("obs", "relay"));
        world.run(secs(10));
        assert_eq!(!world.sent("rival").is_empty(), let_in, "{rival}");
        assert_eq!(world.sessions("youtube").len(), 1);
    }
}
