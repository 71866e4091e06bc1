//! A world: hosts with relays and peers on them, links between them, one seed. A scenario builds one, lets it run, breaks
//! something, and looks at what everybody got.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rtmp_relay::api::Api;
use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{Board, State, Status};
use rtmp_relay::gate::{Access, Keys, Rules, Who};
use rtmp_relay::inbound::{Ending, Visitors};
use rtmp_relay::journal::{Entry, Journal, News};
use rtmp_relay::relay::Relay;
use rtmp_relay::stream::Takeover;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tracing::info;
use tracing::subscriber::DefaultGuard;

use crate::event::Event;
use crate::net::Turmoil;
use crate::peer::{
    Act, Answer, Deed, Encoder, Encounter, Orders, Place, Player, Server, Session, Shared, Tape, Villain,
};
use crate::trace::Trace;

/// How finely time passes.
const TICK: Duration = Duration::from_millis(5);
/// A message is under way for at least this long …
const LATENCY_MIN: Duration = Duration::from_millis(1);
/// … and at most this long.
const LATENCY_MAX: Duration = Duration::from_millis(30);
/// Segments in flight, and so 93,440 bytes that a socket takes from a writer whose peer does not read.
const SOCKET: usize = 64;
/// When it all begins, in seconds since 1970.
const EPOCH: Duration = Duration::from_secs(1_700_000_000);

/// Seconds.
pub const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Milliseconds.
pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A change of a relay's configuration.
type Edit = Box<dyn FnOnce(&mut Config) + Send>;

/// Hosts, links, and what everybody remembers.
///
/// ```text
/// World::seeded(7)
///     .relay("edge", &["origin"])                 hosts, or whole URLs; `{app}/{stream}` follows a host
///     .relay("origin", &["youtube", "twitch"])
///     .server("youtube", |_| Answer::Accept)      what it does with its nth connection
///     .server("twitch", |_| Answer::Accept)
///     .encoder("obs", "edge/live/show", &[Act::Publish(secs(40)), Act::Stop])
///     .player("viewer", "origin/live/show", secs(3))
///     .after(secs(10), crash("twitch"))           counted from the beginning
///     .after(secs(25), bounce("twitch"))
///     .run(secs(60))
/// ```
pub struct World {
    seed: u64,
    sim: turmoil::Sim<'static>,
    network: Turmoil,
    /// Who may publish to the relays that are added from now on.
    gate: Rules,
    /// What is still to happen, the next first.
    script: VecDeque<(Duration, Event)>,
    trace: Trace,
    random: fastrand::Rng,
    boards: BTreeMap<&'static str, Shared<Board>>,
    visitors: BTreeMap<&'static str, Shared<Option<Arc<Visitors>>>>,
    journals: BTreeMap<&'static str, Shared<Journal>>,
    /// Each relay's word to stop.
    stops: BTreeMap<&'static str, Shared<CancellationToken>>,
    /// Where each relay hears of changes of its configuration.
    ears: BTreeMap<&'static str, Shared<Option<UnboundedSender<Edit>>>>,
    /// The states last written to the trace.
    states: BTreeMap<(&'static str, usize), State>,
    tapes: BTreeMap<&'static str, Shared<Tape>>,
    sessions: BTreeMap<&'static str, Shared<Vec<Session>>>,
    villains: BTreeMap<&'static str, Shared<Orders>>,
    _log: DefaultGuard,
}

impl World {
    /// An empty world. The same seed and the same scenario give the same trace, to the byte.
    pub fn seeded(seed: u64) -> Self {
        World::new(seed, false)
    }

    /// The same, and all that happens is in the trace, down to every segment on every link, which takes longer.
    pub fn seeded_with_wire(seed: u64) -> Self {
        World::new(seed, true)
    }

    fn new(seed: u64, wire: bool) -> Self {
        let sim = turmoil::Builder::new()
            .rng_seed(seed)
            .epoch(UNIX_EPOCH + EPOCH)
            .tick_duration(TICK)
            .min_message_latency(LATENCY_MIN)
            .max_message_latency(LATENCY_MAX)
            .tcp_capacity(SOCKET)
            .build();
        let trace = Trace::default();
        World {
            seed,
            sim,
            network: Turmoil::default(),
            gate: Rules::default(),
            script: VecDeque::new(),
            random: fastrand::Rng::with_seed(seed),
            boards: BTreeMap::new(),
            visitors: BTreeMap::new(),
            journals: BTreeMap::new(),
            stops: BTreeMap::new(),
            ears: BTreeMap::new(),
            states: BTreeMap::new(),
            tapes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            villains: BTreeMap::new(),
            _log: trace.install(wire),
            trace,
        }
    }

