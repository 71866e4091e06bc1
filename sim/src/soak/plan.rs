//! A plan: all that will happen in one world, drawn from its seed.
//!
//! First a safety phase with faults, then everything heals and progress is demanded. Each seed switches whole kinds of fault
//! on or off first, so that worlds with one kind of trouble are as common as worlds with all kinds at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use rtmp_relay::stream::log::Limits;

use super::encoder::{Leaving, Shift};
use crate::peer::Picture;
use crate::{Answer, ms, secs};

/// Servers, as many as a world may have.
pub(crate) const SERVERS: [&str; 4] = ["youtube", "twitch", "kick", "archive"];
/// Where the name of a server that moves is to be found for a while.
pub(crate) const STANDBY: &str = "standby";
/// The two encoders.
pub(crate) const OBS: &str = "obs";
pub(crate) const PHONE: &str = "phone";
/// The relay.
pub(crate) const RELAY: &str = "relay";

/// When faults may begin …
const FIRST: Duration = secs(5);
const LAST: Duration = secs(30);
/// … and when all is well again.
const HEAL: Duration = secs(40);
/// A lost publisher has this long.
pub(crate) const GRACE: Duration = secs(5);

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "see `sentence`")]
pub enum Kind {
    Crash,
    Hold,
    Cut,
    OneWay,
    PowerCut,
    Swizzle,
    RefusesConnect,
    RefusesPublish,
    KeyInUse,
    Silent,
    Closes,
    Resets,
    Deaf,
    Slow,
    OddChunks,
    SmallWindow,
    Pings,
    Garbage,
    Kicks,
    Absent,
    Flaps,
    Moves,
    EncoderLoss,
    EncoderGone,
    EncoderRestart,
    EncoderHold,
    EncoderCut,
    Takeover,
    Contender,
    RelayCrash,
    RelayStop,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 31] = [
        Kind::Crash,
        Kind::Hold,
        Kind::Cut,
        Kind::OneWay,
        Kind::PowerCut,
        Kind::Swizzle,
        Kind::RefusesConnect,
        Kind::RefusesPublish,
        Kind::KeyInUse,
        Kind::Silent,
        Kind::Closes,
        Kind::Resets,
        Kind::Deaf,
        Kind::Slow,
        Kind::OddChunks,
        Kind::SmallWindow,
        Kind::Pings,
        Kind::Garbage,
        Kind::Kicks,
        Kind::Absent,
        Kind::Flaps,
        Kind::Moves,
        Kind::EncoderLoss,
        Kind::EncoderGone,
        Kind::EncoderRestart,
        Kind::EncoderHold,
        Kind::EncoderCut,
        Kind::Takeover,
        Kind::Contender,
        Kind::RelayCrash,
        Kind::RelayStop,
    ];

    /// What it does.
    pub fn sentence(self) -> &'static str {
        match self {
            Kind::Crash => "a server crashes, and comes back",
            Kind::Hold => "a server's link holds everything back, and lets it go",
            Kind::Cut => "a server's link loses everything for a while",
            Kind::OneWay => "it loses everything in one direction",
            Kind::PowerCut => "a server is gone without a word, and comes back",
            Kind::Swizzle => "several links hold back, one after the other, and let go in another order",
            Kind::RefusesConnect => "a server says no to connect",
            Kind::RefusesPublish => "a server says no to a key",
            Kind::KeyInUse => "a server says that the key is in use",
            Kind::Silent => "a server never answers one of the steps",
            Kind::Closes => "a server closes after some bytes, each time",
            Kind::Resets => "a server resets after some bytes, each time",
            Kind::Deaf => "a server does not read for a while",
            Kind::Slow => "a server reads slowly",
            Kind::OddChunks => "a server answers in chunks of one byte, or announces huge ones",
            Kind::SmallWindow => "a server wants every byte acknowledged",
            Kind::Pings => "a server floods with pings",
            Kind::Garbage => "a server answers one of the steps with nonsense",
            Kind::Kicks => "a server ends a started stream in so many words",
            Kind::Absent => "a server does not listen",
            Kind::Flaps => "a server comes and goes",
            Kind::Moves => "a server crashes, and its name is another host's address until it is back",
            Kind::EncoderLoss => "the encoder vanishes in mid-GOP and returns within the grace, with other headers",
            Kind::EncoderGone => "it returns only after the grace",
            Kind::EncoderRestart => "it stops, and publishes anew at once",
            Kind::EncoderHold => "its link holds back for a while",
            Kind::EncoderCut => "its link loses everything for a while",
            Kind::Takeover => "it falls silent, another takes its place, and its last words come late",
            Kind::Contender => "another encoder wants its place while it is well",
            Kind::RelayCrash => "the relay crashes, and comes back",
            Kind::RelayStop => "the relay is stopped, and started again",
        }
    }

    /// Whether it holds links, which does not mix with one-way cuts.
    fn holds(self) -> bool {
        matches!(self, Kind::Hold | Kind::Swizzle | Kind::EncoderHold | Kind::Takeover)
    }
}

