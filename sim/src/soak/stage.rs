//! A stage: one world with its relay, its peers and everybody who watches, from the first step to the last.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use rtmp_relay::config::{self, Config};
use rtmp_relay::destination::{Board, State, Status};
use rtmp_relay::limits::{STALL, STEP};
use rtmp_relay::relay::Relay;
use rtmp_relay::stream::{Directory, Merge};
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::destinations::{Watched, dead_lines};
use super::encoder::{Diary, Encoder};
use super::findings::Findings;
use super::gauge::Gauged;
use super::law::Law;
use super::plan::{Action, GRACE, OBS, PHONE, Plan, RELAY, SERVERS, STANDBY};
use super::point::Point;
use super::publishers::Publisher;
use super::readers::{Readers, sessions_end_for_a_reason};
use super::reel::Reels;
use super::remains::Remains;
use super::viewer::Viewer;
use crate::peer::{Server, Session, Shared};
use crate::trace::Trace;
use crate::world::publish_key;
use crate::{ms, secs};

/// How finely time passes.
const TICK: Duration = ms(10);
/// Where everybody publishes to and plays from.
const PLACE: &str = "relay/live/show?key=KEY";
/// Players.
const VIEWERS: [&str; 2] = ["viewer", "guest"];
/// A world lasts at least this long.
const LEAST: Duration = secs(60);
/// A kernel's keepalive gives a dead peer up after this long: 5 s of silence, and two questions 2 s apart.
const KEEPALIVE: Duration = secs(9);
/// A publisher's old connection may hang for this long in a simulation that knows no keepalive.
const GONE: Duration = secs(45);

/// What the relay of a world shows, in each of its lives.
#[derive(Default)]
struct Shown {
    board: Board,
    directory: Option<Arc<Directory>>,
    stop: CancellationToken,
    life: u32,
    stopped: bool,
}

/// A world on its way.
pub(crate) struct Stage {
    sim: turmoil::Sim<'static>,
    clock: Trace,
    plan: Rc<Plan>,
    gauge: Gauged,
    shown: Shared<Shown>,
    reels: Shared<Reels>,
    over: Shared<bool>,
    sessions: BTreeMap<&'static str, Shared<Vec<Session>>>,
    servers: BTreeMap<&'static str, Server>,
    addresses: BTreeMap<&'static str, IpAddr>,
    /// Links that lose everything, and since when.
    cut: BTreeMap<&'static str, Duration>,
    publishers: Vec<Publisher>,
    encoders: Vec<IpAddr>,
    readers: Readers,
    rows: BTreeMap<&'static str, Vec<Watched>>,
    /// What sessions that ended well must have been.
    ended: Vec<(&'static str, super::destinations::Expected)>,
    life: u32,
    remains: Remains,
    relay_up: bool,
    next: usize,
    steps: u64,
    /// When streams have ended or begun: reasons for a session to end.
    reasons: Vec<Duration>,
    off_air: Option<Duration>,
    counted: BTreeMap<&'static str, usize>,
    states: Vec<State>,
    pub(crate) found: Findings,
}

impl Stage {
    pub(crate) fn new(plan: &Plan, clock: Trace) -> Self {
        let sim = turmoil::Builder::new()
            .rng_seed(plan.seed)
            .epoch(UNIX_EPOCH + secs(1_700_000_000))
            .tick_duration(TICK)
            .simulation_duration(secs(3_600))
            .min_message_latency(ms(1))
            .max_message_latency(ms(30))
            .tcp_capacity(64)
            .build();
        let mut stage = Stage {
            sim,
            plan: Rc::new(plan.clone()),
            gauge: Gauged::new(clock.clone()),
            clock,
            shown: Shared::default(),
            reels: Shared::default(),
            over: Shared::default(),
            sessions: BTreeMap::new(),
            servers: BTreeMap::new(),
            addresses: BTreeMap::new(),
            cut: BTreeMap::new(),
            publishers: Vec::new(),
            encoders: Vec::new(),
            readers: Readers::default(),
            rows: BTreeMap::new(),
            ended: Vec::new(),
            life: 0,
            remains: Remains::default(),
            relay_up: true,
            next: 0,
            steps: 0,
            reasons: Vec::new(),
            off_air: None,
            counted: BTreeMap::new(),
            states: Vec::new(),
            found: Findings::default(),
        };
        stage.relay();
        for host in &SERVERS[..plan.servers] {
            stage.server(host);
        }
        if let Some(host) = plan.moves {
            let server = stage.servers[host].clone();
            stage.host(STANDBY, move || server.clone().run());
            stage.gauge.same(stage.addresses[host], stage.addresses[STANDBY]);
        }
        let (obs, phone) = (plan.obs.clone(), plan.phone.clone());
        for (host, shifts) in [(OBS, obs), (PHONE, phone)] {
            if !shifts.is_empty() {
                stage.encoder(host, shifts);
            }
        }
        for (host, after) in VIEWERS.iter().zip(&plan.viewers) {
            stage.viewer(host, *after);
        }
        stage
    }

