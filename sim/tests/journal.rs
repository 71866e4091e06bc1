//! The journal of a whole show: everything that happens to a relay has an entry, in order, and nothing has two.
//!
//! ```text
//!  obs ─► relay ─┬─► youtube   takes it all                 viewer plays it
//!                ├─► twitch    reads nothing for a while
//!                ├─► kick      ends the first session, crashes in the second, is away for a while
//!                └─► vimeo     does not like the key
//! ```

use std::fmt::Write;

use rtmp_relay::journal::Severity;
use sim::{Act, Answer, World, ms, secs};

/// When, what, to whom, why.
fn told(world: &World) -> String {
    let mut told = String::new();
    let entries = world.journal("relay");
    let began = entries[0].at;
    for entry in &entries {
        let event = &entry.event;
        let _ = write!(told, "{:5.1}  {:23}", entry.at.duration_since(began).as_secs_f64(), event.code);
        for name in [&event.destination, &event.stream.as_ref().map(ToString::to_string)].into_iter().flatten() {
            let _ = write!(told, " {name}");
        }
        let count = event.count.map(|count| format!(" *{count}"));
        let class = event.class.map(|class| format!(" [{class}]"));
        let text = event.text.as_ref().map(|text| format!(": {text}"));
        let _ = writeln!(told, "{}", [count, class, text].into_iter().flatten().collect::<String>());
    }
    told.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

#[test]
fn a_show_is_told_from_its_beginning_to_its_end() {
    let acts = [Act::Publish(secs(20)), Act::Vanish, Act::Wait(secs(2)), Act::Publish(secs(8)), Act::Vanish];
    let mut world = World::seeded(3)
        .relay("relay", &["youtube", "twitch", "kick", "vimeo"])
        .server("youtube", |_| Answer::Accept)
        .server("twitch", |_| Answer::Deaf(secs(4), ms(7_500)))
        .server("kick", |n| if n == 0 { Answer::Kick(secs(3)) } else { Answer::Accept })
        .server("vimeo", |_| Answer::Refuse("publish", "NetStream.Publish.Denied"))
        .encoder("obs", "relay/live/show", &acts)
        .player("viewer", "relay/live/show", secs(1));
    world.run(secs(12));
    world.crash("kick");
    world.run(ms(100));
    world.partition("relay", "kick");
    world.run(secs(5));
    world.repair("relay", "kick");
    world.bounce("kick");
    world.run(secs(10));
    world.switch("relay", "vimeo", false);
    world.run(secs(25));
    world.shut_down("relay");
    world.run(secs(2));
    let entries = world.journal("relay");
    assert!(entries.windows(2).all(|pair| pair[1].id == pair[0].id + 1 && pair[1].at >= pair[0].at));
    assert!(entries.iter().all(|entry| entry.severity == entry.event.code.severity()));
    assert_eq!(entries.iter().filter(|entry| entry.severity == Severity::Error).count(), 1, "the key");
    insta::assert_snapshot!(told(&world));
}

/// What is told does not depend on who looks, and a relay that crashes takes nobody with it.
#[test]
fn a_relay_that_crashes_has_a_new_journal_with_higher_numbers() {
    let mut world = World::seeded(4).relay("relay", &["youtube"]).server("youtube", |_| Answer::Accept).encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(3)), Act::Publish(secs(3))],
    );
    world.run(secs(2));
    let before = world.journal("relay");
    world.crash("relay");
    world.bounce("relay");
    world.run(secs(8));
    let after = world.journal("relay");
    assert!(before.len() > 3 && after.len() > 1);
    assert!(after[0].id > before[before.len() - 1].id);
    assert_eq!(after[0].event.code, before[0].event.code);
}
