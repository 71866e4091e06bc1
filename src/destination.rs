//! A destination: a server that we publish a stream to, again and again until it takes it.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼                                              │ backoff, for ever
//!       connecting ─► live ⇄ degraded ─► lost or refused ───┘
//!                      └─ the stream ends ─► draining ─► (gone)
//! ```
//! A task each; it shares nothing with the others but the log, and nobody waits for it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, interval, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::field::display;
use tracing::{info, warn};

pub mod approach;
pub mod board;
pub mod error;
pub mod status;
pub mod target;

pub use approach::Approach;
pub use board::{Board, Row};
pub use error::{Class, Error};
pub use status::{State, Status};
pub use target::Template;

use crate::backoff::Backoff;
use crate::feed::{Feed, Metadata};
use crate::limits::{DESTINATION_JOIN, DESTINATION_LAG, DRAIN, RECONNECT_WAIT, STEP};
use crate::net::connection::Received;
use crate::net::tls::{Trust, Wire};
use crate::net::watch::TICK;
use crate::net::{Connection, Network, Stream, Watch, connection};
use crate::rtmp::capabilities::Announce;
use crate::rtmp::client::{ClientSession, Event, Target};
use crate::rtmp::login::Login;
use crate::rtmp::server::Role;
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::url::Url;
use crate::rtmp::{Secret, handshake};
use crate::stream::{Join, Log};

/// Not long ago, so that a session does not begin with a burst; and never far behind what is live.
pub const JOIN: Join = Join { newest_if_within: DESTINATION_JOIN, lag_max: DESTINATION_LAG };

/// Publishing has to go well for this long before a failure counts as the first again.
const STABLE: Duration = Duration::from_secs(10);

/// How often it is looked whether the key frame has come at which to leave.
const LOOK: Duration = Duration::from_millis(50);

/// No bytes have left for this long: no longer `live`.
const QUIET: Duration = Duration::from_secs(2);

/// A stream on its way to one server.
#[derive(Debug)]
pub struct Destination<N> {
    /// The way out.
    pub net: N,
    /// The server.
    pub url: Url,
    /// How it proves to be who it is, if that is asked of it.
    pub trust: Trust,
    /// The stream's name there, mostly a key.
    pub name: Secret,
    /// The chunk size we send with.
    pub chunk_size: usize,
    /// What we call ourselves, with the relays the stream has come through.
    pub agent: String,
    /// The stream.
    pub log: Arc<Log>,
    /// Nothing is to be sent there any more: it says goodbye and leaves.
    pub stop: CancellationToken,
    /// The next attempt is to be made now.
    pub retry: Arc<Notify>,
    /// Where in it a session starts, and how far it may fall behind.
    pub join: Join,
    /// The place at the server. Whoever is there holds it until the server has been left.
    pub place: Place,
    /// Where its state is shown.
    pub row: Row,
    /// Handshakes and jitter.
    pub random: fastrand::Rng,
}

/// A stream's name at a server is one place: two of us there at once are two encoders to the server, and it refuses one or
/// mixes them up.
pub type Place = Arc<tokio::sync::Mutex<()>>;

/// An outbound connection: a client's session and its feed.
pub type Outbound<N> = Connection<Wire<<N as Network>::Stream>, ClientSession, Feed>;

