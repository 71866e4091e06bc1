//! A relay is steered over HTTP in mid-show, while one of its servers is down.
//!
//! ```text
//!  operator ─► API ┐
//!  obs ──────► relay ─┬─► youtube, twitch, facebook
//!                     ├─► kick               crashes after 2 s, is back after 14 s
//!                     └─► vimeo              added, switched off and on, changed and removed by calls
//! ```

use std::net::{Ipv4Addr, SocketAddr};

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::State;
use rtmp_relay::gate::Key;
use rtmp_relay::inbound::Ending;
use rtmp_relay::limits::{API_CALL, API_CONNECTIONS, STALL};
use sim::{Act, Answer, Deed, Encounter, End, World, laws, ms, secs};

const PORT: u16 = 9997;
const TOKEN: &str = "correct-horse-battery-staple";
const UNHARMED: [&str; 3] = ["youtube", "twitch", "facebook"];

type Seen = std::rc::Rc<std::cell::RefCell<Encounter>>;

/// Every stream to these, and an API that whoever has the token can call.
fn steered(destinations: &[&str], allow_internal: bool) -> Config {
    let urls: Vec<String> = destinations.iter().map(|host| format!("rtmp://{host}/{{app}}/{{stream}}")).collect();
    let listen = config::api::Listen::At(SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)));
    Config {
        listen: config::listen(":1935").expect("an address"),
        destinations: config::destinations(&urls).expect("URLs"),
        api: config::Api {
            listen,
            allow_internal,
            token: Some(Key::parse(&TOKEN.to_owned().into()).expect("a token")),
        },
        ..Config::default()
    }
}

fn show(seed: u64, config: Config) -> World {
    let world = World::seeded(seed).relay_told("relay", config).villain("operator").encoder(
        "obs",
        "relay/live/show",
        &[Act::Publish(secs(24)), Act::Stop],
    );
    UNHARMED.into_iter().chain(["kick", "vimeo"]).fold(world, |world, name| world.server(name, |_| Answer::Accept))
}

/// A call that is under way.
fn call(world: &mut World, method: &str, path: &str, body: &str) -> Seen {
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: relay\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n{kind}content-length: {length}\r\n\r\n{body}"
    );
    world.attack("operator", &format!("relay:{PORT}"), vec![Deed::Say(request.into())])
}

/// A call, and its answer.
fn answer(world: &mut World, method: &str, path: &str, body: &str) -> (u16, String) {
    let seen = call(world, method, path, body);
    world.until(secs(1), |_| seen.borrow().ended.is_some());
    let text = String::from_utf8(seen.borrow().heard.clone()).expect("text");
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, text)
}

#[test]
fn calls_in_mid_show_cost_no_other_destination_a_message() {
    for seed in 0..3 {
        let mut world = show(seed, steered(&["youtube", "twitch", "facebook", "kick"], true));
        world.run(secs(2));
        world.crash("kick");
        world.run(secs(2));
        let new = "{\"name\": \"vimeo\", \"url\": \"rtmp://vimeo/live\", \"stream_key\": \"KEY\"}";
        assert_eq!(answer(&mut world, "POST", "/api/v1/destinations", new).0, 201);
        world.until(secs(1), |world| world.status("relay", "vimeo").state == State::Live);
        let (status, told) = answer(&mut world, "GET", "/api/v1/destinations/kick", "");
        assert!(
            status == 200 && told.contains("\"state\":\"backing_off\"") || told.contains("\"state\":\"connecting\""),
            "{told}"
        );
        let change = |world: &mut World, what: &str| {
            assert_eq!(answer(world, "POST", &format!("/api/v1/destinations/{what}"), "").0, 200, "{what}");
        };
        change(&mut world, "vimeo/disable");
        world.until(secs(2), |world| world.sessions("vimeo")[0].closed.is_some());
        change(&mut world, "vimeo/enable");
        world.until(secs(2), |world| world.status("relay", "vimeo").state == State::Live);
        assert_eq!(answer(&mut world, "PATCH", "/api/v1/destinations/vimeo", "{\"max_lag\": \"2s\"}").0, 200);
        world.until(secs(2), |world| world.sessions("vimeo").len() == 3);
        // Everything at once.
        let many: Vec<Seen> =
            ["kick/retry", "vimeo/disable", "kick/retry", "vimeo/enable", "kick/disable", "kick/enable"]
                .iter()
                .map(|what| call(&mut world, "POST", &format!("/api/v1/destinations/{what}"), ""))
                .collect();
        world.until(secs(1), |_| many.iter().all(|seen| seen.borrow().ended.is_some()));
        world.run(secs(14) - world.now());
        world.bounce("kick");
        change(&mut world, "kick/enable");
        change(&mut world, "kick/retry");
        world.until(secs(11), |world| world.status("relay", "kick").state == State::Live);
        assert_eq!(answer(&mut world, "DELETE", "/api/v1/destinations/vimeo", "").0, 204);
        world.until(secs(2), |world| world.statuses("relay").iter().all(|status| status.name != "vimeo"));
        world.run(secs(26).saturating_sub(world.now()));

        let sent = world.sent("obs");
        for server in UNHARMED {
            let sessions = world.sessions(server);
            assert_eq!(sessions.len(), 1, "{server}");
            laws::begins_with_preamble_and_key(&sessions[0].tape);
            laws::arrives_within(ms(200), &sent, &sessions[0].tape);
            assert!(sessions[0].tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)), "{server}");
        }
        laws::misses_nothing(&sent, &world.sessions("kick").last().expect("it came back").tape);
        laws::one_session_at_a_time(&world.sessions("vimeo"));
    }
}

