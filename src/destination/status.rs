//! What is known of a destination, for whoever shows it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::Class;
use super::told::Told;
use crate::feed::Stats;
use crate::guard::Advice;
use crate::stream::Name;

/// Where a destination's life stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Switched off.
    Disabled,
    /// No stream to send.
    Waiting,
    /// On the way to `NetStream.Publish.Start`.
    Connecting,
    /// Accepted, and bytes have left in the last seconds.
    Live,
    /// Accepted, but no bytes leave: the stream pauses, or the server takes none.
    Degraded,
    /// Lost, and about to be tried again.
    BackingOff,
    /// Refused, and tried again more slowly.
    Rejected,
    /// Not to be tried as things are.
    Blocked,
    /// Saying goodbye.
    Draining,
}

/// One destination and one stream.
#[derive(Debug, Clone)]
pub struct Status {
    /// The destination's name. Its URL holds the key and is nowhere here.
    pub name: String,
    /// The stream it has, if any.
    pub stream: Option<Name>,
    /// Where it stands …
    pub state: State,
    /// … and since when.
    pub since: Instant,
    /// Why it stands there, where that needs a word.
    pub reason: Option<String>,
    /// What the stream has that the server did not announce: codecs, multitrack. It is sent all the same, and many servers that
    /// announce nothing take it; where they do not, this is why nobody sees a picture. Plain H.264 and AAC are never here.
    pub unannounced: Vec<String>,
    /// What the destination's platform does not like about the stream.
    pub advice: Vec<Advice>,
    /// It is sent to the backup server, or was last tried there.
    pub backup: bool,
    /// The last error in words. It stays after a recovery …
    pub last_error: Option<String>,
    /// … and so does its class …
    pub class: Option<Class>,
    /// … and when it came.
    pub failed_at: Option<Instant>,
    /// When the next attempt is due, if it waits for one.
    pub retry_at: Option<Instant>,
    /// Connections tried.
    pub attempts: u64,
    /// Sessions after the first.
    pub reconnects: u64,
    /// The same by what ended the session before: a class of errors, or `requested`, the server asked for it,
    /// `primary_is_back`, or `new_stream`.
    pub reconnects_by_reason: BTreeMap<&'static str, u64>,
    /// Bytes sent, over all sessions.
    pub bytes: u64,
    /// Messages sent, over all sessions.
    pub messages: u64,
    /// Frames left out because the server was too slow.
    pub dropped: u64,
    /// Frames left out, by reason: `lag`, it was too slow and further behind than `max_lag`; `log`, it was too slow and the log
    /// full before that; `away`, they came while there was no session, which `dropped` does not count.
    pub dropped_by_reason: BTreeMap<&'static str, u64>,
    /// How far what is sent has come, by the last look, a second ago at most.
    pub delivered: Delivered,
    /// Bits a second, over the last second.
    pub bitrate: u64,
    /// Time spent connected, in sessions that have ended.
    connected_before: Duration,
    connected_since: Option<Instant>,
    sessions: u64,
    /// What has ended the last session, once something has.
    after: Option<&'static str>,
    /// Where in the stream's log the last session was at the last count.
    left_off: Option<u64>,
    pub(super) told: Told,
    /// What the present session has already added to the totals, and when.
    counted: (u64, Stats, Instant),
}

/// How far what is sent to a server has come. Of a destination without a session it is nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Media time not delivered yet: in the log, here, or with the kernel, where that says what the server's host has taken.
    pub lag: Duration,
    /// Media time that the server has not acknowledged yet; none if it does not acknowledge. Most do once in a few megabytes.
    pub acknowledged_lag: Option<Duration>,
    /// Bytes on their way to the server that wait here. The rest waits in the stream's log, for everybody.
    pub unsent: usize,
    /// Bytes that wait in the kernel until the server's host has acknowledged them, where the kernel says.
    pub kernel_unsent: Option<usize>,
    /// How long an acknowledgement of TCP takes, smoothed, where the kernel says.
    pub round_trip: Option<Duration>,
}

/// The server has asked for a new session.
pub(super) const REQUESTED: &str = "requested";
/// The primary server has been reachable for long enough.
pub(super) const PRIMARY_IS_BACK: &str = "primary_is_back";
/// The session before was that of another stream, or another show of this one, or has been changed.
const NEW_STREAM: &str = "new_stream";

