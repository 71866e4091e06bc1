//! Enhanced RTMP between a relay and its servers: what they announce, and requests to connect again.
//!
//! ```text
//!  obs ─► relay ─► servers
//! ```

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

/// A server without a word, one that has announced HEVC, one that has announced something else.
fn three_servers(acts: &[Act]) -> World {
    World::seeded(7)
        .relay("relay", &["mute", "modern", "other"])
        .server("mute", |_| Answer::Accept)
        .server("modern", |_| Answer::Announce("hvc1"))
        .server("other", |_| Answer::Announce("av01"))
        .encoder("obs", "relay/live/show", acts)
}

#[test]
fn what_a_server_did_not_announce_is_in_its_status_and_sent_all_the_same() {
    let mut world = three_servers(&[Act::Hevc, Act::Publish(secs(4)), Act::Stop]);
    world.run(secs(3));
    for (server, unannounced) in [("mute", &["HEVC"][..]), ("modern", &[]), ("other", &["HEVC"])] {
        let status = world.status("relay", server);
        assert_eq!(
            (status.state, &status.unannounced[..]),
            (State::Live, &unannounced.iter().map(|s| s.to_string()).collect::<Vec<_>>()[..]),
            "{server}"
        );
    }
    world.run(secs(3));
    for server in ["mute", "modern", "other"] {
        let sessions = world.sessions(server);
        assert_eq!(sessions.len(), 1, "{server}");
        laws::begins_with_preamble_and_key(&sessions[0].tape);
        assert!(sessions[0].tape.iter().map(|m| &m.payload).eq(world.sent("obs").iter().map(|m| &m.payload)));
    }
    let said = world.story().matches("the server did not announce HEVC").count();
    assert_eq!(said, 2, "once for each of them");
}

#[test]
fn of_plain_h264_and_aac_nothing_has_to_be_announced() {
    let mut world = three_servers(&[Act::Publish(secs(4)), Act::Stop]);
    world.run(secs(3));
    assert!(world.statuses("relay").iter().all(|status| status.unannounced.is_empty()));
    assert!(!world.story().contains("announce"));
}

#[test]
fn interop_46_a_server_that_fails_a_connect_for_its_properties_is_asked_without() {
    let mut world = World::seeded(7).relay("relay", &["old"]).server("old", |_| Answer::Dislike("fourCcList")).encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(4)), Act::Stop],
    );
    world.run(secs(6));
    let sessions = world.sessions("old");
    assert_eq!(sessions.len(), 2);
    assert!(sessions[1].opened - sessions[0].opened < ms(600));
    laws::misses_nothing(&world.sent("obs"), &sessions[1].tape);
}

#[test]
fn interop_66_after_a_reconnect_everything_begins_with_the_headers_again() {
    let mut world = World::seeded(7)
        .relay("relay", &["server"])
        .server("server", |n| if n < 3 { Answer::Close(60_000) } else { Answer::Accept })
        .encoder("obs", "relay/live/show", &[Act::Hevc, Act::Publish(secs(12)), Act::Stop]);
    world.run(secs(14));
    let sessions = world.sessions("server");
    assert_eq!(sessions.len(), 4);
    sessions.iter().for_each(|session| laws::begins_with_preamble_and_key(&session.tape));
}

#[test]
fn interop_76_a_player_gets_both_headers_before_any_frame_whenever_it_comes() {
    let mut world = World::seeded(7)
        .relay("relay", &[])
        .encoder("obs", "relay/live/show", &[Act::Hevc, Act::Wait(secs(1)), Act::Publish(secs(6)), Act::Stop])
        .player("early", "relay/live/show", ms(0))
        .player("late", "relay/live/show", ms(4_700));
    world.run(secs(9));
    for player in ["early", "late"] {
        laws::begins_with_preamble_and_key(&world.played(player));
        laws::misses_nothing(&world.sent("obs"), &world.played(player));
    }
}

/// A server that sends its client away after three seconds.
fn moving(to: &'static str) -> World {
    World::seeded(7)
        .relay("relay", &["old"])
        .server("old", move |n| if n == 0 { Answer::Move(secs(3), to) } else { Answer::Accept })
        .server("new", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(10)), Act::Stop])
}

