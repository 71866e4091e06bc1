//! An encoder, two relays and players: what is sent at one end comes out at the other.
//!
//! ```text
//!  obs ─► edge ─► origin ─┬─► viewer     there from the start
//!                         └─► late       comes after 4 s
//! ```

use sim::{Act, World, laws, ms, secs};

fn chain(world: World) -> World {
    world
        .relay("edge", &["origin"])
        .relay("origin", &[])
        .encoder("obs", "edge/live/show", &[Act::Publish(secs(7)), Act::Stop])
        .player("viewer", "origin/live/show", ms(0))
        .player("late", "origin/live/show", secs(4))
}

#[test]
fn a_player_gets_the_stream_as_it_was_sent_from_a_key_frame_on() {
    for seed in 0..3 {
        let mut world = chain(World::seeded(seed));
        world.run(secs(9));
        let sent = world.sent("obs");
        for player in ["viewer", "late"] {
            let played = world.played(player);
            laws::begins_with_preamble_and_key(&played);
            assert_eq!(sent[0].payload.strip_prefix(b"\x02\x00\x0d@setDataFrame"), Some(&played[0].payload[..]));
            laws::time_never_goes_back(&played);
            laws::keeps_pace(&sent, &played);
            assert_eq!(played.iter().filter(|m| m.is_preamble()).count(), 3, "the preamble comes once");
            assert_eq!((played[0].time, played[3].time), (0, 0), "a session begins at zero");
            let frames = laws::misses_nothing(&sent, &played);
            // 30 and 46.9 a second; who comes late starts at a key frame, which is no older than 2 s.
            let expected = if player == "viewer" { 537..541 } else { 230..386 };
            assert!(expected.contains(&frames), "{player} has got {frames} frames, not {expected:?}");
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let traces = [1, 1, 2].map(|seed| {
        let mut world = chain(World::seeded_with_wire(seed));
        world.run(secs(2));
        world.crash("origin");
        world.run(ms(500));
        world.bounce("origin");
        world.run(secs(3));
        world.trace()
    });
    assert_eq!(traces[0].lines().zip(traces[1].lines()).find(|(a, b)| a != b), None);
    assert!(traces[0] == traces[1], "one is longer");
    assert!(traces[0] != traces[2], "the seed changes nothing");
    assert!(traces[0].contains("TCP SYN"), "the wire is in the trace");
}

#[test]
fn the_story_of_a_stream() {
    let mut world = chain(World::seeded(7));
    world.run(secs(9));
    insta::assert_snapshot!(world.story());
}