/// One fault: what, to whom, from when to when.
#[derive(Debug, Clone)]
pub struct Fault {
    /// What.
    pub kind: Kind,
    /// Whom it names.
    pub hosts: Vec<&'static str>,
    /// When it begins …
    pub from: Duration,
    /// … and when it is undone.
    pub until: Duration,
    /// The particulars.
    pub how: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from.as_secs_f64(), self.until.as_secs_f64());
        write!(f, "{from:6.2} – {until:5.2} s  {:?} {} {}", self.kind, self.hosts.join(", "), self.how)
    }
}

/// What is done to the network and to hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    Crash(&'static str),
    Bounce(&'static str),
    Hold(&'static str),
    Release(&'static str),
    Cut(&'static str),
    Join(&'static str),
    /// From the relay to the host, or back.
    CutOneWay(&'static str, bool),
    JoinOneWay(&'static str, bool),
    /// The name of the first is the address of the second.
    MoveName(&'static str, &'static str),
    StopRelay,
}

/// What a server does with connections it takes in this time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mood {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    pub(crate) answer: Answer,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose plan.
    pub seed: u64,
    /// The fault script.
    pub faults: Vec<Fault>,
    pub(crate) servers: usize,
    pub(crate) picture: Picture,
    pub(crate) chunk_size: usize,
    pub(crate) log: Limits,
    pub(crate) script: Vec<(Duration, Action)>,
    pub(crate) moods: BTreeMap<&'static str, Vec<Mood>>,
    pub(crate) obs: Vec<Shift>,
    pub(crate) phone: Vec<Shift>,
    pub(crate) viewers: Vec<Duration>,
    pub(crate) heal: Duration,
    /// Which server moves, if one does.
    pub(crate) moves: Option<&'static str>,
}

impl Plan {
    /// The plan of `seed`.
    pub fn drawn(seed: u64) -> Self {
        let mut random = fastrand::Rng::with_seed(seed ^ 0x50a1);
        let log = match random.u8(..4) {
            0 => Limits { bytes: 60_000, ..Limits::default() },
            _ => Limits::default(),
        };
        let rate = *pick(&mut random, &[10, 12, 15]);
        let picture = Picture {
            gop: rate * *pick(&mut random, &[1, 1, 2, 5]),
            rate,
            key: [1_900, random.usize(900..1_800)],
            inter: random.usize(60..900),
            sound: random.usize(20..120),
            samples: 4_800,
            clock: match random.u8(..6) {
                0 => u32::MAX - random.u32(3_000..30_000),
                1 => (1 << 31) - random.u32(3_000..30_000),
                _ => 0,
            },
            hevc: false,
        };
        let plan = Plan {
            seed,
            faults: Vec::new(),
            servers: random.usize(3..=4),
            picture,
            chunk_size: *pick(&mut random, &[60_000, 60_000, 60_000, 4_096, 128]),
            log,
            script: Vec::new(),
            moods: BTreeMap::new(),
            obs: vec![Shift { from: ms(300), until: Duration::MAX, leaving: Leaving::Never }],
            phone: Vec::new(),
            viewers: (0..random.u64(1..=2)).map(|n| ms(1_000 + n * random.u64(500..30_000))).collect(),
            heal: HEAL,
            moves: None,
        };
        let on = swarm(&mut random);
        let mut draw = Draw { plan, random, busy: BTreeMap::new(), encoder: false, relay: false };
        let wanted = draw.random.usize(2..=6);
        for _ in 0..60 {
            if draw.plan.faults.len() == wanted {
                break;
            }
            let kind = *pick(&mut draw.random, &on);
            draw.fault(kind);
        }
        // Some kinds come once in a world.
        while draw.plan.faults.len() < 2 {
            draw.fault(Kind::Crash);
        }
        let mut plan = draw.plan;
        plan.script.sort_by_key(|(at, _)| *at);
        plan.faults.sort_by_key(|fault| fault.from);
        plan
    }

    /// Whether the script names this host.
    pub(crate) fn names(&self, host: &str) -> bool {
        self.faults.iter().any(|fault| fault.hosts.contains(&host))
    }

    /// Whether a fault that names this host was on in this time, or not long before.
    pub(crate) fn touched(&self, host: &str, from: Duration, until: Duration) -> bool {
        // A connection that was cut is not missed by its owner until its writes are stuck; a relay that is back is well.
        let after = if host == RELAY { secs(2) } else { secs(12) };
        self.faults.iter().any(|f| f.hosts.contains(&host) && f.from <= until + ms(100) && from <= f.until + after)
    }

    /// What a server does with a connection that it takes now.
    pub(crate) fn answer(&self, server: &str, now: Duration) -> Answer {
        let mood = self.moods.get(server).and_then(|moods| moods.iter().find(|m| (m.from..m.until).contains(&now)));
        mood.map_or(Answer::Accept, |mood| mood.answer)
    }
}

/// Kinds of fault that this seed has.
fn swarm(random: &mut fastrand::Rng) -> Vec<Kind> {
    let one_way = random.u8(..4) == 0;
    let odds = random.f64();
    let mut on: Vec<Kind> = Vec::new();
    let possible: Vec<Kind> =
        Kind::ALL.into_iter().filter(|kind| if one_way { !kind.holds() } else { *kind != Kind::OneWay }).collect();
    on.extend(possible.iter().copied().filter(|_| random.f64() < odds));
    while on.len() < 2 {
        on.push(*pick(random, &possible));
    }
    on
}

fn pick<'a, T>(random: &mut fastrand::Rng, of: &'a [T]) -> &'a T {
    &of[random.usize(..of.len())]
}

/// A plan that is being drawn.
struct Draw {
    plan: Plan,
    random: fastrand::Rng,
    /// A host has one fault at a time.
    busy: BTreeMap<&'static str, Vec<(Duration, Duration)>>,
    encoder: bool,
    relay: bool,
}

impl Draw {
    /// From when to when, in milliseconds of its duration.
    fn span(&mut self, shortest: u64, longest: u64) -> (Duration, Duration) {
        let from = ms(self.random.u64(FIRST.as_millis() as u64..LAST.as_millis() as u64));
        let until = (from + ms(self.random.u64(shortest..=longest))).min(HEAL - ms(200));
        (from, until)
    }

    /// Whether these are free then; then they are taken.
    fn take(&mut self, hosts: &[&'static str], from: Duration, until: Duration) -> bool {
        let clash = |(a, b): &(Duration, Duration)| *a < until + secs(1) && from < *b + secs(1);
        if hosts.iter().any(|host| self.busy.get(host).is_some_and(|spans| spans.iter().any(clash))) {
            return false;
        }
        for host in hosts {
            self.busy.entry(host).or_default().push((from, until));
        }
        true
    }

    fn add(&mut self, kind: Kind, hosts: &[&'static str], from: Duration, until: Duration, how: String) {
        self.plan.faults.push(Fault { kind, hosts: hosts.to_vec(), from, until, how });
    }

    fn script(&mut self, actions: &[(Duration, Action)]) {
        self.plan.script.extend_from_slice(actions);
    }

    /// Mostly one of the first servers, so that somebody is left who is not named.
    fn server(&mut self) -> &'static str {
        let all = self.plan.servers;
        let last = if self.random.u8(..4) == 0 { all } else { all - 1 };
        SERVERS[self.random.usize(..last)]
    }

    fn fault(&mut self, kind: Kind) {
        match kind {
            Kind::Crash | Kind::Hold | Kind::Cut | Kind::OneWay | Kind::PowerCut => self.link(kind),
            Kind::Flaps => self.flaps(),
            Kind::Moves => self.moves(),
            Kind::Swizzle => self.swizzle(),
            Kind::EncoderLoss
            | Kind::EncoderGone
            | Kind::EncoderRestart
            | Kind::EncoderHold
            | Kind::EncoderCut
            | Kind::Takeover
            | Kind::Contender => {
                if !std::mem::replace(&mut self.encoder, true) {
                    self.publisher(kind);
                }
            }
            Kind::RelayCrash | Kind::RelayStop => {
                if !std::mem::replace(&mut self.relay, true) {
                    self.relay(kind);
                }
            }
            Kind::RefusesConnect
            | Kind::RefusesPublish
            | Kind::KeyInUse
            | Kind::Silent
            | Kind::Closes
            | Kind::Resets
            | Kind::Deaf
            | Kind::Slow
            | Kind::OddChunks
            | Kind::SmallWindow
            | Kind::Pings
            | Kind::Garbage
            | Kind::Kicks
            | Kind::Absent => self.mood(kind),
        }
    }

    fn link(&mut self, kind: Kind) {
        let host = self.server();
        let (from, until) = self.span(50, 15_000);
        if !self.take(&[host], from, until) {
            return;
        }
        let there = self.random.bool();
        let mut how = String::new();
        match kind {
            Kind::Crash => self.script(&[(from, Action::Crash(host)), (until, Action::Bounce(host))]),
            Kind::Hold => self.script(&[(from, Action::Hold(host)), (until, Action::Release(host))]),
            Kind::Cut => self.script(&[(from, Action::Cut(host)), (until, Action::Join(host))]),
            Kind::OneWay => {
                how = if there { "towards it" } else { "from it" }.to_owned();
                self.script(&[(from, Action::CutOneWay(host, there)), (until, Action::JoinOneWay(host, there))]);
            }
            _ => self.script(&[
                (from, Action::Cut(host)),
                (from, Action::Crash(host)),
                (until, Action::Join(host)),
                (until, Action::Bounce(host)),
            ]),
        }
        self.add(kind, &[host], from, until, how);
    }

    fn flaps(&mut self) {
        let host = self.server();
        let (from, until) = self.span(2_000, 15_000);
        if !self.take(&[host], from, until) {
            return;
        }
        let times = self.random.u32(2..=6);
        let period = (until - from) / times;
        for n in 0..times {
            let up = period.mul_f64(self.random.f64().clamp(0.1, 0.9));
            let crash = from + period * n;
            self.script(&[(crash, Action::Crash(host)), (crash + period - up, Action::Bounce(host))]);
        }
        self.add(Kind::Flaps, &[host], from, until, format!("{times} times"));
    }

    fn moves(&mut self) {
        let host = self.server();
        let (from, until) = self.span(3_000, 15_000);
        if self.plan.moves.is_some() || !self.take(&[host], from, until) {
            return;
        }
        self.plan.moves = Some(host);
        self.script(&[
            (from, Action::MoveName(host, STANDBY)),
            (from, Action::Crash(host)),
            (until, Action::MoveName(host, host)),
            (until, Action::Bounce(host)),
            (until, Action::Crash(STANDBY)),
        ]);
        self.add(Kind::Moves, &[host], from, until, String::new());
    }

    fn swizzle(&mut self) {
        let mut hosts = SERVERS[..self.plan.servers - 1].to_vec();
        if self.random.u8(..3) == 0 && !std::mem::replace(&mut self.encoder, true) {
            hosts.push(OBS);
        }
        let (from, until) = self.span(2_000, 12_000);
        if !self.take(&hosts, from, until) {
            return;
        }
        let step = (until - from) / (2 * hosts.len() as u32);
        for (n, host) in (0..).zip(&hosts) {
            self.plan.script.push((from + step * n, Action::Hold(host)));
        }
        let mut order = hosts.clone();
        self.random.shuffle(&mut order);
        for (n, host) in (0..).zip(order.iter().rev()) {
            self.plan.script.push((until - step * n, Action::Release(host)));
        }
        self.add(Kind::Swizzle, &hosts, from, until, format!("let go in the order {}", order.join(", ")));
    }

    fn mood(&mut self, kind: Kind) {
        let host = self.server();
        let (mut from, until) = self.span(500, 20_000);
        if self.random.u8(..3) == 0 {
            from = Duration::ZERO;
        }
        if !self.take(&[host], from, until) {
            return;
        }
        let steps = BTreeSet::from(["", "connect", "createStream", "publish"]);
        let steps: Vec<_> = steps.into_iter().collect();
        let step = *pick(&mut self.random, &steps);
        let lasting = until - from;
        let few = self.random.u8(..3) == 0;
        let random = &mut self.random;
        let answer = match kind {
            Kind::RefusesConnect => Answer::Refuse("connect", "NetConnection.Connect.Rejected"),
            Kind::RefusesPublish => Answer::Refuse("publish", "NetStream.Publish.Denied"),
            Kind::KeyInUse => Answer::Refuse("publish", "NetStream.Publish.BadName"),
            Kind::Silent => Answer::Silence(step),
            Kind::Closes => Answer::Close(if few { 1 } else { random.usize(1..60_000) }),
            Kind::Resets => Answer::Reset(if few { 1 } else { random.usize(1..60_000) }),
            Kind::Deaf => Answer::Deaf(ms(random.u64(..3_000)), lasting),
            Kind::Slow => Answer::Slow(lasting, ms(random.u64(5..300))),
            Kind::OddChunks => Answer::Chunks(*pick(random, &[1, 2, 65_536, 0x00ff_ffff])),
            Kind::SmallWindow => Answer::Window(*pick(random, &[1, 100, 3_000])),
            Kind::Pings => Answer::Pings(random.usize(1..40)),
            Kind::Garbage => Answer::Garbage(step),
            Kind::Absent => Answer::Absent,
            _ => Answer::Kick(ms(random.u64(..5_000))),
        };
        self.plan.moods.entry(host).or_default().push(Mood { from, until, answer });
        let mut how = format!("{answer:?}");
        if !from.is_zero() {
            how += " after a restart";
            self.script(&[(from, Action::Crash(host)), (from + ms(60), Action::Bounce(host))]);
        }
        self.add(kind, &[host], from, until, how);
    }

    fn publisher(&mut self, kind: Kind) {
        let (from, until) = match kind {
            Kind::EncoderLoss => self.span(300, 3_500),
            Kind::EncoderGone => self.span(6_000, 9_000),
            Kind::EncoderRestart => self.span(20, 300),
            Kind::EncoderHold => self.span(500, 9_000),
            Kind::EncoderCut => self.span(500, 14_000),
            Kind::Takeover => self.span(4_000, 9_000),
            _ => self.span(1_000, 5_000),
        };
        let always = Duration::MAX;
        let (leaving, never) = (Leaving::Vanish, Leaving::Never);
        let late = from + ms(self.random.u64(200..3_500));
        let first = |leaving| Shift { from: ms(300), until: from, leaving };
        match kind {
            Kind::EncoderLoss | Kind::EncoderGone => {
                self.plan.obs = vec![first(leaving), Shift { from: until, until: always, leaving: never }];
            }
            Kind::EncoderRestart => {
                self.plan.obs = vec![first(Leaving::Stop), Shift { from: until, until: always, leaving: never }];
            }
            Kind::EncoderHold => self.script(&[(from, Action::Hold(OBS)), (until, Action::Release(OBS))]),
            Kind::EncoderCut => self.script(&[(from, Action::Cut(OBS)), (until, Action::Join(OBS))]),
            Kind::Takeover => {
                // It says its goodbye into the held link.
                let goodbye =
                    Shift { until: from + ms(200), ..first(*pick(&mut self.random, &[leaving, Leaving::Stop])) };
                self.plan.obs = vec![goodbye];
                self.plan.phone = vec![Shift { from: late, until: always, leaving: never }];
                self.script(&[(from, Action::Hold(OBS)), (until, Action::Release(OBS))]);
            }
            _ => self.plan.phone = vec![Shift { from, until, leaving }],
        }
        let how = if kind == Kind::Takeover { format!("from {:.2} s", late.as_secs_f64()) } else { String::new() };
        let who = if kind == Kind::Contender { PHONE } else { OBS };
        self.add(kind, &[who], from, until, how);
    }

    fn relay(&mut self, kind: Kind) {
        let (from, until) = if kind == Kind::RelayCrash { self.span(20, 4_000) } else { self.span(6_000, 8_000) };
        match kind {
            Kind::RelayCrash => self.script(&[(from, Action::Crash(RELAY)), (until, Action::Bounce(RELAY))]),
            _ => {
                self.script(&[(from, Action::StopRelay), (until, Action::Crash(RELAY)), (until, Action::Bounce(RELAY))])
            }
        }
        self.add(kind, &[RELAY], from, until, String::new());
    }
}
