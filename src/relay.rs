//! A relay: its listener, its streams, their destinations and recordings, and their end. The one place that knows them all.
//!
//! ```text
//!  listener ─► inbound ─► ingest ─► log ◄─ player
//!                                    ▲ ▲
//!    Relay::reconcile ──── destination recorder      (a task each, all of them in the relay's JoinSet)
//! ```
//! What should be sent where follows from the configuration and the streams there are; `reconcile` makes it so, whichever of the
//! two has changed.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::config::{Circle, Config, Route};
use crate::destination::{self, Board, Destination, Place, Row, Server};
use crate::gate::Gate;
use crate::hook::{Hook, Post};
use crate::inbound::{self, House, Short, Visitors};
use crate::journal::{Code, Cursor, Event, Journal};
use crate::limits::{ACCEPT_REST, LAST_WORDS};
use crate::net::tls::{Entrance, Trust, Wire};
use crate::net::{Listener, Network, connection, tls};
use crate::recorder::{Recorder, Rule};
use crate::rtmp::Secret;
use crate::rtmp::server::Role;
use crate::rtmp::url::Url;
use crate::stream::{Directory, Join, Log, Name};
use crate::{ingest, player, recorder};

/// After the word to stop, goodbyes and files have this long.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// What this relay calls itself as a client. Encoders' words first: some servers look at them.
const AGENT: &str = concat!("FMLE/3.0 (compatible; rtmp-relay/", env!("CARGO_PKG_VERSION"), "; ");

/// Orders to a relay that may wait for it.
const ORDERS: usize = 16;

/// The configuration in force, for whoever wants to see it.
pub type Present = Arc<ArcSwap<Config>>;

/// A relay that listens and does not serve yet.
#[derive(Debug)]
pub struct Relay<N: Network> {
    net: N,
    config: Arc<Config>,
    present: Present,
    listener: N::Listener,
    address: SocketAddr,
    secure: Option<Secure<N::Listener>>,
    house: House,
    gate: Arc<Gate<N>>,
    board: Board,
    random: fastrand::Rng,
    tasks: JoinSet<()>,
    /// What is sent where: by destination and stream.
    assignments: BTreeMap<(String, Name), Assignment>,
    /// What is recorded, by rule and stream.
    recorded: BTreeMap<(String, Name), Recording>,
    recordings: recorder::Board,
    /// Who is told what happens, each with a way to end that.
    hooks: Vec<(Hook, CancellationToken)>,
    /// Those who read the journal: they end last.
    readers: JoinSet<()>,
    /// Places at servers, by server and key.
    places: BTreeMap<(Url, Secret), Place>,
    control: Control,
    orders: mpsc::Receiver<Order>,
}

/// Where encoders and players come in through TLS.
#[derive(Debug)]
struct Secure<L> {
    listener: L,
    address: SocketAddr,
    entrance: Entrance,
}

/// Changes a running relay. Orders are carried out one after the other, each at once.
#[derive(Debug, Clone)]
pub struct Control(mpsc::Sender<Order>);

type Order = Box<dyn FnOnce(&mut dyn Ordered) + Send>;

/// What an order sees of a relay.
trait Ordered {
    fn config(&self) -> &Config;
    fn apply(&mut self, config: Config) -> Result<Changes, Circle>;
    fn retry(&mut self, destination: &str) -> bool;
}

/// What another configuration has changed, by names of destinations, and of recordings as `recording name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those with another URL, key or setting.
    pub changed: Vec<String>,
    /// How many go on undisturbed.
    pub unchanged: usize,
    /// The certificate that new connections are shown is another one.
    pub certificate: bool,
    /// Others are told what happens, or they are told otherwise.
    pub hooks: bool,
    /// What takes effect at the next start only.
    pub at_restart: Vec<&'static str>,
}