#[test]
fn the_same_seed_is_the_same_story_with_calls_in_it() {
    let story = || {
        let mut world = show(7, steered(&["youtube"], true));
        world.run(secs(1));
        let watching = call(&mut world, "GET", "/api/v1/events", "");
        world.run(secs(1));
        let told = answer(&mut world, "GET", "/api/v1/streams/live/show", "").1;
        world.run(secs(3));
        let seen = watching.borrow().heard.clone();
        (world.trace(), told, seen)
    };
    let [first, second] = [story(), story()];
    assert!(first.1.contains("2023-11-14T22:13:2"), "by the simulated clock: {}", first.1);
    assert_eq!(first.1, second.1);
    assert!(first.2 == second.2, "what a watcher is told");
    assert!(first.0 == second.0, "the trace");
}

#[test]
fn a_name_that_leads_inside_is_not_connected_to_by_what_the_api_adds_however_often_it_is_tried() {
    // Every host of the world has a private address.
    let mut world = show(3, steered(&["youtube"], false));
    world.run(secs(1));
    let new = "{\"name\": \"kick\", \"url\": \"rtmp://kick/live\", \"backup_url\": \"rtmp://vimeo/live\"}";
    assert_eq!(answer(&mut world, "POST", "/api/v1/destinations", new).0, 201);
    world.run(secs(10));
    let status = world.status("relay", "kick");
    assert!(status.attempts > 3, "{status:?}");
    let said = status.last_error.expect("it has been tried");
    assert!(said.starts_with("its name leads into our own network"), "{said}");
    for server in ["kick", "vimeo"] {
        assert!(world.sessions(server).is_empty(), "{server}");
    }
    assert_eq!(world.status("relay", "youtube").state, State::Live, "what is configured may be anywhere");
}

#[test]
fn a_watcher_hears_something_every_fifteen_seconds_though_nothing_happens() {
    let mut world = World::seeded(4).relay_told("relay", steered(&[], true)).villain("operator");
    let watching = call(&mut world, "GET", "/api/v1/events", "");
    world.run(secs(47));
    let heard = String::from_utf8(watching.borrow().heard.clone()).expect("text");
    assert_eq!((heard.matches("event: snapshot").count(), heard.matches(": nothing new").count()), (1, 3), "{heard}");
    assert_eq!(watching.borrow().ended, None);
    world.shut_down("relay");
    world.until(secs(6), |_| watching.borrow().ended.is_some());
}

#[test]
fn callers_who_say_nothing_leave_room_for_others_in_the_end() {
    let mut world = World::seeded(5).relay_told("relay", steered(&[], true)).villain("operator");
    world.run(ms(100));
    let slow =
        |deeds: Vec<Deed>| move |world: &mut World| world.attack("operator", &format!("relay:{PORT}"), deeds.clone());
    let silent = slow(vec![]);
    let dripping = slow(vec![Deed::Drip(vec![b'x'; 10_000].into(), 1, ms(500))]);
    let half = "POST /api/v1/destinations HTTP/1.1\r\nauthorization: Bearer correct-horse-battery-staple\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    let half = slow(vec![Deed::Say(half.into())]);
    let mut slow = Vec::new();
    for n in 0..API_CONNECTIONS {
        slow.push([&silent as &dyn Fn(&mut World) -> Seen, &dripping, &half][n % 3](&mut world));
        if n % 32 == 0 {
            world.run(ms(100));
        }
    }
    world.run(secs(1));
    let waits = call(&mut world, "GET", "/healthz", "");
    world.run(secs(20));
    assert_eq!(waits.borrow().heard.len(), 0, "one too many waits");
    world.until(API_CALL, |_| waits.borrow().has_heard(b"{\"alive\":true}"));
    world.until(secs(5), |_| slow.iter().all(|seen| matches!(seen.borrow().ended, Some(End::Closed | End::Reset))));
    let told_so = slow.iter().skip(2).step_by(3).all(|seen| seen.borrow().has_heard(b"too_slow"));
    assert!(told_so, "who has begun to speak is told why");
}

