//! Reconnect, HalfOpen, Memory and Accounting: what a relay says of its destinations, held against what went through its doors.

use std::net::IpAddr;
use std::time::Duration;

use rtmp_relay::destination::{Class, State, Status};
use rtmp_relay::limits::{DRAIN, FILL_BYTES, GOODBYE, LOG_TIME, STALL, STEP};

use super::findings::Findings;
use super::gauge::Readings;
use super::law::Law;
use super::point::Point;
use crate::peer::{Media, Session};
use crate::{ms, secs};

/// Ticks of the simulation: a change is seen at the end of one, a timer fires at the end of one, and so on.
const TICKS: Duration = ms(40);
/// `live` outlasts the last byte by this, and a look a second.
const QUIET: Duration = secs(3);
/// Ten good seconds reset a backoff.
const STABLE: Duration = secs(10);

/// One destination's row on the board of one life of the relay.
#[derive(Debug)]
pub(crate) struct Watched {
    host: &'static str,
    address: IpAddr,
    named: bool,
    state: State,
    /// When it was first seen in this state.
    since: Duration,
    failures: u32,
    /// When the session it has was first seen, and whether it was degraded since.
    live: Option<Duration>,
    degraded: bool,
    /// Figures at the beginning of the attempt that is under way.
    at_attempt: Figures,
    attempt: u64,
    sessions: u64,
    /// Connections to it that were made before this row was there.
    earlier: usize,
    /// All connections up to the last of its own, once there is another row below it.
    until: Option<usize>,
    bytes: u64,
    last: Option<Status>,
    /// Bytes that wait for the server, and since when it is so many.
    unsent: (usize, Duration),
    /// What a server's session has to have once it has had the goodbye: messages and drops.
    pub(crate) expected: Vec<Expected>,
}

/// What a session that ended well must have been.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) session: usize,
    pub(crate) messages: u64,
    pub(crate) dropped: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Figures {
    bytes: u64,
    messages: u64,
    dropped: u64,
}

impl Figures {
    fn of(status: &Status) -> Self {
        Figures { bytes: status.bytes, messages: status.messages, dropped: status.dropped }
    }
}

fn failed(state: &State) -> bool {
    matches!(state, State::BackingOff | State::Rejected | State::Blocked)
}

fn connected(state: &State) -> bool {
    matches!(state, State::Live | State::Degraded | State::Draining)
}

impl Watched {
    pub(crate) fn new(host: &'static str, address: IpAddr, named: bool, readings: &Readings) -> Self {
        Watched {
            host,
            address,
            named,
            state: State::Waiting,
            since: Duration::ZERO,
            failures: 0,
            live: None,
            degraded: false,
            at_attempt: Figures::default(),
            attempt: 0,
            sessions: 0,
            earlier: readings.closed.get(&address).map_or(0, Vec::len)
                + readings.open.values().filter(|line| line.outbound && line.peer == address).count(),
            until: None,
            bytes: 0,
            last: None,
            unsent: (0, Duration::ZERO),
            expected: Vec::new(),
        }
    }

    pub(crate) fn look(
        &mut self,
        now: Duration,
        status: &Status,
        readings: &Readings,
        sessions: &[Session],
        found: &mut Findings,
    ) {
        // An attempt may fail in the tick it begins in.
        let again = status.attempts != self.attempt && failed(&status.state);
        if status.attempts != self.attempt {
            if again && connected(&self.state) {
                // The session before has ended with its stream, and the next attempt failed, all within one tick.
                (self.live, self.degraded, self.failures) = (None, false, 0);
            }
            self.at_attempt = Figures::of(status);
            // An attempt that succeeded at once has counted already.
            if connected(&status.state) {
                self.at_attempt = Figures { bytes: 0, ..self.at_attempt };
            }
            self.attempt = status.attempts;
        }
        let host = self.host;
        let ended = self.ended(readings);
        let closed = readings.closed.get(&self.address).map_or(0, Vec::len);
        // Before this row's own, the last one of the row before it may be open.
        let line = readings.open.values().find(|line| line.outbound && line.peer == self.address);
        let line = line.filter(|_| (self.earlier..self.until.unwrap_or(usize::MAX)).contains(&closed));

        let connects = ended.len() + usize::from(line.is_some());
        found.demand(Law::Accounting, status.attempts == connects as u64, || {
            format!("{host}: {} attempts, and {connects} connections", status.attempts)
        });
        let through = ended.iter().sum::<u64>() + line.map_or(0, |line| line.written);
        found.demand(Law::Accounting, status.bytes <= through, || {
            format!("{host}: {} bytes sent, and {through} went out", status.bytes)
        });

        if status.state != self.state || again {
            self.changed(now, status, ended, sessions, found);
            self.state = status.state.clone();
            self.since = now;
        }
        (self.bytes, self.last) = (status.bytes, Some(status.clone()));
        let here = now - self.since;
        if failed(&self.state) {
            let wait = status.retry_at.map(|at| at - status.since);
            found.demand(Law::Reconnect, wait.is_some_and(|wait| here <= wait + TICKS), || {
                format!("{host} is {} for {here:?} and waits for {wait:?}", self.state)
            });
            found.demand(Law::Isolation, self.named, || format!("{host} is {}: {:?}", self.state, status.last_error));
        }
        if self.state == State::Connecting {
            let limit = if status.reason.is_some() { DRAIN + GOODBYE + STEP + secs(2) } else { 7 * STEP };
            found.demand(Law::Reconnect, here <= limit, || format!("{host} is connecting for {here:?}"));
        }
        if self.state == State::Live {
            let quiet = line.map(|line| now - line.last_written);
            found.demand(Law::HalfOpen, quiet.is_some_and(|quiet| quiet <= QUIET + TICKS), || {
                format!("{host} is live, and nothing has left for {quiet:?}")
            });
        }
        let unsent = status.delivered.unsent;
        if let Some(line) = line.filter(|_| unsent != self.unsent.0) {
            let (before, then) = std::mem::replace(&mut self.unsent, (unsent, now));
            // Replies are few bytes.
            let grew = unsent > before + 4_000 && line.last_written + TICKS < then && line.opened + TICKS < then;
            found.demand(Law::Memory, !grew, || {
                format!(
                    "{host} takes nothing since {:?}, and {before} bytes for it are {unsent} now",
                    line.last_written
                )
            });
        }
        found.demand(Law::Memory, unsent <= FILL_BYTES + 4_000, || {
            format!("{host}: {unsent} bytes wait for the server")
        });
        // What waits there may be as old as the server is slow; the log is not.
        let lag = if unsent == 0 { status.delivered.lag } else { Duration::ZERO };
        found.demand(Law::Memory, lag <= LOG_TIME + secs(2), || format!("{host}: is {lag:?} behind"));
    }

