//! A server that is to be told what happens, and is no good.
//!
//! ```text
//!  obs ─► relay ─┬─► fine
//!                └─► hook      says no, or is away
//! ```

use std::collections::HashMap;

use bytes::Bytes;
use rtmp_relay::config::{self, Config, file};
use rtmp_relay::limits::{WEBHOOK, WEBHOOK_ANSWERS, WEBHOOK_MAX};
use sim::{Act, Answer, Deed, World, laws, ms, secs};

/// A relay that tells `hook` when something is published, lost or ended.
fn world(show: u64) -> World {
    let yaml = "webhooks: [{url: \"http://hook:1935/x\", events: [\"publish.*\"]}]";
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let settings = file::parse(yaml, HashMap::new()).expect("YAML");
    let config = runtime.block_on(settings.resolve()).expect("a configuration");
    let config = Config {
        listen: config::listen(":1935").expect("an address"),
        destinations: config::destinations(&["rtmp://fine/{app}/{stream}"]).expect("URLs"),
        ..config
    };
    World::seeded(5).relay_told("relay", config).server("fine", |_| Answer::Accept).villain_server("hook").encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(show)), Act::Stop],
    )
}

fn fine_notices_nothing(world: &World) {
    let (sent, fine) = (world.sent("obs"), world.sessions("fine"));
    assert_eq!(fine.len(), 1);
    laws::misses_nothing(&sent, &fine[0].tape);
    laws::arrives_within(ms(200), &sent, &fine[0].tape);
}

/// What it does with one request.
fn says(answer: &'static str) -> Vec<Deed> {
    vec![Deed::Hear(Bytes::from("publish.")), Deed::Say(Bytes::from(answer)), Deed::Close]
}

const NO: &str = "HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
const YES: &str = "HTTP/1.1 204 No Content\r\n\r\n";

#[test]
fn one_that_says_no_again_and_again_is_told_of_the_next_event_and_not_of_this_one_any_more() {
    let mut world = world(250);
    world.trap("hook", says(NO));
    world.until(WEBHOOK_MAX * WEBHOOK_ANSWERS as u32, |world| world.sprung("hook").len() == WEBHOOK_ANSWERS);
    world.run(secs(70));
    assert_eq!(world.sprung("hook").len(), WEBHOOK_ANSWERS, "given up");
    world.trap("hook", says(YES));
    world.run(secs(255) - world.now());
    let heard = world.sprung("hook");
    assert_eq!(heard.len(), 1);
    assert!(heard[0].borrow().has_heard(b"publish.ended"));
    fine_notices_nothing(&world);
}

#[test]
fn one_that_is_away_for_long_is_told_when_it_is_back() {
    let mut world = world(260);
    world.trap("hook", says(YES));
    world.crash("hook");
    world.run(secs(150));
    world.bounce("hook");
    // Whoever connects to a host that is down waits until its patience is at an end.
    world.until(WEBHOOK_MAX.mul_f64(1.25) + WEBHOOK + secs(1), |world| {
        world.sprung("hook").iter().any(|heard| heard.borrow().has_heard(b"publish.started"))
    });
    world.run(secs(265) - world.now());
    assert!(world.sprung("hook").iter().any(|heard| heard.borrow().has_heard(b"publish.ended")));
    fine_notices_nothing(&world);
}