    fn host<F>(&mut self, name: &'static str, software: impl Fn() -> F + 'static)
    where
        F: Future<Output = turmoil::Result> + 'static,
    {
        self.sim.host(name, software);
        let address = self.sim.lookup(name);
        self.clock.name(address, name);
        self.addresses.insert(name, address);
    }

    fn relay(&mut self) {
        let urls: Vec<String> =
            SERVERS[..self.plan.servers].iter().map(|to| format!("rtmp://{to}/{{app}}/{{stream}}")).collect();
        let mut destinations = config::destinations(&urls).expect("URLs");
        for (number, route) in destinations.iter_mut().enumerate() {
            route.settings.chunk_size = self.plan.chunk_size;
            route.settings.merge = if number % 2 == 1 { Merge::Audio } else { Merge::None };
        }
        let config = Config {
            listen: config::listen(":1935").expect("an address"),
            destinations,
            grace: GRACE,
            log: self.plan.log,
            // The phone is its owner's too.
            gate: publish_key("KEY"),
            ..Config::default()
        };
        let (shown, gauge) = (self.shown.clone(), self.gauge.clone());
        let random = RefCell::new(fastrand::Rng::with_seed(self.plan.seed));
        self.host(RELAY, move || {
            let (config, random) = (config.clone(), random.borrow_mut().fork());
            let (shown, gauge) = (shown.clone(), gauge.clone());
            async move {
                let relay = Relay::bind(gauge, config, random).await?;
                let stop = CancellationToken::new();
                {
                    let mut shown = shown.borrow_mut();
                    let life = shown.life + 1;
                    let (board, directory) = (relay.board().clone(), Some(relay.directory().clone()));
                    *shown = Shown { board, directory, stop: stop.clone(), life, stopped: false };
                }
                relay.run(stop).await;
                shown.borrow_mut().stopped = true;
                std::future::pending().await
            }
        });
    }

    fn server(&mut self, host: &'static str) {
        let (plan, clock) = (self.plan.clone(), self.clock.clone());
        let answer = move |_| plan.answer(host, clock.now());
        let server = Server { answer: Rc::new(answer), trace: self.clock.clone(), sessions: Shared::default() };
        self.sessions.insert(host, server.sessions.clone());
        self.servers.insert(host, server.clone());
        self.host(host, move || server.clone().run());
    }

    fn encoder(&mut self, host: &'static str, shifts: Vec<super::encoder::Shift>) {
        let diary = Shared::<Diary>::default();
        let encoder = Encoder {
            place: PLACE,
            shifts,
            picture: self.plan.picture,
            reels: self.reels.clone(),
            diary: diary.clone(),
            over: self.over.clone(),
            trace: self.clock.clone(),
        };
        self.host(host, move || encoder.clone().run());
        let address = self.addresses[host];
        self.encoders.push(address);
        self.publishers.push(Publisher::new(host, diary));
    }

