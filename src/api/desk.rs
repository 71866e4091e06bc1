//! The desk: what a call has at hand. Snapshots of the relay, a way to give it orders, and the time.

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::sync::{Mutex, Semaphore};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::events::Stage;
use crate::config::Config;
use crate::config::keeper::Keeper;
use crate::destination::Board;
use crate::inbound::Visitors;
use crate::journal::Journal;
use crate::limits::API_WATCHERS;
use crate::net::Network;
use crate::recorder;
use crate::relay::{Control, Present, Relay};
use crate::stream::Directory;

/// What a call has at hand.
pub(super) struct Desk {
    pub(super) directory: Arc<Directory>,
    pub(super) visitors: Arc<Visitors>,
    pub(super) board: Board,
    pub(super) recordings: recorder::Board,
    pub(super) journal: Journal,
    pub(super) control: Control,
    /// Who writes into the configuration file, if there is one …
    pub(super) keeper: Option<Keeper>,
    /// … for one caller at a time.
    pub(super) writing: Mutex<()>,
    present: Present,
    /// Where the relay listens.
    pub(super) rtmp: SocketAddr,
    /// Where it listens for TLS, if it does.
    pub(super) rtmps: Option<SocketAddr>,
    /// Where the API listens.
    pub(super) address: SocketAddr,
    pub(super) began: Instant,
    /// Set once it runs, cancelled when the relay is told to stop.
    pub(super) stopping: OnceLock<CancellationToken>,
    /// What those are shown who are told of changes …
    pub(super) stage: Stage,
    /// … and room for so many of them.
    pub(super) watchers: Arc<Semaphore>,
    clock: Box<dyn Fn() -> SystemTime + Send + Sync>,
}

/// A moment on two clocks: the one that counts, and the one that people read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    counted: Instant,
    read: Timestamp,
}

impl Desk {
    pub(super) fn new<N: Network>(
        relay: &Relay<N>,
        keeper: Option<Keeper>,
        address: SocketAddr,
        clock: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> Self {
        Desk {
            directory: relay.directory().clone(),
            visitors: relay.visitors().clone(),
            board: relay.board().clone(),
            recordings: relay.recordings().clone(),
            journal: relay.journal().clone(),
            control: relay.control(),
            keeper,
            writing: Mutex::default(),
            present: relay.present().clone(),
            rtmp: relay.address(),
            rtmps: relay.tls_address(),
            address,
            began: Instant::now(),
            stopping: OnceLock::new(),
            stage: Stage::default(),
            watchers: Arc::new(Semaphore::new(API_WATCHERS)),
            clock: Box::new(clock),
        }
    }

    /// The configuration in force.
    pub(super) fn present(&self) -> Arc<Config> {
        self.present.load_full()
    }

    /// Whether the relay serves, and has not been told to stop.
    pub(super) fn is_ready(&self) -> bool {
        self.stopping.get().is_some_and(|stopping| !stopping.is_cancelled())
    }

    /// Now. A clock that is centuries off is told as it can be.
    pub(super) fn now(&self) -> Moment {
        Moment { counted: Instant::now(), read: Timestamp::try_from((self.clock)()).unwrap_or_default() }
    }
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Moment {
    /// When something was, or will be, that has been counted: RFC 3339, UTC, to the millisecond.
    pub(super) fn at(&self, instant: Instant) -> String {
        let (ahead, ago) =
            (instant.saturating_duration_since(self.counted), self.counted.saturating_duration_since(instant));
        let time = self.read.saturating_add(ahead).and_then(|time| time.saturating_sub(ago)).unwrap_or(self.read);
        time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
    }

    /// Seconds since then.
    pub(super) fn since(&self, instant: Instant) -> f64 {
        seconds(self.counted.saturating_duration_since(instant))
    }

    /// Seconds until then.
    pub(super) fn until(&self, instant: Instant) -> f64 {
        seconds(instant.saturating_duration_since(self.counted))
    }
}

/// Seconds, to the millisecond.
pub(super) fn seconds(duration: Duration) -> f64 {
    duration.as_millis() as f64 / 1000.0
}
