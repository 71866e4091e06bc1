//! A destination's backup server takes its place while it fails, and no longer than that.

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{State, Template};
use rtmp_relay::flv::Kind;
use rtmp_relay::journal::Code;
use rtmp_relay::limits::{BACKUP_AFTER, PRIMARY_LOOK, PRIMARY_STEADY};
use sim::event::crash;
use sim::{Act, Answer, Tape, World, secs};

/// `live` is sent to `primary`, with `backup` behind it; and to `other`.
fn world(primary: impl Fn(usize) -> Answer + 'static, show: u64) -> World {
    let mut destinations = config::destinations(&["rtmp://primary/live2/KEY", "rtmp://other/live2/KEY"]).expect("URLs");
    destinations[0].backup = Some(Template::parse("rtmp://backup/live2/KEY").expect("a URL"));
    let config = Config { listen: config::listen(":1935").expect("an address"), destinations, ..Config::default() };
    World::seeded(11)
        .relay_told("relay", config)
        .server("primary", primary)
        .server("backup", |_| Answer::Accept)
        .server("other", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", &[Act::Publish(secs(show)), Act::Stop])
}

fn pictures(tape: &Tape) -> Vec<(u8, u32)> {
    tape.iter().filter(|media| media.kind == Kind::Video).filter_map(|media| media.label()).collect()
}

#[test]
fn after_three_failures_in_a_row_the_backup_is_sent_to_and_when_the_primary_is_steady_it_is_left_without_a_gap() {
    let mut world = world(|n| if n < 5 { Answer::Close(1) } else { Answer::Accept }, 140);
    world.until(secs(20), |world| {
        let status = world.status("relay", "primary");
        status.backup && status.state == State::Live
    });
    assert_eq!(world.sessions("primary").len(), BACKUP_AFTER);
    let away = world.now();
    // It is looked at, and told nothing, before it has its turn again.
    world.until(PRIMARY_STEADY + 4 * PRIMARY_LOOK, |world| {
        let status = world.status("relay", "primary");
        !status.backup && status.state == State::Live
    });
    let home = world.now();
    assert!(home - away >= PRIMARY_STEADY, "after {:?}", home - away);
    world.run(secs(140) - world.now());
    let primary = world.sessions("primary");
    let looks = &primary[BACKUP_AFTER..primary.len() - 1];
    assert!(looks.len() >= 6, "{}", looks.len());
    assert!(looks.iter().all(|look| look.commands.iter().all(|(_, command)| !command.contains("publish"))));
    let last = primary.last().expect("a session");
    let backup = world.sessions("backup");
    assert_eq!(backup.len(), 1);
    assert!(backup[0].commands.iter().any(|(_, command)| command.starts_with("deleteStream")), "it says goodbye");
    assert!(backup[0].closed.expect("it has ended") <= last.opened, "never two at once");
    let (before, after) = (pictures(&backup[0].tape), pictures(&last.tape));
    let (Some(before), Some(after)) = (before.last(), after.first()) else { panic!("pictures at both") };
    assert!(after.1 <= before.1 + 1, "from {before:?} to {after:?}");
    assert_eq!(world.sessions("other").len(), 1, "the other one does not notice");
    let status = world.status("relay", "primary");
    assert_eq!(status.reconnects_by_reason.get("primary_is_back"), Some(&1));
    assert_eq!(status.reconnects_by_reason.values().sum::<u64>(), status.reconnects);
    let journal = world.journal("relay");
    let live = journal.iter().filter(|entry| entry.event.code == Code::DestinationLive);
    let live = live.filter(|entry| entry.event.destination.as_deref() == Some("primary"));
    let told: Vec<_> = live.map(|entry| entry.event.text.as_deref()).collect();
    assert!(told.ends_with(&[Some("at the backup server"), None]), "{told:?}");
}

#[test]
fn where_both_fail_they_take_turns_and_a_primary_that_is_gone_again_is_not_gone_back_to() {
    let mut world = world(|_| Answer::Close(1), 200).after(secs(60), crash("primary"));
    world.run(secs(190));
    let status = world.status("relay", "primary");
    assert!(status.backup && status.state == State::Live);
    // Before it crashed it was there for less than a minute of looks.
    assert_eq!(world.sessions("backup").len(), 1);
}