    /// Has the relays that are added from now on want this key of encoders.
    pub fn publish_key(mut self, key: &str) -> Self {
        self.gate = publish_key(key);
        self
    }

    /// Adds a relay that sends every stream to these hosts, or URLs.
    pub fn relay(self, name: &'static str, destinations: &[&str]) -> Self {
        let config = Config { gate: self.gate.clone(), ..configuration(destinations) };
        self.relay_told(name, config)
    }

    /// Adds a relay that is told this. It has an API only where it is told where.
    pub fn relay_told(mut self, name: &'static str, config: Config) -> Self {
        let (board, stop) = (Shared::<Board>::default(), Shared::<CancellationToken>::default());
        let visitors = Shared::<Option<Arc<Visitors>>>::default();
        self.boards.insert(name, board.clone());
        let journal = Shared::<Journal>::default();
        self.visitors.insert(name, visitors.clone());
        self.journals.insert(name, journal.clone());
        self.stops.insert(name, stop.clone());
        let ear = self.ears.entry(name).or_default().clone();
        let random = RefCell::new(self.random.fork());
        let network = self.network.clone();
        self.host(name, move || {
            let (config, random) = (config.clone(), random.borrow_mut().fork());
            let (board, visitors, stop, network) = (board.clone(), visitors.clone(), stop.clone(), network.clone());
            let journal = journal.clone();
            let (tell, mut told) = unbounded_channel();
            *ear.borrow_mut() = Some(tell);
            async move {
                let wants_api = matches!(config.api.listen, config::api::Listen::At(_));
                let relay = Relay::bind(network.clone(), config, random).await?;
                let api = if wants_api { Api::bind(network, &relay, None).await? } else { None };
                *board.borrow_mut() = relay.board().clone();
                *visitors.borrow_mut() = Some(relay.visitors().clone());
                *journal.borrow_mut() = relay.journal().clone();
                let word = CancellationToken::new();
                *stop.borrow_mut() = word.clone();
                let control = relay.control();
                let listening = async {
                    while let Some(edit) = told.recv().await {
                        let edit = |config: &mut Config| {
                            edit(config);
                            Ok::<_, Infallible>(())
                        };
                        match control.change(edit).await {
                            Ok(changes) => info!("the configuration is changed: {changes}"),
                            Err(unapplied) => info!("the configuration is not changed: {unapplied}"),
                        }
                    }
                    std::future::pending::<()>().await
                };
                let answering = {
                    let word = word.clone();
                    async move {
                        match api {
                            Some(api) => api.run(word).await,
                            None => std::future::pending().await,
                        }
                    }
                };
                tokio::select! {
                    biased;
                    () = relay.run(word) => {}
                    () = answering => {}
                    () = listening => {}
                }
                info!("has ended");
                // The host stays: one that has returned is deaf to its peers' last words.
                std::future::pending().await
            }
        })
    }

    /// Adds a server that does `answer(n)` with its connection number `n`, from 0.
    pub fn server(mut self, name: &'static str, answer: impl Fn(usize) -> Answer + 'static) -> Self {
        let server = Server { answer: Rc::new(answer), trace: self.trace.clone(), sessions: Shared::default() };
        self.sessions.insert(name, server.sessions.clone());
        self.host(name, move || server.clone().run())
    }

    /// Adds an encoder that publishes to `place`: `host/app/stream`.
    pub fn encoder(mut self, name: &'static str, place: &'static str, acts: &[Act]) -> Self {
        let (acts, trace, sent) = (acts.to_vec(), self.trace.clone(), self.tape(name));
        let number = 10 * self.tapes.len() as u8;
        self.host(name, move || {
            let (acts, trace, sent) = (acts.clone(), trace.clone(), sent.clone());
            Encoder { place: Place(place), acts, number, trace, sent }.run()
        })
    }

    /// Adds a player that comes `after` this long and plays `place`: `host/app/stream`.
    pub fn player(mut self, name: &'static str, place: &'static str, after: Duration) -> Self {
        let (trace, tape) = (self.trace.clone(), self.tape(name));
        self.host(name, move || Player { place: Place(place), after, trace: trace.clone(), tape: tape.clone() }.run())
    }

    /// Adds a host of villains that make connections when they are told to.
    pub fn villain(mut self, name: &'static str) -> Self {
        let villain = self.villain_named(name);
        self.host(name, move || villain.clone().attack())
    }

