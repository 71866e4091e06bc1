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
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub mod approach;
mod attempt;
pub mod bitrate;
pub mod board;
pub mod class;
pub mod error;
pub mod refusal;
mod session;
pub mod settings;
pub mod status;
pub mod target;

pub use approach::Approach;
pub use bitrate::Meter;
pub use board::{Board, Row};
pub use class::Class;
pub use error::Error;
pub use refusal::Refusal;
pub use settings::Settings;
pub use status::{State, Status};
pub use target::Template;

use crate::backoff::Backoff;
use crate::feed::Feed;
use crate::net::tls::{Trust, Wire};
use crate::net::watch::TICK;
use crate::net::{Connection, Network};
use crate::rtmp::capabilities::Announce;
use crate::rtmp::client::ClientSession;
use crate::rtmp::session::Phase;
use crate::rtmp::url::Url;
use crate::rtmp::{self, Secret};
use crate::stream::{Join, Log};

/// Publishing has to go well for this long before a failure counts as the first again.
const STABLE: Duration = Duration::from_secs(10);

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
    /// How it is sent there.
    pub settings: Settings,
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

impl<N> Destination<N> {
    /// What a server said, without what it knows of us.
    fn refusal(&self, phase: Phase, status: &rtmp::command::Status) -> Refusal {
        Refusal::at(&self.url, &self.name, phase, status)
    }
}

/// A stream's name at a server is one place: two of us there at once are two encoders to the server, and it refuses one or
/// mixes them up.
pub type Place = Arc<tokio::sync::Mutex<()>>;

/// An outbound connection: a client's session and its feed.
pub type Outbound<N> = Connection<Wire<<N as Network>::Stream>, ClientSession, Feed>;

impl<N: Network> Destination<N> {
    /// Publishes the stream until it ends.
    pub async fn run(mut self) {
        let mut backoff = Backoff::new(self.settings.reconnect.initial, self.random.fork());
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
            let wait =
                backoff.next(class.cap(self.settings.reconnect.max)) * if mutant!(WaitsTooLong) { 10 } else { 1 };
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
                let (name, advice) = (self.row.name(), class.advice());
                warn!(destination = %name, class = %class, retry_in = ?wait, advice, "destination lost: {text}");
                said.clone_from(&text);
            }
            let too_much = matches!(error, Error::TooMuch { .. });
            self.row.update(|s| s.failed(class, text, (!too_much).then_some(wait)));
            tokio::select! {
                biased;
                () = over() => return,
                () = self.retry.notified() => backoff.reset(),
                () = self.pause(&error, wait) => {}
            }
        }
    }
}

impl<N: Network> Destination<N> {
    /// Waits for the next attempt: for a while, or until the stream is one for this server again.
    async fn pause(&self, error: &Error, wait: Duration) {
        let Error::TooMuch { limit, .. } = error else { return sleep(wait).await };
        let (mut meter, mut tick) = (Meter::default(), interval(TICK));
        loop {
            tick.tick().await;
            meter.look(self.log.appended());
            if meter.over(bitrate::NOTED).is_some_and(|rate| rate <= *limit) {
                return;
            }
        }
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
