//! Each class of errors, as a server brings it about: its code, its advice, and how soon it is tried again.

use std::fmt::Write as _;
use std::time::Duration;

use rtmp_relay::destination::Class;
use rtmp_relay::destination::settings::Reconnect;
use sim::{Act, Answer, Session, World, ms, secs};

#[test]
fn each_class_is_told_by_its_code_with_what_to_do_and_tried_again_by_its_plan() {
    let mut told = String::new();
    for (class, answer) in [
        (Class::Dropped, Answer::Close(1)),
        (Class::Network, Answer::Garbage("")),
        (Class::Kicked, Answer::Kick(ms(10))),
        (Class::AlreadyLive, Answer::Refuse("publish", "NetStream.Publish.BadName")),
        (Class::Refused, Answer::Refuse("connect", "NetConnection.Connect.InvalidApp")),
        (Class::KeyRejected, Answer::Refuse("publish", "NetStream.Publish.Denied")),
        (Class::CodecRefused, Answer::Refuse("publish", "NetStream.Play.NoSupportedTrackFound")),
    ] {
        let mut world = World::seeded(4)
            .relay("relay", &["kick", "youtube"])
            .server("kick", move |_| answer)
            .server("youtube", |_| Answer::Accept)
            .encoder("obs", "relay/live/show", &[Act::Publish(secs(300)), Act::Stop]);
        world.run(secs(290));
        let status = world.status("relay", "kick");
        assert_eq!(status.class, Some(class), "{answer:?}");
        let sessions = world.sessions("kick");
        // The simulated network loses the end of a connection now and then: of that one nobody knows when it was closed.
        let wait = |pair: &[Session]| Some(pair[1].opened - pair[0].closed?);
        let waits: Vec<Option<Duration>> = sessions.windows(2).map(wait).collect();
        // Within a quarter of the plan; a session's end takes a while to be seen, and a connection to be made.
        let Reconnect { initial, max } = Reconnect::default();
        let mut plan = initial;
        for wait in &waits {
            let bounds = plan.mul_f64(0.74)..plan.mul_f64(1.26) + ms(200);
            let planned = wait.is_none_or(|wait| bounds.contains(&wait));
            assert!(planned, "{class}: {wait:?} instead of {plan:?} in {waits:?}");
            plan = (plan * 2).min(class.cap(max));
        }
        assert!(waits.len() >= 8, "{class} is tried {} times", waits.len());
        assert_eq!(world.sessions("youtube").len(), 1, "{class}: the other one goes on");
        let error = status.last_error.expect("an error");
        let shown: Vec<String> =
            waits.iter().flatten().take(10).map(|wait| format!("{:.2}", wait.as_secs_f64())).collect();
        writeln!(told, "{class}: {error}\n  {}\n  tried again after {} s\n", class.advice(), shown.join(", "))
            .expect("text");
    }
    insta::assert_snapshot!(told);
}
