//! A relay is told another configuration in mid-show, while one of its servers is down.
//!
//! ```text
//!  obs ─► relay ─┬─► youtube, twitch, facebook, archive, backup
//!                ├─► kick                   crashes after 2 s, is back after 12 s
//!                └─► vimeo                  added after 4 s, removed after 10 s
//! ```

use rtmp_relay::destination::State;
use sim::{Act, Answer, World, laws, ms, secs};

const SIX: [&str; 6] = ["youtube", "twitch", "facebook", "archive", "backup", "kick"];
const SEVEN: [&str; 7] = ["youtube", "twitch", "facebook", "archive", "backup", "kick", "vimeo"];
const UNHARMED: [&str; 5] = ["youtube", "twitch", "facebook", "archive", "backup"];

fn world(seed: u64) -> World {
    let world = World::seeded(seed).relay("relay", &SIX).encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(24)), Act::Stop],
    );
    SIX.into_iter().chain(["vimeo"]).fold(world, |world, name| world.server(name, |_| Answer::Accept))
}

#[test]
fn a_destination_comes_and_goes_and_the_six_others_keep_their_sessions() {
    for seed in 0..3 {
        let mut world = world(seed);
        world.run(secs(2));
        world.crash("kick");
        world.run(secs(2));
        let tried = world.status("relay", "kick").attempts;
        world.configure("relay", &SEVEN);
        world.until(secs(1), |world| world.status("relay", "vimeo").state == State::Live);
        assert!(world.status("relay", "kick").attempts >= tried, "what it has been through is not forgotten");
        world.run(secs(10) - world.now());
        world.configure("relay", &SIX);
        world.until(secs(1), |world| world.sessions("vimeo")[0].closed.is_some());
        world.run(secs(12) - world.now());
        world.bounce("kick");
        world.run(secs(26) - world.now());

        let sent = world.sent("obs");
        for server in UNHARMED {
            let sessions = world.sessions(server);
            assert_eq!(sessions.len(), 1, "{server}");
            laws::begins_with_preamble_and_key(&sessions[0].tape);
            laws::arrives_within(ms(200), &sent, &sessions[0].tape);
            assert!(sessions[0].tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)), "{server}");
        }
        laws::misses_nothing(&sent, &world.sessions("kick").last().expect("it came back").tape);
        let sessions = world.sessions("vimeo");
        assert_eq!(sessions.len(), 1);
        laws::begins_with_preamble_and_key(&sessions[0].tape);
        assert_eq!(laws::runs(&sent, &sessions[0].tape).len(), 1, "nothing is missing in between");
        let said: Vec<&str> = sessions[0].commands.iter().map(|(_, command)| &**command).collect();
        assert!(said.ends_with(&["FCUnpublish", "deleteStream"]), "it left with a goodbye: {said:?}");
        assert!(world.statuses("relay").iter().all(|status| status.name != "vimeo"));
    }
}

#[test]
fn another_place_is_another_session_there_and_nowhere_else() {
    let mut world = world(1);
    world.run(secs(4));
    let moved: Vec<&str> =
        SIX.into_iter().map(|name| if name == "kick" { "rtmp://kick/live/another-key" } else { name }).collect();
    world.configure("relay", &moved);
    world.run(secs(2));
    let sessions = world.sessions("kick");
    assert_eq!(sessions.len(), 2);
    assert!(sessions[0].closed.is_some() && sessions[1].closed.is_none() && sessions[1].tape.len() > 3);
    for server in UNHARMED {
        assert_eq!(world.sessions(server).len(), 1, "{server}");
    }
}

#[test]
fn one_that_is_the_relay_itself_changes_nothing() {
    let mut world = world(1);
    world.run(secs(2));
    world.configure("relay", &["rtmp://127.0.0.1/live", "vimeo"]);
    world.run(secs(2));
    assert_eq!(world.statuses("relay").len(), SIX.len());
    assert!(world.sessions("vimeo").is_empty());
    for server in SIX {
        assert_eq!(world.sessions(server).len(), 1, "{server}");
    }
}