    /// Bytes of the connections of this row that have been closed.
    fn ended<'a>(&self, readings: &'a Readings) -> &'a [u64] {
        let closed = readings.closed.get(&self.address).map_or(&[][..], Vec::as_slice);
        closed.get(self.earlier..closed.len().min(self.until.unwrap_or(usize::MAX))).unwrap_or_default()
    }

    /// There is another row for this destination: it has the connections to come.
    pub(crate) fn followed_by(&mut self, row: &Watched) {
        self.until.get_or_insert(row.earlier);
    }

    /// Whether this could be what the row has become.
    pub(crate) fn may_be(&self, status: &Status) -> bool {
        status.attempts >= self.attempt && status.bytes >= self.bytes
    }

    /// Its row has gone, with its session.
    pub(crate) fn gone(&mut self, readings: &Readings, sessions: &[Session], found: &mut Findings) {
        if let Some(status) = self.last.take() {
            self.has_ended(&status, self.ended(readings), sessions, found);
        }
    }

    fn changed(&mut self, now: Duration, status: &Status, ended: &[u64], sessions: &[Session], found: &mut Findings) {
        let host = self.host;
        if status.state == State::Degraded && status.reason.as_deref() == Some("the server takes nothing") {
            self.degraded = true;
        }
        if status.state == State::Live && std::mem::take(&mut self.degraded) {
            found.reached(Point::StalledAndRecovered);
        }
        if connected(&status.state) && self.live.is_none() {
            self.live = Some(now);
            self.sessions += 1;
        }
        if status.state == State::Connecting && self.state == State::Draining {
            found.reached(Point::WaitsForItsPlace);
        }
        if failed(&status.state) {
            self.has_failed(now, status, ended, sessions, found);
        }
        if status.state == State::Waiting || (status.state == State::Connecting && connected(&self.state)) {
            self.has_ended(status, ended, sessions, found);
            self.failures = 0;
            self.live = None;
            self.degraded = false;
        }
        let reconnects = self.sessions.saturating_sub(1);
        found.demand(Law::Accounting, status.reconnects == reconnects, || {
            format!("{host}: {} reconnects after {} sessions", status.reconnects, self.sessions)
        });
    }

    /// The bytes of a session that was lost are those of its connection, and the wait is what its backoff says.
    fn has_failed(
        &mut self,
        now: Duration,
        status: &Status,
        ended: &[u64],
        sessions: &[Session],
        found: &mut Findings,
    ) {
        let host = self.host;
        let sent = Figures::of(status);
        let bytes = sent.bytes - self.at_attempt.bytes.min(sent.bytes);
        let through = ended.last().copied().unwrap_or(0);
        if self.live.is_none() && bytes > 0 {
            // It came and went between two looks.
            self.live = Some(now);
            self.sessions += 1;
        }
        if let Some(live) = self.live {
            let written: u64 = ended.iter().sum();
            found.demand(Law::Accounting, sent.bytes <= written && bytes <= through, || {
                format!("{host}: {bytes} bytes in this session, and {through} went out")
            });
            if self.at_attempt.bytes > 0 || self.sessions == 1 {
                found.demand(Law::Accounting, bytes == through, || {
                    format!("{host}: {bytes} bytes in the session that was lost, and {through} went out")
                });
            }
            let tape = sessions.last().map_or(&[][..], |session| &session.tape);
            if !tape.is_empty() && tape.iter().all(Media::is_preamble) {
                found.reached(Point::GoneAtTheStart);
            }
            let got = tape.len() as u64;
            let messages = sent.messages - self.at_attempt.messages;
            let known = self.at_attempt.bytes > 0 || self.sessions == 1;
            found.demand(Law::Accounting, !known || got <= messages, || {
                format!("{host}: {messages} messages in this session, and the server has got {got}")
            });
            if now - live >= STABLE - TICKS && self.failures > 0 {
                found.reached(Point::BackoffReset);
            }
        }
        let wait = status.retry_at.map_or(Duration::ZERO, |at| at - status.since);
        let text = status.last_error.as_deref().unwrap_or_default();
        let cap = match status.class {
            Some(Class::Network | Class::Kicked | Class::Dropped) => secs(5),
            Some(Class::AlreadyLive) => secs(30),
            _ => secs(60),
        };
        let lasted = self.live.map_or(Duration::ZERO, |live| now - live);
        let counts: &[u32] = match lasted {
            short if short + TICKS < STABLE => &[self.failures],
            long if long > STABLE + TICKS => &[0],
            _ => &[0, self.failures],
        };
        let fits = |failures: &u32| {
            let nominal = (ms(250) * 2u32.pow((*failures).min(10))).min(cap);
            (nominal.mul_f64(0.7499)..=nominal.mul_f64(1.2501)).contains(&wait)
        };
        let hit = counts.iter().copied().find(fits);
        found.demand(Law::Reconnect, hit.is_some(), || {
            format!("{host} waits for {wait:?} after {:?} failures and {text:?}", counts)
        });
        self.failures = hit.unwrap_or(0) + 1;
        self.live = None;
        self.degraded = false;
        point(status, text, found);
        if text.contains("connection lost") && sessions.last().is_some_and(|session| session.cut_short) {
            found.reached(Point::Reset);
        }
    }

    /// A session that ended with its stream has a goodbye more than was counted, and perhaps what still waited.
    fn has_ended(&mut self, status: &Status, ended: &[u64], sessions: &[Session], found: &mut Findings) {
        if self.live.is_none() {
            return;
        }
        let (host, sent) = (self.host, Figures::of(status));
        let through = ended.last().copied().unwrap_or(0);
        let bytes = sent.bytes - self.at_attempt.bytes.min(sent.bytes);
        let known = self.at_attempt.bytes > 0 || self.sessions == 1;
        found.demand(Law::Accounting, !known || bytes <= through, || {
            format!("{host}: {bytes} bytes in the session that ended, and {through} went out")
        });
        if known && through - bytes < 250 && self.state != State::Connecting {
            self.expected.push(Expected {
                session: sessions.len().saturating_sub(1),
                messages: sent.messages - self.at_attempt.messages,
                dropped: sent.dropped - self.at_attempt.dropped,
            });
        }
    }
}