    fn viewer(&mut self, host: &'static str, after: Duration) {
        let viewer = Viewer {
            place: PLACE,
            after,
            sessions: Shared::default(),
            over: self.over.clone(),
            trace: self.clock.clone(),
        };
        self.sessions.insert(host, viewer.sessions.clone());
        self.host(host, move || viewer.clone().run());
    }

    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    pub(crate) fn digest(&self) -> u64 {
        self.gauge.readings().digest
    }

    /// The whole of it, until a law is broken.
    pub(crate) fn play(&mut self) {
        let heal = self.plan.heal;
        while self.now() < heal && self.step() {}
        self.progress();
        while self.now() < LEAST && self.step() {}
        info!("everybody leaves");
        *self.over.borrow_mut() = true;
        self.reasons.push(self.now());
        self.leave();
        if self.found.broken.is_none() {
            self.readers.crossed(&self.plan, &self.reels.borrow(), &mut self.found);
            self.settle();
        }
    }

    /// One tick, and a look at everything. False once a law is broken.
    fn step(&mut self) -> bool {
        if self.found.broken.is_some() {
            return false;
        }
        let now = self.now();
        while let Some((_, action)) = self.plan.script.get(self.next).filter(|(at, _)| *at <= now) {
            let action = *action;
            self.next += 1;
            self.act(action);
        }
        for (host, _) in self.cut.iter().filter(|(_, since)| now - **since >= KEEPALIVE) {
            self.gauge.time_out(self.addresses[host]);
        }
        self.clock.set_now(self.sim.elapsed());
        self.sim.step().expect("hosts go on for ever");
        self.clock.set_now(self.sim.elapsed());
        self.steps += 1;
        self.look();
        self.found.broken.is_none()
    }

    fn act(&mut self, action: Action) {
        info!("{action:?}");
        match action {
            Action::Crash(host) => {
                if host == RELAY {
                    self.reasons.push(self.now());
                    self.relay_up = false;
                    if self.states.contains(&State::Live) {
                        self.found.reached(Point::RelayCrash);
                    }
                }
                self.sim.crash(host);
            }
            Action::Bounce(host) => {
                self.relay_up |= host == RELAY;
                self.sim.bounce(host);
            }
            Action::Hold(host) => self.sim.hold(RELAY, host),
            Action::Release(host) => self.sim.release(RELAY, host),
            Action::Cut(host) => {
                self.cut.insert(host, self.now());
                self.sim.partition(RELAY, host);
            }
            Action::Join(host) => {
                self.cut.remove(host);
                self.sim.repair(RELAY, host);
            }
            Action::MoveName(host, other) => self.gauge.move_name(host, other),
            Action::CutOneWay(host, true) => self.sim.partition_oneway(RELAY, host),
            Action::CutOneWay(host, false) => self.sim.partition_oneway(host, RELAY),
            Action::JoinOneWay(host, true) => self.sim.repair_oneway(RELAY, host),
            Action::JoinOneWay(host, false) => self.sim.repair_oneway(host, RELAY),
            Action::StopRelay => {
                self.reasons.push(self.now());
                if self.states.iter().any(|s| matches!(s, State::Connecting | State::BackingOff | State::Rejected)) {
                    self.found.reached(Point::ShutdownWhileReconnecting);
                }
                self.shown.borrow().stop.cancel();
            }
        }
    }