/// Why a configuration is not applied. The one before it goes on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unapplied<E = Infallible> {
    /// It does not fit this relay.
    #[error(transparent)]
    Circle(#[from] Circle),
    /// The one in force cannot be changed like this.
    #[error("{0}")]
    Unfit(E),
    /// There is no relay any more.
    #[error("the relay has ended")]
    Ended,
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
    /// A destination is this relay.
    #[error(transparent)]
    Circle(#[from] Circle),
    /// Its certificate.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// A stream that is meant for a destination.
#[derive(Debug)]
enum Assignment {
    Sent {
        way: Box<Way>,
        log: Arc<Log>,
        stop: CancellationToken,
        retry: Arc<Notify>,
    },
    /// It cannot be sent as things are; the row says why.
    Blocked(Row),
}

/// A stream that is recorded by a rule.
#[derive(Debug)]
struct Recording {
    rule: Rule,
    log: Arc<Log>,
    stop: CancellationToken,
}

/// How a stream is sent to a server. A difference here needs another session.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Way {
    url: Url,
    name: Secret,
    backup: Option<(Url, Secret)>,
    trust: Trust,
    settings: destination::Settings,
}

impl Control {
    /// Has another configuration applied. Destinations that are the same in both are not touched.
    pub async fn apply(&self, config: Config) -> Result<Changes, Unapplied> {
        self.change(|present| {
            *present = config;
            Ok(())
        })
        .await
    }

    /// Has the configuration in force changed. Nobody else changes it meanwhile.
    pub async fn change<E: Send + 'static>(
        &self,
        edit: impl FnOnce(&mut Config) -> Result<(), E> + Send + 'static,
    ) -> Result<Changes, Unapplied<E>> {
        let order = |relay: &mut dyn Ordered| {
            let mut config = relay.config().clone();
            edit(&mut config).map_err(Unapplied::Unfit)?;
            Ok(relay.apply(config)?)
        };
        self.order(order).await.unwrap_or(Err(Unapplied::Ended))
    }

    /// The configuration in force; none once the relay has ended.
    pub async fn config(&self) -> Option<Config> {
        self.order(|relay| relay.config().clone()).await
    }

    /// Has a destination that waits for its next attempt make it now. False if there is none of this name.
    pub async fn retry(&self, destination: String) -> bool {
        self.order(move |relay| relay.retry(&destination)).await.unwrap_or(false)
    }

    async fn order<T: Send + 'static>(&self, order: impl FnOnce(&mut dyn Ordered) -> T + Send + 'static) -> Option<T> {
        let (answer, answered) = oneshot::channel();
        let order: Order = Box::new(move |relay| _ = answer.send(order(relay)));
        self.0.send(order).await.ok()?;
        answered.await.ok()
    }
}

impl Changes {
    fn between(old: &Config, new: &Config) -> Self {
        let mut changes = Changes::default();
        let [before, after]: [BTreeMap<&str, &Route>; 2] =
            [old, new].map(|config| config.destinations.iter().map(|route| (&*route.name, route)).collect());
        for route in &new.destinations {
            match before.get(&*route.name) {
                None => changes.added.push(route.name.clone()),
                Some(before) if *before == route => changes.unchanged += 1,
                Some(_) => changes.changed.push(route.name.clone()),
            }
        }
        let gone = old.destinations.iter().filter(|route| !after.contains_key(&*route.name));
        changes.removed = gone.map(|route| route.name.clone()).collect();
        let rule = |config: &Config, name: &str| config.recordings.iter().find(|rule| rule.name == name).cloned();
        for recording in new.recordings.iter().filter(|rule| !old.recordings.contains(rule)) {
            let known = rule(old, &recording.name).is_some();
            let list = if known { &mut changes.changed } else { &mut changes.added };
            list.push(format!("recording {}", recording.name));
        }
        let gone = old.recordings.iter().filter(|recording| rule(new, &recording.name).is_none());
        changes.removed.extend(gone.map(|recording| format!("recording {}", recording.name)));
        let identity = |config: &Config| config.tls.as_ref().map(|tls| tls.identity.clone());
        changes.certificate = old.tls.is_some() && new.tls.is_some() && identity(old) != identity(new);
        changes.hooks = old.hooks != new.hooks;
        let tls_listen = |config: &Config| config.tls.as_ref().map(|tls| tls.listen);
        changes.at_restart = [
            ("listen", old.listen != new.listen),
            ("tls_listen", tls_listen(old) != tls_listen(new)),
            ("api_listen", old.api.listen != new.api.listen),
            ("the log's limits", old.log != new.log),
        ]
        .into_iter()
        .filter_map(|(what, differs)| differs.then_some(what))
        .collect();
        changes
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, names) in [("added", &self.added), ("removed", &self.removed), ("changed", &self.changed)] {
            if !names.is_empty() {
                write!(f, "{what} {}; ", names.join(", "))?;
            }
        }
        if self.certificate {
            f.write_str("new connections are shown another certificate; ")?;
        }
        if self.hooks {
            f.write_str("webhooks or commands changed; ")?;
        }
        write!(f, "{} destinations unchanged", self.unchanged)?;
        for what in &self.at_restart {
            write!(f, "; {what} changes at the next start only")?;
        }
        Ok(())
    }
}

