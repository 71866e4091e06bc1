//! Visitors: who is connected to us, how many of them in all and from each address, and why they left.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tracing::{debug, info};

use super::Short;
use crate::causes;
use crate::gate::addresses::origin;
use crate::limits::{AGENT_LETTERS, CONNECTIONS, CONNECTIONS_PER_ADDRESS, LOG_LINES, LOG_LINES_PER};
use crate::net::connection::Error;
use crate::net::tls;
use crate::rtmp;
use crate::rtmp::server::Role;
use crate::stream::Name;

/// How many may be connected to us at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub all: usize,
    /// From one address, or what counts as one. This machine itself is exempt.
    pub per_address: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { all: CONNECTIONS, per_address: CONNECTIONS_PER_ADDRESS }
    }
}

/// Why a visitor has gone. The names are stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// It had what it wanted, or was told that it cannot have it.
    Finished,
    /// It closed before it had.
    Closed,
    /// The network lost it.
    Lost,
    /// It broke the protocol, or one of its limits.
    Protocol,
    /// It speaks something else: TLS, HTTP, encrypted RTMP.
    Unsupported,
    /// There was no TLS with it: it speaks something else, or does not trust our certificate.
    Tls,
    /// It took too long.
    TimedOut,
    /// It did not read our replies, or asked for more of them than it read.
    Deaf,
    /// It was one too many, and not let in.
    TooMany,
    /// It may not do what it wanted.
    Denied,
}

/// All of them.
#[derive(Debug)]
pub struct Visitors {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    limits: Limits,
    all: usize,
    by_address: BTreeMap<IpAddr, usize>,
    endings: BTreeMap<Ending, u64>,
    /// Since when lines are counted, how many have been written since, and how many have not.
    lines: Option<(Instant, u32, u64)>,
    /// By number, those who publish or play.
    sessions: BTreeMap<u64, Session>,
    numbered: u64,
}

/// A visitor that publishes or plays.
#[derive(Debug, Clone)]
pub struct Session {
    /// Its number. There is no second one with it as long as the relay runs.
    pub id: u64,
    /// What it does.
    pub role: Role,
    /// With which stream.
    pub stream: Name,
    /// Where it comes from.
    pub peer: SocketAddr,
    /// Whether it came in through TLS.
    pub tls: bool,
    /// What it calls itself, the beginning of it.
    pub agent: String,
    /// Since when.
    pub since: Instant,
    bytes: Arc<AtomicU64>,
    kicked: CancellationToken,
}

/// A visitor's session as it knows it itself. Dropped, there is none any more.
#[derive(Debug)]
pub struct Seat {
    visitors: Arc<Visitors>,
    session: Session,
}

/// One visitor's leave to be here. Dropped, it has gone.
#[derive(Debug)]
pub struct Pass {
    visitors: Arc<Visitors>,
    peer: SocketAddr,
    tls: bool,
}

impl Visitors {
    /// Nobody, yet.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Visitors { state: Mutex::new(State { limits, ..State::default() }) })
    }

    /// Sets other limits. Those who are here stay.
    pub fn limit(&self, limits: Limits) {
        self.state().limits = limits;
    }

    /// Lets somebody in, who comes through TLS or not, if there is room.
    pub fn admit(self: &Arc<Self>, peer: SocketAddr, tls: bool) -> Option<Pass> {
        let address = origin(peer.ip());
        let mut state = self.state();
        let here = state.by_address.get(&address).copied().unwrap_or(0);
        if state.all >= state.limits.all || (here >= state.limits.per_address && !peer.ip().is_loopback()) {
            let which = if state.all >= state.limits.all { "in all" } else { "from this address" };
            state.left(peer, Ending::TooMany, &format_args!("too many connections {which}"));
            return None;
        }
        state.all += 1;
        *state.by_address.entry(address).or_default() += 1;
        drop(state);
        Some(Pass { visitors: self.clone(), peer, tls })
    }

    /// Says that somebody was told no, unless too much has been said of late.
    pub fn refused(&self, peer: SocketAddr, why: &dyn fmt::Display) {
        self.state().say(peer, why);
    }

    /// How many are here.
    pub fn count(&self) -> usize {
        self.state().all
    }

    /// How many have gone, by reason.
    pub fn endings(&self) -> BTreeMap<Ending, u64> {
        self.state().endings.clone()
    }

    /// Those who publish or play, in the order they began.
    pub fn sessions(&self) -> Vec<Session> {
        self.state().sessions.values().cloned().collect()
    }

    /// Asks a session to end. False if there is none with this number.
    pub fn kick(&self, id: u64) -> bool {
        self.state().sessions.get(&id).inspect(|session| session.kicked.cancel()).is_some()
    }

    /// Numbers only: a panic while they change leaves nothing worse than a wrong one.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Session {
    /// Media and all else that it has sent us, or been sent by us.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Seat {
    /// Notes how many bytes its connection has carried.
    pub fn count(&self, bytes: u64) {
        self.session.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Waits until somebody asks the session to end. Cancel safe.
    pub fn kicked(&self) -> WaitForCancellationFuture<'_> {
        self.session.kicked.cancelled()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.visitors.state().sessions.remove(&self.session.id);
    }
}