#[test]
fn a_server_that_asks_for_a_new_connection_gets_it_at_once_and_misses_nothing() {
    for (to, server) in
        [("rtmp://new/live", "new"), ("//new/live", "new"), ("rtmp://new", "new"), ("/live", "old"), ("", "old")]
    {
        let mut world = moving(to);
        world.run(secs(12));
        let before = world.sessions("old").remove(0);
        let after = world.sessions(server).pop().expect("it went there");
        let ended = before.commands.iter().rev().take(2).map(|(_, name)| name.as_str());
        assert!(ended.eq(["deleteStream", "FCUnpublish"]), "{to}: it ends as any stream does");

        // To the next key frame with the old one, and from that one on with the new one.
        laws::begins_with_preamble_and_key(&after.tape);
        let sent = world.sent("obs");
        let (old, new) = (laws::runs(&sent, &before.tape), laws::runs(&sent, &after.tape));
        assert!(old.len() == 1 && new.len() == 1 && new[0].start <= old[0].end, "{to}: {old:?}, {new:?}");
        assert!(old[0].end - new[0].start < 20, "{to}: hardly anything goes to both: {old:?}, {new:?}");
        laws::misses_nothing(&sent, &after.tape);

        let closed = before.closed.expect("it is over");
        assert!(closed <= after.opened && after.opened - closed < ms(100), "{to}: one at a time, without a wait");
        let status = world.status("relay", "old");
        assert_eq!((status.attempts, status.reconnects, status.last_error), (2, 1, None), "{to}: it is no error");
    }
}

#[test]
fn a_client_that_is_sent_elsewhere_before_it_has_begun_begins_there() {
    for command in ["createStream", "publish"] {
        let mut world = World::seeded(7)
            .relay("relay", &["old"])
            .server("old", move |_| Answer::Divert(command, "rtmp://new/live"))
            .server("new", |_| Answer::Accept)
            .encoder("obs", "relay/live/show", &[Act::Publish(secs(4)), Act::Stop]);
        world.run(secs(6));
        let (old, new) = (world.sessions("old"), world.sessions("new"));
        assert_eq!((old.len(), new.len()), (1, 1), "{command}");
        assert!(old[0].closed.expect("it is over") <= new[0].opened, "{command}");
        laws::misses_nothing(&world.sent("obs"), &new[0].tape);
        assert_eq!(world.status("relay", "old").last_error, None, "{command}");
    }
}

#[test]
fn a_server_that_sends_its_client_to_nowhere_keeps_it() {
    for to in ["nonsense", "http://new/live", "rtmpt://new/live"] {
        let mut world = moving(to);
        world.run(secs(12));
        assert_eq!((world.sessions("old").len(), world.sessions("new").len()), (1, 0), "{to}");
        laws::misses_nothing(&world.sent("obs"), &world.sessions("old")[0].tape);
    }
}

#[test]
fn from_a_new_server_that_is_not_there_it_comes_back() {
    for to in ["rtmp://new:1/live", "rtmps://new/live"] {
        let mut world = moving(to);
        world.run(secs(12));
        assert_eq!((world.sessions("old").len(), world.sessions("new").len()), (2, 0), "{to}");
        laws::misses_nothing(&world.sent("obs"), &world.sessions("old")[1].tape);
        assert_eq!(world.status("relay", "old").attempts, 3, "{to}");
    }
}

#[test]
fn where_no_key_frame_comes_it_leaves_after_five_seconds() {
    let mut world = World::seeded(7)
        .relay("relay", &["old"])
        .server("old", |n| if n == 0 { Answer::Move(secs(3), "") } else { Answer::Accept })
        .encoder("obs", "relay/live/show", &[Act::KeyEvery(secs(60)), Act::Publish(secs(12)), Act::Stop]);
    world.run(secs(14));
    let sessions = world.sessions("old");
    let lasted = sessions[0].closed.expect("it is over") - sessions[0].began.expect("it began");
    assert!((secs(8)..ms(8_500)).contains(&lasted), "{lasted:?}");
    assert_eq!(sessions.len(), 2);
}

/// Two that send each other their client, at once and for ever.
#[test]
fn a_client_that_is_sent_round_in_a_circle_slows_down() {
    let mut world = World::seeded(7)
        .relay("relay", &["here"])
        .server("here", |_| Answer::Move(ms(0), "rtmp://there/live"))
        .server("there", |_| Answer::Move(ms(0), "rtmp://here/live"))
        .encoder("obs", "relay/live/show", &[Act::KeyEvery(secs(1)), Act::Publish(secs(40)), Act::Stop]);
    world.until(secs(12), |world| world.status("relay", "here").state == State::BackingOff);
    let (here, there) = (world.sessions("here").len(), world.sessions("there").len());
    assert_eq!((here, there), (2, 2), "three requests are obeyed");
    let said = world.status("relay", "here").last_error;
    assert_eq!(said.as_deref(), Some("the server asks for a new connection again and again"));
}
