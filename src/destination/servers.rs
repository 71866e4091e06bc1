//! The servers of a destination: the primary one, and one that takes its place while it fails.
//!
//! ```text
//!            three failures in a row
//!  primary ─────────────────────────► backup
//!     ▲                                 │
//!     └── three failures in a row, or ──┘
//!         the primary has answered for a minute
//! ```

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::time::{Instant, sleep, timeout};
use tracing::info;

use super::approach::is_internal;
use super::reach::reach;
use super::{Class, Error, Place, State};
use crate::limits::{BACKUP_AFTER, PRIMARY_LOOK, PRIMARY_STEADY};
use crate::net::connection::NoSource;
use crate::net::tls::Trust;
use crate::net::{Connection, Network, connection};
use crate::rtmp::Secret;
use crate::rtmp::client::{ClientSession, Target};
use crate::rtmp::handshake;
use crate::rtmp::server::Role;
use crate::rtmp::session::{Phase, Session};
use crate::rtmp::url::Url;

/// One server, and the stream's place there.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is.
    pub url: Url,
    /// The stream's name there, mostly a key.
    pub name: Secret,
    /// Whoever sends there holds this until the server has been left.
    pub place: Place,
}

/// Which one has its turn. It holds the place there.
#[derive(Debug)]
pub(super) struct Turns {
    primary: Server,
    backup: Option<Server>,
    at_backup: bool,
    failures: usize,
    held: OwnedMutexGuard<()>,
}

impl Turns {
    /// The primary's, once nobody else of us is there.
    pub(super) async fn begin(primary: Server, backup: Option<Server>) -> Self {
        let place = if mutant!(TwoAtOnce) { Place::default() } else { primary.place.clone() };
        let held = place.lock_owned().await;
        Turns { primary, backup, at_backup: false, failures: 0, held }
    }

    /// Whose turn it is.
    pub(super) fn server(&self) -> &Server {
        self.backup.as_ref().filter(|_| self.at_backup).unwrap_or(&self.primary)
    }

    /// The one that comes first.
    pub(super) fn primary(&self) -> &Server {
        &self.primary
    }

    /// Whether it is the backup's.
    pub(super) fn at_backup(&self) -> bool {
        self.at_backup
    }

    /// All has gone well for a while.
    pub(super) fn went_well(&mut self) {
        self.failures = 0;
    }

    /// An attempt or a session has failed. True if it is the other one's turn now.
    pub(super) fn failed(&mut self, class: Class) -> bool {
        // What is wrong with the stream is wrong everywhere.
        self.failures += usize::from(class.state() != State::Blocked);
        self.failures >= BACKUP_AFTER && self.change()
    }

    /// The primary is there again.
    pub(super) fn home(&mut self) {
        if self.at_backup {
            self.change();
        }
    }

    /// The other one's turn, unless there is none or another of us is there: two at once would be two encoders to it.
    fn change(&mut self) -> bool {
        let other = if self.at_backup { Some(&self.primary) } else { self.backup.as_ref() };
        let Some(held) = other.and_then(|other| other.place.clone().try_lock_owned().ok()) else { return false };
        (self.held, self.at_backup, self.failures) = (held, !self.at_backup, 0);
        true
    }
}

/// Looks whether a server is there, without telling it who we are or what for.
#[derive(Debug)]
pub(super) struct Probe<N> {
    pub(super) net: N,
    pub(super) url: Url,
    pub(super) trust: Trust,
    pub(super) patience: Duration,
    pub(super) public_only: bool,
    pub(super) random: fastrand::Rng,
}

impl<N: Network> Probe<N> {
    /// Waits until it has been there for a while.
    pub(super) async fn steady(mut self) {
        let mut since = None;
        loop {
            sleep(PRIMARY_LOOK).await;
            if self.answers().await.is_err() {
                since = None;
            } else if since.get_or_insert_with(Instant::now).elapsed() >= PRIMARY_STEADY {
                return info!(host = %self.url.host, "the primary server has been there for a while");
            }
        }
    }

    /// Name, TCP, TLS and RTMP's handshake; nothing after it.
    async fn answers(&mut self) -> Result<(), Error> {
        let may_go = |address: &SocketAddr| !self.public_only || !is_internal(address.ip());
        let (_, stream) = reach(&self.net, &self.url, &self.trust, self.patience, may_go).await?;
        let nobody = Secret::from(String::new());
        let target =
            Target { role: Role::Publish, url: self.url.clone(), name: nobody, agent: String::new(), chunk_size: 128 };
        let session = ClientSession::new(target, &handshake::random(self.random.u64(..))).rehearsing();
        let mut connection: Connection<_, _, NoSource> = Connection::new(stream, session);
        let shaken = async {
            while connection.session.phase() == Phase::Handshake {
                connection.event()?;
                connection.receive().await?;
            }
            Ok::<_, connection::Error>(())
        };
        let late = |_| connection::Error::TimedOut { phase: Phase::Handshake };
        timeout(self.patience, shaken).await.map_err(late)??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str) -> Server {
        let url = Url::parse(&format!("rtmp://{host}/app")).expect("a URL");
        Server { url, name: "key".to_owned().into(), place: Place::default() }
    }

    async fn turns(backup: Option<Server>) -> Turns {
        Turns::begin(server("primary"), backup).await
    }

    #[tokio::test]
    async fn three_failures_in_a_row_are_the_other_ones_turn() {
        let mut turns = turns(Some(server("backup"))).await;
        let failures = |turns: &mut Turns, count| (0..count).filter(|_| turns.failed(Class::Network)).count();
        assert_eq!(failures(&mut turns, BACKUP_AFTER - 1), 0);
        turns.went_well();
        assert_eq!(failures(&mut turns, BACKUP_AFTER - 1), 0, "not in a row");
        assert!(turns.failed(Class::Network) && turns.at_backup());
        assert_eq!(turns.server().url.host, "backup");
        assert_eq!(failures(&mut turns, BACKUP_AFTER), 1);
        assert_eq!(turns.server().url.host, "primary");
        assert_eq!((0..9).filter(|_| turns.failed(Class::TooMuch)).count(), 0, "the stream's fault");
    }

    #[tokio::test]
    async fn without_a_backup_or_where_another_of_us_is_there_it_stays_where_it_is() {
        let mut alone = turns(None).await;
        assert!((0..9).all(|_| !alone.failed(Class::Network)));
        let backup = server("backup");
        let other = backup.place.clone().lock_owned().await;
        let mut both = turns(Some(backup)).await;
        assert!((0..9).all(|_| !both.failed(Class::Network)));
        drop(other);
        assert!(both.failed(Class::Network));
    }

    #[tokio::test]
    async fn the_place_that_is_left_is_free_and_the_one_that_is_taken_is_not() {
        let (primary, backup) = (server("primary"), server("backup"));
        let (first, second) = (primary.place.clone(), backup.place.clone());
        let mut turns = Turns::begin(primary, Some(backup)).await;
        assert!(first.try_lock().is_err() && second.try_lock().is_ok());
        assert!((0..BACKUP_AFTER).any(|_| turns.failed(Class::Network)));
        assert!(first.try_lock().is_ok() && second.try_lock().is_err());
        turns.home();
        assert!(first.try_lock().is_err() && second.try_lock().is_ok());
    }
}
