//! What is secret in a destination's URL is in nothing that is said, whatever its server does.

use sim::{Act, Answer, World, ms, secs};

/// In the user's name and password, the application, the key and its query.
const URL: &str = "rtmp://CANARY1:CANARY2@kick/CANARY3/CANARY4?CANARY5=CANARY6";

#[test]
fn no_log_no_status_and_no_journal_has_a_secret_of_a_destination() {
    for answer in [
        Answer::Accept,
        Answer::Refuse("connect", "NetConnection.Connect.Rejected"),
        Answer::Refuse("connect", "NetConnection.CANARY3"),
        Answer::Refuse("createStream", "NetStream.CANARY4"),
        Answer::Refuse("publish", "NetStream.Publish.CANARY4"),
        Answer::Refuse("publish", "CANARY4?CANARY5=CANARY6"),
        Answer::Silence("publish"),
        Answer::Close(1000),
        Answer::Reset(1000),
        Answer::Kick(ms(100)),
        Answer::Move(ms(500), "rtmp://CANARY1:CANARY2@kick/CANARY3"),
        Answer::Divert("connect", "rtmp://kick/CANARY3"),
        Answer::Garbage("connect"),
        Answer::Absent,
    ] {
        let mut world = World::seeded(6).relay("relay", &[URL]).server("kick", move |_| answer).encoder(
            "obs",
            "relay/live/show?CANARY7=CANARY8",
            &[Act::Publish(secs(15)), Act::Stop],
        );
        world.run(secs(18));
        let trace = world.trace();
        let said = trace.lines().find(|line| line.contains("CANARY"));
        assert_eq!(said, None, "{answer:?}");
        let shown = format!("{:?}", world.statuses("relay"));
        assert!(!shown.contains("CANARY") && shown.contains("kick"), "{answer:?}: {shown}");
        let told = format!("{:?}", world.journal("relay"));
        assert!(!told.contains("CANARY") && told.contains("kick"), "{answer:?}: {told}");
    }
}
