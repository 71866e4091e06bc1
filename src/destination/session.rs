//! A session: a stream that a server has accepted, sent until it ends or the server is lost.

use std::future::pending;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep};
use tracing::field::display;
use tracing::{info, warn};

use super::fitness::Fitness;
use super::status::Delivered;
use super::trail::Trail;
use super::{Destination, Error, Outbound, Recalled, State, Status};
use crate::feed::{Feed, Metadata, Stats};
use crate::limits::{DISLIKE, DRAIN, RECONNECT_WAIT};
use crate::net::connection::Received;
use crate::net::watch::TICK;
use crate::net::{Connection, Network, Stream, Watch};
use crate::rtmp::client::{ClientSession, Event};
use crate::rtmp::session::Phase;
use crate::rtmp::url::Url;

/// How often it is looked whether the key frame has come at which to leave.
pub(super) const LOOK: Duration = Duration::from_millis(50);

/// The server has taken no bytes for this long: no longer `live`.
const QUIET: Duration = Duration::from_secs(2);

impl<N: Network> Destination<N> {
    /// Sends the stream until it ends (`Ok`) or the session does.
    pub async fn publish(&mut self, connection: Outbound<N>, stream: u32) -> Result<(), Error> {
        self.publish_until(connection, stream, Box::pin(pending())).await
    }

    /// The same, or until it is `recalled` to the primary server: then it leaves at the next key frame.
    pub(super) async fn publish_until(
        &mut self,
        mut connection: Outbound<N>,
        stream: u32,
        mut recalled: Recalled,
    ) -> Result<(), Error> {
        let metadata = Metadata::SetDataFrame;
        let feed = Feed::new(self.log.clone(), self.join, stream, self.settings.chunk_size, metadata);
        connection.feed(feed.merging(self.settings.merge));
        self.row.update(Status::session_began);
        let stream_name = self.row.status().stream.map(display);
        info!(destination = %self.row.name(), stream = stream_name, "destination live");
        let (mut leaving, began) = (None, Instant::now());
        let ended = self.send(&mut connection, &mut leaving, &mut recalled).await;
        self.row.update(|s| {
            s.count(connection.sent(), connection.source(Feed::stats).unwrap_or_default());
            s.session_ended();
        });
        match ended {
            Ok(()) => {
                self.row.update(|s| s.enter(State::Draining, None));
                connection.session.finish();
                connection.close_or_abort().await;
                info!(destination = %self.row.name(), "destination ended");
                Ok(())
            }
            Err(error @ (Error::Reconnect(_) | Error::PrimaryIsBack)) => {
                connection.session.finish();
                connection.close_or_abort().await;
                Err(error)
            }
            Err(error) => {
                let unannounced = unannounced(&connection).filter(|_| began.elapsed() < DISLIKE).unwrap_or_default();
                connection.abort();
                Err(match (leaving, error) {
                    // It said that it would not last.
                    (Some(leaving), _) => leaving.into(),
                    (None, Error::Connection(source)) if !unannounced.is_empty() => {
                        Error::Codec { what: unannounced.join(", "), source }
                    }
                    (None, error) => error,
                })
            }
        }
    }