impl Pass {
    /// It publishes or plays from now on.
    pub fn sit(&self, role: Role, stream: &Name, agent: &str) -> Seat {
        let mut state = self.visitors.state();
        state.numbered += 1;
        let session = Session {
            id: state.numbered,
            role,
            stream: stream.clone(),
            peer: self.peer,
            tls: self.tls,
            agent: agent.chars().filter(|c| !c.is_control()).take(AGENT_LETTERS).collect(),
            since: Instant::now(),
            bytes: Arc::default(),
            kicked: CancellationToken::new(),
        };
        state.sessions.insert(session.id, session.clone());
        Seat { visitors: self.visitors.clone(), session }
    }

    /// It has gone, and this is how.
    pub fn leave(self, how: Result<(), Short>) {
        let mut state = self.visitors.state();
        match how {
            Ok(()) => *state.endings.entry(Ending::Finished).or_default() += 1,
            Err(short) => state.left(self.peer, Ending::of(&short), &causes::in_one_line(&short)),
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.visitors.state();
        state.all -= 1;
        let address = origin(self.peer.ip());
        if let Some(here) = state.by_address.get_mut(&address) {
            *here -= 1;
            if *here == 0 {
                state.by_address.remove(&address);
            }
        }
    }
}

impl State {
    fn left(&mut self, peer: SocketAddr, ending: Ending, why: &dyn fmt::Display) {
        *self.endings.entry(ending).or_default() += 1;
        self.say(peer, &format_args!("connection ended: {why}"));
    }

    /// Says it, unless too much has been said of late: a flood of visitors is not to be one of lines.
    fn say(&mut self, peer: SocketAddr, what: &dyn fmt::Display) {
        let now = Instant::now();
        let (_, written, unwritten) = match &mut self.lines {
            Some(lines) if now - lines.0 < LOG_LINES_PER => lines,
            lines => {
                let unwritten = lines.map_or(0, |(.., unwritten)| unwritten);
                lines.insert((now, 0, unwritten))
            }
        };
        if *written >= LOG_LINES {
            *unwritten += 1;
            return debug!(%peer, "{what}");
        }
        *written += 1;
        match std::mem::take(unwritten) {
            0 => info!(%peer, "{what}"),
            more => info!(%peer, "{what} (and {more} more that were not told)"),
        }
    }
}

impl Ending {
    fn of(short: &Short) -> Ending {
        let error = match short {
            Short::Nameless { .. } => return Ending::Finished,
            Short::Denied { .. } => return Ending::Denied,
            Short::Connection(error) => error,
        };
        match error {
            Error::Closed { .. } => Ending::Closed,
            Error::Lost { .. } => Ending::Lost,
            Error::Protocol { source: rtmp::Error::Unsupported(_), .. } => Ending::Unsupported,
            Error::Protocol { .. } => Ending::Protocol,
            Error::TimedOut { .. } | Error::Tls(tls::Error::TimedOut) => Ending::TimedOut,
            Error::Tls(tls::Error::Closed) => Ending::Closed,
            Error::Tls(tls::Error::Lost(_)) => Ending::Lost,
            Error::Tls(_) => Ending::Tls,
            Error::Deaf { .. } => Ending::Deaf,
        }
    }