impl<N: Network> Destination<N> {
    /// Publishes the stream until it ends.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.random.fork());
        let mut approach = Approach::new(Announce::Reconnecting);
        let (log, stop) = (self.log.clone(), self.stop.clone());
        let over = async || {
            tokio::select! {
                biased;
                () = log.ended() => {}
                () = stop.cancelled() => {}
            }
        };
        let place = if mutant!(TwoAtOnce) { Place::default() } else { self.place.clone() };
        // Until the session before it has ended, the row says how that one fares.
        let _held = tokio::select! {
            biased;
            () = over() => return,
            held = place.lock() => held,
        };
        let mut said = String::new();
        loop {
            self.row.update(|s| {
                s.enter(State::Connecting, None);
                s.attempts += 1;
            });
            // Until it is live, the end of the stream ends an attempt at once; from then on the feed tells it.
            let connected = tokio::select! {
                biased;
                () = over() => return,
                connected = caught(self.connect(&mut approach)) => connected,
            };
            let ended = match connected {
                Err(error) => Err(error),
                Ok((connection, message_stream)) => {
                    let since = Instant::now();
                    said.clear();
                    let ended = caught(self.publish(connection, message_stream)).await;
                    if since.elapsed() >= STABLE {
                        backoff.reset();
                        approach.went_well();
                    }
                    ended
                }
            };
            let Err(mut error) = ended else { return };
            if approach.learn(&error) {
                info!(destination = %self.row.name(), "the server asks for a new connection");
                continue;
            }
            let class = error.class();
            let wait = backoff.next(class.cap()) * if mutant!(WaitsTooLong) { 10 } else { 1 };
            if mutant!(OneEndsAll) {
                log.end();
            }
            if mutant!(GivesUp) && self.row.status().attempts > 3 {
                return;
            }
            error.forget(&self.name);
            let text = error.explain();
            // Said once, and again when it changes: a server can be away all night.
            if said != text {
                warn!(destination = %self.row.name(), class = %class, retry_in = ?wait, "destination lost: {text}");
                said.clone_from(&text);
            }
            self.row.update(|s| s.failed(class.state(), text, wait));
            tokio::select! {
                biased;
                () = over() => return,
                () = self.retry.notified() => backoff.reset(),
                () = sleep(wait) => {}
            }
        }
    }

    /// Opens a session. A server that wants a user name and password asks in three connections, all of one attempt.
    pub async fn connect(&mut self, approach: &mut Approach) -> Result<(Outbound<N>, u32), Error> {
        let elsewhere = approach.take_elsewhere();
        let mut url = elsewhere.clone().unwrap_or_else(|| self.url.clone());
        let mut login = Login::new(&url);
        loop {
            match self.open(url, elsewhere.is_some(), approach).await {
                Err(Error::Refused(Phase::Connect, status)) => match login.answer(&status, self.random.u32(..))? {
                    Some(next) => url = next,
                    None => return Err(Error::Refused(Phase::Connect, status)),
                },
                opened => return opened,
            }
        }
    }

    /// Name, TCP, TLS, handshake, connect, createStream, publish: a deadline for each.
    /// The connection is closed before an error is returned: a server must never see two of us.
    async fn open(&mut self, url: Url, elsewhere: bool, approach: &mut Approach) -> Result<(Outbound<N>, u32), Error> {
        let lookup = self.net.lookup(&url.host, url.port);
        let addresses = timeout(STEP, lookup).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
        let addresses = addresses.map_err(Error::Lookup)?;
        let mut stream = Err(Error::Lookup(std::io::ErrorKind::NotFound.into()));
        for address in addresses {
            if !elsewhere {
                approach.at_home(address.ip());
            } else if !approach.may_go(address.ip()) {
                stream = Err(Error::Internal);
                continue;
            }
            stream = match timeout(STEP, self.net.connect(address)).await {
                Ok(connected) => connected.map_err(Error::Connect),
                Err(_) => Err(Error::Connect(std::io::ErrorKind::TimedOut.into())),
            };
            if stream.is_ok() {
                break;
            }
        }
        let stream = match url.tls {
            true => self.trust.connect(&self.net, stream?, &url.host).await?,
            false => Wire::Plain(stream?),
        };
        let target = Target {
            role: Role::Publish,
            url,
            name: self.name.clone(),
            agent: self.agent.clone(),
            chunk_size: self.chunk_size,
        };
        let session =
            ClientSession::new(target, &handshake::random(self.random.u64(..))).announcing(approach.announce());
        let mut connection: Outbound<N> = Connection::new(stream, session);
        let mut phase = connection.session.phase();
        let mut deadline = Instant::now() + STEP;
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Started(message_stream) => return Ok((connection, message_stream)),
                    Event::Refused(phase, status) => {
                        connection.close_or_abort().await;
                        return Err(Error::Refused(phase, status));
                    }
                    Event::Reconnect(Ok(url)) => {
                        connection.close_or_abort().await;
                        return Err(Error::Reconnect(url));
                    }
                    Event::Reconnect(Err(_)) | Event::Ended(_) | Event::Message(_) => {}
                }
            }
            if connection.session.phase() != phase {
                phase = connection.session.phase();
                deadline = Instant::now() + STEP;
            }
            let late = |_| connection::Error::TimedOut { phase };
            timeout_at(deadline, connection.receive()).await.map_err(late)??;
        }
    }

    /// Sends the stream until it ends (`Ok`) or the session does.
    pub async fn publish(&mut self, mut connection: Outbound<N>, stream: u32) -> Result<(), Error> {
        let metadata = Metadata::SetDataFrame;
        connection.feed(Feed::new(self.log.clone(), self.join, stream, self.chunk_size, metadata));
        self.row.update(Status::session_began);
        let stream_name = self.row.status().stream.map(display);
        info!(destination = %self.row.name(), stream = stream_name, "destination live");
        let mut leaving = None;
        let ended = self.send(&mut connection, &mut leaving).await;
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
            Err(error @ Error::Reconnect(_)) => {
                connection.session.finish();
                connection.close_or_abort().await;
                Err(error)
            }
            Err(error) => {
                connection.abort();
                // It said that it would not last.
                Err(leaving.map_or(error, |leaving| Error::Reconnect(leaving.to)))
            }
        }
    }

    async fn send(&mut self, connection: &mut Outbound<N>, leaving: &mut Option<Leaving>) -> Result<(), Error> {
        let mut watch = Watch::default();
        let mut declined = false;
        let mut tick = interval(TICK);
        let mut last = (connection.sent(), Instant::now());
        let (log, stop) = (self.log.clone(), self.stop.clone());
        let over = async {
            log.ended().await;
            sleep(DRAIN).await;
        };
        tokio::pin!(over);
        loop {
            while let Some(event) = connection.event()? {
                match event {
                    Event::Ended(status) => return Err(Error::Kicked(status)),
                    Event::Refused(phase, status) => return Err(Error::Refused(phase, status)),
                    Event::Reconnect(Ok(to)) => _ = leaving.get_or_insert_with(|| Leaving::new(to, connection)),
                    // Said once, however often it asks.
                    Event::Reconnect(Err(error)) if !std::mem::replace(&mut declined, true) => {
                        warn!(destination = %self.row.name(), "the server asks for a connection that is not made: {error}");
                    }
                    Event::Reconnect(Err(_)) => {}
                    Event::Started(_) | Event::Message(_) => {}
                }
            }
            if let Some(leaving) = leaving.as_ref().filter(|leaving| leaving.is_due(connection)) {
                return Err(Error::Reconnect(leaving.to.clone()));
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
                _ = tick.tick() => {
                    if watch.has_stalled(connection) && !mutant!(NeverStalled) {
                        return Err(Error::Stalled);
                    }
                    let now = Instant::now();
                    if connection.sent() != last.0 {
                        last = (connection.sent(), now);
                    }
                    let trouble = match now - last.1 >= QUIET {
                        false => None,
                        true if mutant!(AlwaysLive) => None,
                        true if connection.is_blocked() => Some("the server takes nothing"),
                        true => Some("nothing comes from the encoder"),
                    };
                    let stats = connection.source(Feed::stats).unwrap_or_default();
                    self.advise(connection);
                    self.row.update(|s| {
                        s.count(last.0, stats);
                        s.unsent = connection.unsent();
                        let state = if trouble.is_some() { State::Degraded } else { State::Live };
                        s.enter(state, trouble.map(str::to_owned));
                    });
                }
            }
        }
    }

    /// Says what the server did not announce and is sent all the same: once, and again when it changes.
    fn advise(&self, connection: &Outbound<N>) {
        let begun = |feed: &Feed| (feed.starts() > 0).then(|| connection.session.unannounced(feed.needs()));
        let Some(unannounced) = connection.source(begun).flatten() else { return };
        if self.row.status().unannounced == unannounced {
            return;
        }
        if !unannounced.is_empty() {
            let what = unannounced.join(", ");
            warn!(destination = %self.row.name(), "the server did not announce {what}: sent all the same");
        }
        self.row.update(|s| s.unannounced = unannounced);
    }
}

/// A session whose server has asked for a new one. It goes on to the next key frame, with which the new one begins, so that
/// nothing is missing in between.
#[derive(Debug)]
struct Leaving {
    to: Url,
    starts: u64,
    due: Instant,
}

impl Leaving {
    fn new<S: Stream>(to: Url, connection: &Connection<S, ClientSession, Feed>) -> Self {
        let starts = connection.source(Feed::starts).unwrap_or_default();
        Leaving { to, starts, due: Instant::now() + RECONNECT_WAIT }
    }

    fn is_due<S: Stream>(&self, connection: &Connection<S, ClientSession, Feed>) -> bool {
        connection.source(Feed::starts).is_some_and(|starts| starts > self.starts) || Instant::now() >= self.due
    }
}

/// A panic is our bug, and this attempt's alone: there will be another one.
async fn caught<T>(attempt: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let mut attempt = pin!(attempt);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Err(Error::Panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_a_failed_attempt() {
        let attempt = async {
            tokio::task::yield_now().await;
            panic!("as this test wants");
        };
        let failed: Result<(), Error> = caught(attempt).await;
        assert!(matches!(failed, Err(Error::Panicked)));
        assert!(matches!(caught(async { Ok(7) }).await, Ok(7)));
    }
}
