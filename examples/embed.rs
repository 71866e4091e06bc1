//! A relay inside a program that is its encoder too. It sends the stream to a second relay, which a reader looks at.
//!
//!     cargo run --example embed

use std::error::Error;
use std::time::Duration;

use rtmp_relay::destination::State;
use rtmp_relay::flv::file::Reader;
use rtmp_relay::ingest::Ingest;
use rtmp_relay::net::tcp::Tcp;
use rtmp_relay::stream::cursor::Read;
use rtmp_relay::stream::{Cursor, Frame, Hops, Join, Name};
use rtmp_relay::{CancellationToken, Config, Relay, Rng, config};
use tokio::time::sleep;

/// One second of picture and sound.
const FILM: &[u8] = include_bytes!("../fixtures/flv/h264-aac.flv");

/// How often this program looks. One that has more to do is woken: `Cursor::wake`.
const NOW_AND_THEN: Duration = Duration::from_millis(10);

/// Sends one film through two relays.
#[tokio::main(flavor = "current_thread")]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let stop = CancellationToken::new();
    let name = Name::new("live/show").ok_or("no stream name")?;

    // The second relay, and a reader that starts with whatever is there first.
    let second = Config { listen: config::listen("127.0.0.1:0")?, ..Config::default() };
    let second = Relay::bind(Tcp, second, Rng::new()).await?;
    let url = format!("rtmp://{}/live", second.address());
    let join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };
    let mut reader = Cursor::new(second.directory().log_of(&name), join);

    // The first one, which has the second as its destination.
    let destinations = config::destinations(&[&url])?;
    let first = Config { listen: config::listen("127.0.0.1:0")?, destinations, ..Config::default() };
    let first = Relay::bind(Tcp, first, Rng::new()).await?;
    let (directory, board) = (first.directory().clone(), first.board().clone());
    let serving = [tokio::spawn(first.run(stop.clone())), tokio::spawn(second.run(stop.clone()))];

    // From here on the name is ours. The destination connects, as for any encoder.
    let mut encoder = Ingest::new(directory.publish(name, Hops::default())?);
    while board.statuses().iter().any(|status| status.state != State::Live) {
        sleep(NOW_AND_THEN).await;
    }
    let mut film = Reader::new();
    film.push(FILM);
    while let Some(tag) = film.read_tag()? {
        encoder.message((&tag).into());
    }
    encoder.announce();
    encoder.end();

    let mut frames = 0;
    let mut count = |_: &Frame, _| {
        frames += 1;
        true
    };
    while reader.read(&mut count) != Read::Ended {
        sleep(NOW_AND_THEN).await;
    }
    println!("{frames} frames of audio and video have come out at {url}/show");

    stop.cancel();
    for relay in serving {
        relay.await?;
    }
    Ok(())
}
