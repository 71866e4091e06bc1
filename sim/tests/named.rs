//! The scenarios that have names, a page each: what a reader of this project should have seen once.

use sim::event::{bounce, crash, hold, move_name, partition, release, shut_down};
use sim::{Act, Answer, World, laws, ms, secs};

/// ```text
///  obs ─► relay ─┬─► youtube
///                ├─► twitch
///                └─► kick
/// ```
fn three(acts: &[Act], kick: Answer) -> World {
    three_in(World::seeded(7), acts, kick)
}

fn three_in(world: World, acts: &[Act], kick: Answer) -> World {
    world
        .relay("relay", &["youtube", "twitch", "kick"])
        .server("youtube", |_| Answer::Accept)
        .server("twitch", |_| Answer::Accept)
        .server("kick", move |_| kick)
        .encoder("obs", "relay/live/show?key=KEY", acts)
}

/// What `youtube` and `twitch` got in their one session each is all that was sent.
fn two_have_everything(world: &World) {
    let sent = world.sent("obs");
    for server in ["youtube", "twitch"] {
        let sessions = world.sessions(server);
        assert_eq!(sessions.len(), 1, "{server}");
        assert!(sessions[0].tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)), "{server}");
        laws::arrives_within(ms(200), &sent, &sessions[0].tape);
    }
}

#[test]
fn tr_002_three_destinations_are_sent_the_same() {
    let mut world = three(&[Act::Publish(secs(5)), Act::Stop], Answer::Accept);
    world.run(secs(7));
    two_have_everything(&world);
    let (kick, youtube) = (world.sessions("kick"), world.sessions("youtube"));
    assert!(kick[0].tape.iter().map(|m| &m.payload).eq(youtube[0].tape.iter().map(|m| &m.payload)));
    insta::assert_snapshot!(world.story());
}

#[test]
fn tr_003_one_is_killed_and_the_others_do_not_notice() {
    let mut world = three(&[Act::Publish(secs(8)), Act::Stop], Answer::Accept).after(secs(3), crash("kick"));
    world.run(secs(10));
    two_have_everything(&world);
    insta::assert_snapshot!(world.story());
}

#[test]
fn tr_004_one_that_was_killed_is_sent_to_again() {
    let mut world = three(&[Act::Publish(secs(12)), Act::Stop], Answer::Accept)
        .after(secs(3), crash("kick"))
        .after(secs(5), bounce("kick"));
    world.run(secs(14));
    two_have_everything(&world);
    let again = world.sessions("kick").pop().expect("it came back");
    laws::begins_with_preamble_and_key(&again.tape);
    laws::misses_nothing(&world.sent("obs"), &again.tape);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_slow_destination_leaves_out_whole_gops() {
    let mut world = three(&[Act::Publish(secs(20)), Act::Stop], Answer::Deaf(secs(2), secs(8)));
    world.run(secs(24));
    two_have_everything(&world);
    let sessions = world.sessions("kick");
    assert_eq!(sessions.len(), 1, "eight seconds are under the limit of ten");
    assert_eq!(laws::runs(&world.sent("obs"), &sessions[0].tape).len(), 2);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_black_hole_is_left_after_ten_seconds() {
    let mut world = three(&[Act::Publish(secs(26)), Act::Stop], Answer::Accept)
        .after(secs(3), hold("relay", "kick"))
        .after(secs(19), release("relay", "kick"));
    world.run(secs(28));
    two_have_everything(&world);
    laws::begins_with_preamble_and_key(&world.sessions("kick").pop().expect("sessions").tape);
    insta::assert_snapshot!(world.story());
}

#[test]
fn one_who_comes_late_has_a_picture_at_once() {
    let mut world = World::seeded(7)
        .relay("relay", &[])
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(6)), Act::Stop])
        .player("late", "relay/live/show", ms(3_500));
    world.run(secs(8));
    let played = world.played("late");
    laws::begins_with_preamble_and_key(&played);
    assert!(played[3].at < ms(3_800), "the key frame was there already: {:?}", played[3].at);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_chain_of_three_relays() {
    let mut world = World::seeded(7)
        .relay("edge", &["middle"])
        .relay("middle", &["origin"])
        .relay("origin", &[])
        .encoder("obs", "edge/live/show", &[Act::Publish(secs(5)), Act::Stop])
        .player("viewer", "origin/live/show", ms(0));
    world.run(secs(7));
    laws::misses_nothing(&world.sent("obs"), &world.played("viewer"));
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_publisher_that_is_lost_and_returns() {
    let acts = [Act::Publish(secs(3)), Act::Vanish, Act::Wait(secs(4)), Act::Publish(secs(3)), Act::Stop];
    let mut world = three(&acts, Answer::Accept);
    world.run(secs(12));
    two_have_everything(&world);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_publisher_that_is_lost_for_good() {
    let mut world = three(&[Act::Publish(secs(3)), Act::Vanish], Answer::Accept);
    world.run(secs(20));
    two_have_everything(&world);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_publisher_whose_network_changed_takes_its_own_place() {
    let mut world = three_in(World::seeded(7).publish_key("KEY"), &[Act::Publish(secs(10))], Answer::Accept)
        .encoder("phone", "relay/live/show?key=KEY", &[Act::Wait(secs(6)), Act::Publish(secs(3)), Act::Stop])
        .after(secs(3), partition("obs", "relay"));
    world.run(secs(12));
    assert_eq!(world.sessions("youtube").len(), 1);
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_relay_that_is_told_to_stop_says_goodbye_to_everybody() {
    let mut world = three(&[Act::Publish(secs(10))], Answer::Accept)
        .player("viewer", "relay/live/show", ms(0))
        .after(secs(3), shut_down("relay"));
    world.run(secs(6));
    for server in ["youtube", "twitch", "kick"] {
        let sessions = world.sessions(server);
        let commands = sessions[0].commands.iter().map(|(_, name)| name.as_str());
        assert!(commands.eq([
            "connect",
            "releaseStream",
            "FCPublish",
            "createStream",
            "publish",
            "FCUnpublish",
            "deleteStream"
        ]));
        assert!(sessions.len() == 1 && sessions[0].closed.is_some());
    }
    insta::assert_snapshot!(world.story());
}

#[test]
fn a_server_that_moves_is_found_at_its_new_address() {
    let mut world = three(&[Act::Publish(secs(12)), Act::Stop], Answer::Accept)
        .server("kick-2", |_| Answer::Accept)
        .after(secs(3), move_name("kick", "kick-2"))
        .after(secs(5), crash("kick"));
    world.run(secs(14));
    two_have_everything(&world);
    assert_eq!(world.sessions("kick").len(), 1, "a name that moves does not end a session");
    let there = &world.sessions("kick-2")[0];
    assert!(there.opened < ms(5_500), "it is asked for at each attempt: {:?}", there.opened);
    laws::misses_nothing(&world.sent("obs"), &there.tape);
    insta::assert_snapshot!(world.story());
}