impl<N: Network> Relay<N> {
    /// Listens, and serves once it runs.
    pub async fn bind(net: N, config: Config, mut random: fastrand::Rng) -> Result<Self, Error> {
        let (listener, address) = listen(&net, config.listen).await?;
        config.check_circle(address)?;
        let gate = Arc::new(Gate::new(net.clone(), config.gate.clone()));
        let mut secure = None;
        if let Some(tls) = &config.tls {
            let entrance = Entrance::new(&net, tls.identity.clone())?;
            let (listener, address) = listen(&net, tls.listen).await?;
            config.check_circle(address)?;
            secure = Some(Secure { listener, address, entrance });
        }
        warn_of_oddities(&config);
        let time = net.clone();
        let journal = Journal::new(move || time.time_of_day());
        journal.append(Event::new(Code::RelayStarted));
        let (board, recordings) = (Board::new(journal.clone()), recorder::Board::new(journal.clone()));
        board.list(config.destinations.iter().map(|route| (&*route.name, route.enabled)));
        let house = House {
            directory: Directory::new(config.log),
            visitors: Visitors::new(config.visitors),
            journal,
            identity: random.u64(..),
            stop: CancellationToken::new(),
        };
        let config = Arc::new(config);
        let present = Arc::new(ArcSwap::new(config.clone()));
        let (control, orders) = mpsc::channel(ORDERS);
        let (assignments, recorded, hooks, readers, places) = Default::default();
        let (tasks, control) = (JoinSet::new(), Control(control));
        Ok(Relay {
            net,
            config,
            present,
            listener,
            address,
            secure,
            house,
            gate,
            board,
            random,
            tasks,
            assignments,
            recorded,
            recordings,
            hooks,
            readers,
            places,
            control,
            orders,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for TLS, if it does.
    pub fn tls_address(&self) -> Option<SocketAddr> {
        self.secure.as_ref().map(|secure| secure.address)
    }

    /// Its streams.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.house.directory
    }

    /// Who is connected to it.
    pub fn visitors(&self) -> &Arc<Visitors> {
        &self.house.visitors
    }

    /// Who may publish and play, which can be changed while it runs.
    pub fn gate(&self) -> &Arc<Gate<N>> {
        &self.gate
    }

    /// The statuses of its destinations.
    pub fn board(&self) -> &Board {
        &self.board
    }

    /// The statuses of its recordings.
    pub fn recordings(&self) -> &recorder::Board {
        &self.recordings
    }

    /// The configuration in force.
    pub fn present(&self) -> &Present {
        &self.present
    }

    /// What has happened to it.
    pub fn journal(&self) -> &Journal {
        &self.house.journal
    }

    /// A way to tell it another configuration while it runs.
    pub fn control(&self) -> Control {
        self.control.clone()
    }

    /// Serves until `shutdown`, then says its goodbyes.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let directory = self.house.directory.clone();
        let mut expiry: Option<Instant> = None;
        let mut rest: Option<Instant> = None;
        let journal = self.house.journal.clone();
        self.repair(&[]);
        self.attach(&journal.after(0));
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(ended) = self.tasks.join_next() => report(ended),
                Some(ended) = self.readers.join_next() => report(ended),
                () = directory.changed() => self.reconcile(recorder::FROM_THE_BEGINNING),
                Some(order) = self.orders.recv() => order(&mut self),
                () = sleep_until(expiry.unwrap_or_else(Instant::now)), if expiry.is_some() => {}
                () = sleep_until(rest.unwrap_or_else(Instant::now)), if rest.is_some() => rest = None,
                accepted = self.listener.accept(), if rest.is_none() => rest = self.accepted(accepted, None),
                (accepted, entrance) = at_entrance(self.secure.as_mut()), if rest.is_none() => {
                    rest = self.accepted(accepted, Some(entrance));
                }
            }
            let (over, next) = directory.expire(self.config.grace);
            for stream in over {
                let away = format!("the encoder has not come back within {:?}", self.config.grace);
                journal.append(Event::new(Code::PublishEnded).stream(&stream).because(away));
            }
            expiry = next;
        }
        info!("stopping");
        journal.append(Event::new(Code::RelayStopping));
        drop((self.listener, self.secure));
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
        // All that can happen has happened.
        journal.end();
        let told = async {
            while let Some(ended) = self.readers.join_next().await {
                report(ended);
            }
        };
        let _ = timeout(LAST_WORDS, told).await;
    }

    /// Serves who has come, and says until when to take nobody else.
    fn accepted(
        &mut self,
        accepted: io::Result<(N::Stream, SocketAddr)>,
        entrance: Option<Entrance>,
    ) -> Option<Instant> {
        match accepted {
            Ok((stream, peer)) => {
                self.serve(stream, peer, entrance);
                None
            }
            Err(error) => {
                warn!("cannot accept a connection: {error}");
                Some(Instant::now() + ACCEPT_REST)
            }
        }
    }

    fn serve(&mut self, stream: N::Stream, peer: SocketAddr, entrance: Option<Entrance>) {
        let Some(pass) = self.house.visitors.admit(peer, entrance.is_some()) else { return };
        let (house, gate, seed) = (self.house.clone(), self.gate.clone(), self.random.u64(..));
        self.net.spawn(&mut self.tasks, async move {
            let served = async {
                // In a box of its own, which those who play for hours need not hold; so is what a publisher needs.
                let asked = Box::pin(async {
                    let stream = match entrance {
                        Some(entrance) => entrance.accept(stream).await.map_err(connection::Error::from)?,
                        None => Wire::Plain(stream),
                    };
                    let asked = inbound::ask(stream, peer, seed).await?;
                    Ok::<_, Short>(inbound::admit(asked, &gate).await)
                });
                let answer = tokio::select! {
                    biased;
                    () = house.stop.cancelled() => return Ok(()),
                    answer = asked => answer?,
                };
                let admitted = match answer {
                    Ok(admitted) => admitted,
                    Err(refused) => return Err(Box::pin(refused.turn_away()).await),
                };
                match admitted.request.role {
                    Role::Publish => Box::pin(ingest::serve(admitted, &house, &pass)).await?,
                    Role::Play => player::serve(admitted, &house, &pass).await?,
                }
                Ok(())
            };
            let how = served.await;
            pass.leave(how);
        });
    }

    /// Sends every stream where it should go, and nothing anywhere else. Recordings that begin, begin as `join` says.
    fn reconcile(&mut self, join: Join) {
        let live = self.house.directory.live();
        let is_live = |name: &Name, log: &Arc<Log>| live.iter().any(|(n, l)| n == name && Arc::ptr_eq(l, log));
        let rules = &self.config.recordings;
        self.recorded.retain(|(_, stream), recording| {
            let wanted = rules.contains(&recording.rule);
            if !wanted {
                recording.stop.cancel();
            }
            // What is left of a stream that has ended is still written.
            wanted && is_live(stream, &recording.log)
        });
        let destinations = &self.config.destinations;
        let way = |destination: &str, stream: &Name| {
            let route = destinations.iter().find(|route| route.name == destination && route.enabled)?;
            route.of(stream)?.ok().map(|place| Way::new(route, stream, place))
        };
        self.assignments.retain(|(destination, stream), assignment| match assignment {
            // What is left of a stream that has ended is still sent.
            Assignment::Sent { log, .. } if !is_live(stream, log) => false,
            Assignment::Sent { way: present, .. } if way(destination, stream).as_ref() == Some(present) => true,
            Assignment::Sent { stop, .. } => {
                stop.cancel();
                false
            }
            Assignment::Blocked(_) => live.iter().any(|(name, _)| name == stream) && way(destination, stream).is_some(),
        });
        for (name, log) in &live {
            self.record(name, log, join);
            for number in 0..self.config.destinations.len() {
                self.assign(number, name, log);
            }
        }
    }

    /// Sends a stream to a destination that it is meant for, unless it is sent there already or another one has its key.
    fn assign(&mut self, number: usize, stream: &Name, log: &Arc<Log>) {
        let route = &self.config.destinations[number];
        let Some(resolved) = route.of(stream).filter(|_| route.enabled) else { return };
        let id = (route.name.clone(), stream.clone());
        let row = match self.assignments.remove(&id) {
            Some(sent @ Assignment::Sent { .. }) => {
                self.assignments.insert(id, sent);
                return;
            }
            Some(Assignment::Blocked(row)) => row,
            None => self.board.claim(&route.name, stream),
        };
        let way = match resolved {
            Ok(place) => Way::new(route, stream, place),
            Err(error) => {
                row.block(format!("its URL does not fit this stream: {error}"));
                self.assignments.insert(id, Assignment::Blocked(row));
                return;
            }
        };
        if let Some(holder) = self.holder(&way) {
            row.block(format!("key in use by {holder}"));
            self.assignments.insert(id, Assignment::Blocked(row));
            return;
        }
        self.places.retain(|_, place| Arc::strong_count(place) > 1);
        let mut server = |url: &Url, name: &Secret| {
            let place = self.places.entry((url.clone(), name.clone())).or_default().clone();
            Server { url: url.clone(), name: name.clone(), place }
        };
        let primary = server(&way.url, &way.name);
        let backup = way.backup.as_ref().map(|(url, name)| server(url, name));
        let (stop, retry) = (CancellationToken::new(), Arc::<Notify>::default());
        let destination = Destination {
            net: self.net.clone(),
            server: primary,
            backup,
            trust: way.trust.clone(),
            settings: way.settings,
            agent: format!("{AGENT}{})", log.hops().and(self.house.identity)),
            log: log.clone(),
            stop: stop.clone(),
            retry: retry.clone(),
            join: way.settings.join(),
            row,
            random: self.random.fork(),
        };
        self.net.spawn(&mut self.tasks, destination.run());
        self.assignments.insert(id, Assignment::Sent { way: Box::new(way), log: log.clone(), stop, retry });
    }

    /// The stream that is sent to the same place already.
    fn holder(&self, wanted: &Way) -> Option<&Name> {
        self.assignments.iter().find_map(|((_, stream), assignment)| match assignment {
            Assignment::Sent { way, .. } if way.url == wanted.url && way.name == wanted.name => Some(stream),
            _ => None,
        })
    }

    /// Records a stream by every rule that is for it, unless it is recorded already.
    fn record(&mut self, stream: &Name, log: &Arc<Log>, join: Join) {
        for rule in self.config.recordings.iter().filter(|rule| rule.is_for(stream)) {
            let Entry::Vacant(vacant) = self.recorded.entry((rule.name.clone(), stream.clone())) else { continue };
            let (stop, row) = (CancellationToken::new(), self.recordings.add(&rule.name, stream));
            let recorder = Recorder::new(self.net.clone(), rule.clone(), stream, log.clone(), join, stop.clone(), row);
            self.net.spawn(&mut self.tasks, recorder.run());
            vacant.insert(Recording { rule: rule.clone(), log: log.clone(), stop });
        }
    }

    /// Tells those who are to be told what happens, the new ones from `cursor` on, and nobody else.
    fn attach(&mut self, cursor: &Cursor) {
        let wanted = &self.config.hooks;
        self.hooks.retain(|(hook, stop)| {
            let stays = wanted.contains(hook);
            if !stays {
                stop.cancel();
            }
            stays
        });
        for hook in wanted {
            if self.hooks.iter().any(|(known, _)| known == hook) {
                continue;
            }
            let stop = CancellationToken::new();
            let (net, ending) = (self.net.clone(), self.house.stop.clone());
            let post = Post { net, cursor: cursor.clone(), random: self.random.fork(), ending, stop: stop.clone() };
            self.net.spawn(&mut self.readers, hook.clone().run(post));
            self.hooks.push((hook.clone(), stop));
        }
    }

    /// Repairs what a crash has left in the folders of recordings that were not there `before`.
    fn repair(&mut self, before: &[Rule]) {
        let known = |folder: &PathBuf| before.iter().any(|rule| rule.folder == *folder);
        let folders: BTreeSet<PathBuf> = self.config.recordings.iter().map(|rule| rule.folder.clone()).collect();
        for folder in folders.into_iter().filter(|folder| !known(folder)) {
            self.net.spawn(&mut self.tasks, recorder::repair_all(folder));
        }
    }
}