#[test]
fn a_viewer_that_stops_reading_is_left_and_costs_no_destination_a_message() {
    let mut world = show(6, steered(&["youtube"], true));
    world.run(secs(2));
    let wish = "GET /live/show.flv HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let deeds = vec![Deed::Say(wish.into()), Deed::Hear("FLV\x01".into()), Deed::Deaf];
    let viewer = world.attack("operator", &format!("relay:{PORT}"), deeds);
    world.until(secs(1), |_| viewer.borrow().done);
    let timed_out = |world: &World| world.endings("relay").get(&Ending::TimedOut).copied();
    world.until(secs(8) + STALL, |world| timed_out(world) == Some(1));
    assert!(world.now() > secs(2) + STALL, "it has had its time");
    world.run(secs(26).saturating_sub(world.now()));
    let (sent, sessions) = (world.sent("obs"), world.sessions("youtube"));
    assert_eq!(sessions.len(), 1);
    laws::arrives_within(ms(200), &sent, &sessions[0].tape);
    assert!(sessions[0].tape.iter().map(|m| &m.payload).eq(sent.iter().map(|m| &m.payload)));
}

#[test]
fn no_answer_and_no_log_has_a_secret_that_a_caller_has_told() {
    const URL: &str = "rtmp://CANARY1:CANARY2@kick/CANARY3/CANARY4?CANARY5=CANARY6";
    for answers in [Answer::Accept, Answer::Refuse("publish", "NetStream.Publish.BadName"), Answer::Absent] {
        let world = World::seeded(6).relay_told("relay", steered(&["youtube"], true)).villain("operator");
        let world = world.server("youtube", |_| Answer::Accept).server("kick", move |_| answers);
        let mut world = world.encoder("obs", "relay/live/show?CANARY8=CANARY9", &[Act::Publish(secs(20)), Act::Stop]);
        world.run(secs(1));
        let watching = call(&mut world, "GET", "/api/v1/events", "");
        let new = format!("{{\"name\": \"kick\", \"url\": \"{URL}\", \"backup_url\": \"rtmp://kick/CANARY10\"}}");
        let key = "{\"stream_key\": \"CANARY7\", \"url\": \"rtmp://kick/CANARY3\"}";
        let wrong = "{\"url\": \"CANARY1\", \"stream_key\": [\"CANARY7\"], \"max_lag\": \"CANARY2\"}";
        let mut told = String::new();
        for (method, path, body) in [
            ("POST", "destinations", &*new),
            ("POST", "destinations", wrong),
            ("PATCH", "destinations/kick", key),
            ("PATCH", "destinations/kick", wrong),
            ("PATCH", "destinations/kick", "{\"url\": \"rtmp://youtube/live\"}"),
            ("POST", "destinations/kick/retry", ""),
            ("GET", "destinations", ""),
            ("GET", "streams", ""),
            ("GET", "sessions", ""),
            ("GET", "config", ""),
            ("GET", "status", ""),
            ("GET", "journal", ""),
            ("GET", "", ""),
        ] {
            let path = if path.is_empty() { "/metrics".to_owned() } else { format!("/api/v1/{path}") };
            let (status, text) = answer(&mut world, method, &path, body);
            assert!([200, 201, 422].contains(&status), "{method} {path}: {text}");
            told += &text;
            world.run(secs(1));
        }
        told += &String::from_utf8_lossy(&watching.borrow().heard);
        assert!(told.contains("\"name\":\"kick\"") && told.contains("key_needed"), "{told}");
        assert_eq!(told.find("CANARY").map(|at| &told[at.saturating_sub(100)..at]), None);
        let trace = world.trace();
        assert_eq!(trace.lines().find(|line| line.contains("CANARY")), None);
    }
}
