//! A stream that a platform is known to refuse is blocked there, with the reason, while the others go live.

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{Class, State};
use rtmp_relay::guard::Guard;
use rtmp_relay::platforms::{self, Matter};
use sim::{Act, Answer, World, secs};

/// Three platforms' limits, on servers of ours.
fn world(acts: &[Act], guard: Guard) -> World {
    let names = ["youtube", "twitch", "facebook"];
    let urls = names.map(|name| format!("rtmp://{name}/{{app}}/{{stream}}"));
    let mut destinations = config::destinations(&urls).expect("URLs");
    for route in &mut destinations {
        route.settings.platform = platforms::named(&route.name);
        route.settings.guard = guard;
    }
    let config = Config { listen: config::listen(":1935").expect("an address"), destinations, ..Config::default() };
    let world = World::seeded(5).relay_told("relay", config);
    let world = names.into_iter().fold(world, |world, name| world.server(name, |_| Answer::Accept));
    world.encoder("obs", "relay/live/show", acts)
}

fn matters(world: &World, destination: &str) -> Vec<Matter> {
    world.status("relay", destination).advice.iter().map(|advice| advice.matter).collect()
}

#[test]
fn what_is_known_to_be_refused_is_not_even_tried_and_sent_as_soon_as_it_fits() {
    let acts = [Act::Hevc, Act::Publish(secs(20)), Act::Stop, Act::Wait(secs(3))];
    let mut world = world(&acts, Guard::Refuse);
    world.run(secs(15));
    for refusing in ["twitch", "facebook"] {
        let status = world.status("relay", refusing);
        assert_eq!((status.state, status.class), (State::Blocked, Some(Class::NotTaken)), "{refusing}");
        let reason = status.reason.expect("a reason");
        assert!(reason.contains("takes H.264, and the stream has HEVC: set Video Encoder to H.264 in OBS"), "{reason}");
        assert_eq!(status.retry_at, None, "it is the stream that has to change");
        assert_eq!((status.attempts, world.sessions(refusing).len()), (0, 0), "{refusing} is not tried");
        assert_eq!(matters(&world, refusing), [Matter::CodecNotTaken]);
    }
    assert_eq!(world.status("relay", "youtube").state, State::Live);
    world.run(secs(8));
    let status = world.status("relay", "twitch");
    assert_eq!((status.state, status.advice.len()), (State::Waiting, 0), "the stream is gone, and so is what was said");
}

#[test]
fn with_advise_it_is_told_and_sent_and_with_ignore_it_is_sent() {
    let acts = [Act::Hevc, Act::KeyEvery(secs(8)), Act::Publish(secs(40)), Act::Stop];
    let mut advised = world(&acts, Guard::Advise);
    advised.run(secs(30));
    assert_eq!(matters(&advised, "twitch"), [Matter::CodecNotTaken, Matter::GopTooLong]);
    assert_eq!(matters(&advised, "youtube"), [Matter::GopTooLong]);
    assert!(["youtube", "twitch", "facebook"].iter().all(|name| advised.status("relay", name).state == State::Live));
    let mut ignored = world(&acts, Guard::Ignore);
    ignored.run(secs(30));
    assert_eq!(matters(&ignored, "twitch"), []);
    assert_eq!(ignored.status("relay", "twitch").state, State::Live);
}