    async fn send(
        &mut self,
        connection: &mut Outbound<N>,
        leaving: &mut Option<Leaving>,
        recalled: &mut Recalled,
    ) -> Result<(), Error> {
        let mut watch = Watch::default();
        let progress = self.settings.timeouts.progress;
        let mut fitness = Fitness::new(self.settings);
        let mut declined = false;
        let mut tick = interval(TICK);
        let mut trail = Trail::default();
        let (log, stop) = (self.log.clone(), self.stop.clone());
        let over = async {
            log.ended().await;
            sleep(DRAIN).await;
        };
        tokio::pin!(over);
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Ended(status) => return Err(Error::Kicked(self.refusal(Phase::Media, &status))),
                    Event::Refused(phase, status) => {
                        return Err(Error::Refused(phase, self.refusal(phase, &status)));
                    }
                    Event::Reconnect(Ok(to)) => _ = leaving.get_or_insert_with(|| Leaving::new(Some(to), connection)),
                    // Said once, however often it asks.
                    Event::Reconnect(Err(error)) if !std::mem::replace(&mut declined, true) => {
                        warn!(destination = %self.row.name(), "the server asks for a connection that is not made: {error}");
                    }
                    Event::Reconnect(Err(_)) => {}
                    Event::Started(_) | Event::Message(_) => {}
                }
            }
            if let Some(leaving) = leaving.as_ref().filter(|leaving| leaving.is_due(connection)) {
                return Err(leaving.clone().into());
            }
            tokio::select! {
                biased;
                received = connection.receive() => match received? {
                    Received::Bytes => {}
                    Received::Drained => return Ok(()),
                },
                () = &mut over => return Ok(()),
                () = stop.cancelled() => return Ok(()),
                () = sleep(LOOK), if leaving.is_some() => {}
                () = &mut *recalled, if leaving.is_none() => *leaving = Some(Leaving::new(None, connection)),
                _ = tick.tick() => {
                    if watch.has_stalled(connection, progress) && !mutant!(NeverStalled) {
                        return Err(Error::Stalled(progress));
                    }
                    let verdict = fitness.look(&self.log)?;
                    self.show(verdict.advice);
                    let trouble = match watch.idle() >= QUIET {
                        true if mutant!(AlwaysLive) => None,
                        true if watch.is_waiting() => Some("the server takes nothing".to_owned()),
                        true => Some("nothing comes from the encoder".to_owned()),
                        false => verdict.trouble.map(|error| error.to_string()),
                    };
                    let stats = connection.source(Feed::stats).unwrap_or_default();
                    let delivered = self.delivered(connection, &watch, &stats, &mut trail);
                    self.advise(connection);
                    self.row.update(|s| {
                        s.count(connection.sent(), stats);
                        s.delivered = delivered;
                        let state = if trouble.is_some() { State::Degraded } else { State::Live };
                        s.enter(state, trouble);
                    });
                }
            }
        }
    }

    /// How far what was put into the session has come.
    fn delivered(&self, connection: &Outbound<N>, watch: &Watch, stats: &Stats, trail: &mut Trail) -> Delivered {
        let (sent, unsent, kernel) = (connection.sent(), connection.unsent(), watch.delivery());
        if let Some(reached) = stats.reached {
            trail.mark(sent + unsent as u64, reached);
        }
        trail.acknowledge(connection.session.acknowledged(), sent);
        let taken = watch.taken();
        trail.pass(taken);
        let newest = self.log.newest_time().map_or(Duration::ZERO, Duration::from_millis);
        Delivered {
            lag: trail.time_at(taken).map_or(Duration::ZERO, |time| newest.saturating_sub(time)),
            acknowledged_lag: trail.acknowledged().map(|time| newest.saturating_sub(time)),
            unsent,
            kernel_unsent: kernel.map(|kernel| kernel.queued),
            round_trip: kernel.map(|kernel| kernel.round_trip),
        }
    }

    /// Says what the server did not announce and is sent all the same: once, and again when it changes.
    fn advise(&self, connection: &Outbound<N>) {
        let Some(unannounced) = unannounced(connection) else { return };
        if self.row.look(|s| s.unannounced == unannounced) {
            return;
        }
        if !unannounced.is_empty() {
            let what = unannounced.join(", ");
            warn!(destination = %self.row.name(), "the server did not announce {what}: sent all the same");
        }
        self.row.update(|s| s.unannounced = unannounced);
    }
}

/// What the server did not announce and has been sent, once it has been sent anything.
fn unannounced<S: Stream>(connection: &Connection<S, ClientSession, Feed>) -> Option<Vec<String>> {
    let begun = |feed: &Feed| (feed.starts() > 0).then(|| connection.session.unannounced(feed.needs()));
    connection.source(begun).flatten()
}

/// A session that is to be followed by another one. It goes on to the next key frame, with which the new one begins, so that
/// nothing is missing in between.
#[derive(Debug, Clone)]
struct Leaving {
    /// Where the server has asked for the new one; none, if it is the primary server's turn again.
    to: Option<Url>,
    starts: u64,
    due: Instant,
}

impl From<Leaving> for Error {
    fn from(leaving: Leaving) -> Error {
        leaving.to.map_or(Error::PrimaryIsBack, |to| Error::Reconnect(Box::new(to)))
    }
}

impl Leaving {
    fn new<S: Stream>(to: Option<Url>, connection: &Connection<S, ClientSession, Feed>) -> Self {
        let starts = connection.source(Feed::starts).unwrap_or_default();
        Leaving { to, starts, due: Instant::now() + RECONNECT_WAIT }
    }

    fn is_due<S: Stream>(&self, connection: &Connection<S, ClientSession, Feed>) -> bool {
        connection.source(Feed::starts).is_some_and(|starts| starts > self.starts) || Instant::now() >= self.due
    }
}