    fn look(&mut self) {
        let now = self.now();
        let Stage { plan, found, reels, .. } = self;
        for (host, sessions) in &self.sessions {
            let sessions = sessions.borrow();
            self.readers.look(host, &sessions, plan, &mut reels.borrow_mut(), found);
            if self.steps.is_multiple_of(10) && !*self.over.borrow() {
                self.readers.nothing_is_kept_back(now, host, &sessions, plan, &reels.borrow(), found);
            }
            let counted = self.counted.entry(host).or_default();
            if sessions.len() > *counted {
                *counted = sessions.len();
                if !plan.names(host) {
                    sessions_end_for_a_reason(host, &sessions, &self.reasons, found);
                }
            }
        }
        let shown = self.shown.borrow();
        let statuses = shown.board.statuses();
        let readings = self.gauge.readings();
        if readings.moved {
            found.reached(Point::Moved);
        }
        self.states = statuses.iter().map(|status| status.state.clone()).collect();
        if shown.life != self.life {
            self.life = shown.life;
            self.rows.clear();
            self.off_air = Some(now);
        }
        if self.relay_up {
            for host in &SERVERS[..plan.servers] {
                let address = self.addresses[host];
                let sessions = self.sessions[host].borrow();
                let now_there: Vec<&Status> = statuses.iter().filter(|status| status.name == *host).collect();
                // One stream has one row, and what it says of the past does not change.
                found.demand(Law::Accounting, now_there.len() == 1, || format!("{host} has {} rows", now_there.len()));
                let rows = self.rows.entry(host).or_default();
                while rows.len() > now_there.len() {
                    let at = rows.iter().zip(&now_there).position(|(row, status)| !row.may_be(status));
                    let mut gone = rows.remove(at.unwrap_or(rows.len() - 1));
                    gone.gone(&readings, &sessions, found);
                    self.ended.extend(gone.expected.into_iter().map(|expected| (*host, expected)));
                }
                while rows.len() < now_there.len() {
                    let row = Watched::new(host, address, plan.names(host), &readings);
                    rows.iter_mut().for_each(|before| before.followed_by(&row));
                    rows.push(row);
                }
                for (row, status) in rows.iter_mut().zip(now_there) {
                    found.demand(Law::Accounting, row.may_be(status), || format!("the figures of {host} have fallen"));
                    row.look(now, status, &readings, &sessions, found);
                    self.ended.extend(row.expected.drain(..).map(|expected| (*host, expected)));
                }
            }
            dead_lines(now, &readings, &self.encoders, found);
            let down = self.states.iter().filter(|s| matches!(s, State::BackingOff | State::Rejected)).count();
            if down >= 2 {
                found.reached(Point::TwoDown);
            }
        }
        let takeovers = found.points.get(&Point::Takeover).copied();
        let mut on_air = false;
        let well: Vec<&str> = self.publishers.iter().filter(|p| p.is_well(now, plan)).map(|p| p.host).collect();
        for publisher in &mut self.publishers {
            let rival = well.iter().any(|host| *host != publisher.host);
            publisher.waits(now, plan, found);
            publisher.let_in(now, plan, &readings, &self.encoders, rival, found);
            on_air |= publisher.diary.borrow().on_air.is_some();
        }
        if takeovers != found.points.get(&Point::Takeover).copied() && self.states.contains(&State::Connecting) {
            found.reached(Point::TakeoverWhileConnecting);
        }
        let Some(directory) = &shown.directory else { return };
        // A stop, and the end of a grace, are reasons for a session to end.
        let live = !directory.live().is_empty();
        match (live, self.off_air) {
            (true, _) => self.off_air = None,
            (false, None) => {
                self.off_air = Some(now);
                let all = reels.borrow();
                let stopped = all.len().checked_sub(1).and_then(|n| all.reel(n as u8)).is_some_and(|reel| reel.stopped);
                if stopped || !on_air {
                    self.reasons.push(now);
                }
                if !stopped && all.len() > 0 && self.relay_up {
                    found.reached(Point::GraceOver);
                }
            }
            (false, Some(_)) => {}
        }
        if let Some(reel) =
            reels.borrow().len().checked_sub(1).and_then(|n| reels.borrow().reel(n as u8).map(|r| r.stopped))
            && reel
            && self.reasons.last() != Some(&now)
        {
            self.reasons.push(now);
        }
        if self.relay_up && self.steps.is_multiple_of(25) {
            self.remains.look(now, directory, &readings, plan, &reels.borrow(), found);
        }
        if shown.stopped {
            let left = (readings.tasks, readings.open.len());
            found.demand(Law::Leaks, left == (0, 0), || {
                format!("the relay has ended, with {left:?} tasks and connections")
            });
        }
    }

