//! A player: it is sent a stream from the newest key frame on, or from the first one to come.

use std::time::Duration;

use tokio::time::{interval, sleep};
use tracing::{debug, info};

use crate::causes;
use crate::feed::{Feed, Metadata};
use crate::inbound::visitors::{Pass, Seat};
use crate::inbound::{Admitted, House, Inbound};
use crate::journal::{Code, Event as Happened};
use crate::limits::{DRAIN, STALL};
use crate::net::connection::{Error, Received};
use crate::net::watch::TICK;
use crate::net::{Stream, Watch};
use crate::rtmp::chunk::DEFAULT_SIZE;
use crate::rtmp::server::Event;
use crate::rtmp::session::Phase;
use crate::stream::Join;

/// A player starts with the newest GOP held, however old, and is moved on only when the log has lost what it was at.
const JOIN: Join = Join { newest_if_within: Duration::MAX, lag_max: Duration::MAX };

/// Serves a player to its end, or the stream's.
pub async fn serve<S: Stream>(admitted: Admitted<S>, house: &House, pass: &Pass) -> Result<(), Error> {
    let Admitted { mut connection, request, name: stream, peer, .. } = admitted;
    let seat = pass.sit(request.role, &stream, &request.agent);
    let message_stream = connection.session.accept(request);
    let log = house.directory.log_of(&stream);
    connection.feed(Feed::new(log.clone(), JOIN, message_stream, DEFAULT_SIZE, Metadata::Plain));
    info!(%stream, %peer, "playing started");
    let tell = |code| Happened::new(code).stream(&stream).peer(peer.ip());
    house.journal.append(tell(Code::PlayerStarted));
    let drained = async {
        log.ended().await;
        sleep(DRAIN).await;
    };
    let played = tokio::select! {
        biased;
        played = play(&mut connection, &seat) => played,
        () = seat.kicked() => {
            info!(%stream, %peer, "player kicked");
            Ok(())
        }
        () = house.stop.cancelled() => Ok(()),
        () = drained => Ok(()),
    };
    if house.stop.is_cancelled() {
        connection.session.ask_to_reconnect();
    }
    connection.session.end_of_stream();
    connection.close().await;
    debug!(%stream, %peer, "playing stopped");
    let why = played.as_ref().err().map(|error| causes::in_one_line(error));
    house.journal.append(Happened { text: why, ..tell(Code::PlayerEnded) });
    played
}

/// Sends until the stream ends or the player leaves.
async fn play<S: Stream>(connection: &mut Inbound<S>, seat: &Seat) -> Result<(), Error> {
    let mut watch = Watch::default();
    let mut tick = interval(TICK);
    loop {
        while let Some(event) = connection.event()? {
            match event {
                Event::Stopped => return Ok(()),
                Event::Message(_) | Event::Request(_) => {}
            }
        }
        tokio::select! {
            biased;
            received = connection.receive() => match received? {
                Received::Bytes => {}
                Received::Drained => return Ok(()),
            },
            _ = tick.tick() => {
                seat.count(connection.sent());
                if watch.has_stalled(connection, STALL) {
                    return Err(Error::TimedOut { phase: Phase::Media });
                }
            }
        }
    }
}
