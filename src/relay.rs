//! A relay: its listener, its streams, their destinations and recordings, and their end. The one place that knows them all.
//!
//! ```text
//!  listener ─► inbound ─► ingest ─► log ◄─ player
//!                                    ▲ ▲
//!    Relay::reconcile ──── destination recorder      (a task each, all of them in the relay's JoinSet)
//! ```

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{self, Config};
use crate::destination::{self, Board, Destination, Place, Row};
use crate::inbound::{self, House, Visitors};
use crate::limits::ACCEPT_REST;
use crate::net::{Listener, Network};
use crate::rtmp::server::Role;
use crate::stream::{Directory, Log, Name};
use crate::{ingest, player, recorder};

/// After the word to stop, goodbyes and files have this long.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What this relay calls itself as a client. Encoders' words first: some servers look at them.
const AGENT: &str = concat!("FMLE/3.0 (compatible; rtmp-relay/", env!("CARGO_PKG_VERSION"), "; ");

/// A relay that listens and does not serve yet.
#[derive(Debug)]
pub struct Relay<N: Network> {
    net: N,
    config: Config,
    listener: N::Listener,
    address: SocketAddr,
    house: House,
    board: Board,
    random: fastrand::Rng,
    tasks: JoinSet<()>,
    /// Which stream is being sent and recorded.
    streams: BTreeMap<Name, Assigned>,
    /// Places at servers: by destination, and by stream where each has its own.
    places: BTreeMap<(usize, Option<Name>), Place>,
}

/// Why a relay does not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its address.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the network said.
        #[source]
        source: io::Error,
    },
    /// Its configuration.
    #[error(transparent)]
    Config(#[from] config::Error),
}

/// What has been started for one stream.
#[derive(Debug)]
struct Assigned {
    log: Arc<Log>,
    /// Destinations it shares with an earlier stream, by number, with the rows that say so.
    blocked: BTreeMap<usize, Row>,
    sent: Vec<usize>,
}

impl<N: Network> Relay<N> {
    /// Listens, and serves once it runs.
    pub async fn bind(net: N, config: Config, mut random: fastrand::Rng) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address: config.listen, source };
        let listener = net.listen(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        config.check_circle(address)?;
        let board = Board::default();
        for (number, route) in config.destinations.iter().enumerate() {
            board.add(number, &route.name);
        }
        let house = House {
            directory: Directory::new(config.log),
            visitors: Visitors::new(config.visitors),
            identity: random.u64(..),
            stop: CancellationToken::new(),
        };
        let (tasks, streams, places) = (JoinSet::new(), BTreeMap::new(), BTreeMap::new());
        Ok(Relay { net, config, listener, address, house, board, random, tasks, streams, places })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its streams.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.house.directory
    }

    /// Who is connected to it.
    pub fn visitors(&self) -> &Arc<Visitors> {
        &self.house.visitors
    }

    /// The statuses of its destinations.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// Serves until `shutdown`, then says its goodbyes.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let directory = self.house.directory.clone();
        let mut expiry: Option<Instant> = None;
        let mut rest: Option<Instant> = None;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.tasks.join_next() => report(ended),
                () = directory.changed() => self.reconcile(),
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => rest = None,
                accepted = self.listener.accept(), if rest.is_none() => match accepted {
                    Ok((stream, peer)) => self.serve(stream, peer),
                    Err(error) => {
                        warn!("cannot accept a connection: {error}");
                        rest = Some(Instant::now() + ACCEPT_REST);
                    }
                },
            }
            expiry = directory.expire(self.config.grace);
        }
        info!("stopping");
        drop(self.listener);
        // The streams end, and with them, cleanly, their destinations, players and recordings.
        self.house.stop.cancel();
        for (_, log) in directory.live() {
            log.end();
        }
        let farewell = async {
            while let Some(ended) = self.tasks.join_next().await {
                report(ended);
            }
        };
        let _ = timeout(SHUTDOWN, farewell).await;
    }

    fn serve(&mut self, stream: N::Stream, peer: SocketAddr) {
        let Some(pass) = self.house.visitors.admit(peer) else { return };
        let (house, seed) = (self.house.clone(), self.random.u64(..));
        self.net.spawn(&mut self.tasks, async move {
            let served = async {
                let asked = tokio::select! {
                    biased;
                    () = house.stop.cancelled() => return Ok(()),
                    asked = inbound::ask(stream, peer, seed) => asked?,
                };
                match asked.request.role {
                    Role::Publish => ingest::serve(asked, &house).await,
                    Role::Play => player::serve(asked, &house).await,
                }
            };
            pass.leave(served.await);
        });
    }

    /// Gives every stream its destinations and recording, and takes them back from those that have ended.
    fn reconcile(&mut self) {
        let live = self.house.directory.live();
        self.streams.retain(|name, assigned| live.iter().any(|(n, log)| n == name && Arc::ptr_eq(log, &assigned.log)));
        for (name, log) in live {
            if !self.streams.contains_key(&name) {
                let assigned = Assigned { log: log.clone(), blocked: BTreeMap::new(), sent: Vec::new() };
                self.streams.insert(name.clone(), assigned);
                self.record(&name, &log);
            }
            for number in 0..self.config.destinations.len() {
                self.assign(number, &name, &log);
            }
        }
    }

    /// Sends a stream to a destination, unless it is sent there already or somebody else's key is in the way.
    fn assign(&mut self, number: usize, name: &Name, log: &Arc<Log>) {
        let route = &self.config.destinations[number];
        let holder =
            self.streams.iter().find(|(_, assigned)| assigned.sent.contains(&number)).map(|(holder, _)| holder.clone());
        let Some(assigned) = self.streams.get_mut(name).filter(|assigned| !assigned.sent.contains(&number)) else {
            return;
        };
        if let Some(holder) = holder.filter(|_| !route.url.varies()) {
            let row = assigned.blocked.entry(number).or_insert_with(|| self.board.claim(number, &route.name, name));
            return row.block(format!("key in use by {holder}"));
        }
        let row = assigned.blocked.remove(&number).unwrap_or_else(|| self.board.claim(number, &route.name, name));
        let (url, key) = match route.url.resolve(name) {
            Ok(resolved) => resolved,
            Err(error) => {
                row.block(format!("its URL does not fit this stream: {error}"));
                assigned.blocked.insert(number, row);
                return;
            }
        };
        assigned.sent.push(number);
        self.places.retain(|_, place| Arc::strong_count(place) > 1);
        let place = self.places.entry((number, route.url.varies().then(|| name.clone()))).or_default().clone();
        let destination = Destination {
            net: self.net.clone(),
            url,
            name: key,
            chunk_size: self.config.chunk_size,
            agent: format!("{AGENT}{})", log.hops().and(self.house.identity)),
            log: log.clone(),
            join: destination::JOIN,
            place,
            row,
            random: self.random.fork(),
        };
        self.net.spawn(&mut self.tasks, destination.run());
    }

    fn record(&mut self, name: &Name, log: &Arc<Log>) {
        if let Some(folder) = self.config.record_dir.clone() {
            let recorder = recorder::Recorder::new(self.net.clone(), folder, name, log.clone());
            self.net.spawn(&mut self.tasks, recorder.run());
        }
    }
}

/// The end of a task. A panic is a bug; it has ended that one connection and nothing else.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(failed) = ended
        && failed.is_panic()
    {
        error!("a task has panicked: {failed}");
    }
}