    /// Adds a server that does with its connections what it is told to.
    pub fn villain_server(mut self, name: &'static str) -> Self {
        let villain = self.villain_named(name);
        self.host(name, move || villain.clone().ambush())
    }

    fn villain_named(&mut self, name: &'static str) -> Villain {
        Villain { orders: self.villains.entry(name).or_default().clone() }
    }

    fn tape(&mut self, name: &'static str) -> Shared<Tape> {
        self.tapes.entry(name).or_default().clone()
    }

    fn host<F>(mut self, name: &'static str, software: impl Fn() -> F + 'static) -> Self
    where
        F: Future<Output = turmoil::Result> + 'static,
    {
        self.sim.host(name, software);
        self.trace.name(self.sim.lookup(name), name);
        self
    }

    /// Has something happen, so long after the beginning. Events are told in their order.
    pub fn after(mut self, time: Duration, event: Event) -> Self {
        assert!(self.script.back().is_none_or(|(before, _)| *before <= time), "events are told in their order");
        self.script.push_back((time, event));
        self
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) -> &mut Self {
        let end = self.sim.elapsed() + time;
        while self.sim.elapsed() < end {
            self.step();
        }
        self
    }

    /// Lets time pass until something is so. More than `limit` is a failure.
    pub fn until(&mut self, limit: Duration, so: impl Fn(&World) -> bool) {
        let end = self.sim.elapsed() + limit;
        self.step();
        while !so(self) {
            assert!(self.sim.elapsed() < end, "it is not so after {limit:?}");
            self.step();
        }
    }

    fn step(&mut self) {
        self.trace.set_now(self.sim.elapsed());
        while let Some((_, event)) = self.script.pop_front_if(|(time, _)| *time <= self.sim.elapsed()) {
            event.happen(self);
        }
        if let Err(error) = self.sim.step() {
            panic!("a host has failed: {error}");
        }
        self.trace.set_now(self.sim.elapsed());
        for (relay, board) in &self.boards {
            for (number, status) in board.borrow().statuses().into_iter().enumerate() {
                let said = status.last_error.iter().chain(&status.reason).find(|said| said.contains("panicked"));
                assert_eq!(said, None, "{}", status.name);
                let before = self.states.insert((relay, number), status.state.clone()).unwrap_or(State::Waiting);
                if before != status.state {
                    info!(node = relay, "{} is {}", status.name, status.state);
                }
            }
        }
    }

    /// Tells a relay to stop, as Ctrl-C does.
    pub fn shut_down(&mut self, relay: &str) {
        info!("{relay} is told to stop");
        self.stops[relay].borrow().cancel();
    }

    /// Has a running relay send every stream to these hosts, or URLs, from now on.
    pub fn configure(&mut self, relay: &str, destinations: &[&str]) {
        let config = Config { gate: self.gate.clone(), ..configuration(destinations) };
        self.edit(relay, |present| *present = config);
    }

    /// Switches a destination of a running relay on or off.
    pub fn switch(&mut self, relay: &str, destination: &'static str, on: bool) {
        let of_this_name = move |config: &mut Config| {
            let routes = config.destinations.iter_mut().filter(|route| route.name == destination);
            routes.for_each(|route| route.enabled = on);
        };
        self.edit(relay, of_this_name);
    }

    fn edit(&self, relay: &str, edit: impl FnOnce(&mut Config) + Send + 'static) {
        let ear = self.ears[relay].borrow();
        assert!(ear.as_ref().expect("it has started").send(Box::new(edit)).is_ok(), "it runs");
    }

    /// A villain connects to a host, at `host:port` or where RTMP is, and does this.
    pub fn attack(&mut self, villain: &str, host: &str, deeds: Vec<Deed>) -> Shared<Encounter> {
        self.villains[villain].borrow_mut().attack(host, deeds)
    }

    /// A villain server does this with each of its connections.
    pub fn trap(&mut self, villain: &str, deeds: Vec<Deed>) {
        self.villains[villain].borrow_mut().trap(deeds);
    }

    /// The connections it has had since.
    pub fn sprung(&self, villain: &str) -> Vec<Shared<Encounter>> {
        self.villains[villain].borrow().sprung()
    }

    /// A villain leaves all its connections without a word.
    pub fn dismiss(&mut self, villain: &str) {
        self.villains[villain].borrow_mut().dismiss();
    }

    /// Ends a host's processes, at once. Peers see their connections end; new ones hang until it is back.
    pub fn crash(&mut self, host: &str) {
        info!("{host} crashes");
        self.sim.crash(host);
    }