impl Status {
    pub(super) fn new(name: &str) -> Self {
        let now = Instant::now();
        Status {
            name: name.to_owned(),
            stream: None,
            state: State::Waiting,
            since: now,
            reason: None,
            unannounced: Vec::new(),
            advice: Vec::new(),
            backup: false,
            last_error: None,
            failed_at: None,
            class: None,
            retry_at: None,
            attempts: 0,
            reconnects: 0,
            reconnects_by_reason: BTreeMap::new(),
            bytes: 0,
            messages: 0,
            dropped: 0,
            dropped_by_reason: BTreeMap::new(),
            delivered: Delivered::default(),
            bitrate: 0,
            connected_before: Duration::ZERO,
            connected_since: None,
            sessions: 0,
            after: None,
            left_off: None,
            told: Told::default(),
            counted: (0, Stats::default(), now),
        }
    }

    /// What people can do about the last error.
    pub fn remedy(&self) -> Option<&'static str> {
        self.class.map(Class::advice)
    }

    /// Time spent connected so far.
    pub fn connected(&self) -> Duration {
        self.connected_before + self.connected_since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The stream has left.
    pub(super) fn leave(&mut self) {
        self.stream = None;
        self.advice.clear();
        self.unannounced.clear();
        self.backup = false;
    }

    /// Changes the state; staying in one keeps its beginning.
    pub(super) fn enter(&mut self, state: State, reason: Option<String>) {
        if self.state != state {
            self.state = state;
            self.since = Instant::now();
        }
        self.reason = reason;
        self.retry_at = None;
    }

    /// A stream is to be sent, or is to be sent otherwise.
    pub(super) fn stream_began(&mut self) {
        (self.after, self.left_off) = (Some(NEW_STREAM), None);
    }

    /// The session has ended, or has not come about; of several reasons the first counts.
    pub(super) fn session_lost(&mut self, why: &'static str) {
        self.after.get_or_insert(why);
    }

    /// The attempt or the session has failed; the next attempt is due after `wait`, or when the stream has changed.
    pub(super) fn failed(&mut self, class: Class, reason: String, wait: Option<Duration>) {
        self.session_lost(class.code());
        self.class = Some(class);
        self.last_error = Some(reason.clone());
        self.failed_at = Some(Instant::now());
        self.enter(class.state(), Some(reason));
        self.retry_at = wait.map(|wait| Instant::now() + wait);
    }

    /// The server has accepted the stream.
    pub(super) fn session_began(&mut self) {
        let now = Instant::now();
        self.enter(State::Live, None);
        let after = self.after.take().unwrap_or(NEW_STREAM);
        if self.sessions > 0 {
            self.reconnects += 1;
            *self.reconnects_by_reason.entry(after).or_default() += 1;
        }
        self.sessions += 1;
        self.connected_since = Some(now);
        self.counted = (0, Stats::default(), now);
    }

    /// The session is over.
    pub(super) fn session_ended(&mut self) {
        self.connected_before = self.connected();
        self.connected_since = None;
        self.bitrate = 0;
        self.delivered = Delivered::default();
    }

    /// Adds what the session has done since it was last counted.
    pub(super) fn count(&mut self, sent: u64, stats: Stats) {
        let (bytes, counted, then) = self.counted;
        let elapsed = then.elapsed().as_secs_f64();
        if elapsed > 0.1 {
            self.bitrate = ((sent - bytes) as f64 * 8.0 / elapsed) as u64;
        }
        self.bytes += sent - bytes;
        self.messages += (stats.messages - counted.messages) * if mutant!(CountsTwice) { 2 } else { 1 };
        self.dropped += if mutant!(ForgetsDrops) { 0 } else { stats.skipped.all() - counted.skipped.all() };
        self.leave_out("lag", stats.skipped.lag - counted.skipped.lag);
        self.leave_out("log", stats.skipped.log - counted.skipped.log);
        if let Some((begun, next)) = stats.span {
            let left_off = self.left_off.replace(next).filter(|_| counted.span.is_none());
            self.leave_out("away", left_off.map_or(0, |left_off| begun.saturating_sub(left_off)));
        }
        self.counted = (sent, stats, Instant::now());
    }

    fn leave_out(&mut self, why: &'static str, frames: u64) {
        if frames > 0 {
            *self.dropped_by_reason.entry(why).or_default() += frames;
        }
    }
}

impl State {
    /// All of them.
    pub const ALL: [State; 9] = [
        State::Disabled,
        State::Waiting,
        State::Connecting,
        State::Live,
        State::Degraded,
        State::BackingOff,
        State::Rejected,
        State::Blocked,
        State::Draining,
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            State::Disabled => "disabled",
            State::Waiting => "waiting",
            State::Connecting => "connecting",
            State::Live => "live",
            State::Degraded => "degraded",
            State::BackingOff => "backing_off",
            State::Rejected => "rejected",
            State::Blocked => "blocked",
            State::Draining => "draining",
        })
    }
}