/// Which rare situations an error is.
fn point(status: &Status, text: &str, found: &mut Findings) {
    for (words, point) in [
        ("has taken nothing", Point::GivenUp),
        ("ended by the server", Point::Kicked),
        ("timed out", Point::StepTimedOut),
        ("cannot connect", Point::ConnectFailed),
        ("protocol error", Point::ProtocolError),
    ] {
        if text.contains(words) {
            found.reached(point);
        }
    }
    if status.class == Some(Class::AlreadyLive) {
        found.reached(Point::AlreadyLive);
    }
    if status.state == State::Rejected {
        found.reached(Point::Rejected);
    }
}

/// HalfOpen: a peer that takes nothing is left within ten seconds, so is one that the kernel has given up after nine; a
/// publisher that is there and sends nothing, within thirty.
pub(crate) fn dead_lines(now: Duration, readings: &Readings, publishers: &[IpAddr], found: &mut Findings) {
    for line in readings.open.values() {
        let stuck = line.blocked.map(|since| now - since).unwrap_or_default();
        found.demand(Law::HalfOpen, stuck <= STALL + ms(200), || {
            format!("{} has taken nothing for {stuck:?}", line.peer)
        });
        let dead = line.given_up.map(|since| now - since).unwrap_or_default();
        found.demand(Law::HalfOpen, dead <= secs(1), || format!("{} is dead, and kept for {dead:?}", line.peer));
        let silent = now - line.last_read;
        let publisher = !line.outbound && publishers.contains(&line.peer);
        found.demand(Law::HalfOpen, !publisher || silent <= secs(31), || {
            format!("a publisher is kept that has sent nothing for {silent:?}, since {:?}", line.opened)
        });
    }
    if let Some(peer) = readings.twice.first() {
        found.broken(Law::Reconnect, format!("two connections to {peer} at once"));
    }
}