    /// Liveness: how long each destination may take is settled now, from what it says of itself.
    fn progress(&mut self) {
        info!("all is well again");
        let publisher = self.now() + secs(14);
        let on_air = |stage: &Stage| stage.publishers.iter().any(|p| p.diary.borrow().on_air.is_some());
        while !on_air(self) && self.step() {
            if self.now() > publisher {
                return self.found.broken(Law::Liveness, "no encoder is let in".to_owned());
            }
        }
        let from = self.now();
        // A dead connection that nobody has noticed takes its socket's 64 segments, and then 10 s, and two looks.
        let gop = Duration::from_secs((self.plan.picture.gop / self.plan.picture.rate).into());
        let fill = Duration::from_secs_f64(64.0 / f64::from(self.plan.picture.rate + 10));
        let noticed = (fill + STALL + secs(2)).max(STEP);
        let mut due: BTreeMap<&'static str, Duration> = BTreeMap::new();
        for host in &SERVERS[..self.plan.servers] {
            let shown = self.shown.borrow();
            let statuses = shown.board.statuses();
            let status = statuses.iter().rev().find(|status| status.name == *host).expect("every server has a row");
            let wait = match (&status.state, status.retry_at) {
                (State::BackingOff | State::Rejected | State::Blocked, Some(at)) => {
                    at.saturating_duration_since(status.since)
                }
                (State::Live, _) => noticed + secs(5).mul_f64(1.25),
                _ => noticed + STEP + secs(5).mul_f64(1.25),
            };
            due.insert(host, from + wait + secs(1) + gop + ms(200));
        }
        let mut waiting: BTreeMap<&'static str, Duration> = due;
        while !waiting.is_empty() && self.step() {
            let now = self.now();
            let (sessions, plan) = (&self.sessions, &self.plan);
            waiting.retain(|host, _| !receives(&sessions[host].borrow(), now));
            let late = waiting.iter().find(|(_, due)| now > **due).map(|(host, due)| (*host, *due));
            if let Some((host, due)) = late {
                let state = self.shown.borrow().board.statuses().into_iter().find(|s| s.name == host).map(|s| s.state);
                let named = if plan.names(host) { "" } else { ", which no fault has named," };
                self.found.broken(Law::Liveness, format!("{host}{named} is {state:?} and not receiving by {due:?}"));
            }
        }
    }

    /// Leaks: everybody goes, and nothing is left.
    fn leave(&mut self) {
        let until = self.now() + GONE;
        loop {
            if !self.step() {
                return;
            }
            let left = {
                let shown = self.shown.borrow();
                let Some(directory) = &shown.directory else { return };
                self.remains.left(&self.gauge.readings(), directory, &shown.board.statuses())
            };
            match left {
                None => return,
                Some(left) if self.now() > until => return self.found.broken(Law::Leaks, left),
                Some(_) => {}
            }
        }
    }

    /// Accounting of the sessions that ended well: what was sent is what was received, and what was left out what is missing.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.step();
        }
        for (host, expected) in &self.ended {
            let sessions = self.sessions[host].borrow();
            let Some(session) = sessions.get(expected.session) else { continue };
            if !session.commands.iter().any(|(_, name)| name == "deleteStream") {
                continue;
            }
            let got = session.tape.len() as u64;
            let missing = self.readers.missing(host, expected.session, &self.reels.borrow());
            self.found.demand(Law::Accounting, got == expected.messages, || {
                format!("{host}: {} messages sent, {got} received", expected.messages)
            });
            self.found.demand(Law::Accounting, missing == expected.dropped, || {
                format!("{host}: {} frames dropped, {missing} missing", expected.dropped)
            });
        }
    }
}

/// Whether the server has got a frame in the last second or so.
fn receives(sessions: &[Session], now: Duration) -> bool {
    let last = sessions.last().filter(|session| session.closed.is_none()).and_then(|session| session.tape.last());
    last.is_some_and(|media| !media.is_preamble() && now - media.at <= ms(500))
}
