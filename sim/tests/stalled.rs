//! A server stops reading. Nobody else notices; it is given up, or goes on at a key frame.
//!
//! ```text
//!  obs ─► relay ─┬─► slow
//!                └─► fine
//! ```

use std::time::Duration;

use rtmp_relay::destination::State;
use rtmp_relay::destination::status::Delivered;
use sim::{Act, Answer, World, laws, ms, secs};

fn world(seed: u64, acts: &[Act], answer: Answer) -> World {
    World::seeded(seed)
        .relay("relay", &["slow", "fine"])
        .server("slow", move |_| answer)
        .server("fine", |_| Answer::Accept)
        .encoder("obs", "relay/live/show", acts)
}

fn fine_notices_nothing(world: &World) {
    let (sent, fine) = (world.sent("obs"), world.sessions("fine"));
    assert_eq!(fine.len(), 1);
    laws::begins_with_preamble_and_key(&fine[0].tape);
    laws::arrives_within(ms(200), &sent, &fine[0].tape);
    laws::misses_nothing(&sent, &fine[0].tape);
}

#[test]
fn interop_57_and_interop_58_a_dead_link_is_not_live_is_given_up_and_comes_back_with_a_new_session() {
    for seed in 0..2 {
        let mut world = world(seed, &[Act::Publish(secs(26)), Act::Stop], Answer::Accept);
        world.run(secs(5));
        assert_eq!(world.status("relay", "slow").state, State::Live);
        world.hold("relay", "slow");
        // What a socket takes, 93,440 bytes, is less than 2 s of this stream; `live` outlasts that by 2 s and a look a second.
        world.run(secs(5));
        let mut lags = Vec::new();
        for n in 0..45 {
            world.run(ms(200));
            let status = world.status("relay", "slow");
            assert_ne!(status.state, State::Live, "nothing leaves");
            if n % 5 == 0 && status.state == State::Degraded {
                lags.push(status.delivered.lag);
            }
        }
        // A second more in each second, from the one on in which the socket was full.
        assert!(lags.len() >= 4 && lags[0] >= secs(3), "{lags:?}");
        let grows = |pair: &[Duration]| (ms(900)..=ms(1100)).contains(&(pair[1].saturating_sub(pair[0])));
        assert!(lags.windows(2).all(grows), "{lags:?}");
        // 10 s without a byte taken, after these 2 s.
        let status = world.status("relay", "slow");
        assert_eq!(status.last_error.as_deref(), Some("the server has taken nothing for 10 s"));
        assert_eq!(status.delivered, Delivered::default(), "no session, nothing on its way");
        world.release("relay", "slow");
        // A wait is up to a quarter longer than the cap, 5 s; connecting takes a few round trips; a GOP has 2 s.
        let limit = secs(5).mul_f64(1.25) + secs(1) + secs(2);
        world.until(limit, |world| matches!(&world.sessions("slow")[1..], [.., last] if last.tape.len() > 3));
        world.run(secs(28).saturating_sub(world.now()));

        fine_notices_nothing(&world);
        let (sent, slow) = (world.sent("obs"), world.sessions("slow"));
        let (first, last) = (&slow[0].tape, &slow.last().expect("it came back").tape);
        assert_eq!(laws::runs(&sent, first).len(), 1);
        laws::begins_with_preamble_and_key(last);
        laws::misses_nothing(&sent, last);
        let status = world.status("relay", "slow");
        assert_eq!(status.reconnects_by_reason, [("network", status.reconnects)].into());
        assert_eq!(status.dropped_by_reason.keys().collect::<Vec<_>>(), [&"away"], "it was slow in no session");
    }
}

/// It does not read for 7.5 s, of which its socket hides less than 2: more than 5 s behind, less than the log holds.
#[test]
fn interop_77_a_server_that_reads_again_in_time_goes_on_at_a_key_frame_of_the_same_session() {
    // The newest key frame is one it has not got, or one from before, so that the next has to be waited for.
    for (key_every, deaf_after) in [(secs(2), secs(4)), (secs(10), secs(2))] {
        let acts = [Act::KeyEvery(key_every), Act::Publish(secs(16)), Act::Stop];
        let mut world = world(1, &acts, Answer::Deaf(deaf_after, ms(7_500)));
        world.run(deaf_after + secs(7));
        assert_eq!(world.status("relay", "slow").state, State::Degraded, "nothing leaves");
        world.run(secs(13) - world.now());
        let status = world.status("relay", "slow");
        assert_eq!((status.state, status.reconnects), (State::Live, 0));
        world.run(secs(5));

        fine_notices_nothing(&world);
        let (sent, slow) = (world.sent("obs"), world.sessions("slow"));
        assert_eq!(slow.len(), 1, "the session goes on");
        let tape = &slow[0].tape;
        laws::begins_with_preamble_and_key(tape);
        laws::time_never_goes_back(tape);
        laws::keeps_pace(&sent, tape);
        let runs = laws::runs(&sent, tape);
        let [before, after] = &runs[..] else { panic!("one jump, not {runs:?}") };
        assert_eq!(after.end, sent.len() - 3, "it has got the last frame");
        let (status, dropped) = (world.status("relay", "slow"), (after.start - before.end) as u64);
        assert_eq!((status.dropped, status.dropped_by_reason), (dropped, [("lag", dropped)].into()));
    }
}