    /// All of them.
    pub const ALL: [Ending; 10] = [
        Ending::Finished,
        Ending::Closed,
        Ending::Lost,
        Ending::Protocol,
        Ending::Unsupported,
        Ending::Tls,
        Ending::TimedOut,
        Ending::Deaf,
        Ending::TooMany,
        Ending::Denied,
    ];

    /// Its stable name.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Finished => "finished",
            Ending::Closed => "closed",
            Ending::Lost => "lost",
            Ending::Protocol => "protocol",
            Ending::Unsupported => "unsupported",
            Ending::Tls => "tls",
            Ending::TimedOut => "timed_out",
            Ending::Deaf => "deaf",
            Ending::TooMany => "too_many",
            Ending::Denied => "denied",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(text: &str) -> SocketAddr {
        SocketAddr::new(text.parse().expect("an address"), 5000)
    }

    #[tokio::test(start_paused = true)]
    async fn one_too_many_is_not_let_in_until_somebody_leaves() {
        let visitors = Visitors::new(Limits { all: 3, per_address: 2 });
        let admit = |text| visitors.admit(peer(text), false);
        let (first, _second) = (admit("192.0.2.1"), admit("192.0.2.1").expect("room for two"));
        assert!(admit("192.0.2.1").is_none(), "two from there");
        assert!(admit("::ffff:192.0.2.1").is_none(), "the same address in other words");
        let third = admit("192.0.2.2").expect("another address");
        assert!(admit("192.0.2.3").is_none() && admit("127.0.0.1").is_none(), "three in all");
        drop(first);
        assert!(admit("192.0.2.1").is_some(), "one has left");
        third.leave(Ok(()));
        assert_eq!(visitors.count(), 1);
        let endings = visitors.endings();
        assert_eq!((endings[&Ending::TooMany], endings[&Ending::Finished]), (4, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_is_listed_while_it_lasts_and_can_be_asked_to_end() {
        let visitors = Visitors::new(Limits::default());
        let pass = visitors.admit(peer("192.0.2.1"), true).expect("room");
        let name = Name::new("live/a").expect("a name");
        assert!(visitors.sessions().is_empty() && !visitors.kick(1), "it has not said what it wants");
        let long = format!("\r\n{}", "x".repeat(AGENT_LETTERS + 1));
        let (first, second) = (pass.sit(Role::Publish, &name, &long), pass.sit(Role::Play, &name, ""));
        second.count(7);
        let told: Vec<_> =
            visitors.sessions().iter().map(|s| (s.id, s.role, s.tls, s.agent.len(), s.bytes())).collect();
        assert_eq!(told, [(1, Role::Publish, true, AGENT_LETTERS, 0), (2, Role::Play, true, 0, 7)]);
        assert!(visitors.kick(1));
        first.kicked().await;
        drop(first);
        assert!(!visitors.kick(1));
        assert_eq!(visitors.sessions()[0].id, 2);
        assert_eq!(pass.sit(Role::Play, &name, "").session.id, 3, "no number comes twice");
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_64_bits_is_one_address_and_this_machine_is_exempt() {
        let visitors = Visitors::new(Limits { all: 100, per_address: 1 });
        let admit = |text| visitors.admit(peer(text), false);
        let _one = admit("2001:db8::1").expect("the first");
        assert!(admit("2001:db8::2").is_none() && admit("2001:db8:0:1::1").is_some());
        let many: Vec<_> = (0..10).map(|_| admit("127.0.0.1").expect("this machine")).collect();
        assert_eq!(visitors.count(), 1 + many.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_visitors_is_no_flood_of_lines() {
        let visitors = Visitors::new(Limits { all: 0, per_address: 0 });
        for _ in 0..1000 {
            assert!(visitors.admit(peer("192.0.2.1"), false).is_none());
        }
        let lines = visitors.state().lines.expect("some");
        assert_eq!((lines.1, lines.2), (LOG_LINES, 1000 - u64::from(LOG_LINES)));
        tokio::time::advance(LOG_LINES_PER).await;
        visitors.admit(peer("192.0.2.1"), false);
        let lines = visitors.state().lines.expect("some");
        assert_eq!((lines.1, lines.2), (1, 0), "the next line says how many were not told");
        assert_eq!(visitors.endings()[&Ending::TooMany], 1001);
    }
}
