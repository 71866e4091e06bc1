//! A destination: a server that we publish a stream to, again and again until it takes it.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼                                              │ backoff, for ever
//!       connecting ─► live ⇄ degraded ─► lost or refused ───┘
//!                      └─ the stream ends ─► draining ─► (gone)
//! ```
//! A task each; it shares nothing with the others but the log, and nobody waits for it.

use std::future::{pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub mod approach;
mod attempt;
pub mod bitrate;
pub mod board;
pub mod class;
pub mod error;
mod fitness;
mod reach;
pub mod refusal;
pub mod servers;
mod session;
pub mod settings;
pub mod status;
pub mod target;
mod told;
mod trail;

pub use approach::Approach;
pub use bitrate::Meter;
pub use board::{Board, Row};
pub use class::Class;
pub use error::Error;
pub use refusal::Refusal;
pub use servers::Server;
pub use settings::Settings;
pub use status::{State, Status};
pub use target::Template;

use fitness::Fitness;
use servers::{Probe, Turns};

use crate::backoff::Backoff;
use crate::feed::Feed;
use crate::limits::{BACKUP_AFTER, DISLIKE, DROPS};
use crate::net::tls::{Trust, Wire};
use crate::net::{Connection, Network};
use crate::rtmp;
use crate::rtmp::capabilities::Announce;
use crate::rtmp::client::ClientSession;
use crate::rtmp::session::Phase;
use crate::stream::{Join, Log};

/// Publishing has to go well for this long before a failure counts as the first again.
const STABLE: Duration = Duration::from_secs(10);

/// A stream on its way to one server.
#[derive(Debug)]
pub struct Destination<N> {
    /// The way out.
    pub net: N,
    /// The server, and the stream's place there.
    pub server: Server,
    /// Another one, that takes its place while it fails.
    pub backup: Option<Server>,
    /// How it proves to be who it is, if that is asked of it.
    pub trust: Trust,
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
    /// Where its state is shown.
    pub row: Row,
    /// Handshakes and jitter.
    pub random: fastrand::Rng,
}

impl<N> Destination<N> {
    /// What a server said, without what it knows of us.
    fn refusal(&self, phase: Phase, status: &rtmp::command::Status) -> Refusal {
        Refusal::at(&self.server.url, &self.server.name, phase, status)
    }
}

/// A stream's name at a server is one place: two of us there at once are two encoders to the server, and it refuses one or
/// mixes them up.
pub type Place = Arc<tokio::sync::Mutex<()>>;

/// An outbound connection: a client's session and its feed.
pub type Outbound<N> = Connection<Wire<<N as Network>::Stream>, ClientSession, Feed>;

/// Ends when the primary server is there again; never, where it has not been left.
type Recalled = Pin<Box<dyn Future<Output = ()> + Send>>;

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
        // Until the session before it has ended, the row says how that one fares.
        let mut turns = tokio::select! {
            biased;
            () = over() => return,
            turns = Turns::begin(self.server.clone(), self.backup.clone()) => turns,
        };
        let (mut said, mut drops) = (String::new(), 0);
        self.row.update(Status::stream_began);
        loop {
            self.server = turns.server().clone();
            let recalled: Recalled = match turns.at_backup() {
                true => Box::pin(self.probe(turns.primary()).steady()),
                false => Box::pin(pending()),
            };
            // Until it is live, the end of the stream ends an attempt at once; from then on the feed tells it.
            let connected = tokio::select! {
                biased;
                () = over() => return,
                connected = caught(self.attempt(&mut approach, turns.at_backup())) => connected,
            };
            let ended = match connected {
                Err(error) => Err(error),
                Ok((connection, message_stream)) => {
                    let since = Instant::now();
                    said.clear();
                    let ended = caught(self.publish_until(connection, message_stream, recalled)).await;
                    if since.elapsed() >= STABLE {
                        backoff.reset();
                        approach.went_well();
                        turns.went_well();
                    }
                    drops = if since.elapsed() < DISLIKE { drops + 1 } else { 0 };
                    ended.map_err(|error| if drops >= DROPS { error.again_and_again() } else { error })
                }
            };
            let Err(mut error) = ended else { return };
            if approach.learn(&error) {
                info!(destination = %self.row.name(), "the server asks for a new connection");
                self.row.update(|s| s.session_lost(status::REQUESTED));
                continue;
            }
            if matches!(error, Error::PrimaryIsBack) {
                self.row.update(|s| s.session_lost(status::PRIMARY_IS_BACK));
                turns.home();
                approach = Approach::new(Announce::Reconnecting);
                continue;
            }
            let class = error.class();
            if turns.failed(class) {
                let at = if turns.at_backup() { "backup" } else { "primary" };
                warn!(destination = %self.row.name(), "{BACKUP_AFTER} failures in a row: the {at} server is tried");
                approach = Approach::new(Announce::Reconnecting);
            }
            let wait =
                backoff.next(class.cap(self.settings.reconnect.max)) * if mutant!(WaitsTooLong) { 10 } else { 1 };
            if mutant!(OneEndsAll) {
                log.end();
            }
            if mutant!(GivesUp) && self.row.status().attempts > 3 {
                return;
            }
            error.forget(&self.server.name);
            let text = error.explain();
            // Said once, and again when it changes: a server can be away all night.
            if said != text {
                let (name, advice) = (self.row.name(), class.advice());
                warn!(destination = %name, class = %class, retry_in = ?wait, advice, "destination lost: {text}");
                said.clone_from(&text);
            }
            let unfit = error.is_the_streams();
            if let Error::NotTaken(advice) = error {
                self.show(advice);
            }
            self.row.update(|s| s.failed(class, text, (!unfit).then_some(wait)));
            tokio::select! {
                biased;
                () = over() => return,
                () = self.retry.notified() => backoff.reset(),
                () = self.pause(unfit, wait) => {}
            }
        }
    }
}

impl<N: Network> Destination<N> {
    /// One attempt, if the stream is one for this destination.
    async fn attempt(&mut self, approach: &mut Approach, backup: bool) -> Result<(Outbound<N>, u32), Error> {
        self.judge().await?;
        self.row.update(|s| {
            s.enter(State::Connecting, None);
            s.attempts += 1;
            s.backup = backup;
        });
        self.connect(approach).await
    }

    /// Waits for the next attempt: for a while, or until the stream is one for this destination again.
    async fn pause(&self, unfit: bool, wait: Duration) {
        match unfit {
            true => Fitness::new(self.settings).regained(&self.log).await,
            false => sleep(wait).await,
        }
    }

    /// Looks at the primary server while the stream is sent to the backup.
    fn probe(&mut self, primary: &Server) -> Probe<N> {
        Probe {
            net: self.net.clone(),
            url: primary.url.clone(),
            trust: self.trust.clone(),
            patience: self.settings.timeouts.connect,
            public_only: self.settings.public_only,
            random: self.random.fork(),
        }
    }
}

/// A panic is our bug, and this attempt's alone: there will be another one.
fn caught<T>(attempt: impl Future<Output = Result<T, Error>>) -> impl Future<Output = Result<T, Error>> {
    // In a box, as is what recalls it: each future that something is handed on through by value keeps room for it.
    let mut attempt = Box::pin(attempt);
    poll_fn(move |cx| match catch_unwind(AssertUnwindSafe(|| attempt.as_mut().poll(cx))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Err(Error::Panicked)),
    })
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