impl<N: Network> Ordered for Relay<N> {
    fn config(&self) -> &Config {
        &self.config
    }

    fn apply(&mut self, config: Config) -> Result<Changes, Circle> {
        config.check_circle(self.address)?;
        if let Some(secure) = &self.secure {
            config.check_circle(secure.address)?;
        }
        let changes = Changes::between(&self.config, &config);
        self.board.list(config.destinations.iter().map(|route| (&*route.name, route.enabled)));
        warn_of_oddities(&config);
        self.house.visitors.limit(config.visitors);
        self.gate.set(config.gate.clone());
        if let (Some(secure), Some(tls)) = (&self.secure, &config.tls) {
            secure.entrance.show(tls.identity.clone());
        }
        let config = Arc::new(config);
        self.present.store(config.clone());
        let before = std::mem::replace(&mut self.config, config);
        self.repair(&before.recordings);
        self.reconcile(recorder::FROM_THE_NEXT_KEY_FRAME);
        self.attach(&self.house.journal.from_now());
        self.house.journal.append(Event::new(Code::ConfigChanged).because(changes.to_string()));
        Ok(changes)
    }

    fn retry(&mut self, destination: &str) -> bool {
        for ((name, _), assignment) in &self.assignments {
            if let Assignment::Sent { retry, .. } = assignment
                && name == destination
            {
                retry.notify_waiters();
            }
        }
        self.config.destinations.iter().any(|route| route.name == destination)
    }
}

impl Way {
    fn new(route: &Route, stream: &Name, (url, name): (Url, Secret)) -> Self {
        Way { url, name, backup: route.backup_of(stream), trust: route.trust.clone(), settings: route.settings }
    }
}

/// A key that looks wrong is most often wrong, and the platform will not say so.
fn warn_of_oddities(config: &Config) {
    for (destination, odd) in config.oddities() {
        warn!(destination, "{odd}");
    }
}

async fn listen<N: Network>(net: &N, address: SocketAddr) -> Result<(N::Listener, SocketAddr), Error> {
    let failed = |source| Error::Listen { address, source };
    let listener = net.listen(address).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The next one who comes in through TLS; nobody, where nobody can. Cancel safe, as `accept` is.
async fn at_entrance<L: Listener>(secure: Option<&mut Secure<L>>) -> (io::Result<(L::Stream, SocketAddr)>, Entrance) {
    match secure {
        Some(secure) => (secure.listener.accept().await, secure.entrance.clone()),
        None => std::future::pending().await,
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