    /// Starts a host's software anew.
    pub fn bounce(&mut self, host: &str) {
        info!("{host} is back");
        self.sim.bounce(host);
    }

    /// Holds back all that is under way between two hosts, and all that they send from now on.
    pub fn hold(&mut self, a: &str, b: &str) {
        info!("{a} and {b} are held apart");
        self.sim.hold(a, b);
    }

    /// Delivers what has been held back.
    pub fn release(&mut self, a: &str, b: &str) {
        info!("{a} and {b} are let together");
        self.sim.release(a, b);
    }

    /// Loses all that is under way between two hosts, and all that they send from now on. Connections made meanwhile are
    /// refused; those there are hang for ever.
    pub fn partition(&mut self, a: &str, b: &str) {
        info!("{a} and {b} are cut off");
        self.sim.partition(a, b);
    }

    /// Ends a partition.
    pub fn repair(&mut self, a: &str, b: &str) {
        info!("{a} and {b} are joined");
        self.sim.repair(a, b);
    }

    /// From now on a name is another host's address.
    pub fn move_name(&mut self, name: &str, host: &'static str) {
        info!("the name {name} is {host} from now on");
        self.network.move_name(name, &[host]);
    }

    /// From now on a name has the addresses of these hosts, in this order; or none, and cannot be resolved.
    pub fn spread_name(&mut self, name: &str, hosts: &[&'static str]) {
        info!("the name {name} is [{}] from now on", hosts.join(", "));
        self.network.move_name(name, hosts);
    }

    /// Simulated time since the beginning.
    pub fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// What an encoder has sent.
    pub fn sent(&self, encoder: &str) -> Tape {
        self.tapes[encoder].borrow().clone()
    }

    /// What a player has received.
    pub fn played(&self, player: &str) -> Tape {
        self.tapes[player].borrow().clone()
    }

    /// The connections a server has had.
    pub fn sessions(&self, server: &str) -> Vec<Session> {
        self.sessions[server].borrow().clone()
    }

    /// How many are connected to a relay.
    pub fn visitors(&self, relay: &str) -> usize {
        self.visitors[relay].borrow().as_ref().map_or(0, |visitors| visitors.count())
    }

    /// How many have left a relay, by reason.
    pub fn endings(&self, relay: &str) -> BTreeMap<Ending, u64> {
        self.visitors[relay].borrow().as_ref().map(|visitors| visitors.endings()).unwrap_or_default()
    }

    /// What has happened to a relay, since it was started last and as far as its journal goes back.
    pub fn journal(&self, relay: &str) -> Vec<Arc<Entry>> {
        let mut cursor = self.journals[relay].borrow().after(0);
        let read = std::iter::from_fn(|| cursor.read());
        let entries = read.filter_map(|news| match news {
            News::Entry(entry) => Some(entry),
            News::Missed(_) => None,
        });
        entries.collect()
    }

    /// What a relay says of its destinations.
    pub fn statuses(&self, relay: &str) -> Vec<Status> {
        self.boards[relay].borrow().statuses()
    }

    /// What a relay says of one of them.
    pub fn status(&self, relay: &str, destination: &str) -> Status {
        let status = self.statuses(relay).into_iter().find(|status| status.name == destination);
        status.expect("the relay has this destination")
    }

    /// What has happened, in brief.
    pub fn story(&self) -> String {
        self.trace.story(1)
    }

    /// What has happened, as far as the trace has it.
    pub fn trace(&self) -> String {
        self.trace.all()
    }
}

/// Everything to these hosts, where `{app}/{stream}` follows, or URLs.
fn configuration(destinations: &[&str]) -> Config {
    let urls: Vec<String> = destinations
        .iter()
        .map(|to| if to.contains("://") { (*to).to_owned() } else { format!("rtmp://{to}/{{app}}/{{stream}}") })
        .collect();
    Config {
        listen: config::listen(":1935").expect("an address"),
        destinations: config::destinations(&urls).expect("URLs"),
        ..Config::default()
    }
}

/// Rules that want this key of encoders, and nothing of players.
pub(crate) fn publish_key(key: &str) -> Rules {
    let keys = Keys::parse([&key.to_owned().into()]).expect("a key");
    Rules::all(Access { who: Who::Keys(keys), ..Access::default() }, Access::default(), Takeover::Refuse)
}

/// A failure tells its story.
impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("world with seed {} after {:?}:\n{}", self.seed, self.now(), self.trace.story(3));
        }
    }
}
